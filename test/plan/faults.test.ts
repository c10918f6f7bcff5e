import fs from 'node:fs';
import {describe, expect, it} from 'vitest';
import {
  type ApplyHooks,
  type ApplyOutcome,
  applyPlan,
  findUnfinished,
  recoverRun,
} from '../../src/plan/index.ts';
import type {Ports} from '../../src/system/ports.ts';
import {scratchWorld} from './scratch-world.ts';
import {type Fault, PowerCut, tamper} from './tamper.ts';
import {fingerprint, openWorld, setupPlan, stageSecret, type World} from './world.ts';

const never = new AbortController().signal;
const quiet = (): void => undefined;

const hooksOn = (world: World, ports: Ports): ApplyHooks => ({
  ...world.hooks,
  ready: async step => {
    const {status} = await ports.commands.run(step.ready.activeArgv ?? ['true']);
    return status === 0 ? undefined : {id: 'service.inactive', message: 'down', hint: ''};
  },
});

/** One apply whose `at`-th operation goes wrong. */
async function faulty(
  world: World,
  at: number,
  fault: Fault,
): Promise<{outcome?: ApplyOutcome; calls: string[]}> {
  const plan = await setupPlan(world.ports.files, world.ports);
  const {ports, calls} = tamper(world.ports, at, fault);
  try {
    return {outcome: await applyPlan(ports, plan, hooksOn(world, ports), quiet, never), calls};
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error;
    return {calls};
  }
}

async function recoverAll(world: World): Promise<void> {
  for (const run of await findUnfinished(world.ports)) {
    expect(await recoverRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'rolled-back'});
  }
}

/** `again` forgets the runs; the host itself is as before whenever the property under test holds. */
async function freshWorld(): Promise<{world: World; before: string; again(): void}> {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  const again = (): void => fs.rmSync(world.real('/var/lib/waxseal/runs'), {recursive: true, force: true});
  return {world, before: await fingerprint(world), again};
}

/** State of the host after a whole apply, to compare with. */
async function appliedState(): Promise<{after: string; calls: readonly string[]}> {
  const {world} = await freshWorld();
  const {outcome, calls} = await faulty(world, 0, 'fail');
  expect(outcome?.result).toBe('applied');
  const after = await fingerprint(world);
  return {after, calls};
}

/** Operations that only tidy: the sweep between the gate and the journal, and the last two of a run. */
function tidying(calls: readonly string[]): number {
  const begun = calls.indexOf('stat /var/lib/waxseal');
  const gate = calls.findLastIndex(call => call.startsWith('checkChangeable '));
  const end = calls.findLastIndex(call => call.startsWith('append '));
  return begun - gate - 1 + (calls.length - 1 - end);
}

describe('a fault at every single operation of an apply', () => {
  it('fails: everything is put back, or nothing was touched', async () => {
    const {calls, after} = await appliedState();
    expect(calls.length).toBeGreaterThan(100);
    let {world, before, again} = await freshWorld();
    const results: Record<string, number> = {};
    for (let at = 1; at <= calls.length; at += 1) {
      const where = `${at}: ${calls[at - 1]}`;
      const {outcome} = await faulty(openWorld(world.root), at, 'fail');
      const result = outcome?.result ?? 'none';
      results[result] = (results[result] ?? 0) + 1;
      expect(['refused', 'rolled-back', 'applied'], where).toContain(result);
      expect(await fingerprint(openWorld(world.root)), where).toBe(result === 'applied' ? after : before);
      // Where the closing of the journal failed, the next start finds the run and ends it.
      await recoverAll(openWorld(world.root));
      again();
      if (result === 'applied') ({world, before, again} = await freshWorld());
    }
    expect(results['rolled-back']).toBeGreaterThan(60);
    // Tidying before and after the change may fail without harm, and nothing else.
    expect(results['applied'] ?? 0).toBe(tidying(calls));
  });

  // A cut before an operation leaves what a cut after the one before it leaves: one of them is enough.
  it('cut off: the next start finds the old or the new host', async () => {
    const {calls, after} = await appliedState();
    let {world, before, again} = await freshWorld();
    let recovered = 0;
    for (let at = 1; at <= calls.length; at += 1) {
      const where = `${at}: ${calls[at - 1]}`;
      const {outcome} = await faulty(openWorld(world.root), at, 'cut-after');
      expect(outcome, where).toBeUndefined();
      const next = openWorld(world.root);
      recovered += (await findUnfinished(next.ports)).length;
      await recoverAll(next);
      const now = await fingerprint(next);
      // Only the very last line of the journal makes the new state the valid one.
      const isLast = at >= calls.findLastIndex(call => call.startsWith('append ')) + 1;
      expect(now, where).toBe(isLast ? after : before);
      expect(await findUnfinished(next.ports), where).toEqual([]);
      again();
      if (isLast) ({world, before, again} = await freshWorld());
    }
    expect(recovered).toBeGreaterThan(60);
  });

  it('survives a second cut during the recovery from the first', async () => {
    const {calls} = await appliedState();
    const {world, before, again} = await freshWorld();
    // Late in the apply, where there is most to take back.
    const first = calls.findLastIndex(call => call.startsWith('run systemctl reload')) + 1;
    for (let at = 1; at < 400; at += 1) {
      await faulty(openWorld(world.root), first, 'cut-after');
      const next = openWorld(world.root);
      const [run] = await findUnfinished(next.ports);
      if (run === undefined) throw new Error('no unfinished run');
      const {ports, calls: during} = tamper(next.ports, at, 'cut-after');
      const cut = await recoverRun(ports, run, hooksOn(next, ports), quiet).catch((error: unknown) => error);
      const third = openWorld(world.root);
      await recoverAll(third);
      expect(await fingerprint(third), `${at}: ${during.at(-1)}`).toBe(before);
      again();
      if (!(cut instanceof PowerCut)) break;
      expect(at).toBeLessThan(390);
    }
  });
});
