import {type ChildProcess, spawn} from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import {build} from 'esbuild';
import {beforeAll, expect, it, onTestFinished} from 'vitest';
import {LockHeld} from '../../src/domain/errors.ts';
import {absolute} from '../../src/domain/paths.ts';
import {createLocks} from '../../src/system/real/index.ts';
import {scratch} from './scratch.ts';

// A second process of its own: takes the lock, says so, and keeps it until it is told to release or killed.
const HOLDER = `
  import {createLocks} from ${JSON.stringify(path.resolve('src/system/real/lock.ts'))};
  try {
    const held = await createLocks({path: process.argv[2]}).acquire('holder');
    console.log('held');
    process.stdin.once('data', async () => { await held.release(); process.exit(0); });
  } catch (error) {
    console.log(error.id);
    process.exit(8);
  }
`;
let bundle = '';
beforeAll(async () => {
  const result = await build({
    stdin: {contents: HOLDER, resolveDir: '.', loader: 'ts'},
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  bundle = result.outputFiles[0]?.text ?? '';
});

interface Holder {
  readonly child: ChildProcess;
  readonly said: Promise<string>;
}

function start(script: string, lock: string): Holder {
  const child = spawn(process.execPath, [script, lock], {stdio: ['pipe', 'pipe', 'inherit']});
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const said = new Promise<string>(resolve => {
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim()));
  });
  return {child, said};
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise(resolve => child.once('exit', () => resolve()));

function place(): {script: string; lock: string} {
  const {real} = scratch();
  fs.writeFileSync(real('/run/holder.mjs'), bundle);
  return {script: real('/run/holder.mjs'), lock: real('/run/waxseal.lock')};
}

it('names the holder and is free again after release', async () => {
  const {script, lock} = place();
  const holder = start(script, lock);
  expect(await holder.said).toBe('held');
  const locks = createLocks({path: absolute(lock)});
  const refused = await locks.acquire('second').catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(LockHeld);
  expect(refused).toMatchObject({
    exitCode: 8,
    message: expect.stringContaining(`process ${holder.child.pid}`),
  });
  holder.child.stdin?.write('go\n');
  await ended(holder.child);
  const mine = await locks.acquire('second');
  await mine.release();
  expect(fs.readdirSync(path.dirname(lock)).sort()).toEqual(['holder.mjs']);
});

it('takes over from a killed holder, once: of many at the same time exactly one gets it', async () => {
  const {script, lock} = place();
  const first = start(script, lock);
  expect(await first.said).toBe('held');
  const gone = ended(first.child);
  first.child.kill('SIGKILL');
  await gone;
  const rivals = Array.from({length: 6}, () => start(script, lock));
  const said = await Promise.all(rivals.map(rival => rival.said));
  expect(said.filter(word => word === 'held')).toHaveLength(1);
  expect(said.filter(word => word === 'lock.held')).toHaveLength(5);
});

it('is not fooled by a recycled pid or another boot', async () => {
  const {lock} = place();
  const locks = createLocks({path: absolute(lock)});
  const held = await locks.acquire('this');
  const claim: Record<string, unknown> = JSON.parse(fs.readFileSync(lock, 'utf8'));
  for (const change of [{startTime: '1'}, {bootId: 'another'}, {pid: 4_194_304}]) {
    fs.writeFileSync(lock, JSON.stringify({...claim, ...change, token: '00112233445566aa'}));
    const taken = await locks.acquire('next');
    await taken.release();
  }
  await held.release();
  expect(fs.existsSync(lock)).toBe(false);
});

it('takes over where an heir died before it came into its own', async () => {
  const {lock} = place();
  const locks = createLocks({path: absolute(lock)});
  const held = await locks.acquire('this');
  const claim: Record<string, unknown> = JSON.parse(fs.readFileSync(lock, 'utf8'));
  const dead = {...claim, startTime: '1'};
  fs.writeFileSync(lock, JSON.stringify({...dead, token: 'aaaaaaaaaaaaaaaa'}));
  fs.writeFileSync(`${lock}.heir-aaaaaaaaaaaaaaaa`, JSON.stringify({...dead, token: 'bbbbbbbbbbbbbbbb'}));
  const mine = await locks.acquire('grandchild');
  await held.release();
  expect(fs.existsSync(lock)).toBe(true);
  await mine.release();
  expect(fs.readdirSync(path.dirname(lock)).sort()).toEqual(['holder.mjs']);
});

it('does not remove a lock that it cannot read', async () => {
  const {lock} = place();
  fs.writeFileSync(lock, 'something else');
  await expect(createLocks({path: absolute(lock)}).acquire('x')).rejects.toMatchObject({
    id: 'lock.unreadable',
  });
  expect(fs.readFileSync(lock, 'utf8')).toBe('something else');
});
