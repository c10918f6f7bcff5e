import {createHash, createPrivateKey} from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import {createServer, type Server} from 'node:net';
import path from 'node:path';
import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {type PreflightInput, preflight} from '../../src/jobs/trial.ts';
import {type MilterHandler, serveMilter} from '../../src/milter/server.ts';
import type {SignerAccount} from '../../src/services/account.ts';
import type {Candidate} from '../../src/services/opendkim/candidate.ts';
import {openDkimTrial} from '../../src/services/opendkim/trial.ts';
import {hintsFor} from '../../src/services/registry.ts';
import type {Trial} from '../../src/services/trial.ts';
import type {CommandResult} from '../../src/system/ports.ts';
import type {OwnerLedger} from '../../src/system/real/index.ts';
import {domainOf, makeKey, publishing, selectorOf} from '../proof/keys.ts';
import {type Program, scratchHost} from '../proof/scratch.ts';
import {signingMilter} from '../support/signing-milter.ts';

const domain = domainOf('example.com');
const selector = selectorOf('202611');
const {key, record} = makeKey();
const lookup = publishing(domain, selector, record);
const pem = key.export({type: 'pkcs8', format: 'pem'}).toString();
const sha256 = createHash('sha256').update(pem).digest('hex');
const staged = {domain, selector, stagedPath: absolute('/var/lib/waxseal/keys/new.pem'), sha256};
/** Debian's unit: started as root, which then becomes opendkim. */
const signer = {user: 'opendkim', changesTo: 'opendkim'};

const place = absolute('/etc/dkimkeys/example.com/202611.private');

const candidate: Candidate = {
  config: [],
  keys: [{path: place, from: staged.stagedPath, sha256}],
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
    text: `old._domainkey.example.net example.net:old:/etc/dkimkeys/old.private\n202611._domainkey.example.com example.com:202611:${place}\n`,
  },
  signingTable: {
    path: absolute('/etc/opendkim/SigningTable'),
    kind: 'refile',
    text: '*@example.com 202611._domainkey.example.com\n',
  },
  trustedHosts: {path: absolute('/etc/opendkim/TrustedHosts'), kind: 'file', text: '127.0.0.1\n'},
};

const input: PreflightInput = {
  trial: openDkimTrial(candidate, signer),
  stateDirectory: absolute('/var/lib/waxseal'),
  hints: hintsFor(),
  domains: [staged],
  steps: [],
  lookup,
};

/** A socket file at which nobody listens, as between bind(2) and listen(2). */
async function leaveSocket(socketPath: string): Promise<void> {
  const server = createServer();
  await new Promise<void>(resolve => server.listen(`${socketPath}.bound`, resolve));
  linkSync(`${socketPath}.bound`, socketPath);
  await new Promise(resolve => server.close(resolve));
}

/** A stand-in for opendkim(8) in the foreground: serves on the socket of -p until it is ended. */
class FakeOpenDkim {
  root = '';
  ledger: OwnerLedger | undefined;
  /** As whom it makes its socket. */
  uid = 102;
  readonly configs: string[] = [];
  readonly argvs: string[] = [];
  readonly keyFiles: {mode: number; text: string}[] = [];
  private server: Server | undefined;
  handler: MilterHandler | undefined;
  syntax: Partial<CommandResult> = {};
  /** `silent`: runs and never listens. */
  startup: Partial<CommandResult> | 'silent' | 'bound-first' = {};
  journal: string[] = [];
  onStart: () => void = () => undefined;

  get running(): boolean {
    return this.server !== undefined;
  }

  readonly programs: Record<string, Program> = {
    opendkim: async (argv, options) => {
      const value = (flag: string): string => argv[argv.indexOf(flag) + 1] ?? '';
      const config = readFileSync(path.join(this.root, value('-x')), 'utf8');
      if (argv.includes('-n')) {
        this.configs.push(config);
        return this.syntax;
      }
      this.onStart();
      const ended = new Promise<Partial<CommandResult>>(resolve =>
        options.signal?.addEventListener('abort', () => resolve({status: null, ended: 'signal'})),
      );
      if (this.startup === 'silent') return await ended;
      if (this.startup !== 'bound-first' && (this.startup.status ?? 0) !== 0) return this.startup;
      const handler = this.handler ?? this.#signingFrom(config);
      const server = createServer(socket => void serveMilter(socket, handler));
      const socketPath = path.join(this.root, value('-p').replace('local:', ''));
      this.server = server;
      if (this.startup === 'bound-first') {
        await leaveSocket(socketPath);
        this.#own(socketPath);
        setTimeout(() => {
          rmSync(socketPath);
          server.listen(socketPath, () => this.#own(socketPath));
        }, 350);
      } else {
        await new Promise<void>(resolve => server.listen(socketPath, resolve));
        this.#own(socketPath);
      }
      const result = await ended;
      await this.stop();
      return result;
    },
    setpriv: async (argv, options) => {
      const rest = argv.slice(argv.indexOf('--') + 1);
      this.argvs.push(argv.join(' '));
      const [program = '', ...more] = rest;
      if (program === 'test') return {status: 1};
      return (await this.programs[program]?.([program, ...more], options)) ?? {status: 127};
    },
    id: () => ({stdout: '108 115\n'}),
    kill: () => ({}),
    journalctl: argv => ({
      stdout: argv.includes('waxseal-preflight')
        ? `${this.journal.join('\n')}\n`
        : 'a line of the live signer\n',
    }),
  };

  #own(socketPath: string): void {
    const {dev, ino} = statSync(socketPath);
    this.ledger?.record(dev, ino, {uid: this.uid, gid: 108});
  }

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

/** Time that goes by as fast as it is waited for. */
function fastClock() {
  const begun = 1_795_230_486_000;
  let now = begun;
  return {
    waited: () => now - begun,
    clock: {
      now: () => new Date(now),
      sleep: async (ms: number) => {
        now += ms;
      },
    },
  };
}

let daemon: FakeOpenDkim;
let host: ReturnType<typeof scratchHost>;

beforeEach(() => {
  daemon = new FakeOpenDkim();
  host = scratchHost(daemon.programs);
  daemon.root = host.root;
  daemon.ledger = host.ledger;
  host.write('/var/lib/waxseal/keys/new.pem', pem);
});

afterEach(async () => {
  await daemon.stop();
  host.remove();
});

interface Tried extends Partial<PreflightInput> {
  readonly candidate?: Candidate;
  readonly signer?: SignerAccount;
}

const run = ({candidate: tried = candidate, signer: account = signer, ...more}: Tried = {}) =>
  preflight(host.ports, {...input, trial: openDkimTrial(tried, account), ...more});

const stateDirectory = (): readonly string[] => readdirSync(path.join(host.root, 'var/lib/waxseal'));

test('the candidate signs with the staged key, and nothing stays behind', async () => {
  const seen: string[] = [];
  const report = await run({onCheck: check => seen.push(check.id)});
  expect(report.checks.map(check => [check.id, check.status])).toEqual([
    ['preflight.keys', 'pass'],
    ['preflight.start', 'pass'],
    ['preflight.signs', 'pass'],
  ]);
  expect(report.passed).toBe(true);
  expect(seen).toEqual(['preflight.keys', 'preflight.start', 'preflight.signs']);
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
    'Background no',
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
    expect(report.checks[1]).toMatchObject({id: 'preflight.start', status: 'fail'});
    expect(report.checks[1]?.cause).toContain('line 4: unrecognized parameter');
    expect(report.checks[2]).toMatchObject({id: 'preflight.signs', status: 'skip'});
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('the password of a DSN is not repeated', async () => {
    daemon.syntax = {
      status: 78,
      stderr: 'opendkim: dsn:pgsql://reader:s3cret@127.0.0.1/db/table=x: dkimf_db_open(): \x07garbage\n',
    };
    const [, check] = (await run()).checks;
    expect(JSON.stringify(check)).not.toContain('s3cret');
    expect(check?.evidence).toContain('dsn:pgsql://reader:***@127.0.0.1');
    expect(check?.evidence).toContain('\\x07garbage');
  });

  test('a daemon that has bound its socket and does not listen yet is waited for', async () => {
    daemon.startup = 'bound-first';
    const report = await run();
    expect(report.checks.map(check => [check.id, check.status])).toEqual([
      ['preflight.keys', 'pass'],
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
    const report = await preflight({...host.ports, clock}, input);
    expect(report.checks[1]).toMatchObject({id: 'preflight.start', status: 'pass'});
  });

  test('a daemon that ends is no longer waited for', async () => {
    daemon.startup = {status: 69, stderr: ''};
    daemon.journal = ['OpenDKIM Filter: Unable to bind to port local:x: Permission denied'];
    const report = await run();
    expect(report.checks[1]).toMatchObject({status: 'fail'});
    expect(report.checks[1]?.evidence).toBe(
      'opendkim ended with status 69; OpenDKIM Filter: Unable to bind to port local:x: Permission denied',
    );
  });

  test('one that lives and logs an error is not waited for to the end', async () => {
    daemon.startup = 'silent';
    daemon.journal = ['OpenDKIM Filter: Unable to bind to port local:x: Permission denied'];
    const {clock, waited} = fastClock();
    const report = await preflight({...host.ports, clock}, input);
    expect(report.checks[1]?.evidence).toContain(
      "it runs, but doesn't listen on its socket; OpenDKIM Filter",
    );
    expect(waited()).toBeLessThan(20_000);
  });

  test('one that lives and says nothing is given minutes, and then ended', async () => {
    daemon.startup = 'silent';
    const {clock, waited} = fastClock();
    const report = await preflight({...host.ports, clock}, input);
    expect(report.checks[1]).toMatchObject({status: 'fail'});
    expect(waited()).toBeGreaterThan(200_000);
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('a key it cannot use: tempfail, and the reason from the journal', async () => {
    daemon.handler = step => ({verdict: step === 'end-of-headers' ? 'tempfail' : 'continue'});
    daemon.journal = [
      '202611._domainkey.example.com: key data is not secure: can be read or written by other users',
    ];
    const report = await run();
    expect(report.checks[2]).toMatchObject({id: 'preflight.signs', status: 'fail'});
    expect(report.checks[2]?.evidence).toContain('key data is not secure');
    expect(report.checks[2]?.evidence).not.toContain('live signer');
  });

  test('no row: unsigned', async () => {
    daemon.handler = () => ({verdict: 'continue'});
    expect((await run()).checks[2]).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('signing table'),
    });
  });

  test('another key than the published one', async () => {
    const other = publishing(domain, selector, makeKey().record);
    expect((await run({lookup: other})).checks[2]).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('not the one of the record'),
    });
  });

  test('a state directory that its account may not pass is named with the repair; no copy is made', async () => {
    const own = path.join(host.root, 'var/lib/waxseal');
    const {dev, ino} = statSync(own);
    host.ledger.record(dev, ino, {uid: 0, gid: 0});
    chmodSync(own, 0o700);
    const report = await run();
    expect(report.checks.map(({id, status}) => [id, status])).toEqual([
      ['preflight.keys', 'pass'],
      ['preflight.start', 'fail'],
      ['preflight.signs', 'skip'],
    ]);
    expect(report.checks[1]).toMatchObject({
      evidence: '/var/lib/waxseal is 0:0 0700; OpenDKIM runs as opendkim (groups: 108, 115)',
      cause:
        "The temporary OpenDKIM can't enter /var/lib/waxseal: opendkim needs the right to search it (x).",
      fix: 'sudo chmod a+x /var/lib/waxseal',
    });
    expect([daemon.configs, daemon.keyFiles]).toEqual([[], []]);
    expect(stateDirectory()).toEqual(['keys']);
    chmodSync(own, 0o711);
    expect((await run()).passed).toBe(true);
  });

  test('the staged key is gone', async () => {
    rmSync(path.join(host.root, 'var/lib/waxseal/keys/new.pem'));
    const report = await run();
    expect(report.checks[1]).toMatchObject({
      status: 'fail',
      evidence: '/var/lib/waxseal/keys/new.pem is missing',
    });
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('no such user, no such program', async () => {
    const [missing] = (await run({signer: {user: 'nobody-here'}})).checks;
    expect(missing).toMatchObject({
      id: 'preflight.keys',
      status: 'fail',
      evidence: 'there is no user nobody-here',
    });
    const bare = scratchHost({});
    bare.write('/var/lib/waxseal/keys/new.pem', pem);
    const report = await preflight(bare.ports, input);
    expect(report.checks[1]).toMatchObject({status: 'fail', fix: 'Install the package of OpenDKIM.'});
    bare.remove();
  });

  test('another key than the one of the plan', async () => {
    host.write('/var/lib/waxseal/keys/new.pem', makeKey().record);
    const report = await run();
    expect(report.checks[1]?.evidence).toBe(
      '/var/lib/waxseal/keys/new.pem is another file than the one of the plan',
    );
    expect(daemon.keyFiles).toEqual([]);
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
  // 102 is the user of the signer. It makes the socket, and reads the key by itself.
  expect(seen).toEqual({
    '.': '0 711',
    KeyTable: '0 600',
    SigningTable: '0 600',
    TrustedHosts: '0 600',
    'key-0': '102 600',
    'opendkim.conf': '0 600',
    run: '102 700',
  });
});

test('the leavings of a killed run go with its process, those of a running one stay', async () => {
  const line = (name: string): string =>
    `opendkim\0-f\0-x\0/var/lib/waxseal/${name}/opendkim.conf\0-p\0local:/x\0`;
  host.write('/proc/4712/cmdline', line('preflight-old'));
  host.write('/proc/4713/cmdline', line('preflight-new'));
  host.write('/proc/4714/cmdline', 'less\0/var/lib/waxseal/preflight-old/opendkim.conf.bak\0');
  const process_ = statSync(path.join(host.root, 'proc/4712'));
  host.ledger.record(process_.dev, process_.ino, {uid: 102, gid: 108});
  host.write('/var/lib/waxseal/preflight-old/key-0', pem);
  host.write('/var/lib/waxseal/preflight-old/run/milter.sock', '');
  host.write('/var/lib/waxseal/preflight-new/key-0', pem);
  const past = new Date(Date.now() - 3_600_000);
  utimesSync(path.join(host.root, 'var/lib/waxseal/preflight-old'), past, past);
  const killed: unknown[] = [];
  daemon.programs['kill'] = (argv, options) => {
    killed.push([argv.join(' '), options.runAs]);
    return {};
  };
  await run();
  expect(stateDirectory()).toEqual(['keys', 'preflight-new']);
  // With the rights of the account it runs as, so that a forged command line ends nothing else.
  expect(killed).toEqual([['kill -KILL 4712', {uid: 102, gid: 108}]]);
});

describe('rows are input: a key is copied only where the plan itself staged it', () => {
  const copies = (): readonly string[] => {
    const name = stateDirectory().find(each => each.startsWith('preflight-')) ?? '';
    const top = path.join(host.root, 'var/lib/waxseal', name);
    return readdirSync(top)
      .filter(each => each.startsWith('key-'))
      .map(each => readFileSync(path.join(top, each), 'utf8'));
  };

  test.each([
    ['a path that leaves the state directory', [pem], 'x com:sel:/var/lib/waxseal/../../../etc/shadow'],
    [
      'the same as the row of the wanted key',
      [],
      'x example.com:202611:/var/lib/waxseal/keys/../../../../etc/shadow',
    ],
    ['a staged key of another domain', [pem], 'x com:sel:/var/lib/waxseal/keys/other.pem'],
    ['that key as the row of the wanted one', [], 'x example.com:202611:/var/lib/waxseal/keys/other.pem'],
    ['the state itself', [pem], 'x com:sel:/var/lib/waxseal/state.json'],
    ['a relative path', [pem], 'x com:sel:../var/lib/waxseal/keys/other.pem'],
  ] as const)('%s', async (_, expected, row) => {
    host.write('/etc/shadow', 'root-only');
    host.write('/var/lib/waxseal/keys/other.pem', 'key of another domain');
    host.write('/var/lib/waxseal/state.json', 'state');
    let seen: readonly string[] = [];
    daemon.onStart = () => {
      seen = copies();
    };
    await run({
      candidate: {
        ...candidate,
        keyTable: {...candidate.keyTable, text: `${row}\n${candidate.keyTable.text}`},
      },
    });
    expect(seen).toEqual(expected);
  });

  test('a link in place of a staged key is not followed', async () => {
    host.write('/etc/shadow', 'root-only');
    rmSync(path.join(host.root, 'var/lib/waxseal/keys/new.pem'));
    symlinkSync('/etc/shadow', path.join(host.root, 'var/lib/waxseal/keys/new.pem'));
    daemon.onStart = () => {
      throw new Error('started');
    };
    await expect(run()).rejects.toThrow(/link/);
    expect(stateDirectory()).toEqual(['keys']);
  });

  test('a row that writes the path of a staged key in another way gets the copy', async () => {
    const text = candidate.keyTable.text.replace('/keys/new.pem', '/keys//x/../new.pem');
    expect((await run({candidate: {...candidate, keyTable: {...candidate.keyTable, text}}})).passed).toBe(
      true,
    );
    expect(daemon.keyFiles).toEqual([{mode: 0o600, text: pem}]);
  });
});

describe('a unit that is unprivileged from the start', () => {
  const unprivileged = {user: 'opendkim', unitUser: 'opendkim', unitGroup: '115', unitGroups: ['120']};

  test('is tried with its user, group and supplementary groups, and reads files that it cannot change', async () => {
    const seen: Record<string, string> = {};
    daemon.onStart = () => {
      const name = stateDirectory().find(each => each.startsWith('preflight-')) ?? '';
      const top = path.join(host.root, 'var/lib/waxseal', name);
      for (const entry of readdirSync(top)) {
        const {dev, ino, mode} = statSync(path.join(top, entry));
        const {uid, gid} = host.ledger.ownerOf(dev, ino);
        seen[entry] = `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
      }
    };
    const report = await run({signer: unprivileged});
    expect(report.passed).toBe(true);
    expect(new Set(daemon.argvs.map(line => line.replace(/ -- .*/, '')))).toEqual(
      new Set(['setpriv --reuid=102 --regid=115 --groups=115,120 --inh-caps=-all']),
    );
    expect(daemon.argvs.map(line => / -- (\S+ \S+)/.exec(line)?.[1])).toEqual(['opendkim -n', 'opendkim -f']);
    expect(seen).toEqual({
      KeyTable: '0:115 640',
      SigningTable: '0:115 640',
      TrustedHosts: '0:115 640',
      'key-0': '102:115 600',
      'opendkim.conf': '0:115 640',
      run: '102:115 700',
    });
  });

  test('a socket that its user exchanged is not used', async () => {
    daemon.uid = 1000;
    const report = await run({signer: unprivileged});
    expect(report.checks[1]).toMatchObject({
      status: 'fail',
      evidence: 'a socket of uid 1000 is in place of the socket',
    });
  });
});

describe('a key that the real daemon could not read', () => {
  const placed = absolute('/etc/dkimkeys/example.com/202611.private');
  const steps = [
    {
      kind: 'file',
      id: `file:${placed}`,
      why: '',
      path: placed,
      before: {state: 'absent'},
      after: {
        content: {from: 'secret', path: staged.stagedPath, sha256},
        owner: {user: 'opendkim', group: '108'},
        mode: 0o600,
      },
    },
  ] as const satisfies PreflightInput['steps'];
  const own = (file: string, uid: number, gid: number, mode: number): void => {
    const full = path.join(host.root, file);
    mkdirSync(full, {recursive: true});
    chmodSync(full, mode);
    const {dev, ino} = statSync(full);
    host.ledger.record(dev, ino, {uid, gid});
  };

  test('the directory that keeps it out is named, with its owner and mode', async () => {
    own('/etc/dkimkeys', 0, 108, 0o750);
    own('/etc/dkimkeys/example.com', 102, 108, 0o700);
    expect((await run({steps})).checks[0]).toMatchObject({status: 'pass'});
    // The same directory, and a unit with another group.
    const report = await run({steps, signer: {user: 'opendkim', unitUser: 'opendkim', unitGroup: '115'}});
    expect(report.checks.map(({id, status}) => `${id} ${status}`)).toEqual([
      'preflight.keys fail',
      'preflight.start skip',
      'preflight.signs skip',
    ]);
    expect(report.checks[0]?.evidence).toMatch(
      /^\/etc\/dkimkeys is 0:108 0750; OpenDKIM runs as opendkim \(groups: 115\)$/,
    );
    expect(report.checks[0]?.cause).toBe("OpenDKIM can't enter /etc/dkimkeys on the way to its keys.");
    expect(report.checks[0]?.fix).toContain('chown opendkim /etc/dkimkeys');
  });

  test('a key in place that root alone can read is named', async () => {
    own('/etc/dkimkeys/example.com', 102, 108, 0o700);
    writeFileSync(path.join(host.root, placed), pem, {mode: 0o600});
    const text = candidate.keyTable.text.replace(staged.stagedPath, placed);
    const report = await run({candidate: {...candidate, keyTable: {...candidate.keyTable, text}}});
    expect(report.checks[0]).toMatchObject({
      id: 'preflight.keys',
      status: 'fail',
      cause: `OpenDKIM can't read the key ${placed}.`,
    });
  });

  test('a directory that the plan itself opens is no obstacle', async () => {
    own('/etc/dkimkeys', 0, 0, 0o700);
    const opened = {
      kind: 'directory',
      id: 'directory:/etc/dkimkeys',
      why: '',
      path: absolute('/etc/dkimkeys'),
      before: {state: 'absent'},
      owner: {user: 'opendkim', group: '108'},
      mode: 0o700,
    } as const;
    expect((await run({steps})).checks[0]).toMatchObject({status: 'fail'});
    expect((await run({steps: [opened, ...steps]})).checks[0]).toMatchObject({status: 'pass'});
  });
});

test('of many domains twenty are asked, and only their keys copied', async () => {
  const many = Array.from({length: 60}, (_, index) => domainOf(`d${index}.example`));
  const placeOf = (each: string) => absolute(`/etc/dkimkeys/${each}/202611.private`);
  const rows = many.map(each => `202611._domainkey.${each} ${each}:202611:${placeOf(each)}\n`);
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
    candidate: {
      ...candidate,
      keyTable: {...candidate.keyTable, text: rows.join('')},
      keys: many.map(each => ({path: placeOf(each), from: staged.stagedPath, sha256})),
    },
    domains: many.map(each => ({...staged, domain: each})),
  });
  expect(asked).toHaveLength(20);
  expect(asked[0]).toBe('<postmaster@d0.example>');
  expect(asked.at(-1)).toBe('<postmaster@d59.example>');
  expect(copied).toBe(20);
  expect(report.checks[2]?.evidence).toMatch(/^20 of 60 domains looked at; 20 fail: d0\.example: /);
  expect(existsSync(path.join(host.root, 'var/lib/waxseal/keys/new.pem'))).toBe(true);
});

test('a signer of another name is run and told of by its own', async () => {
  const socketOf = (directory: string) => absolute(`${directory}/run/x.sock`);
  const trial: Trial = {
    program: 'Signo',
    logTag: 'signo-trial',
    account: signer,
    mark: 'signo.conf',
    setup: directory => ({
      files: [{path: absolute(`${directory}/signo.conf`), octets: Buffer.from('x')}],
      keys: [],
      check: ['signod', '-t'],
      start: ['signod', '-f'],
      socket: socketOf(directory),
    }),
    keyPlaces: () => [],
    proven: () => [],
    hints: {account: 'adduser', start: 'signod -t'},
  };
  daemon.programs['signod'] = argv => ({status: argv[1] === '-t' ? 0 : 3, stderr: 'no rule\n'});
  const report = await run({trial});
  expect(report.checks[1]).toMatchObject({
    id: 'preflight.start',
    title: 'The new configuration starts in a temporary Signo',
    status: 'fail',
    evidence: 'signod ended with status 3; no rule; a line of the live signer',
    cause: "Signo doesn't start with the new configuration: no rule",
    fix: 'signod -t',
  });
  expect(JSON.stringify(report)).not.toContain('OpenDKIM');
  expect(stateDirectory()).toEqual(['keys']);
});
