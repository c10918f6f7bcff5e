/**
 * The flow: what a state becomes by an event, and what is to be done then. Pure; every event is answered in every
 * phase, and one that does not fit the phase changes nothing. The parts are told in the order a person meets them:
 * arriving, asking, publishing, carrying-out, ending.
 */

import type {ExitCode} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {HostFacts} from '../services/facts.ts';
import {looked, recovered, recoverNow, startAfresh} from './arriving.ts';
import {
  accept,
  advance,
  answersToEdit,
  atQuestion,
  offer,
  previousQuestion,
  refuse,
  refuseChecked,
} from './asking.ts';
import {applied, confirmed, declinedPlan, isEmpty, planned, worked} from './carrying-out.ts';
import {finish, finishBlocked, finishDone, leaveNow, type Next, stopped} from './ending.ts';
import type {Given} from './given.ts';
import {line, recordText, tell} from './lines.ts';
import {
  askPublisher,
  atRecord,
  keysReady,
  makeKeys,
  publish,
  published,
  publisherAnswered,
  publishFailed,
  resume,
  staged,
  surveyed,
  trustResolver,
  watch,
  watchEnded,
} from './publishing.ts';
import {questionOf} from './questions.ts';
import type {Event, Mode, Phase, State} from './state.ts';

type Of<T extends Event['type']> = Extract<Event, {type: T}>;

/** The state before the first look. `given` holds the texts of the flags (see givenFrom). */
export const initialState = (mode: Mode, given: Given = {}): State => ({
  phase: {at: 'looking'},
  mode,
  given,
  answers: {},
  accepted: [],
  facts: undefined,
  pending: undefined,
  unfinished: undefined,
  domainFacts: [],
  suggestedSelector: undefined,
  staged: [],
  publication: undefined,
  resolverOnly: mode.resolverOnly === true,
  surveys: {},
  ready: undefined,
  work: [],
  result: undefined,
  advice: undefined,
  drafts: {},
  consumed: [],
  stagedFor: '',
  installed: [],
  recovered: undefined,
  stopping: undefined,
  appliedAt: undefined,
  told: {},
  lines: [],
  changed: 'nothing',
});

const stay = (state: State): Next => [state, []];

/** The next state and the effects. A finished run stays finished. */
export function reduce(state: State, event: Event): Next {
  if (state.phase.at === 'finished') return stay(state);
  if (state.phase.at === 'leaving') return reduceLeaving(state, state.phase.from, event);
  return step(state, event);
}

/** While "Leave?" is shown, the answer to it counts; work that ends meanwhile goes on below the question. */
function reduceLeaving(state: State, from: Phase, event: Event): Next {
  const under: State = {...state, phase: from};
  switch (event.type) {
    case 'stay':
    case 'back':
      return stay(under);
    case 'leave':
      return leaveNow(under, 130);
    case 'interrupted':
      return leaveNow(under, event.signal === 'SIGINT' ? 130 : 143);
    default: {
      if (isFromUser(event)) return stay(state);
      const [next, effects] = step(under, event);
      return [
        next.phase.at === 'finished' ? next : {...next, phase: {at: 'leaving', from: next.phase}},
        effects,
      ];
    }
  }
}

const isFromUser = (event: Event): boolean =>
  [
    'answered',
    'continued',
    'form-chosen',
    'save-record',
    'noticed',
    'confirmed',
    'declined',
    'edit',
    'recheck',
    'trust-resolver',
  ].includes(event.type);

function step(state: State, event: Event): Next {
  switch (event.type) {
    case 'answered':
      return answered(state, event);
    case 'continued':
      return continued(state);
    case 'back':
      return back(state);
    case 'edit':
      return edit(state, event);
    case 'leave':
      return leave(state, 130);
    case 'stay':
      return stay(state);
    case 'interrupted':
      return event.signal === 'SIGINT' ? leave(state, 130) : leaveNow(state, 143);
    case 'form-chosen':
      return state.phase.at === 'record'
        ? stay({...state, phase: {...state.phase, form: event.form}})
        : stay(state);
    case 'save-record':
      return saveRecord(state, event);
    case 'noticed':
      return state.phase.at === 'record'
        ? stay({...state, phase: {...state.phase, notice: event.text}})
        : stay(state);
    case 'confirmed':
      return state.phase.at === 'plan' ? confirmed(state) : stay(state);
    case 'declined':
      return declined(state);
    case 'recheck': {
      if (state.phase.at !== 'propagation' || state.phase.publishing === true) return stay(state);
      const [next, effects] = watch(state);
      return [next, [{do: 'stop-watching'}, ...effects]];
    }
    case 'trust-resolver':
      return trustResolver(state);
    case 'looked':
      return state.phase.at === 'looking' ? looked(state, event.look, makeKeys) : stay(state);
    case 'recovered':
      return state.phase.at === 'recovering' ? recovered(state, event.result) : stay(state);
    case 'installed':
      return installed(state, event.facts);
    case 'answer-checked':
      return answerChecked(state, event);
    case 'answer-refused':
      return withFacts(state, facts =>
        state.phase.at === 'asking' && state.phase.checking && state.phase.question === event.question
          ? refuseChecked(state, facts, state.phase, event.problem, makeKeys)
          : stay(state),
      );
    case 'stage-progress':
      return state.phase.at === 'making-key' ? stay(keysReady(state, event.progress)) : stay(state);
    case 'staged':
      return state.phase.at === 'making-key' ? staged(state, event.staged) : stay(state);
    case 'published':
      return isPublishing(state.phase) ? published(state, event.records) : stay(state);
    case 'publish-failed':
      return isPublishing(state.phase) ? publishFailed(state, event.problem) : stay(state);
    case 'watch-started':
      return state.phase.at === 'propagation'
        ? stay({...state, phase: {at: 'propagation', startedAt: event.at, deadlineAt: event.deadlineAt}})
        : stay(state);
    case 'surveyed':
      return state.phase.at === 'propagation' ? stay(surveyed(state, event)) : stay(state);
    case 'watch-ended':
      return state.phase.at === 'propagation' ? watchEnded(state, event) : stay(state);
    case 'planned':
      return state.phase.at === 'planning' ? planned(state, event.ready) : stay(state);
    case 'worked':
      return isWorking(state.phase) ? stay(worked(state, event.event)) : stay(state);
    case 'applied':
      return isApplying(state) ? applied(state, event) : stay(state);
    case 'advised':
      return advised(state, event);
    case 'failed':
      return failed(state, event);
  }
}

const isPublishing = (phase: Phase): boolean => phase.at === 'propagation' && phase.publishing === true;

const withFacts = (state: State, use: (facts: HostFacts) => Next): Next =>
  state.facts === undefined ? stay(state) : use(state.facts);

const isWorking = (phase: Phase): boolean =>
  ['recovering', 'installing', 'applying', 'testing', 'rolling-back'].includes(phase.at);

const isApplying = (state: State): boolean =>
  ['applying', 'testing', 'rolling-back'].includes(state.phase.at) && state.result === undefined;

const answered = (state: State, event: Of<'answered'>): Next =>
  withFacts(state, facts =>
    state.phase.at === 'asking' && !state.phase.checking && state.phase.question === event.question
      ? state.phase.aside === true
        ? publisherAnswered(state, facts, event.text)
        : offer(state, facts, event.question, event.text, makeKeys)
      : stay(state),
  );

function answerChecked(state: State, event: Of<'answer-checked'>): Next {
  const {phase, facts} = state;
  if (facts === undefined || phase.at !== 'asking' || !phase.checking || phase.question !== event.question) {
    return stay(state);
  }
  const read = questionOf(event.question).accept(phase.initial, state.answers, facts);
  if (!read.ok) return refuse(state, event.question, phase.initial, read.problem);
  const known: State = {
    ...state,
    domainFacts: event.domainFacts ?? state.domainFacts,
    suggestedSelector: event.suggestedSelector ?? state.suggestedSelector,
  };
  const kept = event.keptSelectors ?? new Map();
  const answers =
    kept.size === 0
      ? read.value
      : {...read.value, selectors: new Map([...kept, ...(read.value.selectors ?? [])])};
  return accept(known, facts, event.question, answers, makeKeys);
}

/** Enter on a screen that shows something. */
function continued(state: State): Next {
  switch (state.phase.at) {
    case 'host':
      return continueFromHost(state, state.phase.offer);
    case 'record':
      return publish(state);
    case 'plan':
      // Where nothing will be changed there is nothing to agree to.
      return state.mode.dryRun || (state.ready !== undefined && isEmpty(state.ready))
        ? confirmed(state)
        : stay(state);
    default:
      return stay(state);
  }
}

function continueFromHost(state: State, offered: Extract<Phase, {at: 'host'}>['offer']): Next {
  switch (offered) {
    case 'none':
      return advance(state, makeKeys);
    case 'blocked':
      return finishBlocked(state);
    case 'recover':
      return state.unfinished === undefined ? stay(state) : recoverNow(state, state.unfinished);
    case 'resume':
      return state.pending === undefined ? stay(state) : resume(state, state.pending);
  }
}

function declined(state: State): Next {
  const {phase} = state;
  if (phase.at === 'plan') return declinedPlan(state);
  if (phase.at !== 'host') return stay(state);
  if (phase.offer === 'resume') return startAfresh(state, makeKeys);
  if (phase.offer !== 'recover') return stay(state);
  const why = 'A change that was cut short was left as it is.';
  return finish(state, 9, problem('declined', why, 'Run waxseal again, or waxseal undo.'));
}

function back(state: State): Next {
  switch (state.phase.at) {
    case 'host':
      return leaveBackwards(state);
    case 'asking':
      if (state.phase.aside === true) return stay(atRecord(state));
      return state.phase.checking ? stay(state) : backToQuestion(state);
    case 'record':
      return backToQuestion(state);
    case 'propagation':
      return [atRecord(state), [{do: 'stop-watching'}]];
    case 'plan':
      return state.mode.dryRun ? backToQuestion(state) : stay(atRecord(state));
    default:
      return stay(state);
  }
}

const backToQuestion = (state: State): Next =>
  withFacts(state, facts => {
    const before = previousQuestion(state, facts);
    if (before !== undefined) return stay(before);
    // Behind the first question stands what was found; a resumed setup has no questions, only the offer to resume.
    return stay({...state, phase: {at: 'host', offer: state.pending === undefined ? 'none' : 'resume'}});
  });

/** Back from the first screen: to the hub, where that is where it came from. */
const leaveBackwards = (state: State): Next =>
  state.mode.fromHub === true ? leaveNow(state, 130) : leave(state, 130);

const edit = (state: State, event: Of<'edit'>): Next =>
  withFacts(state, facts => {
    if (state.phase.at === 'record' && event.question === 'publish') return askPublisher(state, facts);
    const free =
      (state.phase.at === 'asking' && !state.phase.checking) ||
      state.phase.at === 'record' ||
      state.phase.at === 'plan';
    return free && answersToEdit(state, facts).includes(event.question)
      ? stay(atQuestion(state, facts, event.question))
      : stay(state);
  });

/** Leaving by key: asked once more where somebody can answer, but never while the host is being changed. */
function leave(state: State, code: 130): Next {
  const asks = state.mode.interactive && !isWorking(state.phase) && !isBlocked(state.phase);
  return asks ? stay({...state, phase: {at: 'leaving', from: state.phase}}) : leaveNow(state, code);
}

const isBlocked = (phase: Phase): boolean => phase.at === 'host' && phase.offer === 'blocked';

function saveRecord(state: State, event: Of<'save-record'>): Next {
  if (state.phase.at !== 'record') return stay(state);
  const {form} = state.phase;
  const text = `${state.staged.map(each => recordText(each.record, form)).join('\n')}\n`;
  return [state, [{do: 'save-record', path: event.path, text}]];
}

function installed(state: State, facts: HostFacts): Next {
  if (state.phase.at !== 'installing') return stay(state);
  const names = state.facts?.missingPackages.filter(name => !facts.missingPackages.includes(name)) ?? [];
  const next: State = tell(
    {...state, facts, installed: [...state.installed, ...names], changed: 'packages'},
    line('ok', `Packages installed: ${names.join(' ')}`),
  );
  if (state.stopping !== undefined) return finish(next, state.stopping, stopped(next, state.stopping));
  if (facts.blockers.length > 0) return finishBlocked(next);
  if (facts.missingPackages.length > 0) {
    const why = `Packages are still missing: ${facts.missingPackages.join(' ')}.`;
    return finish(next, 5, problem('package.missing', why, 'Install them yourself, then run again.'));
  }
  return advance(next, makeKeys);
}

function advised(state: State, event: Of<'advised'>): Next {
  if (state.phase.at !== 'testing' || state.result === undefined) return stay(state);
  const lines = event.advice.lines.map(each => line('info', each.text));
  return finishDone(tell({...state, advice: event.advice}, ...lines));
}

/** A job could not do its work. Bad news about an answer is shown at its question; advice that fails spoils nothing. */
function failed(state: State, event: Of<'failed'>): Next {
  const {phase} = state;
  if (state.result?.applied === true) {
    return finishDone(tell(state, line('warn', `No advice: ${event.problem.message}`)));
  }
  if (phase.at === 'asking' && phase.checking && state.mode.interactive && event.exitCode !== 1) {
    return refuse(state, phase.question, phase.initial, event.problem);
  }
  const left: State = {...state, changed: changedAfterFailure(state, event.exitCode)};
  const asked = event.exitCode === 130 || event.exitCode === 143;
  return asked && state.stopping !== undefined
    ? finish(left, state.stopping, stopped(left, state.stopping))
    : finish(left, event.exitCode, event.problem);
}

// Exit 6, 130 and 143 promise that all was put back, 7 that it was not; any other failure says nothing about it.
function changedAfterFailure(state: State, exitCode: ExitCode): State['changed'] {
  if (exitCode === 7) return 'changing';
  return state.changed === 'changing' && [6, 130, 143].includes(exitCode) ? 'put-back' : state.changed;
}
