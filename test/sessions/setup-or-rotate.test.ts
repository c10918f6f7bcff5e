/** What `rotate` has begun, `setup` does not finish; and the other way round. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {hostTree, openWorld, type World} from '../demo/world.ts';

const ROOT = {mode: 0o644, uid: 0, gid: 0};
const SIGNING = absolute('/etc/opendkim/SigningTable');
const STATE = absolute('/var/lib/waxseal/state.json');
const DRAFT = absolute('/var/lib/waxseal/draft.json');
const SETUP = ['setup', '--yes', '--json'];
const ROTATE = ['rotate', '--domain', 'example.org', '--yes', '--json'];

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

const textOf = async (world: World, path: typeof STATE): Promise<string> =>
  Buffer.from((await world.sandbox.ports.files.read(path)) ?? []).toString('utf8');

const states = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(
    each => `${each.domain} ${each.selector} ${each.state}`,
  );

/** A host that signs for example.org, whose rotation has begun; the record is published, the wait is not over. */
async function rotating(): Promise<World> {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  await files.makeDirectory(absolute('/etc/waxseal'), {...ROOT, mode: 0o755});
  await files.replace(absolute('/etc/waxseal/rotation.conf'), text('margin = 4h\n'), ROOT);
  const begun = await world.run([...ROTATE, '--no-wait']);
  expect(begun.exitCode, begun.err).toBe(3);
  world.publish(begun.report);
  await world.clock.sleep(1800);
  return world;
}

/** Nothing on the host and nothing in the state is another than before. */
async function unchanged(world: World, work: () => Promise<void>): Promise<void> {
  const before = [await hostTree(world.sandbox), await textOf(world, STATE)];
  await work();
  expect([await hostTree(world.sandbox), await textOf(world, STATE)]).toEqual(before);
}

describe('setup', () => {
  it('stops where a rotation has begun, says how to continue and when, and changes nothing', async () => {
    const world = await rotating();
    await unchanged(world, async () => {
      for (const more of [[], ['--selector', '202611a'], ['--selector', '202611'], ['--selector', 'third']]) {
        const run = await world.run([...SETUP, '--wait', '1m', '--domain', 'example.org', ...more]);
        expect(run.exitCode, run.err + run.out).toBe(3);
        expect(run.report.error).toEqual({
          id: 'rotate.running',
          message: 'example.org is in a key rotation: 202611a replaces 202611.',
          hint: 'Continue with: waxseal rotate --domain example.org',
        });
      }
      const plain = await world.run(['setup', '--yes', '--domain', 'example.org', '--wait', '1m']);
      expect(plain.exitCode).toBe(3);
      expect(plain.err).toContain('example.org is in a key rotation');
      expect(plain.err).toContain('waxseal rotate --domain example.org');
      // Together with a new one: nothing is made for that either.
      const two = [...SETUP, '--domain', 'news.example.org', '--domain', 'example.org', '--no-wait'];
      expect((await world.run(two)).report.error?.id).toBe('rotate.running');
      expect((await world.run([...two, '--dry-run'])).report.error?.id).toBe('rotate.running');
    });
    // The rotation has seen its record: from now on the time is known.
    expect((await world.run([...ROTATE, '--no-wait'])).report.error?.id).toBe('record.remembered');
    const run = await world.run([...SETUP, '--domain', 'example.org', '--no-wait']);
    expect(run.exitCode).toBe(3);
    expect(run.report.error?.hint).toMatch(
      /^202611a can sign from 2026-11-21 0[78]:\d\d UTC\. Continue then with: waxseal rotate --domain example\.org$/,
    );
    expect(await states(world)).toEqual(['example.org 202611 active', 'example.org 202611a ready']);
    world.clock.advance(6 * 3_600_000);
    const done = await world.run([...ROTATE, '--wait', '1h']);
    expect(done.exitCode, done.err).toBe(0);
    const after = await world.run([...SETUP, '--domain', 'example.org', '--wait', '1m']);
    expect(after.exitCode, after.err).toBe(0);
    expect(await states(world)).toEqual(['example.org 202611 retiring', 'example.org 202611a active']);
  });

  it('offers no rotation in the wizard, and refuses its domain there', async () => {
    const world = await rotating();
    await unchanged(world, async () => {
      const run = await world.run(['setup', '--plain'], {input: '\nexample.org\n', terminal: true});
      expect(run.out + run.err).not.toContain('Going on with the setup of');
      expect(run.out + run.err).toContain('example.org is in a key rotation: 202611a replaces 202611.');
      expect(run.exitCode).not.toBe(0);
    });
  });

  it('never replaces a key that signs by another one', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    await unchanged(world, async () => {
      const run = await world.run([...SETUP, '--domain', 'example.org', '--selector', 'new', '--no-wait']);
      expect(run.exitCode).toBe(2);
      expect(run.report.error).toEqual({
        id: 'rotate.needed',
        message: 'example.org already signs with 202611. Only a rotation replaces that key.',
        hint: 'Run: waxseal rotate --domain example.org --selector new',
      });
      const asked = await world.run(['setup', '--plain'], {
        input: '\nexample.org\nnew\n',
        terminal: true,
      });
      expect(asked.out + asked.err).toContain('Only a rotation replaces that key.');
    });
    const rotated = await world.run([...ROTATE, '--selector', 'new', '--no-wait']);
    expect(rotated.report.error?.id).toBe('record.pending');
  });

  it('goes on with the key that signs where another one stands by, which stays', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    const begun = await world.run(['rotate', '--standby', '--json']);
    for (const {record, state} of begun.report.domains) {
      if (state === 'pending') world.sandbox.dns.publish(record.name, record.strings);
    }
    await world.clock.sleep(1800);
    await world.run(['rotate', '--advance', '--json']);
    const before = await states(world);
    expect(before).toEqual(['example.org 202611 active', 'example.org 202611a ready']);
    const run = await world.run([...SETUP, '--domain', 'example.org', '--trusted-hosts', '192.0.2.7']);
    expect(run.exitCode, run.err).toBe(0);
    expect(await states(world)).toEqual(before);
    const taken = await world.run([...SETUP, '--domain', 'example.org', '--selector', '202611a']);
    expect(taken.report.error?.id).toBe('rotate.needed');
  });

  it('finishes its own set-up of another domain beside a rotation', async () => {
    const world = await rotating();
    const first = await world.run([...SETUP, '--domain', 'news.example.org', '--no-wait']);
    expect(first.exitCode, first.err).toBe(3);
    world.publish(first.report);
    await world.clock.sleep(1800);
    // No domain is named: what is kept of the set-up goes on, not the rotation, which is older or newer.
    const kept = await world.run([...SETUP, '--wait', '2m']);
    expect(kept.exitCode, kept.err).toBe(0);
    expect(kept.report.domains.map(each => each.domain)).toEqual(['news.example.org']);
    expect((await states(world)).filter(each => each.startsWith('example.org'))).toEqual([
      'example.org 202611 active',
      'example.org 202611a pending',
    ]);
  });
});

describe('rotate', () => {
  it('does not finish a set-up', async () => {
    const world = await openWorld();
    const first = await world.run([...SETUP, '--domain', 'example.org', '--no-wait']);
    world.publish(first.report);
    await world.clock.sleep(1800);
    await unchanged(world, async () => {
      const run = await world.run([...ROTATE, '--wait', '1m']);
      expect(run.exitCode).toBe(2);
      expect(run.report.error).toEqual({
        id: 'rotate.none',
        message: 'example.org has no key that signs yet.',
        hint: 'Finish its setup first: waxseal setup --domain example.org',
      });
    });
    expect((await world.run([...SETUP, '--wait', '2m'])).exitCode).toBe(0);
  });

  it('keeps its answers for itself', async () => {
    const world = await rotating();
    const left = await world.run(['rotate', '--domain', 'example.org', '--plain'], {
      input: '\n',
      terminal: true,
    });
    expect(left.exitCode).not.toBe(0);
    expect(await textOf(world, DRAFT)).toContain('"command": "rotate"');
    const run = await world.run(['setup', '--plain'], {input: '\n', terminal: true});
    expect(run.out + run.err).not.toContain('202611a');
  });

  it('moves rows of other domains and addresses that sign with its key, octet for octet', async () => {
    const world = await openWorld();
    const {files} = world.sandbox.ports;
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    await files.makeDirectory(absolute('/etc/waxseal'), {...ROOT, mode: 0o755});
    await files.replace(absolute('/etc/waxseal/rotation.conf'), text('margin = 1s\n'), ROOT);
    const label = '202611._domainkey.example.org';
    const own = await textOf(world, SIGNING);
    const rows = `# Schl\xfcssel\r\njoe@example.org ${label}\r\n*@other.example\t${label} # theirs\r\n`;
    await files.replace(SIGNING, Buffer.from(rows + own.trimEnd(), 'latin1'), ROOT);
    const begun = await world.run([...ROTATE, '--no-wait']);
    world.publish(begun.report);
    await world.clock.sleep(1800);
    world.clock.advance(6 * 3_600_000);
    const done = await world.run([...ROTATE, '--wait', '20m']);
    expect(done.exitCode, done.err).toBe(0);
    expect(done.err + done.out).not.toContain('keys of their own');
    const after = Buffer.from((await files.read(SIGNING)) ?? []).toString('latin1');
    expect(after).toBe((rows + own.trimEnd()).replaceAll(label, label.replace('202611', '202611a')));
  });
});
