/** What is the same on every screen: where am I, what do the keys do, has anything been changed yet. */
import {Box} from 'ink';
import type {ReactNode} from 'react';
import type {State} from '../../../flow/state.ts';
import {where} from '../../../flow/where.ts';
import {BLANK, cut, paragraph, type Row, widthOf} from '../rows.ts';
import {type Theme, useTheme} from '../theme.tsx';
import {DrawRow, DrawRows} from './draw.tsx';
import {useUi} from './ui.tsx';

/** A key and what it does here: `['Enter', 'goes on']`. */
export type KeyHint = readonly [key: string, what: string];

export const EXPLAINS: KeyHint = ['?', 'explains'];
export const LEAVES: KeyHint = ['Ctrl-C', 'leaves'];

export interface Room {
  /** Columns for the body. */
  readonly width: number;
  /** Rows for the body. */
  readonly height: number;
  readonly footer: readonly Row[];
  /** Blank rows between the parts; none on a very low terminal. */
  readonly airy: boolean;
}

/** Left and right of everything. */
const MARGIN = 1;
/** Below this many rows the blank ones are left out, so that a question still has room. */
const AIRY_ROWS = 14;

/** The space that a screen with these keys has. The whole frame stays one row below the terminal's height (H4). */
export function useRoom(keys: readonly KeyHint[]): Room {
  const {size, state} = useUi();
  const theme = useTheme();
  const width = Math.max(10, size.columns - 2 * MARGIN);
  const airy = size.rows >= AIRY_ROWS;
  const footer = [...keyRows(keys, width), ...changedRows(state, width, airy, theme)];
  const taken = 1 + footer.length + (airy ? 2 : 0);
  return {width, height: Math.max(1, size.rows - 1 - taken), footer, airy};
}

/** The title, the place among the steps, the body, and what the keys do. */
export function Frame({
  title,
  room,
  children,
}: {
  readonly title: string;
  readonly room: Room;
  readonly children: ReactNode;
}): ReactNode {
  const {size, state} = useUi();
  const theme = useTheme();
  if (size.rows - 1 <= room.footer.length + 1) {
    return <DrawRow row={[{text: cut('Make the terminal larger to go on.', size.columns - 1, '')}]} />;
  }
  return (
    <Box flexDirection="column" paddingX={MARGIN}>
      <DrawRow row={headerRow(title, state, room.width, theme)} />
      {room.airy && <DrawRow row={BLANK} />}
      <Box flexDirection="column">{children}</Box>
      {room.airy && <DrawRow row={BLANK} />}
      <DrawRows rows={room.footer} />
    </Box>
  );
}

function headerRow(title: string, state: State, width: number, theme: Theme): Row {
  const {index, of} = where(state);
  const long = `Step ${index} of ${of}`;
  const place = widthOf(title) + widthOf(long) + 2 > width ? `${index}/${of}` : long;
  const right = state.mode.sandbox ? `${place} ${theme.symbols.separator} sandbox` : place;
  return spread(title, right, width, theme);
}

/** A title, and at the right end what goes with it. */
export function spread(title: string, right: string, width: number, {symbols}: Theme): Row {
  const left = cut(title, Math.max(1, width - widthOf(right) - 2), symbols.ellipsis);
  const gap = ' '.repeat(Math.max(1, width - widthOf(left) - widthOf(right)));
  return [{text: left, tone: 'strong'}, {text: gap}, {text: right, tone: 'muted'}];
}

/** The keys in as few rows as hold them. */
export function keyRows(keys: readonly KeyHint[], width: number): readonly Row[] {
  const rows: Row[] = [];
  let row: Row = [];
  let used = 0;
  for (const [key, what] of keys) {
    const long = widthOf(`${key} ${what}`);
    if (used > 0 && used + 3 + long > width) {
      rows.push(row);
      row = [];
      used = 0;
    }
    const gap = used > 0 ? [{text: '   '}] : [];
    row = [...row, ...gap, {text: key, tone: 'accent'}, {text: ` ${what}`, tone: 'muted'}];
    used += gap.length * 3 + long;
  }
  return [...rows, row];
}

/** Whole where there is room: what Ctrl-C does to a change stands at the end of the sentence. */
function changedRows(state: State, width: number, airy: boolean, {symbols}: Theme): readonly Row[] {
  const {text, tone} = changedText(state);
  return airy ? paragraph(text, width, {tone}) : [[{text: cut(text, width, symbols.ellipsis), tone}]];
}

function changedText({mode, phase, changed, unfinished}: State): {
  readonly text: string;
  readonly tone: 'muted' | 'warn';
} {
  const on = mode.sandbox ? 'in the sandbox' : 'on this host';
  if (phase.at === 'recovering')
    return {text: `What an earlier run changed ${on} is being put back now.`, tone: 'warn'};
  if (unfinished !== undefined && changed === 'nothing') {
    return {text: `What an earlier run changed ${on} is still there; nothing was added to it.`, tone: 'warn'};
  }
  if (phase.at === 'rolling-back') return {text: `Everything ${on} is being put back now.`, tone: 'warn'};
  switch (changed) {
    case 'nothing':
      return {text: `Nothing has been changed ${on} so far.`, tone: 'muted'};
    case 'packages':
      return {text: `Packages were installed; nothing else has been changed ${on}.`, tone: 'muted'};
    case 'changing':
      return phase.at === 'finished'
        ? {text: `Not everything ${on} could be put back.`, tone: 'warn'}
        : {text: `Changes are being made ${on}: Ctrl-C puts everything back.`, tone: 'warn'};
    case 'changed':
      if (mode.sandbox) return {text: 'The sandbox was changed; nothing of this machine was.', tone: 'muted'};
      return {text: `Changes were made ${on}; "waxseal undo" takes them back.`, tone: 'muted'};
    case 'put-back':
      return {text: `Everything ${on} was put back as it was.`, tone: 'muted'};
  }
}
