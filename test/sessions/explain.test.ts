/** What a temporary signer with the configuration of the host says to a message, beside the answer of the picture. */
import {appendFileSync} from 'node:fs';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {openWorld, type World} from '../demo/world.ts';

const checksOf = async (world: World, from: string) => {
  const {report} = await world.run(['explain', from, '--entrance', 'local', '--json']);
  return Object.fromEntries(report.checks.map(({id, status, evidence}) => [id, `${status} ${evidence}`]));
};

it('asks a temporary signer about every message, the running one about none that it refuses', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  expect(await checksOf(world, 'a@example.org')).toMatchObject({
    'explain.tried': 'pass temporary OpenDKIM: d=example.org s=202611',
    'explain.agreed': 'pass OpenDKIM: d=example.org s=202611',
  });
  expect(await checksOf(world, 'a@example.net')).toMatchObject({
    'explain.tried': 'pass temporary OpenDKIM: not signed',
  });
  // Its key is not there: the signer stops the mail.
  const {machine} = world.sandbox;
  appendFileSync(
    machine.real(absolute('/etc/opendkim/KeyTable')),
    'lost lost.example:s1:/etc/dkimkeys/lost\n',
  );
  appendFileSync(machine.real(absolute('/etc/opendkim/SigningTable')), '*@lost.example lost\n');
  const lost = await checksOf(world, 'a@lost.example');
  expect(lost['explain.tried']).toBe('pass temporary OpenDKIM: refused');
  expect(lost).not.toHaveProperty('explain.agreed');
  const left = (await world.sandbox.ports.files.list(absolute('/var/lib/waxseal'))) ?? [];
  expect(left.filter(name => name.startsWith('preflight-'))).toEqual([]);
});

it('says which directory keeps the temporary signer from starting, and answers all the same', async () => {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const {files} = world.sandbox.ports;
  const own = absolute('/var/lib/waxseal');
  const seen = await files.stat(own);
  if (seen === undefined) throw new Error(`no ${own}`);
  await files.setAttributes(own, {uid: 0, gid: 0, mode: 0o700}, seen);
  const run = await world.run(['explain', 'a@example.org', '--entrance', 'local', '--json']);
  expect(run.exitCode, run.err).toBe(0);
  const checks = new Map(run.report.checks.map(check => [check.id, check]));
  expect(checks.get('explain.signed')?.status).toBe('pass');
  expect(checks.get('explain.agreed')?.status).toBe('pass');
  expect(checks.get('explain.tried')).toMatchObject({
    status: 'skip',
    cause: expect.stringContaining("can't enter /var/lib/waxseal"),
    fix: 'sudo chmod a+x /var/lib/waxseal',
  });
});
