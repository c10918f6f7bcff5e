/**
 * Proves a candidate configuration before anything live is touched: a second, temporary signer with copies of the
 * candidate's files in a private directory signs a message over the milter protocol. A look at the syntax alone proves
 * nothing (daemons/opendkim.md#syntax-check); this does. It runs as the unit of this host runs: same user, group
 * and supplementary groups.
 */
import {createHash} from 'node:crypto';
import type {KeyLookup} from '../dkim/index.ts';
import {command} from '../domain/command.ts';
import {ToolError} from '../domain/errors.ts';
import type {DomainName, DomainSelector} from '../domain/names.ts';
import {type AbsolutePath, absolute, below, parentOf} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {type Hints, toFinding} from '../proof/fault.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf, skipped} from '../proof/finding.ts';
import {journalLines, shownLine} from '../proof/journal.ts';
import {proofToken} from '../proof/message.ts';
import {PATIENT, probeSigning, queueIdOf} from '../proof/milter-probe.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import {asIdentity, type Identities, type Identity, identitiesOf} from '../services/account.ts';
import {reachKeys, wayBarred} from '../services/key-access.ts';
import type {Step} from '../services/step.ts';
import type {StagedFile, Trial, TrialSetup} from '../services/trial.ts';
import type {Argv, CommandResult, FileAttributes, FileStat, Ports, SocketEndpoint} from '../system/ports.ts';

export type PreflightPorts = Pick<Ports, 'files' | 'commands' | 'users' | 'clock' | 'random' | 'sockets'>;

export interface TrialRun {
  readonly trial: Trial;
  /** `/var/lib/waxseal`: root's, mode 0711, so that the signer may pass through (RequireSafeKeys looks at it, too). */
  readonly stateDirectory: AbsolutePath;
  readonly signal?: AbortSignal;
}

export interface PreflightInput extends TrialRun {
  /**
   * What must be signed, with the selector that must sign and the key that the plan staged for it. More than 20 are
   * sampled; no other file is ever copied.
   */
  readonly domains: readonly StagedFile[];
  /** What the plan will change on the way to the keys. */
  readonly steps: readonly Step[];
  readonly lookup: KeyLookup;
  readonly hints: Hints;
  readonly onCheck?: (check: Check) => void;
}

/** Domains that are asked for. */
const SAMPLE = 20;
/** Only for what hangs: as long as the process lives and logs no error it may take its time. */
const START_LIMIT_MS = 300_000;
const RUN_LIMIT_MS = 3_600_000;
const CONNECT_TIMEOUT_MS = 30_000;
const POLL_MS = 100;
/** How often its log is read while it starts. */
const LOG_MS = 5000;
/** A directory of an earlier run that is older than this is nobody's any more. */
const LEFTOVER_MS = 600_000;
const DIRECTORY_PREFIX = 'preflight-';
const ROOT = {uid: 0, gid: 0} as const;

const SIGNS = {id: 'preflight.signs', title: 'It signs a message that verifies against DNS'};

/**
 * Runs the candidate. Checks `preflight.keys`, `preflight.start` and `preflight.signs`; after a failure the rest is
 * skipped. The temporary signer is ended and its directory removed whatever happens; rejects only with the reason of
 * an abort or with what the files port throws.
 */
export async function preflight(ports: PreflightPorts, input: PreflightInput): Promise<ProofReport> {
  const checks: Check[] = [];
  const tell = ({id, title}: {readonly id: string; readonly title: string}, finding: Finding): Finding => {
    const check = checkFrom(id, title, finding);
    checks.push(check);
    input.onCheck?.(check);
    return finding;
  };
  input.signal?.throwIfAborted();
  await clearLeftovers(ports, input.stateDirectory, input.trial.mark);
  const {trial, domains, steps} = input;
  const {program} = trial;
  const keys = {id: 'preflight.keys', title: `${program}'s account can read the keys where they will be`};
  const start = {id: 'preflight.start', title: `The new configuration starts in a temporary ${program}`};
  const notStarted = skipped('not queried', `The temporary ${program} wasn't started or ended early.`);
  const found = await identitiesOf(ports, trial.account);
  const reached =
    'unknown' in found
      ? noAccount(found.unknown, trial)
      : await reachKeys(ports, {program, identity: found.work}, trial.keyPlaces(domains, steps), steps);
  tell(keys, reached);
  if ('unknown' in found || reached.status === 'fail') {
    tell(start, notStarted);
    tell(SIGNS, notStarted);
    return reportOf(checks);
  }
  const sample = sampleOf(domains, SAMPLE, ports.random);
  return await inTrial(ports, {...input, sample}, found, async (started, setup, since) => {
    tell(start, started);
    if (started.status === 'pass') {
      const check = await signs(ports, setup, input, sample, since);
      checks.push(check);
      input.onCheck?.(check);
    } else tell(SIGNS, notStarted);
    input.signal?.throwIfAborted();
    return reportOf(checks);
  });
}

/** Starts the temporary signer, or finds why it does not start; ends it and removes its directory whatever happens. */
async function inTrial<T>(
  ports: PreflightPorts,
  {trial, stateDirectory, sample, signal}: TrialRun & {readonly sample: readonly StagedFile[]},
  identities: Identities,
  use: (started: Finding, setup: TrialSetup, since: Date) => Promise<T>,
): Promise<T> {
  const directory = below(stateDirectory, `${DIRECTORY_PREFIX}${proofToken(ports.random)}`);
  const setup = trial.setup(directory, sample);
  const running = new RunningTrial(ports, {trial, setup, directory}, identities);
  try {
    // Root's, so that nobody can put another file in the place of one.
    await ports.files.makeDirectory(directory, {...ROOT, mode: 0o711});
    const account = {program: trial.program, identity: identities.work};
    const started =
      (await wayBarred(ports, account, stateDirectory)) ??
      (await prepare(ports, setup, identities)) ??
      (await running.start(signal));
    return await use(started, setup, running.since);
  } finally {
    // Both run on every way out, and neither may hide what is thrown.
    await running.end();
    await removeTree(ports, directory).catch(ignoreToolError);
  }
}

/**
 * Runs a trial without keys of a plan while `use` speaks with it; the finding where it does not start, undefined where its
 * place is not there yet. Rejects as `preflight` does.
 */
export async function withTrial<T>(
  ports: PreflightPorts,
  run: TrialRun,
  use: (endpoint: SocketEndpoint) => Promise<T>,
): Promise<{readonly done: T} | {readonly refused: Finding} | undefined> {
  const identities = await identitiesOf(ports, run.trial.account);
  const place = await ports.files.stat(run.stateDirectory);
  if ('unknown' in identities || place?.kind !== 'directory') return undefined;
  return await inTrial(ports, {...run, sample: []}, identities, async (started, {socket}) =>
    started.status === 'pass' ? {done: await use({kind: 'unix', path: socket})} : {refused: started},
  );
}

const noAccount = (what: string, {program, hints}: Trial): Finding =>
  failed(`there is no ${what}`, `The account that ${program} runs as doesn't exist.`, hints.account);

/** Writes the copies, keys last. A finding where a key cannot be read or is another one. */
async function prepare(
  ports: PreflightPorts,
  setup: TrialSetup,
  {start, work}: Identities,
): Promise<Finding | undefined> {
  // A configuration may hold the password of a database. Root reads it before the signer leaves root; an unprivileged
  // unit must be able to read it, and never to change it.
  const readers: FileAttributes =
    start === undefined ? {...ROOT, mode: 0o600} : {uid: 0, gid: start.gid, mode: 0o640};
  for (const file of setup.files) await ports.files.create(file.path, file.octets, readers);
  const owner = {uid: work.uid, gid: work.gid};
  await ports.files.makeDirectory(parentOf(setup.socket), {...owner, mode: 0o700});
  for (const key of setup.keys) {
    const content = await ports.files.read(key.from, {follow: false});
    if (content === undefined) {
      return failed(
        `${key.from} is missing`,
        'The staged key is gone.',
        'Run waxseal again. It creates a new key.',
      );
    }
    if (createHash('sha256').update(content).digest('hex') !== key.sha256) {
      return failed(
        `${key.from} is another file than the one of the plan`,
        'The staged key has changed since the plan was made.',
        'Run waxseal again. It makes a new plan.',
      );
    }
    await ports.files.create(key.to, content, {...owner, mode: 0o600});
  }
  return undefined;
}

interface Planned {
  readonly trial: Trial;
  readonly setup: TrialSetup;
  readonly directory: AbsolutePath;
}

/** One temporary signer in the foreground: its life is the life of one command. */
class RunningTrial {
  readonly since: Date;
  readonly #ports: PreflightPorts;
  readonly #planned: Planned;
  readonly #identities: Identities;
  readonly #stop = new AbortController();
  #life: Promise<void> | undefined;
  #ended: CommandResult | undefined;
  #isClosed = false;

  constructor(ports: PreflightPorts, planned: Planned, identities: Identities) {
    this.since = ports.clock.now();
    this.#ports = ports;
    this.#planned = planned;
    this.#identities = identities;
  }

  /** Starts it and waits until it listens, it ends, or it logs an error. */
  async start(signal: AbortSignal | undefined): Promise<Finding> {
    const {commands, clock} = this.#ports;
    const {trial, setup} = this.#planned;
    const checked = await commands.run(this.#argv(setup.check), {
      timeoutMs: START_LIMIT_MS,
      ...(signal === undefined ? {} : {signal}),
    });
    signal?.throwIfAborted();
    if (checked.ended === 'missing') return noProgram(this.#planned, this.#identities.start);
    if (checked.status !== 0) return await this.#refused(checked);
    // libmilter looks at TERM every five seconds only, and there is nothing that it would tidy up.
    const how = {timeoutMs: RUN_LIMIT_MS, graceMs: 0, signal: this.#stop.signal};
    this.#life = commands.run(this.#argv(setup.start), how).then(result => {
      this.#ended = result;
    });
    const begun = clock.now().getTime();
    let logRead = begun;
    for (;;) {
      // Read before the look: a busy machine may let all of the time pass before the first one.
      const now = clock.now().getTime();
      const answer = await this.#listens();
      if (answer !== undefined) return answer;
      if (this.#ended !== undefined) return await this.#refused(this.#ended);
      if (now - begun >= START_LIMIT_MS) return await this.#refused(undefined);
      if (now - logRead >= LOG_MS) {
        logRead = now;
        const words = (await journalLines(this.#ports, trial.logTag, this.since)).filter(line =>
          TROUBLE.test(line),
        );
        if (words.length > 0) return await this.#refused(undefined);
      }
      await Promise.race([clock.sleep(POLL_MS, signal), this.#life]);
    }
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#life;
  }

  #argv(argv: Argv): Argv {
    return asIdentity(this.#identities.start, argv);
  }

  /**
   * libmilter binds before it listens: for a moment the socket is there and refuses. Only a connection is an answer.
   * Before root connects, the directory becomes root's: the signer's user cannot exchange the socket for a link any more.
   */
  async #listens(): Promise<Finding | undefined> {
    const {files, sockets} = this.#ports;
    const {trial, setup} = this.#planned;
    const {socket} = setup;
    if ((await files.stat(socket)) === undefined) return undefined;
    if (!this.#isClosed) {
      const place = await files.stat(parentOf(socket));
      if (place === undefined) return undefined;
      await files.setAttributes(parentOf(socket), {...ROOT, mode: 0o711}, place);
      this.#isClosed = true;
    }
    const stat = await files.stat(socket);
    if (stat === undefined) return undefined;
    if (stat.kind !== 'socket' || stat.uid !== this.#identities.work.uid) {
      return failed(
        `a ${stat.kind} of uid ${stat.uid} is in place of the socket`,
        `Another process of that account interfered with the temporary ${trial.program}.`,
        `Check the processes of that account: ${command('ps', '-u', this.#identities.work.name)}`,
      );
    }
    try {
      (await sockets.connect({kind: 'unix', path: socket}, CONNECT_TIMEOUT_MS)).destroy();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return undefined;
    }
    return passed(
      `${setup.start[0]} with the new configuration listens on a socket of its own, as ${visible(this.#identities.work.name)}`,
    );
  }

  async #refused(result: CommandResult | undefined): Promise<Finding> {
    const logged = await journalLines(this.#ports, this.#planned.trial.logTag, this.since);
    return refusedToStart(result, logged, this.#planned);
  }
}

/** What a daemon says that is still there and will never listen. */
const TROUBLE = /unable to|error|failed|refused|denied|no such file|in use|can't/i;

const noProgram = ({trial: {program}, setup}: Planned, start: Identity | undefined): Finding =>
  start === undefined
    ? failed(
        `no such program: ${setup.start[0]}`,
        `${program} isn't installed.`,
        `Install the package of ${program}.`,
      )
    : failed(
        'no such program: setpriv',
        `${program} starts as its own user here, and setpriv is needed to do the same.`,
        'Install util-linux.',
      );

/** `result` is undefined where the process still ran. */
function refusedToStart(
  result: CommandResult | undefined,
  logged: readonly string[],
  {trial: {program, hints}, setup, directory}: Planned,
): Finding {
  const said = [
    ...(result?.stderr ?? '')
      .split('\n')
      .filter(line => line.trim() !== '')
      .slice(-3)
      .map(shownLine),
    ...logged,
  ]
    // The directory is gone when this is read: file names alone tell more.
    .map(line => line.replaceAll(`${directory}/`, ''));
  const how =
    result === undefined
      ? "it runs, but doesn't listen on its socket"
      : `${setup.start[0]} ended with status ${result.status ?? 'none'}`;
  return failed(
    [how, ...said].join('; '),
    said.at(0) === undefined
      ? `${program} doesn't start with the new configuration.`
      : `${program} doesn't start with the new configuration: ${said[0]}`,
    hints.start,
  );
}

/** One probe a domain, one after the other: each is some milliseconds. */
async function signs(
  ports: PreflightPorts,
  {socket}: TrialSetup,
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
      endpoint: {kind: 'unix', path: socket} as const,
      lookup: input.lookup,
      // It is a process of this run: where it ends, the connection ends with it.
      limits: PATIENT,
      ...(input.signal === undefined ? {} : {signal: input.signal}),
    };
    const finding = toFinding(await probeSigning(ports, target, token), input.hints, target);
    // One failure with its reason is enough: the rest of the table fails alike, and each look takes a moment.
    const told = firstFailure
      ? await withJournal(ports, finding, {logTag: input.trial.logTag, since, token})
      : finding;
    if (finding.status === 'fail') firstFailure = false;
    findings.push({domain: each.domain, finding: told});
  }
  return checkFromAll(SIGNS.id, SIGNS.title, findings, input.domains.length);
}

/** A failure with what the signer logged about this message. */
async function withJournal(
  ports: PreflightPorts,
  finding: Finding,
  {logTag, since, token}: {readonly logTag: string; readonly since: Date; readonly token: string},
): Promise<Finding> {
  if (finding.status !== 'fail') return finding;
  // Key errors are logged by the name of the key, without the queue id: take all where nothing names the message.
  const about = await journalLines(ports, logTag, since, queueIdOf(token));
  const lines = about.length > 0 ? about : await journalLines(ports, logTag, since);
  return lines.length === 0 ? finding : {...finding, evidence: `${finding.evidence}; ${lines.join('; ')}`};
}

const ignoreToolError = (error: unknown): void => {
  if (!(error instanceof ToolError)) throw error;
};

/** The directory has plain files, and one directory with the socket. Keys go first: a fault may end it early. */
async function removeTree(ports: PreflightPorts, directory: AbsolutePath): Promise<void> {
  const places: {readonly place: AbsolutePath; readonly seen: FileStat}[] = [];
  for (const name of (await ports.files.list(directory)) ?? []) {
    const entry = below(directory, name);
    const seen = await ports.files.stat(entry);
    if (seen?.kind === 'directory') places.push({place: entry, seen});
    else await ports.files.remove(entry);
  }
  for (const {place, seen} of places) {
    // The signer's user made what is in it: from here on it can add nothing.
    await ports.files.setAttributes(place, {...ROOT, mode: 0o700}, seen);
    for (const name of (await ports.files.list(place)) ?? []) await ports.files.remove(below(place, name));
    await ports.files.removeDirectory(place);
  }
  await ports.files.removeDirectory(directory);
}

/** What a run that was killed left: copies of keys and perhaps a process. */
async function clearLeftovers(
  ports: PreflightPorts,
  stateDirectory: AbsolutePath,
  mark: string,
): Promise<void> {
  const names = ((await ports.files.list(stateDirectory)) ?? []).filter(name =>
    name.startsWith(DIRECTORY_PREFIX),
  );
  for (const name of names) {
    const directory = below(stateDirectory, name);
    const stat = await ports.files.stat(directory);
    const age = ports.clock.now().getTime() - (stat?.modifiedMs ?? 0);
    if (stat?.kind !== 'directory' || age < LEFTOVER_MS) continue;
    await endProcesses(ports, below(directory, mark)).catch(ignoreToolError);
    await removeTree(ports, directory).catch(ignoreToolError);
  }
}

/**
 * Ends the processes that name the file `mark`: those that were started for its directory. Everybody may give a process of his own such a command line:
 * each is ended with the rights of the account it runs as, so that root ends nothing that this account could not end.
 */
async function endProcesses(ports: PreflightPorts, mark: AbsolutePath): Promise<void> {
  for (const pid of (await ports.files.list(PROC)) ?? []) {
    if (!/^[1-9]\d*$/.test(pid)) continue;
    const stat = await ports.files.stat(below(PROC, pid));
    const line = await ports.files.read(below(PROC, pid, 'cmdline')).catch(() => undefined);
    const words = Buffer.from(line ?? [])
      .toString('latin1')
      .split('\0');
    if (stat === undefined || !words.includes(mark)) continue;
    await ports.commands.run(['kill', '-KILL', pid], {runAs: {uid: stat.uid, gid: stat.gid}});
  }
}

const PROC = absolute('/proc');
