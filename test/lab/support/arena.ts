/**
 * A mail host with people on it who mean ill. It is set up once a run: domains that sign, keys that wait, keys at the end
 * of their life, and secrets of root with known marks. Every scenario boots a copy of that, starts attackers under
 * accounts without privileges, lets waxseal work, and has everything outside the plan compared bit by bit.
 */
import {mkdir, readdir, readFile, stat, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {expect} from 'vitest';
import type {Internet} from './dns.ts';
import {differences, type Fingerprint, fingerprint} from './fingerprint.ts';
import type {Host} from './host.ts';
import {runDirectory} from './places.ts';
import {describeOutcome, type Outcome, type Running, sleep, until} from './process.ts';
import type {Release} from './release.ts';
import {type Report, waxsealJson} from './waxseal.ts';
import {inWorld} from './world.ts';

export type Account = 'opendkim' | 'postfix' | 'alice';

/** What an attacker has counted; each says what a round of his is. */
export type Counts = Readonly<Record<string, unknown>>;

/** Domains with a key that is ready to be put to use, and those whose old key has reached the end of its life. */
export const WAITING = ['d1', 'd2', 'd3', 'd4'].map(each => `${each}.example.com`);
export const ENDING = ['e1', 'e2', 'e3', 'e4', 'e5'].map(each => `${each}.example.com`);

/** Files of root that nobody but root may read, and some that nobody but root may change. */
export const SECRETS = ['/etc/root-secret', '/root/secret', '/etc/tls-root.key'] as const;
export const VICTIMS = [...SECRETS, '/etc/fake-passwd', '/etc/victim.d/program'] as const;
/** Ids of a run that a signal has ended and that has put everything back. */
const STOPPED = ['run.interrupted', 'terminated'];

/**
 * Seconds after which a run counts as one that hangs: OpenDKIM and Postfix, which the attacker may keep from answering, are
 * waited for up to five minutes each way.
 */
const RUN_S = 660;

const MARK = 'WXCANARY-5f0c1b7e';

/** What the documentation promises of an end, without 1, which is a fault of the program itself. */
const ENDS: readonly number[] = [0, 2, 3, 4, 5, 6, 7, 8];

/** What a change of waxseal may touch, and the places that are the attackers' own. */
export const PLAN: readonly RegExp[] = [
  /^\/etc\/opendkim(\/|$)/,
  /^\/etc\/opendkim\.conf$/,
  /^\/etc\/dkimkeys(\/|$)/,
  /^\/etc\/postfix\/(main|master)\.cf$/,
  /^\/var\/spool\/postfix\/opendkim(\/|$)/,
  /^\/etc\/systemd\/system\/(opendkim\.service\.d|waxseal-rotate\.(service|timer)|timers\.target\.d)(\/|$)/,
  /^\/run\/opendkim(\/|$)/,
  /^\/tmp\//,
  /^\/home\/alice\//,
];

const RECORDS = 'records.json';

interface Published {
  readonly name: string;
  readonly strings: readonly string[];
}

const TIMES = [
  'interval = 180d',
  'remind = 0s',
  'margin = 1s',
  'safety = 3s',
  'floor = 4s',
  'revoked = 2s',
  '',
].join('\n');

async function furnish(host: Host): Promise<void> {
  const attackers = path.resolve(import.meta.dirname, '../attackers');
  for (const name of await readdir(attackers)) {
    if (name.endsWith('.py')) {
      await host.write(`/opt/attackers/${name}`, await readFile(path.join(attackers, name), 'utf8'));
    }
  }
  await host.script(
    [
      'useradd --create-home --shell /bin/bash alice',
      'mkdir /etc/victim.d',
      `echo '${MARK} of /etc' >/etc/root-secret`,
      `echo '${MARK} of /root' >/root/secret`,
      'openssl genrsa -out /etc/tls-root.key 2048 2>/dev/null',
      'chmod 600 /etc/root-secret /root/secret /etc/tls-root.key',
      "echo 'root:x:0:0:root:/root:/bin/bash' >/etc/fake-passwd",
      "printf '#!/bin/sh\\n' >/etc/victim.d/program",
      'chmod 755 /etc/victim.d/program',
      'chmod 711 /root',
    ].join('\n'),
  );
}

async function publish(internet: Internet, records: readonly Published[]): Promise<void> {
  await internet.update(
    'example.com',
    records.flatMap(({name, strings}) => [
      `update delete ${name}. TXT`,
      ...(strings.length === 0
        ? []
        : [`update add ${name}. 2 TXT ${strings.map(each => `"${each}"`).join(' ')}`]),
    ]),
  );
  await internet.refreshSecondary('example.com');
  await internet.restart('unbound');
}

const recordsOf = ({domains}: Report): readonly Published[] =>
  domains.map(({record}) => ({name: record.name, strings: record.strings}));

/** What a person does who reads what waxseal asks for, until the old keys have nothing left but their end. */
async function toTheEnd(host: Host, internet: Internet): Promise<readonly Published[]> {
  const withdrawn = new Map<string, Published>();
  await until(
    'the end of the old keys',
    async () => {
      const outcome = await host.exec(['waxseal', 'rotate', '--advance', '--json'], {timeoutMs: 120_000});
      expect([0, 3, 4], describeOutcome(outcome)).toContain(outcome.status);
      const report: Report = JSON.parse(outcome.stdout);
      const old = report.domains.filter(({domain, selector}) => ENDING.includes(domain) && selector === 's1');
      const last = old.filter(({state, nextStep}) => state === 'revoked' && nextStep.startsWith('Delete'));
      if (last.length === ENDING.length) {
        for (const {record} of last) withdrawn.set(record.name, {name: record.name, strings: []});
        await publish(internet, [...withdrawn.values()]);
        return true;
      }
      const asked = old.filter(
        ({state, nextStep, record}) =>
          state === 'retiring' && nextStep.startsWith('Revoke') && !withdrawn.has(record.name),
      );
      for (const {record} of asked) {
        withdrawn.set(record.name, {name: record.name, strings: ['v=DKIM1; k=rsa; p=']});
      }
      if (asked.length > 0) await publish(internet, [...withdrawn.values()]);
      return undefined;
    },
    {withinMs: 240_000, everyMs: 1000},
  );
  return [...withdrawn.values()];
}

async function build(release: Release, directory: string): Promise<void> {
  await inWorld(release, async ({host, internet}) => {
    const domain = (names: readonly string[]): readonly string[] => names.flatMap(each => ['--domain', each]);
    await furnish(host);
    const begin = ['setup', '--selector', 's1', '--yes', '--no-wait'];
    const first = ['example.com', ...ENDING];
    await waxsealJson(host, [...begin, ...domain([...first, ...WAITING])], 3);
    await publish(internet, recordsOf(await waxsealJson(host, ['status'], 0)));
    await sleep(3500);
    await waxsealJson(host, ['setup', '--selector', 's1', '--yes', '--wait', '60s', ...domain(first)], 0);
    await host.write('etc/waxseal/rotation.conf', TIMES);
    await host.must(['postconf', '-e', 'maximal_queue_lifetime=2s', 'bounce_queue_lifetime=2s']);
    await host.must(['postfix', 'reload']);
    await waxsealJson(host, ['rotate', '--selector', 's2', '--yes', '--no-wait', ...domain(ENDING)], 3);
    await publish(internet, recordsOf(await waxsealJson(host, ['status'], 0)));
    const gone = await toTheEnd(host, internet);
    // The next key of the first domain only waits for the next run of the scheduler.
    await waxsealJson(
      host,
      ['rotate', '--selector', 's2', '--yes', '--no-wait', '--domain', 'example.com'],
      3,
    );
    const report = await waxsealJson(host, ['status'], 0);
    const records = [
      ...recordsOf(report).filter(({name}) => !gone.some(each => each.name === name)),
      ...gone.map(({name}) => ({name, strings: []})),
    ];
    await host.script('rm -rf /var/mail/root');
    await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
    await host.keepChanges(path.join(directory, 'changes'));
    await writeFile(path.join(directory, RECORDS), JSON.stringify(records));
  });
}

/** The host as it is before any attack: made by whoever comes first, awaited by the others. */
async function checkpoint(release: Release): Promise<string> {
  const directory = path.join(runDirectory, 'arena');
  const isFirst = await mkdir(directory).then(
    () => true,
    () => false,
  );
  const failure = path.join(directory, 'failure');
  if (isFirst) {
    const begun = performance.now();
    await build(release, directory).catch(async (error: unknown) => {
      await writeFile(failure, String(error));
      throw error;
    });
    console.log(`the host before any attack: made in ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  }
  await until(
    'the host that all attacks begin with',
    async () => {
      const text = await readFile(failure, 'utf8').catch(() => undefined);
      if (text !== undefined) throw new Error(text);
      return stat(path.join(directory, RECORDS)).then(
        () => true,
        () => undefined,
      );
    },
    {withinMs: 10 * 60_000, everyMs: 250},
  );
  return directory;
}

export interface Ended {
  readonly status: number | null;
  readonly id: string;
  readonly outcome: Outcome;
}

export class Arena {
  readonly host: Host;
  readonly internet: Internet;
  /** What went wrong: every reason, not only the first. */
  readonly problems: string[] = [];
  readonly #before: Fingerprint;
  readonly #setuid: string;
  readonly #ends = new Map<string, number>();
  readonly #begun = performance.now();
  readonly #rounds = new Map<string, number>();

  private constructor(host: Host, internet: Internet, before: Fingerprint, setuid: string) {
    this.host = host;
    this.internet = internet;
    this.#before = before;
    this.#setuid = setuid;
  }

  static async open(host: Host, internet: Internet, prepare: string): Promise<Arena> {
    await host.exec(['systemctl', 'stop', 'waxseal-rotate.timer']);
    await host.script(`install -d -m 755 /run/lab-attack\n${prepare}\nsystemctl restart opendkim`);
    await host.settled();
    const before = await fingerprint(host);
    const arena = new Arena(host, internet, before, await setuidFiles(host));
    await arena.save();
    return arena;
  }

  /** Trees that attackers and waxseal change, kept as they are now. */
  async save(): Promise<void> {
    await this.host.script(
      `tar -cpf /run/lab-attack/saved.tar --acls --xattrs -C / ${TREES.join(' ')} 2>/dev/null`,
    );
  }

  /** Back to what `save` kept: the next round begins like the first. */
  async restore(): Promise<void> {
    await this.host.script(
      [
        'rm -rf /home/alice/* /tmp/zz*',
        // Whatever stands for the pid file goes; a daemon without one is started anew below.
        '[ -f /run/opendkim/opendkim.pid ] && [ ! -L /run/opendkim/opendkim.pid ] || rm -rf /run/opendkim/*',
        // The directory of the socket stays: a socket cannot be kept in an archive.
        ...TREES.map(tree =>
          tree === SOCKETS ? `find /${tree} -mindepth 1 ! -type s -exec rm -rf {} +` : `rm -rf /${tree}`,
        ),
        'tar -xpf /run/lab-attack/saved.tar --acls --xattrs -C /',
        'systemctl reset-failed opendkim waxseal-rotate.service 2>/dev/null || true',
        `[ -S /${SOCKETS}/opendkim.sock ] && [ -f /run/opendkim/opendkim.pid ] && systemctl is-active --quiet opendkim && systemctl reload opendkim || systemctl restart opendkim`,
      ].join('\n'),
    );
    await this.host.settled();
  }

  /**
   * Runs waxseal, which must end by itself, with one of the promised ends. With `mayWait` it is stopped after so many
   * seconds where it still waits for a daemon that the attacker keeps from answering; it must put everything back then.
   */
  async run(
    argv: readonly string[],
    options: {seconds?: number; environment?: Record<string, string>; mayWait?: boolean} = {},
  ): Promise<Ended> {
    const seconds = options.seconds ?? RUN_S;
    const grace = options.mayWait === true ? 120 : 5;
    const outcome = await this.host.exec(
      ['timeout', '-k', String(grace), String(seconds), 'waxseal', ...argv, '--json'],
      {
        timeoutMs: (seconds + grace + 30) * 1000,
        ...(options.environment === undefined ? {} : {environment: options.environment}),
      },
    );
    return this.#note(argv, outcome, options.mayWait === true);
  }

  /** The timer's own unit, in its cage. */
  async timer(): Promise<void> {
    await this.host.exec(['systemctl', 'reset-failed', 'waxseal-rotate.service']);
    const outcome = await this.host.exec(
      ['timeout', '-k', '5', '150', 'systemctl', 'start', 'waxseal-rotate.service'],
      {
        timeoutMs: 180_000,
      },
    );
    const shown = await this.host.exec([
      'systemctl',
      'show',
      '-p',
      'ExecMainStatus',
      '--value',
      'waxseal-rotate.service',
    ]);
    const status = Number(shown.stdout.trim());
    const end = outcome.status === 124 ? 'HANGS' : String(status);
    this.#count(`timer ${end}`);
    if (outcome.status === 124 || !ENDS.includes(status)) {
      const journal = await this.host.exec([
        'journalctl',
        '-u',
        'waxseal-rotate.service',
        '-n',
        '20',
        '-o',
        'cat',
        '--no-pager',
      ]);
      this.problems.push(`the timer ended with ${end}: ${journal.stdout.slice(-600)}`);
    }
  }

  #note(argv: readonly string[], outcome: Outcome, mayWait: boolean): Ended {
    const what = `waxseal ${argv.join(' ')}`;
    const status = outcome.status;
    const shown = outcome.stdout + outcome.stderr;
    if (/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(shown)) {
      this.problems.push(`${what} prints control characters: ${JSON.stringify(shown.slice(0, 2000))}`);
    }
    // What a key looks like may be said; the key itself may not.
    if (shown.includes(MARK) || /PRIVATE KEY-----\s*[A-Za-z0-9+/]{16}/.test(shown))
      this.problems.push(`${what} prints a secret: ${shown.slice(0, 600)}`);
    let id = '';
    try {
      const report: Report = JSON.parse(outcome.stdout);
      id = report.error?.id ?? '';
    } catch {
      id = 'no JSON';
    }
    this.#count(`${argv[0]} ${status ?? outcome.signal}${id === '' ? '' : ` ${id}`}`);
    if (mayWait && status === 124 && STOPPED.includes(id)) {
      this.note('stopped while it waited');
    } else if (status === 124 || status === 137 || status === null) {
      this.problems.push(`${what} did not end by itself: ${shown.slice(-400)}`);
    } else if (!ENDS.includes(status) || id === 'no JSON' || (id === '' && ![0, 3, 4].includes(status))) {
      this.problems.push(`${what} ended with ${status} ${id}: ${shown.slice(-800)}`);
    }
    return {status, id, outcome};
  }

  #count(end: string): void {
    if (process.env['WAXSEAL_LAB_TRACE'] !== undefined) {
      process.stderr.write(`${((performance.now() - this.#begun) / 1000).toFixed(1)} s: ${end}\n`);
    }
    this.#ends.set(end, (this.#ends.get(end) ?? 0) + 1);
  }

  note(what: string, more = 1): void {
    this.#rounds.set(what, (this.#rounds.get(what) ?? 0) + more);
  }

  rounds(what: string): number {
    return this.#rounds.get(what) ?? 0;
  }

  /** Lets attackers loose while `work` is done, ends them, and keeps their count. */
  async under(
    attackers: readonly (readonly [account: Account, program: string, ...argv: string[]])[],
    work: () => Promise<void>,
  ): Promise<readonly Counts[]> {
    await this.host.must(['rm', '-f', STOP]);
    const started: Running[] = [];
    try {
      for (const [account, program, ...argv] of attackers) {
        const attacker = this.host.launch(as(account, ['python3', `/opt/attackers/${program}.py`, ...argv]), {
          timeoutMs: 320_000,
        });
        started.push(attacker);
        await until(
          `${program} to be ready`,
          () => {
            if (attacker.child.exitCode !== null) throw new Error(JSON.stringify(attacker.output()));
            return attacker.output().stdout.includes('ready') ? true : undefined;
          },
          {everyMs: 10},
        );
      }
      await work();
    } finally {
      await this.host.must(['touch', STOP]);
    }
    const all: Counts[] = [];
    for (const [at, attacker] of started.entries()) {
      const outcome = await attacker.finished;
      const last = outcome.stdout.trim().split('\n').at(-1) ?? '';
      if (outcome.status !== 0 || !last.startsWith('{'))
        throw new Error(`an attacker failed: ${describeOutcome(outcome)}`);
      const counts: Counts = JSON.parse(last);
      for (const [what, much] of Object.entries(counts)) {
        if (typeof much === 'number') this.note(`${attackers[at]?.[1]} ${what}`, much);
      }
      all.push(counts);
    }
    return all;
  }

  /** Has an account put things where waxseal will look; where it may not, that is counted, too. */
  async plant(
    account: Account,
    target: string,
    things: readonly (readonly [kind: string, at: string])[],
  ): Promise<readonly string[]> {
    const outcome = await this.host.must(
      as(account, ['python3', '/opt/attackers/plant.py', target, ...things.flat()]),
    );
    const counts: {planted?: number; refused?: number; done: readonly string[]} = JSON.parse(outcome);
    this.note('things planted', counts.planted ?? 0);
    this.note('things refused by the system', counts.refused ?? 0);
    return counts.done;
  }

  /** Shell lines under an account. */
  script(account: Account, lines: readonly string[]): Promise<string> {
    return this.host.must(as(account, ['bash', '-c', lines.join('\n')]));
  }

  /** Holds the host against what it was: whatever is not the plan's has not changed by one bit, no secret is out. */
  async close(options: {name: string; except?: readonly RegExp[]; published?: string}): Promise<void> {
    const {host, problems} = this;
    const after = await fingerprint(host);
    problems.push(
      ...differences(this.#before, after, {allowState: true, except: [...PLAN, ...(options.except ?? [])]}),
    );
    const setuid = await setuidFiles(host);
    const lent = setuid.split('\n').filter(each => !this.#setuid.split('\n').includes(each));
    problems.push(...lent.map(each => `lends the rights of root: ${each}`));
    // What is there has been compared with the keys that this host made and has done with.
    const meant = (each: string): boolean =>
      options.published !== undefined && each.includes(` read ${options.published}/`);
    problems.push(...(await leaks(host)).filter(each => !meant(each)));
    const sums = (map: ReadonlyMap<string, number>): string =>
      [...map]
        .map(([what, much]) => `${what}: ${much}`)
        .sort()
        .join(', ');
    console.log(
      `${options.name} (${((performance.now() - this.#begun) / 1000).toFixed(0)} s)\n  attackers: ${sums(this.#rounds)}\n  waxseal: ${sums(this.#ends)}\n  ${
        problems.length === 0
          ? 'nothing gave way'
          : `BROKEN:\n    ${problems.map(each => each.slice(0, 700)).join('\n    ')}`
      }`,
    );
    expect(problems).toEqual([]);
  }
}

const STOP = '/run/lab-attack/stop';
const SOCKETS = 'var/spool/postfix/opendkim';
const TREES = [
  'etc/opendkim',
  'etc/opendkim.conf',
  'etc/dkimkeys',
  'etc/waxseal',
  'etc/postfix/main.cf',
  'etc/postfix/master.cf',
  'var/lib/waxseal',
  SOCKETS,
] as const;

/** The arguments that run a program under an account, with nothing of root's left to it. */
export const as = (account: Account, argv: readonly string[]): readonly string[] => [
  'setpriv',
  `--reuid=${account}`,
  `--regid=${account}`,
  '--init-groups',
  '--reset-env',
  '--',
  ...argv,
];

const setuidFiles = (host: Host): Promise<string> =>
  host.script(
    'find / /run /tmp /dev/shm -xdev -type f -user root -perm /6000 -printf "%p %m\\n" 2>/dev/null | sort -u',
  );

/**
 * Files that an account may read and that hold a secret of root, or a private key that is not this account's business.
 * What nobody has changed since the image was made cannot hold one.
 */
async function leaks(host: Host): Promise<readonly string[]> {
  const middle = (await host.must(['sed', '-n', '7p', '/etc/tls-root.key'])).trim();
  const found: string[] = [];
  const lists = await host.script(
    'find / /run /tmp /var/tmp /dev/shm -xdev -cnewer /etc/hostname -type f -size -200k -print0 2>/dev/null | ' +
      "grep -zvE '^/(proc|sys|opt/attackers|var/log/journal)/' | sort -zu",
  );
  const keyed: Record<Account, string> = {
    alice: `${MARK}|${escaped(middle)}|PRIVATE KEY`,
    postfix: `${MARK}|${escaped(middle)}|PRIVATE KEY`,
    // It reads the keys that it signs with.
    opendkim: `${MARK}|${escaped(middle)}`,
  };
  for (const [account, pattern] of Object.entries(keyed)) {
    if (!isAccount(account)) continue;
    const outcome = await host.exec(
      as(account, ['xargs', '-0', '-r', 'grep', '-lsE', '--devices=skip', '-e', pattern]),
      {input: lists},
    );
    for (const file of outcome.stdout.split('\n').filter(Boolean)) found.push(`${account} can read ${file}`);
  }
  return found;
}

const isAccount = (name: string): name is Account => ['alice', 'postfix', 'opendkim'].includes(name);
const escaped = (text: string): string => text.replaceAll(/[+.*?()[\]{}|^$\\]/g, '\\$&');

/** Runs a scenario on a copy of the host. `prepare`: shell lines that make the host what this scenario is about. */
export async function inArena(
  release: Release,
  prepare: string,
  scenario: (arena: Arena) => Promise<void>,
): Promise<void> {
  const directory = await checkpoint(release);
  const records: readonly Published[] = JSON.parse(await readFile(path.join(directory, RECORDS), 'utf8'));
  await inWorld(
    release,
    async ({host, internet}) => {
      await publish(internet, records);
      await scenario(await Arena.open(host, internet, prepare));
    },
    undefined,
    path.join(directory, 'changes'),
  );
}

/** The layout that guides recommend: the tables and their directory belong to the signer's account. */
export const TABLES_OF_THE_SIGNER = 'chown -R opendkim:mail /etc/opendkim';

/** Lets an export look like that of another host: a host does not import its own. */
export const OF_ANOTHER_HOST = `sed -i 's/"host": *"[^"]*"/"host": "other.example.com"/' /root/export.json`;
