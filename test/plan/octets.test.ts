import {describe, expect, it} from 'vitest';
import {shownOctets, shownText} from '../../src/plan/octets.ts';
import {fc} from '../support/fast-check.ts';

const octets = (...parts: readonly (string | number)[]): Uint8Array =>
  Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : Buffer.from([part]))));

describe('octets as text', () => {
  it.each([
    ['ASCII', octets('# plain\n'), '# plain\n'],
    ['UTF-8', octets('# café, 日本, 😀\n'), '# café, 日本, 😀\n'],
    ['Latin-1', octets('# caf', 0xe9, '\n'), '# caf\\xE9\n'],
    ['Latin-1 at the end', octets('caf', 0xe9), 'caf\\xE9'],
    ['both in one file', octets('é ', 0xe9, ' é', 0xff), 'é \\xE9 é\\xFF'],
    ['a sequence that is cut', octets(0xe2, 0x82, 'x'), '\\xE2\\x82x'],
    ['an overlong one and a surrogate', octets(0xc0, 0xaf, 0xed, 0xa0, 0x80), '\\xC0\\xAF\\xED\\xA0\\x80'],
    ['a byte order mark', octets(0xef, 0xbb, 0xbf, 'x'), '\ufeffx'],
  ])('%s', (_, content, text) => {
    expect(shownOctets(content)).toBe(text);
  });

  it('says every octet that is no UTF-8, and never U+FFFD for one', () => {
    fc.assert(
      fc.property(fc.uint8Array({maxLength: 40}), content => {
        const text = shownOctets(content);
        const again = Buffer.concat(
          text
            .split(/(\\x[0-9A-F]{2})/)
            .map(part =>
              /^\\x[0-9A-F]{2}$/.test(part)
                ? Buffer.from([Number.parseInt(part.slice(2), 16)])
                : Buffer.from(part),
            ),
        );
        if (!content.includes(0x5c)) expect(again).toEqual(Buffer.from(content));
      }),
      {numRuns: 2000},
    );
  });

  it('shows the text of a step by the encoding of its file', () => {
    expect(shownText({from: 'text', text: 'caf\xe9', encoding: 'latin1'})).toBe('caf\\xE9');
    expect(shownText({from: 'text', text: 'café'})).toBe('café');
  });
});
