/** A run of waxseal with what it took: time, memory at most, processors in use. */
import {readFile} from 'node:fs/promises';
import {expect} from 'vitest';
import type {Host} from './host.ts';
import {describeOutcome, type Outcome, type Running, run} from './process.ts';

/** As /proc counts processor time: USER_HZ, 100 a second on every Linux of today. */
const TICKS = 100;
const EVERY_MS = 300;

export interface Taken {
  readonly seconds: number;
  readonly mebibytes: number;
  /** Processor seconds by the wall clock: 2 is two processors in full use. */
  readonly processors: number;
}

export interface Measured {
  readonly outcome: Outcome;
  readonly taken: Taken;
  /** One line with the figures. */
  readonly line: string;
}

interface Sample {
  readonly peak: number;
  readonly ticks: number;
}

/** Starts the program on the host and watches its process until it ends. */
export function watched(
  host: Host,
  argv: readonly string[],
): {
  readonly running: Running;
  /** Process id of the program itself, seen from here; undefined until it has started. */
  readonly pid: () => number | undefined;
  readonly end: () => Promise<Measured>;
} {
  const running = host.launch(['waxseal', ...argv], {timeoutMs: 28 * 60_000});
  let peak = 0;
  let ticks = 0;
  let pid: number | undefined;
  const look = async (): Promise<void> => {
    pid ??= await programBelow(running.child.pid ?? 0);
    const sample = pid === undefined ? undefined : await sampleOf(pid);
    peak = Math.max(peak, sample?.peak ?? 0);
    ticks = Math.max(ticks, sample?.ticks ?? 0);
  };
  const watch = setInterval(() => void look().catch(() => undefined), EVERY_MS);
  return {
    running,
    pid: () => pid,
    async end() {
      const outcome = await running.finished;
      clearInterval(watch);
      const seconds = outcome.milliseconds / 1000;
      const taken = {seconds, mebibytes: peak / 1024, processors: ticks / TICKS / seconds};
      return {outcome, taken, line: textOf(taken)};
    },
  };
}

/** Runs waxseal to its end; the exit code has to be the one that is expected. */
export async function measured(
  host: Host,
  what: string,
  argv: readonly string[],
  exitCode: number,
): Promise<Measured> {
  const done = await watched(host, argv).end();
  expect(done.outcome.status, `${what}: ${describeOutcome(done.outcome).slice(-4000)}`).toBe(exitCode);
  const line = `${what}: ${done.line}`;
  console.log(line);
  return {...done, line};
}

const textOf = ({seconds, mebibytes, processors}: Taken): string =>
  `${seconds.toFixed(1)} s, ${mebibytes.toFixed(0)} MiB, ${processors.toFixed(2)} processors`;

/** The process of node itself, below those that enter the host. */
async function programBelow(parent: number): Promise<number | undefined> {
  const command = await readFile(`/proc/${parent}/cmdline`, 'utf8').catch(() => '');
  if (/(^|\/)node\0/.test(command) && command.includes('waxseal.js')) return parent;
  const children = await run(['pgrep', '-P', String(parent)]);
  for (const child of children.stdout.split('\n').filter(Boolean)) {
    const found = await programBelow(Number(child));
    if (found !== undefined) return found;
  }
  return undefined;
}

async function sampleOf(pid: number): Promise<Sample> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name of the program stands in brackets and may have blanks; what counts comes after it (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    peak: Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1] ?? 0),
    ticks: Number(fields[11] ?? 0) + Number(fields[12] ?? 0),
  };
}
