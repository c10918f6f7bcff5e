import {below} from '../domain/paths.ts';
import {RUNS_DIRECTORY} from '../domain/places.ts';
import type {Ports} from '../system/ports.ts';
import {type RunMark, readJournal, runDirectory, statusOf} from './journal.ts';
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
}

/** Every run on this host, oldest first. Runs that ended before they began are left out. */
export async function listRuns(ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> {
  const names = (await ports.files.list(RUNS_DIRECTORY)) ?? [];
  const runs: RunSummary[] = [];
  for (const run of names.filter(isRunId)) {
    const lines = await readJournal(ports, run);
    const status = statusOf(lines);
    if (status === undefined) continue;
    runs.push({run, status, at: lines[0]?.at ?? '', ...(await headOf(ports, run))});
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
