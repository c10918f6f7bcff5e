import {expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {plainSettings} from '../../src/services/opendkim/decide/settings.ts';
import {senderOf, sendersInEffect} from '../../src/services/opendkim/senders.ts';
import {MemoryFiles} from '../support/fake-host.ts';

const addresses = (key: string, kind: 'file' | 'refile'): readonly string[] =>
  senderOf({line: 0, key, value: 'k'}, kind).map(({address}) => address);

test.each([
  ['*@example.com', 'postmaster@example.com'],
  ['*@*.Example.COM', 'postmaster@x.example.com'],
  ['joe@example.com', 'joe@example.com'],
  ['news-*@example.com', 'news-x@example.com'],
  ['*@*', 'postmaster@waxseal.invalid'],
  ['*', 'postmaster@waxseal.invalid'],
  // Matches no sender at all (FACTS 2.3).
  ['example.com', undefined],
  ['*@localhost', undefined],
  ['a\u0000b@example.com', undefined],
])('refile: %s stands for %s', (key, expected) => {
  expect(addresses(key, 'refile')).toEqual(expected === undefined ? [] : [expected]);
});

test.each([
  ['example.com', 'postmaster@example.com'],
  ['.example.com', 'postmaster@x.example.com'],
  ['joe@example.com', 'joe@example.com'],
  ['joe@.example.com', 'joe@x.example.com'],
  ['*', 'postmaster@waxseal.invalid'],
])('file: %s stands for %s', (key, expected) => {
  expect(addresses(key, 'file')).toEqual([expected]);
});

test('every row counts once, keys without a row as well, and what cannot be read is named', async () => {
  const files = new MemoryFiles();
  files.put('/k', 'a example.com:s:/x\nb other.example:s:/y\nc %:s:/z\n');
  files.put('/s', '*@example.com a\n*@EXAMPLE.com b\njoe@example.net a\n');
  const set = (values: Readonly<Record<string, string>>) =>
    plainSettings(values, absolute('/etc/opendkim.conf'));
  const found = await sendersInEffect(files, set({keytable: 'file:/k', signingtable: 'refile:/s'}));
  expect(found.all.map(({address, label}) => `${address} ${label}`)).toEqual([
    'postmaster@example.com a',
    'joe@example.net a',
    'postmaster@other.example ',
  ]);
  expect(found.unread).toEqual([]);
  const lost = await sendersInEffect(files, set({keytable: 'file:/k', signingtable: 'refile:/gone'}));
  expect(lost.unread).toEqual(['SigningTable']);
  const single = await sendersInEffect(files, set({domain: 'one.example, two.example', subdomains: 'yes'}));
  expect(single.all.map(({address}) => address)).toEqual([
    'postmaster@one.example',
    'postmaster@x.one.example',
    'postmaster@two.example',
    'postmaster@x.two.example',
  ]);
});
