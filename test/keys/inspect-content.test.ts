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

  it('is nothing of what is no key', () => {
    expect(describeContent(Buffer.from('no key'))).toBeUndefined();
  });
});
