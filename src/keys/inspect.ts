import {createHash, createPrivateKey, createPublicKey, type KeyObject} from 'node:crypto';
import {keyOf, parseKeyRecord} from '../dkim/index.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {rsaKeyOf, rsaPublicOf} from './rsa-public.ts';

export type KeyAlgorithm = 'rsa' | 'ed25519';

/** What can be said about a private key without showing it. */
export interface KeyDescription {
  readonly algorithm: KeyAlgorithm;
  /** Length of the RSA modulus; 256 for Ed25519. */
  readonly bits: number;
  /** Value of `p=`: base64 of SubjectPublicKeyInfo for RSA (RFC 6376 §3.6.1), of the 32 raw octets for Ed25519 (RFC 8463 §4). */
  readonly publicKey: string;
  /** Hex SHA-256 of the DER SubjectPublicKeyInfo: the same for every copy of the key, whatever its file looks like. */
  readonly fingerprint: string;
}

/** Describes a private key in PKCS#8 or PKCS#1 PEM. Problem `key.unreadable` or `key.algorithm`. */
export function inspectKey(pem: string): Result<KeyDescription> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return fail(
      problem(
        'key.unreadable',
        'The private key cannot be read.',
        'Check the file: it must hold one private key as PEM, without a passphrase.',
      ),
    );
  }
  return describeKey(key);
}

/** As {@link inspectKey}, for a key that is read already. */
export function describeKey(key: KeyObject): Result<KeyDescription> {
  const algorithm = key.asymmetricKeyType;
  if (algorithm !== 'rsa' && algorithm !== 'ed25519') {
    return fail(
      problem(
        'key.algorithm',
        `DKIM cannot use a key of the type ${algorithm ?? 'unknown'}.`,
        'Use RSA (RFC 6376) or Ed25519 (RFC 8463).',
      ),
    );
  }
  const spki = createPublicKey(key).export({type: 'spki', format: 'der'});
  return ok({
    algorithm,
    bits: algorithm === 'rsa' ? (key.asymmetricKeyDetails?.modulusLength ?? 0) : 256,
    // The last 32 octets of an Ed25519 SubjectPublicKeyInfo are the key itself (RFC 8410 §4).
    publicKey: (algorithm === 'rsa' ? spki : spki.subarray(-32)).toString('base64'),
    fingerprint: fingerprintOf(key),
  });
}

/** As `KeyDescription.fingerprint`, of the key in a record; undefined where it holds none that can be read. */
export function recordFingerprint(record: string): string | undefined {
  const read = parseKeyRecord(record);
  const key = read.ok ? keyOf(read.value) : undefined;
  return key?.ok === true ? fingerprintOf(key.value.key) : undefined;
}

/** As `KeyDescription.fingerprint`, of a private key in any form that a signer reads; undefined where it is none. */
export function privateFingerprint(content: Uint8Array): string | undefined {
  const usual = rsaPublicOf(Buffer.from(content.buffer, content.byteOffset, content.byteLength));
  if (usual !== undefined) return createHash('sha256').update(usual).digest('hex');
  const key = privateKeyIn(content);
  return key === undefined ? undefined : fingerprintOf(key);
}

/** A private key in any form that a signer reads, described; undefined where it is none that DKIM can use. */
export function describeContent(content: Uint8Array): KeyDescription | undefined {
  // To load the key takes ten times as long, and a host may have thousands.
  const usual = rsaKeyOf(Buffer.from(content.buffer, content.byteOffset, content.byteLength));
  if (usual !== undefined) {
    const {spki, bits} = usual;
    const fingerprint = createHash('sha256').update(spki).digest('hex');
    return {algorithm: 'rsa', bits, publicKey: spki.toString('base64'), fingerprint};
  }
  const key = privateKeyIn(content);
  const described = key === undefined ? undefined : describeKey(key);
  return described?.ok === true ? described.value : undefined;
}

/**
 * PEM; DER as PKCS#8 or PKCS#1; either without its armor in base64; Ed25519 as its seed, or seed and public key, in base64,
 * or as those 64 octets. Undefined where it is none of them, or needs a passphrase.
 */
function privateKeyIn(content: Uint8Array): KeyObject | undefined {
  const octets = Buffer.from(content);
  if (octets.includes('-----BEGIN')) return keyOfForm({key: octets, format: 'pem'});
  const text = octets.toString('latin1').replaceAll(/\s+/g, '');
  const bare = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : octets;
  const isSeed = bare.length === 64 || (bare !== octets && bare.length === 32);
  const der = isSeed ? Buffer.concat([ED25519_PKCS8, bare.subarray(0, 32)]) : bare;
  return (
    keyOfForm({key: der, format: 'der', type: 'pkcs8'}) ?? keyOfForm({key: der, format: 'der', type: 'pkcs1'})
  );
}

/** What stands before the seed (RFC 8410 §7). */
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');

function keyOfForm(form: Parameters<typeof createPrivateKey>[0]): KeyObject | undefined {
  try {
    return createPrivateKey(form);
  } catch {
    return undefined;
  }
}

const fingerprintOf = (key: KeyObject): string =>
  createHash('sha256')
    .update((key.type === 'public' ? key : createPublicKey(key)).export({type: 'spki', format: 'der'}))
    .digest('hex');
