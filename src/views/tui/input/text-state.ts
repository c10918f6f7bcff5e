/** A line of text with a cursor, as data. Positions count what a person sees as one character. */
import type {Key} from './keys.ts';

export interface TextState {
  readonly characters: readonly string[];
  /** 0 before the first character, `characters.length` behind the last. */
  readonly cursor: number;
}

const segments = (text: string): readonly string[] =>
  [...new Intl.Segmenter('en', {granularity: 'grapheme'}).segment(text)].map(part => part.segment);

export const textState = (text: string): TextState => {
  const characters = segments(text);
  return {characters, cursor: characters.length};
};

export const textOf = (state: TextState): string => state.characters.join('');

/** What a key does to the line; the same state for keys that do nothing to it. */
export function editText(state: TextState, key: Key): TextState {
  const {characters, cursor} = state;
  switch (key.name) {
    case 'text': {
      // Joined and cut again: a combining mark typed after its letter becomes one character with it.
      const before = segments(characters.slice(0, cursor).join('') + key.text);
      return {characters: [...before, ...characters.slice(cursor)], cursor: before.length};
    }
    case 'backspace':
      return cursor === 0 ? state : removeBefore(state, cursor - 1);
    case 'delete-word':
      return removeBefore(state, wordStart(state));
    case 'clear-line':
      return removeBefore(state, 0);
    case 'left':
      return {characters, cursor: Math.max(0, cursor - 1)};
    case 'right':
      return {characters, cursor: Math.min(characters.length, cursor + 1)};
    case 'home':
      return {characters, cursor: 0};
    case 'end':
      return {characters, cursor: characters.length};
    default:
      return state;
  }
}

const removeBefore = ({characters, cursor}: TextState, from: number): TextState => ({
  characters: [...characters.slice(0, from), ...characters.slice(cursor)],
  cursor: from,
});

// As in a shell: blanks before the cursor, then what is not blank.
const wordStart = ({characters, cursor}: TextState): number => {
  let at = cursor;
  while (at > 0 && characters[at - 1] === ' ') at -= 1;
  while (at > 0 && characters[at - 1] !== ' ') at -= 1;
  return at;
};
