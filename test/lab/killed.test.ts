/**
 * A run that is killed, or loses its machine, while it changes the host: whoever comes next puts everything back, or
 * finishes the job. Nothing is ever lost, and no key can be read by others meanwhile.
 */
import {describe, expect, test} from 'vitest';
import {
  COMMAND,
  cutAt,
  cutPoints,
  expectAsBefore,
  isFinished,
  isTorn,
  readyToCut,
  SETUP,
  sample,
  undo,
} from './support/cuts.ts';
import {exposedKeys} from './support/fingerprint.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome} from './support/process.ts';
import {releases} from './support/release.ts';
import {reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const UNDO = ['waxseal', 'undo', '--yes'] as const;

/** Kills a run at one of its points; it never got to give an exit code. */
async function kill(
  {host, directory}: World,
  argv: readonly string[],
  points: readonly number[],
  point: number,
  where: string,
): Promise<void> {
  const outcome = await cutAt(host, argv, 'KILL', point, `${directory}/cut.txt`);
  if (isFinished(outcome, points, point, where)) return;
  expect(outcome.signal ?? outcome.status, `${where}: ${describeOutcome(outcome)}`).toBe('SIGKILL');
  expect(await exposedKeys(host), where).toEqual([]);
}

describe.each(releases)('$name', release => {
  const offset = release.version;

  test('kill -9 in the steps of a change: undo puts everything back', () =>
    inWorld(release, async world => {
      const {host} = world;
      const {before, points} = await readyToCut(world);
      let torn = 0;
      for (const point of sample(points, 10, offset)) {
        const where = `kill -9 at call ${point} of ${points.join(' ')}`;
        await kill(world, COMMAND, points, point, where);
        if (await isTorn(host, before)) torn += 1;
        await undo(host, where);
        await expectAsBefore(host, before, where);
      }
      // Cuts that come before anything was changed prove nothing.
      expect(torn).toBeGreaterThan(4);
    }));

  test('kill -9 in the steps of a change: the same command again finishes the job', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      const {before, points, selector} = await readyToCut(world);
      let torn = 0;
      for (const point of sample(points, 4, offset + 1)) {
        const where = `kill -9 at call ${point} of ${points.join(' ')}`;
        await kill(world, COMMAND, points, point, where);
        if (await isTorn(host, before)) torn += 1;
        const again = await waxseal(host, [...SETUP, '--json']);
        expect(again.status, `${where}: ${describeOutcome(again)}`).toBe(0);
        expect(reportOf(again).domains[0], where).toMatchObject({selector, state: 'active'});
        for (const by of ['sendmail', 'smtp'] as const) {
          const captured = await send(host, internet, {from: 'alice@example.com', by});
          expect(verdict(captured), where).toBe(VALID('example.com', selector));
        }
        await undo(host, where);
        await expectAsBefore(host, before, where);
      }
      expect(torn).toBeGreaterThan(0);
    }));

  test('kill -9 in the steps of an undo: undo again ends it', () =>
    inWorld(release, async world => {
      const {host, directory} = world;
      const {before} = await readyToCut(world);
      await waxsealJson(host, SETUP, 0);
      const {outcome, points} = await cutPoints(host, UNDO, `${directory}/undo.txt`);
      expect(outcome.status, describeOutcome(outcome)).toBe(0);
      for (const point of sample(points, 4, offset)) {
        const where = `kill -9 at call ${point} of ${points.join(' ')} of an undo`;
        await waxsealJson(host, SETUP, 0);
        await kill(world, UNDO, points, point, where);
        await undo(host, where);
        await expectAsBefore(host, before, where);
      }
    }));

  test('the power fails during a change: after the next boot the same command finishes the job', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      const {before, points, selector} = await readyToCut(world);
      const middle = points[Math.floor(points.length / 2)] ?? 0;
      await kill(world, COMMAND, points, middle, 'before the power failed');
      expect(await isTorn(host, before)).toBe(true);
      await host.powerOff();
      await host.start();
      expect((await waxsealJson(host, SETUP, 0)).domains[0]).toMatchObject({selector, state: 'active'});
      const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(captured)).toBe(VALID('example.com', selector));
      await undo(host, 'after the power failed');
      await expectAsBefore(host, before, 'undone');
    }));
});
