import {createPrivateKey} from 'node:crypto';
import {existsSync, linkSync, readdirSync, readFileSync, rmSync, statSync, utimesSync} from 'node:fs';
import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {type MilterHandler, serveMilter} from '../../src/milter/server.ts';
import {signingMilter} from '../../src/milter/signing.ts';
import {type PreflightInput, preflight} from '../../src/proof/preflight.ts';
import type {Candidate} from '../../src/services/candidate.ts';
import type {CommandResult} from '../../src/system/ports.ts';
import {domainOf, makeKey, publishing, selectorOf} from './keys.ts';
import {type Program, scratchHost} from './scratch.ts';

const domain = domainOf('example.com');
const selector = selectorOf('202611');
const {key, record} = makeKey();
const lookup = publishing(domain, selector, record);
const pem = key.export({type: 'pkcs8', format: 'pem'}).toString();

const candidate: Candidate = {
  configText: [
    '# comment',
    'Syslog yes',
    'UserID opendkim',
    'Socket local:/var/spool/postfix/opendkim/opendkim.sock',
    'KeyTable file:/etc/opendkim/KeyTable',
    'SigningTable refile:/etc/opendkim/SigningTable',
    'InternalHosts /etc/opendkim/TrustedHosts',
    'ExternalIgnoreList refile:/etc/opendkim/TrustedHosts # same',
    'Canonicalization relaxed/simple',
    '',
  ].join('\n'),
  keyTable: {
    path: absolute('/etc/opendkim/KeyTable'),
    kind: 'file',
    text: 'old._domainkey.example.net example.net:old:/etc/dkimkeys/old.private\n202611._domainkey.example.com example.com:202611:/var/lib/waxseal/keys/new.pem\n',
  },
  signingTable: {
    path: absolute('/etc/opendkim/SigningTable'),
    kind: 'refile',
    text: '*@example.com 202611._domainkey.example.com\n',
  },
  trustedHosts: {path: absolute('/etc/opendkim/TrustedHosts'), kind: 'file', text: '127.0.0.1\n'},
};

/** A socket file at which nobody listens, as between bind(2) and listen(2). */
async function leaveSocket(socketPath: string): Promise<void> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(`${socketPath}.bound`, resolve));
  linkSync(`${socketPath}.bound`, socketPath);
  await new Promise(resolve => server.close(resolve));
}

/** A stand-in for opendkim(8) that daemonises: serves on the socket of -p and writes the file of -P. */
class FakeOpenDkim {
  root = '';
  readonly configs: string[] = [];
  readonly keyFiles: {mode: number; text: string}[] = [];
  private server: Server | undefined;
  handler: MilterHandler | undefined;
  syntax: Partial<CommandResult> = {};
  startup: Partial<CommandResult> | 'silent' | 'bound-first' = {};
  journal: string[] = [];
  onStart: () => void = () => undefined;

  get running(): boolean {
    return this.server !== undefined;
  }

  readonly programs: Readonly<Record<string, Program>> = {
    opendkim: async argv => {
      const value = (flag: string): string => argv[argv.indexOf(flag) + 1] ?? '';
      const config = readFileSync(path.join(this.root, value('-x')), 'utf8');
      if (argv.includes('-n')) {
        this.configs.push(config);
        return this.syntax;
      }
      this.onStart();
      if (this.startup === 'silent') return {};
      if (this.startup !== 'bound-first' && (this.startup.status ?? 0) !== 0) return this.startup;
      const handler = this.handler ?? this.#signingFrom(config);
      const server = createServer(socket => void serveMilter(socket, handler));
      const socketPath = path.join(this.root, value('-p').replace('local:', ''));
      this.server = server;
      if (this.startup === 'bound-first') {
        await leaveSocket(socketPath);
        setTimeout(() => {
          rmSync(socketPath);
          server.listen(socketPath);
        }, 350);
      } else await new Promise<void>(resolve => server.listen(socketPath, resolve));
      const {writeFileSync} = await import('node:fs');
      writeFileSync(path.join(this.root, value('-P')), '4711\n');
      return {};
    },
    kill: async argv => {
      const running = this.server !== undefined && argv.at(-1) === '4711';
      if (running && argv[1] !== '-0') await this.stop();
      return {status: running ? 0 : 1};
    },
    journalctl: argv => ({
      stdout: argv.includes('waxseal-preflight')
        ? `${this.journal.join('\n')}\n`
        : 'a line of the live signer\n',
    }),
  };

  /** Signs with the key that the copied key table names. */
  #signingFrom(config: string): MilterHandler {
    const table = /^KeyTable file:(\S+)$/m.exec(config)?.[1] ?? '';
    const row = /example\.com:202611:(\S+)/.exec(readFileSync(path.join(this.root, table), 'utf8'));
    const file = path.join(this.root, row?.[1] ?? '');
    const text = readFileSync(file, 'utf8');
    this.keyFiles.push({mode: statSync(file).mode & 0o7777, text});
    const signer = {domain, selector, key: createPrivateKey(text)};
    return signingMilter({keysFor: from => (from === domain ? [signer] : []), now: () => 1_795_230_486});
  }

  async stop(): Promise<void> {
    const {server} = this;
    this.server = undefined;
    await new Promise<void>(resolve => (server === undefined ? resolve() : server.close(() => resolve())));
  }
}

let daemon: FakeOpenDkim;
let host: ReturnType<typeof scratchHost>;

beforeEach(() => {
  daemon = new FakeOpenDkim();
  host = scratchHost(daemon.programs);
  daemon.root = host.root;
  host.write('/var/lib/waxseal/keys/new.pem', pem);
});

afterEach(async () => {
  await daemon.stop();
  host.remove();
});

const run = (more: Partial<PreflightInput> = {}) =>
  preflight(host.ports, {
    candidate,
    stateDirectory: absolute('/var/lib/waxseal'),
    user: 'opendkim',
    domains: [{domain, selector}],
    lookup,
    ...more,
  });

const stateDirectory = (): readonly string[] => readdirSync(path.join(host.root, 'var/lib/waxseal'));

test('the candidate signs with the staged key, and nothing stays behind', async () => {
  const seen: string[] = [];
  const report = await run({onCheck: check => seen.push(check.id)});
  expect(report.checks.map(check => [check.id, check.status])).toEqual([
    ['preflight.start', 'pass'],
    ['preflight.signs', 'pass'],
  ]);
  expect(report.passed).toBe(true);
  expect(seen).toEqual(['preflight.start', 'preflight.signs']);
  expect(daemon.keyFiles).toEqual([{mode: 0o600, text: pem}]);
  expect(daemon.running).toBe(false);
  expect(stateDirectory()).toEqual(['keys']);
});

test('the copy of the configuration leads nowhere to the live signer, and keeps its line numbers', async () => {
  await run();
  const lines = (daemon.configs[0] ?? '').split('\n');
  const directory = /^Socket local:(.*)\/run\/milter\.sock$/.exec(
    lines.find(line => line.startsWith('Socket')) ?? '',
  )?.[1];
  expect(directory).toMatch(/^\/var\/lib\/waxseal\/preflight-waxseal-[0-9a-f]{16}$/);
  expect(lines).toEqual([
    '#',
    '#',
    'UserID opendkim',
    '#',
    `KeyTable file:${directory}/KeyTable`,
    `SigningTable refile:${directory}/SigningTable`,
    `InternalHosts ${directory}/TrustedHosts`,
    `ExternalIgnoreList refile:${directory}/TrustedHosts`,
    'Canonicalization relaxed/simple',
    `Socket local:${directory}/run/milter.sock`,
    `PidFile ${directory}/opendkim.pid`,
    'Background yes',
    'Syslog yes',
    'SyslogName waxseal-preflight',
    'LogWhy yes',
    '',
  ]);
});

describe('what the candidate does wrong', () => {
  test('a syntax error', async () => {
    daemon.syntax = {
      status: 78,
      stderr: 'opendkim: opendkim.conf: configuration error at line 4: unrecognized parameter\n',
    };
    const report = await run();
    expect(report.passed).toBe(false);
    expect(report.checks[0]).toMatchObject({id: 'preflight.start', status: 'fail'});
    expect(report.checks[0]?.cause).toContain('line 4: unrecognized parameter');
    expect(report.checks[1]).toMatchObject({id: 'preflight.signs', status: 'skip'});
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('the password of a DSN is not repeated', async () => {
    daemon.syntax = {
      status: 78,
      stderr: 'opendkim: dsn:pgsql://reader:s3cret@127.0.0.1/db/table=x: dkimf_db_open(): \x07garbage\n',
    };
    const [check] = (await run()).checks;
    expect(JSON.stringify(check)).not.toContain('s3cret');
    expect(check?.evidence).toContain('dsn:pgsql://reader:***@127.0.0.1');
    expect(check?.evidence).toContain('\\x07garbage');
  });

  test('a daemon that has bound its socket and does not listen yet is waited for', async () => {
    daemon.startup = 'bound-first';
    const report = await run();
    expect(report.checks.map(check => [check.id, check.status])).toEqual([
      ['preflight.start', 'pass'],
      ['preflight.signs', 'pass'],
    ]);
  });

  test('a daemon that listens is seen, though the machine was busy until the time was over', async () => {
    let now = 1_795_230_486_000;
    const clock = {
      now: () => {
        now += 10_000;
        return new Date(now);
      },
      sleep: async () => undefined,
    };
    const report = await preflight(
      {...host.ports, clock},
      {
        candidate,
        stateDirectory: absolute('/var/lib/waxseal'),
        user: 'opendkim',
        domains: [{domain, selector}],
        lookup,
      },
    );
    expect(report.checks[0]).toMatchObject({id: 'preflight.start', status: 'pass'});
  });

  test('a daemon that dies after its parent has ended well', async () => {
    daemon.startup = 'silent';
    daemon.journal = ['OpenDKIM Filter: Unable to bind to port local:x: Permission denied'];
    let now = 1_795_230_486_000;
    const clock = {
      now: () => new Date(now),
      sleep: async (ms: number) => {
        now += ms;
      },
    };
    const report = await preflight(
      {...host.ports, clock},
      {
        candidate,
        stateDirectory: absolute('/var/lib/waxseal'),
        user: 'opendkim',
        domains: [{domain, selector}],
        lookup,
      },
    );
    expect(report.checks[0]).toMatchObject({status: 'fail'});
    expect(report.checks[0]?.evidence).toBe(
      'nobody listens on its socket; OpenDKIM Filter: Unable to bind to port local:x: Permission denied',
    );
  });

  test('a key it cannot use: tempfail, and the reason from the journal', async () => {
    daemon.handler = step => ({verdict: step === 'end-of-headers' ? 'tempfail' : 'continue'});
    daemon.journal = [
      '202611._domainkey.example.com: key data is not secure: can be read or written by other users',
    ];
    const report = await run();
    expect(report.checks[1]).toMatchObject({id: 'preflight.signs', status: 'fail'});
    expect(report.checks[1]?.evidence).toContain('key data is not secure');
    expect(report.checks[1]?.evidence).not.toContain('live signer');
  });

  test('no row: unsigned', async () => {
    daemon.handler = () => ({verdict: 'continue'});
    expect((await run()).checks[1]).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('signing table'),
    });
  });

  test('another key than the published one', async () => {
    const other = publishing(domain, selector, makeKey().record);
    expect((await run({lookup: other})).checks[1]).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('not the one of the record'),
    });
  });

  test('the staged key is gone', async () => {
    const lost = {
      ...candidate,
      keyTable: {...candidate.keyTable, text: candidate.keyTable.text.replace('new.pem', 'lost.pem')},
    };
    const report = await run({candidate: lost});
    expect(report.checks[0]).toMatchObject({
      status: 'fail',
      evidence: '/var/lib/waxseal/keys/lost.pem is missing',
    });
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('no such user, no such program', async () => {
    expect((await run({user: 'nobody-here'})).checks[0]).toMatchObject({
      status: 'fail',
      evidence: 'there is no user nobody-here',
    });
    const bare = scratchHost({});
    bare.write('/var/lib/waxseal/keys/new.pem', pem);
    const report = await preflight(bare.ports, {
      candidate,
      stateDirectory: absolute('/var/lib/waxseal'),
      user: 'opendkim',
      domains: [{domain, selector}],
      lookup,
    });
    expect(report.checks[0]).toMatchObject({status: 'fail', fix: 'apt-get install opendkim'});
    bare.remove();
  });
});

test('an abort ends the signer and removes the keys', async () => {
  const control = new AbortController();
  const reason = new Error('asked to stop');
  daemon.handler = step => {
    if (step === 'connect') control.abort(reason);
    return {verdict: 'continue'};
  };
  await expect(run({signal: control.signal})).rejects.toBe(reason);
  expect(daemon.running).toBe(false);
  expect(stateDirectory()).toEqual(['keys']);
});

test('what OpenDKIM reads as root lies where its own user can change nothing', async () => {
  const seen: Record<string, string> = {};
  daemon.onStart = () => {
    const name = stateDirectory().find(each => each.startsWith('preflight-')) ?? '';
    const top = path.join(host.root, 'var/lib/waxseal', name);
    for (const entry of ['.', ...readdirSync(top)]) {
      const {dev, ino, mode} = statSync(path.join(top, entry));
      seen[entry] = `${host.ledger.ownerOf(dev, ino).uid} ${(mode & 0o7777).toString(8)}`;
    }
  };
  await run();
  // 102 is the user of the signer. It writes the pid, makes the socket, and reads the key by itself.
  expect(seen).toEqual({
    '.': '0 711',
    KeyTable: '0 600',
    SigningTable: '0 600',
    TrustedHosts: '0 600',
    'key-0': '102 600',
    'opendkim.conf': '0 600',
    'opendkim.pid': '102 600',
    run: '102 700',
  });
});

test('a pid file that names another process ends nobody', async () => {
  host.write('/proc/self', '');
  host.write('/proc/4711/cmdline', 'sshd: /usr/sbin/sshd -D');
  await run();
  const ended = () => host.commands.calls.filter(([name]) => name === 'kill').map(argv => argv.join(' '));
  expect(ended()).toEqual([]);
  expect(stateDirectory()).toEqual(['keys']);
  await daemon.stop();
  daemon.onStart = () => {
    const name = stateDirectory().find(each => each.startsWith('preflight-')) ?? '';
    host.write('/proc/4711/cmdline', `opendkim\0-x\0/var/lib/waxseal/${name}/opendkim.conf`);
  };
  await run();
  expect(ended()).toEqual(['kill -KILL 4711', 'kill -0 4711']);
});

test('the leavings of a killed run go, those of a running one stay', async () => {
  host.write('/proc/self', '');
  host.write('/proc/4712/cmdline', 'sshd');
  host.write('/var/lib/waxseal/preflight-old/key-0', pem);
  host.write('/var/lib/waxseal/preflight-old/run/milter.sock', '');
  host.write('/var/lib/waxseal/preflight-old/opendkim.pid', '4712\n');
  host.write('/var/lib/waxseal/preflight-new/key-0', pem);
  const past = new Date(Date.now() - 3_600_000);
  utimesSync(path.join(host.root, 'var/lib/waxseal/preflight-old'), past, past);
  await run();
  expect(stateDirectory()).toEqual(['keys', 'preflight-new']);
  expect(host.commands.calls.filter(([name]) => name === 'kill').flat()).not.toContain('4712');
});

test('of many domains twenty are asked, and only their keys copied', async () => {
  const many = Array.from({length: 60}, (_, index) => domainOf(`d${index}.example`));
  const rows = many.map(each => `202611._domainkey.${each} ${each}:202611:/var/lib/waxseal/keys/new.pem\n`);
  const asked: string[] = [];
  let copied = 0;
  daemon.handler = (step, session) => {
    if (step === 'mail') asked.push(session.from);
    return {verdict: 'continue'};
  };
  daemon.onStart = () => {
    const directory = stateDirectory().find(name => name.startsWith('preflight-')) ?? '';
    copied = readdirSync(path.join(host.root, 'var/lib/waxseal', directory)).filter(name =>
      name.startsWith('key-'),
    ).length;
  };
  const report = await run({
    candidate: {...candidate, keyTable: {...candidate.keyTable, text: rows.join('')}},
    domains: many.map(each => ({domain: each, selector})),
  });
  expect(asked).toHaveLength(20);
  expect(asked[0]).toBe('<postmaster@d0.example>');
  expect(asked.at(-1)).toBe('<postmaster@d59.example>');
  expect(copied).toBe(20);
  expect(report.checks[1]?.evidence).toMatch(/^20 of 60 domains looked at; 20 fail: d0\.example: /);
  expect(existsSync(path.join(host.root, 'var/lib/waxseal/keys/new.pem'))).toBe(true);
});
