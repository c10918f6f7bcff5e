/** Asking and answering. The position is derived: the first question that applies and has no accepted answer. */
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {listed} from '../domain/text.ts';
import type {HostFacts} from '../services/facts.ts';
import {type Answers, type QuestionId, selectorFor} from './answers.ts';
import {finish, type Next} from './ending.ts';
import {line, tell} from './lines.ts';
import {nextSelector, QUESTION_ORDER, questionOf} from './questions.ts';
import {startExitCode} from './setup-rule.ts';
import type {Effect, Phase, State} from './state.ts';

type Asking = Extract<Phase, {at: 'asking'}>;

/** What to do next once every question is answered; given by the caller so that this file knows nothing of keys. */
export type WhenAnswered = (state: State) => Next;

const byOrder = (ids: readonly QuestionId[]): readonly QuestionId[] =>
  QUESTION_ORDER.filter(id => ids.includes(id));

/** The first question without an answer; a flag brings its question up even where the wizard would skip it. */
function nextQuestion(state: State, facts: HostFacts): QuestionId | undefined {
  return QUESTION_ORDER.find(
    id =>
      !state.accepted.includes(id) &&
      concerns(state, id) &&
      (questionOf(id).applies(state.answers, facts) ||
        (unusedGiven(state, id) !== undefined && isBroughtUp(id))),
  );
}

const isBroughtUp = (id: QuestionId): boolean => {
  const {silent, dependsOn} = questionOf(id);
  return silent === true || dependsOn.includes('settings');
};

/** A rotation changes keys, and nothing about who signs: what was left beside ours at set-up stays. */
const concerns = ({mode}: State, id: QuestionId): boolean =>
  mode.command !== 'rotate' || id !== 'otherSigner';

const unusedGiven = (state: State, id: QuestionId): string | undefined =>
  state.consumed.includes(id) ? undefined : state.given[id];

/** Goes to the next open question, answers it from a flag or by default where it can be, or goes on to `then`. */
export function advance(state: State, then: WhenAnswered): Next {
  const {facts} = state;
  if (facts === undefined) return [state, []];
  const id = nextQuestion(state, facts);
  if (id === undefined) return then(state);
  const given = unusedGiven(state, id);
  if (given !== undefined) return offer(consume(state, id), facts, id, given, then);
  if (state.mode.interactive) return [{...state, phase: ask(state, facts, id)}, []];
  const missing = missingAnswer(state, facts, id);
  return missing === undefined
    ? offer(state, facts, id, suggestionFor(state, facts, id), then)
    : finish(state, 2, missing);
}

const consume = (state: State, id: QuestionId): State => ({...state, consumed: [...state.consumed, id]});

const suggestionFor = (state: State, facts: HostFacts, id: QuestionId): string =>
  questionOf(id).suggest(state.answers, facts, {suggestedSelector: state.suggestedSelector});

/** The question with a text in its field. */
export const askedWith = (question: QuestionId, initial: string, problem?: Problem): Asking => ({
  ...{at: 'asking', question, initial, problem, checking: false},
});

const ask = (state: State, facts: HostFacts, id: QuestionId): Asking =>
  askedWith(id, state.drafts[id] ?? suggestionFor(state, facts, id));

/** Why nobody but a person can answer: a free text may well be empty (no note, no hosts), the rest is never guessed. */
function missingAnswer(state: State, facts: HostFacts, id: QuestionId): Problem | undefined {
  const question = questionOf(id);
  const asked = `Without a terminal this needs an answer: ${question.title}`;
  const hint = `Give ${question.flag ?? id}${question.metavar === undefined ? '' : ` ${question.metavar}`}.`;
  if (question.required) return problem('answer.missing', asked, hint);
  if (suggestionFor(state, facts, id) !== '') return undefined;
  const empty = question.accept('', state.answers, facts);
  return empty.ok ? undefined : problem('answer.missing', `${asked} ${empty.problem.message}`, hint);
}

/** Tries a text as the answer to a question: refused, sent to be checked, or accepted at once. */
export function offer(
  state: State,
  facts: HostFacts,
  id: QuestionId,
  text: string,
  then: WhenAnswered,
): Next {
  const question = questionOf(id);
  const read = question.accept(text, state.answers, facts);
  if (!read.ok) return refuse(state, id, text, read.problem);
  if (!question.checked || isOurs(state, id, read.value)) return accept(state, facts, id, read.value, then);
  return [
    {...state, phase: {...askedWith(id, text), checking: true}},
    [{do: 'check-answer', question: id, answers: read.value}],
  ];
}

// A selector that this run staged is "taken" by itself: keeping it is no collision.
const isOurs = (state: State, id: QuestionId, answers: Answers): boolean =>
  id === 'selector' &&
  state.staged.length > 0 &&
  state.staged.every(each => each.selector === selectorFor(answers, each.domain)) &&
  (answers.domains ?? []).every(domain => state.staged.some(each => each.domain === domain));

/** Shows why an answer is not taken; without a terminal that is the end, and the hint names the flag. */
export function refuse(state: State, id: QuestionId, text: string, why: Problem): Next {
  if (!state.mode.interactive) return finish(state, startExitCode(why) ?? 2, namingFlag(id, why));
  return [{...state, phase: askedWith(id, text, why)}, []];
}

function namingFlag(id: QuestionId, why: Problem): Problem {
  if (startExitCode(why) !== undefined) return why;
  const flags = questionOf(id).flags.map(each => each.flag);
  if (flags.length === 0 || flags.some(name => why.hint.includes(name))) return why;
  return {...why, hint: `${why.hint}${why.hint === '' ? '' : ' '}(${flags.join(', ')})`};
}

/** Refusal by the world. A name that was only proposed is replaced by the next one rather than refused. */
export function refuseChecked(
  state: State,
  facts: HostFacts,
  asking: Asking,
  why: Problem,
  then: WhenAnswered,
): Next {
  const proposed = asking.question === 'selector' && asking.initial === state.suggestedSelector;
  const next =
    proposed && why.id === 'selector.taken' && state.suggestedSelector !== undefined
      ? nextSelector(state.suggestedSelector)
      : undefined;
  if (next === undefined) return refuse(state, asking.question, asking.initial, why);
  const renamed = {...state, suggestedSelector: next};
  return state.mode.interactive
    ? refuse(renamed, asking.question, next, why)
    : offer(renamed, facts, asking.question, next, then);
}

/** Takes an answer and goes on. Answers that hang on it are looked at again. */
export function accept(
  state: State,
  facts: HostFacts,
  id: QuestionId,
  answers: Answers,
  then: WhenAnswered,
): Next {
  const question = questionOf(id);
  const text = question.textIn(answers) ?? '';
  const {[id]: _used, ...drafts} = state.drafts;
  const changed = text !== (state.drafts[id] ?? state.given[id] ?? text);
  const taken: State = tell(
    {...state, answers, drafts, accepted: byOrder([...state.accepted, id])},
    line('info', `${question.title} ${text === '' ? '(none)' : echoed(id, text)}`),
  );
  const settled = id === 'settings' ? withoutSettings(taken) : taken;
  const looked = changed || id === 'settings' ? reviewDependants(settled, facts, id) : settled;
  if (id === 'install') return afterInstall(looked, facts);
  // What a kept setup leaves open is one question; the others were answered when it was begun.
  const [next, effects] = looked.pending === undefined ? advance(looked, then) : then(looked);
  return [next, [...draftEffect(looked), ...effects]];
}

/** An answer as it is told; of a list of thousands the first names. */
const echoed = (id: QuestionId, text: string): string =>
  id === 'domains' || id === 'selectors' ? listed(text.split(',')) : text;

// Only a wizard can be left and taken up again; a dry run leaves nothing behind.
const draftEffect = (state: State): readonly Effect[] =>
  state.mode.interactive && !state.mode.dryRun ? [{do: 'save-draft', answers: state.answers}] : [];

function afterInstall(state: State, facts: HostFacts): Next {
  const names = facts.missingPackages.join(' ');
  if (state.answers.install !== true) {
    const why = problem(
      'package.missing',
      `Packages are missing on this host: ${names}.`,
      'Run again with --install, or install them yourself.',
    );
    return finish(state, state.mode.interactive ? 9 : 5, why);
  }
  if (state.mode.dryRun) {
    return finish(
      tell(state, line('info', `Would install: ${names}; the rest of the plan is known afterwards`)),
      0,
    );
  }
  if (!state.mode.interactive && !state.mode.yes)
    return finish(state, 2, needsYes('Packages would be installed.'));
  return [{...state, phase: {at: 'installing'}}, [{do: 'install', facts}]];
}

export const needsYes = (what: string): Problem =>
  problem(
    'agreement.missing',
    `${what} Without a terminal nobody can agree to it.`,
    'Agree with --yes, or look with --dry-run.',
  );

// "Recommended" takes back what was chosen one by one; what flags gave comes up again by itself.
function withoutSettings(state: State): State {
  if (state.answers.settings !== 'recommended') return state;
  const own = QUESTION_ORDER.filter(id => questionOf(id).dependsOn.includes('settings'));
  return {
    ...state,
    answers: without(state.answers, own),
    accepted: state.accepted.filter(id => !own.includes(id)),
    consumed: state.consumed.filter(id => !own.includes(id)),
  };
}

/** The answers but those to `ids`. */
export function without(answers: Answers, ids: readonly QuestionId[]): Answers {
  return Object.fromEntries(
    Object.entries(answers).filter(([id]) => !ids.includes(id as QuestionId)),
  ) as Answers;
}

/**
 * Answers that depend on a changed one become drafts where they are no longer valid, have to be checked against the
 * world again, or were only the old suggestion.
 */
function reviewDependants(state: State, facts: HostFacts, changed: QuestionId): State {
  let next = state;
  for (const id of QUESTION_ORDER) {
    const question = questionOf(id);
    if (!question.dependsOn.includes(changed)) continue;
    const draft = next.drafts[id];
    // A draft of a checked answer was proposed for the old world: the new proposal takes its place.
    if (draft !== undefined && question.checked) next = {...next, drafts: dropDraft(next, id)};
    if (!next.accepted.includes(id)) continue;
    const text = question.textIn(next.answers) ?? '';
    const still = question.accept(text, next.answers, facts);
    if (still.ok && !question.checked) continue;
    next = {...unaccept(next, id), drafts: dropDraft(next, id)};
  }
  return next;
}

const dropDraft = (state: State, id: QuestionId): State['drafts'] => {
  const {[id]: _dropped, ...rest} = state.drafts;
  return rest;
};

/** Makes an accepted answer a draft. */
function unaccept(state: State, id: QuestionId): State {
  const text = questionOf(id).textIn(state.answers);
  return {
    ...state,
    answers: without(state.answers, [id]),
    accepted: state.accepted.filter(other => other !== id),
    consumed:
      state.consumed.includes(id) || state.given[id] === undefined ? state.consumed : [...state.consumed, id],
    drafts: text === undefined ? state.drafts : {...state.drafts, [id]: text},
  };
}

/** Whose key is rotated is said by the command: another domain would be another command. */
const isFixed = ({mode}: Pick<State, 'mode'>, id: QuestionId): boolean =>
  mode.command === 'rotate' && id === 'domains';

/** The state at the question before, or undefined where this is the first; questions that do not apply are walked over. */
export function previousQuestion(state: State, facts: HostFacts): State | undefined {
  const here =
    state.phase.at === 'asking' ? QUESTION_ORDER.indexOf(state.phase.question) : QUESTION_ORDER.length;
  const id = [...state.accepted]
    .reverse()
    .find(
      each =>
        QUESTION_ORDER.indexOf(each) < here &&
        !isFixed(state, each) &&
        questionOf(each).applies(state.answers, facts),
    );
  return id === undefined ? undefined : atQuestion(state, facts, id);
}

/** Answers that a person may still give anew, in the order of the questions. */
export const answersToEdit = (
  state: Pick<State, 'answers' | 'accepted' | 'mode'>,
  facts: HostFacts,
): readonly QuestionId[] =>
  state.mode.interactive
    ? byOrder(state.accepted).filter(
        id => !isFixed(state, id) && questionOf(id).applies(state.answers, facts),
      )
    : [];

/** The state at an answered question, its answer as a draft. */
export function atQuestion(state: State, facts: HostFacts, id: QuestionId): State {
  const open = unaccept(state, id);
  return {...open, phase: ask(open, facts, id)};
}

/** Drafts from the answers of an earlier run. */
export function draftsOf(answers: Answers, leaveOut: readonly QuestionId[] = []): State['drafts'] {
  const drafts: Partial<Record<QuestionId, string>> = {};
  for (const id of QUESTION_ORDER) {
    const text = leaveOut.includes(id) ? undefined : questionOf(id).textIn(answers);
    if (text !== undefined) drafts[id] = text;
  }
  return drafts;
}

/**
 * The answers of a kept setup with what the flags give now; a Problem where a flag is wrong, and undefined where the
 * flags ask for another key or record than the kept one.
 */
export function resumeAnswers(state: State, kept: Answers, facts: HostFacts): Result<Answers | undefined> {
  let answers = kept;
  for (const id of QUESTION_ORDER) {
    const text = state.given[id];
    if (text === undefined || id === 'install') continue;
    const question = questionOf(id);
    const read = question.accept(text, answers, facts);
    if (!read.ok) return fail(namingFlag(id, read.problem));
    const before = question.textIn(kept) ?? question.suggest(kept, facts, {suggestedSelector: undefined});
    if (question.inRecord && !sameList(question.textIn(read.value) ?? '', before)) return ok(undefined);
    answers = read.value;
  }
  return ok(answers);
}

/**
 * What the answers of a kept setup leave open and nobody may guess, since the host is another one now; with the problem
 * where nobody can be asked.
 */
export function openQuestion(
  state: State,
  facts: HostFacts,
): {readonly phase: Phase; readonly why: Problem} | undefined {
  for (const id of QUESTION_ORDER) {
    const question = questionOf(id);
    if (!concerns(state, id) || question.textIn(state.answers) !== undefined) continue;
    if (!question.applies(state.answers, facts)) continue;
    const why = missingAnswer(state, facts, id);
    if (why !== undefined) return {phase: ask(state, facts, id), why};
  }
  return undefined;
}

const sameList = (left: string, right: string): boolean =>
  left.split(',').sort().join(',') === right.split(',').sort().join(',');
