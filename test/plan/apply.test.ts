import fs from 'node:fs';
import {gzipSync} from 'node:zlib';
import {describe, expect, it} from 'vitest';
import {HostError, Interrupted} from '../../src/domain/errors.ts';
import {absolute} from '../../src/domain/paths.ts';
import {
  type ApplyEvent,
  type ApplyHooks,
  applyPlan,
  findUnfinished,
  listRuns,
  type Plan,
  recoverRun,
} from '../../src/plan/index.ts';
import {scratchWorld} from './scratch-world.ts';
import {fingerprint, setupPlan, stageSecret, type World} from './world.ts';

async function prepared(): Promise<{world: World; plan: Plan; before: string}> {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  const before = await fingerprint(world);
  return {world, before, plan: await setupPlan(world.ports.files, world.ports)};
}

const never = new AbortController().signal;

async function apply(world: World, plan: Plan, hooks: Partial<ApplyHooks> = {}, signal = never) {
  const events: ApplyEvent[] = [];
  const outcome = await applyPlan(world.ports, plan, {...world.hooks, ...hooks}, e => events.push(e), signal);
  return {outcome, events};
}

describe('applyPlan', () => {
  it('makes the host as the plan says, and tells each step', async () => {
    const {world, plan} = await prepared();
    const {outcome, events} = await apply(world, plan);
    expect(outcome).toMatchObject({result: 'applied', run: plan.id});
    const {files} = world.ports;
    expect(await files.stat(absolute('/etc/dkimkeys/example.org/202611.private'))).toMatchObject({
      mode: 0o600,
      uid: 100,
      gid: 101,
    });
    expect(await files.stat(absolute('/var/spool/postfix/opendkim'))).toMatchObject({
      mode: 0o2750,
      uid: 100,
      gid: 102,
    });
    expect(await files.stat(absolute('/etc/opendkim/TrustedHosts'))).toMatchObject({mode: 0o640, gid: 101});
    expect(fs.readFileSync(world.real('/etc/postfix/main.cf'), 'utf8')).toContain(
      'unix:opendkim/opendkim.sock',
    );
    expect(fs.existsSync(world.real('/etc/postfix/old.cf'))).toBe(false);
    expect(events.filter(event => event.type === 'step-done')).toHaveLength(plan.steps.length);
    expect(events.at(-1)).toEqual({type: 'proof-done'});
    expect(await listRuns(world.ports)).toMatchObject([{run: plan.id, status: 'applied', title: plan.title}]);
  });

  it('keeps no secret and no content in the plan and the journal of the run', async () => {
    const {world, plan} = await prepared();
    await apply(world, plan);
    const run = `/var/lib/waxseal/runs/${plan.id}`;
    for (const name of ['plan.json', 'journal.jsonl']) {
      const text = fs.readFileSync(world.real(`${run}/${name}`), 'utf8');
      expect(text).not.toContain('PRIVATE KEY');
      expect(text).not.toContain('myhostname');
      expect(fs.statSync(world.real(`${run}/${name}`)).mode & 0o777).toBe(0o600);
    }
    expect(fs.statSync(world.real(run)).mode & 0o777).toBe(0o700);
  });

  it('keeps room that a file system cannot compress away, and gives it back, at the latest with the next run', async () => {
    const {world, plan} = await prepared();
    const reserve = world.real(`/var/lib/waxseal/runs/${plan.id}/reserve`);
    const {outcome} = await apply(world, plan, {
      proof: async () => {
        const room = fs.readFileSync(reserve);
        expect(room.length).toBeGreaterThan(64 * 1024);
        expect(gzipSync(room).length).toBeGreaterThan(room.length * 0.9);
        return {checks: [], passed: true};
      },
    });
    expect(outcome.result).toBe('applied');
    expect(fs.existsSync(reserve)).toBe(false);
    // As after a power cut right before its end.
    fs.writeFileSync(reserve, 'x', {mode: 0o600});
    fs.appendFileSync(world.real('/etc/opendkim.conf'), '# more\n');
    await apply(world, await setupPlan(world.ports.files, world.ports));
    expect(fs.existsSync(reserve)).toBe(false);
  });

  it('does nothing for an empty plan and for the same plan again', async () => {
    const {world, plan} = await prepared();
    expect((await apply(world, {...plan, steps: []})).outcome).toEqual({result: 'nothing'});
    await apply(world, plan);
    const after = await fingerprint(world);
    expect((await apply(world, plan)).outcome).toEqual({result: 'nothing'});
    expect(await fingerprint(world)).toBe(after);
  });

  it('plans nothing that is there already: a second plan changes no file', async () => {
    const {world, plan} = await prepared();
    await apply(world, plan);
    const again = await setupPlan(world.ports.files, world.ports);
    const steps = again.steps.filter(step => step.kind === 'directory');
    const {outcome} = await apply(world, {...again, steps});
    expect(outcome.result).toBe('applied');
    const [, second] = await listRuns(world.ports);
    const journal = fs.readFileSync(world.real(`/var/lib/waxseal/runs/${second?.run}/journal.jsonl`), 'utf8');
    expect(journal).not.toContain('intent');
  });

  it.each([
    [
      'a file changed',
      '/etc/opendkim.conf',
      (at: string) => fs.appendFileSync(at, '\nMine yes\n'),
      '+Mine yes',
    ],
    ['a file appeared', '/etc/opendkim/KeyTable', (at: string) => fs.writeFileSync(at, 'mine\n'), '+mine'],
    ['a file is gone', '/etc/postfix/main.cf', (at: string) => fs.rmSync(at), '-myhostname'],
    ['a mode changed', '/etc/postfix/main.cf', (at: string) => fs.chmodSync(at, 0o600), ''],
  ])('touches nothing when %s since the plan was made', async (_what, file, change, diff) => {
    const {world, plan} = await prepared();
    change(world.real(file));
    const before = await fingerprint(world);
    const {outcome} = await apply(world, plan);
    expect(outcome).toMatchObject({
      result: 'refused',
      error: {id: 'plan.stale', exitCode: 6},
      stale: [{path: file, diff: expect.stringContaining(diff)}],
    });
    expect(await fingerprint(world)).toBe(before);
    expect(await listRuns(world.ports)).toEqual([]);
  });

  it('refuses a file with several names', async () => {
    const {world, plan} = await prepared();
    fs.linkSync(world.real('/etc/postfix/main.cf'), world.real('/etc/postfix/twin'));
    expect((await apply(world, plan)).outcome).toMatchObject({
      result: 'refused',
      error: {id: 'file.hard-link'},
    });
  });

  it('refuses without root, with another key staged, with a failing preflight', async () => {
    const {world, plan, before} = await prepared();
    const refused = async (ports: Partial<World['ports']>, hooks: Partial<ApplyHooks> = {}) =>
      (await apply({...world, ports: {...world.ports, ...ports}}, plan, hooks)).outcome;
    const process = {pid: 1, uid: 1000, privileged: false};
    expect(await refused({process})).toMatchObject({error: {id: 'host.not-root', exitCode: 5}});
    const no = {id: 'preflight.unsigned', message: 'It does not sign.', hint: ''};
    expect(await refused({}, {preflight: async () => ({ok: false, problem: no})})).toMatchObject({
      result: 'refused',
      error: {id: 'preflight.unsigned'},
    });
    expect(await fingerprint(world)).toBe(before);
    fs.writeFileSync(world.real('/var/lib/waxseal/staged.pem'), 'another');
    expect(await refused({})).toMatchObject({result: 'rolled-back', error: {id: 'key.changed'}});
    expect(await fingerprint(world)).toBe(before);
  });

  it.each([
    ['has another name', (at: string) => fs.linkSync(at, `${at}.twin`)],
    [
      'is a link',
      (at: string) => {
        fs.renameSync(at, `${at}.there`);
        fs.symlinkSync('staged.pem.there', at);
      },
    ],
    ['holds another key than the fingerprint names', () => undefined],
  ])('copies no private key that %s', async (_what, change) => {
    const {world, plan, before} = await prepared();
    const steps = plan.steps.map(step =>
      step.kind === 'file' && step.after.content.from === 'secret'
        ? {
            ...step,
            after: {
              ...step.after,
              content: {...step.after.content, ...(change.length === 0 ? {fingerprint: '00'} : {})},
            },
          }
        : step,
    );
    change(world.real('/var/lib/waxseal/staged.pem'));
    const {outcome} = await apply(world, {...plan, steps});
    expect(outcome).toMatchObject({result: 'rolled-back'});
    expect('error' in outcome && ['key.changed', 'file.symlink'].includes(outcome.error.id)).toBe(true);
    expect(await fingerprint(world)).toBe(before);
  });

  it('puts everything back when the proof does not pass, and says why', async () => {
    const {world, plan, before} = await prepared();
    const check = {
      id: 'probe.signature',
      title: 'Probe is signed',
      status: 'fail' as const,
      evidence: 'no DKIM-Signature',
      cause: 'The key is unreadable',
      fix: 'chmod',
    };
    const {outcome, events} = await apply(world, plan, {
      proof: async () => ({checks: [check], passed: false}),
    });
    expect(outcome).toMatchObject({
      result: 'rolled-back',
      error: {id: 'proof.failed', exitCode: 6, message: expect.stringContaining('The key is unreadable')},
      proof: {passed: false},
    });
    expect(await fingerprint(world)).toBe(before);
    expect(events.at(-1)).toEqual({type: 'rolled-back', whole: true, remains: []});
    expect(fs.existsSync(world.real(`/var/lib/waxseal/runs/${plan.id}/backups`))).toBe(false);
    expect(await findUnfinished(world.ports)).toEqual([]);
  });

  it('puts everything back when the user stops at any step', async () => {
    const {world, before} = await prepared();
    const count = (await setupPlan(world.ports.files, world.ports)).steps.length;
    for (let stopAt = 0; stopAt <= count; stopAt += 1) {
      const plan = await setupPlan(world.ports.files, world.ports);
      const stop = new AbortController();
      const hooks: ApplyHooks = {
        ...world.hooks,
        proof: async () => {
          stop.abort(new Interrupted({id: 'run.interrupted', message: 'Ended by SIGTERM.', hint: ''}, 143));
          return {checks: [], passed: true};
        },
      };
      const outcome = await applyPlan(
        world.ports,
        plan,
        hooks,
        event => {
          if (event.type === 'step-started' && event.index === stopAt + 1) stop.abort();
        },
        stop.signal,
      );
      expect(outcome, `stopped at ${stopAt}`).toMatchObject({
        result: 'rolled-back',
        error: {exitCode: stopAt === count ? 143 : 130},
      });
      expect(await fingerprint(world), `stopped at ${stopAt}`).toBe(before);
    }
  });

  it('keeps what somebody else wrote into a file meanwhile', async () => {
    const {world, plan, before} = await prepared();
    const hooks = {
      proof: async () => {
        fs.writeFileSync(world.real('/etc/opendkim.conf'), 'edited by hand\n');
        return {checks: [], passed: false};
      },
    };
    const {outcome} = await apply(world, plan, hooks);
    expect(outcome).toMatchObject({
      result: 'rolled-back',
      kept: [expect.stringContaining('/etc/opendkim.conf')],
    });
    expect(await fingerprint(world)).toBe(before);
    const found = world.real(`/var/lib/waxseal/runs/${plan.id}/found`);
    expect(fs.readdirSync(found).map(name => fs.readFileSync(`${found}/${name}`, 'utf8'))).toEqual([
      'edited by hand\n',
    ]);
  });

  it('names what it could not put back, and finishes it later', async () => {
    const {world, plan, before} = await prepared();
    const {files} = world.ports;
    let broken = true;
    const stubborn = {
      ...files,
      replace: async (...args: Parameters<typeof files.replace>) => {
        if (
          broken &&
          args[0] === '/etc/opendkim.conf' &&
          !Buffer.from(args[1]).toString().includes('KeyTable')
        ) {
          throw new HostError({id: 'file.denied', message: 'Cannot write /etc/opendkim.conf.', hint: ''});
        }
        await files.replace(...args);
      },
    };
    const hurt = {...world, ports: {...world.ports, files: stubborn}};
    const {outcome} = await apply(hurt, plan, {proof: async () => ({checks: [], passed: false})});
    const key = '/etc/dkimkeys/example.org/202611.private';
    expect(outcome).toMatchObject({
      result: 'incomplete',
      error: {
        exitCode: 7,
        remains: [
          expect.stringMatching(/install -o 0 -g 0 -m 0644 \S+backups\/\d+ \/etc\/opendkim.conf/),
          expect.stringContaining(key),
        ],
      },
    });
    // The configuration that could not be put back may name it, and OpenDKIM answers 451 without it.
    expect(fs.existsSync(world.real(key))).toBe(true);
    const refused = await apply(hurt, await setupPlan(files, world.ports));
    expect(refused.outcome).toMatchObject({result: 'refused', error: {id: 'run.unfinished'}});
    broken = false;
    const [run] = await findUnfinished(world.ports);
    if (run === undefined) throw new Error('the run is not found');
    expect(await recoverRun(world.ports, run, world.hooks, () => undefined)).toMatchObject({
      result: 'rolled-back',
    });
    expect(await fingerprint(world)).toBe(before);
  });

  it('never tells root to give away a mode that somebody else has chosen', async () => {
    const {world} = await prepared();
    const {files} = world.ports;
    fs.chmodSync(world.real('/etc/opendkim.conf'), 0o4666);
    const stubborn = {
      ...files,
      replace: async (...args: Parameters<typeof files.replace>) => {
        const isBack = args[0] === '/etc/opendkim.conf' && !Buffer.from(args[1]).includes('KeyTable');
        if (isBack) throw new HostError({id: 'file.denied', message: 'No.', hint: ''});
        await files.replace(...args);
      },
    };
    const plan = await setupPlan(files, world.ports);
    const hurt = {...world, ports: {...world.ports, files: stubborn}};
    const {outcome} = await apply(hurt, plan, {proof: async () => ({checks: [], passed: false})});
    if (outcome.result !== 'incomplete') throw new Error(outcome.result);
    const [remains] = outcome.error.remains;
    expect(remains).toMatch(/install -o \d+ -g \d+ -m 0664 \S+ \/etc\/opendkim\.conf/);
    expect(remains).toContain('its mode was 4666');
    expect(remains).not.toMatch(/-m 4?666/);
  });

  it('has a service take up a file that is put back only by the next start', async () => {
    const {world, plan, before} = await prepared();
    const {files} = world.ports;
    const stubborn = {
      ...files,
      replace: async (...args: Parameters<typeof files.replace>) => {
        // Its old text again: the way back.
        if (
          args[0] === '/etc/postfix/main.cf' &&
          !Buffer.from(args[1]).toString().includes('opendkim.sock')
        ) {
          throw new HostError({id: 'file.denied', message: 'Cannot write main.cf.', hint: ''});
        }
        await files.replace(...args);
      },
    };
    const hurt = {...world, ports: {...world.ports, files: stubborn}};
    const {outcome} = await apply(hurt, plan, {proof: async () => ({checks: [], passed: false})});
    expect(outcome).toMatchObject({result: 'incomplete'});
    const [run] = await findUnfinished(world.ports);
    if (run === undefined) throw new Error('the run is not found');
    const again = await recoverRun(world.ports, run, world.hooks, () => undefined);
    expect(again).toMatchObject({result: 'rolled-back'});
    // With the services: they run on the old files again.
    expect(await fingerprint(world)).toBe(before);
  });
});
