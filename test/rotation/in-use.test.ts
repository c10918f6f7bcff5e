/** A key that a signer of this host still uses is not revoked, not deleted, not destroyed, and its time stands still. */
import {describe, expect, it} from 'vitest';
import {
  DEFAULT_SETTINGS,
  type Due,
  due,
  type KeyEntry,
  type RotationFacts,
  type SeenAs,
  transition,
} from '../../src/rotation/index.ts';
import {keyIn} from './keys.ts';

const DAY = 86_400_000;
const SWITCHED = Date.parse('2026-11-19T12:00:00.000Z');
const USE = 'OpenDKIM still signs with this key: *@mail.example.org x (/etc/opendkim/SigningTable line 3).';
const servers = [{address: '192.0.2.1', serial: 1}];

const retiring: KeyEntry = {
  ...keyIn('retiring', '202611', 'rsa', new Date(SWITCHED).toISOString()),
  ttlSeconds: 300,
};

function stepOf(key: KeyEntry, days: number, seen: SeenAs, inUse: boolean): Due | undefined {
  const facts: RotationFacts = {
    now: new Date(SWITCHED + days * DAY),
    settings: DEFAULT_SETTINGS,
    queue: {known: true, lifetimeSeconds: 432_000, bounceSeconds: 432_000},
    records: new Map([[key.record.name, {seen, servers, resolver: 'unknown', negativeSeconds: 300}]]),
    inUse: new Map(inUse ? [[key.record.name, USE]] : []),
  };
  return due({keys: [key]}, facts)[0];
}

const noted = (days: number): KeyEntry => ({
  ...retiring,
  usedAt: new Date(SWITCHED + days * DAY).toISOString(),
});

describe('a retiring key', () => {
  const clear = {clearSince: new Date(SWITCHED + DAY).toISOString()};

  it('is to be revoked after its time, and not while a row uses it', () => {
    expect(stepOf({...retiring, ...clear}, 40, 'key', false)?.act).toMatchObject({do: 'withdraw'});
    expect(stepOf({...retiring, ...clear}, 40, 'key', true)?.act).toMatchObject({do: 'note-use'});
    const step = stepOf(noted(40), 40, 'key', true);
    expect(step?.act).toBeUndefined();
    expect(step).toMatchObject({waitsFor: 'person', level: 'warn'});
    expect(step?.text).toBe(`Keep the record 202611._domainkey.example.org. ${USE}`);
  });

  it('is not asked to be revoked any more, where somebody was asked before', () => {
    const asked: KeyEntry = {
      ...noted(40),
      withdrawal: {at: new Date(SWITCHED + 10 * DAY).toISOString(), because: 'not-needed'},
    };
    expect(stepOf(asked, 40, 'key', false)?.text).toMatch(/^Revoke /);
    expect(stepOf(asked, 40, 'key', true)?.text).toMatch(/^Keep /);
  });

  it('is not even revoked at once where it is leaked: the rows that use it come first', () => {
    const leaked: KeyEntry = {...noted(1), leakedAt: new Date(SWITCHED).toISOString()};
    expect(stepOf(leaked, 1, 'key', false)?.act).toMatchObject({do: 'withdraw', because: 'leaked'});
    expect(stepOf(leaked, 1, 'key', true)).toMatchObject({waitsFor: 'person', level: 'alarm'});
  });

  it('must be put back where its record is gone, and does not become revoked or removed', () => {
    for (const seen of ['absent', 'revoked', 'other'] as const) {
      const step = stepOf(noted(40), 40, seen, true);
      expect(step?.act, seen).toBeUndefined();
      expect(step?.level, seen).toBe('alarm');
      expect(step?.text, seen).toMatch(
        /^Put the record 202611\._domainkey\.example\.org back: OpenDKIM still signs/,
      );
    }
  });

  it('stays for its whole time after the last row has left it', () => {
    expect(stepOf(noted(40), 41, 'key', false)?.act).toMatchObject({do: 'note'});
    const [early, late] = [46.5, 47.5].map(days =>
      stepOf({...noted(40), clearSince: new Date(SWITCHED + 42 * DAY).toISOString()}, days, 'key', false),
    );
    expect(early).toMatchObject({waitsFor: 'time'});
    expect(late?.act).toMatchObject({do: 'withdraw'});
  });

  it('has its use noted once an hour, and what was known of the queue is forgotten', () => {
    expect(stepOf(noted(40), 40 + 0.5 / 24, 'key', true)?.act).toBeUndefined();
    expect(stepOf(noted(40), 40 + 1.5 / 24, 'key', true)?.act).toEqual({
      do: 'note-use',
      at: new Date(SWITCHED + 40 * DAY + 5_400_000).toISOString(),
    });
    expect(stepOf({...noted(40), ...clear}, 40, 'key', true)?.act).toMatchObject({do: 'note-use'});
  });
});

describe('a revoked key', () => {
  const moved = transition(
    retiring,
    'revoked',
    {kind: 'revocation-seen', servers},
    new Date(SWITCHED + 10 * DAY),
  );
  const revoked = moved.ok ? moved.value : retiring;

  it.each(['absent', 'revoked'] as const)(
    'is neither deleted nor destroyed while a row uses it: %s',
    seen => {
      expect(stepOf(revoked, 100, 'absent', false)?.act).toMatchObject({do: 'destroy'});
      const step = stepOf(revoked, 100, seen, true);
      expect(step).toMatchObject({waitsFor: 'person', level: 'alarm'});
      expect(step?.act).toBeUndefined();
      expect(step?.text).not.toMatch(/Delete|Revoke/);
    },
  );
});
