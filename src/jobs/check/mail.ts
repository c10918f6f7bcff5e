/** Whether mail is signed: one picture of the host, judged, and its keys held against DNS and the running signer. */

import {createKeyLookup} from '../../dns/key-lookup.ts';
import {checkActiveKeys} from '../../doctor/keys.ts';
import {mailChecks} from '../../doctor/mail.ts';
import {type DomainName, type DomainSelector, parseDomain, parseSelector} from '../../domain/names.ts';
import {listed} from '../../domain/text.ts';
import {
  type HostPicture,
  lookAtHostPicture,
  recordKey,
  type SenderVerdict,
  type SignatureMade,
  signersInUse,
} from '../../host/index.ts';
import {askSigner} from '../../proof/ask.ts';
import {toFinding} from '../../proof/fault.ts';
import {checkFromAll, type Finding} from '../../proof/finding.ts';
import {probeSigning} from '../../proof/milter-probe.ts';
import type {Check} from '../../proof/proof.ts';
import {sampleOf} from '../../proof/sample.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {HostLook} from '../../services/look.ts';
import {hintsFor, mtaOf, SIGNER} from '../../services/registry.ts';
import {watchful} from '../../services/stopped.ts';
import type {DnsServer, Ports, SocketEndpoint} from '../../system/ports.ts';
import {recordChecks} from './records.ts';

export interface MailCheckOptions {
  /** Every key that waxseal knows. */
  readonly known: readonly KeyEntry[];
  /** Undefined: everything that the host signs. */
  readonly wanted: readonly DomainName[] | undefined;
  readonly resolvers: readonly DnsServer[] | undefined;
  readonly signal: AbortSignal;
}

export interface MailChecked {
  readonly checks: readonly Check[];
  /** Domains that are signed, d=, each once. */
  readonly signed: readonly DomainName[];
  readonly picture: HostPicture;
}

/** The signer is asked about so many domains. */
const PROBED = 20;

/** Looks and judges. Sends no message; the signer hears only of messages that the picture says it signs. */
export async function checkMail(
  ports: Ports,
  host: HostLook,
  options: MailCheckOptions,
): Promise<MailChecked> {
  const {known, wanted, signal} = options;
  const picture = await lookAtHostPicture(ports, host, {reach: true, signal});
  const {checks, verdicts} = mailChecks(picture, wanted);
  const made = signaturesOf(verdicts);
  const keys = known.filter(({domain}) => wanted === undefined || wanted.includes(domain));
  const records = await recordChecks(ports, picture.keys, {own: keys, made}, options);
  return {
    checks: [
      ...checks,
      ...checkActiveKeys(keys, new Set(made.keys())),
      ...records,
      ...(verdicts.length === 0
        ? nothing(picture, wanted)
        : [
            ...(await probed(ports, host.facts, verdicts, options)),
            ...(await askedToo(ports, verdicts, options)),
          ]),
    ],
    signed: [...new Set([...made.values()].flatMap(({domain}) => asDomain(domain) ?? []))],
    picture,
  };
}

/** Each d= and s= once, in the order of the rows. */
function signaturesOf(verdicts: readonly SenderVerdict[]): ReadonlyMap<string, SignatureMade> {
  const made = new Map<string, SignatureMade>();
  for (const {signatures} of verdicts) {
    for (const {signature} of signatures) {
      const name = recordKey(signature.domain, signature.selector);
      if (!made.has(name)) made.set(name, signature);
    }
  }
  return made;
}

const asDomain = (text: string): DomainName | undefined => {
  const domain = parseDomain(text);
  return domain.ok ? domain.value : undefined;
};

const nothing = (picture: HostPicture, wanted: readonly DomainName[] | undefined): readonly Check[] =>
  wanted === undefined || signersInUse(picture).length === 0
    ? [SIGNS_NOTHING]
    : wanted.map(domain => ({
        id: 'signer.not-signed',
        title: 'Mail is signed',
        status: 'fail' as const,
        evidence: `${domain} is not signed on this host.`,
        cause: '',
        fix: `Set it up with: waxseal setup --domain ${domain}`,
      }));

const SIGNS_NOTHING: Check = {
  id: 'host.signs-nothing',
  title: 'Mail is signed',
  status: 'warn',
  evidence: 'no running signer has a row for any domain',
  cause: "DKIM isn't set up here.",
  fix: 'Begin with: waxseal setup',
};

/** Only what the picture says is signed on every way: a message that it cannot answer for could harm the signer. */
async function probed(
  ports: Ports,
  facts: HostFacts,
  verdicts: readonly SenderVerdict[],
  {resolvers, signal}: MailCheckOptions,
): Promise<readonly Check[]> {
  const lookup = createKeyLookup(ports, {resolvers});
  const hints = hintsFor(mtaOf(facts));
  const targets = verdicts.flatMap(({troubles, signatures, sender}): readonly Target[] => {
    const [only, ...more] = signatures;
    const domain = asDomain(sender.address.slice(sender.address.lastIndexOf('@') + 1));
    const endpoint = sender.signer.endpoints[0]?.endpoint;
    const selector = parseSelector(only?.signature.selector ?? '');
    const isPlain = sender.address.startsWith('postmaster@') && only?.signature.domain === domain;
    if (troubles.length > 0 || more.length > 0 || !isPlain) return [];
    return domain === undefined || endpoint === undefined || !selector.ok
      ? []
      : [{domain, selector: selector.value, endpoint, unit: sender.signer.unit}];
  });
  const once = [...new Map(targets.map(target => [target.domain, target])).values()];
  const findings: {readonly domain: DomainName; readonly finding: Finding}[] = [];
  for (const target of sampleOf(once, PROBED, ports.random)) {
    const watching = watchful(ports, {unit: target.unit, logTag: SIGNER.words.logTag});
    const found = await probeSigning(watching, {...target, lookup, signal});
    findings.push({domain: target.domain, finding: toFinding(found, hints, target)});
  }
  if (findings.length === 0) return [];
  return [checkFromAll('live.milter', 'The signer signs a message on its socket', findings, once.length)];
}

/**
 * Senders whose mail bears another domain or several signatures: the running signer must do what its files say, which it
 * does not where it was not told of a change.
 */
async function askedToo(
  ports: Pick<Ports, 'sockets' | 'clock' | 'random'>,
  verdicts: readonly SenderVerdict[],
  {signal}: MailCheckOptions,
): Promise<readonly Check[]> {
  const others = verdicts.filter(
    ({troubles, signatures, domain}) =>
      troubles.length === 0 &&
      signatures.length > 0 &&
      (signatures.length > 1 || signatures[0]?.signature.domain !== domain),
  );
  const wrong: string[] = [];
  for (const {sender, signatures} of sampleOf(others, PROBED, ports.random)) {
    const [place] = sender.signer.endpoints;
    if (place === undefined || !sender.signer.isRunning) continue;
    const {mark, isSilent} = await askSigner(ports, place.endpoint, {address: sender.address}, signal);
    // What does not answer, the other checks tell.
    if (isSilent) break;
    const wanted = new Set(signatures.map(({signature}) => recordKey(signature.domain, signature.selector)));
    const made = mark.state === 'signed' ? mark.by.map(by => recordKey(by.domain, by.selector)) : [];
    if (made.length === 0 || made.some(name => !wanted.has(name)))
      wrong.push(`${sender.address}: ${made.length === 0 ? 'not signed' : made.join(', ')}`);
  }
  if (wrong.length === 0) return [];
  return [
    {
      ...{id: 'live.milter', title: 'The signer signs a message on its socket', status: 'fail'},
      evidence: listed(wrong, 5),
      cause: 'Its files say that it signs this mail. It still runs with older ones.',
      fix: 'Reload the signer, then check again: sudo waxseal check',
    },
  ];
}

interface Target extends DomainSelector {
  readonly endpoint: SocketEndpoint;
  readonly unit: string;
}
