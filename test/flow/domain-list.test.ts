import {expect, it} from 'vitest';
import {parseDomainList} from '../../src/flow/domain-list.ts';

const read = (text: string) => {
  const list = parseDomainList(text);
  return list.ok
    ? {texts: list.value.texts, selectors: Object.fromEntries(list.value.selectors)}
    : list.problem;
};

it('reads one domain a line, with comments, empty lines and any line ends', () => {
  expect(read('\uFEFF# ours\r\nexample.com\r\n\r\n  example.org  # the other\n')).toEqual({
    texts: ['example.com', 'example.org'],
    selectors: {},
  });
});

it.each([',', ';', '\t'])('reads CSV parted by %j, with a header, quotes and empty selectors', mark => {
  const text = ['Domain|Selector', 'example.com|s1', '"example.org"|"S2"', 'example.net|'].join('\n');
  expect(read(text.replaceAll('|', mark))).toEqual({
    texts: ['example.com', 'example.org', 'example.net'],
    selectors: {'example.com': 's1', 'example.org': 's2'},
  });
});

it('reads quoted fields as RFC 4180 has them, a domain twice, and line ends of old systems', () => {
  const text = '"example.com" , "s1" # ours\rexample.org\rexample.com,S1,\r"example.net", \r';
  expect(read(text)).toEqual({
    texts: ['example.com', 'example.org', 'example.net'],
    selectors: {'example.com': 's1'},
  });
});

it.each([
  ['example.com,s1,more', 1, 16, 'third field'],
  ['example.com\n,s1', 2, 1, 'it is empty'],
  ['example.com\nexample.org,../etc', 2, 13, '"../etc" is not a selector'],
  ['exa mple.com,s1', 1, 1, 'is not a mail domain'],
  ['domain,selector\n\n  example.com ,  s_1', 3, 18, '"s_1" is not a selector'],
  ['example.com,s1\n# note\nexample.com,s2', 3, 13, 'stands in line 1 already, with the selector s1'],
  ['example.com\nEXAMPLE.com;s2', 2, 13, 'stands in line 1 already, without a selector'],
  ['example.com,"s1', 1, 13, 'quotation mark'],
  ['example.com,s"1"', 1, 13, 'quotation mark'],
])('refuses %j, naming line %i and column %i', (text, line, column, why) => {
  const list = parseDomainList(text, 'mine.csv');
  expect(list).toMatchObject({
    ok: false,
    problem: {
      id: 'usage.domains-file',
      message: expect.stringMatching(
        new RegExp(`^Line ${line}, column ${column} of mine\\.csv: .*${why.replaceAll(/[.[\]]/g, '\\$&')}`),
      ),
      hint: expect.stringContaining('--domains-file'),
    },
  });
});
