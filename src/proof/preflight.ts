/**
 * Proves a candidate configuration before anything live is touched: a second OpenDKIM with copies of the candidate's
 * files in a private directory signs a message over the milter protocol. `opendkim -n` alone proves nothing
 * (FACTS 0.1); this does.
 */
import type {KeyLookup} from '../dkim/index.ts';
import {ToolError} from '../domain/errors.ts';
import type {DomainName} from '../domain/names.ts';
import {type AbsolutePath, absolute, below, parentOf} from '../domain/paths.ts';
import type {Candidate} from '../services/candidate.ts';
import type {DomainSelector} from '../services/facts.ts';
import type {Argv, FileAttributes, Ports} from '../system/ports.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf, skipped} from './finding.ts';
import {journalLines, shownLine} from './journal.ts';
import {proofToken} from './message.ts';
import {probeSigning, queueIdOf} from './milter-probe.ts';
import type {Check, ProofReport} from './proof.ts';
import {sampleOf} from './sample.ts';
import {PREFLIGHT_NAME, type ThrowAway, throwAway} from './throw-away.ts';

export type PreflightPorts = Pick<Ports, 'files' | 'commands' | 'users' | 'clock' | 'random' | 'sockets'>;

export interface PreflightInput {
  readonly candidate: Candidate;
  /** `/var/lib/waxseal`: root's, mode 0711, so that the signer may pass through (RequireSafeKeys looks at it, too). */
  readonly stateDirectory: AbsolutePath;
  /** Account the signer runs as; its primary group is used. */
  readonly user: string;
  /** What must be signed, with the selector that must sign. More than 20 are sampled. */
  readonly domains: readonly DomainSelector[];
  readonly lookup: KeyLookup;
  readonly onCheck?: (check: Check) => void;
  readonly signal?: AbortSignal;
}

/** Domains that are asked for. */
const SAMPLE = 20;
const START_TIMEOUT_MS = 8000;
const CONNECT_TIMEOUT_MS = 2000;
const POLL_MS = 100;
/** A directory of an earlier run that is older than this is nobody's any more. */
const LEFTOVER_MS = 600_000;
const DIRECTORY_PREFIX = 'preflight-';
const ROOT = {uid: 0, gid: 0} as const;

const START = {id: 'preflight.start', title: 'The new configuration starts in a second, throw-away signer'};
const SIGNS = {id: 'preflight.signs', title: 'It signs a message that verifies against DNS'};

/**
 * Runs the candidate. Checks `preflight.start` and `preflight.signs`. The signer is ended and its directory removed
 * whatever happens; rejects only with the reason of an abort or with what the files port throws.
 */
export async function preflight(ports: PreflightPorts, input: PreflightInput): Promise<ProofReport> {
  const checks: Check[] = [];
  const tell = (check: Check): void => {
    checks.push(check);
    input.onCheck?.(check);
  };
  input.signal?.throwIfAborted();
  await clearLeftovers(ports, input.stateDirectory);
  const account = await ports.users.user(input.user);
  if (account === undefined) {
    tell(checkFrom(START.id, START.title, noAccount(input.user)));
    tell(checkFrom(SIGNS.id, SIGNS.title, notStarted));
    return reportOf(checks);
  }
  const directory = below(input.stateDirectory, `${DIRECTORY_PREFIX}${proofToken(ports.random)}`);
  const owner = {uid: account.uid, gid: account.gid};
  const since = ports.clock.now();
  const sample = sampleOf(input.domains, SAMPLE, ports.random);
  const plan = throwAway(
    input.candidate,
    directory,
    input.stateDirectory,
    new Set(sample.map(each => each.domain)),
  );
  try {
    // Root's, so that nobody can put another file in the place of one: OpenDKIM reads all but the keys as root.
    await ports.files.makeDirectory(directory, {...ROOT, mode: 0o711});
    const started = (await prepare(ports, plan, owner)) ?? (await start(ports, plan, since, input.signal));
    tell(checkFrom(START.id, START.title, started));
    tell(
      started.status === 'pass'
        ? await signs(ports, plan, input, sample, since)
        : checkFrom(SIGNS.id, SIGNS.title, notStarted),
    );
    input.signal?.throwIfAborted();
    return reportOf(checks);
  } finally {
    await end(ports, directory, plan.pidFile);
  }
}

const notStarted = skipped('not asked', 'The throw-away signer did not start.');

const noAccount = (user: string): Finding =>
  failed(
    `there is no user ${user}`,
    'OpenDKIM is not installed whole.',
    'apt-get install --reinstall opendkim',
  );

/** Writes the copies, keys last. A finding where a key cannot be read. */
async function prepare(
  ports: PreflightPorts,
  plan: ThrowAway,
  owner: {readonly uid: number; readonly gid: number},
): Promise<Finding | undefined> {
  // Everything 0600: a configuration may hold the password of a database. It is read before OpenDKIM leaves root.
  const attributes: FileAttributes = {...owner, mode: 0o600};
  for (const file of plan.files) {
    await ports.files.create(file.path, Buffer.from(file.text), {...ROOT, mode: 0o600});
  }
  await ports.files.makeDirectory(parentOf(plan.socket), {...owner, mode: 0o700});
  // Written by root or by the signer, as the version has it; being there, it can be no link to another file.
  await ports.files.create(plan.pidFile, new Uint8Array(0), attributes);
  for (const key of plan.keys) {
    const content = await ports.files.read(key.from);
    if (content === undefined) {
      return failed(
        `${key.from} is missing`,
        'The staged key is gone.',
        'Run waxseal again; it makes a new key.',
      );
    }
    await ports.files.create(key.to, content, attributes);
  }
  return undefined;
}

async function start(
  ports: PreflightPorts,
  plan: ThrowAway,
  since: Date,
  signal: AbortSignal | undefined,
): Promise<Finding> {
  const options = {timeoutMs: START_TIMEOUT_MS, ...(signal === undefined ? {} : {signal})};
  const argv: Argv = ['opendkim', '-x', plan.config, '-p', `local:${plan.socket}`, '-P', plan.pidFile];
  // -n names the line of a syntax error; the daemon itself tells it only to syslog.
  for (const each of [['opendkim', '-n', '-x', plan.config], argv] as readonly Argv[]) {
    const {status, stderr, ended} = await ports.commands.run(each, options);
    signal?.throwIfAborted();
    if (ended === 'missing') {
      return failed('no such program: opendkim', 'OpenDKIM is not installed.', 'apt-get install opendkim');
    }
    if (status !== 0) return refusedToStart(stderr, status, await lastWords(ports, since), plan);
  }
  const deadline = ports.clock.now().getTime() + START_TIMEOUT_MS;
  for (;;) {
    // Read before the look: a busy machine may let all of the time pass before the first one.
    const isLast = ports.clock.now().getTime() >= deadline;
    if (await listens(ports, plan.socket)) {
      return passed(`opendkim -x with the new configuration listens on its own socket`);
    }
    if (isLast) break;
    await ports.clock.sleep(POLL_MS, signal);
  }
  return refusedToStart('', undefined, await lastWords(ports, since), plan);
}

/** libmilter binds before it listens: for a moment the socket is there and refuses. Only a connection is an answer. */
async function listens(ports: PreflightPorts, socket: AbsolutePath): Promise<boolean> {
  try {
    (await ports.sockets.connect({kind: 'unix', path: socket}, CONNECT_TIMEOUT_MS)).destroy();
    return true;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return false;
  }
}

const lastWords = (ports: PreflightPorts, since: Date): Promise<readonly string[]> =>
  journalLines(ports, PREFLIGHT_NAME, since);

function refusedToStart(
  stderr: string,
  status: number | null | undefined,
  logged: readonly string[],
  plan: ThrowAway,
): Finding {
  const directory = plan.config.slice(0, plan.config.lastIndexOf('/') + 1);
  const said = [
    ...stderr
      .split('\n')
      .filter(line => line.trim() !== '')
      .slice(-3)
      .map(shownLine),
    ...logged,
  ]
    // The directory is gone when this is read: file names alone tell more.
    .map(line => line.replaceAll(directory, ''));
  const how =
    status === undefined ? 'nobody listens on its socket' : `opendkim ended with status ${status ?? 'none'}`;
  return failed(
    [how, ...said].join('; '),
    said.at(0) === undefined
      ? 'OpenDKIM does not start with the new configuration.'
      : `OpenDKIM does not start with the new configuration: ${said[0]}`,
    'Nothing was changed. Correct what is named in opendkim.conf or in the tables, then run waxseal again.',
  );
}

/** One probe a domain, one after the other: each is some milliseconds. */
async function signs(
  ports: PreflightPorts,
  plan: ThrowAway,
  input: PreflightInput,
  sample: readonly DomainSelector[],
  since: Date,
): Promise<Check> {
  const findings: {domain: DomainName; finding: Finding}[] = [];
  let firstFailure = true;
  for (const each of sample) {
    const token = proofToken(ports.random);
    const target = {
      ...each,
      endpoint: {kind: 'unix', path: plan.socket} as const,
      lookup: input.lookup,
      ...(input.signal === undefined ? {} : {signal: input.signal}),
    };
    const finding = await probeSigning(ports, target, token);
    // One failure with its reason is enough: the rest of the table fails alike, and each look takes a moment.
    const told = firstFailure ? await withJournal(ports, finding, since, token) : finding;
    if (finding.status === 'fail') firstFailure = false;
    findings.push({domain: each.domain, finding: told});
  }
  return checkFromAll(SIGNS.id, SIGNS.title, findings, input.domains.length);
}

/** A failure with what the signer logged about this message. */
async function withJournal(
  ports: PreflightPorts,
  finding: Finding,
  since: Date,
  token: string,
): Promise<Finding> {
  if (finding.status !== 'fail') return finding;
  // Key errors are logged by the name of the key, without the queue id: take all where nothing names the message.
  const about = await journalLines(ports, PREFLIGHT_NAME, since, queueIdOf(token));
  const lines = about.length > 0 ? about : await lastWords(ports, since);
  return lines.length === 0 ? finding : {...finding, evidence: `${finding.evidence}; ${lines.join('; ')}`};
}

/** Ends the signer and removes its directory. Never throws: it runs on every way out. */
async function end(ports: PreflightPorts, directory: AbsolutePath, pidFile: AbsolutePath): Promise<void> {
  await endProcess(ports, pidFile).catch(ignoreToolError);
  await removeTree(ports, directory).catch(ignoreToolError);
}

const ignoreToolError = (error: unknown): void => {
  if (!(error instanceof ToolError)) throw error;
};

async function endProcess(ports: PreflightPorts, pidFile: AbsolutePath): Promise<void> {
  const pid = await pidFrom(ports, pidFile);
  if (pid === undefined || !(await isOurs(ports, pid, parentOf(pidFile)))) return;
  // Not TERM: libmilter looks at it every five seconds only, and there is nothing that it would tidy up.
  const {status} = await ports.commands.run(['kill', '-KILL', pid]);
  if (status !== 0) return;
  for (let waited = 0; waited < 3000; waited += POLL_MS) {
    const alive = await ports.commands.run(['kill', '-0', pid]);
    if (alive.status !== 0) return;
    await ports.clock.sleep(POLL_MS);
  }
}

/** The directory has plain files, and one directory with the socket. Keys go first: a fault may end it early. */
async function removeTree(ports: PreflightPorts, directory: AbsolutePath): Promise<void> {
  const places: AbsolutePath[] = [];
  for (const name of (await ports.files.list(directory)) ?? []) {
    const entry = below(directory, name);
    if ((await ports.files.stat(entry))?.kind === 'directory') places.push(entry);
    else await ports.files.remove(entry);
  }
  for (const place of places) {
    for (const name of (await ports.files.list(place)) ?? []) await ports.files.remove(below(place, name));
    await ports.files.removeDirectory(place);
  }
  await ports.files.removeDirectory(directory);
}

/** What a run that was killed left: copies of keys and perhaps a signer. */
async function clearLeftovers(ports: PreflightPorts, stateDirectory: AbsolutePath): Promise<void> {
  const names = ((await ports.files.list(stateDirectory)) ?? []).filter(name =>
    name.startsWith(DIRECTORY_PREFIX),
  );
  for (const name of names) {
    const directory = below(stateDirectory, name);
    const stat = await ports.files.stat(directory);
    const age = ports.clock.now().getTime() - (stat?.modifiedMs ?? 0);
    if (stat?.kind !== 'directory' || age < LEFTOVER_MS) continue;
    await end(ports, directory, below(directory, 'opendkim.pid'));
  }
}

/**
 * True where the process was started for this directory. After a reboot the pid may be anybody's, and the signer's user
 * could have written any other: root would end it. Where there is no proc(5), in another tree, the pid file is believed.
 */
async function isOurs(ports: PreflightPorts, pid: string, directory: AbsolutePath): Promise<boolean> {
  if ((await ports.files.stat(absolute('/proc/self'))) === undefined) return true;
  const commandLine = await ports.files.read(absolute(`/proc/${pid}/cmdline`));
  return Buffer.from(commandLine ?? []).includes(directory);
}

/** undefined where there is no number, or one of 0 and 1, which would reach our own group or init. */
async function pidFrom(ports: PreflightPorts, pidFile: AbsolutePath): Promise<string | undefined> {
  const text = Buffer.from((await ports.files.read(pidFile)) ?? [])
    .toString('latin1')
    .trim();
  return /^[1-9]\d{0,9}$/.test(text) && text !== '1' ? text : undefined;
}
