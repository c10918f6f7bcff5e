/** The one place that knows what Ink makes of a key. */
import type {Key as InkKey} from 'ink';

/** What Ink calls them. Escape stands first: Ink sets `meta` for a lone one too. */
const NAMED = {
  escape: 'escape',
  upArrow: 'up',
  downArrow: 'down',
  leftArrow: 'left',
  rightArrow: 'right',
  pageUp: 'page-up',
  pageDown: 'page-down',
  home: 'home',
  end: 'end',
  return: 'enter',
  // The Backspace key sends 0x7f, which Ink 6 calls delete; the Delete key cannot be told from it.
  backspace: 'backspace',
  delete: 'backspace',
  tab: 'tab',
} as const satisfies Readonly<Partial<Record<keyof InkKey, string>>>;

const CONTROL = {
  a: 'home',
  c: 'interrupt',
  e: 'end',
  h: 'backspace',
  j: 'enter',
  u: 'clear-line',
  w: 'delete-word',
} as const;

export type KeyName = (typeof NAMED)[keyof typeof NAMED] | (typeof CONTROL)[keyof typeof CONTROL];

/** A key by its name, or text: one character typed, or a whole paste. */
export type Key = {readonly name: KeyName} | {readonly name: 'text'; readonly text: string};

/** Maps what Ink's `useInput` reports; `undefined` for keys that mean nothing here. */
export function keyOf(input: string, key: InkKey): Key | undefined {
  const named = Object.entries(NAMED).find(([flag]) => key[flag as keyof typeof NAMED]);
  if (named !== undefined) return {name: named[1]};
  if (input === '\n') return {name: 'enter'};
  if (key.ctrl)
    return Object.hasOwn(CONTROL, input) ? {name: CONTROL[input as keyof typeof CONTROL]} : undefined;
  if (key.meta || input === '' || /[\x00-\x1f\x7f]/.test(input)) return undefined;
  return {name: 'text', text: input};
}

/** The character of a key that is one, lower case; '' for every other key. */
export const letterOf = (key: Key): string =>
  key.name === 'text' && [...key.text].length === 1 ? key.text.toLowerCase() : '';
