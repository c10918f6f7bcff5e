import {ChangeFailed} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Ports} from '../system/ports.ts';
import {type ApplyOutcome, incompleteError, takeBack} from './apply.ts';
import {openJournal} from './journal.ts';
import type {ApplyEvent, RunId} from './plan.ts';
import {isUnfinished, listRuns, type RunSummary} from './runs.ts';
import type {Ready} from './service-state.ts';

/** Runs that were cut off (kill -9, power), newest first: the order in which they must be taken back. */
export const findUnfinished = async (ports: Pick<Ports, 'files'>): Promise<readonly RunSummary[]> =>
  (await listRuns(ports)).filter(isUnfinished).reverse();

export type Recovery =
  | Extract<ApplyOutcome, {result: 'rolled-back' | 'incomplete'}>
  /** It was cut off behind its point of no return: what it destroyed or published stays so, a sentence each. */
  | {readonly result: 'finished'; readonly run: RunId; readonly passed: readonly string[]};

/**
 * Takes back what a cut-off run changed, or finishes a cut-off undo: both end in the state before that run. The
 * caller holds the lock of the host: the run is dead, not at work. An emergency measure: it may be repeated until it is whole.
 */
export async function recoverRun(
  ports: Ports,
  run: RunSummary,
  {ready}: {readonly ready: Ready},
  emit: (event: ApplyEvent) => void,
): Promise<Recovery> {
  emit({type: 'rolling-back', because: `Run ${run.run} was cut off before its end.`});
  const end = run.status === 'undoing' ? 'undone' : 'rolled-back';
  const back = await takeBack(ports, openJournal(ports, run.run), ready, emit, end);
  const {kept} = back;
  if (back.whole && back.passed !== undefined) return {result: 'finished', run: run.run, passed: back.passed};
  if (!back.whole)
    return {result: 'incomplete', run: run.run, error: incompleteError(run.run, cutOff(run), back), kept};
  const because = problem(
    'run.unfinished',
    `Run ${run.run} was cut off before its end. Everything was put back.`,
    'Run waxseal again to do it anew.',
  );
  return {result: 'rolled-back', run: run.run, error: new ChangeFailed(because), kept};
}

const cutOff = (run: RunSummary): ChangeFailed =>
  new ChangeFailed(
    problem('run.unfinished', `Run ${run.run} was cut off before its end.`, 'Run waxseal again.'),
  );
