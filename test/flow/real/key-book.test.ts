/** What the state says of the keys after a run was taken back. */
import {describe, expect, it} from 'vitest';
import {recordUndone} from '../../../src/flow/real/key-book.ts';
import {type Evidence, type KeyEntry, loadState, saveState, transition} from '../../../src/rotation/index.ts';
import {keyIn, NOW, take} from '../../rotation/keys.ts';
import {scratch} from '../../system/scratch.ts';

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
