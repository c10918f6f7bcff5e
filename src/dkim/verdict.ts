import type {DnsName} from '../domain/names.ts';
import type {Canonicalization} from './canonicalize-header.ts';
import type {Reason} from './reason.ts';

/** The results of RFC 8601 §2.7.1 that a signature can have; a message without signatures has no verdict at all. */
export type VerdictResult = 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror';

/** How much of the body a signature covers, in octets of the canonical body. */
export interface BodyCoverage {
  /** The whole canonical body. */
  readonly canonical: number;
  /** What is hashed. */
  readonly signed: number;
  /** What l= leaves out: anybody may have added it. */
  readonly unsigned: number;
  /** l=, where there is one. */
  readonly limit: number | undefined;
}

/** What went into the two hashes of a signature. */
export interface Explanation {
  /** The octets that b= signs. */
  readonly headerInput: Buffer;
  /** The start of the canonical body that bh= covers, as far as it was kept. */
  readonly bodyInput: Buffer;
  /** Octets that bh= covers. */
  readonly bodyInputLength: number;
  /** The hash computed here, base64: equal to bh= where the body is unchanged. */
  readonly bodyHash: string;
}

export interface VerdictBase {
  /** Place among the DKIM-Signature fields, from the top, from 0. */
  readonly index: number;
  /** d=: A-labels in lower case where the signature is well-formed, else as written. Untrusted text. */
  readonly domain: string | undefined;
  readonly selector: string | undefined;
  /** a= */
  readonly algorithm: string | undefined;
  /** i= decoded, or `@` and the domain. Untrusted text. */
  readonly identity: string | undefined;
  readonly reason: Reason;
  /** Things worth telling that did not decide: t= in the future, unsigned octets, a second From. */
  readonly notes: readonly Reason[];
  readonly canonicalization: Canonicalization | undefined;
  /** h= in its order, lower case. */
  readonly signedHeaders: readonly string[];
  readonly timestamp: number | undefined;
  readonly expiration: number | undefined;
  /** Owner name of the key record. */
  readonly keyName: DnsName | undefined;
  readonly body: BodyCoverage | undefined;
  readonly explanation: Explanation | undefined;
}

/** Verdict on one DKIM-Signature field. */
export type SignatureVerdict =
  | (VerdictBase & {
      readonly result: 'pass' | 'fail' | 'policy';
      /** Bits of the RSA modulus; 256 for Ed25519. */
      readonly keyBits: number;
      /** The key is published with t=y. */
      readonly testing: boolean;
    })
  | (VerdictBase & {
      readonly result: 'neutral' | 'temperror' | 'permerror';
      readonly keyBits: number | undefined;
      readonly testing: boolean;
    });

/** What a verdict says beyond what the signature says of itself. */
export type Outcome =
  | {
      readonly result: 'pass' | 'fail' | 'policy';
      readonly reason: Reason;
      readonly keyBits: number;
      readonly testing: boolean;
    }
  | {
      readonly result: 'neutral' | 'temperror' | 'permerror';
      readonly reason: Reason;
      readonly keyBits: number | undefined;
      readonly testing: boolean;
    };

/** An outcome that no key has a part in. */
export const withoutKey = (result: 'neutral' | 'temperror' | 'permerror', reason: Reason): Outcome => ({
  result,
  reason,
  keyBits: undefined,
  testing: false,
});
