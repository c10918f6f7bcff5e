/** From the answers to a record that every server shows: key, record, propagation. */

import {formatPublish, nameOfPublisher, type PublishChoice} from '../dns/publish/index.ts';
import {formatMoment} from '../domain/duration.ts';
import type {Problem} from '../domain/result.ts';
import {listed, visible} from '../domain/text.ts';
import type {HostFacts} from '../services/facts.ts';
import type {KeySpec} from '../system/ports.ts';
import {askedWith, openQuestion} from './asking.ts';
import {finish, type Next, pendingProblem} from './ending.ts';
import {line, problemLines, recordsLines, tell, tellSurveys} from './lines.ts';
import {MANY} from './many.ts';
import type {PendingSetup, PublishedRecord, StagedDomain, StageProgress} from './operations.ts';
import {QUESTION_ORDER, questionOf} from './questions.ts';
import {sizeProblems} from './record-size.ts';
import type {Event, Line, State} from './state.ts';
import {isEnough, isResolverWord, knownByResolver} from './survey-facts.ts';

/** The texts of all answers that make the key or the record what it is. */
const recordKey = (state: State): string =>
  QUESTION_ORDER.filter(id => questionOf(id).inRecord)
    .map(id => `${id}=${questionOf(id).textIn(state.answers) ?? ''}`)
    .join('\n');

/** All questions are answered: makes the keys, or goes on with those that were made from the same answers. */
export function makeKeys(state: State): Next {
  if (state.pending !== undefined)
    return state.staged.length > 0 ? haveKeys(state) : resume(state, state.pending);
  const stagedFor = recordKey(state);
  if (state.staged.length > 0 && state.stagedFor === stagedFor) return haveKeys(state);
  return [
    {
      ...tell(state, ...sizeLines(state)),
      stagedFor,
      surveys: {},
      told: {},
      ready: undefined,
      phase: {at: 'making-key', progress: undefined},
    },
    [
      // A wizard has saved its draft with the last answer. Without one the draft is saved here, so that the same command
      // finds the answers of the keys it left.
      ...(state.mode.interactive || state.mode.dryRun
        ? []
        : [{do: 'save-draft', answers: state.answers} as const]),
      {do: 'stage', answers: state.answers, keep: !state.mode.dryRun, replaces: state.staged},
    ],
  ];
}

/** A record that the provider of the domain cannot store is said before there is a key. */
function sizeLines({answers, domainFacts}: State): readonly Line[] {
  const {key} = answers;
  const spec = key === undefined ? DEFAULT_SPEC : key.source === 'generate' ? key.spec : undefined;
  return spec === undefined
    ? []
    : sizeProblems(spec, answers, domainFacts).flatMap(each => problemLines('warn', each));
}

/** Of many keys every tenth part is a line, for those who see lines only. */
const TENTHS_FROM = 20;

/** One key more is made, or was there already. */
export function keysReady(state: State, progress: StageProgress): State {
  const next: State = {...state, phase: {at: 'making-key', progress}};
  const {done, of} = progress;
  const tenth = (count: number): number => Math.floor((count * 10) / of);
  return of < TENTHS_FROM || tenth(done) === tenth(done - 1)
    ? next
    : tell(next, line('info', `Keys ready: ${done} of ${of}`));
}

const DEFAULT_SPEC: KeySpec = {algorithm: 'rsa', bits: 2048};

/** Keys are made: their records are shown. */
export function staged(state: State, keys: readonly StagedDomain[]): Next {
  const lines = [
    ...madeLines(keys),
    // The record of a dry run belongs to a key that is thrown away: nobody may publish it.
    ...(state.mode.dryRun ? keys.flatMap(key => wouldPublish(state, key)) : recordsLines(keys)),
  ];
  return haveKeys(tell({...state, staged: keys}, ...lines));
}

/** Who would enter what, and where; the value is that of a key that is thrown away. */
function wouldPublish({answers: {publish: choice}}: State, {record}: StagedDomain): readonly Line[] {
  if (choice === undefined || choice.by === 'manual') return [];
  const what = `a TXT record of ${Buffer.byteLength(record.value)} octets at ${record.absoluteName}`;
  return [line('info', `Would be entered by ${nameOfPublisher(choice)}: ${what}, zone ${record.zone}`)];
}

function madeLines(keys: readonly StagedDomain[]): readonly Line[] {
  if (keys.length <= MANY) {
    return keys.map(key =>
      line('ok', `Key made and tested: ${key.domain}, selector ${key.selector}, ${keyName(key)}`),
    );
  }
  const kinds = [...new Set(keys.map(keyName))].join(', ');
  const selectors = [...new Set(keys.map(({selector}) => selector))];
  const named = selectors.length === 1 ? `selector ${selectors[0]}` : `${selectors.length} selectors`;
  return [line('ok', `${keys.length} keys made and tested: ${named}, ${kinds}`)];
}

const keyName = (key: StagedDomain): string => (key.algorithm === 'rsa' ? `RSA ${key.bits} bits` : 'Ed25519');

function haveKeys(state: State): Next {
  if (state.mode.dryRun) return planNow(state);
  return state.mode.interactive ? [atRecord(state), []] : publish(state);
}

export const atRecord = (state: State): State => ({
  ...state,
  phase: {at: 'record', form: 'plain', notice: undefined},
});

/** Takes up a setup that an earlier run left: its keys are there, only the servers are to be asked. */
export function resume(state: State, pending: PendingSetup): Next {
  const open = state.facts === undefined ? undefined : openQuestion(state, state.facts);
  if (open !== undefined) {
    return state.mode.interactive ? [{...state, phase: open.phase}, []] : finish(state, 2, open.why);
  }
  const names = listed(pending.staged.map(each => each.domain));
  const resumed = tell(
    {...state, staged: pending.staged},
    line('info', `Going on with the setup of ${names}, left at ${formatMoment(pending.since)}`),
    ...(state.mode.dryRun
      ? pending.staged.flatMap(key => wouldPublish(state, key))
      : recordsLines(pending.staged)),
  );
  return state.mode.dryRun ? planNow(resumed) : publish(resumed);
}

/** Has the program enter the records that was chosen, once for the same records, and then asks the servers. */
export function publish(state: State): Next {
  const choice = state.answers.publish;
  if (choice === undefined || choice.by === 'manual') return watch(state);
  const key = publicationKey(state, choice);
  if (state.publication?.key === key) return watch(state);
  return [
    {
      ...state,
      publication: {key, failure: undefined},
      phase: {at: 'propagation', startedAt: '', deadlineAt: undefined, publishing: true},
    },
    [{do: 'publish', choice, staged: state.staged}],
  ];
}

const publicationKey = (state: State, choice: PublishChoice): string =>
  [formatPublish(choice), ...state.staged.map(({record}) => `${record.absoluteName} ${record.value}`)].join(
    '\n',
  );

/** The program says that it did its work; only the servers know. */
export const published = (state: State, records: readonly PublishedRecord[]): Next =>
  watch(tell(state, ...records.map(each => line('ok', publishedText(state, each)))));

function publishedText(state: State, {name, outcome}: PublishedRecord): string {
  const choice = state.answers.publish;
  return outcome === 'there'
    ? `${name}: every server has it already`
    : `${name}: entered by ${choice === undefined ? 'a program' : nameOfPublisher(choice)}`;
}

/**
 * Nothing on this host was changed, so this is no failed change: the record is pending. With somebody there the record
 * is shown again with the reason, and can be entered by hand; else the servers are looked at once, since a program may
 * have done its work and still failed.
 */
export function publishFailed(state: State, why: Problem): Next {
  const publication = {key: state.publication?.key ?? '', failure: why};
  const told = tell({...state, publication}, ...problemLines('warn', why));
  if (!told.mode.interactive) return watch(told, 0);
  const notice = `${why.message} ${why.hint} Enter goes on to the servers.`;
  return [{...told, phase: {at: 'record', form: 'plain', notice: visible(notice)}}, []];
}

/** Who enters the record, asked from the record itself. */
export function askPublisher(state: State, facts: HostFacts): Next {
  const question = questionOf('publish');
  const initial =
    question.textIn(state.answers) ??
    facts.publishers?.[0]?.publish ??
    question.suggest(state.answers, facts, {suggestedSelector: undefined});
  return [{...state, phase: {...askedWith('publish', initial), aside: true}}, []];
}

/** The record again with the answer; Enter there runs the program, also once more where it failed before. */
export function publisherAnswered(state: State, facts: HostFacts, text: string): Next {
  const question = questionOf('publish');
  const read = question.accept(text, state.answers, facts);
  if (!read.ok) {
    return [{...state, phase: {...askedWith('publish', text, read.problem), aside: true}}, []];
  }
  const known = tell(
    {...state, answers: read.value, publication: undefined},
    line('info', `${question.title} ${question.textIn(read.value) ?? ''}`),
  );
  return [atRecord(known), state.mode.dryRun ? [] : [{do: 'save-draft', answers: read.value}]];
}

/** Asks the servers, from now until the deadline. */
export const watch = (state: State, deadlineMs = state.mode.waitMs): Next => [
  {...state, phase: {at: 'propagation', startedAt: '', deadlineAt: undefined}},
  [{do: 'watch', staged: state.staged, deadlineMs, resolverOnly: state.resolverOnly}],
];

/**
 * Some domain has nothing but the word of the resolver, and that word is yes: what `trustResolver` would go on by. Never in
 * a rotation: there a key that works is in use, and its successor waits until the servers can be asked.
 */
export const mayTrustResolver = (state: State): boolean =>
  state.mode.command !== 'rotate' &&
  state.phase.at === 'propagation' &&
  !state.resolverOnly &&
  Object.values(state.surveys).some(isResolverWord);

/** From now on the word of the resolver is enough where nobody else can be asked. An explicit choice, said aloud. */
export function trustResolver(state: State): Next {
  if (!mayTrustResolver(state)) return [state, []];
  const chosen = tell(
    {...state, resolverOnly: true},
    line(
      'warn',
      "Going on by the resolver's word only: whether every name server has the record is not known",
    ),
  );
  const [next, effects] = watch(chosen);
  return [next, [{do: 'stop-watching'}, ...effects]];
}

/** News of the servers, kept and told. */
export function surveyed(state: State, event: Extract<Event, {type: 'surveyed'}>): State {
  const fresh = Object.fromEntries(event.surveys.map(({domain, survey}) => [domain, survey]));
  return tellSurveys({...state, surveys: {...state.surveys, ...fresh}}, event.surveys);
}

/** True where the servers of every domain have been seen to agree: a key never signs before that. */
export const allSettled = (state: State): boolean =>
  state.staged.length > 0 &&
  state.staged.every(each => {
    const survey = state.surveys[each.domain];
    return survey !== undefined && isEnough(survey, state.resolverOnly);
  });

/** The watch is over: on to the plan where every record is settled, else exit 3 with the keys kept. */
export function watchEnded(state: State, event: Extract<Event, {type: 'watch-ended'}>): Next {
  if (event.settled && allSettled(state)) {
    const weakly = knownByResolver(state);
    const said =
      weakly.length === 0
        ? line('ok', 'Every authoritative server has the record')
        : line('warn', `Known from the resolver only: ${weakly.map(each => each.domain).join(', ')}`);
    return planNow(tell(state, said));
  }
  return finish(state, 3, state.publication?.failure ?? pendingProblem(state));
}

const planNow = (state: State): Next => [{...state, phase: {at: 'planning'}}, [{do: 'plan'}]];
