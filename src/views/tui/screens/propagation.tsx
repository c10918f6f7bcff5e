import {useIsScreenReaderEnabled} from 'ink';
import {type ReactNode, useEffect, useState} from 'react';
import {nameOfPublisher} from '../../../dns/publish/index.ts';
import type {ServerView, Survey} from '../../../dns/survey.ts';
import {formatDuration} from '../../../domain/duration.ts';
import {displayDomain} from '../../../domain/names.ts';
import {visible} from '../../../domain/text.ts';
import {SERVER_WORDS} from '../../../flow/lines.ts';
import {MANY} from '../../../flow/many.ts';
import {mayTrustResolver} from '../../../flow/publishing.ts';
import type {Phase, State} from '../../../flow/state.ts';
import {type SurveyFact, surveyFacts, targetText} from '../../../flow/survey-facts.ts';
import {DrawRows} from '../components/draw.tsx';
import {Frame, type KeyHint, type Room, useRoom} from '../components/frame.tsx';
import {ScrollPane} from '../components/scroll-pane.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {letterOf} from '../input/keys.ts';
import {BLANK, cut, pad, paragraph, type Row} from '../rows.ts';
import {type Mark, problemRows, SERVER_MARKS} from '../status.ts';
import {type Theme, useTheme} from '../theme.tsx';
import {type Filter, headRows, listRows, nextFilter} from './many-records.ts';

type Propagation = Extract<Phase, {at: 'propagation'}>;

const ASK_KEY: KeyHint = ['Enter', 'asks now'];
const keysAfter = ({mode}: State): readonly KeyHint[] => [
  ['Esc', 'shows the record'],
  ['?', 'explains'],
  ['Ctrl-C', mode.sandbox ? 'leaves the sandbox' : 'leaves; run waxseal again later to go on here'],
];

/** Only where no name server can be asked, and the resolver has the record. */
const TRUST_KEY: KeyHint = ['w', "goes on by the resolver's word only"];

/** Only where there are more records than a screen can show whole. */
const FILTER_KEY: KeyHint = ['f', 'shows others'];

/** Every authoritative server of every domain, live; of many domains a count and a row for each. */
export function PropagationScreen({phase}: {readonly phase: Propagation}): ReactNode {
  const {state, send} = useUi();
  const theme = useTheme();
  const mayTrust = mayTrustResolver(state);
  const isMany = state.staged.length > MANY;
  const [filter, setFilter] = useState<Filter>('open');
  const room = useRoom([
    ASK_KEY,
    ...(mayTrust ? [TRUST_KEY] : []),
    ...(isMany ? [FILTER_KEY] : []),
    ...keysAfter(state),
  ]);
  const now = useSecondHand();
  useKeys(key => {
    if (key.name === 'enter') send({type: 'recheck'});
    else if (key.name === 'escape' || key.name === 'left') send({type: 'back'});
    else if (letterOf(key) === 'w') send({type: 'trust-resolver'});
    else if (letterOf(key) === 'f' && isMany) setFilter(nextFilter);
  });
  const clock = clockRows(phase, state, now, room, theme);
  if (isMany) {
    const head = [...clock, ...headRows(state, filter, room, theme)];
    return (
      <Frame title="Are the records everywhere?" room={room}>
        <DrawRows rows={head.slice(0, Math.max(1, room.height - 1))} />
        {/* Another filter is another list, and begins at its top. */}
        <ScrollPane
          key={filter}
          rows={listRows(state, filter, now, room.width, theme)}
          height={Math.max(1, room.height - head.length)}
        />
      </Frame>
    );
  }
  const rows = state.staged.flatMap((staged, index) => [
    ...(index === 0 ? [] : [BLANK]),
    ...domainRows(displayDomain(staged.domain), state.surveys[staged.domain], now, room.width, theme),
    ...waitRows(state.surveys[staged.domain], now, room.width, theme),
  ]);
  return (
    <Frame title="Is the record everywhere?" room={room}>
      <DrawRows rows={clock} />
      <ScrollPane rows={rows} height={Math.max(1, room.height - clock.length)} />
    </Frame>
  );
}

/** A screen reader would speak every change: it gets the time twice a minute. */
const TICK_MS = {seen: 1000, spoken: 30_000};

/** The time, once a second: the only timer of an idle wizard. */
function useSecondHand(): number {
  const {now} = useUi();
  const spoken = useIsScreenReaderEnabled();
  const [time, setTime] = useState(now);
  useEffect(() => {
    const timer = setInterval(() => setTime(now()), spoken ? TICK_MS.spoken : TICK_MS.seen);
    return () => clearInterval(timer);
  }, [now, spoken]);
  return time;
}

/** How long it has been and will be; on one row where the terminal is low, even if its end has to be cut. */
function clockRows(
  {startedAt, deadlineAt, publishing}: Propagation,
  state: State,
  now: number,
  {width, airy}: Room,
  theme: Theme,
): readonly Row[] {
  const isHeld = state.staged.some(each => state.surveys[each.domain]?.notBefore !== undefined);
  const due = state.staged
    .flatMap(each => state.surveys[each.domain]?.nextAt ?? [])
    .map(at => Date.parse(at))
    .sort((a, b) => a - b)[0];
  const parts = [
    ...(startedAt === '' ? [] : [`Waiting for ${formatDuration(now - Date.parse(startedAt))}`]),
    publishing === true
      ? `${publisherName(state)} enters the record`
      : due === undefined || due <= now
        ? 'asking now'
        : `${isHeld ? 'the new key signs' : 'next question'} in ${formatDuration(due - now)}`,
    ...(deadlineAt === undefined
      ? []
      : [`at most ${formatDuration(Math.max(0, Date.parse(deadlineAt) - now))} more`]),
  ];
  const text = parts.join(` ${theme.symbols.separator} `);
  return airy
    ? paragraph(text, width, {tone: 'muted'})
    : [[{text: cut(text, width, theme.symbols.ellipsis), tone: 'muted'}]];
}

/** A rotation that waits for caches, counted down. */
function waitRows(survey: Survey | undefined, now: number, width: number, theme: Theme): readonly Row[] {
  if (survey?.notBefore === undefined) return [];
  const left = formatDuration(Date.parse(survey.notBefore) - now);
  const head = `${theme.symbols.bullet} The new key signs in ${left}:`;
  const why = `until then caches may remember that nothing was there. The old key goes on signing. ${LATER}`;
  return [
    [{text: cut(head, width, theme.symbols.ellipsis), tone: 'strong'}],
    ...paragraph(why, width, {lead: {text: '  '}}),
  ];
}

const LATER = 'You may leave: waxseal rotate, or its timer, goes on from here.';

const publisherName = ({answers}: State): string =>
  visible(answers.publish === undefined ? 'A program' : nameOfPublisher(answers.publish));

function domainRows(
  domain: string,
  survey: Survey | undefined,
  now: number,
  width: number,
  theme: Theme,
): readonly Row[] {
  const {symbols} = theme;
  if (survey === undefined) {
    return [[{text: cut(`${domain}: asking for the first time`, width, symbols.ellipsis), tone: 'strong'}]];
  }
  const matching = survey.servers.filter(view => view.status === 'matching').length;
  const head = `${domain}: ${matching} of ${survey.servers.length} servers have it`;
  return [
    [{text: cut(head, width, symbols.ellipsis), tone: 'strong'}],
    [{text: cut(visible(survey.name), width, symbols.ellipsis), tone: 'muted'}],
    ...tableRows(inOrder(survey.servers), width, theme),
    ...(survey.targets ?? []).flatMap(target => [
      [{text: cut(visible(targetText(target)), width, symbols.ellipsis), tone: 'strong'} as const],
      ...tableRows(inOrder(target.servers), width, theme),
    ]),
    ...surveyFacts(survey, now).flatMap(each => factRows(each, width, theme)),
  ];
}

/** In the order of the zone; in a long list those that are still waited for come first. */
const inOrder = (servers: readonly ServerView[]): readonly ServerView[] =>
  servers.length <= 8
    ? servers
    : [
        ...servers.filter(view => view.status !== 'matching'),
        ...servers.filter(view => view.status === 'matching'),
      ];

/** Columns: symbol, word, server, address, serial. The serial goes first where room is short, then the address. */
function tableRows(servers: readonly ServerView[], width: number, theme: Theme): readonly Row[] {
  const {symbols} = theme;
  const serial = width >= 74 ? 12 : 0;
  const longest = Math.max(7, ...servers.map(view => view.server.address.length));
  const address = width >= 50 ? Math.min(longest, Math.max(15, Math.floor((width - serial - 21) / 2))) : 0;
  const rest = Math.max(6, width - 21 - gap(address) - gap(serial));
  const server = Math.min(rest, Math.max(6, ...servers.map(view => view.server.name.length)));
  const line = (status: string, name: string, at: string, number: string): string =>
    [
      pad(status, 17, symbols.ellipsis),
      pad(name, server, symbols.ellipsis),
      ...(address === 0 ? [] : [pad(at, address, symbols.ellipsis)]),
      ...(serial === 0 ? [] : [number]),
    ].join('  ');
  return [
    [{text: `  ${line('status', 'server', 'address', 'serial')}`, tone: 'muted'}],
    ...servers.map((view): Row => {
      const mark = SERVER_MARKS[view.status];
      const text = line(
        SERVER_WORDS[view.status],
        visible(view.server.name),
        view.server.address,
        view.serial === undefined ? symbols.dash : String(view.serial),
      );
      return [{text: `${symbols[mark.symbol]} `, tone: mark.tone}, {text: cut(text, width - 2, '')}];
    }),
  ];
}

const gap = (column: number): number => (column === 0 ? 0 : column + 2);

const FACT_MARKS: Readonly<Record<SurveyFact['kind'], Mark>> = {
  wrong: {symbol: 'error', tone: 'error'},
  odd: {symbol: 'warn', tone: 'warn'},
  note: {symbol: 'bullet', tone: 'muted'},
  good: {symbol: 'ok', tone: 'ok'},
};

/** What has to be mended stands by itself; the rest are lines one below the other. */
function factRows({key, kind, text, hint}: SurveyFact, width: number, theme: Theme): readonly Row[] {
  const mark = FACT_MARKS[kind];
  if (hint !== '') return [BLANK, ...problemRows({id: key, message: text, hint}, width, theme, mark)];
  const lead = {text: `${theme.symbols[mark.symbol]} `, tone: mark.tone};
  return paragraph(visible(text), width, {lead, tone: kind === 'wrong' ? 'error' : 'plain'});
}
