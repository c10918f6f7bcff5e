/** Puts back what a run changed: one that was cut off, or one that a person names. */
import {isDeepStrictEqual} from 'node:util';
import {ChangeFailed, UsageError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {
  findUnfinished,
  listUndoable,
  planUndo,
  type RunId,
  type RunSummary,
  recoverRun,
  undoRun,
} from '../../plan/index.ts';
import type {ChangeView} from '../../plan/plan.ts';
import type {Check} from '../../proof/proof.ts';
import {loadState, undoHazard} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {milterReadiness, undoAndCompare} from '../change.ts';
import {recordUndone} from '../key-book.ts';
import {type Dialog, type Shown, sayUndone} from '../run-change.ts';

export type Undoing =
  | {readonly result: 'nothing'}
  | Shown
  /** A dry run that met a run that was cut off. */
  | {readonly result: 'unfinished'; readonly run: RunId}
  /** A run that was cut off is put back, or is finished where it cannot be: `passed` says what it left. */
  | {readonly result: 'recovered'; readonly run: RunId}
  | {readonly result: 'finished'; readonly run: RunId; readonly passed: readonly string[]}
  | {
      readonly result: 'undone';
      readonly title: string;
      readonly changes: readonly ChangeView[];
      /** Whether everybody else is still signed; undefined where that was not to be asked. */
      readonly check: Check | undefined;
    };

/**
 * Puts back the run that was cut off, if there is one; else `run`, or the last that can be undone. The lock is the
 * caller's. Rejects with UsageError, ChangeFailed, Declined or the error of the undo.
 */
export async function undoChange(
  ports: Ports,
  dialog: Dialog,
  options: {readonly run: RunId | undefined; readonly merged: boolean},
  signal: AbortSignal,
): Promise<Undoing> {
  const [unfinished] = await findUnfinished(ports);
  if (unfinished !== undefined) return await recover(ports, dialog, unfinished);
  const run = options.run ?? (await listUndoable(ports))[0]?.run;
  return run === undefined ? {result: 'nothing'} : await undoOne(ports, dialog, run, options.merged, signal);
}

async function recover(ports: Ports, dialog: Dialog, unfinished: RunSummary): Promise<Undoing> {
  const {run, title} = unfinished;
  if (dialog.dryRun) return {result: 'unfinished', run};
  await dialog.agree(
    `Put back the unfinished run ${run} (${visible(title)})?`,
    async () => (await findUnfinished(ports))[0]?.run === run,
  );
  const hooks = {ready: milterReadiness(ports)};
  const back = await recoverRun(ports, unfinished, hooks, sayUndone(dialog));
  if (back.result === 'incomplete') throw back.error;
  return back.result === 'finished'
    ? {result: 'finished', run: back.run, passed: back.passed}
    : {result: 'recovered', run};
}

async function undoOne(
  ports: Ports,
  dialog: Dialog,
  run: RunId,
  merged: boolean,
  signal: AbortSignal,
): Promise<Undoing> {
  const state = await loadState(ports.files);
  const hazard = state.ok ? undoHazard(state.value, run) : undefined;
  if (hazard !== undefined) throw new UsageError(hazard);
  const view = await planUndo(ports, run, {merged});
  if (!view.ok) throw new UsageError(view.problem);
  const {changes, conflicts} = view.value;
  const {title, at, domains} = view.value.run;
  const [conflict] = conflicts;
  if (dialog.dryRun) {
    if (conflict !== undefined) throw new ChangeFailed(conflict);
    return {result: 'shown', changes, further: []};
  }
  if (conflict === undefined) {
    dialog.show(changes, []);
    await dialog.agree(`Undo ${visible(title)} of ${at}?`, async () => {
      const again = await planUndo(ports, run, {merged});
      const isFree = (await findUnfinished(ports)).length === 0;
      return isFree && again.ok && isDeepStrictEqual(again.value.changes, changes);
    });
  }
  // A conflict refuses it again, and this time a merge of what was edited is written for the administrator.
  const hooks = {ready: milterReadiness(ports), merged};
  const {outcome, check} = await undoAndCompare(
    ports,
    domains,
    () => undoRun(ports, run, hooks, sayUndone(dialog)),
    signal,
  );
  if (outcome.result !== 'undone') {
    if (conflict === undefined) throw outcome.error;
    throw new ChangeFailed(problem(outcome.error.id, outcome.error.message, outcome.error.hint));
  }
  await noteUndone(ports, dialog, run);
  return {result: 'undone', title, changes, check};
}

/** The host is as it was: a note that cannot be written is said, but is no failure of that. */
async function noteUndone(ports: Ports, dialog: Dialog, run: RunId): Promise<void> {
  try {
    await recordUndone(ports, run);
  } catch (error) {
    const why = visible(error instanceof Error ? error.message : String(error));
    dialog.say(`waxseal: warning: the host is as it was, but waxseal status does not say so: ${why}`);
  }
}
