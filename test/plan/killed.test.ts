import {spawnSync} from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';
import {afterAll, beforeAll, expect, it} from 'vitest';
import {applyPlan, findUnfinished, recoverRun} from '../../src/plan/index.ts';
import {scratchWorld} from './scratch-world.ts';
import {fingerprint, openWorld, setupPlan, stageSecret} from './world.ts';

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'waxseal-child-'));
const script = path.join(directory, 'child.mjs');
beforeAll(async () => {
  await build({
    entryPoints: [path.join(import.meta.dirname, 'killed-child.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: script,
    logLevel: 'silent',
    banner: {
      js: "import {createRequire} from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
});
afterAll(() => fs.rmSync(directory, {recursive: true, force: true}));

const run = (root: string, at: number) =>
  spawnSync(process.execPath, [script, root, String(at)], {encoding: 'utf8'});

it('kill -9 of the process at many moments: the next start takes over the lock and puts everything back', async () => {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  const before = await fingerprint(world);
  let unfinished = 0;
  for (let at = 8; at < 180; at += 9) {
    const child = run(world.root, at);
    expect(child.signal, `${at}: ${child.stdout}${child.stderr}`).toBe('SIGKILL');
    expect(fs.existsSync(world.real('/run/waxseal.lock')), `${at}`).toBe(true);
    const next = openWorld(world.root);
    // The dead one's; also of a run that died before its journal began.
    const lock = await next.ports.locks.acquire('test');
    for (const cut of await findUnfinished(next.ports)) {
      unfinished += 1;
      await recoverRun(next.ports, cut, next.hooks, () => undefined);
    }
    await lock.release();
    expect(fs.readdirSync(world.real('/run')), `${at}`).toEqual(['services.json']);
    expect(await fingerprint(next), `${at}`).toBe(before);
  }
  expect(unfinished).toBeGreaterThan(6);
  // And after all that the same host can still be set up.
  const last = openWorld(world.root);
  const plan = await setupPlan(last.ports.files, last.ports);
  const outcome = await applyPlan(
    last.ports,
    plan,
    last.hooks,
    () => undefined,
    new AbortController().signal,
  );
  expect(outcome.result).toBe('applied');
});

it('counts as applied where the process lived to the end', async () => {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  expect(JSON.parse(run(world.root, 0).stdout)).toMatchObject({result: 'applied'});
  expect(await findUnfinished(openWorld(world.root).ports)).toEqual([]);
});
