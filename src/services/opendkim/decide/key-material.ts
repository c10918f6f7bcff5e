/** Whether there is a key in a file or a row for OpenDKIM: what OpenSSL reads of it (dkim_privkey_load). */
import {createPrivateKey, type KeyObject} from 'node:crypto';
import type {KeyFact} from '../../key-fact.ts';
import type {KeyMaterial} from '../../key-look.ts';

/** No more of a file is read (MAXBUFRSZ). */
const MOST_OCTETS = 65_536;

/**
 * The key in a file or in the table itself. PEM must begin with the first octet; base64 of DER begins with `MII`; all
 * else is DER (dkim_sign, dkim_privkey_load).
 */
export function keyMaterial(content: Uint8Array, fact?: KeyFact): KeyMaterial | undefined {
  const octets = Buffer.from(content.subarray(0, MOST_OCTETS));
  const start = octets.toString('latin1', 0, 5);
  const der = start.startsWith('MII') ? Buffer.from(octets.toString('latin1'), 'base64') : octets;
  if (start === '-----' && fact?.known === true && fact.algorithm === 'rsa')
    return {algorithm: fact.algorithm, bits: Math.ceil(fact.bits / 8) * 8};
  const forms: readonly Parameters<typeof createPrivateKey>[0][] =
    start === '-----'
      ? [{key: octets, format: 'pem'}]
      : [
          {key: der, format: 'der', type: 'pkcs8'},
          {key: der, format: 'der', type: 'pkcs1'},
        ];
  for (const form of forms) {
    try {
      return describe(createPrivateKey(form));
    } catch {
      // Another form, or none at all.
    }
  }
  return undefined;
}

function describe(key: KeyObject): KeyMaterial {
  const type = key.asymmetricKeyType;
  const algorithm = type === 'rsa' || type === 'ed25519' ? type : 'other';
  return {algorithm, bits: Math.ceil((key.asymmetricKeyDetails?.modulusLength ?? 0) / 8) * 8};
}
