/** Steps that cannot be taken back: a private key destroyed, a private key published. */
import {generateKeyPairSync} from 'node:crypto';
import fs from 'node:fs';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {privateFingerprint} from '../../src/keys/index.ts';
import {
  type ApplyHooks,
  type ApplyOutcome,
  applyPlan,
  changeViews,
  findUnfinished,
  listRuns,
  listUndoable,
  makePlan,
  type Plan,
  planUndo,
  recoverRun,
  wasDisposed,
} from '../../src/plan/index.ts';
import type {DisposeStep, RevealStep, Step} from '../../src/services/step.ts';
import type {Ports} from '../../src/system/ports.ts';
import {scratchWorld} from './scratch-world.ts';
import {PowerCut, tamper} from './tamper.ts';
import {openWorld, type World} from './world.ts';

const pemOf = (): string =>
  generateKeyPairSync('rsa', {
    modulusLength: 1024,
    privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
    publicKeyEncoding: {type: 'spki', format: 'pem'},
  }).privateKey;
const [PEM, OTHER] = [pemOf(), pemOf()];
const FINGERPRINT = privateFingerprint(Buffer.from(PEM)) ?? '';
const KEY = absolute('/etc/dkimkeys/s1.private');
const FOLDER = absolute('/var/lib/waxseal-retired');
const PUBLISHED = absolute(`${FOLDER}/${FINGERPRINT}.pem`);
const OWNER = {mode: 0o600, uid: 100, gid: 101};

const DISPOSE: DisposeStep = {
  kind: 'dispose',
  id: `dispose:${KEY}`,
  why: 'why',
  path: KEY,
  fingerprint: FINGERPRINT,
  owners: [0, 100],
};
const REVEAL: RevealStep = {
  kind: 'reveal',
  id: `reveal:${PUBLISHED}`,
  why: 'why',
  from: KEY,
  path: PUBLISHED,
  fingerprint: FINGERPRINT,
  owners: [0, 100],
};
const MAKE_FOLDER: Step = {
  kind: 'directory',
  id: 'directory:folder',
  why: 'why',
  path: FOLDER,
  before: {state: 'absent'},
  owner: {user: 'root', group: 'root'},
  mode: 0o711,
};

const planOf = (ports: Pick<Ports, 'clock' | 'random'>, steps: readonly Step[]): Plan =>
  makePlan({purpose: 'rotate', title: 'keys', domains: [], steps, ...ports});

async function withKey(): Promise<World> {
  const world = scratchWorld();
  const {files} = world.ports;
  await files.makeDirectory(absolute('/var/lib/waxseal'), {mode: 0o711, uid: 0, gid: 0});
  await files.makeDirectory(absolute('/etc/dkimkeys'), {mode: 0o700, uid: 100, gid: 101});
  await files.create(KEY, Buffer.from(PEM), OWNER);
  return world;
}

const never = new AbortController().signal;
const apply = (
  world: World,
  steps: readonly Step[],
  hooks: Partial<ApplyHooks> = {},
  signal = never,
): Promise<ApplyOutcome> =>
  applyPlan(world.ports, planOf(world.ports, steps), {...world.hooks, ...hooks}, () => {}, signal);

const at = (world: World, path: string): string | undefined =>
  fs.existsSync(world.real(path)) ? fs.readFileSync(world.real(path), 'utf8') : undefined;

describe('a private key', () => {
  it('is destroyed: its own octets are overwritten before its name goes', async () => {
    const world = await withKey();
    const inside = fs.openSync(world.real(KEY), 'r');
    expect(await apply(world, [DISPOSE])).toMatchObject({result: 'applied', left: []});
    expect(at(world, KEY)).toBeUndefined();
    const rest = Buffer.alloc(PEM.length);
    fs.readSync(inside, rest, 0, rest.length, 0);
    fs.closeSync(inside);
    expect(rest.toString('latin1')).not.toContain('PRIVATE KEY');
    expect(rest.toString('latin1')).not.toContain(PEM.slice(100, 132));
    expect(await wasDisposed(world.ports, KEY, FINGERPRINT)).toBe(true);
    expect(await wasDisposed(world.ports, KEY, '0'.repeat(64))).toBe(false);
  });

  it('is published readable for everybody, without its age, and its file destroyed', async () => {
    const world = await withKey();
    expect(await apply(world, [MAKE_FOLDER, REVEAL, DISPOSE])).toMatchObject({result: 'applied', left: []});
    expect(at(world, PUBLISHED)).toBe(PEM);
    expect(await world.ports.files.stat(PUBLISHED)).toMatchObject({
      mode: 0o644,
      uid: 0,
      modifiedMs: 946_684_800_000,
    });
    expect(at(world, KEY)).toBeUndefined();
  });

  it('is shown as what it is, and never its text', () => {
    const views = changeViews({steps: [REVEAL, DISPOSE]});
    expect(views.map(({action}) => action).join('\n')).toMatch(/publish the private key.*\n.*destroy/);
    expect(JSON.stringify(views)).not.toContain('BEGIN');
  });

  it('cannot be followed by a step that can be taken back', async () => {
    const world = await withKey();
    expect(() => planOf(world.ports, [DISPOSE, MAKE_FOLDER])).toThrow('cannot be taken back');
  });
});

describe('what is not the key of the plan', () => {
  const cases: readonly (readonly [string, (world: World) => void])[] = [
    ['does not hold the key', world => fs.writeFileSync(world.real(KEY), OTHER)],
    [
      'symbolic link',
      world => {
        fs.writeFileSync(world.real('/etc/tls.key'), PEM);
        fs.rmSync(world.real(KEY));
        fs.symlinkSync('/etc/tls.key', world.real(KEY));
      },
    ],
    ['several names', world => fs.linkSync(world.real(KEY), world.real('/etc/second'))],
    [
      'no file',
      world => {
        fs.rmSync(world.real(KEY));
        fs.mkdirSync(world.real(KEY));
      },
    ],
    ['not there', world => fs.rmSync(world.real(KEY))],
  ];

  it.each(cases)('is refused before anything is touched: %s', async (why, change) => {
    const world = await withKey();
    change(world);
    const before = fs.existsSync(world.real('/etc/tls.key')) ? PEM : undefined;
    const outcome = await apply(world, [MAKE_FOLDER, REVEAL, DISPOSE]);
    expect(outcome).toMatchObject({result: 'refused', error: {id: 'plan.stale'}});
    expect(outcome.result === 'refused' && outcome.stale[0]?.change).toContain(why);
    expect(at(world, FOLDER)).toBeUndefined();
    expect(at(world, '/etc/tls.key')).toBe(before);
  });

  it('is refused where it belongs to another user', async () => {
    const world = await withKey();
    const seen = await world.ports.files.stat(KEY);
    if (seen === undefined) throw new TypeError('no key');
    await world.ports.files.setAttributes(KEY, {...OWNER, uid: 4711}, seen);
    expect(await apply(world, [DISPOSE])).toMatchObject({result: 'refused'});
    expect(at(world, KEY)).toBe(PEM);
  });

  // Between the last look and the act: the proof runs there.
  it.each(cases)('is left and named where it comes in the last moment: %s', async (why, change) => {
    const world = await withKey();
    const outcome = await apply(world, [MAKE_FOLDER, REVEAL, DISPOSE], {
      proof: async () => {
        change(world);
        return {checks: [], passed: true};
      },
    });
    expect(outcome).toMatchObject({result: 'applied', left: [{path: KEY}]});
    expect(outcome.result === 'applied' && outcome.left?.[0]?.why).toContain(why);
    expect(at(world, PUBLISHED)).toBeUndefined();
    if (fs.existsSync(world.real('/etc/tls.key'))) expect(at(world, '/etc/tls.key')).toBe(PEM);
    if (why === 'does not hold the key') expect(at(world, KEY)).toBe(OTHER);
    expect(await wasDisposed(world.ports, KEY, FINGERPRINT)).toBe(false);
  });

  it('is not destroyed where it could not be published', async () => {
    const world = await withKey();
    const outcome = await apply(world, [REVEAL, DISPOSE]);
    expect(outcome).toMatchObject({result: 'applied', left: [{step: REVEAL.id}]});
    expect(at(world, KEY)).toBe(PEM);
  });
});

describe('the point of no return', () => {
  it('is not passed where the proof fails', async () => {
    const world = await withKey();
    const outcome = await apply(world, [MAKE_FOLDER, REVEAL, DISPOSE], {
      proof: async () => ({checks: [], passed: false}),
    });
    expect(outcome.result).toBe('rolled-back');
    expect([at(world, KEY), fs.existsSync(world.real(FOLDER))]).toEqual([PEM, false]);
  });

  it('is not passed where it is stopped before it, and is not undone where it is stopped behind it', async () => {
    for (const stop of [REVEAL.id, DISPOSE.id]) {
      const world = await withKey();
      const controller = new AbortController();
      const outcome = await applyPlan(
        world.ports,
        planOf(world.ports, [MAKE_FOLDER, REVEAL, DISPOSE]),
        world.hooks,
        event => {
          if (
            stop === REVEAL.id
              ? event.type === 'proof-started'
              : event.type === 'step-done' && event.step === REVEAL.id
          )
            controller.abort();
        },
        controller.signal,
      );
      expect(at(world, KEY)).toBe(PEM);
      expect(at(world, PUBLISHED)).toBe(stop === REVEAL.id ? undefined : PEM);
      expect(outcome).toMatchObject(
        stop === REVEAL.id ? {result: 'rolled-back'} : {result: 'applied', left: [{step: DISPOSE.id}]},
      );
    }
  });

  it('cannot be undone later, and stands in no way of other undos', async () => {
    const world = await withKey();
    const outcome = await apply(world, [DISPOSE]);
    expect(await listUndoable(world.ports)).toEqual([]);
    const [run] = await listRuns(world.ports);
    expect(run).toMatchObject({status: 'applied', final: true});
    const plan = outcome.result === 'applied' ? await planUndo(world.ports, outcome.run) : undefined;
    expect(plan).toMatchObject({ok: false, problem: {id: 'undo.final'}});
  });

  it('is told truly after a crash at any moment: the key is whole, or the journal says that it is destroyed', async () => {
    const steps = [MAKE_FOLDER, REVEAL, DISPOSE];
    const counted = tamper((await withKey()).ports, 0, 'fail');
    await applyPlan(counted.ports, planOf(counted.ports, steps), (await withKey()).hooks, () => {}, never);
    const calls = counted.calls.length;
    expect(calls).toBeGreaterThan(20);
    const seen = new Set<string>();
    const unsaid: string[] = [];
    for (let cut = 1; cut <= calls; cut += 1) {
      const world = await withKey();
      const {ports} = tamper(world.ports, cut, 'cut-after');
      const run = applyPlan(ports, planOf(world.ports, steps), {...world.hooks}, () => {}, never);
      await run.catch(error => {
        if (!(error instanceof PowerCut)) throw error;
      });
      // A new process.
      const after = openWorld(world.root);
      for (const unfinished of await findUnfinished(after.ports)) {
        const back = await recoverRun(after.ports, unfinished, after.hooks, () => {});
        seen.add(back.result);
        expect(back.result, `cut ${cut}`).not.toBe('incomplete');
        if (back.result === 'rolled-back') {
          expect([at(after, KEY), at(after, PUBLISHED)], `cut ${cut}`).toEqual([PEM, undefined]);
          expect(fs.existsSync(after.real(FOLDER))).toBe(false);
        }
      }
      expect(await findUnfinished(after.ports)).toEqual([]);
      const isGone = at(after, KEY) === undefined;
      const isSaid = await wasDisposed(after.ports, KEY, FINGERPRINT);
      if (!isGone) expect([at(after, KEY), isSaid], `cut ${cut}`).toEqual([PEM, false]);
      // Its name was removed, and the journal could not say so any more: the owner may have moved it as well.
      if (isGone && !isSaid) unsaid.push(counted.calls[cut - 1] ?? '');
      if (isGone) expect(at(after, PUBLISHED)).toBe(PEM);
    }
    expect(seen).toEqual(new Set(['rolled-back', 'finished']));
    expect(new Set(unsaid)).toEqual(new Set([`destroy ${KEY}`]));
  });

  it('brings a file to its end that was being overwritten, and leaves one that somebody put there', async () => {
    for (const [how, wasOurs] of [
      ['same', true],
      ['other', false],
    ] as const) {
      const world = await withKey();
      const {ports} = tamper(world.ports, 0, 'fail');
      const half = Object.assign({}, ports.files, {
        destroy: async () => {
          if (how === 'same') fs.writeFileSync(world.real(KEY), Buffer.alloc(PEM.length, 7));
          else {
            fs.writeFileSync(world.real('/etc/dkimkeys/new'), OTHER);
            fs.renameSync(world.real('/etc/dkimkeys/new'), world.real(KEY));
          }
          throw new PowerCut();
        },
      });
      const cut = applyPlan(
        {...ports, files: half},
        planOf(world.ports, [DISPOSE]),
        world.hooks,
        () => {},
        never,
      );
      await cut.catch(() => undefined);
      const after = openWorld(world.root);
      for (const run of await findUnfinished(after.ports)) {
        await recoverRun(after.ports, run, after.hooks, () => {});
      }
      expect(at(after, KEY)).toBe(wasOurs ? undefined : OTHER);
      expect(await wasDisposed(after.ports, KEY, FINGERPRINT)).toBe(wasOurs);
    }
  });
});
