/** Sentences that the session says once and keeps: the plain view, the log and standard error of `--json` print them. */
import type {RecordForms, ServerStatus, Survey} from '../dns/survey.ts';
import {formatDuration, formatMoment} from '../domain/duration.ts';
import {displayDomain} from '../domain/names.ts';
import type {Problem} from '../domain/result.ts';
import {listed, visible} from '../domain/text.ts';
import type {Check} from '../proof/proof.ts';
import type {HostFacts} from '../services/facts.ts';
import type {Step} from '../services/step.ts';
import {byStanding, MANY, MANY_CHANGES, standingText} from './many.ts';
import type {StagedDomain, WorkEvent} from './operations.ts';
import type {Line, RecordFormId, Session, State} from './state.ts';
import {type SurveyFact, surveyFacts} from './survey-facts.ts';

export const line = (kind: Line['kind'], text: string): Line => ({kind, text: visible(text)});

/** The state with lines added. */
export const tell = (state: State, ...lines: readonly Line[]): State =>
  lines.length === 0 ? state : {...state, lines: [...state.lines, ...lines]};

/** Tells `hear` each line of a session once, from its first. @returns stops it */
export function hearLines(session: Session, hear: (line: Line) => void): () => void {
  let heard = 0;
  const listen = ({lines}: State): void => {
    for (const each of lines.slice(heard)) hear(each);
    heard = lines.length;
  };
  listen(session.state());
  return session.subscribe(listen);
}

/** A problem as lines: what, then what to do. */
export const problemLines = (kind: 'warn' | 'error', problem: Problem): readonly Line[] => [
  line(kind, problem.message),
  ...(problem.hint === '' ? [] : [line('info', `hint: ${problem.hint}`)]),
];

/** What the look found, a fact a line. */
export function hostLines(facts: HostFacts): readonly Line[] {
  const {mta, signer} = facts;
  return [
    line('info', `Host: ${facts.hostname}, ${facts.distribution.prettyName}`),
    line(
      'info',
      mta === undefined
        ? 'Mail server: none found'
        : `Mail server: ${mta.program} ${mta.version}, ${mta.running ? 'running' : 'not running'}${mta.chrooted ? ', chrooted' : ''}`,
    ),
    line(
      'info',
      signer === undefined
        ? 'Signer: none found'
        : `Signer: ${signer.program} ${signer.version}, ${signer.active ? 'running' : 'not running'}`,
    ),
    ...facts.rivals.map(other => line('warn', `Another signer: ${other.program} (${other.evidence})`)),
    ...(signer !== undefined && signer.signedDomains.length > 0
      ? [line('info', `Signed today: ${listed(signer.signedDomains)}`)]
      : []),
    ...(facts.mailDomains.length > 0
      ? [line('info', `Domains found: ${listed(facts.mailDomains.map(displayDomain))}`)]
      : []),
    ...(facts.missingPackages.length > 0
      ? [line('warn', `Missing packages: ${facts.missingPackages.join(' ')}`)]
      : []),
    ...facts.remarks.flatMap(remark => problemLines('warn', remark)),
  ];
}

/** One record in the form that was asked for; may have several lines in the wrapped forms. */
export function recordText(record: RecordForms, form: RecordFormId): string {
  switch (form) {
    case 'plain':
      return record.value;
    case 'zone-file':
      return record.zoneFile;
    case 'zone-file-wrapped':
      return record.zoneFileWrapped;
    case 'nsupdate':
      return record.nsupdate;
    case 'json':
      return record.json;
  }
}

/** What a person needs to publish a record: each piece whole, on a line of its own. */
export const recordLines = (staged: StagedDomain): readonly Line[] => [
  line('info', `Publish this TXT record in the zone ${staged.record.zone}:`),
  {kind: 'record', text: visible(staged.record.zoneFile)},
  line('info', 'In a web panel, the name and the value are:'),
  {kind: 'record', text: visible(staged.record.provider?.fields?.name ?? staged.record.relativeName)},
  {kind: 'record', text: visible(staged.record.provider?.fields?.value ?? staged.record.value)},
  ...(staged.record.provider?.advice ?? []).map(advice =>
    line('info', `At ${staged.record.provider?.name}: ${advice}`),
  ),
  ...staged.remarks.flatMap(remark => problemLines('warn', remark)),
];

/** The records of several keys; of many a line of a zone file for each. */
export function recordsLines(staged: readonly StagedDomain[]): readonly Line[] {
  if (staged.length <= MANY) return staged.flatMap(recordLines);
  const advice = new Map(
    staged.flatMap(({record: {provider}}) =>
      provider === undefined ? [] : [[provider.name, provider.advice]],
    ),
  );
  return [
    line('info', `Publish these ${staged.length} TXT records, each a line of a zone file:`),
    ...staged.map(({record}) => ({kind: 'record', text: visible(record.zoneFile)}) as const),
    ...[...advice].flatMap(([name, lines]) => lines.map(text => line('info', `At ${name}: ${text}`))),
    ...staged.flatMap(({remarks}) => remarks.flatMap(remark => problemLines('warn', remark))),
  ];
}

/** A word for each status, the same in every view. */
export const SERVER_WORDS: Readonly<Record<ServerStatus, string>> = {
  asking: 'asking',
  matching: 'ok',
  absent: 'not there yet',
  wrong: 'wrong record',
  several: 'several records',
  timeout: 'no answer',
  refused: 'refused',
  lame: 'not authoritative',
  unreachable: 'unreachable',
};

/** One line about all servers of one record: `2 of 3 servers have it; ns3.example.org 192.0.2.3: not there yet`. */
function surveyText(survey: Survey): string {
  const {servers} = survey;
  const matching = servers.filter(view => view.status === 'matching').length;
  const others = servers.filter(view => view.status !== 'matching');
  const shown = others
    .slice(0, 4)
    .map(view => `${view.server.name} ${view.server.address}: ${SERVER_WORDS[view.status]}`);
  if (others.length > shown.length) shown.push(`and ${others.length - shown.length} more`);
  const resolver =
    survey.agreed && !survey.settled && survey.notBefore === undefined && survey.resolver !== 'not-asked'
      ? [`resolver of this host: ${survey.resolver}`]
      : [];
  return `${survey.name}: ${[`${matching} of ${servers.length} servers have it`, ...shown, ...resolver].join('; ')}`;
}

/** `; the new key signs in 9 m 50 s: …`, where a rotation waits for caches; counted from the time of the survey. */
const waitText = ({notBefore, at}: Survey): string =>
  notBefore === undefined
    ? ''
    : `; the new key signs in ${formatDuration(Date.parse(notBefore) - Date.parse(at))}, not before ${formatMoment(notBefore, 'up')}: until then caches may remember that nothing was there`;

const HEARTBEAT_MS = 30_000;

/** Tells each survey that says something new, or whose record has had no line for 30 s. */
export function tellSurveys(
  state: State,
  surveys: readonly {readonly domain: string; readonly survey: Survey}[],
): State {
  if (state.staged.length > MANY) return tellManySurveys(state, surveys);
  const told: Record<string, State['told'][string]> = {};
  const lines: Line[] = [];
  for (const {domain, survey} of surveys) {
    const text = surveyText(survey);
    const last = told[domain] ?? state.told[domain];
    const facts = surveyFacts(survey, Date.parse(survey.at));
    const fresh = facts.filter(({key}) => last?.facts.includes(key) !== true);
    if (fresh.length === 0 && isSilent(last, text, survey.at)) continue;
    told[domain] = {text, at: survey.at, facts: facts.map(({key}) => key)};
    if (!isSilent(last, text, survey.at))
      lines.push(line(survey.settled ? 'ok' : 'info', `${text}${waitText(survey)}`));
    lines.push(...fresh.flatMap(factLines));
  }
  return lines.length === 0 ? state : tell({...state, told: {...state.told, ...told}}, ...lines);
}

/** No domain is called so: what was last said of all of them together. */
const ALL = '';

/** The count, each tenth part and every 30 s; what has to be mended by name, as far as somebody would read it. */
function tellManySurveys(
  state: State,
  surveys: readonly {readonly domain: string; readonly survey: Survey}[],
): State {
  const told: Record<string, State['told'][string]> = {};
  const lines: Line[] = [];
  let named = Object.keys(state.told).length;
  for (const {domain, survey} of surveys) {
    const wrong = surveyFacts(survey, Date.parse(survey.at)).filter(({kind}) => kind === 'wrong');
    const last = told[domain] ?? state.told[domain];
    const fresh = wrong.filter(({key}) => last?.facts.includes(key) !== true);
    if (fresh.length === 0 || named > MANY) continue;
    if (last === undefined) named += 1;
    told[domain] = {text: '', at: survey.at, facts: wrong.map(({key}) => key)};
    lines.push(line('info', `${domain}:`), ...fresh.flatMap(factLines));
  }
  const standing = byStanding(state);
  const at = surveys.at(-1)?.survey.at ?? '';
  const text = standingText(standing);
  const tenth = String(Math.floor((standing.everywhere.length * 10) / state.staged.length));
  const before = state.told[ALL];
  const isSame = before?.facts[0] === tenth && isSilent({...before, text}, text, at);
  if (!isSame && before?.text !== text) {
    told[ALL] = {text, at, facts: [tenth]};
    lines.push(line(standing.everywhere.length === state.staged.length ? 'ok' : 'info', text));
  }
  const known = Object.keys(told).length === 0 ? state : {...state, told: {...state.told, ...told}};
  return tell(known, ...lines);
}

const isSilent = (last: State['told'][string] | undefined, text: string, at: string): boolean =>
  last !== undefined && last.text === text && Date.parse(at) - Date.parse(last.at) < HEARTBEAT_MS;

const FACT_LINES: Readonly<Record<SurveyFact['kind'], Line['kind']>> = {
  ...{wrong: 'warn', odd: 'warn', note: 'info', good: 'ok'},
};

const factLines = ({kind, text, hint}: SurveyFact): readonly Line[] => [
  line(FACT_LINES[kind], text),
  ...(hint === '' ? [] : [line('info', `hint: ${hint}`)]),
];

/** A check as lines; cause and fix only where something is wrong. */
export function checkLines(check: Check): readonly Line[] {
  const evidence = check.evidence === '' ? '' : ` (${check.evidence})`;
  switch (check.status) {
    case 'pass':
      return [line('ok', `${check.title}${evidence}`)];
    case 'skip':
      return [line('info', `skipped: ${check.title}${evidence}`)];
    case 'warn':
    case 'fail':
      return [
        line(check.status === 'warn' ? 'warn' : 'error', `${check.title}${evidence}`),
        ...(check.cause === '' ? [] : [line('info', `cause: ${check.cause}`)]),
        ...(check.fix === '' ? [] : [line('info', `hint: ${check.fix}`)]),
      ];
  }
}

/** Each step; of many the last one of those in a row that are for the same. */
function stepDoneLines(
  {step, index, of}: Extract<WorkEvent, {type: 'step-done'}>,
  steps: readonly Step[],
): readonly Line[] {
  const [done, next] = [steps[index - 1], steps[index]];
  // Events name a step by its id or by its purpose; in a recovery the steps are others than those of the plan.
  const isPlanned = done !== undefined && (done.id === step || done.why === step);
  if (isPlanned && of >= MANY_CHANGES && next?.why === done.why) return [];
  const why = isPlanned ? done.why : (steps.find(({id}) => id === step)?.why ?? targetOf(step));
  return [line('ok', `${index}/${of} ${why}`)];
}

/**
 * What a step of another plan is about (an installation, a recovery): its id without the kind of step, `/etc/hosts` of
 * `file:/etc/hosts`.
 */
export const targetOf = (step: string): string => step.replace(/^[a-z]+:(?=.)/, '').replaceAll(',', ' ');

/** What one event of an apply, an installation or a recovery says; steps by their reason where it is known. */
export function workLines(event: WorkEvent, steps: readonly Step[] = []): readonly Line[] {
  const named = (id: string): string => steps.find(step => step.id === id)?.why ?? targetOf(id);
  switch (event.type) {
    case 'step-started':
      return [];
    case 'step-done':
      return stepDoneLines(event, steps);
    case 'step-failed':
      return [line('error', `${named(event.step)}: ${event.message}`)];
    case 'proof-started':
      return [line('info', 'Live test started')];
    case 'proof-done':
      return [line('info', 'Live test ended')];
    case 'rolling-back':
      return [line('warn', `Everything is being put back: ${event.because}`)];
    case 'step-undone':
      return [line('info', `Put back: ${named(event.step)}`)];
    case 'rolled-back':
      return event.whole
        ? [line('ok', 'Everything was put back')]
        : [
            line('error', 'Not everything could be put back'),
            ...event.remains.map(each => line('error', `remains: ${each}`)),
          ];
    case 'check':
      return checkLines(event.check);
  }
}
