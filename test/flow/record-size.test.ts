import {createPublicKey, generateKeyPairSync, type KeyObject} from 'node:crypto';
import {expect, it} from 'vitest';
import {formatKeyRecord} from '../../src/dkim/index.ts';
import {parseDnsName} from '../../src/domain/names.ts';
import {ok} from '../../src/domain/result.ts';
import type {DomainFacts} from '../../src/flow/operations.ts';
import {QUESTIONS} from '../../src/flow/questions.ts';
import {recordOctets, sizeProblems} from '../../src/flow/record-size.ts';
import {start} from '../support/drive.ts';
import {domainOf, fakeFacts, fakeZone} from '../support/fake-operations.ts';

const name = parseDnsName('ns1.digitalocean.com');
if (!name.ok) throw new Error('no name');
const ocean: DomainFacts = {
  domain: domainOf('example.org'),
  zone: {...fakeZone('example.org'), servers: [{name: name.value, address: '192.0.2.1', port: 53}]},
  provider: 'DigitalOcean',
};

/** A public key of that many bits, from a number that need not have two prime factors: finding those takes seconds. */
const publicKeyOf = (bits: number): KeyObject =>
  createPublicKey({
    key: {kty: 'RSA', n: Buffer.alloc(bits / 8, 0xc5).toString('base64url'), e: 'AQAB'},
    format: 'jwk',
  });

it.each([2048, 3072, 4096] as const)('knows the size of the record of an RSA key of %i bits', bits => {
  const publicKey = publicKeyOf(bits);
  const value = formatKeyRecord({
    algorithm: 'rsa',
    publicKey,
    testMode: true,
    noSubdomains: true,
    note: 'ask me',
  });
  const answers = {testMode: true, subdomains: false, note: 'ask me'};
  expect(recordOctets({algorithm: 'rsa', bits}, answers)).toBe(value.length);
  const plain = formatKeyRecord({algorithm: 'rsa', publicKey, testMode: false, noSubdomains: false});
  expect(recordOctets({algorithm: 'rsa', bits}, {})).toBe(plain.length);
});

it('knows the size of the record of an Ed25519 key', () => {
  const {publicKey} = generateKeyPairSync('ed25519');
  const value = formatKeyRecord({algorithm: 'ed25519', publicKey, testMode: false, noSubdomains: false});
  expect(recordOctets({algorithm: 'ed25519'}, {})).toBe(value.length);
});

it('says at the choice of a key which the DNS provider cannot store', () => {
  const hints = (domains: readonly DomainFacts[]) =>
    QUESTIONS.key.choices?.({}, fakeFacts(), domains).map(({value, hint}) => [value, hint]);
  expect(hints([ocean])).toEqual(
    expect.arrayContaining([
      ['rsa:2048', 'recommended'],
      ['rsa:3072', 'your DNS provider cannot store it'],
      ['rsa:4096', 'your DNS provider cannot store it'],
    ]),
  );
  expect(hints([])).toContainEqual(['rsa:3072', 'longer record']);
  expect(sizeProblems({algorithm: 'rsa', bits: 4096}, {}, [ocean])).toHaveLength(1);
});

it('warns before the key is made', async () => {
  const {session, operations} = start(
    {interactive: false, yes: true, waitMs: 60_000},
    {domains: 'example.org', key: 'rsa:4096'},
    {jobs: {inspectDomain: async () => ok(ocean)}},
  );
  const before: string[] = [];
  session.subscribe(state => {
    if (!operations.calls.includes('stage'))
      before.splice(0, before.length, ...state.lines.map(({text}) => text));
  });
  await session.done();
  expect(before.join('\n')).toContain('example.org: DigitalOcean stores at most 500 octets');
});
