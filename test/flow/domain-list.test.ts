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

it.each([
  ['example.com,s1,more', 1],
  ['example.com\n,s1', 2],
  ['example.com\nexample.org,../etc', 2],
  ['exa mple.com,s1', 1],
])('refuses %j and names line %i', (text, line) => {
  expect(read(text)).toMatchObject({
    id: 'usage.domains-file',
    message: expect.stringContaining(`Line ${line} `),
  });
});
