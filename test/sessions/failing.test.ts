import {describe, expect, it} from 'vitest';
import type {Mischief} from '../../src/demo/commands.ts';
import {absolute} from '../../src/domain/paths.ts';
import {startSession} from '../../src/flow/run.ts';
import type {Session} from '../../src/flow/state.ts';
import {createOperations} from '../../src/jobs/setup/operations.ts';
import {hostTree, openWorld, type World} from '../demo/world.ts';

/** A host where the key of example.org is published everywhere and only the change is left. */
async function published(mischief: Mischief = {}): Promise<World> {
  const world = await openWorld({mischief});
  const first = await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
  world.publish(first.report);
  world.sandbox.machine.lines.length = 0;
  return world;
}

const setup = ['setup', '--domain', 'example.org', '--yes', '--wait', '2m', '--json'];

const stateOf = async (world: World): Promise<string | undefined> =>
  (await world.run(['status', '--json'])).report.domains[0]?.state;

function session(world: World, ports = world.sandbox.ports): Session {
  return startSession(
    createOperations(ports, {resolvers: undefined}),
    {interactive: false, yes: true, dryRun: false, waitMs: 120_000, sandbox: true, command: 'setup'},
    {domains: 'example.org'},
    world.clock,
  );
}

describe('a change that fails', () => {
  it.each([
    ['the signer does not restart', {restartFails: 'once'}],
    ['the signer dies after its start', {diesAfterStart: 'once'}],
  ] as const)('is put back whole where %s: exit 6', async (_, trouble) => {
    const mischief: Mischief = {};
    const world = await published(mischief);
    const before = await hostTree(world.sandbox);
    Object.assign(mischief, trouble);
    const run = await world.run(setup);
    expect(run.exitCode, run.err).toBe(6);
    expect(run.report).toMatchObject({result: 'failed', changed: false, changes: []});
    expect(run.report.error?.message).not.toBe('');
    expect(await hostTree(world.sandbox)).toEqual(before);
    // The record is there and the key is whole: nothing of that is lost by the failure.
    expect(await stateOf(world)).toBe('ready');

    const again = await world.run(setup);
    expect(again.exitCode, again.err).toBe(0);
    expect(await stateOf(world)).toBe('active');
  });

  it('names what remains where the signer does not start any more at all: exit 7', async () => {
    const mischief: Mischief = {};
    const world = await published(mischief);
    const before = await hostTree(world.sandbox);
    mischief.restartFails = true;
    const run = await world.run(setup);
    expect(run.exitCode, run.err).toBe(7);
    expect(run.report.error?.hint).toMatch(/Remains: .*opendkim/);
    // Nobody knows what that signer has in memory: the new key stays, and is named, until it is back.
    const {'/etc/dkimkeys/example.org': folder, ...others} = await hostTree(world.sandbox);
    const keys = Object.keys(others).filter(at => at.startsWith('/etc/dkimkeys/example.org/'));
    expect(folder).toMatch(/^directory/);
    expect(keys).toHaveLength(1);
    expect(run.report.error?.hint).toContain(keys[0]);
    expect(Object.fromEntries(Object.entries(others).filter(([at]) => !keys.includes(at)))).toEqual(before);

    mischief.restartFails = false;
    const again = await world.run(['undo', '--yes']);
    expect(again.exitCode, again.err).toBe(0);
    expect(await hostTree(world.sandbox)).toEqual(before);
  });

  it('is put back whole where the live test fails, and the key stays ready', async () => {
    const world = await published();
    const before = await hostTree(world.sandbox);
    // The proof looks at the queue; a Postfix that loses every message passes no proof.
    const real = world.sandbox.mailer.queue.set.bind(world.sandbox.mailer.queue);
    world.sandbox.mailer.queue.set = () => world.sandbox.mailer.queue;
    const run = await world.run(setup);
    expect(run.exitCode, run.err).toBe(6);
    expect(run.report.error?.id).toBe('proof.failed');
    expect(run.report.checks.map(({id, status}) => `${id} ${status}`)).toContain('live.sendmail fail');
    expect(await hostTree(world.sandbox)).toEqual(before);
    expect(await stateOf(world)).toBe('ready');
    world.sandbox.mailer.queue.set = real;
    const again = await world.run(setup);
    expect(again.exitCode, again.err).toBe(0);
  });

  it('is proven all the same where its note cannot be written, and the next run makes up for it', async () => {
    const world = await published();
    const {files} = world.sandbox.ports;
    const replace = files.replace.bind(files);
    let isFull = false;
    files.replace = async (path, content, attributes) => {
      const text = Buffer.from(content).toString('utf8');
      isFull ||= path === '/var/lib/waxseal/state.json' && text.includes('signing-proven');
      if (isFull && path === '/var/lib/waxseal/state.json')
        throw new Error('ENOSPC: no space left on device');
      await replace(path, content, attributes);
    };
    const run = await world.run(setup);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.report).toMatchObject({result: 'ok', changed: true, domains: [{state: 'active'}]});
    expect(run.report.checks.at(-1)).toMatchObject({id: 'state.written', status: 'warn'});
    expect(run.err).toContain('no space left');
    expect(await stateOf(world)).toBe('ready');

    files.replace = replace;
    const again = await world.run(setup);
    expect(again.exitCode, again.err).toBe(0);
    expect(again.report.changed).toBe(false);
    const {domains} = (await world.run(['status', '--json'])).report;
    expect(domains).toMatchObject([{state: 'active', keyPath: '/etc/dkimkeys/example.org/202611.private'}]);
  });
});

describe('a change that is interrupted', () => {
  it.each(Array.from({length: 13}, (_, step) => step + 1))(
    'at step %i is put back whole: exit 130',
    async step => {
      const world = await published();
      const before = await hostTree(world.sandbox);
      const run = session(world);
      let sent = false;
      run.subscribe(({phase}) => {
        if (sent || phase.at !== 'applying' || phase.index !== step || phase.step === '') return;
        sent = true;
        run.send({type: 'interrupted', signal: 'SIGINT'});
      });
      const report = await run.done();
      expect(sent).toBe(true);
      expect(report.exitCode).toBe(130);
      expect(report.changed).toBe(false);
      expect(await hostTree(world.sandbox)).toEqual(before);
      expect(await stateOf(world)).toBe('ready');
    },
  );

  it.each(['SIGTERM', 'SIGHUP'] as const)(
    'by %s in the live test is put back whole: exit 143',
    async signal => {
      const world = await published();
      const before = await hostTree(world.sandbox);
      const run = session(world);
      let sent = false;
      run.subscribe(({phase}) => {
        if (sent || phase.at !== 'testing') return;
        sent = true;
        run.send({type: 'interrupted', signal});
      });
      expect((await run.done()).exitCode).toBe(143);
      expect(await hostTree(world.sandbox)).toEqual(before);
      expect(world.sandbox.mailer.queue.size).toBe(0);
    },
  );

  it('while it waits for the record loses nothing', async () => {
    const world = await openWorld();
    const before = await hostTree(world.sandbox);
    const run = session(world);
    run.subscribe(({phase}) => {
      if (phase.at === 'propagation') run.send({type: 'interrupted', signal: 'SIGTERM'});
    });
    const report = await run.done();
    expect(report.exitCode).toBe(143);
    expect(await hostTree(world.sandbox)).toEqual(before);
    const again = await world.run([...setup.slice(0, -3), '--no-wait', '--json']);
    expect(again.exitCode).toBe(3);
    expect(again.report.domains[0]?.record).toEqual(report.domains[0]?.record);
  });
});

describe('one run at a time', () => {
  it('ends the second with exit 8 and touches nothing', async () => {
    const world = await published();
    const lock = await world.sandbox.ports.locks.acquire('waxseal test');
    const before = await hostTree(world.sandbox);
    for (const argv of [setup, ['undo', '--yes', '--json'], ['test', '--json'], ['rotate', '--json']]) {
      const run = await world.run(argv);
      expect(run.exitCode, argv[0]).toBe(8);
      expect(run.report.error?.id).toBe('lock.held');
    }
    expect(await hostTree(world.sandbox)).toEqual(before);
    await lock.release();
    expect((await world.run(setup)).exitCode).toBe(0);
  });
});

describe('what an earlier run left', () => {
  it('is put back first where a change was cut short', async () => {
    const world = await published();
    const before = await hostTree(world.sandbox);
    // Power is cut: nothing runs after the restart of the signer, not even the clean-up.
    const {commands, files} = world.sandbox.ports;
    const run = commands.run.bind(commands);
    const halted = new Promise<never>(() => undefined);
    const reached = new Promise<void>(resolve => {
      commands.run = (argv, options) => {
        if (argv.join(' ') !== 'systemctl reload postfix.service') return run(argv, options);
        resolve();
        return halted;
      };
    });
    // Its lock dies with it.
    const locks = {acquire: async () => ({release: async () => undefined})};
    void session(world, {...world.sandbox.ports, locks});
    await reached;
    commands.run = run;
    expect(await hostTree(world.sandbox)).not.toEqual(before);
    expect(await files.stat(absolute('/var/lib/waxseal/runs'))).toBeDefined();

    const refused = await world.run(['setup', '--domain', 'example.org', '--no-wait', '--json']);
    expect(refused.exitCode).toBe(2);
    const dry = await world.run(['undo', '--dry-run']);
    expect(dry.out).toContain('would put back the unfinished run');
    const again = await world.run(setup);
    expect(again.exitCode, again.err).toBe(0);
    expect(again.err).toContain('What was cut short was put back');
    expect(await stateOf(world)).toBe('active');
    expect((await world.run(['undo', '--yes'])).exitCode).toBe(0);
    expect(await hostTree(world.sandbox)).toEqual(before);
  });
});
