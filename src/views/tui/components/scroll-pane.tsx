import type {ReactNode} from 'react';
import {useState} from 'react';
import type {Row} from '../rows.ts';
import {type Theme, useTheme} from '../theme.tsx';
import {DrawRows} from './draw.tsx';
import {inRange, scrolled} from './scroll-state.ts';
import {useKeys} from './ui.tsx';

/**
 * Rows in at most `height` rows; where they do not fit, one row tells which part is seen and the arrow keys, Page Up,
 * Page Down, Home and End move it.
 */
export function ScrollPane({
  rows,
  height,
  follow = false,
  keysElsewhere = false,
}: {
  readonly rows: readonly Row[];
  readonly height: number;
  /** Shows the end, and stays there as rows are added, until the person scrolls. */
  readonly follow?: boolean;
  /** True while an entry field on the same screen has the other keys. */
  readonly keysElsewhere?: boolean;
}): ReactNode {
  const theme = useTheme();
  const [moved, setMoved] = useState<number | undefined>(undefined);
  const fits = rows.length <= height;
  const room = fits ? rows.length : Math.max(1, height - 1);
  const rest = follow ? rows.length : 0;
  useKeys(key => {
    if (fits || (keysElsewhere && !LINE_KEYS.includes(key.name))) return;
    setMoved(first => {
      const from = inRange(first ?? rest, rows.length, room);
      const to = scrolled(from, key, rows.length, room);
      return to === from ? first : to;
    });
  });
  const first = inRange(moved ?? rest, rows.length, room);
  const seen = rows.slice(first, first + room);
  if (fits || height < 2) return <DrawRows rows={seen} />;
  return <DrawRows rows={[...seen, positionRow(first, seen.length, rows.length, theme)]} />;
}

/** Keys that no entry field wants. */
const LINE_KEYS: readonly string[] = ['up', 'down', 'page-up', 'page-down'];

function positionRow(first: number, count: number, total: number, {symbols}: Theme): Row {
  const part = `lines ${first + 1}${symbols.dash}${first + count} of ${total}`;
  return [{text: `${part} ${symbols.separator} ${symbols.up} ${symbols.down} PgUp PgDn move`, tone: 'muted'}];
}
