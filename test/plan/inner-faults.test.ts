/** Faults inside the file operations: at each call to the system that changes the disk. */
import fs from 'node:fs';
import {afterEach, expect, it, vi} from 'vitest';
import {applyPlan, findUnfinished, type Plan, recoverRun} from '../../src/plan/index.ts';
import {scratchWorld} from './scratch-world.ts';
import {endTampering, type InnerFault, tamperInside, tampering} from './tampered-fs.ts';
import {fingerprint, openWorld, setupPlan, stageSecret, type World} from './world.ts';

vi.mock('node:fs/promises', async importOriginal => {
  const {wrap} = await import('./tampered-fs.ts');
  return wrap(await importOriginal<typeof import('node:fs/promises')>());
});

const never = new AbortController().signal;
const quiet = (): void => undefined;
afterEach(endTampering);

/** One step of every kind that touches a path; packages and services have no inside. */
async function smallPlan({ports}: World): Promise<Plan> {
  const plan = await setupPlan(ports.files, ports);
  const kept = ['dir:/etc/dkimkeys', 'file:/etc/opendkim/KeyTable', 'file:/etc/opendkim/TrustedHosts'];
  const names = new Set([...kept, 'file:/etc/opendkim.conf', 'remove:old', 'dir:/etc/opendkim']);
  return {...plan, steps: plan.steps.filter(step => names.has(step.id))};
}

async function fresh(): Promise<{world: World; before: string}> {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  return {world, before: await fingerprint(world)};
}

/** Whatever lies about under waxseal's temporary names, in the whole tree. */
function leftOvers(root: string): readonly string[] {
  return fs
    .readdirSync(root, {recursive: true, encoding: 'utf8'})
    .filter(name => /\.waxseal-[0-9a-f]{8}$/.test(name));
}

async function applyOnce(root: string, at: number, fault: InnerFault): Promise<string> {
  const world = openWorld(root);
  const plan = await smallPlan(world);
  tamperInside(at, fault);
  try {
    const {result} = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    // The program cannot tell a dead disk from a failing one, and goes on; nothing that it does then has an effect.
    return tampering.dead ? 'cut' : result;
  } catch (error) {
    if (!tampering.dead) throw error;
    return 'cut';
  } finally {
    tampering.at = 0;
    tampering.dead = false;
  }
}

it.each(['error', 'full', 'cut'] as const)(
  '%s at every single call to the system: old or new, and nothing half-written is left',
  async fault => {
    const reference = await fresh();
    expect(await applyOnce(reference.world.root, 0, fault)).toBe('applied');
    const names = [...tampering.calls];
    const after = await fingerprint(openWorld(reference.world.root));
    expect(names.length).toBeGreaterThan(90);

    let {world, before} = await fresh();
    const results: Record<string, number> = {};
    for (let at = 1; at <= names.length; at += 1) {
      const where = `${fault} at ${at}: ${names[at - 1]}`;
      const result = await applyOnce(world.root, at, fault);
      results[result] = (results[result] ?? 0) + 1;
      const next = openWorld(world.root);
      if (result !== 'cut') {
        const state = await fingerprint(next);
        expect(state, where).toBe(result === 'applied' ? after : before);
      }
      for (const run of await findUnfinished(next.ports)) {
        expect(await recoverRun(next.ports, run, next.hooks, quiet), where).toMatchObject({
          result: 'rolled-back',
        });
      }
      const now = await fingerprint(next);
      expect([before, after], where).toContain(now);
      if (now === after) {
        ({world, before} = await fresh());
        continue;
      }
      expect(
        leftOvers(world.root).filter(name => !name.startsWith('var/lib/waxseal')),
        where,
      ).toEqual([]);
      // What is left in waxseal's own directory goes with the next run, which must work, and be complete.
      if (at % 25 === 0) {
        expect(await applyOnce(world.root, 0, fault), where).toBe('applied');
        expect(leftOvers(world.root), where).toEqual([]);
        ({world, before} = await fresh());
      }
    }
    expect(results['incomplete'] ?? 0, JSON.stringify(results)).toBe(0);
    expect(results[fault === 'cut' ? 'cut' : 'rolled-back'], JSON.stringify(results)).toBeGreaterThan(50);
  },
  600_000,
);
