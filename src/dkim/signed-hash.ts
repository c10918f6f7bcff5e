import {constants, publicDecrypt} from 'node:crypto';
import type {UsableKey} from './key-check.ts';
import type {Signature} from './signature.ts';

/** What an RSA signature says of itself when it is opened with the public key (RFC 8017 §8.2.2, §9.2). */
export type SignedHash =
  /** The SHA-256 of what was signed. */
  | {readonly kind: 'hash'; readonly hash: Buffer}
  /** Made with this key, but over a hash of another kind. */
  | {readonly kind: 'other-hash'}
  /** Not made with this key, or not as it was made. */
  | {readonly kind: 'other-key'}
  /** An Ed25519 signature does not show what it signs. */
  | {readonly kind: 'unknown'};

/**
 * Takes the hash out of a signature that does not verify: so it is known whether the key or the header is another one,
 * and a guess at the header costs a hash instead of a public-key operation. Never part of a verdict.
 */
export function signedHash(keys: readonly UsableKey[], signature: Signature): SignedHash {
  if (signature.keyType !== 'rsa') return UNKNOWN;
  for (const {cached} of keys) {
    if (!cached.key.ok) continue;
    try {
      const opened = publicDecrypt(
        {key: cached.key.value.key, padding: constants.RSA_PKCS1_PADDING},
        signature.signature,
      );
      const hash = opened.subarray(DIGEST_INFO.length);
      return hash.length === 32 && opened.subarray(0, DIGEST_INFO.length).equals(DIGEST_INFO)
        ? {kind: 'hash', hash}
        : {kind: 'other-hash'};
    } catch {
      // The padding is only right where signature and key belong together.
    }
  }
  return {kind: 'other-key'};
}

const UNKNOWN: SignedHash = {kind: 'unknown'};

// DigestInfo of SHA-256 up to the hash itself (RFC 8017 §9.2, note 1).
const DIGEST_INFO = Buffer.from('3031300d060960864801650304020105000420', 'hex');
