import {type ChildProcess, spawn} from 'node:child_process';
import type {FileHandle} from 'node:fs/promises';
import type {AbsolutePath} from '../../domain/paths.ts';
import type {Argv, CommandOptions, CommandResult, Commands} from '../ports.ts';
import {startLimit} from './limit.ts';

const SEARCH_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** For what hangs: on a busy host a program of milliseconds takes many seconds. */
const DEFAULT_TIMEOUT_MS = 120_000;
const GRACE_MS = 2000;
const DRAIN_MS = 1000;
const MAX_OUTPUT = 4 * 1024 * 1024;

export interface CommandsOptions {
  /**
   * Every program runs inside this root by chroot(8), so that a change of another tree never acts on the running host;
   * systemctl itself knows that it has nothing to do there.
   */
  readonly root?: AbsolutePath;
}

/** Implements {@link Commands}: an argument vector, never a shell; its own process group, ended whole. */
export function createCommands(options: CommandsOptions = {}): Commands {
  return {
    run: (argv, run = {}) =>
      runOnce(options.root === undefined ? argv : ['chroot', options.root, ...argv], run),
  };
}

/** Standard input, output and error come first. */
const FIRST_HANDED_ON = 3;

/** Path by which a program that inherits handles reaches the one of this index. */
export const handedOn = (index: number): string => `/proc/self/fd/${FIRST_HANDED_ON + index}`;

/** Runs a program of this host (never below a root) that inherits open files; see {@link handedOn}. */
export const runWithHandles = (
  argv: Argv,
  handles: readonly Pick<FileHandle, 'fd'>[],
  options: CommandOptions = {},
): Promise<CommandResult> => runOnce(argv, options, handles);

/** Collects the first {@link MAX_OUTPUT} octets and lets the rest pass, so that the program never blocks on a full pipe. */
function collect(stream: NodeJS.ReadableStream | null): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    const room = MAX_OUTPUT - size;
    if (room > 0) chunks.push(chunk.subarray(0, room));
    size += chunk.length;
  });
  stream?.on('error', () => undefined);
  return () => Buffer.concat(chunks).toString('utf8');
}

function endGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

function runOnce(
  argv: Argv,
  options: CommandOptions,
  handles: readonly Pick<FileHandle, 'fd'>[] = [],
): Promise<CommandResult> {
  return new Promise(resolve => {
    const [program, ...rest] = argv;
    const {runAs, signal} = options;
    if (signal?.aborted) {
      resolve({status: null, stdout: '', stderr: '', ended: 'signal'});
      return;
    }
    const child = spawn(program, rest, {
      cwd: '/',
      detached: true,
      env: {PATH: SEARCH_PATH, LC_ALL: 'C', ...options.environment},
      stdio: ['pipe', 'pipe', 'pipe', ...handles.map(({fd}) => fd)],
      ...(runAs === undefined ? {} : {uid: runAs.uid, gid: runAs.gid}),
    });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    let timedOut = false;
    let grace: NodeJS.Timeout | undefined;
    const stop = (): void => {
      const graceMs = options.graceMs ?? GRACE_MS;
      if (graceMs > 0) endGroup(child, 'SIGTERM');
      grace ??= setTimeout(() => {
        endGroup(child, 'SIGKILL');
        // A child of the child may have left the group and hold the pipes open.
        child.stdout?.destroy();
        child.stderr?.destroy();
      }, graceMs);
    };
    const endLimit = startLimit(options.timeoutMs ?? DEFAULT_TIMEOUT_MS, () => {
      timedOut = true;
      stop();
    });
    signal?.addEventListener('abort', stop, {once: true});
    const finish = (result: CommandResult): void => {
      endLimit();
      clearTimeout(grace);
      signal?.removeEventListener('abort', stop);
      resolve(result);
    };
    child.on('error', error => {
      const missing = 'code' in error && error.code === 'ENOENT';
      finish({status: null, stdout: '', stderr: error.message, ended: missing ? 'missing' : 'signal'});
    });
    // A daemon may keep the pipes of its parent open for ever: after the exit of the program, wait for them only shortly.
    let endDrain = (): void => undefined;
    child.on('exit', () => {
      // It ended in time; what keeps its pipes open is another program.
      endLimit();
      endDrain = startLimit(DRAIN_MS, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
    });
    child.on('close', status => {
      endDrain();
      const ended = timedOut ? 'timeout' : status === null ? 'signal' : 'exit';
      finish({status, stdout: stdout(), stderr: stderr(), ended});
    });
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
  });
}
