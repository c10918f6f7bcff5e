/** Whether mail of a removed domain is still signed, asked of the sandbox's signer. */
import {expect, it} from 'vitest';
import {proveUnsigned} from '../../src/doctor/removal.ts';
import {absolute} from '../../src/domain/paths.ts';
import {lookAtHost} from '../../src/services/look.ts';
import {type OpenDkimFacts, openDkimOf} from '../../src/services/opendkim/facts.ts';
import {parseSocket} from '../../src/services/opendkim/socket.ts';
import type {Clock} from '../../src/system/ports.ts';
import {openWorld, type World} from '../demo/world.ts';
import {domainOf} from '../support/fake-operations.ts';

const SIGNING_TABLE = absolute('/etc/opendkim/SigningTable');
const never = new AbortController().signal;

/** A signer with example.org in its memory whose signing table has no row any more. */
async function emptied(): Promise<{world: World; opendkim: OpenDkimFacts}> {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const opendkim = openDkimOf(await lookAtHost(world.sandbox.ports, never));
  if (opendkim === undefined) throw new Error('no OpenDKIM');
  await world.sandbox.ports.files.replace(SIGNING_TABLE, Buffer.from(''), {mode: 0o644, uid: 0, gid: 0});
  return {world, opendkim};
}

/** Calls `each` at every pause between two questions; time limits stay what they are. */
const withPauses = (clock: Clock, each: (count: number) => Promise<void>): Clock => {
  let count = 0;
  return {
    now: () => clock.now(),
    sleep: async (ms, signal) => {
      if (ms > 1000) return await clock.sleep(ms, signal);
      count += 1;
      await each(count);
    },
  };
};

async function prove(
  {world, opendkim}: Awaited<ReturnType<typeof emptied>>,
  each: (count: number) => Promise<void>,
): Promise<unknown> {
  const endpoint = parseSocket(opendkim.settings['socket'] ?? '');
  if (endpoint === undefined) throw new Error('no socket');
  const ports = {...world.sandbox.ports, clock: withPauses(world.clock, each)};
  return await proveUnsigned(ports, {endpoint, logTag: 'opendkim'}, [domainOf('example.org')], never);
}

it('gives a signer time that takes the new tables long after its reload', async () => {
  const host = await emptied();
  const report = await prove(host, async count => {
    if (count === 5) await host.world.sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim']);
  });
  expect(report).toMatchObject({passed: true, checks: [{id: 'remove.unsigned', status: 'pass'}]});
});

it('gives a signer up that never takes them', async () => {
  let pauses = 0;
  const report = await prove(await emptied(), async count => {
    pauses = count;
  });
  expect(report).toMatchObject({
    passed: false,
    checks: [{cause: 'The signer did not take the new tables, or does not answer.'}],
  });
  expect(pauses).toBe(59);
});
