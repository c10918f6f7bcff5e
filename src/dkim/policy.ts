import {type Reason, reason} from './reason.ts';
import type {Signature} from './signature.ts';

/**
 * What a verifier accepts beyond the protocol. Nothing here is on by default: the protocol alone decides then. A
 * signature that verifies but breaks one of these gets `policy` (RFC 8601 §2.7.1) instead of `pass`.
 */
export interface VerifyPolicy {
  /** Refuse a signature whose l= leaves part of the body unsigned (RFC 6376 §8.2). */
  readonly wholeBody?: boolean;
  /** Fewest bits of an RSA modulus; below 1024 has no effect, as such keys never pass. */
  readonly minimumRsaBits?: number;
  /** Fields that must be signed where the message has them, any case: `subject`, `date`. */
  readonly requiredHeaders?: readonly string[];
  /** Every instance of the fields named in h= must be signed: a second From or Subject is refused (RFC 6376 §8.15). */
  readonly allInstances?: boolean;
  /** How far t= may lie in the future, in seconds. */
  readonly clockSkew?: number;
  /** Refuse keys that are published as a test (t=y). */
  readonly noTestKeys?: boolean;
}

/** What the policy looks at. */
export interface PolicyFacts {
  readonly signature: Signature;
  readonly keyBits: number;
  readonly testing: boolean;
  readonly unsignedOctets: number;
  /** Fields of each name in the message. */
  readonly instances: (name: string) => number;
  readonly now: number;
}

/** The first rule that is broken, or undefined. */
export function judge(policy: VerifyPolicy, facts: PolicyFacts): Reason | undefined {
  const {signature} = facts;
  if (policy.wholeBody === true && facts.unsignedOctets > 0) {
    return reason(
      'policy.body-length',
      `l= leaves ${facts.unsignedOctets} octets unsigned.`,
      'RFC 6376 §8.2',
      {
        tag: 'l',
      },
    );
  }
  if (
    policy.minimumRsaBits !== undefined &&
    signature.keyType === 'rsa' &&
    facts.keyBits < policy.minimumRsaBits
  ) {
    return reason('policy.key-size', `The key has ${facts.keyBits} bits.`, 'RFC 8301 §3.2', {tag: 'p'});
  }
  const signed = (name: string): number =>
    signature.signedHeaders.reduce((count, header) => count + (header === name ? 1 : 0), 0);
  for (const header of policy.requiredHeaders ?? []) {
    const name = header.toLowerCase();
    if (facts.instances(name) > 0 && signed(name) === 0) {
      return reason('policy.header-unsigned', `The field ${name} is not signed.`, 'RFC 6376 §5.4', {
        header: name,
      });
    }
  }
  if (policy.allInstances === true) {
    const short = signature.signedHeaders.find(name => signed(name) < facts.instances(name));
    if (short !== undefined) {
      return reason('policy.header-added', `Not every ${short} field is signed.`, 'RFC 6376 §8.15', {
        header: short,
      });
    }
  }
  if (policy.clockSkew !== undefined && (signature.timestamp ?? 0) > facts.now + policy.clockSkew) {
    return reason('policy.future', 't= lies in the future.', 'RFC 6376 §3.5', {tag: 't'});
  }
  if (policy.noTestKeys === true && facts.testing) {
    return reason('policy.test-key', 'The key is published as a test (t=y).', 'RFC 6376 §3.6.1', {tag: 't'});
  }
  return undefined;
}
