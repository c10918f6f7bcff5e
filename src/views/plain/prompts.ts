/** What each phase asks of a person, and what a typed line means there. Text in, events out; no streams. */

import {formatMoment} from '../../domain/duration.ts';
import {parseAbsolutePath} from '../../domain/paths.ts';
import {folded, visible} from '../../domain/text.ts';
import type {QuestionId} from '../../flow/answers.ts';
import {answersToEdit} from '../../flow/asking.ts';
import {applyRefusal, isEmpty} from '../../flow/carrying-out.ts';
import {delegationText} from '../../flow/delegation-text.ts';
import {changedSentence, leaveQuestion} from '../../flow/ending.ts';
import {recordText} from '../../flow/lines.ts';
import {publisherName, publishesItself} from '../../flow/publisher-name.ts';
import {mayTrustResolver} from '../../flow/publishing.ts';
import {type Choice, choicesIn, type Question, questionOf} from '../../flow/questions.ts';
import type {Event, Phase, RecordFormId, ScreenId, State} from '../../flow/state.ts';
import {where} from '../../flow/where.ts';

type At<P extends Phase['at']> = Extract<Phase, {at: P}>;

const SCREEN_NAMES: Readonly<Record<ScreenId, string>> = {
  look: 'this host',
  domain: 'domain',
  selector: 'selector',
  key: 'key',
  record: 'DNS record',
  propagation: 'waiting for the DNS',
  plan: 'plan',
  apply: 'apply',
  test: 'live test',
  summary: 'summary',
};

/** `Step 4 of 10: key. Nothing was changed.` */
export function headerText(state: State): string {
  const {screen, index, of} = where(state);
  return `\nStep ${index} of ${of}: ${SCREEN_NAMES[screen]}. ${changedSentence(state)}\n`;
}

/** What is asked now; undefined where the work goes on by itself. Ends with `> ` where an answer is awaited. */
export function promptText(state: State): string | undefined {
  const {phase} = state;
  switch (phase.at) {
    case 'host':
      return hostPrompt(state, phase);
    case 'asking':
      return phase.checking ? undefined : questionPrompt(state, phase);
    case 'record':
      return recordPrompt(state);
    case 'propagation':
      return `Asking the servers again and again. Enter: ask now.${mayTrustResolver(state) ? TRUST_HINT : ''} b: back. q: leave, the key is kept.\n`;
    case 'plan':
      return planPrompt(state);
    case 'leaving': {
      const {title, text} = leaveQuestion(state);
      return `${title} ${text}\ny: leave. n or Enter: stay.\n> `;
    }
    default:
      return undefined;
  }
}

const TRUST_HINT = " w: go on by the resolver's word only.";

function hostPrompt(state: State, phase: At<'host'>): string {
  switch (phase.offer) {
    case 'none':
      return 'Enter: go on. q: leave.\n> ';
    case 'blocked':
      return 'waxseal cannot work on this host yet. Enter: leave.\n> ';
    case 'recover':
      return 'It has to be put back before anything else. Enter: put it back. n: leave it as it is.\n> ';
    case 'resume': {
      const names = (state.pending?.staged ?? []).map(each => each.domain).join(', ');
      return `A setup of ${names} waits for the DNS since ${visible(formatMoment(state.pending?.since ?? ''))}.\nEnter: go on with it. n: set up something else. q: leave.\n> `;
    }
  }
}

const mayBeEmpty = (state: State, question: Question): boolean =>
  state.facts !== undefined && question.accept('', state.answers, state.facts).ok;

/** What Enter answers: what stands there, or the suggestion where that has just been refused for good. */
function enterText({answers, facts, suggestedSelector}: State, question: Question, initial: string): string {
  return facts === undefined || question.accept(initial, answers, facts).ok
    ? initial
    : question.suggest(answers, facts, {suggestedSelector});
}

function questionPrompt(state: State, phase: At<'asking'>): string {
  const question = questionOf(phase.question);
  const choices = choicesIn(state, question);
  const problem =
    phase.problem === undefined
      ? ''
      : `error: ${visible(phase.problem.message)}\nhint: ${visible(phase.problem.hint)}\n`;
  const listed = choices.map((choice, at) => `  ${at + 1}. ${choiceText(choice)}\n`).join('');
  const text = enterText(state, question, phase.initial);
  const chosen = choices.findIndex(choice => choice.value === text);
  const enter = chosen >= 0 ? String(chosen + 1) : text === '' ? 'none' : visible(text);
  const how =
    choices.length === 0
      ? `Type it (for example ${question.placeholder}).`
      : question.free
        ? `Answer with a number, or type it (for example ${question.placeholder}).`
        : 'Answer with a number.';
  const none = text !== '' && mayBeEmpty(state, question) ? ' -: none.' : '';
  return `${problem}${question.title}\n${listed}${how} Enter: ${enter}.${none} ?: help. b: back. q: leave.\n> `;
}

const choiceText = (choice: Choice): string =>
  choice.disabled === undefined
    ? `${choice.label}${choice.hint === '' ? '' : ` (${choice.hint})`}`
    : `${choice.label} (not available: ${choice.disabled})`;

const FORMS: readonly (readonly [RecordFormId, string])[] = [
  ['plain', 'value only'],
  ['zone-file', 'zone file'],
  ['zone-file-wrapped', 'zone file, short lines'],
  ['nsupdate', 'nsupdate'],
  ['json', 'JSON'],
];

function recordPrompt({answers}: State): string {
  const forms = FORMS.map(([, name], at) => `${at + 1} ${name}`).join(', ');
  const enter = publishesItself(answers)
    ? `Enter: ${publisherName(answers)} publishes it. p: or who else.`
    : 'Enter: it is published, ask the servers. p: have a program publish it.';
  return `Forms: ${forms}.\n${enter} s PATH: save to a file. d ZONE: as an alias into that zone.
b: back. q: leave, the key is kept.\n> `;
}

function planPrompt(state: State): string {
  const edit = answersOf(state).length === 0 ? '' : ' c: change an answer.';
  const refusal = applyRefusal(state);
  if (refusal !== undefined) {
    return `error: ${visible(refusal.message)}\nhint: ${visible(refusal.hint)}\nb: back.${edit} n: end.\n> `;
  }
  if (state.mode.dryRun) return `A dry run ends here. Enter: end. b: back.${edit}\n> `;
  if (state.ready !== undefined && isEmpty(state.ready)) {
    return `This host is right already. Enter: run the live test. b: back.${edit} q: leave.\n> `;
  }
  return `Apply this? From here on a failure puts everything back.\nType yes to apply. b: back.${edit} n: decline. q: leave.\n> `;
}

const answersOf = (state: State): readonly QuestionId[] =>
  state.facts === undefined ? [] : answersToEdit(state, state.facts);

/** `c`: the answers with their numbers. */
function answersText(state: State): string {
  const rows = answersOf(state).map(
    (id, at) =>
      `  ${at + 1}. ${questionOf(id).title} ${visible(questionOf(id).textIn(state.answers) || '(none)')}\n`,
  );
  return `${rows.join('')}Type c and a number to give that answer anew.\n`;
}

/** A typed line as an event for the flow, or as text to show; undefined where it means nothing here. */
export type Meaning = {readonly send: Event} | {readonly show: string} | undefined;

const HELP: Readonly<Partial<Record<Phase['at'], string>>> = {
  host: 'This is what was found on this host. Nothing has been changed; the next steps\nask what you want.\n',
  record:
    'Receivers look up this record to check your signatures. Add it where the DNS\nof the domain is kept: at the registrar, the DNS provider, or in your own zone\nfile. Copy name and value whole.\n',
  propagation:
    'A domain has several name servers, and each must have the record before the\nkey may sign. That takes from seconds to hours. You may leave and run waxseal\nagain later.\n',
  plan: 'These are all the changes that would be made on this host, and no others.\nLines with + are added, lines with - are taken away.\n',
  leaving: 'Leaving now loses nothing that the line above does not name.\n',
};

/** What the line means in this phase. */
export function meaningOf(state: State, typed: string): Meaning {
  const text = typed.trim();
  const {phase} = state;
  if (text === '?') return {show: helpText(phase)};
  switch (phase.at) {
    case 'host':
      return hostMeaning(phase, text);
    case 'asking':
      return askingMeaning(state, phase, typed, text);
    case 'record':
      return recordMeaning(state, text);
    case 'propagation':
      if (text.toLowerCase() === 'w' && mayTrustResolver(state)) return send({type: 'trust-resolver'});
      return text === '' ? send({type: 'recheck'}) : moving(text);
    case 'plan':
      return planMeaning(state, text);
    case 'leaving':
      return send(isYes(text) || text.toLowerCase() === 'q' ? {type: 'leave'} : {type: 'stay'});
    default:
      return text.toLowerCase() === 'q' ? send({type: 'leave'}) : undefined;
  }
}

const helpText = (phase: Phase): string =>
  phase.at === 'asking'
    ? questionOf(phase.question)
        .help.map(sentence => `${folded(sentence)}\n`)
        .join('')
    : (HELP[phase.at] ?? 'waxseal is working; q stops it and puts back what it changed.\n');

const send = (event: Event): Meaning => ({send: event});
const isYes = (text: string): boolean => ['y', 'yes'].includes(text.toLowerCase());
const isNo = (text: string): boolean => ['n', 'no'].includes(text.toLowerCase());

function moving(text: string): Meaning {
  if (text.toLowerCase() === 'b') return send({type: 'back'});
  if (text.toLowerCase() === 'q') return send({type: 'leave'});
  return {show: 'Type one of the letters above, or ? for help.\n'};
}

function hostMeaning(phase: At<'host'>, text: string): Meaning {
  if (text === '') return send({type: 'continued'});
  return isNo(text) && phase.offer !== 'none' ? send({type: 'declined'}) : moving(text);
}

function askingMeaning(state: State, phase: At<'asking'>, typed: string, text: string): Meaning {
  const question = questionOf(phase.question);
  const answer = (value: string): Meaning => send({type: 'answered', question: phase.question, text: value});
  if (text === '') return answer(enterText(state, question, phase.initial));
  if (['b', 'q'].includes(text.toLowerCase())) return moving(text);
  if (text === '-' && mayBeEmpty(state, question)) return answer('');
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  return answer(choicesIn(state, question)[number - 1]?.value ?? typed);
}

function recordMeaning(state: State, text: string): Meaning {
  if (text === '') return send({type: 'continued'});
  if (text.toLowerCase() === 'p') return send({type: 'edit', question: 'publish'});
  const form = FORMS[Number(text) - 1]?.[0];
  if (form !== undefined) {
    return {
      show: state.staged.map(each => `${visible(recordText(each.record, form), {lines: true})}\n`).join(''),
    };
  }
  const zone = /^d\s+(\S+)$/i.exec(text)?.[1];
  if (zone !== undefined) {
    const shown = delegationText(state.staged, zone);
    return shown.ok
      ? {show: visible(shown.value, {lines: true})}
      : {show: `error: ${shown.problem.message}\nhint: ${shown.problem.hint}\n`};
  }
  const path = /^s(?:ave)?\s(.+)$/i.exec(text)?.[1]?.trim();
  if (path === undefined) return moving(text);
  const parsed = parseAbsolutePath(path);
  return parsed.ok
    ? send({type: 'save-record', path: parsed.value})
    : {show: `error: ${parsed.problem.message}\nhint: ${parsed.problem.hint}\n`};
}

// Only the whole word applies a plan; a lone "y" may be a slip of a finger.
function planMeaning(state: State, text: string): Meaning {
  const edit = /^c(?:\s*(\d{1,3}))?$/i.exec(text);
  if (edit !== null) {
    const question = answersOf(state)[Number(edit[1] ?? 0) - 1];
    return question === undefined ? {show: answersText(state)} : send({type: 'edit', question});
  }
  if (text.toLowerCase() === 'yes') return send({type: 'confirmed'});
  if (text === '') return send({type: 'continued'});
  return isNo(text) ? send({type: 'declined'}) : moving(text);
}
