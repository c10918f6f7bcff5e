/** `waxseal remove`: which domains it knows, what is on its way, keys that several domains use. */
import {writeFileSync} from 'node:fs';
import path from 'node:path';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {Report} from '../../src/flow/report.ts';
import {hostTree, NOTHING_LEFT_OUT, openWorld, type World} from '../demo/world.ts';

const DAY = 86_400_000;
const BOTH = ['--domain', 'example.org', '--domain', 'news.example.org'];

const statesOf = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains
    .map(({domain, selector, state}) => `${domain} ${selector} ${state}`)
    .sort();

const textOf = async (world: World, file: string): Promise<string> =>
  Buffer.from((await world.sandbox.ports.files.read(absolute(file))) ?? []).toString('utf8');

/** The same file with another text, its owner and mode kept. */
async function edit(world: World, file: string, how: (text: string) => string): Promise<void> {
  const {files} = world.sandbox.ports;
  const stat = await files.stat(absolute(file));
  if (stat === undefined) throw new Error(`no ${file}`);
  const {mode, uid, gid} = stat;
  await files.replace(absolute(file), Buffer.from(how(await textOf(world, file))), {mode, uid, gid});
}

/** Weeks go by, and a person does in the DNS what the report asks for. */
async function toTheEnd(world: World, domain: string, ...flags: readonly string[]): Promise<void> {
  for (let round = 0; round < 40; round += 1) {
    const run = await world.run(['rotate', '--advance', '--json', ...flags]);
    const mine = run.report.domains.filter(each => each.domain === domain && each.state !== 'removed');
    if (mine.length === 0) return;
    obey(world, mine);
    await world.clock.sleep(1800);
    world.clock.advance(5 * DAY);
  }
  throw new Error(`${domain} never comes to its end`);
}

function obey(world: World, domains: Report['domains']): void {
  const {dns} = world.sandbox;
  for (const {record, state, nextStep} of domains) {
    if (state === 'retiring' && nextStep.startsWith('Revoke')) {
      dns.withdraw(record.name);
      dns.publish(record.name, 'v=DKIM1; k=rsa; p=');
    }
    if (state === 'revoked' && nextStep.startsWith('Delete')) dns.withdraw(record.name);
  }
}

it('refuses a domain that nobody here knows, names the known ones, and leaves the others alone', async () => {
  const world = await openWorld();
  expect((await world.setUp(...BOTH)).exitCode).toBe(0);
  const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
  for (const more of [[], ['--domain', 'example.org']]) {
    const run = await world.run(['remove', '--domain', 'exampel.org', ...more, '--yes', '--json']);
    expect(run.exitCode).toBe(2);
    expect(run.report.error).toEqual({
      id: 'domain.unknown',
      message: 'exampel.org is not known on this host; nothing was changed.',
      hint: 'Known are: example.org, news.example.org. waxseal status shows them all.',
    });
  }
  expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
  const empty = await (await openWorld()).run(['remove', '--domain', 'example.org', '--yes', '--json']);
  expect(empty.exitCode).toBe(2);
  expect(empty.report.error?.hint).toMatch(/^No domain is signed here/);
});

it('gives a setup up that only waits for its record, key and all', async () => {
  const world = await openWorld();
  await world.run(['setup', ...BOTH, '--yes', '--no-wait', '--json']);
  const before = await hostTree(world.sandbox);
  const dry = await world.run(['remove', '--domain', 'news.example.org', '--dry-run']);
  expect(dry.out).toContain('give up  202611._domainkey.news.example.org');
  const run = await world.run(['remove', '--domain', 'news.example.org', '--yes']);
  expect(run.exitCode, run.err).toBe(0);
  expect(run.out).toContain('Given up: the setup of news.example.org');
  expect(await statesOf(world)).toEqual(['example.org 202611 pending']);
  const {files} = world.sandbox.ports;
  expect(await files.stat(absolute('/var/lib/waxseal/keys/news.example.org/202611.pem'))).toBeUndefined();
  expect(await files.stat(absolute('/var/lib/waxseal/keys/example.org/202611.pem'))).toBeDefined();
  expect(await hostTree(world.sandbox)).toEqual(before);
  const again = await world.run(['remove', '--domain', 'news.example.org', '--yes']);
  expect(again.out).toContain('Nothing to remove: news.example.org is not signed here.');
});

it('takes the domains from a list, and leaves the signer running with nothing to sign after the last one', async () => {
  const world = await openWorld();
  expect((await world.setUp(...BOTH)).exitCode).toBe(0);
  writeFileSync(path.join(world.home, 'gone.txt'), 'example.org\nnews.example.org,202611\n');
  const run = await world.run(['remove', '--domains-file', 'gone.txt', '--yes']);
  expect(run.exitCode, run.err).toBe(0);
  expect(run.out).toContain('No longer signed: example.org, news.example.org');
  expect(run.out).toContain('No domain is signed here any more. OpenDKIM runs on');
  expect(await statesOf(world)).toEqual(['example.org 202611 retiring', 'news.example.org 202611 retiring']);
  expect((await world.run(['explain', 'a@example.org', '--json'])).exitCode).toBe(4);
  // As if nothing had been: the way back is open.
  expect((await world.run(['undo', '--yes'])).exitCode).toBe(0);
  expect((await world.run(['test', '--json'])).exitCode).toBe(0);
});

it('stops in the safe order: signing, then the record, and the key last', async () => {
  const world = await openWorld();
  expect((await world.setUp(...BOTH)).exitCode).toBe(0);
  const {files} = world.sandbox.ports;
  const key = absolute('/etc/dkimkeys/news.example.org/202611.private');
  const gone = await world.run(['remove', '--domain', 'news.example.org', '--yes']);
  expect(gone.exitCode, gone.err).toBe(0);
  expect(gone.out).toContain('only as a subdomain of example.org');
  expect(await textOf(world, '/etc/opendkim/SigningTable')).not.toContain('news.example.org');
  expect(await files.stat(key)).toBeDefined();
  // The record is in the DNS still, so that mail on its way verifies; the key is not destroyed while it is.
  await world.run(['rotate', '--advance', '--json']);
  expect(await statesOf(world)).toEqual(['example.org 202611 active', 'news.example.org 202611 retiring']);
  expect(await files.stat(key)).toBeDefined();
  await toTheEnd(world, 'news.example.org', '--domain', 'news.example.org');
  expect(await files.stat(key)).toBeUndefined();
  expect(await files.stat(absolute('/etc/dkimkeys/example.org/202611.private'))).toBeDefined();
});

it.each(['--shred', '--publish-retired'])(
  'keeps the key of a removed domain where another one signs with the same file (%s)',
  async disposal => {
    const world = await openWorld();
    expect((await world.setUp(...BOTH, '--shared-key')).exitCode).toBe(0);
    const [one, other] = [
      '/etc/dkimkeys/news.example.org/202611.private',
      '/etc/dkimkeys/example.org/202611.private',
    ];
    // As somebody made it by hand: one file for both.
    await edit(world, '/etc/opendkim/KeyTable', text => text.replaceAll(one, other));
    await edit(world, '/var/lib/waxseal/state.json', text => text.replaceAll(one, other));
    const key = await textOf(world, other);
    const run = await world.run(['remove', '--domain', 'news.example.org', '--yes']);
    expect(run.exitCode, run.err).toBe(0);
    // No signature of the other domain looks its record up: that goes in its time. The private key does not.
    const flags = ['--domain', 'news.example.org', disposal];
    const advanced = async () => {
      const {report} = await world.run(['rotate', '--advance', '--json', ...flags]);
      return report.domains.filter(({domain}) => domain === 'news.example.org');
    };
    let mine = await advanced();
    for (let left = 20; !mine[0]?.nextStep.includes('its private key stays') && left > 0; left -= 1) {
      obey(world, mine);
      await world.clock.sleep(1800);
      world.clock.advance(10 * DAY);
      mine = await advanced();
    }
    world.clock.advance(60 * DAY);
    mine = await advanced();
    expect(mine).toMatchObject([{state: 'revoked'}]);
    expect(mine[0]?.nextStep).toContain('its private key stays');
    expect(mine[0]?.nextStep).toContain('still signs with this key: *@example.org');
    expect(mine[0]?.nextStep).toMatch(/\/etc\/opendkim\/SigningTable line \d+/);
    expect(await textOf(world, other)).toBe(key);
    expect((await world.run(['test', '--json'])).exitCode).toBe(0);
    // It is the key of the other domain, too, and never shown.
    const tree = await hostTree(world.sandbox, /^\/(etc\/dkimkeys|var\/lib\/waxseal\/keys)(\/|$)/);
    const [, middle = ''] = key.split('\n');
    expect(Object.entries(tree).filter(([, content]) => content.includes(middle))).toEqual([]);
  },
);
