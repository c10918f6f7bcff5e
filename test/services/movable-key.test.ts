import {describe, expect, it} from 'vitest';
import {privateFingerprint} from '../../src/keys/index.ts';
import type {FileStat} from '../../src/system/ports.ts';
import {carryOut, type FakeHost, fixtureHost, sha256, testKey} from '../support/fake-host.ts';
import {planOn, value, wantedOn} from './wanted.ts';

const OPENDKIM = {uid: 104, gid: 110};
const PLACE = '/etc/opendkim/keys/example.com/mail.private';

/** A host whose opendkim.conf has been given to OpenDKIM's account, which names a file in KeyFile. */
function taken(keyFile: string): FakeHost {
  const host = fixtureHost('arch');
  host.files.directory('/root', {mode: 0o700});
  host.files.directory('/etc/opendkim', OPENDKIM);
  host.files.put(
    '/etc/opendkim/opendkim.conf',
    `Domain example.com\nKeyFile ${keyFile}\nSelector mail\nSocket inet:8891@localhost\nUserID opendkim\n`,
    OPENDKIM,
  );
  return host;
}

const plan = async (host: FakeHost) => (await planOn(host, wantedOn(host, ['example.com']))).change;

async function refusal(host: FakeHost): Promise<string> {
  const change = await plan(host);
  if (change.ok) return 'none';
  expect(change.problem.id).toBe('opendkim.key-not-moved');
  return change.problem.message;
}

describe('a key that a configuration names', () => {
  it('is copied where the account can read it, with its fingerprint in the step', async () => {
    const host = taken('/etc/opendkim/mail.private');
    const octets = Buffer.from(testKey('arch'));
    const {steps} = value(await plan(host));
    const step = steps.find(({id}) => id === `file:${PLACE}`);
    expect(step).toMatchObject({
      after: {
        content: {
          from: 'secret',
          path: '/etc/opendkim/mail.private',
          sha256: sha256(octets),
          fingerprint: privateFingerprint(octets),
        },
        owner: {user: 'opendkim', group: 'opendkim'},
        mode: 0o600,
      },
    });
    await carryOut(host, steps);
    expect(host.files.text(PLACE)).toBe(testKey('arch'));
  });

  it('is never a file that is readable for root alone', async () => {
    const host = taken('/root/tls.key');
    host.files.put('/root/tls.key', testKey('tls'), {mode: 0o600});
    expect(await refusal(host)).toContain(
      "/root/tls.key, named by KeyFile in /etc/opendkim/opendkim.conf, can't be read by opendkim",
    );
    // Nor one that would be readable, but for the directory that it is in.
    host.files.put('/root/tls.key', testKey('tls'), {mode: 0o644});
    expect(await refusal(host)).toContain("can't be read by opendkim");
    host.files.directory('/root', {mode: 0o755});
    expect(await refusal(host)).toBe('none');
  });

  it('is never what a link leads to that the account cannot read', async () => {
    const host = taken('/etc/opendkim/link.private');
    host.files.put('/root/tls.key', testKey('tls'), {mode: 0o600});
    host.files.symlink('/etc/opendkim/link.private', '/root/tls.key');
    expect(await refusal(host)).toContain("can't be read by opendkim");
  });

  it('is never a file that was exchanged between the two looks', async () => {
    const host = taken('/etc/opendkim/mail.private');
    const {inspect} = host.files;
    host.files.inspect = async (at, how) => {
      const found = await inspect.call(host.files, at, how);
      return found !== undefined && at === '/etc/opendkim/mail.private'
        ? {...found, content: Buffer.from(testKey('tls'))}
        : found;
    };
    expect(await refusal(host)).toContain("can't be read by opendkim");
  });

  it('is a private key in a regular file with one name', async () => {
    expect(await refusal(taken('/etc/opendkim/none'))).toContain('is missing');
    expect(await refusal(taken('/etc/opendkim'))).toContain('is no regular file');
    const host = taken('/etc/shadow');
    host.files.put('/etc/shadow', 'root:*:1::::::\n');
    expect(await refusal(host)).toContain('holds no private key');
    const twin = taken('/etc/opendkim/mail.private');
    const {inspect} = twin.files;
    twin.files.inspect = async (at, how) => {
      const found = await inspect.call(twin.files, at, how);
      return found === undefined ? found : {...found, stat: {...found.stat, links: 2} satisfies FileStat};
    };
    expect(await refusal(twin)).toContain('has several names');
  });

  it('comes with a command that lets the account read it', async () => {
    const hint = async (fixture: string): Promise<string> => {
      const host = fixtureHost(fixture);
      const conf = host.files.nodes.get('/etc/opendkim.conf');
      if (conf?.kind === 'file') host.files.put('/etc/opendkim.conf', conf.content, OPENDKIM);
      const change = await plan(host);
      return change.ok ? 'none' : change.problem.hint;
    };
    expect(await hint('single-key')).toBe(
      'If it is your DKIM key: sudo chown opendkim /etc/dkimkeys/example.private',
    );
    expect(await hint('ubuntu-wiki')).toBe(
      'If it is your DKIM key, copy it and name the copy in KeyFile: sudo install -o opendkim -m 600 /etc/mail/dkim.key /etc/dkimkeys/dkim.key',
    );
  });

  it('may be a file of root alone where root alone can have named it and put it there', async () => {
    const key = '/etc/dkimkeys/example.private';
    const host = fixtureHost('single-key');
    expect((await plan(host)).ok).toBe(true);
    // A link of the account that owns the directory, to another file of root's.
    host.files.put('/root/tls.key', testKey('tls'), {mode: 0o600});
    host.files.directory('/root', {mode: 0o700});
    host.files.nodes.delete(key);
    host.files.symlink(key, '/root/tls.key');
    expect(await refusal(host)).toContain("can't be read by opendkim");
    // A file that isn't root's, and a configuration that others can write.
    host.files.nodes.delete(key);
    host.files.put(key, testKey('tls'), {uid: 1000, gid: 1000, mode: 0o600});
    expect(await refusal(host)).toContain("can't be read by opendkim");
    const loose = fixtureHost('single-key');
    const conf = loose.files.nodes.get('/etc/opendkim.conf');
    if (conf?.kind === 'file') loose.files.put('/etc/opendkim.conf', conf.content, {mode: 0o666});
    expect(await refusal(loose)).toContain("can't be read by opendkim");
  });

  it('is looked for in no other form', async () => {
    const host = fixtureHost('debian-13');
    expect((await planOn(host, wantedOn(host, ['example.com']))).snapshot.movable).toBeUndefined();
  });
});
