/** Programs run by the lab: always an argument vector, always a time limit, never this machine's standard input. */
import {type ChildProcess, spawn} from 'node:child_process';
import {closeSync, openSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';

/** Milliseconds after which what a scenario waits for hangs: looked for often, and waited for long on a busy machine. */
export const LONG_MS = 600_000;

export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly milliseconds: number;
}

export interface RunOptions {
  readonly input?: string | Uint8Array;
  readonly environment?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Outcome>;
  /** What it has written so far. */
  readonly output: () => {readonly stdout: string; readonly stderr: string};
}

/** Starts a program and keeps its output. After `timeoutMs` it is killed; the outcome then has a signal. */
export function start(argv: readonly string[], options: RunOptions = {}): Running {
  const [program = '', ...rest] = argv;
  const begun = performance.now();
  const child = spawn(program, rest, {
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: options.environment === undefined ? process.env : {...options.environment},
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A program may end before it has read everything it was given: its exit status is what counts.
  child.stdin?.on('error', () => {});
  child.stdin?.end(options.input);
  const output = () => ({
    stdout: Buffer.concat(stdout).toString('utf8'),
    stderr: Buffer.concat(stderr).toString('utf8'),
  });
  const finished = new Promise<Outcome>((resolve, reject) => {
    const limit = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? LONG_MS);
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      resolve({status, signal, ...output(), milliseconds: Math.round(performance.now() - begun)});
    });
  });
  // The caller may await it much later; a failure to start must not end the whole run meanwhile.
  finished.catch(() => {});
  return {child, finished, output};
}

export const run = (argv: readonly string[], options: RunOptions = {}): Promise<Outcome> =>
  start(argv, options).finished;

/** Runs a program that has to succeed and returns its standard output. */
export async function must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await run(argv, options);
  if (outcome.status !== 0) throw new Error(`${argv.join(' ')}: ${describeOutcome(outcome)}`);
  return outcome.stdout;
}

export const describeOutcome = (outcome: Outcome): string =>
  `exit ${outcome.status ?? outcome.signal}\n${outcome.stderr}${outcome.stdout}`.trim();

/**
 * Starts a server that lives as long as this process: the kernel kills it when we die, however that happens,
 * so a crashed test run leaves no servers behind.
 */
export function startServer(
  argv: readonly string[],
  logFile: string,
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  const log = openSync(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], {
    stdio: ['ignore', log, log],
    env: {...process.env, ...environment},
  });
  closeSync(log);
  child.on('error', () => {});
  return child;
}

/** Ends a server and waits until it is gone. */
export async function stopServer(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** Polls until `probe` gives something. What was being waited for is part of the error. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  options: {readonly withinMs?: number; readonly everyMs?: number} = {},
): Promise<T> {
  const end = performance.now() + (options.withinMs ?? LONG_MS);
  for (;;) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`waited in vain for ${what}`);
    await sleep(options.everyMs ?? 100);
  }
}

export {sleep};
