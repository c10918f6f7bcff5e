/** `waxseal rotate --install-timer`: what the unit may write to is what a rotation of this host writes to, and no more. */
import {expect, it} from 'vitest';
import {type AbsolutePath, absolute, below, parentOf} from '../../src/domain/paths.ts';
import {openWorld, type World} from '../demo/world.ts';
import {setAttributes} from '../support/attributes.ts';

const ROOT = {mode: 0o644, uid: 0, gid: 0};

async function unit(world: World): Promise<string> {
  const run = await world.run(['rotate', '--install-timer', '--dry-run', '--json']);
  expect(run.exitCode, run.err).toBe(0);
  return run.report.changes.find(({target}) => target.endsWith('/waxseal-rotate.service'))?.diff ?? '';
}

const places = (diff: string): readonly string[] =>
  diff.split('\n').filter(line => line.startsWith('+ReadWritePaths='));

const USUAL = '+ReadWritePaths=/etc -/var/lib/waxseal -/run';

it('lets the timer write where a host as it is installed has everything', async () => {
  expect(places(await unit(await openWorld()))).toEqual([`${USUAL} -/var/spool/postfix`]);
});

it('lets it write to tables, keys and published keys of this host that are elsewhere', async () => {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  const write = (path: string, text: string): Promise<void> =>
    files.replace(absolute(path), new TextEncoder().encode(text), ROOT);
  for (const folder of ['/var/lib/dkim', '/opt', '/opt/keys', '/etc/waxseal', '/srv']) {
    await files.makeDirectory(absolute(folder), {...ROOT, mode: 0o755}).catch(() => undefined);
  }
  await write('/var/lib/dkim/keys', 'k example.org:s:/opt/keys/s.private\n');
  await write('/var/lib/dkim/signing', '*@example.org k\n');
  await write('/opt/keys/s.private', '');
  await write('/etc/waxseal/rotation.conf', 'disposal = publish\npublish-directory = /srv/www keys/x\n');
  const config = absolute('/etc/opendkim.conf');
  const before = Buffer.from((await files.read(config)) ?? []).toString('utf8');
  await write(
    config,
    `${before}\nKeyTable file:/var/lib/dkim/keys\nSigningTable refile:/var/lib/dkim/signing\n`,
  );
  const strange = await unit(world);
  expect(places(strange)).toEqual([`${USUAL} -/opt/keys -/var/lib/dkim -/var/spool/postfix`]);
  await write('/etc/waxseal/rotation.conf', 'disposal = publish\npublish-directory = /srv/keys\n');
  expect(places(await unit(world))).toEqual([`${USUAL} -/opt/keys -/srv -/var/lib/dkim -/var/spool/postfix`]);
});

it('is not installed where others could change what it runs as root, nor what that loads', async () => {
  const world = await openWorld();
  const {files} = world.sandbox.ports;
  const script = absolute(process.argv[1] ?? '');
  const folder = parentOf(script);
  const make = async (path: AbsolutePath): Promise<void> => {
    if (path === '/' || (await files.stat(path)) !== undefined) return;
    await make(parentOf(path));
    await files.makeDirectory(path, {...ROOT, mode: 0o755});
  };
  await make(folder);
  const refused = async (): Promise<string> => {
    const run = await world.run(['rotate', '--install-timer', '--dry-run', '--json']);
    if (run.exitCode === 0) return '';
    expect(run.exitCode).toBe(5);
    expect(run.report.error?.id).toBe('timer.loose-program');
    return `${run.report.error?.message} ${run.report.error?.hint}`;
  };
  await files.replace(script, Buffer.from(''), {...ROOT, mode: 0o755});
  expect(await refused()).toBe('');
  await files.replace(script, Buffer.from(''), {...ROOT, mode: 0o757});
  expect(await refused()).toContain(`chmod go-w ${script}`);
  await files.replace(script, Buffer.from(''), {...ROOT, mode: 0o755});
  const chunk = below(folder, 'chunk-X.js');
  await files.replace(chunk, Buffer.from(''), {mode: 0o644, uid: 101, gid: 0});
  expect(await refused()).toContain(`chown root ${chunk}`);
  await files.replace(chunk, Buffer.from(''), ROOT);
  // Most of the program is in a directory below; what decides how it is read, in one above.
  const chunks = below(folder, 'chunks');
  await files.makeDirectory(chunks, {...ROOT, mode: 0o755});
  const inner = below(chunks, 'chunk-Y.js');
  await files.replace(inner, Buffer.from(''), {...ROOT, mode: 0o646});
  expect(await refused()).toContain(`chmod go-w ${inner}`);
  await files.replace(inner, Buffer.from(''), ROOT);
  expect(await refused()).toBe('');
  await setAttributes(files, chunks, {mode: 0o1777, uid: 0, gid: 0});
  expect(await refused()).toContain(`chmod go-w ${chunks}`);
  await setAttributes(files, chunks, {mode: 0o755, uid: 0, gid: 0});
  const description = below(parentOf(folder), 'package.json');
  await files.replace(description, Buffer.from('{}'), {mode: 0o644, uid: 101, gid: 0});
  expect(await refused()).toContain(`chown root ${description}`);
  const beside = below(parentOf(folder), 'node_modules');
  await files.replace(description, Buffer.from('{}'), ROOT);
  if ((await files.stat(beside)) === undefined) {
    await files.makeDirectory(beside, {mode: 0o777, uid: 101, gid: 0});
  }
  expect(await refused()).toBe('');
  await setAttributes(files, folder, {mode: 0o777, uid: 0, gid: 0});
  expect(await refused()).toContain(`by ${folder}`);
});
