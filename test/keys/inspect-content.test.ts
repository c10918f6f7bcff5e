import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {describeContent, inspectKey} from '../../src/keys/index.ts';

describe('describeContent', () => {
  it.each([
    ['rsa', 1024, 'pkcs8'],
    ['rsa', 1025, 'pkcs1'],
    ['rsa', 2048, 'pkcs1'],
    ['ed25519', 256, 'pkcs8'],
  ] as const)('says the same of %s %i as %s as loading the key does', (algorithm, bits, type) => {
    const {privateKey} =
      algorithm === 'rsa'
        ? generateKeyPairSync('rsa', {modulusLength: bits})
        : generateKeyPairSync('ed25519');
    const pem = privateKey.export({type: type === 'pkcs1' ? 'pkcs1' : 'pkcs8', format: 'pem'} as {
      type: 'pkcs8';
      format: 'pem';
    });
    const loaded = inspectKey(pem.toString());
    if (!loaded.ok) throw new TypeError(loaded.problem.message);
    expect(loaded.value.bits).toBe(bits);
    expect(describeContent(Buffer.from(pem))).toEqual(loaded.value);
  });

  it('says the same of every form that a signer takes', () => {
    const {privateKey} = generateKeyPairSync('ed25519');
    const pem = privateKey.export({type: 'pkcs8', format: 'pem'});
    const der = privateKey.export({type: 'pkcs8', format: 'der'});
    const seed = der.subarray(-32);
    const loaded = inspectKey(pem.toString());
    if (!loaded.ok) throw new TypeError(loaded.problem.message);
    const both = Buffer.concat([seed, Buffer.from(loaded.value.publicKey, 'base64')]);
    const forms = [der, both, ...[der, seed, both].map(each => Buffer.from(`${each.toString('base64')}\n`))];
    for (const form of forms) expect(describeContent(form)).toEqual(loaded.value);
  });

  it('is nothing of what is no key', () => {
    expect(describeContent(Buffer.from('no key'))).toBeUndefined();
  });
});
