/** What stands after `p=` instead of the key. */
import {problem} from '../domain/result.ts';
import {recordTags, writtenTags} from './compare.ts';
import {excerpt, hex} from './evidence.ts';
import {type KeyMaterial, keyText, materialOf} from './key-material.ts';
import {type Published, type Rule, replaceIt} from './repair.ts';

const noKey: Rule = (found, published) => {
  const tags = recordTags(found);
  if (tags === undefined) return undefined;
  const key = tags.get('p');
  if (key === undefined) {
    if (/\bp\s*[=:]/.test(found)) return undefined;
    return problem('dns.no-key', `The record has no p= tag: ${excerpt(found)}`, replaceIt(published));
  }
  return key === ''
    ? problem(
        'dns.revoked',
        `The record has an empty p=: this key is revoked. It reads ${excerpt(found)}`,
        'Use another selector; a revoked one is never used again.',
      )
    : undefined;
};

const MATERIALS: Readonly<
  Record<Exclude<KeyMaterial, 'other' | 'private'>, readonly [id: string, what: string, more: string]>
> = {
  pkcs1: [
    'dns.pkcs1',
    'is in the PKCS#1 form ("BEGIN RSA PUBLIC KEY")',
    'Receivers read SubjectPublicKeyInfo ("BEGIN PUBLIC KEY"): openssl rsa -RSAPublicKey_in -pubout',
  ],
  certificate: [
    'dns.certificate',
    'is an X.509 certificate',
    'Only its public key belongs there: openssl x509 -pubkey -noout',
  ],
  ssh: ['dns.ssh-key', 'is in the form of OpenSSH', 'ssh-keygen -e -m PKCS8 writes the form that is needed.'],
  'armour-in-base64': [
    'dns.base64-twice',
    'is a PEM file encoded in Base64 once more',
    'The Base64 between the lines of the PEM file is what belongs there.',
  ],
  'ed25519-spki': [
    'dns.ed25519-spki',
    'is an Ed25519 key with the header of SubjectPublicKeyInfo',
    'For Ed25519 only the 32 octets of the key belong there (RFC 8463 §4), 44 characters of Base64.',
  ],
};

const otherMaterial: Rule = (found, published) => {
  const key = keyText(found);
  if (key === undefined) return undefined;
  const material = materialOf(key);
  if (material === 'other' || material === 'private') return undefined;
  const [id, what, more] = MATERIALS[material];
  return problem(
    id,
    `What stands after p= ${what}, which receivers do not read: it begins with octets ${hex(Buffer.from(key, 'base64').subarray(0, 8))}.`,
    replaceIt(published, more),
  );
};

const spoiled: Rule = (found, published) => {
  const tags = recordTags(found);
  const key = tags?.get('p');
  const wanted = recordTags(published.expected)?.get('p');
  if (key === undefined || wanted === undefined || key === wanted) return undefined;
  const raw = writtenTags(found)?.get('p') ?? '';
  if (/\s/.test(raw) && raw.replaceAll(' ', '+') === wanted) {
    return problem(
      'dns.plus-lost',
      `Each "+" of the key (octet 2b) became a blank (octet 20): ${excerpt(raw.slice(Math.max(0, raw.indexOf(' ') - 12), raw.indexOf(' ') + 13))}`,
      replaceIt(published, 'Whatever sent it to the provider took it for a web form.'),
    );
  }
  if (/[-_]/.test(key) && key.replaceAll('-', '+').replaceAll('_', '/') === wanted) {
    return problem(
      'dns.base64url',
      'The key is in the alphabet of URLs, with "-" and "_" (octets 2d, 5f) instead of "+" and "/".',
      replaceIt(published),
    );
  }
  if (key.toLowerCase() === wanted.toLowerCase()) {
    const at = [...key].findIndex((letter, index) => letter !== wanted[index]);
    return problem(
      'dns.case-changed',
      `Letters of the key changed their case: ${excerpt(key.slice(at, at + 16))} instead of ${excerpt(wanted.slice(at, at + 16))}.`,
      replaceIt(published, 'Base64 is not the same in other case.'),
    );
  }
  const bad = /[^A-Za-z0-9+/=]/.exec(key);
  if (bad === null) return undefined;
  return problem(
    'dns.not-base64',
    `The key has "${excerpt(bad[0])}" in it (octet ${hex(Buffer.from(bad[0]))}), which is no Base64: ${excerpt(key.slice(Math.max(0, bad.index - 12), bad.index + 13))}`,
    replaceIt(published),
  );
};

const otherKey: Rule = (found, published) => {
  const key = recordTags(found)?.get('p');
  const wanted = recordTags(published.expected)?.get('p');
  if (key === undefined || key === wanted) return undefined;
  const ends = `p= ends with ${excerpt(key.slice(-12))}, not with ${excerpt((wanted ?? '').slice(-12))}`;
  if (isFormer(key, published)) {
    return problem(
      'dns.old-key',
      `The key of the selector before is published at ${published.name}: ${ends}.`,
      replaceIt(published),
    );
  }
  return problem(
    'dns.other-key',
    `Another key is published: ${ends}.`,
    replaceIt(published, 'Where that key is in use elsewhere, choose another selector.'),
  );
};

const isFormer = (key: string, {formerValues}: Published): boolean =>
  (formerValues ?? []).some(value => recordTags(value)?.get('p') === key);

export const KEY_RULES: readonly Rule[] = [noKey, otherMaterial, spoiled, otherKey];
