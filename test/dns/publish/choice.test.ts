import {expect, test} from 'vitest';
import {formatPublish, parsePublish, publishArgv} from '../../../src/dns/publish/index.ts';
import {givenFrom} from '../../../src/flow/given.ts';

test.each([
  ['manual', []],
  ['nsupdate', ['--publish', 'nsupdate']],
  [
    'knsupdate key=/etc/knot/a key server=[2001:db8::1]:5353',
    ['--publish', 'knsupdate', '--tsig-key', '/etc/knot/a key', '--update-server', '[2001:db8::1]:5353'],
  ],
  [
    'nsupdate key=/etc/bind/k ttl=300',
    ['--publish', 'nsupdate', '--tsig-key', '/etc/bind/k', '--update-ttl', '300'],
  ],
  ['hook:/usr/local/sbin/dns', ['--publish', 'hook:/usr/local/sbin/dns']],
  ['lexicon:gandi config=/etc/lexicon', ['--publish', 'lexicon:gandi', '--lexicon-config', '/etc/lexicon']],
] as const)('%s is the same as text, as a choice and as flags', (text, argv) => {
  const choice = parsePublish(text);
  expect(choice).toMatchObject({ok: true});
  if (!choice.ok) return;
  expect(formatPublish(choice.value)).toBe(text);
  expect(publishArgv(choice.value)).toEqual(argv);
  const flags: Record<string, string> = {};
  for (let at = 0; at + 1 < argv.length; at += 2) flags[String(argv[at]).slice(2)] = String(argv[at + 1]);
  const given = givenFrom(flags);
  expect(given).toEqual({ok: true, value: text === 'manual' ? {} : {publish: text}});
});

test.each([
  [{'tsig-key': '/etc/a.key'}, '--tsig-key is not for --publish manual'],
  [{publish: 'hook:/bin/x', 'lexicon-config': '/etc'}, '--lexicon-config is not for --publish hook'],
  [{publish: 'nsupdate', 'tsig-key': 'a.key'}, 'not an absolute path'],
  [{publish: 'nsupdate', 'update-server': 'ns1.example.org'}, 'not the address of a name server'],
  [{publish: 'nsupdate', 'update-ttl': '0'}, 'no TTL'],
  [{publish: 'nsupdate', 'update-ttl': '604801'}, 'no TTL'],
  [{publish: 'hook:/bin/x', 'update-ttl': '60'}, '--update-ttl is not for --publish hook'],
  [{publish: 'lexicon:a b'}, 'no provider of lexicon'],
  [{publish: 'lexicon:-x'}, 'no provider of lexicon'],
  [{publish: 'mail'}, 'no way to publish'],
])('%j is refused', (flags, words) => {
  const given = givenFrom(flags);
  const text = given.ok ? (given.value.publish ?? '') : '';
  const choice = parsePublish(text);
  expect(choice.ok).toBe(false);
  expect(choice.ok ? '' : choice.problem.message).toContain(words);
});
