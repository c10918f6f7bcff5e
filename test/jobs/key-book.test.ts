/** What the state says of the keys after surveys of their records, and after a run was taken back. */
import {describe, expect, it} from 'vitest';
import type {ServerStatus, ServerView, Survey} from '../../src/dns/survey.ts';
import {problem} from '../../src/domain/result.ts';
import {recordSurveys, recordUndone} from '../../src/jobs/key-book.ts';
import {type Evidence, type KeyEntry, loadState, saveState, transition} from '../../src/rotation/index.ts';
import {keyIn, NOW, take} from '../rotation/keys.ts';
import {fakeZone} from '../support/fake-operations.ts';
import {sampleStaged} from '../support/sample-states.ts';
import {scratch} from '../system/scratch.ts';

const RUN = '20261121T100000Z-0000';
const OTHER = '20261121T110000Z-0000';
const at = new Date(NOW);

const moved = (key: KeyEntry, evidence: Evidence): KeyEntry =>
  take(transition(key, 'retiring', evidence, at));
const replacedBy = (by: KeyEntry, key: KeyEntry = keyIn('active', 'old', by.algorithm)): KeyEntry =>
  moved(key, {kind: 'superseded', by: by.selector});

async function afterUndo(keys: readonly KeyEntry[], run = RUN) {
  const {files} = scratch();
  await saveState(files, {keys});
  await recordUndone({files, clock: {now: () => at, sleep: async () => undefined}}, run);
  const state = take(await loadState(files));
  return Object.fromEntries(state.keys.map(key => [`${key.selector}/${key.algorithm}`, key]));
}

const states = async (keys: readonly KeyEntry[], run = RUN): Promise<Record<string, string>> =>
  Object.fromEntries(Object.entries(await afterUndo(keys, run)).map(([name, {state}]) => [name, state]));

describe('after an undo', () => {
  const now = keyIn('active', 'now');

  it('the key of the run waits to sign again, and the one before it signs', async () => {
    const keys = await afterUndo([replacedBy(now), now]);
    expect(keys).toMatchObject({
      'old/rsa': {state: 'active'},
      'now/rsa': {state: 'ready', stagedPath: now.stagedPath},
    });
    expect(keys['now/rsa']).not.toHaveProperty('keyPath');
  });

  it('the key of the run retires where a newer one is on its way', async () => {
    expect(await states([replacedBy(now), now, keyIn('pending', 'next')])).toEqual({
      'old/rsa': 'active',
      'now/rsa': 'retiring',
      'next/rsa': 'pending',
    });
    // The next key of the other algorithm is another matter.
    expect(await states([replacedBy(now), now, keyIn('pending', 'next', 'ed25519')])).toMatchObject({
      'now/rsa': 'ready',
    });
  });

  it('a key that the run stopped signs again, and one that another run stopped does not', async () => {
    const stopped = moved(now, {kind: 'signing-stopped', run: RUN});
    expect(await states([stopped])).toEqual({'now/rsa': 'active'});
    expect(await states([stopped], OTHER)).toEqual({'now/rsa': 'retiring'});
  });

  it('keys of other runs, other algorithms and other successors stay what they are', async () => {
    expect(await states([replacedBy(now), now], OTHER)).toEqual({'old/rsa': 'retiring', 'now/rsa': 'active'});
    const ed25519 = moved(keyIn('active', 'ed', 'ed25519'), {kind: 'superseded', by: now.selector});
    const before = replacedBy(keyIn('active', 'else'), keyIn('active', 'older'));
    expect(await states([ed25519, before, now])).toEqual({
      'ed/ed25519': 'retiring',
      'older/rsa': 'retiring',
      'now/rsa': 'ready',
    });
  });
});

describe('after a survey', () => {
  const zone = fakeZone('example.org');
  const view = (status: ServerStatus, serial?: number): ServerView => {
    const [server] = zone.servers;
    if (server === undefined) throw new TypeError('a zone without servers');
    return {server, status, serial, records: [], mistake: undefined};
  };
  const surveyOf = (more: Partial<Survey>): Survey => ({
    ...{name: sampleStaged.record.absoluteName, expected: sampleStaged.record.value, zone},
    ...{servers: [], at: NOW, agreed: false, resolver: 'not-asked', settled: false, nextAt: undefined},
    ...more,
  });

  /** The key as the state has it then. */
  async function surveyed(state: KeyEntry['state'], more: Partial<Survey>, resolverOnly?: boolean) {
    const {files} = scratch();
    await saveState(files, {keys: [keyIn(state, '202611')]});
    await recordSurveys(
      {files, clock: {now: () => at, sleep: async () => undefined}},
      [[sampleStaged, surveyOf(more)]],
      resolverOnly === undefined ? {} : {resolverOnly},
    );
    const [key] = take(await loadState(files)).keys;
    return {state: key?.state, evidence: key?.log.at(-1)?.evidence, value: key?.record.value};
  }

  const agreed = {agreed: true, servers: [view('matching', 7), view('matching')]};
  const {address} = view('matching').server;

  it('a key whose record every server has is ready', async () => {
    expect(await surveyed('pending', agreed)).toMatchObject({
      state: 'ready',
      evidence: {kind: 'servers-agree', servers: [{address, serial: 7}, {address}]},
    });
    expect((await surveyed('pending', {...agreed, agreed: false})).state).toBe('pending');
  });

  it.each([
    [true, 'matching', 'ready'],
    [false, 'matching', 'pending'],
    [undefined, 'matching', 'pending'],
    [true, 'absent', 'pending'],
  ] as const)(
    'the word of the resolver counts where it is asked for: %s, %s: %s',
    async (only, resolver, state) => {
      const weaker = problem('dns.unreachable', 'No name server can be reached.', '');
      expect((await surveyed('pending', {weaker, resolver}, only)).state).toBe(state);
      // Where a name server can be asked, its word counts and no other.
      expect((await surveyed('pending', {resolver}, only)).state).toBe('pending');
    },
  );

  it.each<[readonly ServerStatus[], string]>([
    [['absent'], 'pending'],
    [['matching', 'absent'], 'pending'],
    [['timeout'], 'ready'],
    [['matching', 'wrong'], 'ready'],
    [[], 'ready'],
  ])('a key that is ready waits again where a server has lost the record: %j: %s', async (seen, state) => {
    const servers = seen.map(status => view(status));
    expect((await surveyed('ready', {servers})).state).toBe(state);
    expect((await surveyed('ready', {servers, agreed: true})).state).toBe('ready');
  });

  it('a key that signs has the record that every server has', async () => {
    expect((await surveyed('active', agreed)).value).toBe(sampleStaged.record.value);
    expect((await surveyed('active', {...agreed, agreed: false})).value).toBe('v=DKIM1; k=rsa; p=AAAA');
  });
});
