import {createPrivateKey, generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {formatKeyRecord} from '../../src/dkim/index.ts';
import {selfTest} from '../../src/keys/index.ts';

const rsa = (): string =>
  generateKeyPairSync('rsa', {modulusLength: 2048})
    .privateKey.export({type: 'pkcs8', format: 'pem'})
    .toString();
const ed25519 = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString();

describe.each([
  ['rsa', rsa],
  ['ed25519', ed25519],
] as const)('self-test of %s', (algorithm, make) => {
  const pem = make();
  const record = formatKeyRecord({
    algorithm,
    publicKey: createPrivateKey(pem),
    testMode: true,
    noSubdomains: true,
  });

  it('passes with its own record', async () => {
    expect(await selfTest(pem, record)).toMatchObject({ok: true, value: {algorithm}});
  });

  it('fails with the record of another key', async () => {
    const other = formatKeyRecord({algorithm, publicKey: createPrivateKey(make())});
    expect(await selfTest(pem, other)).toMatchObject({ok: false, problem: {id: 'key.self-test'}});
  });

  it.each([
    ['cut short', record.slice(0, -8)],
    ['revoked', record.replace(/p=.*/, 'p=')],
    ['empty', ''],
    ['for another version', record.replace('DKIM1', 'DKIM2')],
  ])('fails with a record that is %s', async (_what, text) => {
    expect(await selfTest(pem, text)).toMatchObject({ok: false, problem: {id: 'key.self-test'}});
  });
});

it('says when the key cannot be read', async () => {
  expect(await selfTest('nonsense', 'v=DKIM1; p=')).toMatchObject({
    ok: false,
    problem: {id: 'key.unreadable'},
  });
});
