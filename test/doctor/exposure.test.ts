import {describe, expect, it} from 'vitest';
import {checkExposure} from '../../src/doctor/exposure.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Check} from '../../src/proof/proof.ts';
import type {HostFacts, SignerFacts} from '../../src/services/facts.ts';
import type {OpenDkimFacts} from '../../src/services/opendkim/facts.ts';
import {openDkim} from '../../src/services/opendkim/index.ts';
import type {AccessList, Users} from '../../src/system/ports.ts';
import {openWorld} from '../demo/world.ts';
import {setAttributes} from '../support/attributes.ts';
import {MemoryFiles} from '../support/fake-host.ts';

const ACCOUNTS = [
  {name: 'root', uid: 0, gid: 0},
  {name: 'opendkim', uid: 105, gid: 110},
  {name: 'mail', uid: 8, gid: 8},
  {name: 'alice', uid: 1000, gid: 1000},
];

const GROUPS = [
  {name: 'root', gid: 0, members: []},
  {name: 'opendkim', gid: 110, members: []},
  {name: 'mail', gid: 8, members: ['alice']},
  {name: 'alone', gid: 50, members: []},
];

const users: Users = {
  user: async name => ACCOUNTS.find(each => each.name === name),
  userById: async uid => ACCOUNTS.find(each => each.uid === uid),
  group: async name => GROUPS.find(each => each.name === name),
  groupById: async gid => GROUPS.find(each => each.gid === gid),
  primaryMembers: async gid => ACCOUNTS.filter(each => each.gid === gid),
};

const OPENDKIM = {uid: 105, gid: 110};
const KEY = '/etc/dkimkeys/example.org/s1.private';

/** A host as waxseal leaves it, then as `change` does. */
async function look(change: (files: MemoryFiles) => void, path = KEY): Promise<readonly Check[]> {
  const files = new MemoryFiles();
  files.put('/etc/opendkim.conf', '');
  for (const name of ['KeyTable', 'SigningTable', 'TrustedHosts']) files.put(`/etc/opendkim/${name}`, '');
  files.directory('/etc/dkimkeys', {...OPENDKIM, mode: 0o700});
  files.directory('/etc/dkimkeys/example.org', {...OPENDKIM, mode: 0o700});
  files.put(KEY, '', {...OPENDKIM, mode: 0o600});
  change(files);
  const signer: Partial<OpenDkimFacts> = {
    kind: 'opendkim',
    program: 'OpenDKIM',
    configFile: absolute('/etc/opendkim.conf'),
    settings: {
      keytable: 'file:/etc/opendkim/KeyTable',
      signingtable: 'refile:/etc/opendkim/SigningTable',
      internalhosts: '/etc/opendkim/TrustedHosts',
      peerlist: '127.0.0.1',
    },
    keys: [{label: 'k', domain: 'example.org', selector: 's1', path, used: true}],
    user: 'opendkim',
    group: 'opendkim',
  };
  const facts = {signer} as unknown as HostFacts & {readonly signer: SignerFacts};
  return await checkExposure({files, users}, facts.signer, openDkim.decidingFiles(facts));
}

const summary = (checks: readonly Check[]): readonly string[] =>
  checks.map(({id, status, fix}) => `${status} ${id}: ${fix}`);

describe('checkExposure', () => {
  it('finds nothing on a host as waxseal leaves it, nor behind links of root', async () => {
    expect(await look(() => undefined)).toEqual([]);
    expect(
      await look(files => {
        files.put('/srv/dkim/KeyTable', '');
        files.symlink('/etc/opendkim/KeyTable', '/srv/dkim/KeyTable');
        files.directory('/etc', {gid: 50, mode: 0o775});
      }),
    ).toEqual([]);
  });

  it('warns where the user of OpenDKIM has tables, and the repair leaves them readable for it', async () => {
    // As many guides have it: chown -R opendkim:mail /etc/opendkim.
    const checks = await look(files => {
      files.directory('/etc/opendkim', {uid: 105, gid: 8, mode: 0o750});
      files.put('/etc/opendkim/KeyTable', '', {uid: 105, gid: 8, mode: 0o640});
    });
    expect(summary(checks)).toEqual([
      'warn host.signer-writes: chown root:opendkim /etc/opendkim && chmod g+rX,g-w /etc/opendkim',
    ]);
    expect(checks[0]).toMatchObject({
      evidence: '/etc/opendkim belongs to opendkim, and /etc/opendkim/KeyTable is below it',
      cause: expect.stringContaining('as root'),
    });
    const open = await look(files => files.put('/etc/opendkim.conf', '', {...OPENDKIM, mode: 0o644}));
    expect(summary(open)).toEqual(['warn host.signer-writes: chown root /etc/opendkim.conf']);
    const byGroup = await look(files => files.put('/etc/opendkim/SigningTable', '', {gid: 110, mode: 0o664}));
    expect(summary(byGroup)).toEqual(['warn host.signer-writes: chmod go-w /etc/opendkim/SigningTable']);
  });

  it.each([
    [
      'everyone',
      (files: MemoryFiles) => files.put('/etc/opendkim/TrustedHosts', '', {mode: 0o666}),
      'fail host.everyone-writes: chmod go-w /etc/opendkim/TrustedHosts',
    ],
    [
      'everyone, by the directory',
      (files: MemoryFiles) => files.directory('/etc/opendkim', {mode: 0o777}),
      'fail host.everyone-writes: chmod go-w /etc/opendkim',
    ],
    [
      'another account',
      (files: MemoryFiles) => files.put('/etc/opendkim/KeyTable', '', {uid: 1000}),
      'warn host.account-writes: chown root /etc/opendkim/KeyTable',
    ],
    [
      'a group with members',
      (files: MemoryFiles) => files.put('/etc/opendkim/KeyTable', '', {gid: 8, mode: 0o664}),
      'warn host.account-writes: chmod go-w /etc/opendkim/KeyTable',
    ],
    [
      'a link of somebody else',
      (files: MemoryFiles) => {
        files.directory('/srv/alice', {uid: 1000});
        files.put('/srv/alice/KeyTable', '');
        files.symlink('/etc/opendkim/KeyTable', '/srv/alice/KeyTable');
      },
      'warn host.account-writes: chown root /srv/alice',
    ],
    [
      'a key, by everyone',
      (files: MemoryFiles) => files.put(KEY, '', {...OPENDKIM, mode: 0o602}),
      `fail host.everyone-writes: chmod go-w ${KEY}`,
    ],
    [
      'a key, by its owner',
      (files: MemoryFiles) => files.put(KEY, '', {uid: 1000, gid: 110, mode: 0o640}),
      `warn host.account-writes: chown opendkim ${KEY}`,
    ],
  ])('tells who else can change things: %s', async (_, change, expected) => {
    expect(summary(await look(change))).toEqual([expected]);
  });

  it('finds bits on a table that belong on programs', async () => {
    const checks = await look(files => files.put('/etc/opendkim/KeyTable', '', {mode: 0o4644}));
    expect(summary(checks)).toEqual(['warn host.odd-mode: chmod u-s,g-s,-t /etc/opendkim/KeyTable']);
    expect(checks[0]?.evidence).toBe('/etc/opendkim/KeyTable has mode 4644');
  });

  it('finds a key that others can read, where the way to it is open', async () => {
    const open =
      (mode: number, gid = 110) =>
      (files: MemoryFiles) => {
        files.directory('/etc/dkimkeys', {...OPENDKIM, mode: 0o755});
        files.directory('/etc/dkimkeys/example.org', {...OPENDKIM, mode: 0o755});
        files.put(KEY, '', {uid: 105, gid, mode});
      };
    const fix = `chown opendkim:opendkim ${KEY} && chmod 0600 ${KEY}`;
    expect(summary(await look(open(0o644)))).toEqual([`fail host.key-readable: ${fix}`]);
    expect(summary(await look(open(0o640, 8)))).toEqual([`warn host.key-readable: ${fix}`]);
    expect(await look(open(0o640))).toEqual([]);
    expect(await look(files => files.put(KEY, '', {...OPENDKIM, mode: 0o644}))).toEqual([]);
  });

  const ALICE = {kind: 'user', id: 1000} as const;

  it.each([
    [
      'a table',
      '/etc/opendkim/KeyTable',
      (files: MemoryFiles) => files.put('/etc/opendkim/KeyTable', '', {mode: 0o664}),
    ],
    [
      'its directory',
      '/etc/opendkim',
      (files: MemoryFiles) => files.directory('/etc/opendkim', {mode: 0o775}),
    ],
    [
      'the configuration',
      '/etc/opendkim.conf',
      (files: MemoryFiles) => files.put('/etc/opendkim.conf', '', {mode: 0o664}),
    ],
    ['a key', KEY, (files: MemoryFiles) => files.put(KEY, '', {...OPENDKIM, mode: 0o660})],
    [
      'the directory of keys',
      '/etc/dkimkeys',
      (files: MemoryFiles) => files.directory('/etc/dkimkeys', {...OPENDKIM, mode: 0o770}),
    ],
  ])('finds who can write by an access list: %s', async (_, at, put) => {
    const open = (named: AccessList['named'], group = 0) =>
      look(files => {
        put(files);
        files.lists.set(at, {group, named});
      });
    const [check, ...more] = await open([{...ALICE, rights: 6}]);
    expect(more.map(({id}) => id).filter(id => id !== 'host.key-readable')).toEqual([]);
    expect(check).toMatchObject({id: 'host.account-writes', status: 'warn', fix: `chmod go-w ${at}`});
    expect(check?.evidence).toContain(`${at} can be written by alice (access list)`);
    const byGroup = await open([{kind: 'group', id: 8, rights: 2}]);
    expect(byGroup[0]?.evidence).toContain('can be written by group mail (access list)');
    // The bits of the group are the mask: what nobody else has by an entry, nobody has.
    expect(await open([{...ALICE, rights: 1}])).toEqual([]);
    expect(await open([{kind: 'user', id: 0, rights: 6}])).toEqual([]);
  });

  it('finds who can read a key by an access list, or that it cannot be told', async () => {
    const open = (list: AccessList | 'unread', mode = 0o711) =>
      look(files => {
        for (const directory of ['/etc/dkimkeys', '/etc/dkimkeys/example.org'])
          files.directory(directory, {...OPENDKIM, mode});
        files.put(KEY, '', {...OPENDKIM, mode: 0o640});
        files.lists.set(KEY, list);
      });
    const read = await open({group: 0, named: [{...ALICE, rights: 4}]});
    expect(summary(read)).toEqual([
      `warn host.key-readable: chown opendkim:opendkim ${KEY} && chmod 0600 ${KEY}`,
    ]);
    expect(read[0]?.evidence).toBe(`${KEY} can be read by alice (access list)`);
    const unread = await open('unread');
    expect(unread.map(({evidence}) => evidence)).toEqual([
      `${KEY} can be read by an account that can't be told without getfacl (access list)`,
    ]);
    // OpenDKIM itself may, and a directory on the way stops everyone else.
    expect(await open({group: 4, named: [{kind: 'user', id: 105, rights: 4}]})).toEqual([]);
    expect(await open({group: 0, named: [{...ALICE, rights: 4}]}, 0o700)).toEqual([]);
  });

  it('finds a key among the files of a web server', async () => {
    const path = '/var/www/html/my key.private';
    const place = (mode: number) => (files: MemoryFiles) => files.put(path, '', {...OPENDKIM, mode});
    expect(summary(await look(place(0o644), path))).toEqual([
      'fail host.key-served: Replace it: waxseal rotate --emergency --domain example.org',
      `fail host.key-readable: chown opendkim:opendkim '${path}' && chmod 0600 '${path}'`,
    ]);
    expect(summary(await look(place(0o600), path))).toEqual([
      'warn host.key-served: Move it elsewhere, and change its row in the key table.',
    ]);
  });
});

it('is part of waxseal check, and passes a host that waxseal has set up', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const ids = async (): Promise<readonly string[]> =>
    (await world.run(['check', '--json'])).report.checks.map(({id, status}) => `${status} ${id}`);
  expect((await ids()).filter(each => /write|readable|served|odd/.test(each))).toEqual([]);
  const {files, users: accounts} = world.sandbox.ports;
  const daemon = await accounts.user('opendkim');
  await setAttributes(files, absolute('/etc/opendkim'), {
    mode: 0o755,
    uid: daemon?.uid ?? -1,
    gid: daemon?.gid ?? -1,
  });
  expect(await ids()).toContain('warn host.signer-writes');
});
