import {describe, expect, it} from 'vitest';
import {checkHost, checkSigners} from '../../src/doctor/host.ts';
import {checkActiveKeys} from '../../src/doctor/keys.ts';
import type {KeyEntry} from '../../src/rotation/index.ts';
import {fakeFacts} from '../support/fake-operations.ts';

const entry = (state: KeyEntry['state']): KeyEntry =>
  ({domain: 'example.org', selector: 's1', state}) as unknown as KeyEntry;

describe('checkActiveKeys', () => {
  it.each([
    [['s1._domainkey.example.org'], 'pass'],
    [[], 'fail'],
    [['s1._domainkey.example.net'], 'fail'],
    [['s2._domainkey.example.org'], 'fail'],
  ] as const)('with mail signed as %j: %s', (made, status) => {
    const [check, ...more] = checkActiveKeys([entry('active')], new Set(made));
    expect(more).toEqual([]);
    expect(check).toMatchObject({id: 'host.key-in-use', status});
    expect(check?.fix !== '').toBe(status === 'fail');
  });

  it('says nothing of keys that do not sign', () => {
    const states = ['staged', 'pending', 'ready', 'retiring', 'revoked', 'removed'] as const;
    expect(checkActiveKeys(states.map(entry), new Set())).toEqual([]);
  });
});

describe('checkHost', () => {
  const odd = {id: 'host.unproven', message: 'It is odd.', hint: 'Mend it.'};

  it('passes a host with nothing odd, warns of remarks and fails for blockers', () => {
    const facts = {...fakeFacts(), blockers: [], remarks: []};
    expect(checkHost(facts)).toMatchObject([{id: 'host', status: 'pass'}]);
    expect(checkHost({...facts, remarks: [odd]})).toMatchObject([
      {id: 'host.unproven', status: 'warn', fix: 'Mend it.'},
    ]);
    expect(checkHost({...facts, blockers: [odd]})).toMatchObject([{id: 'host.unproven', status: 'fail'}]);
  });

  it('warns of a second signer that may sign', () => {
    const facts = fakeFacts();
    const others = (['yes', 'perhaps', 'no'] as const).map(signs => ({
      kind: 'rspamd',
      program: 'rspamd',
      evidence: 'runs',
      signs,
    }));
    expect(checkSigners({...facts, rivals: others}).map(({id}) => id)).toEqual([
      'host.second-signer',
      'host.second-signer',
    ]);
  });
});
