/**
 * Cutting a run short at an exact place. strace delivers a signal at the Nth fsync(2) of the program: every journal
 * line and every file that is put in place ends with one, so the counted calls are the steps of a change and what
 * lies between them. The program knows nothing of it, and a cut can be repeated.
 */
import {readFile} from 'node:fs/promises';
import {expect} from 'vitest';
import {differences, exposedKeys, type Fingerprint, fingerprint} from './fingerprint.ts';
import type {Host} from './host.ts';
import {describeOutcome, LONG_MS, type Outcome, run} from './process.ts';
import {makeReady, waxseal} from './waxseal.ts';
import type {World} from './world.ts';

export type Cut = 'KILL' | 'INT' | 'TERM' | 'HUP';

// One worker thread, so that all file work is counted in one place; strace counts by thread.
const ENVIRONMENT = {UV_THREADPOOL_SIZE: '1'} as const;

const traced = (
  host: Host,
  log: string,
  options: readonly string[],
  argv: readonly string[],
): readonly string[] => [
  'strace',
  '--follow-forks',
  '--quiet=all',
  '--decode-fds=path',
  '--trace=fsync,fdatasync',
  ...options,
  '--output',
  log,
  ...host.inside(argv, ENVIRONMENT),
];

/**
 * Lets a run go through and returns the numbers of the calls between the first and the last that concern the change
 * itself: its journal, and the files of the host.
 */
export async function cutPoints(
  host: Host,
  argv: readonly string[],
  log: string,
): Promise<{readonly outcome: Outcome; readonly points: readonly number[]}> {
  const outcome = await run(traced(host, log, [], argv), {timeoutMs: LONG_MS});
  const lines = (await readFile(log, 'utf8')).split('\n').filter(line => /f(data)?sync\(/.test(line));
  // Each thread has a count of its own; the one that writes the journal is the one to count.
  const writer = lines.find(line => line.includes('/runs/'))?.split(' ')[0];
  const calls = lines.filter(line => line.split(' ')[0] === writer);
  const concerned = calls.flatMap((line, index) =>
    /\/runs\/|\/etc\/|\/var\/spool\//.test(line) ? [index + 1] : [],
  );
  const first = concerned.at(0) ?? 0;
  const last = concerned.at(-1) ?? -1;
  return {
    outcome,
    points: calls.flatMap((_line, index) => (index + 1 >= first && index + 1 <= last ? [index + 1] : [])),
  };
}

/** Runs waxseal and has `signal` delivered to it as it enters call number `point`. */
export function cutAt(
  host: Host,
  argv: readonly string[],
  signal: Cut,
  point: number,
  log: string,
): Promise<Outcome> {
  const inject = `--inject=fsync,fdatasync:signal=SIG${signal}:when=${point}`;
  return run(traced(host, log, [inject], argv), {timeoutMs: LONG_MS});
}

/** Some of the points, evenly spread: `count` of them, beginning with number `offset`. All where it is asked for. */
export function sample(points: readonly number[], count: number, offset: number): readonly number[] {
  if (process.env['WAXSEAL_LAB_CUTS'] === 'all') return points;
  const every = Math.max(1, Math.floor(points.length / count));
  return points.filter((_point, index) => index % every === offset % every);
}

/** The run that is cut: its key is published, so that it goes straight to the plan. */
export const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;
export const COMMAND = ['waxseal', ...SETUP, '--json'] as const;

export interface ReadyToCut {
  readonly selector: string;
  readonly before: Fingerprint;
  readonly points: readonly number[];
}

/** A host whose key is published, what it is like, and where a change of it can be cut. */
export async function readyToCut({host, internet, directory}: World): Promise<ReadyToCut> {
  const {selector} = await makeReady(host, internet);
  const before = await fingerprint(host);
  const {outcome, points} = await cutPoints(host, COMMAND, `${directory}/trace.txt`);
  expect(outcome.status, describeOutcome(outcome)).toBe(0);
  // Fewer would mean that the counting went wrong: each of a dozen steps is announced and confirmed.
  expect(points.length).toBeGreaterThan(20);
  await undo(host, 'after the traced run');
  await expectAsBefore(host, before, 'undone');
  return {selector, before, points};
}

export async function undo(host: Host, where: string): Promise<void> {
  const outcome = await waxseal(host, ['undo', '--yes']);
  expect(outcome.status, `undo, ${where}: ${describeOutcome(outcome)}`).toBe(0);
}

export async function expectAsBefore(host: Host, before: Fingerprint, where: string): Promise<void> {
  expect(differences(before, await fingerprint(host), {allowState: true}), where).toEqual([]);
  expect(await exposedKeys(host), where).toEqual([]);
}

/** True where a cut left the host half changed: what the scenarios are about. */
export async function isTorn(host: Host, before: Fingerprint): Promise<boolean> {
  return differences(before, await fingerprint(host), {allowState: true}).some(line =>
    line.startsWith('file '),
  );
}

/**
 * True where a cut came too late: the run had ended its work, or had a call less to make than the one that was counted.
 * Only the last two points may be like that.
 */
export function isFinished(
  outcome: Outcome,
  points: readonly number[],
  point: number,
  where: string,
): boolean {
  if (outcome.status !== 0) return false;
  expect((points.at(-1) ?? 0) - point, `${where}: ${describeOutcome(outcome)}`).toBeLessThan(2);
  return true;
}
