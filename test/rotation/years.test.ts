/** The invariants of docs/explanation/rotation.md over simulated years with random events. */

import {expect, test} from 'vitest';
import {ageOf, isComing} from '../../src/rotation/index.ts';
import {fc} from '../support/fast-check.ts';
import {DAY, HOUR, Model} from './model.ts';

type Event =
  | {readonly event: 'run'; readonly crashAt: number | undefined}
  | {readonly event: 'obey'; readonly isWrong: boolean}
  | {readonly event: 'mail'; readonly delay: number; readonly held: number; readonly share: number}
  | {readonly event: 'away'; readonly ms: number}
  | {readonly event: 'lag'; readonly ms: number}
  | {readonly event: 'silent'; readonly isSilent: boolean}
  | {readonly event: 'clock'; readonly ms: number; readonly reboot: boolean}
  | {readonly event: 'reboot'}
  | {readonly event: 'spoil'; readonly at: number}
  | {readonly event: 'leak'}
  | {readonly event: 'standby'; readonly isOn: boolean}
  | {readonly event: 'remove'};

/** How many other stories than the usual ones: a fault that one of them finds is not the fault of the change at hand. */
const YEARS = process.env['WAXSEAL_YEARS'];

const hours = (most: number): fc.Arbitrary<number> =>
  fc.integer({min: 0, max: most}).map(count => count * HOUR);

const events: fc.Arbitrary<Event> = fc.oneof(
  {weight: 12, arbitrary: fc.record({event: fc.constant('run' as const), crashAt: fc.constant(undefined)})},
  {weight: 4, arbitrary: fc.record({event: fc.constant('run' as const), crashAt: fc.nat({max: 3})})},
  {weight: 8, arbitrary: fc.record({event: fc.constant('obey' as const), isWrong: fc.boolean()})},
  {
    weight: 10,
    arbitrary: fc.record({
      event: fc.constant('mail' as const),
      delay: hours(24 * 5),
      share: fc.constantFrom(0, 0.5, 1),
      held: fc.oneof({weight: 9, arbitrary: fc.constant(0)}, {weight: 1, arbitrary: hours(24 * 60)}),
    }),
  },
  {weight: 2, arbitrary: fc.record({event: fc.constant('away' as const), ms: hours(24 * 200)})},
  {weight: 2, arbitrary: fc.record({event: fc.constant('lag' as const), ms: hours(12)})},
  {weight: 1, arbitrary: fc.record({event: fc.constant('silent' as const), isSilent: fc.boolean()})},
  {
    weight: 1,
    arbitrary: fc
      .record({
        event: fc.constant('clock' as const),
        ms: fc.integer({min: -24 * 400, max: 24 * 400}).map(count => count * HOUR),
        reboot: fc.boolean(),
      })
      .map(each => (each.ms > 0 ? {...each, reboot: false} : each)),
  },
  {weight: 1, arbitrary: fc.record({event: fc.constant('reboot' as const)})},
  {weight: 1, arbitrary: fc.record({event: fc.constant('spoil' as const), at: fc.nat({max: 20})})},
  {weight: 1, arbitrary: fc.record({event: fc.constant('leak' as const)})},
  {weight: 1, arbitrary: fc.record({event: fc.constant('standby' as const), isOn: fc.boolean()})},
);

function happen(model: Model, event: Event): void {
  switch (event.event) {
    case 'run':
      model.advance(event.crashAt);
      return;
    case 'obey':
      model.obey(model.advance(), event.isWrong);
      return;
    case 'mail':
      model.send(event.delay, event.held, event.share);
      return;
    case 'away':
      model.pass(event.ms);
      return;
    case 'lag':
      model.lag = event.ms;
      return;
    case 'silent':
      model.dnsSilent = event.isSilent;
      return;
    case 'clock':
      // A run just before, so that only this jump is between two readings.
      model.advance();
      model.jump(event.ms, event.reboot);
      model.advance();
      return;
    case 'reboot':
      model.jump(0, true);
      return;
    case 'spoil':
      model.spoil(event.at);
      return;
    case 'leak':
      model.leak();
      return;
    case 'standby':
      model.settings = {...model.settings, standby: event.isOn};
      return;
    case 'remove':
      model.removeDomain();
      return;
  }
}

/** Everything works and everybody does what is asked, for so long. */
function calm(model: Model, days: number): void {
  model.lag = HOUR;
  model.dnsSilent = false;
  for (let day = 0; day < days; day += 1) {
    model.obey(model.advance(), false);
    if (day % 3 === 0) model.send(20 * HOUR, 0);
    model.pass(DAY);
  }
}

const timed = fc.array(fc.tuple(events, hours(36)), {minLength: 40, maxLength: 400, size: 'max'});

test('whatever happens over years: one key, visible, kept while needed, and always a next step', () => {
  const sums = {switches: 0, removals: 0, verified: 0, crashes: 0};
  fc.assert(
    fc.property(timed, fc.boolean(), (story, isRemoved) => {
      const model = new Model();
      for (const [event, ms] of story) {
        happen(model, event);
        model.pass(ms);
      }
      if (isRemoved) model.removeDomain();
      calm(model, 600);
      expect(model.faults).toEqual([]);
      // Nothing has stalled: what was old is gone, and what signs is not old.
      const now = model.now();
      for (const key of model.state.keys) {
        if (key.state === 'active') expect(ageOf(key, model.state, now)).toBeLessThan(190 * DAY);
        else if (isRemoved) expect(key.state).toBe('removed');
        else if (!isComing(key) && key.state !== 'removed') {
          expect(ageOf(key, model.state, now), `${key.selector} ${key.state}`).toBeLessThan(
            (180 + 10 + 40) * DAY,
          );
        }
      }
      sums.switches += model.switches;
      sums.removals += model.removals;
      sums.verified += model.verified;
      sums.crashes += model.crashes;
    }),
    YEARS === undefined
      ? {endOnFailure: true, numRuns: 150, seed: 20261121}
      : {endOnFailure: true, numRuns: Number(YEARS)},
  );
  // The stories must have been about something.
  expect(sums.switches).toBeGreaterThan(300);
  expect(sums.removals).toBeGreaterThan(300);
  expect(sums.verified).toBeGreaterThan(5000);
  expect(sums.crashes).toBeGreaterThan(100);
  console.log(`simulated: ${JSON.stringify(sums)}`);
});
