/** `scripts/under-load.mjs` counts what it has run, and leaves no busy process behind. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, readFileSync} from 'node:fs';
import path from 'node:path';
import {expect, it, onTestFinished} from 'vitest';

const SCRIPT = path.join(import.meta.dirname, '../../scripts/under-load.mjs');

interface Ended {
  readonly status: number;
  readonly out: string;
}

async function underLoad(...argv: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [SCRIPT, ...argv], {stdio: ['ignore', 'pipe', 'pipe']});
  let out = '';
  child.stdout.on('data', chunk => {
    out += String(chunk);
  });
  const [status] = (await once(child, 'close')) as [number];
  return {status, out};
}

/** Process ids of the children of a process, by proc(5). */
const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(word => word !== '')
    .map(Number);

it('counts the runs that succeed', async () => {
  const {status, out} = await underLoad('--processes', '0', '--times', '2', '--', 'true');
  expect(out).toContain('2 green, 0 red');
  expect(status).toBe(0);
});

it('shows what a run printed that failed, and fails', async () => {
  const failing = ['sh', '-c', 'echo it went wrong; exit 3'];
  const {status, out} = await underLoad('--processes', '0', '--times', '1', '--', ...failing);
  expect(out).toContain('it went wrong\n');
  expect(out).toContain('run 1 of 1: red, status 3');
  expect(out).toContain('0 green, 1 red');
  expect(status).toBe(1);
});

it('names what is wrong with a call', async () => {
  expect((await underLoad('--times', 'many', '--', 'true')).status).toBe(2);
  expect((await underLoad('--processes', '0')).status).toBe(2);
});

it.each(['SIGTERM', 'SIGKILL'] as const)('leaves no busy process behind at %s', async signal => {
  const script = spawn(process.execPath, [SCRIPT, '--processes', '1', '--times', '1', '--', 'sleep', '60'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => {
    script.kill('SIGKILL');
  });
  await once(script.stdout, 'data');
  const isBusy = (pid: number): boolean =>
    existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('busy.mjs');
  await expect.poll(() => childrenOf(script.pid ?? 0).some(isBusy)).toBe(true);
  const busy = childrenOf(script.pid ?? 0).filter(isBusy);
  script.kill(signal);
  await once(script, 'exit');
  await expect.poll(() => busy.filter(isBusy)).toEqual([]);
});
