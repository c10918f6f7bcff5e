/**
 * A whole host for tests: the sandbox with a clock that runs faster, the program run on it by its command line, and the
 * files of the host as text for a comparison.
 */
import {generateKeyPairSync, randomBytes} from 'node:crypto';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {PassThrough} from 'node:stream';
import {onTestFinished} from 'vitest';
import {main} from '../../src/cli/main.ts';
import type {Outside} from '../../src/cli/outside.ts';
import type {Streams} from '../../src/cli/streams.ts';
import {openSandbox, type RealParts, type Sandbox, type SandboxOptions} from '../../src/demo/sandbox.ts';
import {type AbsolutePath, absolute, below} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import type {Clock, Files, KeySource, KeySpec, Ports} from '../../src/system/ports.ts';
import {
  createDnsTransport,
  createFiles,
  createOwnerLedger,
  createSockets,
} from '../../src/system/real/index.ts';
import {workingTime} from '../support/working-time.ts';

/** How much faster the clock of the tests runs. More, and time limits of real sockets would be too short. */
const HASTE = 12;

/** The sandbox's day: the selector of these tests is 202611. */
const BEGIN = Date.UTC(2026, 10, 21, 3, 0, 0);

const worked = workingTime();

/** Counts working time, so that no time limit passes while the machine is busy elsewhere; who slept finds it passed. */
export function hastyClock(begin = BEGIN): Clock & {advance(ms: number): void} {
  const started = worked.now();
  let leap = 0;
  const now = (): number => begin + leap + (worked.now() - started) * HASTE;
  return {
    now: () => new Date(now()),
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      const end = now() + ms;
      await worked.sleep(ms / HASTE, signal);
      leap += Math.max(0, end - now());
    },
    advance(ms) {
      leap += ms;
    },
  };
}

/** Keys made beforehand: generation takes longer than everything else together. Each is given out once a world. */
const POOL = Array.from({length: 4}, () => pemOf({algorithm: 'rsa', bits: 2048}));

export function pemOf(spec: KeySpec): string {
  const pair =
    spec.algorithm === 'rsa'
      ? generateKeyPairSync('rsa', {modulusLength: spec.bits})
      : generateKeyPairSync('ed25519');
  return pair.privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
}

function pooledKeys(): KeySource {
  const left = [...POOL];
  return {
    generate: async spec =>
      spec.algorithm === 'rsa' && spec.bits === 2048 ? (left.shift() ?? pemOf(spec)) : pemOf(spec),
  };
}

export const testParts = (clock: Clock): RealParts => ({
  createLedger: () => createOwnerLedger(),
  createFiles: options => createFiles(options),
  sockets: createSockets(),
  clock,
  rest: {
    random: {bytes: length => new Uint8Array(randomBytes(length))},
    keys: pooledKeys(),
    dns: createDnsTransport(createFiles({owners: 'real'}), {}),
  },
});

export interface Run {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  /** Of `--json`. */
  readonly report: Report;
}

export interface World {
  readonly sandbox: Sandbox;
  readonly clock: ReturnType<typeof hastyClock>;
  /** Where a path of the sandbox's host lies on this one: for what the program itself never does, as links. */
  real(hostPath: string): string;
  /** A directory of the person who runs the program; relative paths begin there. */
  readonly home: string;
  /** Runs the program on the sandbox's host. */
  run(argv: readonly string[], options?: RunOptions): Promise<Run>;
  /** `setup`, publishing as a person would between the two runs. */
  setUp(...argv: readonly string[]): Promise<Run>;
  publish(report: Report): void;
}

export interface RunOptions {
  /** What stands on standard input; it ends after it. */
  readonly input?: string;
  /** True: standard input and output say that they are a terminal. */
  readonly terminal?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  /** False: as another user than root. */
  readonly privileged?: boolean;
  /** What lies between the program and the sandbox's host; default nothing. */
  readonly through?: (host: Ports) => Ports;
}

export async function openWorld(options: SandboxOptions = {}): Promise<World> {
  const clock = hastyClock();
  const parts = testParts(clock);
  let root = '';
  const createAt: RealParts['createFiles'] = how => {
    root = how.root ?? root;
    return parts.createFiles(how);
  };
  const sandbox = await openSandbox({...parts, createFiles: createAt}, {lagMs: 600, ...options});
  const home = mkdtempSync(path.join(tmpdir(), 'waxseal-home-'));
  onTestFinished(async () => {
    await sandbox.close();
    rmSync(home, {recursive: true, force: true});
  });
  const run: World['run'] = async (argv, how = {}) => {
    const streams = streamsWith(how);
    const outside: Outside = {
      connect: async () =>
        (how.through ?? (host => host))({
          ...sandbox.ports,
          process: {...sandbox.ports.process, privileged: how.privileged !== false},
        }),
      files: async () => createFiles({owners: 'real'}),
      clock: async () => clock,
      person: {uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0},
      workingDirectory: home,
      environment: {TERM: 'dumb', LANG: 'C.UTF-8', FORCE_COLOR: '0', ...how.environment},
    };
    const exitCode = await main(argv, streams.given, outside);
    const out = streams.out();
    return {
      exitCode,
      out,
      err: streams.err(),
      get report(): Report {
        return JSON.parse(out) as Report;
      },
    };
  };
  const publish: World['publish'] = report => {
    for (const {record} of report.domains) {
      sandbox.dns.withdraw(record.name);
      sandbox.dns.publish(record.name, record.strings);
    }
  };
  return {
    ...{sandbox, clock, home, run, publish},
    real: hostPath => path.join(root, hostPath),
    async setUp(...argv) {
      const first = await run(['setup', '--yes', '--json', '--no-wait', ...argv]);
      if (first.exitCode !== 3) return first;
      publish(first.report);
      return await run(['setup', '--yes', '--json', '--wait', '2m', ...argv]);
    },
  };
}

function streamsWith({input, terminal}: RunOptions): {given: Streams; out(): string; err(): string} {
  const stdin = new PassThrough();
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const texts = {out: '', err: ''};
  stdout.on('data', chunk => {
    texts.out += String(chunk);
  });
  stderr.on('data', chunk => {
    texts.err += String(chunk);
  });
  stdin.end(input ?? '');
  const given = {
    stdin: Object.assign(stdin, {isTTY: terminal === true}),
    stdout: Object.assign(stdout, {isTTY: terminal === true}),
    stderr,
  };
  return {given: given as unknown as Streams, out: () => texts.out, err: () => texts.err};
}

/** What waxseal keeps for itself, and what changes by itself. */
const NOT_COMPARED = /^\/(var\/lib\/waxseal|run)(\/|$)/;

/** Every file and directory below `from`. */
async function tree(files: Files, from: AbsolutePath): Promise<readonly AbsolutePath[]> {
  const names = (await files.list(from)) ?? [];
  const found = await Promise.all(
    names.map(async name => {
      const path = below(from, name);
      const stat = await files.stat(path);
      return stat?.kind === 'directory' ? [path, ...(await tree(files, path))] : [path];
    }),
  );
  return found.flat();
}

/** Every path of the host with kind, owner, mode and content; sockets only by what they are. */
export async function hostTree(
  {ports}: Pick<Sandbox, 'ports'>,
  leaveOut: RegExp = NOT_COMPARED,
): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const each of await tree(ports.files, absolute('/'))) {
    if (leaveOut.test(each)) continue;
    const stat = await ports.files.stat(each);
    if (stat === undefined) continue;
    const owner = `${stat.kind} ${stat.uid}:${stat.gid} ${stat.mode.toString(8)}`;
    const content =
      stat.kind === 'file' ? Buffer.from((await ports.files.read(each)) ?? []).toString('latin1') : '';
    found[each] = `${owner} ${content}`;
  }
  return found;
}

export const NOTHING_LEFT_OUT = /(?!)/;
