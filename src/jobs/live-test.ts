/**
 * Proves on the live host that mail is signed: the signer on its socket, the way from Postfix to the socket, and a
 * real message by sendmail(1) and by SMTP that never leaves the host.
 */
import type {KeyLookup} from '../dkim/index.ts';
import {command} from '../domain/command.ts';
import type {DomainSelector} from '../domain/names.ts';
import {parentOf} from '../domain/paths.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf, skipped} from '../proof/finding.ts';
import {journalLines} from '../proof/journal.ts';
import {keptCheck, type Meant, type SignedBefore} from '../proof/kept.ts';
import {proofToken} from '../proof/message.ts';
import {endpointText, probeSigning} from '../proof/milter-probe.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import type {HostFacts} from '../services/facts.ts';
import {type MailTarget, testMail} from '../services/postfix/prove/mail-test.ts';
import type {Way} from '../services/postfix/prove/route.ts';
import {rivals} from '../services/switch-over.ts';
import type {FileStat, Ports, SocketEndpoint} from '../system/ports.ts';

export type LiveTestPorts = Pick<Ports, 'files' | 'commands' | 'sockets' | 'clock' | 'random' | 'users'>;

export interface LiveTestInput {
  /** Taken before the change is good enough: what may have changed since is read again. */
  readonly facts: HostFacts;
  /** Where Postfix reaches the signer, in paths of the host (not of Postfix's chroot). */
  readonly endpoint: SocketEndpoint;
  readonly domains: readonly DomainSelector[];
  readonly lookup: KeyLookup;
  /** What was signed before a change, and what the change is meant to do: nobody else may lose a signature. */
  readonly kept?: {readonly before: SignedBefore; readonly meant: readonly Meant[]};
  /** Default 127.0.0.1 port 25. */
  readonly smtp?: SocketEndpoint;
}

/** The signer is asked about so many domains, Postfix about so many: its way to the signer is the same for all. */
const PROBED = 20;
const MAILED = 3;

const CHECKS = {
  milter: {id: 'live.milter', title: 'The signer signs on its socket'},
  access: {id: 'live.socket-access', title: 'Postfix may use the socket of the signer'},
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
  tell(await milterCheck(ports, input, stop));
  const kept =
    input.kept === undefined
      ? undefined
      : await keptCheck(
          ports,
          {...input.kept, endpoint: input.endpoint, otherSigners: input.facts.rivals},
          signal,
        );
  if (kept !== undefined) tell(kept);
  tell(checkFrom(CHECKS.access.id, CHECKS.access.title, await socketAccess(ports, input)));
  const broken = checks.some(check => check.status === 'fail');
  for (const way of ['sendmail', 'smtp'] as const) {
    tell(broken ? notSent(way) : await mailCheck(ports, input, way, stop));
  }
  return reportOf(checks);
}

const notSent = (way: Way): Check =>
  checkFrom(CHECKS[way].id, CHECKS[way].title, skipped('not sent', 'An earlier check failed.'));

interface Stop {
  readonly signal?: AbortSignal;
}

async function milterCheck(ports: LiveTestPorts, input: LiveTestInput, stop: Stop): Promise<Check> {
  const findings: {domain: DomainSelector['domain']; finding: Finding}[] = [];
  for (const each of sampleOf(input.domains, PROBED, ports.random)) {
    const since = ports.clock.now();
    const target = {...each, endpoint: input.endpoint, lookup: input.lookup, ...stop};
    const finding = await probeSigning(ports, target, proofToken(ports.random));
    const first = finding.status === 'fail' && findings.every(told => told.finding.status !== 'fail');
    const logged = first ? await journalLines(ports, 'opendkim', since) : [];
    const evidence = [finding.evidence, ...logged].join('; ');
    findings.push({domain: each.domain, finding: {...finding, evidence}});
  }
  return checkFromAll(CHECKS.milter.id, CHECKS.milter.title, findings, input.domains.length);
}

/** As user postfix, as Postfix connects: every directory on the way must be searchable, the socket writable. */
async function socketAccess(ports: LiveTestPorts, input: LiveTestInput): Promise<Finding> {
  const {endpoint} = input;
  if (endpoint.kind === 'tcp') return skipped(endpointText(endpoint), 'A TCP socket has no permissions.');
  const user = input.facts.layout?.postfix.user ?? 'postfix';
  const {status, ended} = await ports.commands.run([
    'runuser',
    '-u',
    user,
    '--',
    'test',
    '-w',
    endpoint.path,
  ]);
  if (ended === 'missing') return skipped('no such program: runuser', 'It cannot be looked at.');
  const seen = await describe(ports, input);
  if (status === 0) return passed(`user ${user} may write to ${endpoint.path} (${seen})`);
  return failed(
    `user ${user} may not use ${endpoint.path} (${seen})`,
    'The directory or the socket does not let the group of Postfix in.',
    `Set UMask 007 in opendkim.conf, then: ${command('chown', `opendkim:${user}`, parentOf(endpoint.path))} && ${command('chmod', '2750', parentOf(endpoint.path))} && systemctl restart opendkim`,
  );
}

/** `opendkim:postfix 2750 / opendkim:postfix 0770`: directory and socket. */
async function describe(ports: LiveTestPorts, input: LiveTestInput): Promise<string> {
  if (input.endpoint.kind === 'tcp') return '';
  const text = async (stat: FileStat | undefined): Promise<string> => {
    if (stat === undefined) return 'missing';
    const user = (await ports.users.userById(stat.uid))?.name ?? stat.uid;
    const group = (await ports.users.groupById(stat.gid))?.name ?? stat.gid;
    return `${user}:${group} ${stat.mode.toString(8).padStart(4, '0')}`;
  };
  const {path} = input.endpoint;
  return `directory ${await text(await ports.files.stat(parentOf(path)))}, socket ${await text(await ports.files.stat(path))}`;
}

async function mailCheck(ports: LiveTestPorts, input: LiveTestInput, way: Way, stop: Stop): Promise<Check> {
  const {id, title} = CHECKS[way];
  const {mta: postfix} = input.facts;
  if (postfix === undefined)
    return checkFrom(id, title, skipped('no Postfix', 'There is no Postfix to ask.'));
  const findings: {domain: DomainSelector['domain']; finding: Finding}[] = [];
  for (const each of sampleOf(input.domains, MAILED, ports.random)) {
    const target: MailTarget = {
      ...each,
      way,
      lookup: input.lookup,
      configDirectory: postfix.configDirectory,
      others: rivals(input.facts),
      smtp: input.smtp ?? {kind: 'tcp', host: '127.0.0.1', port: 25},
      ...stop,
    };
    findings.push({domain: each.domain, finding: await testMail(ports, target)});
  }
  return checkFromAll(id, title, findings, input.domains.length);
}
