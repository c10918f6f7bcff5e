import {command} from '../domain/command.ts';
import {ChangeFailed, HostError, type RollbackIncomplete, ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Ports} from '../system/ports.ts';
import {incompleteError, takeBack, unfinishedError} from './apply.ts';
import {refuseUnchangeable} from './changeable.ts';
import {octal, secretNotice} from './diff.ts';
import {entriesOf, openJournal, readJournal, type UndoRecord} from './journal.ts';
import {isSame, observe, sha256Of} from './observe.ts';
import {shownOctets} from './octets.ts';
import {broughtAndThere, neededProblem, needing} from './packages.ts';
import type {ApplyEvent, ChangeView, RunId} from './plan.ts';
import {broughtBy, type Return, wayBack} from './put-back.ts';
import {isUnfinished, listRuns, type RunSummary} from './runs.ts';
import type {Ready} from './service-state.ts';
import {holdsPrivateKey, textDiff} from './text-diff.ts';
import {keepMerges, type OfferedMerge, offerMerge, takeMerge} from './undo-merge.ts';

type PathRecord = Extract<UndoRecord, {kind: 'path'}>;
type PackageRecord = Extract<UndoRecord, {kind: 'package'}>;

/** What undoing a run would do, and what speaks against it. */
export interface UndoView {
  readonly run: RunSummary;
  /** In the order in which it would happen: the last change first. */
  readonly changes: readonly ChangeView[];
  /** Later edits that would be lost; undoing is refused while there are any. */
  readonly conflicts: readonly Problem[];
  /** Files that were edited since, and the merges that take the place of the old text; only where asked for. */
  readonly merged: ReadonlyMap<AbsolutePath, Uint8Array>;
}

export interface UndoOptions {
  /** Where a file was edited after the run, take the merge that an earlier, refused undo has laid beside the journal. */
  readonly merged?: boolean;
}

export type UndoOutcome =
  | {readonly result: 'undone'; readonly run: RunId}
  | {readonly result: 'refused'; readonly error: ToolError}
  | {readonly result: 'incomplete'; readonly run: RunId; readonly error: RollbackIncomplete};

/** Runs that are applied and not undone, newest first. */
export const listUndoable = async (ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> =>
  (await listRuns(ports)).filter(run => run.status === 'applied' && !run.final).reverse();

/** Shows what undoing would change. Problem `undo.unknown` where there is no such run, or it is not applied any more. */
export async function planUndo(
  ports: Ports,
  run: RunId,
  options: UndoOptions = {},
): Promise<Result<UndoView>> {
  const runs = await listRuns(ports);
  const summary = runs.find(candidate => candidate.run === run);
  if (summary?.status !== 'applied') {
    return fail(
      problem(
        'undo.unknown',
        `There is no run ${visible(run)} to undo.`,
        'List the runs: waxseal undo --list',
      ),
    );
  }
  if (summary.final) {
    return fail(
      problem(
        'undo.final',
        `Run ${run} destroyed or published a private key. It can't be undone.`,
        'Runs that can be undone: waxseal undo --list',
      ),
    );
  }
  const entries = entriesOf(await readJournal(ports, run));
  const changes: ChangeView[] = [];
  const conflicts: Problem[] = [];
  const merged = new Map<AbsolutePath, Uint8Array>();
  const ours = new Set(entries.flatMap(({undo}) => (undo.kind === 'path' ? [undo.path] : [])));
  for (const move of wayBack(entries)) {
    const undo = move.kind === 'service' ? undefined : move.undo;
    const conflict =
      undo === undefined
        ? undefined
        : undo.kind === 'path'
          ? await conflictOf(ports, undo, ours)
          : await packageConflict(ports, runs, summary, undo);
    const taken =
      conflict?.id === 'undo.edited' && options.merged === true && undo?.kind === 'path'
        ? await takeMerge(ports, run, undo.path, await observe(ports.files, undo.path))
        : undefined;
    if (taken !== undefined && 'content' in taken && undo?.kind === 'path')
      merged.set(undo.path, taken.content);
    else if (taken !== undefined && 'problem' in taken) conflicts.push(taken.problem);
    else if (conflict !== undefined) conflicts.push(conflict);
    changes.push(await viewOf(ports, run, move, merged));
  }
  return ok({
    run: summary,
    changes,
    conflicts: await naming(ports, runs, summary, conflicts),
    merged,
  });
}

/**
 * Undoes one run: the last change first, services once a unit after their files. Refused where an edit would be lost. The
 * caller holds the lock of the host.
 */
export async function undoRun(
  ports: Ports,
  run: RunId,
  hooks: {readonly ready: Ready} & UndoOptions,
  emit: (event: ApplyEvent) => void,
): Promise<UndoOutcome> {
  if (!ports.process.privileged) {
    const told = problem('host.not-root', 'Changing a mail host needs root.', 'Run it again with sudo.');
    return {result: 'refused', error: new HostError(told)};
  }
  const unfinished = (await listRuns(ports)).find(isUnfinished);
  if (unfinished !== undefined) return {result: 'refused', error: unfinishedError(unfinished.run)};
  const view = await planUndo(ports, run, hooks);
  if (!view.ok) return {result: 'refused', error: new HostError(view.problem)};
  const {conflicts, merged} = view.value;
  const [conflict] = conflicts;
  if (conflict !== undefined) {
    return {result: 'refused', error: new HostError(await withOffer(ports, run, conflict, conflicts))};
  }
  const entries = entriesOf(await readJournal(ports, run));
  try {
    await refuseUnchangeable(
      ports.files,
      entries.flatMap(({undo}) => (undo.kind === 'path' ? [{path: undo.path, before: undo.after}] : [])),
    );
  } catch (error) {
    if (error instanceof ToolError) return {result: 'refused', error};
    throw error;
  }
  const journal = openJournal(ports, run);
  const files = await keepMerges(ports, run, merged);
  await journal.write({run: 'undoing', ...(files.length === 0 ? {} : {merged: files})});
  emit({type: 'rolling-back', because: `Run ${run} is undone.`});
  const back = await takeBack(ports, journal, hooks.ready, emit, 'undone');
  if (back.whole) return {result: 'undone', run};
  const because = new ChangeFailed(problem('undo.failed', `Run ${run} could not be undone.`, ''));
  return {result: 'incomplete', run, error: incompleteError(run, because, back)};
}

/** The refusal, with what to do: a merge of every edited file is laid beside the journal. */
async function withOffer(
  ports: Ports,
  run: RunId,
  conflict: Problem,
  all: readonly Problem[],
): Promise<Problem> {
  // A later run has to be undone first, and then there may be nothing to merge.
  if (conflict.id !== 'undo.edited') return conflict;
  const offers: OfferedMerge[] = [];
  let edited = 0;
  for (const {undo} of entriesOf(await readJournal(ports, run))) {
    if (undo.kind !== 'path' || (await editOf(ports, undo)) === undefined) continue;
    edited += 1;
    const offer = await offerMerge(ports, run, undo, await observe(ports.files, undo.path));
    if (offer !== undefined) offers.push(offer);
  }
  if (offers.length === 0 || offers.length < edited || all.some(({id}) => id !== 'undo.edited'))
    return conflict;
  const list = offers
    .map(({file, conflicts}) =>
      conflicts === 0 ? file : `${file} (places to decide are marked with <<<<<<<)`,
    )
    .join(', ');
  return problem(
    'undo.edited',
    conflict.message,
    `A merge that keeps your edit and takes the run back is in ${list}. Look at it, then: waxseal undo --merged ${run}`,
  );
}

/** Whether what came after the run stands on the packages that it brought. */
async function packageConflict(
  ports: Ports,
  runs: readonly RunSummary[],
  summary: RunSummary,
  undo: PackageRecord,
): Promise<Problem | undefined> {
  for (const later of runs.slice(runs.indexOf(summary) + 1).toReversed()) {
    if (later.status !== 'applied' || !(await touchedServices(ports, later.run))) continue;
    return laterRun(later.run, `may stand on what this run installed (${undo.names.join(' ')})`);
  }
  const doomed = await broughtAndThere(
    ports.commands,
    undo.manager,
    await broughtBy(openJournal(ports, summary.run), undo),
  );
  const others = await needing(ports.commands, undo.manager, doomed);
  return others.length === 0 ? undefined : neededProblem(others);
}

const touchedServices = async (ports: Ports, run: RunId): Promise<boolean> =>
  entriesOf(await readJournal(ports, run)).some(({undo}) => undo.kind === 'service');

const laterRun = (run: RunId, why: string): Problem =>
  problem('undo.later-run', `The later run ${run} ${why}.`, `Undo that one first: waxseal undo --id ${run}`);

/** Whether something that came after the run would be lost. */
async function conflictOf(
  ports: Ports,
  undo: PathRecord,
  ours: ReadonlySet<AbsolutePath>,
): Promise<Problem | undefined> {
  const edit = await editOf(ports, undo);
  if (edit !== undefined) return edit;
  const now = await observe(ports.files, undo.path);
  if (isSame(now, undo.before)) return undefined;
  if (now.state === 'present' && now.kind === 'file' && now.links > 1)
    return severalNames(undo.path, now.links);
  if (undo.before.state !== 'absent' || now.state === 'absent' || now.kind !== 'directory') return undefined;
  for (const name of (await ports.files.list(undo.path)) ?? []) {
    const entry = below(undo.path, name);
    if (ours.has(entry) || (await ports.files.stat(entry))?.kind === 'socket') continue;
    return problem(
      'undo.directory-used',
      `${undo.path} was made by that run and holds ${visible(name)} now, which was not.`,
      'Move it elsewhere, then run waxseal undo again.',
    );
  }
  return undefined;
}

/** Where the target is neither as it was before the run nor as the run left it: somebody has changed it. */
async function editOf(ports: Ports, undo: PathRecord): Promise<Problem | undefined> {
  const now = await observe(ports.files, undo.path);
  if (isSame(now, undo.before) || isSame(now, undo.after)) return undefined;
  return problem(
    'undo.edited',
    `${undo.path} was changed after that run; undoing would lose it.`,
    `Compare it with ${undo.backup === undefined ? 'what you want' : 'its copy in the backups of the run'}, and change it by hand.`,
  );
}

const severalNames = (path: AbsolutePath, links: number): Problem =>
  problem(
    'file.hard-link',
    `${path} has ${links} names (hard links); waxseal would change only one of them.`,
    `Find the others: ${command('find', '/', '-xdev', '-samefile', path)}`,
  );

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
    return [laterRun(later.run, `changed ${shared} too`), ...conflicts];
  }
  return conflicts;
}

async function pathsOf(ports: Ports, run: RunId): Promise<ReadonlySet<string>> {
  const entries = entriesOf(await readJournal(ports, run));
  return new Set(entries.flatMap(({undo}) => (undo.kind === 'path' ? [undo.path] : [])));
}

async function viewOf(
  ports: Ports,
  run: RunId,
  move: Return,
  merged: ReadonlyMap<AbsolutePath, Uint8Array>,
): Promise<ChangeView> {
  if (move.kind === 'package') {
    const {manager, names} = move.undo;
    const brought = await broughtBy(openJournal(ports, run), move.undo);
    const doomed = await broughtAndThere(ports.commands, manager, brought);
    return {
      kind: 'package',
      target: (doomed.length === 0 ? names : doomed).map(name => visible(name)).join(' '),
      action: doomed.length === 0 ? 'nothing: gone already' : `remove what was installed with ${manager}`,
      diff: '',
    };
  }
  if (move.kind === 'service') {
    const [{unit, wasActive, action}] = move.services;
    return {kind: 'service', target: visible(unit), action: wasActive ? action : 'stop', diff: ''};
  }
  return await pathView(ports, run, move.undo, merged.get(move.undo.path));
}

async function pathView(
  ports: Ports,
  run: RunId,
  undo: PathRecord,
  merged: Uint8Array | undefined,
): Promise<ChangeView> {
  const {path, before, after} = undo;
  const target = visible(path);
  const isDirectory = [before, after].some(side => side.state === 'present' && side.kind === 'directory');
  if (before.state === 'absent') {
    const removed = await fileText(ports, undo);
    const diff = isDirectory ? '' : shownDiff(path, removed, undefined);
    return {kind: isDirectory ? 'mkdir' : 'write', target, action: 'remove', diff};
  }
  const how = merged === undefined ? 'put back' : 'put back, merged with later edits';
  const action = `${how}, ${before.uid}:${before.gid} ${octal(before.mode)}`;
  if (isDirectory || undo.backup === undefined) return {kind: 'chown', target, action, diff: ''};
  const old = await openJournal(ports, run).readBackup(undo.backup, before.sha256);
  const diff = shownDiff(path, await fileText(ports, undo), shownOctets(merged ?? old));
  return {kind: diff === '' ? 'chown' : 'write', target, action, diff};
}

async function fileText(ports: Ports, undo: PathRecord): Promise<string | undefined> {
  const now = await observe(ports.files, undo.path);
  return now.state === 'present' && now.kind === 'file' ? shownOctets(now.content) : undefined;
}

function shownDiff(path: string, from: string | undefined, to: string | undefined): string {
  for (const text of [from, to]) {
    if (text !== undefined && holdsPrivateKey(text)) {
      return `${text === from ? '-' : '+'} ${secretNotice(sha256Of(text))}\n`;
    }
  }
  return textDiff(path, from, to);
}
