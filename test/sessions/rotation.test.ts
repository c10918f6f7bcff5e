/** Rotation by the command line, over half a year of the sandbox. */
import {readFileSync, statSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import {hostTree, openWorld, pemOf, type World} from '../demo/world.ts';

const DAY = 86_400_000;
/** How often a run is killed; 50 by WAXSEAL_KILLS=50. */
const KILLS = Number(process.env['WAXSEAL_KILLS'] ?? 10);
const ROOT = {mode: 0o644, uid: 0, gid: 0};

const ready = async (): Promise<World> => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  return world;
};

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

/** Time for the second server of the sandbox to follow. */
const lag = (world: World): Promise<void> => world.clock.sleep(1800);

const states = (report: Report): readonly string[] =>
  report.domains.map(({selector, state}) => `${selector} ${state}`);

const advance = async (world: World, ...flags: readonly string[]) =>
  await world.run(['rotate', '--advance', '--json', ...flags]);

/** What a person does: exactly what the report asks for. */
function obey(world: World, report: Report): void {
  const {dns} = world.sandbox;
  for (const {record, state, nextStep} of report.domains) {
    if (state === 'pending' && nextStep.startsWith('Publish')) dns.publish(record.name, record.strings);
    if (state === 'retiring' && nextStep.startsWith('Revoke')) {
      dns.withdraw(record.name);
      dns.publish(record.name, 'v=DKIM1; k=rsa; p=');
    }
    if (state === 'revoked' && nextStep.startsWith('Delete')) dns.withdraw(record.name);
  }
}

/** Runs with days between them until the states are as wanted. */
async function until(world: World, wanted: readonly string[], days: number): Promise<Report> {
  let last: readonly string[] = [];
  for (let count = 0; count < 60; count += 1) {
    const run = await advance(world);
    expect([0, 3], run.err + run.out).toContain(run.exitCode);
    last = states(run.report);
    if (JSON.stringify(last) === JSON.stringify(wanted)) return run.report;
    obey(world, run.report);
    await lag(world);
    world.clock.advance(days * DAY);
  }
  throw new Error(`never ${wanted.join(', ')}, but ${last.join(', ')}`);
}

describe('rotate --advance', () => {
  it('does nothing before its time, twice the same', async () => {
    const world = await ready();
    const first = await advance(world);
    expect(first.exitCode, first.err).toBe(0);
    expect(first.report).toMatchObject({changed: false, domains: [{selector: '202611', state: 'active'}]});
    expect((await advance(world)).report.domains).toEqual(first.report.domains);
  });

  it('takes a key through its whole life, each step in its time, and destroys it in the end', async () => {
    const world = await ready();
    world.clock.advance(181 * DAY);
    const begun = await advance(world);
    expect(begun.exitCode, begun.err).toBe(3);
    expect(states(begun.report)).toEqual(['202611 active', '202705 pending']);
    expect((await world.run(['explain', 'alice@example.org'])).out).toContain('selector 202611 ');
    // Nobody publishes: nothing moves, and nothing new is made.
    expect(states((await advance(world)).report)).toEqual(['202611 active', '202705 pending']);

    await until(world, ['202611 retiring', '202705 active'], 0.1);
    expect((await world.run(['explain', 'alice@example.org'])).out).toContain('selector 202705 ');
    const old = (await world.run(['status', '--json'])).report.domains[0];
    expect(old?.nextStep).toMatch(/may be under way for 7 d after the switch\. Not before 2027-05-/);
    world.clock.advance(3 * DAY);
    expect(states((await advance(world)).report)).toEqual(['202611 retiring', '202705 active']);

    await until(world, ['202611 revoked', '202705 active'], 1);
    // Nobody can look the old key up any more: going back would let mail fail.
    const undo = await world.run(['undo', '--yes', '--json']);
    expect(undo.report.error?.id).toBe('undo.revoked');
    const keyPath = absolute('/etc/dkimkeys/example.org/202611.private');
    expect(await world.sandbox.ports.files.stat(keyPath)).toBeDefined();
    await until(world, ['202705 active'], 5);
    expect(await world.sandbox.ports.files.stat(keyPath)).toBeUndefined();
    const table = await world.sandbox.ports.files.read(absolute('/etc/opendkim/KeyTable'));
    expect(Buffer.from(table ?? []).toString('utf8')).not.toContain('202611');
    expect((await world.run(['test', '--json'])).exitCode).toBe(0);
  });

  it('tries the new configuration in a temporary signer, and where it fails leaves the old key active', async () => {
    const world = await ready();
    const {files} = world.sandbox.ports;
    world.clock.advance(181 * DAY);
    obey(world, (await advance(world)).report);
    await until(world, ['202611 active', '202705 ready'], 0.01);
    world.clock.advance(DAY);
    // The running signer read its configuration before; a new one doesn't start with this one.
    const path = absolute('/etc/opendkim.conf');
    const sound = Buffer.from((await files.read(path)) ?? []).toString('utf8');
    await files.replace(path, text(`${sound}ExternalIgnoreList refile:/etc/opendkim/gone\n`), ROOT);
    const before = await hostTree(world.sandbox);

    const run = await advance(world);
    expect(run.exitCode, run.err).toBe(6);
    expect(run.report).toMatchObject({changed: false, error: {id: 'preflight.start'}});
    expect(run.report.error?.message).toContain('/etc/opendkim/gone');
    expect(run.report.error?.hint).not.toBe('');
    expect(states(run.report)).toEqual(['202611 active', '202705 ready']);
    expect(await hostTree(world.sandbox)).toEqual(before);
    expect((await world.run(['explain', 'alice@example.org'])).out).toContain('selector 202611 ');

    await files.replace(path, text(sound), ROOT);
    const again = await advance(world);
    expect(states(again.report), again.err).toEqual(['202611 retiring', '202705 active']);
  });

  it('--dry-run shows the time line and changes nothing', async () => {
    const world = await ready();
    world.clock.advance(181 * DAY);
    const run = await world.run(['rotate', '--dry-run']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).toContain('Make the next key of example.org.');
    expect(states((await world.run(['status', '--json'])).report)).toEqual(['202611 active']);
  });

  it('--dry-run tells of a key that it would take up, and does not', async () => {
    const world = await ready();
    const {files} = world.sandbox.ports;
    await files.remove(absolute('/var/lib/waxseal/state.json'));
    const run = await world.run(['rotate', '--dry-run']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.err).toContain('Would be taken up: 202611._domainkey.example.org, which signs already');
    expect(run.out).toMatch(/^example\.org {2}202611 {2}rsa {2}active /m);
    expect((await world.run(['status'])).out).toContain('202611  rsa 2048  by hand');
  });

  it('--dry-run shows what --emergency and --standby would do, and changes nothing', async () => {
    const world = await ready();
    const dry = async (...flags: readonly string[]) => await world.run(['rotate', '--dry-run', ...flags]);
    expect((await dry()).out).not.toContain('Make the next key');
    const hurry = await dry('--emergency', '--domain', 'example.org');
    expect(hurry.exitCode, hurry.err).toBe(0);
    expect(hurry.err).toContain('The key of example.org would be given up.');
    expect(hurry.out).toContain('Make the next key of example.org, since this one is leaked.');
    expect((await dry('--standby')).out).toContain('Make the next key of example.org and let it stand by.');
    expect((await dry('--standby', '--advance')).out).toContain('and let it stand by.');
    expect((await dry('--emergency')).exitCode).toBe(2);
    const after = await world.run(['rotate', '--advance', '--json']);
    expect(after.report).toMatchObject({changed: false, exitCode: 0});
  });

  it('takes a domain that nobody here knows for a mistake in typing', async () => {
    const world = await ready();
    const run = await advance(world, '--domain', 'exmaple.org');
    expect(run.exitCode).toBe(2);
    expect(run.report.error?.id).toBe('domain.unknown');
  });

  it('goes on after a run that was killed between any two writes', async () => {
    const world = await ready();
    world.clock.advance(181 * DAY);
    const {files} = world.sandbox.ports;
    const replace = files.replace.bind(files);
    let left = Number.POSITIVE_INFINITY;
    let kills = 0;
    const published = new Set(['202611']);
    let count = 0;
    // A process that is killed does nothing more: every write fails from then on.
    Object.assign(files, {
      replace: async (...given: Parameters<typeof replace>) => {
        left -= 1;
        if (left < 0) throw new Error('killed');
        await replace(...given);
      },
    });
    await files.makeDirectory(absolute('/etc/waxseal'), {...ROOT, mode: 0o755});
    await replace(
      absolute('/etc/waxseal/rotation.conf'),
      text('interval = 1d\nfloor = 1d\nrevoked = 1d\n'),
      ROOT,
    );
    while (kills < KILLS && count < 300) {
      left = count % 7;
      count += 1;
      const run = await advance(world);
      const isKilled = left < 0;
      left = Number.POSITIVE_INFINITY;
      if (isKilled) {
        kills += 1;
        expect(run.exitCode).not.toBe(0);
        const signs = / signed by selector (\S+) /.exec(
          (await world.run(['explain', 'alice@example.org'])).out,
        )?.[1];
        expect(published).toContain(signs);
      }
      const whole = await advance(world);
      expect([0, 3], whole.err + whole.out).toContain(whole.exitCode);
      if (isKilled) expect((await world.run(['test', '--json'])).exitCode).toBe(0);
      obey(world, whole.report);
      for (const {selector, state} of whole.report.domains) {
        if (state === 'ready' || state === 'active') published.add(selector);
        if (state === 'revoked') published.delete(selector);
      }
      await lag(world);
      world.clock.advance(DAY / 4);
    }
    const selectors = new Set(states((await advance(world)).report));
    expect(selectors.size).toBeGreaterThan(1);
    expect(kills).toBe(KILLS);
    // The last kill may have met a key on its way: it gets where it was going.
    const last = async (): Promise<string> =>
      states((await world.run(['status', '--json'])).report).at(-1) ?? '';
    for (let more = 0; more < 8 && !/ active$/.test(await last()); more += 1) {
      obey(world, (await advance(world)).report);
      await lag(world);
      world.clock.advance(DAY / 8);
    }
    expect(await last()).toMatch(/ active$/);
  });
});

describe('rotate', () => {
  it('--standby publishes the next key in advance; --emergency lets it sign at once and revokes the old', async () => {
    const world = await ready();
    const begun = await world.run(['rotate', '--standby', '--json']);
    expect(states(begun.report)).toEqual(['202611 active', '202611a pending']);
    obey(world, begun.report);
    await lag(world);
    world.clock.advance(DAY);
    const stands = await advance(world);
    expect(states(stands.report), stands.err).toEqual(['202611 active', '202611a ready']);
    expect(stands.report.domains[1]?.nextStep).toMatch(/^Stands by/);

    const unnamed = await world.run(['rotate', '--emergency', '--yes', '--json']);
    expect(unnamed.exitCode).toBe(2);
    const hurry = await world.run(['rotate', '--emergency', '--domain', 'example.org', '--yes', '--json']);
    expect(states(hurry.report), hurry.err).toEqual(['202611 retiring', '202611a active']);
    expect(hurry.err).toContain('still in queues will fail DKIM');
    expect(hurry.report.domains[0]?.nextStep).toMatch(/^Revoke 202611\._domainkey\.example\.org: publish/);
    expect(hurry.exitCode).toBe(4);
    obey(world, hurry.report);
    await lag(world);
    world.clock.advance(DAY / 24);
    expect(states((await advance(world)).report)[0]).toBe('202611 revoked');
  });

  it('runs the hooks that only root can write, and no others', async () => {
    const world = await ready();
    const {files} = world.sandbox.ports;
    for (const folder of ['/etc/waxseal', '/etc/waxseal/hooks.d']) {
      await files.makeDirectory(absolute(folder), {...ROOT, mode: 0o755});
    }
    await files.create(absolute('/etc/waxseal/hooks.d/10-dns'), text('#!/bin/sh\n'), {...ROOT, mode: 0o755});
    await files.create(absolute('/etc/waxseal/hooks.d/20-open'), text('#!/bin/sh\n'), {
      ...ROOT,
      mode: 0o777,
    });
    const {commands} = world.sandbox.ports;
    const run = commands.run.bind(commands);
    const calls: string[] = [];
    Object.assign(commands, {
      run: async (...[argv, options]: Parameters<typeof run>) => {
        if (!argv[0].includes('hooks.d')) return await run(argv, options);
        const {environment = {}} = options ?? {};
        calls.push(`${argv.join(' ')} ${environment['WAXSEAL_RECORD_NAME']}`);
        if (argv[1] === 'publish') {
          world.sandbox.dns.publish(
            environment['WAXSEAL_RECORD_NAME'] ?? '',
            [environment['WAXSEAL_RECORD_VALUE'] ?? ''].flatMap(value => value.match(/.{1,255}/g) ?? []),
          );
        }
        return {status: 0, stdout: 'ok\n', stderr: '', ended: 'exit'};
      },
    });
    world.clock.advance(181 * DAY);
    const first = await world.run(['rotate', '--advance']);
    expect(first.out).toContain('20-open FAILED: not run: others than root can write it');
    for (let count = 0; count < 6; count += 1) {
      await lag(world);
      world.clock.advance(DAY / 24);
      await advance(world);
    }
    expect(calls).toEqual([
      '/etc/waxseal/hooks.d/10-dns publish 202705._domainkey.example.org',
      '/etc/waxseal/hooks.d/10-dns activate 202705._domainkey.example.org',
    ]);
  });

  it('takes up a key that was made by hand, with the age of its file, and replaces 1024 bits at once', async () => {
    const world = await ready();
    const {files} = world.sandbox.ports;
    // As if waxseal had never been here: its notes are gone, the host signs with a weak key.
    await files.remove(absolute('/var/lib/waxseal/state.json'));
    const keyPath = absolute('/etc/dkimkeys/example.org/202611.private');
    const stat = await files.stat(keyPath);
    const pem = pemOf({algorithm: 'rsa', bits: 1024 as 2048});
    await files.replace(keyPath, text(pem), {mode: 0o600, uid: stat?.uid ?? 0, gid: stat?.gid ?? 0});
    const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect(run.err).toContain('Taken up: 202611._domainkey.example.org');
    const report = (await world.run(['status', '--json'])).report;
    expect(report.domains.map(({selector, bits, state}) => `${selector} ${bits} ${state}`)).toEqual([
      '202611 1024 active',
      '202611a 2048 pending',
    ]);
  });

  it('installs a timer as a planned change, and undo takes it away', async () => {
    const world = await ready();
    const run = await world.run(['rotate', '--install-timer', '--dry-run', '--json']);
    expect(run.exitCode, run.err).toBe(0);
    const targets = run.report.changes.map(({target}) => target);
    expect(targets).toEqual([
      '/etc/systemd/system/waxseal-rotate.service',
      '/etc/systemd/system/waxseal-rotate.timer',
      '/etc/systemd/system/timers.target.d',
      '/etc/systemd/system/timers.target.d/waxseal.conf',
      'systemd',
      'waxseal-rotate.timer',
    ]);
    const diff = run.report.changes.map(each => each.diff).join('\n');
    expect(diff).toMatch(/^\+RandomizedDelaySec=/m);
    expect(diff).toMatch(/^\+Persistent=true/m);
    expect(diff).toMatch(/^\+ProtectSystem=strict/m);
  });
});

describe('export and import', () => {
  it('makes the keys of another host known, and finds two hosts that do not agree', async () => {
    const [one, other] = [await ready(), await ready()];
    const run = await one.run(['export', '--output', 'state.json']);
    expect(run.exitCode, run.err).toBe(0);
    const file = path.join(one.home, 'state.json');
    const exported = readFileSync(file, 'utf8');
    expect(exported).not.toContain('PRIVATE');
    expect((await one.run(['import', file])).err).toContain('by this very host');
    const foreign = path.join(other.home, 'foreign.json');
    writeFileSync(foreign, exported.replaceAll(/"host": "[^"]*"/g, '"host": "mx2.example.org"'));
    const imported = await other.run(['import', foreign]);
    expect(imported.exitCode, imported.err).toBe(0);
    // The keys of these tests are the same everywhere: two hosts with one key agree.
    expect((await other.run(['rotate', '--check-hosts', '--json'])).exitCode).toBe(0);
    writeFileSync(foreign, readFileSync(foreign, 'utf8').replace(/p=MIIB/, 'p=MIIC'));
    expect((await other.run(['import', foreign])).exitCode).toBe(0);
    const agreed = await other.run(['rotate', '--check-hosts', '--json']);
    expect(agreed.exitCode).toBe(4);
    expect(agreed.report.checks[0]).toMatchObject({id: 'rotate.hosts', status: 'fail'});
    expect(agreed.report.checks[0]?.cause).toContain('same selector with another key');
  });

  it('hands private keys out into a file of mode 0600 only', async () => {
    const world = await ready();
    expect((await world.run(['export', '--with-keys'])).exitCode).toBe(2);
    const run = await world.run(['export', '--with-keys', '--output', 'keys.json']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).not.toContain('PRIVATE KEY');
    const file = path.join(world.home, 'keys.json');
    expect(readFileSync(file, 'utf8')).toContain('PRIVATE KEY');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const other = await openWorld();
    const foreign = readFileSync(file, 'utf8').replaceAll(/"host": "[^"]*"/g, '"host": "mx2.example.org"');
    writeFileSync(path.join(other.home, 'keys.json'), foreign);
    const imported = await other.run(['import', 'keys.json']);
    expect(imported.exitCode, imported.err).toBe(0);
    expect(imported.out).toContain('waxseal setup --domain example.org --selector 202611');
    expect(states((await other.run(['status', '--json'])).report)).toEqual(['202611 staged']);
  });
});

describe('waxseal alone on a terminal', () => {
  it('opens the hub where the host has DKIM, does what is chosen, and leaves', async () => {
    const world = await ready();
    const run = await world.run([], {terminal: true, input: 's 1\n'});
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).toContain('1. example.org, selector 202611, RSA 2048, 0 d old, active');
    expect(run.out).toContain('Name:   202611._domainkey.example.org');
  });

  it('goes on with a set-up that only waits, as before', async () => {
    const world = await openWorld();
    await world.run(['setup', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    const run = await world.run([], {terminal: true, input: ''});
    expect(run.out).not.toContain('DKIM on this host');
    expect(run.out).toContain('A setup of example.org waits for the DNS');
  });
});
