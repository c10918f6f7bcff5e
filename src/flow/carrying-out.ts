/** The plan, the one-way door, and what comes after it. */
import type {ExitCode} from '../domain/errors.ts';
import {type Problem, problem} from '../domain/result.ts';
import {listed} from '../domain/text.ts';
import {needsYes} from './asking.ts';
import {changedSentence, finish, finishDone, type Next, stopped} from './ending.ts';
import {line, problemLines, tell, workLines} from './lines.ts';
import {changeGroups, groupText, MANY_CHANGES} from './many.ts';
import type {ApplyResult, PlanReady, WorkEvent} from './operations.ts';
import {allSettled} from './publishing.ts';
import type {Event, Line, Phase, State} from './state.ts';

/** True where the host is right already and only the live test is left. */
export const isEmpty = (ready: PlanReady): boolean => ready.plan.steps.length === 0;

/** Why this plan must not be applied; undefined where it may. */
export function applyRefusal(state: State): Problem | undefined {
  const {ready} = state;
  if (ready === undefined) return problem('plan.missing', 'There is no plan yet.', '');
  const failed = ready.preflight.checks.find(check => check.status === 'fail');
  if (failed !== undefined) {
    return problem(
      'preflight.failed',
      `The new configuration does not sign in a trial: ${failed.cause === '' ? failed.title : failed.cause} ${changedSentence(state)}`,
      failed.fix,
    );
  }
  if (!state.mode.dryRun && !allSettled(state)) {
    return problem(
      'record.pending',
      'The record is not yet on every authoritative server.',
      'Wait for it first.',
    );
  }
  return undefined;
}

/** Before the first step nothing has failed yet: the record is pending, or the host has to be mended first. */
const refusalCode = ({id}: Problem): ExitCode => (id === 'record.pending' ? 3 : 5);

/** The plan is ready: it is shown, or goes on by itself where nobody is asked. */
export function planned(state: State, ready: PlanReady): Next {
  const lines = [
    ...ready.remarks.flatMap(remark => problemLines('warn', remark)),
    ...(isEmpty(ready) ? [line('info', 'Nothing to change on this host')] : changesLines(ready)),
  ];
  const next = tell({...state, ready, phase: {at: 'plan'}}, ...lines);
  if (state.mode.interactive) return [next, []];
  const refusal = applyRefusal(next);
  if (refusal !== undefined) return finish(next, refusalCode(refusal), refusal);
  if (state.mode.dryRun) return finish(next, 0);
  if (!state.mode.yes && !isEmpty(ready)) return finish(next, 2, needsYes('The host would be changed.'));
  return applyNow(next, ready);
}

/** Of many changes the kinds, with how many there are of each; the diffs name every one. */
const changesLines = ({changes}: PlanReady): readonly Line[] =>
  changes.length < MANY_CHANGES
    ? changes.map(change => line('info', `To ${change.action}: ${change.target}`))
    : changeGroups(changes).map(group => line('info', `To do ${groupText(group)}`));

/** The user agreed. A plan that failed its trial, or a dry run, goes no further. */
export function confirmed(state: State): Next {
  const {ready} = state;
  if (ready === undefined) return [state, []];
  const refusal = applyRefusal(state);
  if (refusal !== undefined) return finish(state, refusalCode(refusal), refusal);
  return state.mode.dryRun ? finish(state, 0) : applyNow(state, ready);
}

const applyNow = (state: State, ready: PlanReady): Next => [
  {
    ...state,
    work: [],
    phase: isEmpty(ready)
      ? {at: 'testing'}
      : {at: 'applying', index: 0, of: ready.plan.steps.length, step: ''},
  },
  [{do: 'apply', ready}],
];

export const declinedPlan = (state: State): Next => {
  const refusal = applyRefusal(state);
  if (refusal !== undefined) return finish(state, refusalCode(refusal), refusal);
  const {hint} = stopped(state, 130);
  return finish(state, 9, problem('declined', `The plan was declined. ${changedSentence(state)}`, hint));
};

/** An event of the running change: where it stands, and whether anything on the host is touched. */
export function worked(state: State, event: WorkEvent): State {
  const next = tell({...state, work: heard(state.work, event)}, ...workLines(event, state.ready?.plan.steps));
  const phase = phaseAfter(state.phase, event);
  const changed = changedAfter(state, event);
  return {...next, phase, changed};
}

/**
 * The events so far. Of many steps, which are taken in order, the last that began or ended stands for those before it:
 * keeping twenty thousand of them would copy as many for each.
 */
function heard(work: readonly WorkEvent[], event: WorkEvent): readonly WorkEvent[] {
  const last = work.at(-1);
  const isFollowed = isProgress(event) && event.of >= MANY_CHANGES && last !== undefined && isProgress(last);
  return isFollowed ? [...work.slice(0, -1), event] : [...work, event];
}

type Progress = Extract<WorkEvent, {type: 'step-started' | 'step-done'}>;

const isProgress = (event: WorkEvent): event is Progress =>
  event.type === 'step-started' || event.type === 'step-done';

function phaseAfter(phase: Phase, event: WorkEvent): Phase {
  if (phase.at !== 'applying' && phase.at !== 'testing') return phase;
  switch (event.type) {
    case 'step-started':
      return {at: 'applying', index: event.index, of: event.of, step: event.step};
    case 'proof-started':
      return {at: 'testing'};
    case 'rolling-back':
      return {at: 'rolling-back', because: event.because};
    default:
      return phase;
  }
}

const changedAfter = (state: State, event: WorkEvent): State['changed'] =>
  event.type === 'step-started' ? 'changing' : state.changed;

/** The change and its proof have ended, one way or the other. */
export function applied(state: State, event: Extract<Event, {type: 'applied'}>): Next {
  const {result} = event;
  const next: State = {...state, result, changed: changedBy(state, result), appliedAt: event.at};
  if (result.applied && result.failure === undefined) {
    const late =
      state.stopping === undefined ? [] : [line('warn', 'It was too late to stop: the change is complete')];
    const done = tell({...next, phase: {at: 'testing'}}, line('ok', doneText(next, result)), ...late);
    return state.stopping === undefined ? [done, [{do: 'advise'}]] : finishDone(done);
  }
  // Diffs are made harmless where they are made, and keep their tabs.
  const shown = (result.failure?.differences ?? []).flatMap(diff => diff.trimEnd().split('\n'));
  const told = tell(next, ...shown.map(text => ({kind: 'info', text}) as const));
  return finish(told, failureCode(state, result), failureProblem(next, result));
}

const doneText = (state: State, result: ApplyResult): string =>
  `${result.changed ? 'Set up and tested' : 'Nothing had to be changed; the live test passed'}: ${listed(
    state.staged.map(each => each.domain),
  )}`;

function changedBy(state: State, result: ApplyResult): State['changed'] {
  const touched = state.changed === 'changing';
  if (result.failure?.whole === false) return 'changing';
  if (result.failure === undefined && result.applied)
    return touched || result.changed ? 'changed' : state.changed;
  return touched ? 'put-back' : state.changed;
}

function failureCode(state: State, result: ApplyResult): ExitCode {
  if (result.failure?.whole === false) return 7;
  if (result.interrupted || (state.stopping !== undefined && result.failure === undefined))
    return state.stopping ?? 130;
  // With nothing to change there was no change that could fail: the test found a problem.
  return state.ready !== undefined && isEmpty(state.ready) ? 4 : 6;
}

function failureProblem(state: State, result: ApplyResult): Problem {
  if (result.failure !== undefined) return withRemains(result.failure.problem, result.failure.remains);
  if (result.interrupted || state.stopping !== undefined) return stopped(state, state.stopping ?? 130);
  return problem('change.failed', `The change did not come about. ${changedSentence(state)}`, '');
}

const withRemains = (why: Problem, remains: readonly string[]): Problem =>
  remains.length === 0 ? why : {...why, hint: [why.hint, `Remains: ${remains.join('; ')}`].join(' ').trim()};
