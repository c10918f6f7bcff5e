/** RSA and Ed25519 of one domain: each has a life of its own, and neither changes anything for the other. */

import {describe, expect, it} from 'vitest';
import type {DnsName} from '../../src/domain/names.ts';
import {
  activate,
  addEntry,
  DEFAULT_SETTINGS,
  type Due,
  due,
  findEntry,
  isComing,
  type KeyEntry,
  type KeyState,
  putEntry,
  type RecordFacts,
  type RotationFacts,
  type RotationState,
  revokedValue,
  type SeenAs,
  transition,
} from '../../src/rotation/index.ts';
import {fc} from '../support/fast-check.ts';
import {keyIn, NOW, servers, take} from './keys.ts';

const DAY = 86_400_000;
const ALGORITHMS = ['rsa', 'ed25519'] as const;
type Algorithm = (typeof ALGORITHMS)[number];

const seenAs = fc.constantFrom<SeenAs>('key', 'revoked', 'absent', 'other', 'split', 'unknown');

/** States that one algorithm of one domain can have at the same time: one signs at most, one is on its way at most. */
const lives = (algorithm: Algorithm): fc.Arbitrary<readonly KeyEntry[]> =>
  fc
    .record({
      coming: fc.option(fc.constantFrom<KeyState>('staged', 'pending', 'ready'), {nil: undefined}),
      active: fc.option(fc.constant<KeyState>('active'), {nil: undefined}),
      old: fc.array(fc.constantFrom<KeyState>('retiring', 'revoked', 'removed'), {maxLength: 3}),
      days: fc.array(fc.integer({min: 0, max: 400}), {minLength: 5, maxLength: 5}),
      standby: fc.boolean(),
      leaked: fc.boolean(),
    })
    .map(({coming, active, old, days, standby, leaked}) =>
      [...old, active, coming].flatMap((state, index) => {
        if (state === undefined) return [];
        const at = new Date(Date.parse(NOW) - (days[index] ?? 0) * DAY).toISOString();
        const key = keyIn(state, `${algorithm}${index}`, algorithm, at);
        return [
          {
            ...key,
            ...(standby && isComing({state}) ? {standby: true as const} : {}),
            ...(leaked && state === 'active' ? {leakedAt: NOW} : {}),
          },
        ];
      }),
    );

const factsFor = (keys: readonly KeyEntry[], seen: readonly SeenAs[], now = NOW): RotationFacts => ({
  now: new Date(now),
  settings: DEFAULT_SETTINGS,
  queue: {known: true, lifetimeSeconds: 432_000, bounceSeconds: 432_000},
  inUse: new Map(),
  records: new Map(
    keys.map((key, index): [DnsName, RecordFacts] => [
      key.record.name,
      {seen: seen[index % seen.length] ?? 'key', servers, resolver: 'key', negativeSeconds: 300},
    ]),
  ),
});

const only = (all: readonly Due[], algorithm: Algorithm): readonly Due[] =>
  all.filter(step => step.algorithm === algorithm);

describe('RSA beside Ed25519', () => {
  it('is decided for each as if the other were not there', () => {
    fc.assert(
      fc.property(
        lives('rsa'),
        lives('ed25519'),
        fc.array(seenAs, {minLength: 3, maxLength: 9}),
        (rsa, ed25519, seen) => {
          const both = [...rsa, ...ed25519].toSorted((one, other) =>
            one.selector < other.selector ? -1 : 1,
          );
          const facts = factsFor(both, seen);
          const together = due({keys: both}, facts);
          for (const algorithm of ALGORITHMS) {
            const alone = due({keys: both.filter(key => key.algorithm === algorithm)}, facts);
            expect(only(together, algorithm)).toEqual(alone);
          }
        },
      ),
      {numRuns: 1000},
    );
  });

  it('rotates each at its own time, one signing key each, and revokes each with its own k=', () => {
    // Ed25519 is ninety days younger: its rotation comes ninety days later.
    let state: RotationState = {keys: []};
    const begun = Date.parse(NOW);
    state = take(addEntry(state, keyIn('active', 'rsa0', 'rsa', NOW)));
    state = take(
      addEntry(state, keyIn('active', 'ed0', 'ed25519', new Date(begun + 90 * DAY).toISOString())),
    );
    const shown = new Map<DnsName, SeenAs>(state.keys.map(({record}) => [record.name, 'key']));
    const switched: string[] = [];
    for (let hour = 90 * 24; hour < 420 * 24; hour += 6) {
      const now = new Date(begun + hour * 3_600_000);
      const facts: RotationFacts = {
        ...factsFor(state.keys, ['key'], now.toISOString()),
        records: new Map(
          state.keys.map(({record}) => [
            record.name,
            {seen: shown.get(record.name) ?? 'absent', servers, resolver: 'key', negativeSeconds: 300},
          ]),
        ),
      };
      for (const step of due(state, facts)) {
        const key = findEntry(state, step.domain, step.selector);
        if (key === undefined) throw new Error(step.selector);
        state = perform(state, key, step, now, shown, switched);
      }
      for (const algorithm of ALGORITHMS) {
        const same = state.keys.filter(each => each.algorithm === algorithm);
        expect(same.filter(each => each.state === 'active')).toHaveLength(1);
        expect(same.filter(isComing).length).toBeLessThanOrEqual(1);
      }
    }
    const day = (text: string | undefined): number => Number(text?.split(' ')[0]);
    const of = (algorithm: Algorithm): readonly string[] => switched.filter(each => each.endsWith(algorithm));
    expect(of('rsa')).toHaveLength(2);
    expect(of('ed25519')).toHaveLength(1);
    expect(day(of('ed25519')[0]) - day(of('rsa')[0])).toBe(90);
    // The first keys are gone, and what was published in their place named their own algorithm.
    expect(state.keys.slice(0, 2).map(({selector, state: now}) => `${selector} ${now}`)).toEqual([
      'rsa0 removed',
      'ed0 removed',
    ]);
    expect(revokedValue({algorithm: 'ed25519'})).toBe('v=DKIM1; k=ed25519; p=');
  });
});

/** What the scheduler decides, done; a person does at once what is asked for. */
function perform(
  state: RotationState,
  key: KeyEntry,
  {act, waitsFor, text}: Due,
  now: Date,
  shown: Map<DnsName, SeenAs>,
  switched: string[],
): RotationState {
  if (act === undefined) {
    if (waitsFor === 'person' && text.startsWith('Publish')) shown.set(key.record.name, 'key');
    if (waitsFor === 'person' && text.startsWith('Revoke')) {
      expect(text).toContain(`k=${key.algorithm}; p=`);
      shown.set(key.record.name, 'revoked');
    }
    if (waitsFor === 'person' && text.startsWith('Delete')) shown.set(key.record.name, 'absent');
    return state;
  }
  switch (act.do) {
    case 'stage': {
      const count = state.keys.filter(({algorithm}) => algorithm === key.algorithm).length;
      const next = keyIn('staged', `${key.algorithm}n${count}`, key.algorithm, now.toISOString());
      expect(next.log).toHaveLength(1);
      return take(addEntry(state, next));
    }
    case 'publish':
      return take(putEntry(state, take(transition(key, 'pending', {kind: 'record-shown'}, now))));
    case 'move':
      return take(putEntry(state, take(transition(key, act.to, act.evidence, now))));
    case 'switch': {
      switched.push(`${Math.floor((now.getTime() - Date.parse(NOW)) / DAY)} ${key.algorithm}`);
      const evidence = {kind: 'signing-proven', run: 'r', checks: ['probe']} as const;
      return take(activate(state, key.domain, key.selector, evidence, now));
    }
    case 'note': {
      const {clearSince: _old, ...rest} = key;
      return take(
        putEntry(state, act.clearSince === undefined ? rest : {...rest, clearSince: act.clearSince}),
      );
    }
    case 'note-use':
      throw new TypeError('no key is in use here');
    case 'withdraw':
      return take(putEntry(state, {...key, withdrawal: {at: now.toISOString(), because: act.because}}));
    case 'destroy':
      return take(putEntry(state, take(transition(key, 'removed', act.evidence, now))));
  }
}
