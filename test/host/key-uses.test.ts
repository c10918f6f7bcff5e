/** Who uses a key: by its material, whatever the row, the path or the program. */
import {createPrivateKey, generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {formatKeyRecord} from '../../src/dkim/index.ts';
import {absolute} from '../../src/domain/paths.ts';
import {describeUse, lookAtSignerRows, placeOf, type SignerRow, usesOf} from '../../src/host/index.ts';
import {inspectKey, recordFingerprint} from '../../src/keys/index.ts';
import type {HostFacts, Rival} from '../../src/services/facts.ts';
import {MemoryFiles} from '../support/fake-host.ts';

const pem = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 1024,
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
    publicKeyEncoding: {type: 'spki', format: 'pem'},
  }).privateKey;
const KEY = pem();
const OTHER = pem();
const fingerprint = (text: string): string => {
  const read = inspectKey(text);
  if (!read.ok) throw new TypeError('no key');
  return read.value.fingerprint;
};

const factsWith = (otherSigners: readonly Rival[] = []): HostFacts =>
  ({
    signer: {kind: 'opendkim', configFile: absolute('/etc/opendkim.conf')},
    rivals: otherSigners,
  }) as unknown as HostFacts;

function host(files: Readonly<Record<string, string | Uint8Array>>): MemoryFiles {
  const tree = new MemoryFiles();
  for (const [path, content] of Object.entries(files)) tree.put(path, content);
  return tree;
}

async function usesIn(files: MemoryFiles, others: readonly Rival[] = []): Promise<readonly SignerRow[]> {
  return usesOf(await lookAtSignerRows({files}, factsWith(others)))(fingerprint(KEY));
}

const shown = (rows: readonly SignerRow[]): readonly string[] =>
  rows.map(row => `${row.signer} ${placeOf(row)} ${row.what}${row.key.known ? '' : ` ? ${row.key.why}`}`);

const TABLES = 'KeyTable file:/etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n';
const tables = (
  keyTable: string,
  signingTable: string,
  more: Readonly<Record<string, string | Uint8Array>> = {},
): MemoryFiles =>
  host({
    '/etc/opendkim.conf': TABLES,
    '/etc/opendkim/KeyTable': keyTable,
    '/etc/opendkim/SigningTable': signingTable,
    '/keys/a': KEY,
    '/keys/b': OTHER,
    ...more,
  });

describe('a row of OpenDKIM uses the key', () => {
  it('by its path; the row that signs is named', async () => {
    const files = tables(
      '# keys\nx example.org:s1:/keys/a\ny b.example:s1:/keys/b\n',
      '\n*@example.org x\n*@b.example y\n',
    );
    expect(shown(await usesIn(files))).toEqual([
      'OpenDKIM /etc/opendkim/SigningTable line 2 *@example.org x',
    ]);
  });

  it('by a copy, by a symbolic link, and by the key in the table itself', async () => {
    const der = createPrivateKey(KEY).export({type: 'pkcs1', format: 'der'}).toString('base64');
    const files = tables(
      `copy c.example:s1:/keys/copy\nlink l.example:s1:/keys/link\ninline i.example:s1:${der}\n`,
      '*@c.example copy\n*@l.example link\n*@i.example inline\n',
      {'/keys/copy': `${KEY}\n`},
    );
    files.symlink('/keys/link', '/keys/a');
    const rows = await usesIn(files);
    expect(rows.map(({domain}) => domain)).toEqual(['c.example', 'l.example', 'i.example']);
  });

  it('of a list in the configuration, and of the single key', async () => {
    const list = host({
      '/etc/opendkim.conf':
        'Syslog yes\nKeyTable csl:x=example.org:s1:/keys/a\nSigningTable *@example.org=x\n',
      '/keys/a': KEY,
    });
    expect(shown(await usesIn(list))).toEqual(['OpenDKIM /etc/opendkim.conf line 3 *@example.org x']);
    const single = host({
      '/etc/opendkim.conf': 'Include /etc/opendkim/more\n',
      '/etc/opendkim/more': 'Domain example.org\nSelector s1\nKeyFile /keys/a\n',
      '/keys/a': KEY,
    });
    expect(shown(await usesIn(single))).toEqual(['OpenDKIM /etc/opendkim/more line 3 KeyFile']);
  });

  it('by the domain of the sender', async () => {
    const files = tables('all %:s1:/keys/%/s1.pem\n', '* all\n', {
      '/keys/example.org/s1.pem': KEY,
      '/keys/b.example/s1.pem': OTHER,
    });
    expect(await usesIn(files)).toHaveLength(1);
    const any = tables('example.org example.org:s1:/keys/a\n', '* %\n');
    expect(await usesIn(any)).toHaveLength(1);
  });

  it('not, where no row of the signing table names it: it waits for mail that is in transit', async () => {
    expect(
      await usesIn(tables('x example.org:s1:/keys/a\ny example.org:s2:/keys/b\n', '*@example.org y\n')),
    ).toEqual([]);
  });

  it('where a script chooses the keys', async () => {
    const files = tables('x example.org:s1:/keys/a\n', '');
    files.put('/etc/opendkim.conf', `${TABLES}SetupPolicyScript /etc/opendkim/setup.lua\n`);
    expect(await usesIn(files)).toHaveLength(1);
  });

  it('of another instance, whether it runs or lies beside the known one', async () => {
    const files = tables('', '', {
      '/etc/opendkim-out.conf': 'Domain out.example\nSelector s1\nKeyFile /keys/a\n',
      '/srv/mail/dkim.conf': 'Domain srv.example\nSelector s1\nKeyFile /keys/a\n',
      '/proc/77/comm': 'opendkim\n',
      '/proc/77/cmdline': '/usr/sbin/opendkim\0-x\0/srv/mail/dkim.conf\0',
      '/proc/78/comm': 'master\n',
    });
    expect((await usesIn(files)).map(({domain}) => domain)).toEqual(['srv.example', 'out.example']);
  });
});

describe('what cannot be read counts as in use', () => {
  it.each([
    ['a missing file', 'x example.org:s1:/keys/none\n', 'names /keys/none, which is missing'],
    ['a file that is no key', 'x example.org:s1:/etc/opendkim.conf\n', 'holds no private key'],
    ['a directory', 'x example.org:s1:/keys\n', 'cannot be read'],
    ['a relative path', 'x example.org:s1:./a\n', 'relative path'],
    ['a path that leads upward', 'x example.org:s1:/keys/b/../a\n', 'leads upward'],
    ['a row without its fields', 'x /keys/a\n', 'no domain:selector:path'],
    ['no file for any sender', 'x %:s1:/none/%.pem\n', 'no file that is there'],
  ])('%s', async (_what, row, why) => {
    const rows = await usesIn(tables(row, '*@example.org x\n'));
    expect(shown(rows)).toHaveLength(1);
    expect(shown(rows)[0]).toContain(why);
    expect(shown(rows)[0]).toContain('/etc/opendkim/KeyTable line 1');
  });

  it.each([
    'ldap://host/o=x',
    'dsn:pgsql://u:pw@host/db',
    'lua:/etc/opendkim/x.lua',
    'file:/none',
    'x=a.b:s1:/keys/a',
  ])('a key table in %s', async set => {
    const rows = await usesIn(host({'/etc/opendkim.conf': `KeyTable ${set}\nSigningTable refile:/x\n`}));
    expect(rows).toHaveLength(1);
    expect(rows[0]?.key.known).toBe(false);
    expect(placeOf(rows[0] as SignerRow)).toBe('/etc/opendkim.conf line 1');
    expect(JSON.stringify(rows)).not.toContain('pw@');
  });

  it('a signing table that cannot be read makes every key of the key table one in use', async () => {
    const files = tables('x example.org:s1:/keys/a\n', '');
    files.nodes.delete('/etc/opendkim/SigningTable');
    expect(await usesIn(files)).toHaveLength(1);
  });

  it('a file that is included and missing', async () => {
    const rows = await usesIn(host({'/etc/opendkim.conf': 'Include /etc/opendkim/gone\n'}));
    expect(shown(rows)).toEqual(['OpenDKIM /etc/opendkim/gone the configuration ? is missing']);
  });

  it('a signer that is known by name only', async () => {
    const rows = await usesIn(tables('', ''), [
      {kind: 'dkimproxy', program: 'dkimproxy', evidence: 'content_filter is dksign', signs: 'yes'},
      {kind: 'dkim-milter', program: 'dkim-milter', evidence: 'gone', signs: 'no'},
    ]);
    expect(shown(rows)).toEqual([
      'dkimproxy content_filter is dksign its configuration ? is not read by waxseal',
    ]);
  });

  it('every row, for a key whose record cannot be read', async () => {
    const rows = await lookAtSignerRows(
      {files: tables('y b.example:s1:/keys/b\n', '*@b.example y\n')},
      factsWith(),
    );
    expect(usesOf(rows)(undefined)).toHaveLength(1);
    expect(usesOf(rows)(fingerprint(KEY))).toHaveLength(0);
  });
});

describe('other signers', () => {
  it('rspamd: a path, a pattern, a map, its own directory; what is in redis counts', async () => {
    const files = host({
      '/etc/rspamd/local.d/dkim_signing.conf':
        'enabled = true;\ndomain { a.example { path = "/keys/a"; selector = "s"; } }\npath_map = "/etc/rspamd/paths.map";\nuse_redis = true;\n',
      '/etc/rspamd/paths.map': '# domain path\nm.example /keys/$selector.pem\n',
      '/keys/a': KEY,
      '/keys/s.pem': KEY,
      '/var/lib/rspamd/dkim/d.example.mail.key': KEY,
      '/var/lib/rspamd/dkim/e.example.mail.key': OTHER,
    });
    expect(shown(await usesIn(files))).toEqual([
      'rspamd /etc/rspamd/local.d/dkim_signing.conf line 2 /keys/a',
      'rspamd /etc/rspamd/paths.map line 2 /keys/$selector.pem',
      'rspamd /etc/rspamd/local.d/dkim_signing.conf /var/lib/rspamd/dkim/$domain.$selector.key',
      'rspamd /etc/rspamd/local.d/dkim_signing.conf line 4 use_redis = true ? keeps keys where waxseal does not look',
    ]);
    files.put('/etc/rspamd/override.d/dkim_signing.conf', 'enabled = false;\n');
    expect(await usesIn(files)).toEqual([]);
  });

  it('amavis: dkim_key; one with a variable cannot be read', async () => {
    const files = host({
      '/etc/amavis/conf.d/50-user':
        "$enable_dkim_signing = 1;\n# dkim_key('old.example','s','/keys/a');\ndkim_key('a.example', 's', '/keys/a');\ndkim_key($domain, 's', $file);\n",
      '/keys/a': KEY,
    });
    expect(shown(await usesIn(files))).toEqual([
      'amavis /etc/amavis/conf.d/50-user line 3 dkim_key',
      'amavis /etc/amavis/conf.d/50-user line 4 dkim_key ? names its key by a variable',
    ]);
    files.put('/etc/amavis/conf.d/60-off', '$enable_dkim_signing = 0;\n');
    expect(await usesIn(files)).toEqual([]);
  });

  it('dkimpy-milter: its tables and both of its single keys', async () => {
    const files = host({
      '/etc/dkimpy-milter/dkimpy-milter.conf':
        'Domain d.example\nSelector s\nKeyFile /keys/b\nKeyFileEd25519 /keys/a\n',
      '/keys/a': KEY,
      '/keys/b': OTHER,
    });
    expect(shown(await usesIn(files))).toEqual([
      'dkimpy-milter /etc/dkimpy-milter/dkimpy-milter.conf line 4 KeyFile',
    ]);
  });
});

describe('words', () => {
  const row = (key: SignerRow['key'], more: Partial<SignerRow> = {}): SignerRow => ({
    signer: 'OpenDKIM',
    file: '/etc/opendkim/SigningTable',
    line: 3,
    what: '*@mail.example.org x',
    key,
    ...more,
  });
  const known = {known: true, fingerprint: 'f'} as const;

  it('name the row, its file and line, and what to do', () => {
    expect(describeUse(row(known, {domain: 'mail.example.org'}), {domain: 'example.org'})).toBe(
      'OpenDKIM still signs with this key: *@mail.example.org x (/etc/opendkim/SigningTable line 3). Rotate that domain first: waxseal rotate --domain mail.example.org',
    );
    expect(
      describeUse(row(known, {domain: 'example.org'}), {
        domain: 'example.org',
        successor: 's2._domainkey.example.org',
      }),
    ).toBe(
      'OpenDKIM still signs with this key: *@mail.example.org x (/etc/opendkim/SigningTable line 3). Give that line the key s2._domainkey.example.org first.',
    );
    expect(describeUse(row({known: false, why: 'names /k, which is missing'}), {domain: 'example.org'})).toBe(
      'OpenDKIM may still sign with this key: *@mail.example.org x (/etc/opendkim/SigningTable line 3) names /k, which is missing. Fix or remove that line first.',
    );
  });
});

describe('fingerprints', () => {
  it('are the same of a record and of its private key', () => {
    const record = formatKeyRecord({algorithm: 'rsa', publicKey: createPrivateKey(KEY)});
    expect(recordFingerprint(record.replace('p=', 'p = '))).toBe(fingerprint(KEY));
    expect(recordFingerprint('v=DKIM1; p=')).toBeUndefined();
  });
});
