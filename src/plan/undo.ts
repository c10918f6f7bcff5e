import {ChangeFailed, HostError, type RollbackIncomplete, type ToolError} from '../domain/errors.ts';
import {below} from '../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Ports} from '../system/ports.ts';
import {incompleteError, takeBack, unfinishedError} from './apply.ts';
import {octal, secretNotice} from './diff.ts';
import {type Entry, entriesOf, openJournal, readJournal, type UndoRecord} from './journal.ts';
import {isSame, observe, sha256Of} from './observe.ts';
import type {ApplyEvent, ChangeView, RunId} from './plan.ts';
import {isUnfinished, listRuns, type RunSummary} from './runs.ts';
import type {Ready} from './service-state.ts';
import {holdsPrivateKey, textDiff} from './text-diff.ts';

/** What undoing a run would do, and what speaks against it. */
export interface UndoView {
  readonly run: RunSummary;
  /** In the order in which it would happen: the last change first. */
  readonly changes: readonly ChangeView[];
  /** Later edits that would be lost; undoing is refused while there are any. */
  readonly conflicts: readonly Problem[];
}

export type UndoOutcome =
  | {readonly result: 'undone'; readonly run: RunId}
  | {readonly result: 'refused'; readonly error: ToolError}
  | {readonly result: 'incomplete'; readonly run: RunId; readonly error: RollbackIncomplete};

/** Runs that are applied and not undone, newest first. */
export const listUndoable = async (ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> =>
  (await listRuns(ports)).filter(run => run.status === 'applied').reverse();

/** Shows what undoing would change. Problem `undo.unknown` where there is no such run, or it is not applied any more. */
export async function planUndo(ports: Ports, run: RunId): Promise<Result<UndoView>> {
  const runs = await listRuns(ports);
  const summary = runs.find(candidate => candidate.run === run);
  if (summary?.status !== 'applied') {
    return fail(
      problem('undo.unknown', `There is no run ${visible(run)} to undo.`, 'List the runs with: waxseal undo'),
    );
  }
  const entries = entriesOf(await readJournal(ports, run));
  const changes: ChangeView[] = [];
  const conflicts: Problem[] = [];
  for (const entry of [...entries].reverse()) {
    changes.push(await viewOf(ports, run, entry.undo));
    const conflict = await conflictOf(ports, entry, entries);
    if (conflict !== undefined) conflicts.push(conflict);
  }
  return ok({run: summary, changes, conflicts: await naming(ports, runs, summary, conflicts)});
}

/** Undoes one run: the last change first, services once a unit after their files. Refused where an edit would be lost. */
export async function undoRun(
  ports: Ports,
  run: RunId,
  hooks: {readonly ready: Ready; readonly lockHeld?: boolean},
  emit: (event: ApplyEvent) => void,
): Promise<UndoOutcome> {
  const lock = hooks.lockHeld === true ? undefined : await ports.locks.acquire('waxseal undo');
  try {
    if (!ports.process.privileged) {
      const told = problem('host.not-root', 'Changing a mail host needs root.', 'Run it again with sudo.');
      return {result: 'refused', error: new HostError(told)};
    }
    const unfinished = (await listRuns(ports)).find(isUnfinished);
    if (unfinished !== undefined) return {result: 'refused', error: unfinishedError(unfinished.run)};
    const view = await planUndo(ports, run);
    if (!view.ok) return {result: 'refused', error: new HostError(view.problem)};
    const [conflict] = view.value.conflicts;
    if (conflict !== undefined) return {result: 'refused', error: new HostError(conflict)};
    const journal = openJournal(ports, run);
    await journal.write({run: 'undoing'});
    emit({type: 'rolling-back', because: `Run ${run} is undone.`});
    const back = await takeBack(ports, journal, hooks.ready, emit, 'undone');
    if (back.whole) return {result: 'undone', run};
    const because = new ChangeFailed(problem('undo.failed', `Run ${run} could not be undone.`, ''));
    return {result: 'incomplete', run, error: incompleteError(run, because, back)};
  } finally {
    await lock?.release();
  }
}

/** Whether something that came after the run would be lost. */
async function conflictOf(
  ports: Ports,
  {undo}: Entry,
  entries: readonly Entry[],
): Promise<Problem | undefined> {
  if (undo.kind !== 'path') return undefined;
  const now = await observe(ports.files, undo.path);
  if (isSame(now, undo.before)) return undefined;
  if (!isSame(now, undo.after)) {
    return problem(
      'undo.edited',
      `${undo.path} was changed after that run; undoing would lose it.`,
      `Compare it with ${undo.backup === undefined ? 'what you want' : 'its copy in the backups of the run'}, and change it by hand.`,
    );
  }
  if (undo.before.state !== 'absent' || now.state === 'absent' || now.kind !== 'directory') return undefined;
  const ours = new Set(entries.flatMap(entry => (entry.undo.kind === 'path' ? [entry.undo.path] : [])));
  for (const name of (await ports.files.list(undo.path)) ?? []) {
    const entry = below(undo.path, name);
    if (ours.has(entry) || (await ports.files.stat(entry))?.kind === 'socket') continue;
    return problem(
      'undo.directory-used',
      `${undo.path} was made by that run and holds ${visible(name)} now, which was not.`,
      `Move it away: mv ${visible(entry)} …`,
    );
  }
  return undefined;
}

/** Where a later run changed the same files, that run is what stands in the way: name it. */
async function naming(
  ports: Ports,
  runs: readonly RunSummary[],
  summary: RunSummary,
  conflicts: readonly Problem[],
): Promise<readonly Problem[]> {
  if (conflicts.length === 0) return conflicts;
  const paths = await pathsOf(ports, summary.run);
  for (const later of runs.slice(runs.indexOf(summary) + 1).filter(run => run.status === 'applied')) {
    const shared = [...(await pathsOf(ports, later.run))].find(path => paths.has(path));
    if (shared === undefined) continue;
    const first = problem(
      'undo.later-run',
      `The later run ${later.run} changed ${shared} too.`,
      `Undo that one first: waxseal undo ${later.run}`,
    );
    return [first, ...conflicts];
  }
  return conflicts;
}

async function pathsOf(ports: Ports, run: RunId): Promise<ReadonlySet<string>> {
  const entries = entriesOf(await readJournal(ports, run));
  return new Set(entries.flatMap(({undo}) => (undo.kind === 'path' ? [undo.path] : [])));
}

async function viewOf(ports: Ports, run: RunId, undo: UndoRecord): Promise<ChangeView> {
  if (undo.kind === 'package') {
    const target = undo.names.join(' ');
    return {kind: 'package', target, action: `remove what was installed with ${undo.manager}`, diff: ''};
  }
  if (undo.kind === 'service') {
    const {unit, wasActive, action} = undo.service;
    return {kind: 'service', target: visible(unit), action: wasActive ? action : 'stop', diff: ''};
  }
  return await pathView(ports, run, undo);
}

async function pathView(
  ports: Ports,
  run: RunId,
  undo: Extract<UndoRecord, {kind: 'path'}>,
): Promise<ChangeView> {
  const {path, before, after} = undo;
  const target = visible(path);
  const isDirectory = [before, after].some(side => side.state === 'present' && side.kind === 'directory');
  if (before.state === 'absent') {
    const removed = await fileText(ports, undo);
    const diff = isDirectory ? '' : shownDiff(path, removed, undefined);
    return {kind: isDirectory ? 'mkdir' : 'write', target, action: 'remove', diff};
  }
  const action = `put back, ${before.uid}:${before.gid} ${octal(before.mode)}`;
  if (isDirectory || undo.backup === undefined) return {kind: 'chown', target, action, diff: ''};
  const old = Buffer.from(await openJournal(ports, run).readBackup(undo.backup)).toString('utf8');
  const diff = shownDiff(path, await fileText(ports, undo), old);
  return {kind: diff === '' ? 'chown' : 'write', target, action, diff};
}

async function fileText(
  ports: Ports,
  undo: Extract<UndoRecord, {kind: 'path'}>,
): Promise<string | undefined> {
  const now = await observe(ports.files, undo.path);
  return now.state === 'present' && now.kind === 'file'
    ? Buffer.from(now.content).toString('utf8')
    : undefined;
}

function shownDiff(path: string, from: string | undefined, to: string | undefined): string {
  for (const text of [from, to]) {
    if (text !== undefined && holdsPrivateKey(text)) {
      return `${text === from ? '-' : '+'} ${secretNotice(sha256Of(text))}\n`;
    }
  }
  return textDiff(path, from, to);
}
