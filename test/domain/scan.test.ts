import fc from 'fast-check';
import {describe, expect, it} from 'vitest';
import {linesWithEnds, matchesWildcard, trimEndOf, trimOf} from '../../src/domain/scan.ts';

describe('matchesWildcard', () => {
  it.each([
    ['*@example.com', 'a@example.com', true],
    ['*@example.com', 'a@example.org', false],
    ['*@*.example.com', 'a@b.example.com', true],
    ['*@*.example.com', 'a@example.com', false],
    ['a*b*c', 'abc', true],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXcYb', false],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['a', '', false],
    ['a**', 'a', true],
    ['a.c', 'abc', false],
    ['(*', '(x', true],
  ])('%j covers %j: %j', (pattern, text, covers) => {
    expect(matchesWildcard(pattern, text)).toBe(covers);
  });

  it('says what the regular expression for the pattern says', () => {
    const letters = fc.string({unit: fc.constantFrom('a', 'b', '*', '.', '@'), maxLength: 8});
    fc.assert(
      fc.property(letters, letters, (pattern, raw) => {
        const text = raw.replaceAll('*', '');
        const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
        expect(matchesWildcard(pattern, text)).toBe(new RegExp(`^${source}$`).test(text));
      }),
    );
  });

  it('takes no more steps than pattern times text', () => {
    // Tried in every way, this pattern would outlast the sun.
    expect(matchesWildcard(`${'*a'.repeat(60)}b`, 'a'.repeat(20_000))).toBe(false);
  });
});

describe('trimming', () => {
  it('takes only the given characters', () => {
    expect(trimOf(' \t\u00a0a b\u00a0 \r\n', ' \t\r\n')).toBe('\u00a0a b\u00a0');
    expect(trimEndOf(' a..;', '.;')).toBe(' a');
    expect(trimOf('   ', ' ')).toBe('');
  });
});

describe('linesWithEnds', () => {
  it.each([
    ['', []],
    ['a', ['a']],
    ['a\nb', ['a\n', 'b']],
    ['a\r\n\nb\n', ['a\r\n', '\n', 'b\n']],
  ])('of %j', (text, lines) => {
    expect(linesWithEnds(text)).toEqual(lines);
  });
});
