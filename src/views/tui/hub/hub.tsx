/** The hub: what is there, what comes next, and what can be done about it. */
import {Box, useApp, useInput} from 'ink';
import {type ReactNode, useEffect, useState} from 'react';
import {HUB_KEYS, type HubChoice, type HubRow, isOffered} from '../../../flow/hub.ts';
import {DrawRow, DrawRows} from '../components/draw.tsx';
import {type KeyHint, keyRows, spread} from '../components/frame.tsx';
import {keyOf, letterOf} from '../input/keys.ts';
import {BLANK, pad, paragraph, type Row} from '../rows.ts';
import type {Resizable, TerminalSize} from '../terminal.ts';
import {type Theme, type Tone, useTheme} from '../theme.tsx';
import {useTerminalSize} from '../use-terminal-size.ts';

export interface HubProps {
  readonly rows: readonly HubRow[];
  /** Place of the row that is marked first. */
  readonly initial: number;
  readonly output: Resizable;
  readonly signal: AbortSignal;
  readonly onChoose: (choice: HubChoice) => void;
}

const SELECTOR = 10;
const KEY = 8;
const AGE = 6;
const STATE = 8;
/** A date; left out where there is no room for it and the name of a domain. */
const DUE = 10;
const LEAST_NAME = 20;
/** Rows below the list for the next step of the marked key. */
const DETAIL = 4;

/** The list of keys with what can be done; it ends with the first choice. */
export function Hub({rows, initial, output, signal, onChoose}: HubProps): ReactNode {
  const size = useTerminalSize(output);
  const theme = useTheme();
  const {exit} = useApp();
  const [at, setAt] = useState(Math.min(initial, Math.max(0, rows.length - 1)));
  const [closed, setClosed] = useState(false);
  const choose = (choice: HubChoice): void => {
    onChoose(choice);
    setClosed(true);
  };
  useInput((input, inkKey) => {
    const key = closed ? undefined : keyOf(input, inkKey);
    if (key === undefined) return;
    if (key.name === 'up') return setAt(Math.max(0, at - 1));
    if (key.name === 'down') return setAt(Math.min(rows.length - 1, at + 1));
    if (key.name === 'home') return setAt(0);
    if (key.name === 'end') return setAt(rows.length - 1);
    if (key.name === 'interrupt' || key.name === 'escape') return choose({action: 'leave', row: undefined});
    const wanted = HUB_KEYS.find(([letter]) => letter === letterOf(key));
    if (wanted !== undefined && isOffered(wanted[2], rows[at])) choose({action: wanted[2], row: rows[at]});
  });
  useEffect(() => {
    const leave = (): void => setClosed(true);
    signal.addEventListener('abort', leave);
    return () => signal.removeEventListener('abort', leave);
  }, [signal]);
  // An empty frame first, so that nothing stays where the chosen command writes.
  useEffect(() => {
    if (closed) exit();
  }, [closed, exit]);
  if (closed) return null;
  return <Screen rows={rows} at={at} size={size} theme={theme} />;
}

function Screen({
  rows,
  at,
  size,
  theme,
}: {
  readonly rows: readonly HubRow[];
  readonly at: number;
  readonly size: TerminalSize;
  readonly theme: Theme;
}): ReactNode {
  const width = Math.max(20, size.columns - 2);
  const {ellipsis} = theme.symbols;
  const marked = rows[at];
  const footer = footerRows(marked, width, theme);
  const height = Math.max(1, size.rows - 1 - (3 + 1 + DETAIL + 1 + footer.length));
  const first = Math.max(0, Math.min(at - Math.floor(height / 2), rows.length - height));
  const shown = rows.slice(first, first + height);
  const domains = new Set(rows.map(({domain}) => domain)).size;
  const count = rows.length > height ? `${at + 1} of ${rows.length}` : '';
  const right = `${domains} ${domains === 1 ? 'domain' : 'domains'}${count === '' ? '' : ` ${theme.symbols.separator} ${count}`}`;
  const detail = detailRows(marked, width, theme).slice(0, DETAIL);
  return (
    <Box flexDirection="column" paddingX={1}>
      <DrawRow row={spread('DKIM on this host', right, width, theme)} />
      <DrawRow row={BLANK} />
      <DrawRow row={[{text: `  ${columnsOf(HEAD, width - 2, ellipsis)}`, tone: 'muted'}]} />
      <DrawRows rows={shown.map((row, index) => listRow(row, first + index === at, width, theme))} />
      <DrawRow row={BLANK} />
      <DrawRows rows={[...detail, ...Array.from({length: DETAIL - detail.length}, () => BLANK)]} />
      <DrawRow row={BLANK} />
      <DrawRows rows={footer} />
    </Box>
  );
}

const HEAD = {name: 'domain', selector: 'selector', key: 'key', age: 'age', state: 'state', due: 'next'};

function columnsOf(row: typeof HEAD, width: number, ellipsis: string): string {
  const rest = width - SELECTOR - KEY - AGE - STATE - 4;
  const hasDue = rest - DUE - 1 >= LEAST_NAME;
  const domain = Math.max(6, hasDue ? rest - DUE - 1 : rest);
  const cells: readonly (readonly [string, number])[] = [
    [row.name, domain],
    [row.selector, SELECTOR],
    [row.key, KEY],
    [row.age, AGE],
    [row.state, STATE],
    ...(hasDue ? [[row.due, DUE] as const] : []),
  ];
  return cells.map(([text, size]) => pad(text, size, ellipsis)).join(' ');
}

const TONES: Readonly<Record<HubRow['level'], Tone>> = {ok: 'plain', warn: 'warn', alarm: 'error'};

function listRow(row: HubRow, isMarked: boolean, width: number, theme: Theme): Row {
  const {pointer, ellipsis} = theme.symbols;
  const text = columnsOf(row, width - 2, ellipsis);
  return [
    {text: isMarked ? `${pointer} ` : '  ', tone: 'accent'},
    {text, tone: isMarked && row.level === 'ok' ? 'strong' : TONES[row.level]},
  ];
}

function detailRows(row: HubRow | undefined, width: number, theme: Theme): readonly Row[] {
  if (row === undefined) return paragraph('No keys yet.', width);
  const {symbols} = theme;
  const symbol = row.level === 'alarm' ? symbols.error : row.level === 'warn' ? symbols.warn : symbols.bullet;
  const when = row.when === '' ? [] : paragraph(row.when, width - 2, {lead: {text: '  '}, tone: 'muted'});
  const next = paragraph(row.next, width, {lead: {text: `${symbol} `, tone: TONES[row.level]}});
  return [...next.slice(0, DETAIL - when.length), ...when];
}

function footerRows(row: HubRow | undefined, width: number, {symbols: {up, down}}: Theme): readonly Row[] {
  const offered = HUB_KEYS.filter(([, , action]) => isOffered(action, row));
  const hints = offered.map(([letter, what]): KeyHint => [letter, what]);
  return keyRows([[`${up}${up.length > 1 ? '/' : ''}${down}`, 'choose'], ...hints], width);
}
