/** A run that is stopped by a signal while it changes the host puts everything back by itself. */
import {describe, expect, test} from 'vitest';
import {COMMAND, cutAt, expectAsBefore, isFinished, readyToCut, sample, undo} from './support/cuts.ts';
import {fingerprint} from './support/fingerprint.ts';
import {describeOutcome, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {launchWaxseal, reportOf} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

/** A line that drops (SIGHUP) is not in the table of exit codes; it ends like SIGTERM. */
const EXIT: Readonly<Record<'INT' | 'TERM' | 'HUP', number>> = {INT: 130, TERM: 143, HUP: 143};

describe.each(releases)('$name', release => {
  const offset = release.version;

  test.each(['INT', 'TERM', 'HUP'] as const)(
    'SIG%s in the steps of a change: everything is put back',
    signal =>
      inWorld(release, async world => {
        const {host, directory} = world;
        const {before, points} = await readyToCut(world);
        let putBack = 0;
        for (const point of sample(points, 6, offset)) {
          const outcome = await cutAt(host, COMMAND, signal, point, `${directory}/cut.txt`);
          const where = `SIG${signal} at call ${point} of ${points.join(' ')}: ${describeOutcome(outcome)}`;
          if (isFinished(outcome, points, point, where)) {
            await undo(host, where);
            await expectAsBefore(host, before, where);
            continue;
          }
          expect(outcome.status, where).toBe(EXIT[signal]);
          const {changed, error} = reportOf(outcome);
          expect(changed, where).toBe(false);
          if (error?.message.includes('put back') === true) putBack += 1;
          await expectAsBefore(host, before, where);
        }
        // Most cuts come when something has been changed already; else this scenario proved nothing.
        expect(putBack).toBeGreaterThan(2);
      }),
  );

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
        await until(
          'the run to wait',
          async () =>
            (await host.exists('/var/lib/waxseal/state.json')) &&
            (await host.processes('waxseal.js')).length > 0
              ? true
              : undefined,
          {withinMs: 300_000},
        );
        await until(
          'it to have asked once',
          () => (running.output().stderr.includes('ns1.example.com') ? true : undefined),
          {withinMs: 300_000},
        );
        const begun = performance.now();
        for (const pid of await host.processes('dist/waxseal.js'))
          await host.must(['kill', `-${signal}`, String(pid)]);
        const outcome = await running.finished;
        // Not after the two minutes for which it was to wait.
        expect(performance.now() - begun).toBeLessThan(20_000);
        expect(outcome.status, describeOutcome(outcome)).toBe(EXIT[signal]);
        expect(reportOf(outcome).changed).toBe(false);
        await expectAsBefore(host, before, signal);
      }),
  );
});
