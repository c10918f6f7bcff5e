import fs from 'node:fs';
import {diffLines} from 'diff';
import {describe, expect, it} from 'vitest';
import {parseDnsName, parseDomain, parseSelector} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import type {Result} from '../../src/domain/result.ts';
import {
  activate,
  activeEntry,
  addEntry,
  comingEntry,
  dropDraft,
  EMPTY_STATE,
  type Evidence,
  findEntry,
  formatState,
  type KeyEntry,
  type KeyState,
  loadDraft,
  loadState,
  newEntry,
  nextStep,
  parseState,
  proposeSelector,
  putEntry,
  saveDraft,
  saveState,
  transition,
} from '../../src/rotation/index.ts';
import {scratch} from '../system/scratch.ts';

const take = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};
const domain = take(parseDomain('example.org'));
const selector = (text: string) => take(parseSelector(text));
const now = new Date('2026-11-21T10:00:00Z');
const servers = [{address: '192.0.2.1', serial: 7}];
const proven = {kind: 'signing-proven', run: '20261121T100000Z-0000', checks: ['probe.signature']} as const;

const staged = (name: string): KeyEntry =>
  newEntry(
    {
      domain,
      selector: selector(name),
      algorithm: 'rsa',
      bits: 2048,
      record: {
        name: take(parseDnsName(`${name}._domainkey.example.org`)),
        zone: take(parseDnsName('example.org')),
        relativeName: `${name}._domainkey`,
        value: 'v=DKIM1; k=rsa; p=AAAA',
      },
      stagedPath: absolute(`/var/lib/waxseal/keys/example.org/${name}.pem`),
    },
    {kind: 'self-test', fingerprint: 'abc'},
    now,
  );

const PATH: readonly (readonly [KeyState, Evidence])[] = [
  ['pending', {kind: 'record-shown'}],
  ['ready', {kind: 'servers-agree', servers}],
  ['active', proven],
  ['retiring', {kind: 'superseded', by: selector('202612')}],
  ['revoked', {kind: 'revocation-seen', servers, oldestQueuedAt: '2026-11-20T10:00:00.000Z'}],
  ['removed', {kind: 'record-gone', servers, key: 'shredded'}],
];

/** A key that has come as far as `state`. */
function at(state: KeyState, name = '202611'): KeyEntry {
  let entry = staged(name);
  for (const [to, evidence] of PATH) {
    if (entry.state === state) break;
    entry = take(transition(entry, to, evidence, now));
  }
  return entry;
}

describe('life of a key', () => {
  it('goes the whole way, each step with its evidence, and logs it', () => {
    const entry = at('removed');
    expect(entry.log.map(line => `${line.from}>${line.to} ${line.evidence.kind}`)).toEqual([
      'none>staged self-test',
      'staged>pending record-shown',
      'pending>ready servers-agree',
      'ready>active signing-proven',
      'active>retiring superseded',
      'retiring>revoked revocation-seen',
      'revoked>removed record-gone',
    ]);
    expect(entry).toMatchObject({publishedAt: now.toISOString(), activatedAt: now.toISOString()});
  });

  it('never takes a step on the evidence of another, and never skips one', () => {
    const states: readonly KeyState[] = [
      'staged',
      'pending',
      'ready',
      'active',
      'retiring',
      'revoked',
      'removed',
    ];
    const kinds = [
      ...PATH.map(([, evidence]) => evidence),
      {kind: 'undone', run: 'r'},
      {kind: 'abandoned', why: 'w'},
    ] as const;
    const allowed: string[] = [];
    for (const from of states) {
      for (const to of states) {
        for (const evidence of kinds) {
          if (transition(at(from), to, evidence, now).ok) allowed.push(`${from}>${to} ${evidence.kind}`);
        }
      }
    }
    expect(allowed.sort()).toEqual([
      'active>ready undone',
      'active>retiring superseded',
      'pending>ready servers-agree',
      'pending>removed abandoned',
      'ready>active signing-proven',
      'ready>removed abandoned',
      'retiring>active undone',
      'retiring>removed record-gone',
      'retiring>revoked revocation-seen',
      'revoked>removed record-gone',
      'staged>pending record-shown',
      'staged>removed abandoned',
    ]);
  });

  it('takes no agreement of no servers and no proof of no checks', () => {
    expect(transition(at('pending'), 'ready', {kind: 'servers-agree', servers: []}, now).ok).toBe(false);
    expect(transition(at('ready'), 'active', {...proven, checks: []}, now).ok).toBe(false);
  });

  it('keeps the first publication when a record was lost and came back', () => {
    const later = new Date(now.getTime() + 1000);
    const lost = take(transition(at('ready'), 'pending', {kind: 'record-lost', servers}, later));
    const back = take(transition(lost, 'ready', {kind: 'servers-agree', servers}, later));
    expect(back.publishedAt).toBe(now.toISOString());
  });

  it.each(['staged', 'pending', 'ready', 'active', 'retiring', 'revoked', 'removed'] as const)(
    'names a next step for %s',
    state => expect(nextStep(at(state), now).text).not.toBe(''),
  );

  it('waits out negative caches, queues and the revocation', () => {
    const due = (entry: KeyEntry): string | undefined => nextStep(entry, now).due?.toISOString();
    expect(due({...at('ready'), cacheSeconds: 3600})).toBe('2026-11-21T11:00:00.000Z');
    expect(due(at('ready'))).toBeUndefined();
    expect(due(at('retiring'))).toBe('2026-11-28T10:00:00.000Z');
    expect(due(at('revoked'))).toBe('2026-12-21T10:00:00.000Z');
    expect(nextStep(at('retiring'), new Date('2026-11-29T00:00:00Z')).due).toBeUndefined();
  });
});

describe('all keys of a host', () => {
  it('retires the old key in the same breath as the new one becomes active', () => {
    let state = take(addEntry(EMPTY_STATE, at('active')));
    state = take(addEntry(state, at('ready', '202612')));
    expect(comingEntry(state, domain, 'rsa')?.selector).toBe('202612');
    const next = take(activate(state, domain, selector('202612'), proven, now));
    expect(activeEntry(next, domain, 'rsa')?.selector).toBe('202612');
    expect(findEntry(next, domain, selector('202611'))?.state).toBe('retiring');
    expect(activate(next, domain, selector('202612'), proven, now).ok).toBe(false);
    expect(activate(next, domain, selector('209901'), proven, now)).toMatchObject({
      problem: {id: 'life.unknown'},
    });
  });

  it('never has a selector twice, two active keys or two on their way', () => {
    const state = take(addEntry(EMPTY_STATE, at('removed')));
    expect(addEntry(state, staged('202611'))).toMatchObject({problem: {id: 'selector.taken'}});
    const active = take(addEntry(EMPTY_STATE, at('active')));
    expect(addEntry(active, at('active', '202612'))).toMatchObject({problem: {id: 'life.two-active'}});
    const coming = take(addEntry(active, at('staged', '202612')));
    expect(addEntry(coming, at('pending', '202613'))).toMatchObject({problem: {id: 'life.two-coming'}});
    expect(putEntry(EMPTY_STATE, staged('202611'))).toMatchObject({problem: {id: 'life.unknown'}});
    const ed = {...at('active', 'ed'), algorithm: 'ed25519' as const};
    expect(addEntry(active, ed).ok).toBe(true);
  });
});

describe('state file', () => {
  const whole = {
    keys: [at('removed'), {...at('ready', '202612'), cacheSeconds: 60, keyPath: absolute('/etc/k')}],
  };

  it('comes back as it was written, for root alone', async () => {
    const {files, real} = scratch();
    expect(await loadState(files)).toEqual({ok: true, value: EMPTY_STATE});
    await saveState(files, whole);
    expect(take(await loadState(files))).toEqual(whole);
    expect(fs.statSync(real('/var/lib/waxseal/state.json')).mode & 0o777).toBe(0o600);
  });

  it('has its fields in the order of their names, whatever order they came in, and keys in theirs', () => {
    const reversed = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(reversed);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .toReversed()
          .map(([name, each]) => [name, reversed(each)]),
      );
    };
    const state = {...whole, told: [{digest: 'd', at: now.toISOString(), about: 'a'}]};
    expect(formatState(reversed(state) as typeof state)).toBe(formatState(state));
    const names: string[][] = [];
    JSON.parse(formatState(state), (_name, value) => {
      if (typeof value === 'object' && value !== null && !Array.isArray(value))
        names.push(Object.keys(value));
      return value;
    });
    expect(names.length).toBeGreaterThan(20);
    for (const each of names) expect(each).toEqual(each.toSorted());
    expect(take(parseState(formatState(state))).keys.map(key => key.selector)).toEqual(['202611', '202612']);
  });

  it('changes only in the lines of what has changed', () => {
    const [first, second] = whole.keys;
    if (first === undefined || second === undefined) throw new Error('two keys');
    const later = take(transition(second, 'active', proven, now));
    const parts = diffLines(formatState(whole), formatState({keys: [first, {...later, cacheSeconds: 60}]}));
    const gone = parts.filter(part => part.removed).flatMap(({value}) => value.trim().split('\n'));
    expect(gone.map(each => each.trim())).toEqual(['"state": "ready"']);
  });

  it('is not written in a form that could not be read back', async () => {
    const {files} = scratch();
    const broken = {...at('ready'), bits: -1};
    const told = [{about: '', digest: '', at: 'yesterday'}];
    for (const state of [{keys: [broken]}, {keys: [at('ready'), at('ready')]}, {keys: [], told}]) {
      await expect(saveState(files, state)).rejects.toMatchObject({id: 'state.unwritable'});
    }
    expect(take(await loadState(files))).toEqual(EMPTY_STATE);
  });

  const text = formatState(whole);
  it.each([
    ['state.newer', text.replace('"schemaVersion": 1', '"schemaVersion": 2')],
    ['state.damaged', text.replace('"schemaVersion": 1', '"schemaVersion": 0')],
    ['state.damaged', text.slice(0, -20)],
    ['state.damaged', '[]'],
    ['state.damaged', '{"schemaVersion":1,"keys":{}}'],
    ['state.damaged', text.replace('"rsa"', '"dsa"')],
    ['state.damaged', text.replace('example.org', '../etc')],
    ['state.damaged', text.replace('/var/lib', 'var/lib')],
    ['state.damaged', text.replace('"state": "removed"', '"state": "active"')],
    ['state.damaged', text.replace('2026-11-21T10:00:00.000Z', 'yesterday')],
    ['state.damaged', text.replace('"servers-agree"', '"hearsay"')],
    ['state.damaged', text.replaceAll('202612', '202611')],
  ])('is refused as %s where it is wrong, with the place', (id, wrong) => {
    expect(wrong).not.toBe(text);
    expect(parseState(wrong)).toMatchObject({ok: false, problem: {id}});
  });
});

it('proposes the month, then letters, and never what is taken', () => {
  const taken = new Set<string>();
  const propose = (): string => proposeSelector(now, candidate => taken.has(candidate));
  const seen: string[] = [];
  for (let count = 0; count < 29; count += 1) {
    const next = propose();
    taken.add(next);
    seen.push(next);
  }
  expect(seen.slice(0, 3)).toEqual(['202611', '202611a', '202611b']);
  expect(seen.slice(-3)).toEqual(['202611z', '202611aa', '202611ab']);
});

it('keeps the answers of a wizard that was left, and no key among them', async () => {
  const {files, real} = scratch();
  expect(await loadDraft(files)).toBeUndefined();
  const draft = {domain: ['example.org'], bits: 2048, wait: true, selector: '202611'};
  await saveDraft(files, draft);
  expect(await loadDraft(files)).toEqual({ok: true, value: draft});
  await expect(saveDraft(files, {key: '-----BEGIN PRIVATE KEY-----'})).rejects.toThrow(TypeError);
  for (const wrong of [
    '{',
    '{"version":2,"answers":{}}',
    '{"version":1,"answers":{"a":{}}}',
    '{"version":1}',
  ]) {
    fs.writeFileSync(real('/var/lib/waxseal/draft.json'), wrong);
    expect(await loadDraft(files)).toMatchObject({ok: false, problem: {id: 'draft.damaged'}});
  }
  await dropDraft(files);
  expect(await loadDraft(files)).toBeUndefined();
});
