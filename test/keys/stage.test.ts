import fs from 'node:fs';
import {expect, it} from 'vitest';
import {parseDomain, parseSelector} from '../../src/domain/names.ts';
import type {Result} from '../../src/domain/result.ts';
import {generateKey, readStagedKey, stageKey} from '../../src/keys/index.ts';
import {createKeySource} from '../../src/system/real/index.ts';
import {scratch} from '../system/scratch.ts';

const take = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};
const domain = take(parseDomain('example.org'));
const selector = take(parseSelector('202611'));
const keys = {keys: createKeySource()};

it('makes keys of the asked kind and stops when told', async () => {
  expect(await generateKey(keys, {algorithm: 'rsa', bits: 2048})).toMatchObject({
    algorithm: 'rsa',
    bits: 2048,
  });
  expect(await generateKey(keys, {algorithm: 'ed25519'})).toMatchObject({algorithm: 'ed25519'});
  const stop = new AbortController();
  const making = generateKey(keys, {algorithm: 'rsa', bits: 4096}, stop.signal);
  stop.abort(new Error('enough'));
  await expect(making).rejects.toThrow('enough');
});

it('stages a key for root alone and never overwrites', async () => {
  const {files, real} = scratch();
  const first = await generateKey(keys, {algorithm: 'ed25519'});
  const second = await generateKey(keys, {algorithm: 'ed25519'});
  const staged = take(await stageKey({files}, {domain, selector, pem: first.pem}));
  expect(staged).toMatchObject({path: '/var/lib/waxseal/keys/example.org/202611.pem', algorithm: 'ed25519'});
  expect(staged).not.toHaveProperty('pem');
  expect(await files.stat(staged.path)).toMatchObject({mode: 0o600, uid: 0, gid: 0});
  for (const directory of ['', '/keys', '/keys/example.org']) {
    expect(fs.statSync(real(`/var/lib/waxseal${directory}`)).mode & 0o777).toBe(
      directory === '' ? 0o711 : 0o700,
    );
  }
  expect(take(await stageKey({files}, {domain, selector, pem: first.pem}))).toEqual(staged);
  expect(await stageKey({files}, {domain, selector, pem: second.pem})).toMatchObject({
    ok: false,
    problem: {id: 'key.exists'},
  });
  expect(fs.readFileSync(real(staged.path), 'utf8')).toBe(first.pem);
  expect(await readStagedKey({files}, domain, selector)).toMatchObject({ok: true, value: {pem: first.pem}});
});

it('does not use a state directory that others may enter', async () => {
  const {files, real} = scratch();
  fs.mkdirSync(real('/var/lib/waxseal'), {mode: 0o755});
  const {pem} = await generateKey(keys, {algorithm: 'ed25519'});
  await expect(stageKey({files}, {domain, selector, pem})).rejects.toMatchObject({id: 'state.unsafe'});
});
