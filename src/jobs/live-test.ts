/**
 * Proves on the live host that mail is signed: the signer on its socket, the way from the mail server to the socket, and
 * a real message by sendmail(1) and by SMTP that never leaves the host.
 */
import type {KeyLookup} from '../dkim/index.ts';
import {HostError} from '../domain/errors.ts';
import type {DomainSelector} from '../domain/names.ts';
import {type AbsolutePath, parentOf} from '../domain/paths.ts';
import {faultOf, toFinding} from '../proof/fault.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf, skipped} from '../proof/finding.ts';
import {journalLines} from '../proof/journal.ts';
import {composeProof, proofToken} from '../proof/message.ts';
import {endpointText, probeSigning, type SenderKey, senderOf} from '../proof/milter-probe.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import {judgeSignatures} from '../proof/signature.ts';
import type {HostFacts, MtaFacts} from '../services/facts.ts';
import {rightsText} from '../services/key-access.ts';
import type {Caught, Mta, Submission} from '../services/mta.ts';
import {hintsFor, mtaOf, SIGNER} from '../services/registry.ts';
import {type Awaited, unlessStopped, watchful} from '../services/stopped.ts';
import {rivals} from '../services/switch-over.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';

export type LiveTestPorts = Pick<Ports, 'files' | 'commands' | 'sockets' | 'clock' | 'random' | 'users'>;

export interface LiveTestInput {
  /** Taken before the change is good enough: what may have changed since is read again. */
  readonly facts: HostFacts;
  /** Where the mail server reaches the signer, in paths of the host (not of a chroot). */
  readonly endpoint: SocketEndpoint;
  readonly domains: readonly SenderKey[];
  readonly lookup: KeyLookup;
  /** After a change: whether every sender keeps its signature; undefined where nothing was signed before. */
  readonly kept?: () => Promise<Check | undefined>;
  /** Default 127.0.0.1 port 25. */
  readonly smtp?: SocketEndpoint;
}

/** The signer is asked about so many domains, the mail server about so many: its way to the signer is the same for all. */
export const PROBED = 20;
const MAILED = 3;

const CHECKS = {
  milter: {id: 'live.milter', title: 'The signer signs on its socket'},
  access: {id: 'live.socket-access', title: 'may use the socket of the signer'},
  sendmail: {id: 'live.sendmail', title: 'A message of sendmail is signed'},
  smtp: {id: 'live.smtp', title: 'A message by SMTP is signed'},
} as const;

/**
 * Runs the checks in order: `live.milter`, `live.kept` (only after a change, where something was signed before),
 * `live.socket-access`, `live.sendmail`, `live.smtp`; `onCheck` hears each as it is known. After a failure of the first
 * three no message is sent. Every test message is removed again;
 * rejects only with the reason of an abort, after that.
 */
export async function liveTest(
  ports: LiveTestPorts,
  input: LiveTestInput,
  onCheck: (check: Check) => void = () => undefined,
  signal?: AbortSignal,
): Promise<ProofReport> {
  const checks: Check[] = [];
  const tell = (check: Check): void => {
    checks.push(check);
    onCheck(check);
  };
  const stop = signal === undefined ? {} : {signal};
  // Not for mail: a mail server may take its time while the signer has nothing to do.
  tell(await milterCheck(watchful(ports, awaitedOf(input.facts)), input, stop));
  const kept = await input.kept?.();
  if (kept !== undefined) tell(kept);
  tell(await accessCheck(ports, input));
  const broken = checks.some(check => check.status === 'fail');
  for (const way of ['sendmail', 'smtp'] as const) {
    tell(broken ? notSent(way) : await mailCheck(ports, input, way, stop));
  }
  return reportOf(checks);
}

const notSent = (way: Submission): Check =>
  checkFrom(CHECKS[way].id, CHECKS[way].title, skipped('not sent', 'An earlier check failed.'));

interface Stop {
  readonly signal?: AbortSignal;
}

async function milterCheck(ports: LiveTestPorts, input: LiveTestInput, stop: Stop): Promise<Check> {
  const hints = hintsFor(mtaOf(input.facts));
  const findings: {domain: DomainSelector['domain']; finding: Finding}[] = [];
  for (const each of sampleOf(input.domains, PROBED, ports.random)) {
    const since = ports.clock.now();
    const target = {...each, endpoint: input.endpoint, lookup: input.lookup, ...stop};
    const finding = toFinding(await probeSigning(ports, target, proofToken(ports.random)), hints, target);
    const first = finding.status === 'fail' && findings.every(told => told.finding.status !== 'fail');
    const logged = first ? await journalLines(ports, SIGNER.words.logTag, since) : [];
    const evidence = [finding.evidence, ...logged].join('; ');
    findings.push({domain: senderOf(each), finding: {...finding, evidence}});
  }
  return checkFromAll(CHECKS.milter.id, CHECKS.milter.title, findings, input.domains.length);
}

async function accessCheck(ports: LiveTestPorts, input: LiveTestInput): Promise<Check> {
  const mta = mtaOf(input.facts);
  const {id, title} = CHECKS.access;
  const program = mta?.words.program ?? 'The mail server';
  return checkFrom(id, `${program} ${title}`, await socketAccess(ports, input, mta));
}

/** As the account that connects: every directory on the way must be searchable, the socket writable. */
async function socketAccess(
  ports: LiveTestPorts,
  {endpoint, domains: [first]}: LiveTestInput,
  mta: Mta | undefined,
): Promise<Finding> {
  if (endpoint.kind === 'tcp') return skipped(endpointText(endpoint), 'A TCP socket has no permissions.');
  if (mta === undefined) return skipped(endpointText(endpoint), NO_MTA);
  if (first === undefined) return skipped('no domain', 'There is nothing to look at.');
  const {user} = mta.words;
  const {path} = endpoint;
  const {status, ended} = await ports.commands.run(['runuser', '-u', user, '--', 'test', '-w', path]);
  if (ended === 'missing') return skipped('no such program: runuser', 'It cannot be looked at.');
  const seen = `directory ${await described(ports, parentOf(path))}, socket ${await described(ports, path)}`;
  if (status === 0) return passed(`user ${user} may write to ${path} (${seen})`);
  const fault = faultOf('socket.no-access', `user ${user} may not use ${path} (${seen})`);
  return toFinding(fault, hintsFor(mta), {...first, endpoint});
}

const NO_MTA = 'There is no mail server to ask.';

async function described(ports: LiveTestPorts, path: AbsolutePath): Promise<string> {
  const stat = await ports.files.stat(path);
  return stat === undefined ? 'missing' : await rightsText(ports, stat);
}

async function mailCheck(
  ports: LiveTestPorts,
  input: LiveTestInput,
  way: Submission,
  stop: Stop,
): Promise<Check> {
  const {id, title} = CHECKS[way];
  const mta = mtaOf(input.facts);
  const {mta: found} = input.facts;
  if (mta === undefined || found === undefined) {
    return checkFrom(id, title, skipped('no mail server', NO_MTA));
  }
  const findings: {domain: DomainSelector['domain']; finding: Finding}[] = [];
  for (const each of sampleOf(input.domains, MAILED, ports.random)) {
    findings.push({
      domain: senderOf(each),
      finding: await proveMail(ports, input, {mta, found, way, key: each}, stop),
    });
  }
  return checkFromAll(id, title, findings, input.domains.length);
}

interface Ask {
  readonly mta: Mta;
  readonly found: MtaFacts;
  readonly way: Submission;
  readonly key: SenderKey;
}

/** Whether exactly one good signature of the expected domain and selector is on a message of this way. */
async function proveMail(
  ports: LiveTestPorts,
  {facts, endpoint, lookup, smtp = SMTP}: LiveTestInput,
  {mta, found, way, key}: Ask,
  {signal}: Stop,
): Promise<Finding> {
  const mail = composeProof(proofToken(ports.random), senderOf(key), ports.clock.now());
  const proving = (own: AbortSignal): Promise<Caught> =>
    mta.prove(ports, found, {mail, way, smtp, signer: SIGNER.words}, own);
  const caught = await unlessStopped(ports, awaitedOf(facts), proving, signal);
  if (caught instanceof HostError) return failed('not signed', caught.message, caught.hint);
  const others = rivals(facts);
  const judged =
    caught.ended === 'caught'
      ? ((await judgeSignatures(caught.message, {...key, lookup, now: ports.clock.now(), others})) ??
        (await caught.unsigned()))
      : caught.finding;
  const finding = toFinding(judged, hintsFor(mta), {...key, endpoint, others});
  return caught.left === undefined || finding.status === 'fail'
    ? finding
    : {...finding, status: 'warn', ...caught.left};
}

const awaitedOf = ({signer}: HostFacts): Awaited | undefined =>
  signer === undefined ? undefined : {unit: signer.unit, logTag: SIGNER.words.logTag};

const SMTP = {kind: 'tcp', host: '127.0.0.1', port: 25} as const;
