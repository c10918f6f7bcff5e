/** Judges a message by its signatures: one of ours, good, and others only of signers that are known to be at work. */
import {type KeyLookup, type SignatureVerdict, verifyMessage} from '../dkim/index.ts';
import {type DomainSelector, keyRecordName} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {type Finding, failed, passed, warned} from './finding.ts';

export interface Expected extends DomainSelector {
  readonly lookup: KeyLookup;
  /** The clock's time. */
  readonly now: Date;
  /** Programs beside OpenDKIM that sign here, or may: what they add is no fault. */
  readonly others?: readonly {readonly name: string}[];
}

/** Verifies `message` (CRLF lines) against the DNS. An unsigned message is left to the caller: undefined. */
export async function judgeSignatures(message: Uint8Array, expected: Expected): Promise<Finding | undefined> {
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
function among(verdicts: readonly SignatureVerdict[], expected: Expected): Finding {
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

const namesOf = ({others = []}: Expected): string => others.map(({name}) => name).join(', ');

const several = (verdicts: readonly SignatureVerdict[]): Finding =>
  failed(
    `${verdicts.length} signatures: ${verdicts.map(verdict => `${shown(verdict)} ${verdict.result}`).join(', ')}`,
    'More than one signer is at work, or the message passes the same signer twice (content_filter).',
    'Let one of them sign: see smtpd_milters in main.cf and -o lines in master.cf; after a content filter use receive_override_options=no_milters.',
  );

/** A signature, good or not, that another row made. */
function misplaced(verdict: SignatureVerdict, expected: Expected): Finding | undefined {
  if (verdict.domain === undefined || verdict.selector === undefined) return undefined;
  const isOurs = verdict.domain === expected.domain && verdict.selector === expected.selector;
  if (!isOurs && (expected.others ?? []).length > 0) {
    return failed(
      `signed with ${shown(verdict)} only, not with s=${expected.selector}`,
      `Another signer (${namesOf(expected)}) has signed, or OpenDKIM by another row or key; the new key has not.`,
      'journalctl -t opendkim -n 20; compare smtpd_milters in main.cf with Socket in opendkim.conf.',
    );
  }
  if (verdict.domain !== expected.domain) {
    return failed(
      `signed with ${shown(verdict)} instead of d=${expected.domain}`,
      'Another row of the signing table matches first, or From was rewritten.',
      `Put the row of ${expected.domain} before more general ones in the signing table.`,
    );
  }
  if (verdict.selector !== expected.selector) {
    return failed(
      `signed with s=${visible(verdict.selector)} instead of s=${expected.selector}`,
      'The signer still uses another key: its tables name the other selector, or it has not read them again.',
      'systemctl restart opendkim, then look at the signing table and the key table.',
    );
  }
  return undefined;
}

function bad(verdict: SignatureVerdict, expected: Expected): Finding {
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
  if (id === 'signature.mismatch' && change === 'key') {
    return failed(
      evidence,
      `The private key that signs is not the one of the record at ${name}.`,
      'Compare the record with the key: opendkim-testkey -vvv.',
    );
  }
  if (id === 'signature.mismatch' && change !== undefined) {
    return failed(
      evidence,
      'A signed field was changed after the message was signed.',
      'Let the signer be the last milter that changes messages.',
    );
  }
  if (id === 'signature.mismatch') {
    return failed(
      evidence,
      `The private key that signs is not the one of the record at ${name}, or a signed field was changed afterwards.`,
      'Compare the record with the key: opendkim-testkey -vvv; let the signer be the last milter.',
    );
  }
  return failed(evidence, 'The signature is not valid.', 'journalctl -t opendkim -n 20');
}
