/** How long the record of a retired key stays at least, proven without the rest of the scheduler. */

import {describe, expect, it} from 'vitest';
import {DEFAULT_SETTINGS, due, type KeyEntry, keepMs, type RotationFacts} from '../../src/rotation/index.ts';
import type {QueueFacts} from '../../src/services/mta.ts';
import {fc} from '../support/fast-check.ts';
import {keyIn, NOW, servers} from './keys.ts';

const DAY = 86_400_000;
const WEEK = 7 * DAY;

const queue = (lifetimeSeconds: number, bounceSeconds = lifetimeSeconds): QueueFacts => ({
  known: true,
  lifetimeSeconds,
  bounceSeconds,
});

const facts = (now: number, known: QueueFacts): RotationFacts => ({
  now: new Date(now),
  settings: DEFAULT_SETTINGS,
  queue: known,
  inUse: new Map(),
  records: new Map([
    [retired.record.name, {seen: 'key', servers, resolver: 'unknown', negativeSeconds: 300}],
  ]),
});

const retired: KeyEntry = {...keyIn('retiring', '202611'), ttlSeconds: 300};
const switchedAt = Date.parse(NOW);

describe('the week', () => {
  it('is the least, however short queues and TTLs are', () => {
    fc.assert(
      fc.property(
        fc.integer({min: 0, max: 40 * 86_400}),
        fc.integer({min: 0, max: 40 * 86_400}),
        fc.option(fc.integer({min: 0, max: 7 * 86_400}), {nil: undefined}),
        (lifetime, bounce, ttl) => {
          const {ttlSeconds: _old, ...rest} = retired;
          const key: KeyEntry = ttl === undefined ? rest : {...rest, ttlSeconds: ttl};
          const kept = keepMs(key, facts(switchedAt, queue(lifetime, bounce)));
          expect(kept).toBeGreaterThanOrEqual(WEEK);
          expect(kept).toBeGreaterThanOrEqual((Math.max(lifetime, bounce) + (ttl ?? 0)) * 1000 + DAY);
          expect([WEEK, (Math.max(lifetime, bounce) + (ttl ?? 0)) * 1000 + DAY]).toContain(kept);
        },
      ),
    );
  });

  it('holds where the queue cannot be read', () => {
    expect(keepMs(retired, facts(switchedAt, {known: false, why: 'no postconf'}))).toBe(WEEK);
  });

  it.each([
    ['no queue at all', queue(0), WEEK],
    ['one hour in the queue', queue(3600), WEEK],
    ['five days, as Postfix has it', queue(5 * 86_400), WEEK],
    ['six days and more', queue(6 * 86_400), WEEK + 300_000],
    ['bounces that stay for ten days', queue(3600, 10 * 86_400), 11 * DAY + 300_000],
  ])('ends to the millisecond: %s', (_name, known, kept) => {
    // The queue was seen without such a message, and long enough ago.
    const key: KeyEntry = {...retired, clearSince: new Date(switchedAt + DAY).toISOString()};
    const step = (ms: number) => due({keys: [key]}, facts(switchedAt + ms, known))[0];
    const early = step(kept - 1);
    expect(early?.act).toBeUndefined();
    expect(early?.waitsFor).toBe('time');
    expect(early?.notBefore?.getTime()).toBe(switchedAt + kept);
    expect(step(kept)?.act).toEqual({do: 'withdraw', because: 'not-needed'});
  });

  it('does not end it where the queue holds a message of before', () => {
    const key: KeyEntry = {...retired, clearSince: new Date(switchedAt + DAY).toISOString()};
    const held: QueueFacts = {
      known: true,
      lifetimeSeconds: 3600,
      bounceSeconds: 3600,
      oldest: {at: new Date(switchedAt - 1000).toISOString(), id: '4X1', where: 'hold', how: 'deliver it'},
    };
    const steps = [WEEK, 30 * DAY].map(ms => due({keys: [key]}, facts(switchedAt + ms, held))[0]);
    for (const step of steps) expect(step?.act).toEqual({do: 'note', clearSince: undefined});
    const {clearSince: _gone, ...noted} = key;
    const [step] = due({keys: [noted]}, facts(switchedAt + 30 * DAY, held));
    expect(step).toMatchObject({waitsFor: 'queue', level: 'warn'});
    expect(step?.text).toContain('message 4X1 (hold)');
  });
});
