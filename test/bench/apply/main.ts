/**
 * Apply and undo of a set-up for 100, 1,000 and 10,000 domains on real files in a scratch root: a directory and a key a
 * domain, both tables. Prints times, the peak of memory and the growth a domain. Fails where that growth is not linear:
 * ten times the domains may take at most twenty times the time.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {absolute} from '../../../src/domain/paths.ts';
import {applyPlan, asBefore, makePlan, observe, sha256Of, undoRun} from '../../../src/plan/index.ts';
import type {Step} from '../../../src/services/step.ts';
import {fingerprint, furnish, openWorld, SECRET, stageSecret, type World} from '../../plan/world.ts';

const COUNTS = [100, 1000, 10_000] as const;
const never = new AbortController().signal;
const quiet = (): void => undefined;

async function stepsFor(world: World, count: number): Promise<readonly Step[]> {
  const owner = {user: 'opendkim', group: 'opendkim'};
  const key = {
    from: 'secret',
    path: absolute('/var/lib/waxseal/staged.pem'),
    sha256: sha256Of(SECRET),
  } as const;
  const steps: Step[] = [];
  const add = (at: string): Omit<Extract<Step, {kind: 'directory'}>, 'kind'> => ({
    id: at,
    why: 'bench',
    path: absolute(at),
    before: {state: 'absent'},
    owner,
    mode: 0o700,
  });
  steps.push({kind: 'directory', ...add('/etc/dkimkeys')});
  const rows: string[] = [];
  for (let at = 0; at < count; at += 1) {
    const directory = `/etc/dkimkeys/d${at}.example.org`;
    steps.push({kind: 'directory', ...add(directory)});
    const file = `${directory}/202611.private`;
    const {id, why, path: where, before} = add(file);
    steps.push({kind: 'file', id, why, path: where, before, after: {content: key, owner, mode: 0o600}});
    rows.push(`202611._domainkey.d${at}.example.org d${at}.example.org:202611:${file}`);
  }
  for (const [at, text] of [
    ['/etc/opendkim/KeyTable', rows.join('\n')],
    ['/etc/opendkim.conf', '# bench\n'],
  ] as const) {
    const now = await observe(world.ports.files, absolute(at));
    const old =
      now.state === 'present' && now.kind === 'file' ? Buffer.from(now.content).toString('utf8') : undefined;
    steps.push({
      kind: 'file',
      id: at,
      why: 'bench',
      path: absolute(at),
      before: asBefore(now),
      ...(old === undefined ? {} : {beforeText: old}),
      after: {content: {from: 'text', text}, owner: {user: 'root', group: 'root'}, mode: 0o644},
    });
  }
  return steps;
}

async function once(count: number): Promise<{apply: number; undo: number}> {
  const root = fs.mkdtempSync(
    path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'waxseal-bench-'),
  );
  try {
    fs.chmodSync(root, 0o755);
    furnish(root);
    const world = openWorld(root);
    await stageSecret(world.ports.files);
    const before = await fingerprint(world);
    const plan = makePlan({
      purpose: 'setup',
      title: 'bench',
      domains: [],
      steps: await stepsFor(world, count),
      ...world.ports,
    });
    const start = performance.now();
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    if (outcome.result !== 'applied') throw new Error(outcome.result);
    const applied = performance.now();
    const undone = await undoRun(world.ports, plan.id, world.hooks, quiet);
    if (undone.result !== 'undone') throw new Error(undone.result);
    const end = performance.now();
    if ((await fingerprint(world)) !== before) throw new Error('undo did not bring the host back');
    return {apply: applied - start, undo: end - applied};
  } finally {
    fs.rmSync(root, {recursive: true, force: true});
  }
}

const each = new Map<number, {apply: number; undo: number}>();
await once(10);
for (const count of COUNTS) {
  const took = await once(count);
  each.set(count, took);
  const memory = Math.round(process.resourceUsage().maxRSS / 1024);
  const a = (ms: number): string => `${(ms / 1000).toFixed(2)} s (${(ms / count).toFixed(2)} ms a domain)`;
  console.log(
    `${String(count).padStart(6)} domains: apply ${a(took.apply)}, undo ${a(took.undo)}, peak ${memory} MiB`,
  );
}
const [small, large] = [each.get(1000), each.get(10_000)];
if (small !== undefined && large !== undefined) {
  for (const job of ['apply', 'undo'] as const) {
    const growth = large[job] / small[job];
    console.log(`${job}: ten times the domains take ${growth.toFixed(1)} times the time`);
    if (growth > 20) process.exitCode = 1;
  }
}
