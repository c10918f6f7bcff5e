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
