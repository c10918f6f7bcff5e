/** Plain `waxseal rotate`: the same scheduler and the same switch as `--advance`, waiting where somebody can see it. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {parseTable} from '../../src/services/opendkim/tables/rows.ts';
import {openWorld, type Run, type World} from '../demo/world.ts';

const ROOT = {mode: 0o644, uid: 0, gid: 0};
const SIGNING = absolute('/etc/opendkim/SigningTable');
const ROTATE = ['rotate', '--domain', 'example.org', '--yes'];

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

async function ready(settings: string): Promise<World> {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  await files.makeDirectory(absolute('/etc/waxseal'), {...ROOT, mode: 0o755});
  await files.replace(absolute('/etc/waxseal/rotation.conf'), text(settings), ROOT);
  return world;
}

/** A first run stages the key; its record is then published as a person would. */
async function published(world: World): Promise<void> {
  const run = await world.run([...ROTATE, '--no-wait', '--json']);
  expect(run.exitCode, run.err).toBe(3);
  expect(run.report.error?.id).toBe('record.pending');
  world.publish(run.report);
  await world.clock.sleep(1800);
}

const states = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(({selector, state}) => `${selector} ${state}`);

const signs = async (world: World): Promise<string | undefined> =>
  / signed by selector (\S+) /.exec((await world.run(['explain', 'alice@example.org'])).out)?.[1];

const dateIn = (run: Run): number =>
  Date.parse(/until (\d{4}-\S+ \S+ UTC)/.exec(run.report.error?.message ?? '')?.[1] ?? '');

describe('plain waxseal rotate', () => {
  it('ends with exit 3 and a named step where it may not wait as long as somebody may remember', async () => {
    const world = await ready('margin = 4h\n');
    await published(world);
    const begun = performance.now();
    const run = await world.run([...ROTATE, '--wait', '1h', '--json']);
    expect(run.exitCode, run.err).toBe(3);
    expect(run.report.error?.id).toBe('record.remembered');
    expect(run.report.error?.hint).toContain('waxseal rotate --domain example.org');
    expect(run.report.domains[0]).toMatchObject({selector: '202611a', state: 'ready'});
    expect(run.report.domains[0]?.nextStep).toMatch(/^Wait until 2026-11-21 0[78]:/);
    const left = dateIn(run) - world.clock.now().getTime();
    // The negative-cache time of the zone and the margin, from when the servers agreed.
    expect(left).toBeGreaterThan(4 * 3_600_000 - 60_000);
    expect(left).toBeLessThan(4 * 3_600_000 + 3_600_000);
    // That it is in vain is known at once.
    expect(performance.now() - begun).toBeLessThan(240_000);
    expect(await states(world)).toEqual(['202611 active', '202611a ready']);
    expect(await signs(world)).toBe('202611');

    // The same command later goes on and switches; nothing has to be published again.
    world.clock.advance(left + 60_000);
    const done = await world.run([...ROTATE, '--wait', '1m', '--json']);
    expect(done.exitCode, done.err + done.out).toBe(0);
    expect(await states(world)).toEqual(['202611 retiring', '202611a active']);
    expect(await signs(world)).toBe('202611a');
    expect((await world.run(['test', '--json'])).exitCode).toBe(0);
  });

  it('waits visibly, with a countdown, and switches by itself when the time has come', async () => {
    const world = await ready('margin = 90s\n');
    await published(world);
    const run = await world.run([...ROTATE, '--wait', '2h', '--plain']);
    expect(run.exitCode, run.err).toBe(0);
    const told = [...run.out.matchAll(/the new key signs in ([^,]+), not before (\S+ \S+ UTC):/g)];
    expect(told.length, run.out).toBeGreaterThan(1);
    expect(new Set(told.map(([, left]) => left)).size).toBe(told.length);
    expect(new Set(told.map(([, , at]) => at)).size).toBe(1);
    const log = (await world.run(['status', '--json'])).report.domains;
    expect(log.map(({selector, state}) => `${selector} ${state}`)).toEqual([
      '202611 retiring',
      '202611a active',
    ]);
    const activatedAt = Date.parse(log[1]?.activatedAt ?? '');
    // What is told is the next full minute.
    expect(activatedAt).toBeGreaterThan(Date.parse(told[0]?.[2] ?? '') - 60_000);
  });

  it('takes every row of the domain along, those of single addresses too', async () => {
    const world = await ready('margin = 1s\n');
    const {files} = world.sandbox.ports;
    const before = Buffer.from((await files.read(SIGNING)) ?? []).toString('utf8');
    const [row] = parseTable(before);
    const stat = await files.stat(SIGNING);
    await files.replace(
      SIGNING,
      text(
        `bob@example.org ${row?.value ?? ''}\n# by hand\n*@lists.example.org\t${row?.value ?? ''}\n${before}`,
      ),
      {mode: 0o644, uid: stat?.uid ?? 0, gid: stat?.gid ?? 0},
    );
    await published(world);
    world.clock.advance(3 * 3_600_000);
    const done = await world.run([...ROTATE, '--wait', '2h', '--json']);
    expect(done.exitCode, done.err + done.out).toBe(0);
    const after = Buffer.from((await files.read(SIGNING)) ?? []).toString('utf8');
    expect(after).toContain('# by hand\n');
    expect(parseTable(after)).toHaveLength(parseTable(before).length + 2);
    const labels = new Set(parseTable(after).map(({value}) => value));
    expect([...labels], after).toHaveLength(1);
    expect([...labels][0]).toContain('202611a');
  });

  it('does not switch where the record is lost between the agreement and the end of the wait', async () => {
    const world = await ready('margin = 4h\n');
    await published(world);
    expect((await world.run([...ROTATE, '--no-wait', '--json'])).report.error?.id).toBe('record.remembered');
    world.sandbox.dns.withdraw('202611a._domainkey.example.org');
    world.clock.advance(6 * 3_600_000);
    const run = await world.run([...ROTATE, '--no-wait', '--json']);
    expect(run.exitCode, run.err).toBe(3);
    expect(run.report.error?.id).toBe('record.pending');
    expect(await states(world)).toEqual(['202611 active', '202611a pending']);
    expect(await signs(world)).toBe('202611');
  });

  it('lets a key that stands by sign, since somebody asks for it', async () => {
    const world = await ready('margin = 1s\n');
    const begun = await world.run(['rotate', '--standby', '--json']);
    for (const {record, state} of begun.report.domains) {
      if (state === 'pending') world.sandbox.dns.publish(record.name, record.strings);
    }
    await world.clock.sleep(1800);
    await world.run(['rotate', '--advance', '--json']);
    world.clock.advance(86_400_000);
    expect((await world.run(['status', '--json'])).report.domains[1]?.nextStep).toMatch(/^Stands by/);
    const run = await world.run([...ROTATE, '--wait', '1m', '--json']);
    expect(run.exitCode, run.err).toBe(0);
    expect(await states(world)).toEqual(['202611 retiring', '202611a active']);
  });

  it('never makes a weaker key than the one that signs, where nothing is said', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org', '--bits', '3072')).exitCode).toBe(0);
    const run = await world.run([...ROTATE, '--no-wait', '--json']);
    expect(run.report.domains[0], run.err).toMatchObject({selector: '202611a', bits: 3072});
    const again = await world.run([...ROTATE, '--no-wait', '--json']);
    expect(again.report.domains[0], again.err).toMatchObject({selector: '202611a', bits: 3072});
  });

  it('says why no Ed25519 key can sign beside RSA with OpenDKIM, and makes none', async () => {
    const world = await ready('margin = 1s\n');
    const run = await world.run([...ROTATE, '--algorithm', 'ed25519', '--no-wait', '--json']);
    expect(run.exitCode, run.err).toBe(2);
    expect(run.report.error?.id).toBe('key.ed25519-unsupported');
    expect(run.report.error?.message).toContain('one algorithm for all its keys');
    expect(await states(world)).toEqual(['202611 active']);
  });
});
