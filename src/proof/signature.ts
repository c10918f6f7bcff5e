/** Judges a message by its signatures: one of ours, good, and others only of signers that are known to be at work. */
import {type KeyLookup, type SignatureVerdict, verifyMessage} from '../dkim/index.ts';
import {type DomainSelector, keyRecordName} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {type Fault, faultOf, namesOf} from './fault.ts';
import {type Finding, failed, passed, warned} from './finding.ts';

export interface Expected extends DomainSelector {
  readonly lookup: KeyLookup;
  /** The clock's time. */
  readonly now: Date;
  /** Programs beside the signer that sign here, or may: what they add is no fault. */
  readonly others?: readonly {readonly program: string}[];
}

/** Verifies `message` (CRLF lines) against the DNS. An unsigned message is left to the caller: undefined. */
export async function judgeSignatures(
  message: Uint8Array,
  expected: Expected,
): Promise<Finding | Fault | undefined> {
  const verdicts = await verifyMessage(message, {
    lookup: expected.lookup,
    now: Math.floor(expected.now.getTime() / 1000),
    diagnose: true,
  });
  const [first, ...others] = verdicts;
  if (first === undefined) return undefined;
  if (others.length > 0) return among(verdicts, expected);
  return misplaced(first, expected) ?? (first.result === 'pass' ? good(first) : bad(first, expected));
}

const shown = (verdict: SignatureVerdict): string =>
  `d=${visible(verdict.domain ?? '?')} s=${visible(verdict.selector ?? '?')}`;

const described = (verdict: SignatureVerdict): string =>
  `${shown(verdict)}, ${verdict.algorithm ?? ''} with ${verdict.keyBits ?? 0} bits, verified against DNS` +
  (verdict.testing ? ' (the record says t=y: only testing)' : '');

const good = (verdict: SignatureVerdict): Finding => passed(`one signature, ${described(verdict)}`);

/** Ours among those of known others; anything else that is signed more than once is a fault. */
function among(verdicts: readonly SignatureVerdict[], expected: Expected): Finding | Fault {
  const isOurs = ({domain, selector}: SignatureVerdict): boolean =>
    domain === expected.domain && selector === expected.selector;
  const [own, ...again] = verdicts.filter(isOurs);
  if (own === undefined || again.length > 0 || (expected.others ?? []).length === 0) return several(verdicts);
  return own.result === 'pass'
    ? beside(
        own,
        verdicts.filter(verdict => !isOurs(verdict)),
        expected,
      )
    : bad(own, expected);
}

/** Two signers, as the administrator left it: each signature is judged by itself (RFC 6376 §4.2, §6.1). */
function beside(own: SignatureVerdict, others: readonly SignatureVerdict[], expected: Expected): Finding {
  const names = namesOf(expected);
  const words = others.map(other =>
    other.result === 'pass'
      ? `${shown(other)}, which verifies, too${other.domain === own.domain ? ' (for the same domain)' : ''}`
      : `${shown(other)}: ${other.result}, ${visible(other.reason.message)}`,
  );
  const evidence = `${others.length + 1} signatures: ours, ${described(own)}; beside it ${words.join('; ')} (${names})`;
  if (others.every(({result}) => result === 'pass')) {
    return passed(
      `${evidence}; receivers check each by itself, and one good one of the domain in From is enough`,
    );
  }
  return warned(
    evidence,
    `A signature that ${names} made does not verify. Receivers pass it by and take ours, but it shows up in reports.`,
    `Publish the record of its key, or have it switched off: waxseal setup --domain ${expected.domain} --other-signer switch`,
  );
}

const several = (verdicts: readonly SignatureVerdict[]): Fault =>
  faultOf(
    'signature.several',
    `${verdicts.length} signatures: ${verdicts.map(verdict => `${shown(verdict)} ${verdict.result}`).join(', ')}`,
  );

/** A signature, good or not, that another rule made. */
function misplaced(verdict: SignatureVerdict, expected: Expected): Fault | undefined {
  if (verdict.domain === undefined || verdict.selector === undefined) return undefined;
  const isOurs = verdict.domain === expected.domain && verdict.selector === expected.selector;
  if (!isOurs && (expected.others ?? []).length > 0) {
    return faultOf(
      'signature.other-signer',
      `signed with ${shown(verdict)} only, not with s=${expected.selector}`,
    );
  }
  if (verdict.domain !== expected.domain) {
    return faultOf('signature.other-domain', `signed with ${shown(verdict)} instead of d=${expected.domain}`);
  }
  if (verdict.selector !== expected.selector) {
    return faultOf(
      'signature.other-selector',
      `signed with s=${visible(verdict.selector)} instead of s=${expected.selector}`,
    );
  }
  return undefined;
}

function bad(verdict: SignatureVerdict, expected: Expected): Finding | Fault {
  const name = keyRecordName(expected.selector, expected.domain);
  const evidence = `${shown(verdict)}: ${verdict.result}, ${visible(verdict.reason.message)}`;
  const {id, change} = verdict.reason;
  if (id === 'key.temporary') {
    return failed(evidence, 'The DNS did not answer.', `dig TXT ${name}`);
  }
  if (id === 'key.absent') {
    return failed(
      evidence,
      `There is no record at ${name}.`,
      `Publish it: waxseal record --domain ${expected.domain}`,
    );
  }
  if (id.startsWith('key.')) {
    return failed(
      evidence,
      `The record at ${name} cannot be used.`,
      `Publish it again as shown: waxseal record --domain ${expected.domain}`,
    );
  }
  if (id.startsWith('body.')) {
    return failed(
      evidence,
      'The body was changed after it was signed.',
      'Let the signer be the last milter that changes messages; look for content filters and disclaimers.',
    );
  }
  if (id === 'signature.mismatch' && change === 'key') return faultOf('signature.other-key', evidence);
  if (id === 'signature.mismatch' && change !== undefined) {
    return failed(
      evidence,
      'A signed field was changed after the message was signed.',
      'Let the signer be the last milter that changes messages.',
    );
  }
  return faultOf(id === 'signature.mismatch' ? 'signature.mismatch' : 'signature.invalid', evidence);
}
