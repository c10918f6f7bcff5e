import {describe, expect, test} from 'vitest';
import {cut, pad, paragraph, splitAt, widthOf, wrap, wrapExactly} from '../../../src/views/tui/rows.ts';
import {fc} from '../../support/fast-check.ts';

/** Texts as they come: words, wide characters, combining ones, emoji, nothing. */
const texts = fc.oneof(
  fc.string({unit: 'grapheme', maxLength: 120}),
  fc.lorem({maxCount: 30}),
  fc.constantFrom('', ' ', '漢字かな交じり文', 'bücher', '👨‍👩‍👧 family', 'e\u0301e\u0301', 'x'.repeat(200)),
);
// No grapheme is wider than the narrowest of these.
const widths = fc.integer({min: 8, max: 90});
const printable = texts.map(text => text.replace(/\p{C}/gu, ''));

describe('rows', () => {
  test('no line of a wrapped text is wider than asked, and no word is lost', () => {
    fc.assert(
      fc.property(printable, widths, (text, width) => {
        const lines = wrap(text, width);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
        expect(lines.join('').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
      }),
    );
  });

  test('wrapped exactly, every character is kept in its place', () => {
    fc.assert(
      fc.property(printable, widths, (text, width) => {
        const lines = wrapExactly(text, width);
        expect(lines.join('')).toBe(text);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('cut and padded, a text has just the width', () => {
    fc.assert(
      fc.property(printable, widths, (text, width) => {
        expect(widthOf(cut(text, width, '…'))).toBeLessThanOrEqual(width);
        expect(widthOf(pad(text, width, '…'))).toBe(width);
      }),
    );
  });

  test('split, the parts are the whole', () => {
    fc.assert(
      fc.property(printable, widths, (text, width) => {
        const [head, rest] = splitAt(text, width);
        expect(head + rest).toBe(text);
        expect(widthOf(head)).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('a wide character is never cut in two', () => {
    expect(splitAt('漢字', 3)).toEqual(['漢', '字']);
    expect(cut('漢字かな', 5, '…')).toBe('漢字…');
  });

  test('a paragraph hangs below its lead', () => {
    const rows = paragraph('one two three', 9, {lead: {text: '* '}});
    expect(rows.map(row => row.map(({text}) => text).join(''))).toEqual(['* one two', '  three']);
  });
});
