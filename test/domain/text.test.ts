import {describe, expect, it} from 'vitest';
import {formatDuration, parseDuration} from '../../src/domain/duration.ts';
import {absolute, below, parentOf, parseAbsolutePath} from '../../src/domain/paths.ts';
import {folded, visible} from '../../src/domain/text.ts';
import {fc} from '../support/fast-check.ts';

describe('folded', () => {
  it('breaks at blanks only, and loses nothing', () => {
    expect(folded('one two three', 7)).toBe('one two\nthree');
    expect(folded('a-word-longer-than-the-line b', 7)).toBe('a-word-longer-than-the-line\nb');
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,9}$/)), words => {
        const text = folded(words.join(' '), 12);
        expect(text.split(/[ \n]/)).toEqual(words.length === 0 ? [''] : words);
        for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(12);
      }),
    );
  });
});

describe('visible', () => {
  it('makes control characters, overrides and invisible characters visible', () => {
    expect(visible('a\u001b[31mb\u0000\r\n\u0085\u202ec\u200b')).toBe(
      'a\\x1b[31mb\\x00\\x0d\\x0a\\x85\\u{202e}c\\u{200b}',
    );
    expect(visible('a\nb', {lines: true})).toBe('a\nb');
    expect(visible('Grüße 日本語 👍')).toBe('Grüße 日本語 👍');
  });

  it.each([
    ['a space that is none behind a record', 'p=QUJD\u00a0', 'p=QUJD\\u{a0}'],
    ['a sentence in tags', 'p=QUJD\u{e0068}\u{e0069}', 'p=QUJD\\u{e0068}\\u{e0069}'],
    ['variation selectors', 'a\ufe0f\u{e0100}', 'a\\u{fe0f}\\u{e0100}'],
    ['fillers of Hangul', '\u115f\u1160\u3164\uffa0', '\\u{115f}\\u{1160}\\u{3164}\\u{ffa0}'],
    [
      'letters and signs that are drawn as a blank',
      '\u2800\u{16fe4}\u{1d159}',
      '\\u{2800}\\u{16fe4}\\u{1d159}',
    ],
    [
      'a joiner, a vowel that is not drawn, old format characters',
      '\u034f\u17b4\u206a',
      '\\u{34f}\\u{17b4}\\u{206a}',
    ],
    ['marks of annotations and of music', '\ufff9\u{1d173}', '\\u{fff9}\\u{1d173}'],
    ['characters of nobody and of a font', '\ufff0\uffff\ue000', '\\u{fff0}\\u{ffff}\\u{e000}'],
    ['half of a character', 'a\ud800b', 'a\\u{d800}b'],
  ])('shows %s', (_what, text, shown) => {
    expect(visible(text)).toBe(shown);
  });

  it.each([
    'bücher.example',
    'Ωμέγα',
    'почта.рф',
    'メール.みんな',
    '한국어',
    'العربية',
    'हिन्दी',
    'café',
    '👍🏽🇩🇪',
    '“–…” €',
  ])('leaves %s as it is', text => expect(visible(text)).toBe(text));

  it('shows every character of Unicode that is not seen, and no other', () => {
    const unseen: readonly RegExp[] = [
      /\p{Control}/u,
      /\p{Format}/u,
      /\p{Private_Use}/u,
      /\p{Surrogate}/u,
      /\p{Unassigned}/u,
      /\p{Line_Separator}/u,
      /\p{Paragraph_Separator}/u,
      /\p{Default_Ignorable_Code_Point}/u,
      /\p{Variation_Selector}/u,
      /\p{Space_Separator}/u,
      /\p{White_Space}/u,
      /\p{Bidi_Control}/u,
      /\p{Noncharacter_Code_Point}/u,
      /[\u2800\u{16fe4}\u{1d159}]/u,
    ];
    const wrong: string[] = [];
    for (let code = 0; code <= 0x10ffff; code += 1) {
      const character = String.fromCodePoint(code);
      const shouldStay = character === ' ' || !unseen.some(each => each.test(character));
      if ((visible(character) === character) !== shouldStay) wrong.push(code.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  it('never lets an escape through', () => {
    fc.assert(
      fc.property(fc.string({unit: 'binary'}), text => {
        expect(visible(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u200b-\u200f]/u);
      }),
    );
  });
});

describe('durations', () => {
  it.each([
    ['2m', 120_000],
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['5', 5000],
    ['0', 0],
    ['2d', 172_800_000],
  ])('reads %j', (text, ms) => {
    expect(parseDuration(text)).toEqual({ok: true, value: ms});
  });

  it.each(['', 'm', '2 m', '1x', '-5s', '1h30', '400d', '1e9'])('refuses %j', text => {
    expect(parseDuration(text).ok).toBe(false);
  });

  it('says them with two units at most', () => {
    expect([0, 999, 65_000, 3_600_000, 90_061_000, 7 * 86_400_000].map(formatDuration)).toEqual([
      '0 s',
      '1 s',
      '1 m 5 s',
      '1 h',
      '1 d 1 h',
      '7 d',
    ]);
  });
});

describe('paths', () => {
  it('are absolute and normal', () => {
    expect(parseAbsolutePath('/etc//opendkim/../opendkim.conf')).toEqual({
      ok: true,
      value: '/etc/opendkim.conf',
    });
    expect(parseAbsolutePath('etc').ok).toBe(false);
    expect(parseAbsolutePath('/a\0b').ok).toBe(false);
    expect(parentOf(absolute('/etc/opendkim.conf'))).toBe('/etc');
  });

  it.each(['..', '.', '', 'a/b', 'a\0'])('never climb by a segment such as %j', segment => {
    expect(() => below(absolute('/etc'), segment)).toThrow(TypeError);
  });
});
