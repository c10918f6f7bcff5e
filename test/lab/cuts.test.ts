/**
 * A run that is cut short while it changes the host: by a signal it can answer, it puts everything back by itself; by
 * kill -9 or a power cut, the next run does, or finishes the job.
 */
import {describe, expect, test} from 'vitest';
import {cutAt, cutPoints, sample} from './support/cuts.ts';
import {differences, exposedKeys, type Fingerprint, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {launchWaxseal, makeReady, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;
const COMMAND = ['waxseal', ...SETUP, '--json'] as const;

const EXIT: Readonly<Record<'INT' | 'TERM', number>> = {INT: 130, TERM: 143};

async function expectAsBefore(host: Host, before: Fingerprint, after: string): Promise<void> {
  expect(differences(before, await fingerprint(host), {allowState: true}), after).toEqual([]);
  expect(await exposedKeys(host), after).toEqual([]);
}

/** A host whose key is published, what it is like, and where a change of it can be cut. */
async function readyToCut({host, internet, directory}: World) {
  const {selector} = await makeReady(host, internet);
  const before = await fingerprint(host);
  const {outcome, points} = await cutPoints(host, COMMAND, `${directory}/trace.txt`);
  expect(outcome.status, describeOutcome(outcome)).toBe(0);
  // Fewer would mean that the counting went wrong: each of a dozen steps is announced and confirmed.
  expect(points.length).toBeGreaterThan(20);
  const undone = await waxseal(host, ['undo', '--yes']);
  expect(undone.status, describeOutcome(undone)).toBe(0);
  await expectAsBefore(host, before, 'undone');
  return {selector, before, points};
}

describe.each(releases)('$name', release => {
  const offset = release.version;

  test.each(['INT', 'TERM', 'HUP'] as const)(
    'SIG%s in the steps of a change: everything is put back',
    signal =>
      inWorld(release, async world => {
        const {host, directory} = world;
        const {before, points} = await readyToCut(world);
        for (const point of sample(points, 6, offset)) {
          const outcome = await cutAt(host, COMMAND, signal, point, `${directory}/cut.txt`);
          const where = `SIG${signal} at call ${point} of ${points.join(' ')}: ${describeOutcome(outcome)}`;
          if (signal === 'HUP') expect([129, 130, 143], where).toContain(outcome.status);
          else expect(outcome.status, where).toBe(EXIT[signal]);
          expect(reportOf(outcome).changed, where).toBe(false);
          await expectAsBefore(host, before, where);
        }
      }),
  );

  test('kill -9 in the steps of a change: the next command puts everything back', () =>
    inWorld(release, async world => {
      const {host, directory} = world;
      const {before, points} = await readyToCut(world);
      for (const point of sample(points, 10, offset)) {
        const outcome = await cutAt(host, COMMAND, 'KILL', point, `${directory}/cut.txt`);
        const where = `kill -9 at call ${point} of ${points.join(' ')}`;
        // No exit code of its own: it never got to give one.
        expect([null, 137], `${where}: ${describeOutcome(outcome)}`).toContain(outcome.status);
        expect(await exposedKeys(host), where).toEqual([]);
        const undone = await waxseal(host, ['undo', '--yes']);
        expect(undone.status, `${where}: ${describeOutcome(undone)}`).toBe(0);
        await expectAsBefore(host, before, where);
      }
    }));

  test('kill -9 in the steps of a change: the same command again finishes the job', () =>
    inWorld(release, async world => {
      const {host, internet, directory} = world;
      const {before, points, selector} = await readyToCut(world);
      for (const point of sample(points, 3, offset + 1)) {
        await cutAt(host, COMMAND, 'KILL', point, `${directory}/cut.txt`);
        const where = `kill -9 at call ${point} of ${points.join(' ')}`;
        const again = await waxseal(host, [...SETUP, '--json']);
        expect(again.status, `${where}: ${describeOutcome(again)}`).toBe(0);
        expect(reportOf(again).domains[0], where).toMatchObject({selector, state: 'active'});
        for (const by of ['sendmail', 'smtp'] as const) {
          const captured = await send(host, internet, {from: 'alice@example.com', by});
          expect(verdict(captured), where).toBe(VALID('example.com', selector));
        }
        const undone = await waxseal(host, ['undo', '--yes']);
        expect(undone.status, `${where}: ${describeOutcome(undone)}`).toBe(0);
        await expectAsBefore(host, before, where);
      }
    }));

  test('the power fails during a change: after the next boot the same command finishes the job', () =>
    inWorld(release, async world => {
      const {host, internet, directory} = world;
      const {before, points, selector} = await readyToCut(world);
      const middle = points[Math.floor(points.length / 2)] ?? 0;
      await cutAt(host, COMMAND, 'KILL', middle, `${directory}/cut.txt`);
      await host.powerOff();
      await host.start();
      expect((await waxsealJson(host, SETUP, 0)).domains[0]).toMatchObject({selector, state: 'active'});
      const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(captured)).toBe(VALID('example.com', selector));
      expect((await waxseal(host, ['undo', '--yes'])).status).toBe(0);
      await expectAsBefore(host, before, 'undone');
    }));

  test.each(['INT', 'TERM', 'HUP'] as const)(
    'SIG%s while it waits for the DNS: it ends at once, nothing was changed',
    signal =>
      inWorld(release, async ({host}) => {
        const before = await fingerprint(host);
        const running = launchWaxseal(host, [
          'setup',
          '--domain',
          'example.com',
          '--yes',
          '--wait',
          '2m',
          '--json',
        ]);
        await until('the run to wait', async () =>
          (await host.exists('/var/lib/waxseal/state.json')) &&
          (await host.processes('waxseal.js')).length > 0
            ? true
            : undefined,
        );
        await until('it to have asked once', () =>
          running.output().stderr.includes('ns1.example.com') ? true : undefined,
        );
        const begun = performance.now();
        for (const pid of await host.processes('dist/waxseal.js'))
          await host.must(['kill', `-${signal}`, String(pid)]);
        const outcome = await running.finished;
        expect(performance.now() - begun).toBeLessThan(5000);
        if (signal === 'HUP') expect([129, 130, 143]).toContain(outcome.status);
        else expect(outcome.status, describeOutcome(outcome)).toBe(EXIT[signal]);
        expect(reportOf(outcome).changed).toBe(false);
        await expectAsBefore(host, before, signal);
      }),
  );
});
