import {HostError, ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {RUNS_DIRECTORY, STATE_DIRECTORY} from '../domain/places.ts';
import {fail, ok, type Problem, type Result} from '../domain/result.ts';
import {judgeOwn, sweepTemporary} from '../keys/index.ts';
import type {Files, Ports} from '../system/ports.ts';
import {passedFinal} from './final.ts';
import {
  backupsOf,
  damagedRun,
  entriesOf,
  journalFile,
  planFile,
  type RunMark,
  releaseReserve,
  runDirectory,
  statusOf,
} from './journal.ts';
import {parseJournal} from './journal-line.ts';
import {isRunId} from './make.ts';
import {sha256Of} from './observe.ts';
import type {Plan, RunId} from './plan.ts';

export interface RunSummary {
  readonly run: RunId;
  readonly title: string;
  readonly purpose: Plan['purpose'] | 'unknown';
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly domains: readonly string[];
  readonly status: RunMark;
  /** How many steps it carried out. */
  readonly changes: number;
  /** True where it destroyed or published a key: then it cannot be undone. */
  readonly final: boolean;
}

export interface Runs {
  /** Oldest first; those that ended before they began are left out. */
  readonly runs: readonly RunSummary[];
  /** Those whose plan, journal or copies can't be relied on, one problem each. */
  readonly damaged: readonly Problem[];
}

/** Every run on this host. HostError of the first damaged one: after it nothing may be changed. */
export async function listRuns(ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> {
  const {runs, damaged} = await readRuns(ports);
  const [first] = damaged;
  if (first !== undefined) throw new HostError(first);
  return runs;
}

/** As {@link listRuns}, with what is damaged beside the others: for what only looks. */
export async function readRuns(ports: Pick<Ports, 'files'>): Promise<Runs> {
  const names = (await ports.files.list(RUNS_DIRECTORY)) ?? [];
  const runs: RunSummary[] = [];
  const damaged: Problem[] = [];
  for (const run of names.filter(isRunId)) {
    const read = await readRun(ports, run);
    if (!read.ok) damaged.push(read.problem);
    else if (read.value !== undefined) runs.push(read.value);
  }
  // Two runs may begin in one second: the journal knows milliseconds.
  return {runs: runs.sort((a, b) => (a.at + a.run < b.at + b.run ? -1 : 1)), damaged};
}

/** One run from its notes; `undefined` where it ended before it began, and so has changed nothing. */
async function readRun(ports: Pick<Ports, 'files'>, run: RunId): Promise<Result<RunSummary | undefined>> {
  const {files} = ports;
  const bad = (file: AbsolutePath, why: string): Result<never> => fail(damagedRun(run, file, why));
  const own: readonly (readonly [AbsolutePath, 'file' | 'directory'])[] = [
    [runDirectory(run), 'directory'],
    [backupsOf(run), 'directory'],
    [journalFile(run), 'file'],
    [planFile(run), 'file'],
  ];
  for (const [path, kind] of own) {
    const stat = await files.stat(path);
    const unsafe = stat === undefined ? undefined : judgeOwn(path, stat, kind);
    // A run that is something else as a whole can be moved away as such; parts of it can't.
    if (unsafe?.id === 'state.kind') return bad(path, `it is not a ${kind}`);
    if (unsafe !== undefined) return fail(unsafe);
  }
  const stored = await files.read(planFile(run), {follow: false});
  const content = await files.read(journalFile(run), {follow: false});
  const copies = (await files.list(backupsOf(run))) ?? [];
  const journal = parseJournal(content ?? new Uint8Array());
  if ('damage' in journal) return bad(journalFile(run), journal.damage);
  const {lines} = journal;
  const status = statusOf(lines);
  if (status === undefined) {
    const isUnborn = stored === undefined && copies.length === 0;
    if (isUnborn) return ok(undefined);
    return bad(journalFile(run), content === undefined ? 'it is missing' : 'it is empty');
  }
  const entries = entriesOf(lines);
  if (stored === undefined) {
    return entries.length === 0 ? ok(undefined) : bad(planFile(run), 'it is missing');
  }
  const [first] = lines;
  const sha256 = first !== undefined && 'run' in first ? first.plan : undefined;
  const head = headOf(run, stored);
  if (head === undefined) return bad(planFile(run), 'it is not a plan of waxseal');
  if (sha256 !== undefined && sha256 !== sha256Of(stored)) return bad(planFile(run), 'it was changed');
  if (status !== 'rolled-back' && status !== 'undone') {
    const known = new Set(copies);
    const lost = entries
      .flatMap(({undo, undone}) =>
        undo.kind === 'service' || undo.kind === 'final' || undone ? [] : (undo.backup ?? []),
      )
      .find(name => !known.has(name));
    if (lost !== undefined) return bad(below(backupsOf(run), lost), 'it is missing');
  }
  return ok({
    run,
    status,
    changes: entries.length,
    final: entries.some(passedFinal),
    at: first?.at ?? '',
    ...head,
  });
}

/** Runs that were cut off: not applied to the end, or not undone to the end. */
export const isUnfinished = (run: Pick<RunSummary, 'status'>): boolean =>
  run.status === 'begun' || run.status === 'undoing';

type Head = Pick<RunSummary, 'title' | 'purpose' | 'domains'>;

function headOf(run: RunId, content: Uint8Array): Head | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(content).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const plan: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(value));
  const {id, title, purpose, domains, steps} = plan;
  if (id !== run || typeof title !== 'string' || !Array.isArray(domains) || !Array.isArray(steps))
    return undefined;
  return {
    title,
    purpose: purposeOf(purpose),
    domains: domains.flatMap((entry: unknown) =>
      typeof entry === 'object' && entry !== null && 'domain' in entry ? [String(entry.domain)] : [],
    ),
  };
}

const purposeOf = (value: unknown): RunSummary['purpose'] =>
  value === 'setup' || value === 'install' || value === 'rotate' || value === 'remove' || value === 'undo'
    ? value
    : 'unknown';

/** Runs that were taken back are a record only; of applied ones the older are out of reach behind the later. */
const KEPT_CLOSED = 20;
const KEPT_APPLIED = 100;

/**
 * Before a new run begins: removes old runs beyond what is kept, and what a crash left half-written in waxseal's own
 * directories. Unfinished runs stay whatever their age.
 */
export async function pruneRuns(ports: Pick<Ports, 'files'>): Promise<void> {
  try {
    await prune(ports);
  } catch (error) {
    // Only tidiness: a run is not refused for it.
    if (!(error instanceof ToolError)) throw error;
  }
}

async function prune(ports: Pick<Ports, 'files'>): Promise<void> {
  const {files} = ports;
  await sweepTemporary(files, STATE_DIRECTORY);
  const runs = (await listRuns(ports)).toReversed();
  const surplus = [
    ...runs.filter(run => run.status === 'rolled-back' || run.status === 'undone').slice(KEPT_CLOSED),
    ...runs.filter(run => run.status === 'applied').slice(KEPT_APPLIED),
  ].map(({run}) => run);
  const known = new Set(runs.map(({run}) => run));
  // A run that was cut off before its first line has changed nothing.
  const unborn = ((await files.list(RUNS_DIRECTORY)) ?? []).filter(isRunId).filter(run => !known.has(run));
  for (const run of [...surplus, ...unborn]) await removeTree(files, runDirectory(run));
  for (const run of runs) {
    await sweepTemporary(files, runDirectory(run.run));
    // Cut off between its last line and this: its room is not needed any more.
    if (!isUnfinished(run)) await releaseReserve(ports, run.run);
  }
}

async function removeTree(files: Files, directory: AbsolutePath): Promise<void> {
  for (const name of (await files.list(directory)) ?? []) {
    const entry = below(directory, name);
    if ((await files.stat(entry))?.kind === 'directory') await removeTree(files, entry);
    else await files.remove(entry);
  }
  await files.removeDirectory(directory);
}
