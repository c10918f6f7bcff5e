/** The sandbox's signer beside what FACTS.md 2.1 to 2.6 say of OpenDKIM. */
import {generateKeyPairSync} from 'node:crypto';
import {setTimeout as sleep} from 'node:timers/promises';
import {describe, expect, it, onTestFinished, vi} from 'vitest';
import {openSandbox, type Sandbox} from '../../src/demo/sandbox.ts';
import {startSigner} from '../../src/demo/signer.ts';
import {absolute, parentOf} from '../../src/domain/paths.ts';
import {type ProbeOutcome, probeMilter} from '../../src/milter/client.ts';
import {setAttributes} from '../support/attributes.ts';
import {hastyClock, pemOf, testParts} from './world.ts';

const SOCKET = absolute('/run/opendkim/opendkim.sock');
const KEY = absolute('/etc/dkimkeys/example.org/s1.private');
const OPENDKIM = {uid: 102, gid: 108};
const RSA = pemOf({algorithm: 'rsa', bits: 2048});

interface Host {
  readonly sandbox: Sandbox;
  write(path: string, text: string, mode?: number, owner?: {uid: number; gid: number}): Promise<void>;
  restart(): Promise<number | null>;
  ask(from: string, client?: {address?: string; host?: string; authType?: string}): Promise<ProbeOutcome>;
  logged(): string;
}

/** A host with one key and tables, the way the layouts of waxseal lay them. */
async function host(change: Partial<Record<'config' | 'key' | 'signing', string>> = {}): Promise<Host> {
  const clock = hastyClock();
  const sandbox = await openSandbox(testParts(clock));
  onTestFinished(() => sandbox.close());
  const {files, commands, sockets} = sandbox.ports;
  const write: Host['write'] = async (path, text, mode = 0o644, owner = {uid: 0, gid: 0}) =>
    files.replace(absolute(path), Buffer.from(text), {mode, ...owner});
  await files.makeDirectory(absolute('/etc/opendkim'), {mode: 0o755, uid: 0, gid: 0});
  await files.makeDirectory(parentOf(KEY), {mode: 0o700, ...OPENDKIM});
  await write(KEY, RSA, 0o600, OPENDKIM);
  await write('/etc/opendkim/KeyTable', change.key ?? `k1 example.org:s1:${KEY}\n`);
  await write('/etc/opendkim/SigningTable', change.signing ?? '*@example.org k1\n');
  await write(
    '/etc/opendkim.conf',
    change.config ??
      `LogWhy yes\nUMask 007\nSocket local:${SOCKET}\nPidFile /run/opendkim/opendkim.pid\nKeyTable file:/etc/opendkim/KeyTable\nSigningTable refile:/etc/opendkim/SigningTable\n`,
  );
  const restart = async (): Promise<number | null> =>
    (await commands.run(['systemctl', 'restart', 'opendkim'])).status;
  await restart();
  sandbox.machine.lines.length = 0;
  return {
    ...{sandbox, write, restart},
    ask: (from, {address = '127.0.0.1', host: name = 'localhost', authType} = {}) =>
      probeMilter(
        {sockets, clock},
        {kind: 'unix', path: SOCKET},
        {
          client: {host: name, address, port: 4000, ...(authType === undefined ? {} : {authType})},
          ...{helo: 'localhost', serverName: 'mail.example.org', queueId: 'Q1', from},
          recipients: ['b@example.net'],
          headers: [{name: 'From', value: from}],
          body: Buffer.from('hello\r\n'),
        },
      ),
    logged: () => sandbox.machine.lines.map(({text}) => text).join('\n'),
  };
}

const verdictOf = (outcome: ProbeOutcome): string => {
  if (outcome.ended !== 'answered') return outcome.ended;
  const field = outcome.added.find(({name}) => name === 'DKIM-Signature')?.value;
  if (field !== undefined) return `signed d=${/\bd=([^;]+)/.exec(field)?.[1]}`;
  const {reply} = outcome;
  return reply.verdict === 'reply' ? `${reply.code} ${reply.text}` : reply.verdict;
};

describe('keys (FACTS 2.1)', () => {
  it.each([
    [
      'opendkim 0600',
      0o600,
      OPENDKIM,
      'signed d=example.org',
      'Q1: DKIM-Signature field added (s=s1, d=example.org)',
    ],
    ['root:opendkim 0640', 0o640, {uid: 0, gid: 108}, 'signed d=example.org', 'field added'],
    ['0644', 0o644, OPENDKIM, 'tempfail', `${KEY} can be read or written by other users`],
    [
      'group postfix 0640',
      0o640,
      {uid: 102, gid: 106},
      'tempfail',
      'can be read or written by its group, which postfix is in',
    ],
    ['another owner', 0o640, {uid: 101, gid: 108}, 'tempfail', 'belongs to neither opendkim nor root'],
    ['root 0600', 0o600, {uid: 0, gid: 0}, 'tempfail', `${KEY} can't be read by opendkim`],
  ])('%s', async (_, mode, owner, verdict, line) => {
    const {sandbox, ask, logged} = await host();
    await setAttributes(sandbox.ports.files, KEY, {mode, ...owner});
    expect(verdictOf(await ask('alice@example.org'))).toBe(verdict);
    expect(logged()).toContain(line);
  });

  it.each([
    [0o777, OPENDKIM, 'which other users can write'],
    [0o755, {uid: 101, gid: 106}, 'which belongs to neither opendkim nor root'],
  ])('refuses a key in a directory %o of %j', async (mode, owner, line) => {
    const {sandbox, ask, logged} = await host();
    await setAttributes(sandbox.ports.files, parentOf(KEY), {mode, ...owner});
    expect(verdictOf(await ask('alice@example.org'))).toBe('tempfail');
    expect(logged()).toContain(line);
  });

  it.each([
    ['garbage', 'nothing\n', "OpenSSL can't read the key"],
    ['Ed25519', pemOf({algorithm: 'ed25519'}), 'is not an RSA key'],
    [
      '512 bits',
      generateKeyPairSync('rsa', {modulusLength: 512})
        .privateKey.export({type: 'pkcs8', format: 'pem'})
        .toString(),
      'has 512 bits, and MinimumKeyBits is 1024',
    ],
  ])('refuses a key that is %s', async (_, pem, line) => {
    const {write, ask, logged} = await host();
    await write(KEY, pem, 0o600, OPENDKIM);
    expect(verdictOf(await ask('alice@example.org'))).toBe('tempfail');
    expect(logged()).toContain(line);
  });

  it('reads the key for each message, the tables when it starts or is told to reload (FACTS 2.6)', async () => {
    const {sandbox, write, ask, logged} = await host();
    await write('/etc/opendkim/SigningTable', '*@example.net k1\n');
    expect(verdictOf(await ask('alice@example.org'))).toBe('signed d=example.org');
    await sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim.service']);
    expect(logged()).not.toContain('configuration reloaded');
    expect(verdictOf(await ask('alice@example.org'))).toBe('accept');
    expect(logged()).toContain('configuration reloaded from /etc/opendkim.conf');
    await sandbox.ports.files.remove(KEY);
    expect(verdictOf(await ask('bob@example.net'))).toBe('tempfail');
  });

  it('lets every connection wait for the files that the first one after a reload reads', async () => {
    const {sandbox, write, ask} = await host();
    const {files} = sandbox.machine;
    await write('/etc/opendkim/SigningTable', '*@example.net k1\n');
    await sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim.service']);
    const read = files.inspect.bind(files);
    let begun = (): void => undefined;
    const beginning = new Promise<void>(resolve => {
      begun = resolve;
    });
    // A disk that takes its time; the second connection comes meanwhile.
    vi.spyOn(files, 'inspect').mockImplementation(async (...given) => {
      begun();
      await sleep(50);
      return await read(...given);
    });
    const first = ask('alice@example.org');
    await beginning;
    expect(verdictOf(await ask('alice@example.org'))).toBe('accept');
    expect(verdictOf(await first)).toBe('accept');
  });

  it('keeps the old configuration where the new one is wrong or cannot be read any more', async () => {
    const {sandbox, ask, logged} = await host();
    const conf = absolute('/etc/opendkim.conf');
    await setAttributes(sandbox.ports.files, conf, {mode: 0o400, uid: 0, gid: 0});
    expect((await sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim'])).status).toBe(0);
    expect(verdictOf(await ask('alice@example.org'))).toBe('signed d=example.org');
    expect(logged()).toContain('configuration error at line 0: error reading configuration file');
  });
});

describe('tables (FACTS 2.3)', () => {
  it.each([
    ['refile', '*@example.org k1', 'alice@example.org', 'signed d=example.org'],
    ['refile', '*@example.org k1', 'alice@sub.example.org', 'accept'],
    ['refile', '*@example.org k1\n*@*.example.org k1', 'alice@sub.example.org', 'signed d=example.org'],
    ['refile', 'example.org k1', 'alice@example.org', 'accept'],
    ['refile', '* k1', 'alice@example.com', 'signed d=example.org'],
    ['refile', '*@EXAMPLE.org k1', 'Alice@Example.ORG', 'signed d=example.org'],
    ['refile', '.*@example\\.org k1', 'alice@example.org', 'accept'],
    ['file', '*@example.org k1', 'alice@example.org', 'accept'],
    ['file', 'example.org k1', 'alice@example.org', 'signed d=example.org'],
    ['file', 'example.org k1', 'alice@sub.example.org', 'accept'],
    ['file', '.example.org k1', 'alice@sub.example.org', 'signed d=example.org'],
    ['file', '.example.org k1', 'alice@example.org', 'accept'],
    ['refile', '*@example.org k1:@%', 'alice@example.org', 'signed d=example.org'],
    ['refile', '*@example.org k1:%', 'alice@example.org', 'accept'],
    ['refile', '*@example.org other', 'alice@example.org', 'tempfail'],
    ['refile', '*@example.org k1', 'MAILER-DAEMON', 'accept'],
  ])('%s: %j, From %s: %s', async (kind, signing, from, verdict) => {
    const {write, restart, ask, sandbox} = await host({signing: `${signing}\n`});
    const text = await sandbox.machine.text(absolute('/etc/opendkim.conf'));
    await write('/etc/opendkim.conf', (text ?? '').replace('refile:', `${kind}:`));
    await restart();
    expect(verdictOf(await ask(from))).toBe(verdict);
  });

  it.each([
    [`k1 example.org s1 ${KEY}`, 'This row of KeyTable is not domain:selector:path'],
    ['', 'KeyTable has no key k1'],
  ])('refuses the key table %j', async (key, line) => {
    const {ask, logged} = await host({key: `${key}\n`});
    expect(verdictOf(await ask('alice@example.org'))).toBe('tempfail');
    expect(logged()).toContain(line);
  });

  it('takes the first of a doubled label, and % for the domain', async () => {
    const {ask} = await host({key: `k1 %:s1:${KEY}\nk1 example.net:s1:${KEY}\n`});
    expect(verdictOf(await ask('alice@example.org'))).toBe('signed d=example.org');
  });
});

describe('who is signed for (FACTS 2.4)', () => {
  it.each([
    [{}, 'signed d=example.org'],
    [{address: '::1'}, 'signed d=example.org'],
    [{address: '127.0.0.2', host: '[127.0.0.2]'}, 'accept'],
    [{address: '203.0.113.5', host: 'ext.example'}, 'accept'],
    [{address: '203.0.113.5', host: 'ext.example', authType: 'PLAIN'}, 'signed d=example.org'],
  ])('%j: %s', async (client, verdict) => {
    const {ask, logged} = await host();
    expect(verdictOf(await ask('alice@example.org', client))).toBe(verdict);
    if (verdict === 'accept') expect(logged()).toContain("isn't in InternalHosts");
  });

  it('says nothing of the reason without LogWhy', async () => {
    const {sandbox, write, restart, ask, logged} = await host();
    const text = await sandbox.machine.text(absolute('/etc/opendkim.conf'));
    await write('/etc/opendkim.conf', (text ?? '').replace('LogWhy yes', 'LogWhy no'));
    await restart();
    sandbox.machine.lines.length = 0;
    await ask('alice@example.org', {address: '203.0.113.5'});
    expect(logged()).toBe('');
  });
});

describe('start and socket (FACTS 2.2, 2.5)', () => {
  it.each([
    ['KeyTable file:/etc/opendkim/KeyTable', 78, 'KeyTable requires either SigningTable'],
    ['SigningTable refile:/etc/opendkim/SigningTable', 78, 'use of SigningTable requires KeyTable'],
    [
      'KeyTable file:/etc/none\nSigningTable file:/etc/opendkim/SigningTable',
      78,
      '/etc/none: dkimf_db_open(): No such file',
    ],
  ])('opendkim -n refuses %j', async (config, status, words) => {
    const {sandbox, write} = await host();
    await write('/etc/cand.conf', `${config}\n`);
    const run = await sandbox.ports.commands.run(['opendkim', '-n', '-x', '/etc/cand.conf']);
    expect(run.status).toBe(status);
    expect(run.stderr).toContain(words);
  });

  it.each([
    ['', 78, 'milter socket must be specified'],
    ['Socket inet:localhost:8891', 69, 'unknown port name localhost:8891'],
    [
      'Socket local:/run/none/x.sock',
      69,
      'Unable to bind to port local:/run/none/x.sock: No such file or directory',
    ],
    [
      'Socket local:/etc/opendkim/x.sock',
      69,
      'Unable to bind to port local:/etc/opendkim/x.sock: Permission denied',
    ],
    ['Socket inet:25@localhost', 69, 'Unable to bind to port inet:25@localhost: Address already in use'],
  ])('starts not with %j, which opendkim -n does not see', async (socket, status, words) => {
    const {sandbox, write} = await host();
    await write('/etc/cand.conf', `${socket}\n`);
    expect((await sandbox.ports.commands.run(['opendkim', '-n', '-x', '/etc/cand.conf'])).status).toBe(0);
    const started = await startSigner(sandbox.machine, {configFile: absolute('/etc/cand.conf')});
    expect(started).toMatchObject({running: false, status, message: expect.stringContaining(words)});
  });

  it.each([
    [0o2750, {uid: 102, gid: 106}, '007', true],
    [0o750, {uid: 102, gid: 106}, '007', false],
    [0o750, {uid: 102, gid: 108}, '007', false],
    [0o2750, {uid: 102, gid: 106}, '022', false],
    [0o2750, {uid: 102, gid: 106}, '077', false],
  ])(
    'directory %o of %j with UMask %s: Postfix may use the socket %s',
    async (mode, owner, umask, allowed) => {
      const {sandbox, write, restart} = await host();
      const directory = absolute('/var/spool/postfix/opendkim');
      await sandbox.ports.files.makeDirectory(directory, {mode, ...owner});
      const socket = `${directory}/opendkim.sock`;
      await write(
        '/etc/opendkim.conf',
        `UMask ${umask}\nSocket local:${socket}\nPidFile /run/opendkim/opendkim.pid\n`,
      );
      expect(await restart()).toBe(0);
      const test = ['runuser', '-u', 'postfix', '--', 'test', '-w', socket] as const;
      expect((await sandbox.ports.commands.run([...test])).status === 0).toBe(allowed);
    },
  );

  it('leaves its socket behind and replaces one that lies there', async () => {
    const {sandbox, restart, ask} = await host();
    await sandbox.ports.commands.run(['systemctl', 'stop', 'opendkim']);
    expect((await sandbox.ports.files.stat(SOCKET))?.kind).toBe('socket');
    expect(await ask('alice@example.org')).toMatchObject({ended: 'unreachable', cause: 'refused'});
    expect(await restart()).toBe(0);
    expect(verdictOf(await ask('alice@example.org'))).toBe('signed d=example.org');
  });

  it('stops though a client holds its connection open', async () => {
    const {sandbox} = await host();
    const stream = await sandbox.ports.sockets.connect({kind: 'unix', path: SOCKET}, 1000);
    stream.on('error', () => undefined);
    const closed = new Promise(resolve => stream.once('close', resolve));
    await sandbox.ports.commands.run(['systemctl', 'stop', 'opendkim']);
    stream.resume();
    await closed;
    expect(stream.destroyed).toBe(true);
  });
});
