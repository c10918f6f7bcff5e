/** Whose mail another signer signs, and what its switching off would lose. */
import {describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {amavisDomains} from '../../src/services/amavis/index.ts';
import type {Rival} from '../../src/services/facts.ts';
import {openDkimDomains, runningOpenDkims} from '../../src/services/opendkim/domains.ts';
import {rspamdDomains} from '../../src/services/rspamd/domains.ts';
import {whoWouldLose} from '../../src/services/switch-over.ts';
import {MemoryFiles} from '../support/fake-host.ts';

const CONF = absolute('/etc/rspamd/local.d/dkim_signing.conf');

function filesOf(texts: Readonly<Record<string, string>>): MemoryFiles {
  const files = new MemoryFiles();
  for (const [path, text] of Object.entries(texts)) files.put(path, text);
  return files;
}

const rspamd = (text: string, texts: Readonly<Record<string, string>> = {}) =>
  rspamdDomains(filesOf(texts), [{path: CONF, text}]);

describe('rspamd', () => {
  test.each([
    ['domain { example.com { path = "/k"; selector = "s"; } }', ['example.com'], []],
    [
      'domain {\n "a.example" { selectors [ { path: "/k" } ] }\n b.example { }\n}\n',
      ['a.example', 'b.example'],
      [],
    ],
    ['path = "/keys/$domain.key";', ['c.example'], []],
    ['path_map = "/etc/maps/paths";', ['a.example', 'b.example'], []],
    ['signing_table = "/etc/maps/signing";', ['a.example'], ['* in /etc/maps/signing']],
    ['path = "/keys/one.key";', [], ['path /keys/one.key of rspamd, which names no domain']],
    ['use_redis = true;', [], [`use_redis in ${CONF}`]],
    ['path_map = "http://maps.example/paths";', [], [`path_map in ${CONF}`]],
    ['domain { example.com {', [], [`the syntax of ${CONF}`]],
    ['domain { .include "/etc/more"\n a.example { } }', ['a.example'], [`.include in ${CONF}`]],
    ['# domain { old.example { } }\ndomain = "/etc/x"', [], [`domain in ${CONF}`]],
    ['.include "/etc/more"\n', [], [`.include in ${CONF}`]],
  ] as const)('%s', async (text, known, unread) => {
    const texts = {
      '/keys/c.example.key': 'k',
      '/etc/maps/paths': 'a.example /k\n# x\nb.example /k\n',
      '/etc/maps/signing': '*@a.example k\n* k\n',
    };
    expect(await rspamd(text, texts)).toEqual({known, unread});
  });

  test('without a word of its own: the keys where it looks for them', async () => {
    const texts = {'/var/lib/rspamd/dkim/news.example.com.dkim.key': 'k', '/var/lib/rspamd/dkim/x.pub': ''};
    expect(await rspamd('enabled = true;', texts)).toEqual({known: ['news.example.com'], unread: []});
  });
});

test('amavis', () => {
  const path = absolute('/etc/amavis/conf.d/50-user');
  const text = `dkim_key('example.com', 'am1', '/k');\ndkim_key("b.example", 's', '/k');\ndkim_key(qr/x/, 's', '/k');`;
  expect(amavisDomains([{path, text}])).toEqual({
    known: ['b.example', 'example.com'],
    unread: [`a dkim_key in ${path}`],
  });
});

test('another OpenDKIM is found by its process, and read as ours', async () => {
  const own = absolute('/etc/opendkim.conf');
  const files = filesOf({
    '/proc/12/comm': 'opendkim\n',
    '/proc/12/cmdline': 'opendkim\0-x\0/etc/old.conf\0',
    '/proc/13/comm': 'opendkim\n',
    '/proc/13/cmdline': 'opendkim\0-x\0/etc/opendkim.conf\0',
    '/proc/14/comm': 'less\n',
    '/proc/14/cmdline': 'less\0-x\0/etc/other.conf\0',
    '/etc/old.conf': 'Include /etc/more.conf\nKeyTable file:/k\n',
    '/etc/more.conf': 'SigningTable refile:/s\n',
    '/k': 'k a.example:s:/x\n',
    '/s': '*@b.example k\n* k\n',
    '/etc/single.conf': 'Domain one.example, two.example\nSelector s\nKeyFile /x\n',
    '/etc/lost.conf': 'KeyTable file:/k\nSigningTable refile:/gone\n',
  });
  const found = await runningOpenDkims(files, own);
  expect(found).toEqual(['/etc/old.conf']);
  expect(await openDkimDomains(files, 'it', found)).toEqual({
    known: ['a.example', 'b.example'],
    unread: ['* in /etc/old.conf'],
  });
  expect(await openDkimDomains(files, 'it', [absolute('/etc/single.conf')])).toEqual({
    known: ['one.example', 'two.example'],
    unread: [],
  });
  expect(await openDkimDomains(files, 'it', [absolute('/etc/lost.conf')])).toEqual({
    known: ['a.example'],
    unread: ['SigningTable in /etc/lost.conf'],
  });
  expect(await openDkimDomains(files, 'it', [absolute('/etc/gone.conf')])).toEqual({
    known: [],
    unread: ['the configuration of it'],
  });
});

describe('to switch it off', () => {
  const other = (domains?: Rival['domains']): {readonly rivals: readonly Rival[]} => ({
    rivals: [
      {
        kind: 'rspamd',
        program: 'rspamd',
        evidence: '',
        signs: 'yes',
        ...(domains === undefined ? {} : {domains}),
      },
    ],
  });
  const signed = new Set(['example.com']);

  test('is fine where all that it signs is signed here', () => {
    expect(whoWouldLose(other({known: ['example.com'], unread: []}), signed)).toBeUndefined();
    expect(whoWouldLose({rivals: []}, signed)).toBeUndefined();
  });

  test('names the domains that would lose their signature, and the way out', () => {
    const problem = whoWouldLose(other({known: ['a.example', 'example.com'], unread: []}), signed);
    expect(problem).toMatchObject({id: 'other-signer.domains'});
    expect(problem?.message).toContain('rspamd signs mail from a.example, too');
    expect(problem?.hint).toContain('--domain a.example');
    expect(problem?.hint).toContain('--other-signer leave');
  });

  test('what cannot be read counts as a loss', () => {
    for (const domains of [undefined, {known: ['example.com'], unread: ['use_redis in x']}]) {
      expect(whoWouldLose(other(domains), signed)?.message).toContain("can't tell whose mail rspamd signs");
    }
  });
});
