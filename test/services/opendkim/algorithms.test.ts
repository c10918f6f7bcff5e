import {describe, expect, it} from 'vitest';
import {algorithmRefusal} from '../../../src/services/opendkim/algorithms.ts';

describe('Ed25519 beside RSA', () => {
  it.each([
    ['1.12.0', false],
    ['2.9.2', false],
    ['2.11', false],
    ['2.11.99', false],
    ['v2.11.0', false],
    ['', false],
    ['unknown', false],
    ['2.12.0', true],
    ['v2.12', true],
    ['3.0.0', true],
    ['10.1', true],
  ])('OpenDKIM %s: %s', (version, can) => {
    const refusal = algorithmRefusal('ed25519', version);
    expect(refusal?.id).toBe(can ? undefined : 'key.ed25519-unsupported');
    expect(algorithmRefusal('rsa', version)).toBeUndefined();
  });
});
