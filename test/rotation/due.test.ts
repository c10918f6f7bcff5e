/** What is due, as tables: each boundary from both sides. */
import {describe, expect, it} from 'vitest';
import type {DomainName} from '../../src/domain/names.ts';
import {DEFAULT_SETTINGS, type Due, due, type KeyEntry, type RecordFacts} from '../../src/rotation/index.ts';
import type {QueueFacts} from '../../src/services/mta.ts';
import {keyIn, NOW} from './keys.ts';

const {marginMs, safetyMs, floorMs, intervalMs} = DEFAULT_SETTINGS;
const HOUR = 3600;
const BEGUN = Date.parse(NOW);
const at = (ms: number): Date => new Date(BEGUN + ms);

const EMPTY: QueueFacts = {known: true, lifetimeSeconds: 432_000, bounceSeconds: 432_000};
const THERE: RecordFacts = {
  ...{seen: 'key', servers: [{address: '192.0.2.1'}], resolver: 'key', negativeSeconds: HOUR},
};

interface Given {
  readonly keys: readonly KeyEntry[];
  readonly now: Date;
  readonly record?: Partial<RecordFacts>;
  readonly queue?: QueueFacts;
}

/** What is due for the first of the keys. */
function dueFor({keys, now, record = {}, queue = EMPTY}: Given): Due {
  const facts = {
    ...{now, settings: DEFAULT_SETTINGS, queue, inUse: new Map()},
    records: new Map(keys.map(key => [key.record.name, {...THERE, ...record}])),
  };
  const [first] = due({keys}, facts);
  if (first === undefined) throw new Error('nothing is due');
  return first;
}

/** `act switch`, `act note`, or what is waited for. */
const said = ({act, waitsFor}: Due): string => (act === undefined ? waitsFor : `act ${act.do}`);

const old = keyIn('active', 'old');
const leaked: KeyEntry = {...old, leakedAt: NOW};
const next = keyIn('ready', 'next');

describe('a key that is ready signs', () => {
  it.each<[string, KeyEntry, number, Partial<RecordFacts>, string]>([
    [
      'a moment before the negative answer and the margin are over',
      {...next, cacheSeconds: HOUR},
      HOUR * 1000 + marginMs - 1,
      {},
      'time',
    ],
    ['when both are over', {...next, cacheSeconds: HOUR}, HOUR * 1000 + marginMs, {}, 'act switch'],
    ['when only the negative answer is over', {...next, cacheSeconds: HOUR}, HOUR * 1000, {}, 'time'],
    ['when only the margin is over', {...next, cacheSeconds: HOUR}, marginMs, {}, 'time'],
    [
      'by the zone of now where the one of then is not known, before',
      next,
      HOUR * 1000 + marginMs - 1,
      {},
      'time',
    ],
    [
      'by the zone of now where the one of then is not known, after',
      next,
      HOUR * 1000 + marginMs,
      {},
      'act switch',
    ],
    [
      'by the zone of then, not by that of now',
      {...next, cacheSeconds: 60},
      60_000 + marginMs,
      {},
      'act switch',
    ],
    ['where a resolver still denies it', next, 2 * HOUR * 1000 + marginMs, {resolver: 'other'}, 'dns'],
    ['where no resolver answers', next, 2 * HOUR * 1000 + marginMs, {resolver: 'unknown'}, 'act switch'],
    ['where no name server answers', next, 2 * HOUR * 1000 + marginMs, {seen: 'unknown'}, 'dns'],
    ['where it is gone again', next, 2 * HOUR * 1000 + marginMs, {seen: 'absent'}, 'act move'],
  ])('%s', (_, key, ms, record, wanted) => {
    expect(said(dueFor({keys: [key, old], now: at(ms), record}))).toBe(wanted);
  });

  it('not before a moment that is told to the millisecond', () => {
    const step = dueFor({keys: [{...next, cacheSeconds: HOUR}, old], now: at(1000)});
    expect(step.notBefore).toEqual(at(HOUR * 1000 + marginMs));
  });
});

describe('where the key that signs is leaked', () => {
  it.each<[string, KeyEntry, Partial<RecordFacts>, string]>([
    ['the next one signs at once', {...next, cacheSeconds: HOUR}, {}, 'act switch'],
    ['though the resolver denies it', {...next, cacheSeconds: HOUR}, {resolver: 'other'}, 'act switch'],
    ['also where it stood by', {...next, standby: true}, {resolver: 'other'}, 'act switch'],
    ['never unseen', next, {seen: 'unknown'}, 'dns'],
    ['never where a server lacks it', next, {seen: 'split'}, 'act move'],
  ])('%s', (_, key, record, wanted) => {
    expect(said(dueFor({keys: [key, leaked], now: at(0), record}))).toBe(wanted);
  });

  it('a next one is made at once, and its record is revoked as soon as it signs no more', () => {
    expect(said(dueFor({keys: [leaked], now: at(0)}))).toBe('act stage');
    const retired: KeyEntry = {...keyIn('retiring', 'old'), leakedAt: NOW};
    expect(dueFor({keys: [retired], now: at(0)}).act).toEqual({do: 'withdraw', because: 'leaked'});
  });

  it('a key that stands by and is not needed stays', () => {
    expect(said(dueFor({keys: [{...next, standby: true}, old], now: at(intervalMs - 1)}))).toBe('time');
    expect(said(dueFor({keys: [{...next, standby: true}, old], now: at(intervalMs)}))).toBe('act switch');
  });
});

describe('a key that retires is kept for the oldest message in the queue', () => {
  const retiring = keyIn('retiring', 'old');
  const long = at(10 * floorMs);
  const oldest = (ms: number): QueueFacts => ({
    ...EMPTY,
    oldest: {at: at(ms).toISOString(), id: '4XQ', where: 'hold', how: 'deliver it'},
  });
  it.each<[string, QueueFacts, string]>([
    ['that came in before the switch', oldest(-1), 'queue'],
    ['that came in at the last moment of the safety time', oldest(safetyMs), 'queue'],
    ['unless it came in a moment later', oldest(safetyMs + 1), 'act note'],
    ['unless there is none', EMPTY, 'act note'],
    ['or for one that cannot be seen', {known: false, why: 'postqueue is gone'}, 'queue'],
  ])('%s', (_, queue, wanted) => {
    expect(said(dueFor({keys: [retiring], now: long, queue}))).toBe(wanted);
  });

  it('and the safety time after it was seen to be clear', () => {
    const clear = {...retiring, clearSince: long.toISOString()};
    const later = (ms: number): Date => new Date(long.getTime() + ms);
    expect(said(dueFor({keys: [clear], now: later(safetyMs - 1)}))).toBe('time');
    expect(said(dueFor({keys: [clear], now: later(safetyMs)}))).toBe('act withdraw');
  });

  it.each<[string, Partial<KeyEntry>, QueueFacts, number]>([
    ['a week at least', {}, {...EMPTY, lifetimeSeconds: 0, bounceSeconds: 0}, floorMs],
    [
      'the life of a message in the queue, the TTL and the safety time',
      {ttlSeconds: 864_000},
      EMPTY,
      (432_000 + 864_000) * 1000 + safetyMs,
    ],
    [
      'the life of a bounce where that is longer',
      {ttlSeconds: 864_000},
      {...EMPTY, bounceSeconds: 864_000},
      2 * 864_000 * 1000 + safetyMs,
    ],
  ])('and after the switch for %s', (_, more, queue, ms) => {
    const clear = {...retiring, ...more, clearSince: at(safetyMs).toISOString()};
    expect(said(dueFor({keys: [clear], now: at(ms - 1), queue}))).toBe('time');
    expect(said(dueFor({keys: [clear], now: at(ms), queue}))).toBe('act withdraw');
  });
});

it('decides for each domain by its own keys', () => {
  const other = {...old, domain: 'example.com' as string as DomainName};
  expect(said(dueFor({keys: [next, other], now: at(10 * HOUR * 1000)}))).toBe('person');
});
