import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {RUNS_DIRECTORY, STATE_DIRECTORY} from '../domain/places.ts';
import {sweepTemporary} from '../keys/index.ts';
import type {Files, Ports} from '../system/ports.ts';
import {entriesOf, type RunMark, readJournal, releaseReserve, runDirectory, statusOf} from './journal.ts';
import {isRunId} from './make.ts';
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
}

/** Every run on this host, oldest first. Runs that ended before they began are left out. */
export async function listRuns(ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> {
  const names = (await ports.files.list(RUNS_DIRECTORY)) ?? [];
  const runs: RunSummary[] = [];
  for (const run of names.filter(isRunId)) {
    const lines = await readJournal(ports, run);
    const status = statusOf(lines);
    if (status === undefined) continue;
    const changes = entriesOf(lines).length;
    runs.push({run, status, changes, at: lines[0]?.at ?? '', ...(await headOf(ports, run))});
  }
  // Two runs may begin in one second: the journal knows milliseconds.
  return runs.sort((a, b) => (a.at + a.run < b.at + b.run ? -1 : 1));
}

/** Runs that were cut off: not applied to the end, or not undone to the end. */
export const isUnfinished = (run: Pick<RunSummary, 'status'>): boolean =>
  run.status === 'begun' || run.status === 'undoing';

async function headOf(
  ports: Pick<Ports, 'files'>,
  run: RunId,
): Promise<Pick<RunSummary, 'title' | 'purpose' | 'domains'>> {
  const content = await ports.files.read(below(runDirectory(run), 'plan.json'));
  try {
    const value: unknown = JSON.parse(Buffer.from(content ?? []).toString('utf8'));
    if (typeof value === 'object' && value !== null && 'title' in value && 'purpose' in value) {
      const domains = 'domains' in value && Array.isArray(value.domains) ? value.domains : [];
      return {
        title: String(value.title),
        purpose: purposeOf(value.purpose),
        domains: domains.flatMap((entry: unknown) =>
          typeof entry === 'object' && entry !== null && 'domain' in entry ? [String(entry.domain)] : [],
        ),
      };
    }
  } catch {
    // The journal alone is enough to undo; only the title is lost.
  }
  return {title: '', purpose: 'unknown', domains: []};
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
