import {Box, Text} from 'ink';
import {type ReactNode, useState} from 'react';
import type {Key} from '../input/keys.ts';
import {editText, type TextState, textOf, textState} from '../input/text-state.ts';
import {widthOf} from '../rows.ts';
import {useTheme} from '../theme.tsx';
import {useKeys} from './ui.tsx';

/** One line to type in: cursor keys, Home, End, Backspace, Ctrl-U, Ctrl-W, paste. Enter hands the text over. */
export function TextField({
  initial,
  placeholder = '',
  label,
  width,
  disabled = false,
  intercept,
  onSubmit,
}: {
  readonly initial: string;
  /** An example, shown while the field is empty. */
  readonly placeholder?: string;
  /** For a screen reader. */
  readonly label: string;
  readonly width: number;
  readonly disabled?: boolean;
  /** Sees each key first; true where it has dealt with it. */
  readonly intercept?: (key: Key, text: string) => boolean;
  readonly onSubmit: (text: string) => void;
}): ReactNode {
  const theme = useTheme();
  const [state, setState] = useState(() => textState(initial));
  useKeys(key => {
    if (disabled || intercept?.(key, textOf(state)) === true) return;
    if (key.name === 'enter') onSubmit(textOf(state));
    else setState(before => editText(before, key));
  });
  const {before, at, after} = windowOf(state, Math.max(4, width - 4));
  const empty = state.characters.length === 0;
  const {symbols} = theme;
  return (
    <Box aria-role="textbox" aria-label={`${label}: ${textOf(state)}`}>
      <Text {...theme.style('accent')}>{`${symbols.pointer} `}</Text>
      <Text wrap="truncate">
        {before}
        {theme.color && !disabled && <Text {...theme.style('cursor')}>{at === '' ? ' ' : at}</Text>}
        {!theme.color && !disabled && symbols.cursor}
        {(!theme.color || disabled) && at}
        {after}
        {empty && (
          <Text {...theme.style('muted')}>{placeholder === '' ? '' : ` (as in: ${placeholder})`}</Text>
        )}
      </Text>
    </Box>
  );
}

/** The part of the line round the cursor that fits into `room` columns. */
function windowOf(
  {characters, cursor}: TextState,
  room: number,
): {readonly before: string; readonly at: string; readonly after: string} {
  let from = cursor;
  let used = widthOf(characters[cursor] ?? ' ');
  while (from > 0 && used + widthOf(characters[from - 1] ?? '') <= room) {
    from -= 1;
    used += widthOf(characters[from] ?? '');
  }
  let to = cursor + 1;
  while (to < characters.length && used + widthOf(characters[to] ?? '') <= room) {
    used += widthOf(characters[to] ?? '');
    to += 1;
  }
  return {
    before: characters.slice(from, cursor).join(''),
    at: characters[cursor] ?? '',
    after: characters.slice(cursor + 1, to).join(''),
  };
}
