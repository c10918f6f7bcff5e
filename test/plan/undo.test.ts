import fs from 'node:fs';
import net from 'node:net';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {
  type ApplyEvent,
  applyPlan,
  asBefore,
  changeViews,
  findUnfinished,
  listRuns,
  listUndoable,
  makePlan,
  observe,
  planUndo,
  type RunId,
  recoverRun,
  undoRun,
} from '../../src/plan/index.ts';
import type {FileStep, ServiceStep} from '../../src/services/step.ts';
import {scratchWorld} from './scratch-world.ts';
import {PowerCut, tamper} from './tamper.ts';
import {fingerprint, openWorld, setupPlan, stageSecret, type World} from './world.ts';

const never = new AbortController().signal;
const quiet = (): void => undefined;

async function applied(): Promise<{world: World; before: string; after: string; run: RunId}> {
  const world = scratchWorld();
  await stageSecret(world.ports.files);
  const before = await fingerprint(world);
  const plan = await setupPlan(world.ports.files, world.ports);
  await applyPlan(world.ports, plan, world.hooks, quiet, never);
  return {world, before, after: await fingerprint(world), run: plan.id};
}

async function append(
  world: World,
  file: string,
  text: string,
  services: readonly ServiceStep[] = [],
): Promise<RunId> {
  const path = absolute(file);
  const observed = await observe(world.ports.files, path);
  const old = Buffer.from((await world.ports.files.read(path)) ?? []).toString();
  const step: FileStep = {
    kind: 'file',
    id: `file:${file}`,
    why: 'why',
    path,
    before: asBefore(observed),
    beforeText: old,
    after: {content: {from: 'text', text: old + text}, owner: {user: 'root', group: 'root'}, mode: 0o644},
  };
  const plan = makePlan({
    purpose: 'rotate',
    title: 'later',
    domains: [],
    steps: [step, ...services],
    ...world.ports,
  });
  expect(await applyPlan(world.ports, plan, world.hooks, quiet, never)).toMatchObject({result: 'applied'});
  return plan.id;
}

describe('undo', () => {
  it('puts the whole host back, services and packages included, and then has nothing to undo', async () => {
    const {world, before, run} = await applied();
    const events: string[] = [];
    const outcome = await undoRun(world.ports, run, world.hooks, event => events.push(event.type));
    expect(outcome).toEqual({result: 'undone', run});
    expect(await fingerprint(world)).toBe(before);
    expect(events.filter(type => type === 'step-undone')).toHaveLength(13);
    expect(await listUndoable(world.ports)).toEqual([]);
    expect(await listRuns(world.ports)).toMatchObject([{run, status: 'undone'}]);
    expect(await planUndo(world.ports, run)).toMatchObject({ok: false, problem: {id: 'undo.unknown'}});
  });

  it('shows first what it would change, without secrets', async () => {
    const {world, after, run} = await applied();
    const view = await planUndo(world.ports, run);
    if (!view.ok) throw new Error(view.problem.message);
    expect(view.value.conflicts).toEqual([]);
    const text = view.value.changes
      .map(change => `${change.kind} ${change.target}: ${change.action}\n${change.diff}`)
      .join('');
    await expect(text).toMatchFileSnapshot('../../snapshots/plan/undo-view.txt');
    expect(text).not.toContain('PRIVATE KEY');
    expect(await fingerprint(world)).toBe(after);
  });

  it('removes the socket that a daemon left in a directory of the run', async () => {
    const {world, before, run} = await applied();
    const server = net.createServer().listen(world.real('/var/spool/postfix/opendkim/opendkim.sock'));
    await new Promise(resolve => server.once('listening', resolve));
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(await fingerprint(world)).toBe(before);
    server.close();
  });

  it.each([
    [
      'an edited file',
      '/etc/opendkim.conf',
      (at: string) => fs.appendFileSync(at, 'Mine yes\n'),
      'undo.edited',
    ],
    ['a changed mode', '/etc/opendkim/KeyTable', (at: string) => fs.chmodSync(at, 0o600), 'undo.edited'],
    [
      'a foreign file',
      '/etc/dkimkeys/mine',
      (at: string) => fs.writeFileSync(at, 'x'),
      'undo.directory-used',
    ],
  ])('refuses where %s would be lost, and touches nothing', async (_what, file, change, id) => {
    const {world, run} = await applied();
    change(world.real(file));
    const now = await fingerprint(world);
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({
      result: 'refused',
      error: {id, exitCode: 5},
    });
    expect(await fingerprint(world)).toBe(now);
  });

  const edited = async (
    change: (text: string) => string,
  ): Promise<{world: World; run: RunId; at: string}> => {
    const {world, run} = await applied();
    const at = world.real('/etc/opendkim.conf');
    fs.writeFileSync(at, change(fs.readFileSync(at, 'utf8')));
    return {world, run, at};
  };
  const offered = (world: World, run: RunId): string => {
    const directory = world.real(`/var/lib/waxseal/runs/${run}/merged`);
    const name = fs.readdirSync(directory).find(each => each.endsWith('-opendkim.conf'));
    return `${directory}/${name}`;
  };

  it('offers a merge that keeps a later edit, and takes it once it was looked at', async () => {
    const {world, run, at} = await edited(text => text.replace('# comment', '# my own comment'));
    const refused = await undoRun(world.ports, run, world.hooks, quiet);
    expect(refused).toMatchObject({result: 'refused', error: {id: 'undo.edited'}});
    if (refused.result !== 'refused') throw new Error('not refused');
    expect(refused.error.hint).toContain(`waxseal undo --merged ${run}`);
    const file = offered(world, run);
    expect(fs.readFileSync(file, 'utf8')).toBe('# my own comment\nSyslog\tyes\nUserID\topendkim');
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    const view = await planUndo(world.ports, run, {merged: true});
    if (!view.ok) throw new Error(view.problem.message);
    expect(view.value.conflicts).toEqual([]);
    expect(view.value.changes.find(({target}) => target === '/etc/opendkim.conf')).toMatchObject({
      action: 'put back, merged with later edits, 0:0 0644',
    });
    const done = await undoRun(world.ports, run, {...world.hooks, merged: true}, quiet);
    expect(done).toEqual({result: 'undone', run});
    expect(fs.readFileSync(at, 'utf8')).toBe('# my own comment\nSyslog\tyes\nUserID\topendkim');
    expect(fs.existsSync(world.real('/etc/opendkim/KeyTable'))).toBe(false);
    expect(fs.existsSync(file)).toBe(false);
  });

  it('shows and puts back a file that is not UTF-8 octet by octet, and merges it so', async () => {
    const {world} = await applied();
    const place = '/etc/latin1.conf';
    const octets = Buffer.from('# R\xe9seau\nKeyTable a\n# fin: \xfc\n', 'latin1');
    fs.writeFileSync(world.real(place), octets, {mode: 0o644});
    const before = await fingerprint(world);
    const old = octets.toString('latin1');
    const step: FileStep = {
      kind: 'file',
      id: `file:${place}`,
      why: 'why',
      path: absolute(place),
      before: asBefore(await observe(world.ports.files, absolute(place))),
      beforeText: old,
      after: {
        content: {from: 'text', text: old.replace('KeyTable a', 'KeyTable b'), encoding: 'latin1'},
        owner: {user: 'root', group: 'root'},
        mode: 0o644,
      },
    };
    const plan = makePlan({purpose: 'rotate', title: 'latin', domains: [], steps: [step], ...world.ports});
    const [planned] = changeViews(plan);
    expect(planned?.diff).toContain(' # R\\xE9seau\n-KeyTable a\n+KeyTable b\n # fin: \\xFC\n');
    expect(await applyPlan(world.ports, plan, world.hooks, quiet, never)).toMatchObject({result: 'applied'});
    expect(fs.readFileSync(world.real(place), 'latin1')).toBe(old.replace('KeyTable a', 'KeyTable b'));
    const view = await planUndo(world.ports, plan.id);
    if (!view.ok) throw new Error(view.problem.message);
    expect(view.value.changes[0]?.diff).toContain(' # R\\xE9seau\n-KeyTable b\n+KeyTable a\n # fin: \\xFC\n');
    expect(view.value.changes[0]?.diff).not.toContain('\ufffd');

    fs.appendFileSync(world.real(place), Buffer.from('# sp\xe4ter\n', 'latin1'));
    const edited = await undoRun(world.ports, plan.id, world.hooks, quiet);
    expect(edited).toMatchObject({result: 'refused', error: {hint: expect.stringContaining('--merged')}});
    const merged = {...world.hooks, merged: true};
    expect(await undoRun(world.ports, plan.id, merged, quiet)).toMatchObject({result: 'undone'});
    expect(fs.readFileSync(world.real(place), 'latin1')).toBe(`${old}# sp\xe4ter\n`);
    fs.writeFileSync(world.real(place), octets);
    expect(await fingerprint(world)).toBe(before);
  });

  it('says what has changed since the plan without mangling it', async () => {
    const {world} = await applied();
    const place = absolute('/etc/latin1.conf');
    fs.writeFileSync(world.real(place), Buffer.from('# \xe9\na\n', 'latin1'));
    const step: FileStep = {
      kind: 'file',
      id: `file:${place}`,
      why: 'why',
      path: place,
      before: asBefore(await observe(world.ports.files, place)),
      beforeText: '# \xe9\na\n',
      after: {
        content: {from: 'text', text: '# \xe9\nb\n', encoding: 'latin1'},
        owner: {user: 'root', group: 'root'},
        mode: 0o644,
      },
    };
    const plan = makePlan({purpose: 'rotate', title: 'latin', domains: [], steps: [step], ...world.ports});
    fs.appendFileSync(world.real(place), Buffer.from('\xfc\n', 'latin1'));
    const outcome = await applyPlan(world.ports, plan, world.hooks, quiet, never);
    if (outcome.result !== 'refused') throw new Error(outcome.result);
    expect(outcome.stale[0]?.diff).toContain(' # \\xE9\n a\n+\\xFC\n');
  });

  it('marks what both have changed and does not take it before somebody has decided', async () => {
    const {world, run, at} = await edited(text => text.replace('KeyTable\tfile', 'KeyTable\trefile'));
    await undoRun(world.ports, run, world.hooks, quiet);
    const file = offered(world, run);
    const text = fs.readFileSync(file, 'utf8');
    await expect(text).toMatchFileSnapshot('../../snapshots/plan/merge-conflict.txt');
    const now = await fingerprint(world);
    expect(await undoRun(world.ports, run, {...world.hooks, merged: true}, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'undo.merge-open', hint: expect.stringContaining('waxseal undo --merged')},
    });
    expect(await fingerprint(world)).toBe(now);
    fs.writeFileSync(file, '# decided\n');
    // Refused again without the flag; the work on the merge is not written over.
    await undoRun(world.ports, run, world.hooks, quiet);
    expect(fs.readFileSync(file, 'utf8')).toBe('# decided\n');
    expect(await undoRun(world.ports, run, {...world.hooks, merged: true}, quiet)).toMatchObject({
      result: 'undone',
    });
    expect(fs.readFileSync(at, 'utf8')).toBe('# decided\n');
  });

  it('does not take a merge that was made from an older edit', async () => {
    const {world, run, at} = await edited(text => `# first\n${text}`);
    await undoRun(world.ports, run, world.hooks, quiet);
    fs.appendFileSync(at, '# second\n');
    expect(await undoRun(world.ports, run, {...world.hooks, merged: true}, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'undo.edited'},
    });
  });

  it('cut off at any operation with a merge: the next start puts the merge in place', async () => {
    for (let at = 60; at < 130; at += 7) {
      const {world, run, at: file} = await edited(text => `# mine\n${text}`);
      await undoRun(world.ports, run, world.hooks, quiet);
      const {ports} = tamper(world.ports, at, 'cut-after');
      await undoRun(ports, run, {...world.hooks, merged: true}, quiet).catch((error: unknown) => error);
      const next = openWorld(world.root);
      const unfinished = await findUnfinished(next.ports);
      for (const cut of unfinished) await recoverRun(next.ports, cut, next.hooks, quiet);
      const text = fs.readFileSync(file, 'utf8');
      const whole = '# mine\n# comment\nSyslog\tyes\nUserID\topendkim';
      expect(
        unfinished.length > 0 ? [whole] : [whole, `${whole}\nKeyTable\tfile:/etc/opendkim/KeyTable\n`],
        `${at}`,
      ).toContain(text);
    }
  });

  it('takes a private key away only when the signer has its old tables again, on undo and on failure', async () => {
    const keyComesLast = (undone: readonly string[]): void => {
      const at = (step: string): number => undone.indexOf(step);
      for (const earlier of [
        'file:/etc/opendkim/KeyTable',
        'file:/etc/opendkim.conf',
        'service:opendkim.service',
      ])
        expect(at(earlier), `${earlier} in ${undone.join(' ')}`).toBeGreaterThanOrEqual(0);
      expect(at('file:key')).toBeGreaterThan(at('file:/etc/opendkim/KeyTable'));
      expect(at('file:key')).toBeGreaterThan(at('service:opendkim.service'));
      expect(at('file:key')).toBeGreaterThan(at('service:postfix.service'));
      expect(at('dir:/etc/dkimkeys/example.org')).toBeGreaterThan(at('file:key'));
    };
    const undone = (into: string[]) => (event: ApplyEvent) => {
      if (event.type === 'step-undone') into.push(event.step);
    };
    const {world, before, run} = await applied();
    const shown = await planUndo(world.ports, run);
    const targets = shown.ok ? shown.value.changes.map(({target}) => target) : [];
    expect(targets.indexOf('/etc/dkimkeys/example.org/202611.private')).toBeGreaterThan(
      targets.indexOf('opendkim.service'),
    );
    const byUndo: string[] = [];
    await undoRun(world.ports, run, world.hooks, undone(byUndo));
    keyComesLast(byUndo);
    expect(await fingerprint(world)).toBe(before);

    const again = await setupPlan(world.ports.files, world.ports);
    const failing = {...world.hooks, proof: async () => ({checks: [], passed: false})};
    const byFailure: string[] = [];
    const outcome = await applyPlan(world.ports, again, failing, undone(byFailure), never);
    expect(outcome).toMatchObject({result: 'rolled-back'});
    keyComesLast(byFailure);
    expect(await fingerprint(world)).toBe(before);
  });

  const installed = (world: World, ...names: readonly string[]): void => {
    fs.appendFileSync(world.real('/var/lib/dpkg-list'), names.map(name => `${name}\n`).join(''));
  };

  it('removes the packages that the run brought, and none that came since', async () => {
    const {world, before, run} = await applied();
    installed(world, 'nginx', 'libnginx');
    const view = await planUndo(world.ports, run);
    const shown = view.ok ? view.value.changes.find(({kind}) => kind === 'package')?.target : '';
    expect(shown).toBe('opendkim libopendkim11');
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({result: 'undone'});
    expect(fs.readFileSync(world.real('/var/lib/dpkg-list'), 'utf8')).toBe('postfix\nnginx\nlibnginx\n');
    fs.writeFileSync(world.real('/var/lib/dpkg-list'), 'postfix\n');
    expect(await fingerprint(world)).toBe(before);
  });

  it('leaves what came since also where the installation was cut off, and undone much later', async () => {
    const world = scratchWorld();
    await stageSecret(world.ports.files);
    const plan = await setupPlan(world.ports.files, world.ports);
    const counting = tamper(world.ports, 0, 'fail');
    await applyPlan(counting.ports, plan, world.hooks, quiet, never);
    const at = counting.calls.findIndex(call => /^run apt-get install (?!--simulate)/.test(call)) + 1;

    const hurt = scratchWorld();
    await stageSecret(hurt.ports.files);
    const cut = tamper(hurt.ports, at, 'cut-after');
    const again = await setupPlan(hurt.ports.files, hurt.ports);
    await expect(applyPlan(cut.ports, again, hurt.hooks, quiet, never)).rejects.toBeInstanceOf(PowerCut);
    installed(hurt, 'nginx');
    const next = openWorld(hurt.root);
    for (const run of await findUnfinished(next.ports)) await recoverRun(next.ports, run, next.hooks, quiet);
    expect(fs.readFileSync(hurt.real('/var/lib/dpkg-list'), 'utf8')).toBe('postfix\nnginx\n');
  });

  it('refuses to remove packages that something installed since needs, and that a later run builds on', async () => {
    const {world, run} = await applied();
    installed(world, 'opendkim-tools');
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'package.needed', message: expect.stringContaining('opendkim-tools')},
    });
    const later = await append(world, '/etc/hosts', '127.0.0.1 localhost\n', [
      {
        kind: 'service',
        id: 'service:opendkim.service',
        why: 'why',
        unit: 'opendkim.service',
        action: 'restart',
        argv: ['systemctl', 'restart', 'opendkim.service'],
        timeoutMs: 1000,
        ready: {withinMs: 50, steadyMs: 0},
        wasActive: true,
      },
    ]);
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'undo.later-run', hint: expect.stringContaining(later)},
    });
    expect(await undoRun(world.ports, later, world.hooks, quiet)).toMatchObject({result: 'undone'});
  });

  it('names the later run that must be undone first, and goes back in order', async () => {
    const {world, before, after, run} = await applied();
    const later = await append(world, '/etc/opendkim.conf', '# later\n');
    expect(await undoRun(world.ports, run, world.hooks, quiet)).toMatchObject({
      result: 'refused',
      error: {id: 'undo.later-run', hint: expect.stringContaining(later)},
    });
    expect((await listUndoable(world.ports)).map(summary => summary.run)).toEqual([later, run]);
    await undoRun(world.ports, later, world.hooks, quiet);
    expect(await fingerprint(world)).toBe(after);
    await undoRun(world.ports, run, world.hooks, quiet);
    expect(await fingerprint(world)).toBe(before);
  });

  it('undoes an older run alone where nothing later touched its files', async () => {
    const {world, after, run} = await applied();
    const later = await append(world, '/etc/hosts', '127.0.0.1 localhost\n');
    await undoRun(world.ports, run, world.hooks, quiet);
    expect(await listUndoable(world.ports)).toMatchObject([{run: later}]);
    expect(await fingerprint(world)).not.toBe(after);
    expect(fs.existsSync(world.real('/etc/hosts'))).toBe(true);
  });

  it('cut off at any operation is finished by the next start', async () => {
    for (let at = 40; at < 110; at += 9) {
      const {world, before, after, run} = await applied();
      const {ports} = tamper(world.ports, at, 'cut-after');
      const result = await undoRun(ports, run, world.hooks, quiet).catch((error: unknown) => error);
      const next = openWorld(world.root);
      const unfinished = await findUnfinished(next.ports);
      for (const cut of unfinished) await recoverRun(next.ports, cut, next.hooks, quiet);
      const now = await fingerprint(next);
      if (result instanceof PowerCut && unfinished.length === 0)
        expect([before, after], `${at}`).toContain(now);
      else expect(now, `${at}`).toBe(before);
    }
  });
});
