/** Whether there is a key in a file for rspamd: the forms that it takes (daemons/rspamd.md#keys). */
import {createPrivateKey} from 'node:crypto';
import type {KeyMaterial} from '../key-look.ts';

const ED25519: KeyMaterial = {algorithm: 'ed25519', bits: 256};

/**
 * RSA as PEM that begins with the first octet, as DER, and as base64 of DER; Ed25519 as the seed, or seed and public key,
 * in base64, and as those 64 octets. Ed25519 as PEM is none: rspamd signs nothing with it.
 */
export function keyMaterial(content: Uint8Array): KeyMaterial | undefined {
  const octets = Buffer.from(content);
  const text = octets.toString('latin1');
  if (text.startsWith('-----')) return rsa({key: octets, format: 'pem'});
  const bare = text.replaceAll(/\s+/g, '');
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(bare)) {
    const der = Buffer.from(bare, 'base64');
    return der.length === 32 || der.length === 64 ? ED25519 : ofDer(der);
  }
  return octets.length === 64 ? ED25519 : ofDer(octets);
}

const ofDer = (key: Buffer): KeyMaterial | undefined =>
  rsa({key, format: 'der', type: 'pkcs8'}) ?? rsa({key, format: 'der', type: 'pkcs1'});

function rsa(form: Parameters<typeof createPrivateKey>[0]): KeyMaterial | undefined {
  try {
    const key = createPrivateKey(form);
    const bits = key.asymmetricKeyDetails?.modulusLength;
    return key.asymmetricKeyType === 'rsa' && bits !== undefined ? {algorithm: 'rsa', bits} : undefined;
  } catch {
    return undefined;
  }
}
