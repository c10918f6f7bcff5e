/** Many records on one screen: a count, and a row for each of those that are asked for. */
import {visible} from '../../../domain/text.ts';
import {SERVER_WORDS} from '../../../flow/lines.ts';
import {byStanding, type Standing, standingText} from '../../../flow/many.ts';
import type {StagedDomain} from '../../../flow/operations.ts';
import type {State} from '../../../flow/state.ts';
import {surveyFacts} from '../../../flow/survey-facts.ts';
import type {Room} from '../components/frame.tsx';
import {cut, pad, paragraph, type Row} from '../rows.ts';
import {type Mark, problemRows} from '../status.ts';
import type {Theme} from '../theme.tsx';

/** What is shown; `f` goes from one to the next. */
export type Filter = 'open' | 'wrong' | 'all';

const NEXT: Readonly<Record<Filter, Filter>> = {open: 'wrong', wrong: 'all', all: 'open'};

export const nextFilter = (filter: Filter): Filter => NEXT[filter];

const SHOWN: Readonly<Record<Filter, {readonly title: string; readonly standings: readonly Standing[]}>> = {
  // What has to be mended stands first: nothing else on this screen gets better by a person's doing.
  open: {title: 'Shown: those that are not everywhere yet', standings: ['wrong', 'waiting']},
  wrong: {title: 'Shown: those that are wrong, with what to do', standings: ['wrong']},
  all: {title: 'Shown: all', standings: ['wrong', 'waiting', 'everywhere']},
};

const MARKS: Readonly<Record<Standing, Mark>> = {
  everywhere: {symbol: 'ok', tone: 'ok'},
  waiting: {symbol: 'waiting', tone: 'muted'},
  wrong: {symbol: 'error', tone: 'error'},
};

/** The rows that stay in sight above the list. */
export function headRows(
  state: State,
  filter: Filter,
  {width, airy}: Room,
  {symbols}: Theme,
): readonly Row[] {
  const text = standingText(byStanding(state));
  return [
    // How many are wrong stands at the end.
    ...(airy
      ? paragraph(text, width, {tone: 'strong'})
      : [[{text: cut(text, width, symbols.ellipsis), tone: 'strong'} as const]]),
    [{text: cut(SHOWN[filter].title, width, symbols.ellipsis), tone: 'muted'}],
  ];
}

/** One row a record; where only the wrong ones are shown, with the mistake and its repair. */
export function listRows(
  state: State,
  filter: Filter,
  now: number,
  width: number,
  theme: Theme,
): readonly Row[] {
  const standing = byStanding(state);
  const rows = SHOWN[filter].standings.flatMap(each =>
    standing[each].flatMap(staged => [
      recordRow(state, staged, each, width, theme),
      ...(filter === 'wrong' ? factRows(state, staged, now, width, theme) : []),
    ]),
  );
  return rows.length > 0 ? rows : [[{text: 'None.', tone: 'muted'}]];
}

const WORD = 17;

function recordRow(
  {surveys}: State,
  {domain, record}: StagedDomain,
  standing: Standing,
  width: number,
  {symbols}: Theme,
): Row {
  const survey = surveys[domain];
  const mark = MARKS[standing];
  const matching = survey?.servers.filter(({status}) => status === 'matching').length ?? 0;
  const bad = survey?.servers.find(({status}) => status === 'wrong' || status === 'several');
  const word =
    survey === undefined
      ? 'asking'
      : bad !== undefined
        ? SERVER_WORDS[bad.status]
        : `${matching} of ${survey.servers.length} servers`;
  const lead = `${symbols[mark.symbol]} `;
  const text = `${pad(word, WORD, symbols.ellipsis)}  ${visible(record.absoluteName)}`;
  return [{text: lead, tone: mark.tone}, {text: cut(text, width - lead.length, symbols.ellipsis)}];
}

function factRows(
  {surveys}: State,
  {domain}: StagedDomain,
  now: number,
  width: number,
  theme: Theme,
): readonly Row[] {
  const survey = surveys[domain];
  if (survey === undefined) return [];
  return surveyFacts(survey, now)
    .filter(({kind}) => kind === 'wrong')
    .flatMap(({key, text, hint}) =>
      hint === ''
        ? paragraph(visible(text), width, {lead: {text: '  '}})
        : problemRows({id: key, message: text, hint}, width, theme),
    );
}
