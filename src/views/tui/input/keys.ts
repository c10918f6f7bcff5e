/** The one place that knows what Ink makes of a key. */
import type {Key as InkKey} from 'ink';

export type KeyName =
  | 'up'
  | 'down'
  | 'left'
  | 'right'
  | 'page-up'
  | 'page-down'
  | 'home'
  | 'end'
  | 'enter'
  | 'escape'
  | 'backspace'
  | 'tab'
  | 'clear-line'
  | 'delete-word'
  | 'interrupt';

/** A key by its name, or text: one character typed, or a whole paste. */
export type Key = {readonly name: KeyName} | {readonly name: 'text'; readonly text: string};

const CONTROL: Readonly<Record<string, KeyName>> = {
  a: 'home',
  c: 'interrupt',
  e: 'end',
  h: 'backspace',
  j: 'enter',
  u: 'clear-line',
  w: 'delete-word',
};

/** Maps what Ink's `useInput` reports; `undefined` for keys that mean nothing here. */
export function keyOf(input: string, key: InkKey): Key | undefined {
  // Before anything else: Ink sets `meta` for a lone Escape too.
  if (key.escape) return {name: 'escape'};
  if (key.upArrow) return {name: 'up'};
  if (key.downArrow) return {name: 'down'};
  if (key.leftArrow) return {name: 'left'};
  if (key.rightArrow) return {name: 'right'};
  if (key.pageUp) return {name: 'page-up'};
  if (key.pageDown) return {name: 'page-down'};
  if (key.home) return {name: 'home'};
  if (key.end) return {name: 'end'};
  if (key.return || input === '\n') return {name: 'enter'};
  // The Backspace key sends 0x7f, which Ink 6 calls delete; the Delete key cannot be told from it.
  if (key.backspace || key.delete) return {name: 'backspace'};
  if (key.tab) return {name: 'tab'};
  if (key.ctrl) {
    const name = CONTROL[input];
    return name === undefined ? undefined : {name};
  }
  if (key.meta || input === '' || /[\x00-\x1f\x7f]/.test(input)) return undefined;
  return {name: 'text', text: input};
}

/** The character of a key that is one, lower case; '' for every other key. */
export const letterOf = (key: Key): string =>
  key.name === 'text' && [...key.text].length === 1 ? key.text.toLowerCase() : '';
