import {createPrivateKey} from 'node:crypto';
import {expect, it} from 'vitest';
import {createKeySource} from '../../src/system/real/index.ts';

it('makes more keys at once than the pool of node has threads, each another', async () => {
  const source = createKeySource();
  const pems = await Promise.all(
    Array.from({length: 9}, () => source.generate({algorithm: 'rsa', bits: 2048})),
  );
  expect(new Set(pems).size).toBe(9);
  for (const pem of pems) {
    expect(createPrivateKey(pem).asymmetricKeyDetails).toMatchObject({
      modulusLength: 2048,
      publicExponent: 65_537n,
    });
  }
  expect(source.atOnce).toBeGreaterThan(0);
});

it('ends early when it is stopped, in the pool and beside it', async () => {
  const source = createKeySource();
  const stop = new AbortController();
  const reason = new Error('stopped');
  const keys = Array.from({length: 6}, () => source.generate({algorithm: 'rsa', bits: 4096}, stop.signal));
  const ends = Promise.allSettled(keys);
  stop.abort(reason);
  const results = await ends;
  expect(results.map(result => (result.status === 'rejected' ? result.reason : result.status))).toEqual(
    Array(6).fill(reason),
  );
  await expect(source.generate({algorithm: 'ed25519'}, stop.signal)).rejects.toBe(reason);
  expect(await source.generate({algorithm: 'ed25519'})).toContain('BEGIN PRIVATE KEY');
});
