import {verify as cryptoVerify, hash} from 'node:crypto';
import type {CachedKey, KeyCache} from './key-cache.ts';
import {isSmallOrder} from './public-key.ts';
import {quoted, type Reason, reason} from './reason.ts';
import type {Signature} from './signature.ts';

/** A key that the signature may be verified with. */
export interface UsableKey {
  readonly ok: true;
  readonly cached: CachedKey;
  readonly bits: number;
  readonly testing: boolean;
}

/** A key record held against a signature. */
export type CheckedKey =
  | UsableKey
  | {
      readonly ok: false;
      readonly reason: Reason;
      readonly bits: number | undefined;
      readonly testing: boolean;
    };

/** Fewest bits of an RSA key that may pass (RFC 8301 §3.2). */
const MIN_RSA_BITS = 1024;

/** The checks of RFC 6376 §6.1.2 that need both the record and the signature. */
function checkKey(cached: CachedKey, signature: Signature): CheckedKey {
  const {record, key} = cached;
  const no = (id: string, message: string, section: string, tag: string, bits?: number): CheckedKey => ({
    ok: false,
    reason: reason(id, message, section, {tag}),
    bits,
    testing: record.testing,
  });
  if (record.services !== undefined && !record.services.includes('*') && !record.services.includes('email')) {
    return no('key.service', 's= of the key record does not name email.', 'RFC 6376 §3.6.1', 's');
  }
  if (record.hashes !== undefined && !record.hashes.includes('sha256')) {
    return no('key.hash', 'h= of the key record does not name sha256.', 'RFC 6376 §6.1.2', 'h');
  }
  if (!record.revoked && record.keyType !== signature.keyType) {
    return no(
      'key.type',
      `The key is for k=${quoted(record.keyType)}, the signature says a=${signature.algorithm}.`,
      'RFC 6376 §6.1.2',
      'k',
    );
  }
  // t=s: no subdomain in i= (RFC 6376 §3.6.1)
  if (record.noSubdomains && signature.identityDomain !== signature.domain) {
    return no('key.subdomain', 't=s of the key record allows no subdomain in i=.', 'RFC 6376 §3.6.1', 't');
  }
  if (!key.ok) return {ok: false, reason: key.reason, bits: undefined, testing: record.testing};
  const {bits} = key.value;
  if (key.value.type === 'rsa' && bits < MIN_RSA_BITS) {
    return no(
      'key.too-short',
      `The RSA key has ${bits} bits; 1024 are the least.`,
      'RFC 8301 §3.2',
      'p',
      bits,
    );
  }
  return {ok: true, cached, bits, testing: record.testing};
}

/** Whether the signature over the octets of {@link headerHashInput} fits the key. */
export function verifyWith(key: UsableKey, input: Buffer, signature: Signature): boolean {
  const {cached} = key;
  if (!cached.key.ok) return false;
  if (signature.keyType === 'rsa')
    return cryptoVerify('sha256', input, cached.key.value.key, signature.signature);
  if (isSmallOrder(cached.record.publicKey)) return false;
  // PureEdDSA over the SHA-256 of the header input (RFC 8463 §3).
  const digest = hash('sha256', input, 'buffer');
  return cryptoVerify(null, digest, cached.key.value.key, signature.signature);
}

/** Every TXT record that is a key record, checked against the signature; else what is wrong with each. */
export function checkKeys(
  records: readonly string[],
  signature: Signature,
  cache: KeyCache,
): readonly CheckedKey[] {
  // Several records are undefined (RFC 6376 §3.6.2.2): those that are none are skipped, the others tried in turn.
  const good: CheckedKey[] = [];
  const bad: CheckedKey[] = [];
  for (const text of records.length > MAX_RECORDS ? records.slice(0, MAX_RECORDS) : records) {
    const read = cache.read(text);
    if (read.ok) {
      if (good.push(checkKey(read.value, signature)) === MAX_KEYS) break;
    } else bad.push({ok: false, reason: read.reason, bits: undefined, testing: false});
  }
  return good.length > 0 ? good : bad;
}

// Records looked at for one signature, and keys among them that are tried. Two are a change under way; more are an
// accident or an attack: with numbers chosen for it, a public-key operation takes milliseconds.
const MAX_RECORDS = 8;
const MAX_KEYS = 3;
