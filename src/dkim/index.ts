/**
 * The DKIM engine: signing and verifying mail (RFC 6376 with its errata, RFC 8301, RFC 8463, RFC 8616), key records
 * and their faults. Octets in, text out: no DNS (a lookup function is passed in), no clock, no state between calls.
 */
export {ProblemsFound, UsageError} from '../domain/errors.ts';
export {type DnsName, type DomainName, parseDomain, parseSelector, type Selector} from '../domain/names.ts';
export type {Problem, Result} from '../domain/result.ts';
export {signBatch} from './batch.ts';
export type {Canonicalization, CanonicalizationName} from './canonicalize-header.ts';
export {createKeyCache, type KeyCache} from './key-cache.ts';
export {
  formatKeyRecord,
  isRevoked,
  type KeyRecord,
  type KeyRecordFields,
  keyOf,
  keyTagAt,
  parseKeyRecord,
  publicKeyOf,
} from './key-record.ts';
export {type LintFinding, type LintOptions, type LintSeverity, lintKeyRecord} from './lint.ts';
export type {LineEndings, MessageInput} from './octets.ts';
export type {VerifyPolicy} from './policy.ts';
export type {PublicKey} from './public-key.ts';
export type {BodyChangeKind, HeaderChangeKind, Reason} from './reason.ts';
export {
  createSigner,
  DEFAULT_HEADERS,
  type MessageSigner,
  type SignOptions,
  signMessage,
  signMessageSync,
} from './sign.ts';
export type {Algorithm} from './signature.ts';
export type {BodyCoverage, Explanation, SignatureVerdict, VerdictResult} from './verdict.ts';
export {
  createVerifier,
  type KeyLookup,
  type KeyLookupAnswer,
  type MessageVerifier,
  type VerifyOptions,
  verifyMessage,
} from './verify.ts';
