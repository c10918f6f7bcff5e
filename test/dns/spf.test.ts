import {expect, test} from 'vitest';
import {countLookups, evaluateSpf, type SpfVerdict} from '../../src/dns/spf.ts';
import {type Table, tablePorts} from './table.ts';
import {dnsName} from './world.ts';

const check = (table: Table, address = '192.0.2.25'): Promise<SpfVerdict> =>
  evaluateSpf(tablePorts(table), {domain: dnsName('example.org'), address, local: 'strong-bad'}, {});

const spf = (record: string, more: Table = {}): Table => ({'example.org TXT': [record], ...more});

test.each<[string, Table, string, string | undefined]>([
  ['pass', spf('v=spf1 ip4:192.0.2.25 -all'), '192.0.2.25', 'ip4:192.0.2.25'],
  ['pass', spf('v=spf1 ip4:192.0.2.0/27 -all'), '192.0.2.25', 'ip4:192.0.2.0/27'],
  ['fail', spf('v=spf1 ip4:192.0.2.0/29 -all'), '192.0.2.25', '-all'],
  ['softfail', spf('v=spf1 ~all'), '192.0.2.25', '~all'],
  ['neutral', spf('v=spf1 ?all'), '192.0.2.25', '?all'],
  ['neutral', spf('v=spf1'), '192.0.2.25', undefined],
  ['none', {'example.org TXT': ['v=spf10 -all', 'hello']}, '192.0.2.25', undefined],
  ['pass', spf('v=spf1 ip6:2001:db8::/32 -all'), '2001:db8:1::25', 'ip6:2001:db8::/32'],
  ['fail', spf('v=spf1 ip6:2001:db8::/48 -all'), '2001:db8:1::25', '-all'],
  ['pass', spf('v=spf1 ip4:192.0.2.25 -all'), '::ffff:192.0.2.25', 'ip4:192.0.2.25'],
  ['pass', spf('v=spf1 a -all', {'example.org A': ['192.0.2.25']}), '192.0.2.25', 'a'],
  ['pass', spf('v=spf1 a/24 -all', {'example.org A': ['192.0.2.1']}), '192.0.2.25', 'a/24'],
  [
    'pass',
    spf('v=spf1 a:mail.example.org/32//64 -all', {'mail.example.org AAAA': ['2001:db8::1']}),
    '2001:db8::25',
    'a:mail.example.org/32//64',
  ],
  ['pass', spf('v=spf1 a//64 -all', {'example.org AAAA': ['2001:db8::1']}), '2001:db8::25', 'a//64'],
  [
    'pass',
    spf('v=spf1 mx -all', {
      'example.org MX': ['10 mx1.example.org', '20 mx2.example.org'],
      'mx1.example.org A': ['192.0.2.1'],
      'mx2.example.org A': ['192.0.2.25'],
    }),
    '192.0.2.25',
    'mx > mx2.example.org',
  ],
  [
    'pass',
    spf('v=spf1 include:_spf.example.net -all', {'_spf.example.net TXT': ['v=spf1 ip4:192.0.2.0/24 -all']}),
    '192.0.2.25',
    'include:_spf.example.net > ip4:192.0.2.0/24',
  ],
  [
    'softfail',
    spf('v=spf1 include:_spf.example.net ~all', {'_spf.example.net TXT': ['v=spf1 -all']}),
    '192.0.2.25',
    '~all',
  ],
  ['permerror', spf('v=spf1 include:_spf.example.net ~all'), '192.0.2.25', undefined],
  [
    'fail',
    spf('v=spf1 redirect=_spf.example.net', {'_spf.example.net TXT': ['v=spf1 -all']}),
    '192.0.2.25',
    'redirect=_spf.example.net > -all',
  ],
  ['permerror', spf('v=spf1 redirect=_spf.example.net'), '192.0.2.25', undefined],
  ['pass', spf('v=spf1 all redirect=gone.example.net'), '192.0.2.25', 'all'],
  [
    'pass',
    spf('v=spf1 ptr -all', {
      '25.2.0.192.in-addr.arpa PTR': ['mail.example.org'],
      'mail.example.org A': ['192.0.2.25'],
    }),
    '192.0.2.25',
    'ptr > mail.example.org',
  ],
  [
    'fail',
    spf('v=spf1 ptr -all', {
      '25.2.0.192.in-addr.arpa PTR': ['mail.example.org'],
      'mail.example.org A': ['192.0.2.26'],
    }),
    '192.0.2.25',
    '-all',
  ],
  // RFC 7208 §7.4.
  [
    'pass',
    spf('v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all', {'25.2.0.192.in-addr._spf.example.org A': ['127.0.0.2']}),
    '192.0.2.25',
    'exists:%{ir}.%{v}._spf.%{d2}',
  ],
  [
    'pass',
    spf('v=spf1 exists:%{lr-}.lp._spf.%{d2} -all', {'bad.strong.lp._spf.example.org A': ['127.0.0.2']}),
    '192.0.2.25',
    'exists:%{lr-}.lp._spf.%{d2}',
  ],
  ['permerror', spf('v=spf1 ip4:192.0.2.25 mistake:x -all'), '192.0.2.25', undefined],
  ['permerror', spf('v=spf1 ip4:2001:db8::1 -all'), '192.0.2.25', undefined],
  ['permerror', spf('v=spf1 a/33 -all'), '192.0.2.25', undefined],
  ['permerror', spf('v=spf1 exists:%{z} -all'), '192.0.2.25', undefined],
  // §4.6: a wrong term spoils the record, also behind the one that decides.
  ...[
    'ip4:300.1.1.1',
    'ip4:192.0.2.1/024',
    'ip4:192.0.2',
    'ip6:192.0.2.1',
    'ip6:2001:db8::/129',
    'a:example.org/',
    'include:localhost',
    'include:example.org/24',
    'exists:%{i',
    'exists:%{d00}.example.net',
    'a:x.1234',
    'exp=a.example.net exp=b.example.net',
    'redirect=a.example.net redirect=b.example.net',
    'redirect=',
    'note=%x',
    'a:ex\u00e4mple.org',
  ].map(
    term =>
      ['permerror', spf(`v=spf1 ip4:192.0.2.25 ${term} -all`), '192.0.2.25', undefined] as [
        string,
        Table,
        string,
        undefined,
      ],
  ),
  ['pass', spf('v=spf1 note=%{d}/24 a:%{d} ip4:192.0.2.25 -all'), '192.0.2.25', 'ip4:192.0.2.25'],
  ['fail', spf('v=spf1 ip6:::ffff:192.0.2.25 -all'), '192.0.2.25', '-all'],
  [
    'pass',
    spf('v=spf1 exists:%{l1r/}.x.example.net -all', {'strong-bad.x.example.net A': ['127.0.0.2']}),
    '192.0.2.25',
    'exists:%{l1r/}.x.example.net',
  ],
  // §5.5: names that cannot be looked up do not match.
  ['fail', spf('v=spf1 ptr -all', {'25.2.0.192.in-addr.arpa PTR': 'servfail'}), '192.0.2.25', '-all'],
  [
    'pass',
    spf('v=spf1 ptr -all', {
      '25.2.0.192.in-addr.arpa PTR': ['a.example.org', 'b.example.org'],
      'a.example.org A': 'servfail',
      'b.example.org A': ['192.0.2.25'],
    }),
    '192.0.2.25',
    'ptr > b.example.org',
  ],
  ['permerror', {'example.org TXT': ['v=spf1 -all', 'v=spf1 ~all']}, '192.0.2.25', undefined],
  ['temperror', spf('v=spf1 a -all', {'example.org A': 'servfail'}), '192.0.2.25', undefined],
])('%s', async (result, table, address, by) => {
  expect(await check(table, address)).toMatchObject({result, by});
});

test('the limits of RFC 7208 §4.6.4: ten terms that ask, two names that lead nowhere, ten hosts', async () => {
  const chain = (length: number): Table =>
    Object.fromEntries(
      Array.from({length}, (_, at) => [
        at === 0 ? 'example.org TXT' : `s${at}.example.net TXT`,
        [at === length - 1 ? 'v=spf1 ip4:192.0.2.25 -all' : `v=spf1 include:s${at + 1}.example.net -all`],
      ]),
    );
  expect(await check(chain(11))).toMatchObject({result: 'pass', lookups: 10});
  const over = await check(chain(12));
  expect(over).toMatchObject({result: 'permerror', lookups: 11});
  expect(over.reason).toContain('more than 10 terms');

  expect(await check(spf('v=spf1 a:a.example.net a:b.example.net ip4:192.0.2.25'))).toMatchObject({
    result: 'pass',
    voidLookups: 2,
  });
  const empty = await check(spf('v=spf1 a:a.example.net a:b.example.net a:c.example.net ip4:192.0.2.25'));
  expect(empty.result).toBe('permerror');
  expect(empty.reason).toContain('c.example.net');

  const hosts = Array.from({length: 11}, (_, at) => `10 mx${at}.example.org`);
  expect((await check(spf('v=spf1 mx -all', {'example.org MX': hosts}))).result).toBe('permerror');
});

test('lookups are counted through all that is included, whoever sends', async () => {
  const table: Table = {
    'a.example.net TXT': ['v=spf1 a mx include:b.example.net ip4:192.0.2.0/24 ?all include:c.example.net'],
    'b.example.net TXT': ['v=spf1 exists:%{i}.example.net redirect=c.example.net'],
    'c.example.net TXT': ['v=spf1 ptr -all'],
    'self.example.net TXT': ['v=spf1 include:self.example.net include:self.example.net -all'],
  };
  const count = (record: string): Promise<number> => countLookups(tablePorts(table), record, {});
  expect(await count('v=spf1 ip4:192.0.2.1 -all')).toBe(0);
  expect(await count('v=spf1 include:a.example.net include:gone.example.net -all')).toBe(8);
  expect(await count('v=spf1 include:self.example.net')).toBeGreaterThan(10);
  expect(await count('v=spf1 include:a.example.net wrong:term')).toBe(0);
});

test('a record that includes itself ends', async () => {
  expect((await check(spf('v=spf1 include:example.org -all'))).result).toBe('permerror');
});
