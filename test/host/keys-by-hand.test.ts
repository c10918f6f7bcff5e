import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {keysByHand} from '../../src/host/keys-by-hand.ts';
import type {KeyFact} from '../../src/services/key-fact.ts';
import {entrance, picture, row, signer} from './pictures.ts';

const key: KeyFact = {
  ...{known: true, realPath: absolute('/etc/keys/k'), algorithm: 'rsa', bits: 2048},
  ...{fingerprint: 'f', publicKey: 'p'},
};

describe('keysByHand', () => {
  const rows = [row('*@a.example'), row('*@*.a.example', 'a.example'), row('*@b.example')];
  const keys = new Map(rows.flatMap(({keyPath}) => (keyPath === undefined ? [] : [[keyPath, key] as const])));
  const told = (known: readonly string[], part: object = {}): readonly string[] =>
    keysByHand(picture({signers: [signer(rows, part)], keys}), new Set(known)).map(
      ({domain, selector}) => `${selector} ${domain}`,
    );

  it('are those of the rows, each once, that waxseal has no note of', () => {
    expect(told([])).toEqual(['s1 a.example', 's1 b.example']);
    expect(told(['s1._domainkey.a.example'])).toEqual(['s1 b.example']);
  });

  it('are none where the configuration only lies about', () => {
    const host = picture({
      signers: [signer(rows, {isRunning: false})],
      entrances: [entrance({passes: []})],
      keys,
    });
    expect(keysByHand(host, new Set())).toEqual([]);
  });
});
