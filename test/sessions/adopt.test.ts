/** What is taken up as a key of OpenDKIM's, and what a table that others can write merely names. */
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {openWorld, type World} from '../demo/world.ts';

const STATE = absolute('/var/lib/waxseal/state.json');
const KEY_TABLE = absolute('/etc/opendkim/KeyTable');
const OPENDKIM = {uid: 104, gid: 110};

async function edit(
  world: World,
  path: typeof STATE,
  how: (text: string) => string,
  owner = {},
): Promise<void> {
  const {files} = world.sandbox.ports;
  const found = await files.inspect(path);
  if (found === undefined) throw new Error(`no ${path}`);
  const {mode, uid, gid} = found.stat;
  const text = how(Buffer.from(found.content).toString('utf8'));
  await files.replace(path, Buffer.from(text), {mode, uid, gid, ...owner});
}

const known = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(({domain, selector}) => `${selector} ${domain}`);

/** A host that signs for example.org, of which waxseal knows nothing. */
async function handMade(): Promise<World> {
  const world = await openWorld();
  const made = await world.setUp('--domain', 'example.org');
  expect(made.exitCode, made.err).toBe(0);
  await edit(world, STATE, text => JSON.stringify({...JSON.parse(text), keys: []}));
  return world;
}

it('takes up a key that OpenDKIM can read', async () => {
  const world = await handMade();
  const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
  expect(run.exitCode, run.err).toBe(3);
  expect(await known(world)).toContain('202611 example.org');
});

it('takes up no key of root that a table names which others can write', async () => {
  const world = await handMade();
  const {files} = world.sandbox.ports;
  const ours = await files.read(absolute('/etc/dkimkeys/example.org/202611.private'));
  if (ours === undefined) throw new Error('no key');
  const tls = absolute('/etc/ssl/tls.key');
  await files.makeDirectory(absolute('/etc/ssl'), {mode: 0o755, uid: 0, gid: 0});
  await files.create(tls, ours, {mode: 0o600, uid: 0, gid: 0});
  const rows = (text: string): string => text.replace('/etc/dkimkeys/example.org/202611.private', tls);
  await edit(world, KEY_TABLE, rows, OPENDKIM);
  const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait']);
  expect(run.out + run.err).toContain(`${tls} can't be read by opendkim, as whom OpenDKIM signs`);
  expect(await known(world)).not.toContain('202611 example.org');
});
