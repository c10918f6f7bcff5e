/** The look at the host and what it offers: recover, resume, start, or stop. */
import {formatMoment} from '../domain/duration.ts';
import {problem} from '../domain/result.ts';
import {listed} from '../domain/text.ts';
import {advance, draftsOf, needsYes, resumeAnswers, type WhenAnswered} from './asking.ts';
import {finish, finishBlocked, type Next, stopped} from './ending.ts';
import {hostLines, line, problemLines, tell} from './lines.ts';
import type {ApplyResult, LookResult, UnfinishedRun} from './operations.ts';
import {resume} from './publishing.ts';
import type {State} from './state.ts';

/** Decides what is offered. An unfinished run comes before everything else, then obstacles, then a kept setup. */
export function looked(state: State, look: LookResult, then: WhenAnswered): Next {
  const {facts, unfinished} = look;
  const seen: State = tell({...state, facts, unfinished, pending: undefined}, ...hostLines(facts));
  if (unfinished !== undefined) {
    return state.recovered?.id === unfinished.id
      ? finish(seen, 7, stuck(unfinished))
      : offerRecovery(seen, unfinished);
  }
  if (facts.blockers.length > 0) {
    return state.mode.interactive
      ? [
          {
            ...tell(seen, ...facts.blockers.flatMap(each => problemLines('error', each))),
            phase: {at: 'host', offer: 'blocked'},
          },
          [],
        ]
      : finishBlocked(seen);
  }
  const drafted =
    state.mode.interactive && look.draft !== undefined ? {...seen, drafts: draftsOf(look.draft)} : seen;
  return look.pending === undefined ? begin(drafted, then) : offerResume(drafted, look.pending, then);
}

const begin = (state: State, then: WhenAnswered): Next =>
  state.mode.interactive ? [{...state, phase: {at: 'host', offer: 'none'}}, []] : advance(state, then);

const stuck = (run: UnfinishedRun) =>
  problem(
    'run.unfinished',
    `The change "${run.title}" of ${formatMoment(run.startedAt)} could not be brought to an end.`,
    `Its journal and backups are kept under the run ${run.id}; see waxseal undo --list.`,
  );

function offerRecovery(state: State, run: UnfinishedRun): Next {
  const told = tell(
    state,
    line('warn', `A change was cut short: ${run.title}, begun ${formatMoment(run.startedAt)}`),
  );
  if (state.mode.interactive) return [{...told, phase: {at: 'host', offer: 'recover'}}, []];
  return state.mode.yes || state.mode.dryRun
    ? recoverNow(told, run)
    : finish(told, 2, needsYes('A change that was cut short would be put back.'));
}

/** Puts it back; a dry run says that this comes first. */
export const recoverNow = (state: State, run: UnfinishedRun): Next =>
  state.mode.dryRun
    ? finish(
        state,
        5,
        problem('run.unfinished', 'A change that was cut short must be put back first.', 'Run waxseal undo.'),
      )
    : [{...state, phase: {at: 'recovering'}}, [{do: 'recover', run}]];

/** What was cut short is put back: look again, for the host is another one now. */
export function recovered(state: State, result: ApplyResult): Next {
  if (result.failure !== undefined) {
    const changed = {...state, changed: result.failure.whole ? state.changed : ('changing' as const)};
    return finish(changed, result.failure.whole ? 6 : 7, result.failure.problem);
  }
  const back: State = tell(
    {...state, recovered: state.unfinished, unfinished: undefined, changed: 'put-back'},
    line('ok', 'What was cut short was put back'),
  );
  if (state.stopping !== undefined) return finish(back, state.stopping, stopped(back, state.stopping));
  return [{...back, phase: {at: 'looking'}}, [{do: 'look'}]];
}

function offerResume(state: State, pending: NonNullable<LookResult['pending']>, then: WhenAnswered): Next {
  const {facts} = state;
  if (facts === undefined) return [state, []];
  const answers = resumeAnswers(state, pending.answers, facts);
  if (!answers.ok) return state.mode.interactive ? begin(state, then) : finish(state, 2, answers.problem);
  const names = listed(pending.staged.map(each => each.domain));
  if (answers.value === undefined) {
    return begin(
      tell(state, line('info', `The setup of ${names}, left at ${formatMoment(pending.since)}, is kept`)),
      then,
    );
  }
  const kept: State = {...state, pending, answers: answers.value};
  return state.mode.interactive
    ? [{...kept, phase: {at: 'host', offer: 'resume'}}, []]
    : resume(kept, pending);
}

/** A new setup instead of the kept one; its answers are proposed again, but for the selector, which is in use. */
export const startAfresh = (state: State, then: WhenAnswered): Next =>
  advance(
    {
      ...state,
      pending: undefined,
      staged: [],
      stagedFor: '',
      surveys: {},
      drafts: draftsOf(state.answers, ['selector']),
      answers: {},
      accepted: [],
    },
    then,
  );
