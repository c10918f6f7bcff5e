import {describe, expect, test} from 'vitest';
import type {Key} from '../../../src/views/tui/input/keys.ts';
import {editText, type TextState, textOf, textState} from '../../../src/views/tui/input/text-state.ts';
import {fc} from '../../support/fast-check.ts';

const edit = (text: string, ...keys: Key[]): string => {
  const {characters, cursor} = keys.reduce(editText, textState(text));
  return [...characters.slice(0, cursor), '|', ...characters.slice(cursor)].join('');
};
const typed = (text: string): Key => ({name: 'text', text});

describe('a line of text', () => {
  test.each<[string, string, Key[]]>([
    ['typing goes to the cursor', 'exaXmple|'.replace('X', ''), [typed('')]],
    ['text in the middle', 'exXY|ample', [{name: 'home'}, {name: 'right'}, {name: 'right'}, typed('XY')]],
    ['Backspace', 'exampl|', [{name: 'backspace'}]],
    ['Backspace at the beginning', '|example', [{name: 'home'}, {name: 'backspace'}]],
    ['Home, End', 'example|', [{name: 'home'}, {name: 'end'}]],
    ['Ctrl-U', '|le', [{name: 'left'}, {name: 'left'}, {name: 'clear-line'}]],
    ['arrows stop at the ends', '|example', [{name: 'home'}, {name: 'left'}]],
  ])('%s', (_name, expected, keys) => {
    expect(edit('example', ...keys)).toBe(expected);
  });

  test('Ctrl-W takes the word before the cursor', () => {
    expect(edit('one two  ', {name: 'delete-word'})).toBe('one |');
    expect(edit('one', {name: 'delete-word'}, {name: 'delete-word'})).toBe('|');
  });

  test('one Backspace takes what a person sees as one character', () => {
    expect(edit('a👨‍👩‍👧', {name: 'backspace'})).toBe('a|');
    expect(edit('e', typed('\u0301'), {name: 'backspace'})).toBe('|');
  });

  test('the cursor never leaves the line, whatever is pressed', () => {
    const key = fc.oneof(
      fc.constantFrom<Key>(
        {name: 'left'},
        {name: 'right'},
        {name: 'home'},
        {name: 'end'},
        {name: 'backspace'},
        {name: 'delete-word'},
        {name: 'clear-line'},
        {name: 'enter'},
      ),
      fc.string({unit: 'grapheme'}).map(typed),
    );
    fc.assert(
      fc.property(fc.string({unit: 'grapheme'}), fc.array(key), (text, keys) => {
        const end: TextState = keys.reduce(editText, textState(text));
        expect(end.cursor).toBeGreaterThanOrEqual(0);
        expect(end.cursor).toBeLessThanOrEqual(end.characters.length);
        expect(textState(textOf(end)).characters.join('')).toBe(textOf(end));
      }),
    );
  });
});
