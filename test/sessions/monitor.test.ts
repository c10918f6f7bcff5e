/** `waxseal status --monitor` as the Monitoring Plugins guidelines want it: one line, performance data, exit 0 to 3. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {openWorld, type Run, type World} from '../demo/world.ts';

const DAY = 86_400_000;
const RECORD = '202611._domainkey.example.org';

const ready = async (): Promise<World> => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  return world;
};

const monitor = (world: World): Promise<Run> => world.run(['status', '--monitor']);
const lag = (world: World): Promise<void> => world.clock.sleep(1800);

const WORDS = ['OK', 'WARNING', 'CRITICAL', 'UNKNOWN'];
/** 'label'=value[UOM];[warn];[crit];[min];[max]; no label needs quotes here. */
const NUMBER = /^([a-z]+)=(\d+)(s|us|ms|%|B|KB|MB|GB|TB|c)?(?:;(\d*))?(?:;(\d*))?(?:;(\d*))?(?:;(\d*))?$/;

/** What every answer has to be, whatever it says. @returns its text and its numbers */
function parsed(run: Run): {readonly text: string; readonly numbers: Readonly<Record<string, number>>} {
  expect([0, 1, 2, 3]).toContain(run.exitCode);
  expect(run.err).toBe('');
  expect(run.out.endsWith('\n')).toBe(true);
  expect(run.out.trimEnd()).not.toContain('\n');
  expect(Buffer.byteLength(run.out)).toBeLessThan(4096);
  const [head = '', data = '', ...more] = run.out.trimEnd().split('|');
  expect(more).toEqual([]);
  expect(head).toMatch(new RegExp(`^DKIM ${WORDS[run.exitCode]} - \\S`));
  const numbers: Record<string, number> = {};
  for (const word of data.trim().split(' ').filter(Boolean)) {
    const match = NUMBER.exec(word);
    if (match === null) throw new Error(`no performance data: ${word}`);
    numbers[match[1] ?? ''] = Number(match[2]);
    if (match[4] !== undefined && match[4] !== '' && run.exitCode === 0) {
      expect(Number(match[2])).toBeLessThan(Number(match[4]));
    }
  }
  return {text: head.trim(), numbers};
}

describe('status --monitor', () => {
  it('OK: a key signs and everything is in order; the age grows in seconds', async () => {
    const world = await ready();
    const run = await monitor(world);
    expect(run.exitCode).toBe(0);
    const {text, numbers} = parsed(run);
    expect(text).toBe('DKIM OK - 1 domains, 1 keys');
    expect(numbers).toMatchObject({keys: 1, waiting: 0});
    world.clock.advance(30 * DAY);
    const later = parsed(await monitor(world));
    expect(later.numbers['oldest']).toBeGreaterThanOrEqual((numbers['oldest'] ?? 0) + (30 * DAY) / 1000);
  });

  it('WARNING: a record waits for a person for more than three days', async () => {
    const world = await ready();
    await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect((await monitor(world)).exitCode).toBe(0);
    world.clock.advance(4 * DAY);
    const run = await monitor(world);
    expect(run.exitCode).toBe(1);
    const {text, numbers} = parsed(run);
    expect(text).toMatch(
      /^DKIM WARNING - example\.org: Publish the record 202611a\._domainkey\.example\.org: /,
    );
    expect(numbers).toMatchObject({keys: 2, waiting: 1});
  });

  it('WARNING: a key that nobody replaces is overdue, by the threshold that the numbers name', async () => {
    const world = await ready();
    world.clock.advance(366 * DAY);
    const run = await monitor(world);
    expect(run.exitCode).toBe(1);
    const {text, numbers} = parsed(run);
    expect(text).toMatch(/^DKIM WARNING - example\.org: Make the next key of example\.org/);
    expect(numbers['oldest']).toBeGreaterThan(365 * 86_400);
    expect(run.out).toMatch(/ oldest=\d+s;31536000;;0$/m);
  });

  it('CRITICAL: the record of the key that signs is gone', async () => {
    const world = await ready();
    world.sandbox.dns.withdraw(RECORD);
    await lag(world);
    world.clock.advance(DAY);
    const run = await monitor(world);
    expect(run.exitCode).toBe(2);
    expect(parsed(run).text).toMatch(/^DKIM CRITICAL - example\.org: Put the record back/);
  });

  it('CRITICAL: a record full of bars and escapes is told in one harmless line', async () => {
    const world = await ready();
    world.sandbox.dns.withdraw(RECORD);
    world.sandbox.dns.publish(RECORD, 'v=DKIM1; p=|oldest=1s\x1b[2J\n|');
    await lag(world);
    world.clock.advance(DAY);
    const run = await monitor(world);
    expect(run.exitCode).toBe(2);
    expect(run.out.slice(0, -1)).not.toMatch(/[\x00-\x1f\x7f]/);
    expect(parsed(run).numbers).toMatchObject({keys: 1});
  });

  it('UNKNOWN: the name servers of one domain say nothing, those of the others do', async () => {
    const world = await ready();
    const {files} = world.sandbox.ports;
    const path = absolute('/var/lib/waxseal/state.json');
    const state = JSON.parse(Buffer.from((await files.read(path)) ?? []).toString('utf8'));
    const more = JSON.parse(JSON.stringify(state.keys).replaceAll('example.org', 'silent.example.test'));
    state.keys.push(...more);
    await files.replace(path, new TextEncoder().encode(JSON.stringify(state)), {mode: 0o600, uid: 0, gid: 0});
    const run = await monitor(world);
    expect(run.exitCode).toBe(3);
    const {text, numbers} = parsed(run);
    expect(text).toBe('DKIM UNKNOWN - silent.example.test: no name server answers');
    expect(numbers).toMatchObject({keys: 2});
  });

  it('UNKNOWN: no key, a damaged state, a setting that means nothing', async () => {
    const none = await openWorld();
    const empty = await monitor(none);
    expect(empty.exitCode).toBe(3);
    expect(parsed(empty).text).toBe('DKIM UNKNOWN - no keys are known on this host');
    const world = await ready();
    const {files} = world.sandbox.ports;
    await files.makeDirectory(absolute('/etc/waxseal'), {mode: 0o755, uid: 0, gid: 0});
    const settings = absolute('/etc/waxseal/rotation.conf');
    const root = {mode: 0o644, uid: 0, gid: 0};
    await files.replace(settings, new TextEncoder().encode('interval = soon\n'), root);
    const wrong = await monitor(world);
    expect(wrong.exitCode).toBe(3);
    expect(parsed(wrong).text).toContain('Line 1 of rotation.conf');
    await files.remove(settings);
    await files.replace(absolute('/var/lib/waxseal/state.json'), new TextEncoder().encode('{'), {
      ...root,
      mode: 0o600,
    });
    const damaged = await monitor(world);
    expect(damaged.exitCode).toBe(3);
    parsed(damaged);
  });
});
