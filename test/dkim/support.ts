import {createPrivateKey, generateKeyPairSync, type KeyObject} from 'node:crypto';
import {formatKeyRecord, type KeyLookup, type VerifyOptions} from '../../src/dkim/index.ts';
import {type DomainName, parseDomain, parseSelector, type Selector} from '../../src/domain/names.ts';

const value = <T>(result: {readonly ok: true; readonly value: T} | {readonly ok: false}): T => {
  if (!result.ok) throw new TypeError('not a name');
  return result.value;
};

export const domain = (text: string): DomainName => value(parseDomain(text));
export const selector = (text: string): Selector => value(parseSelector(text));

/** Fresh keys: 1024 bits are enough for tests and quick to make. */
export const rsa = (bits = 1024): {readonly privateKey: KeyObject; readonly publicKey: KeyObject} =>
  generateKeyPairSync('rsa', {modulusLength: bits});
export const ed25519 = (): {readonly privateKey: KeyObject; readonly publicKey: KeyObject} =>
  generateKeyPairSync('ed25519');

/** The Ed25519 key of RFC 8463 appendix A.2, from its 32 octets. */
export const ed25519FromSeed = (seed: string): KeyObject =>
  createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.from(seed, 'base64')]),
    format: 'der',
    type: 'pkcs8',
  });

export const NOW = 1_750_000_000;

export const answering =
  (...records: readonly string[]): KeyLookup =>
  () =>
    Promise.resolve({status: 'found', records});

export const against = (...records: readonly string[]): VerifyOptions => ({
  lookup: answering(...records),
  now: NOW,
});

export const recordOf = (publicKey: KeyObject): string =>
  formatKeyRecord({algorithm: publicKey.asymmetricKeyType === 'rsa' ? 'rsa' : 'ed25519', publicKey});

/** A message with the field on top. */
export const withField = (field: string, message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from(`${field}\r\n`, 'latin1'), message]);

export const octets = (text: string): Buffer => Buffer.from(text, 'latin1');

export const MESSAGE = octets(
  'From: Ann <ann@example.org>\r\nTo: bob@dest.example\r\nSubject:  two  blanks\t\r\n and a fold\r\n' +
    'Date: Sun, 15 Jun 2025 15:06:40 +0000\r\nReceived: one\r\nReceived: two\r\n\r\n' +
    'Hello  Bob \r\n\r\n\tIndented\t \r\nlast\r\n\r\n\r\n',
);
