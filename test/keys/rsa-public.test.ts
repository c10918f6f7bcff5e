import {createHash, createPrivateKey, createPublicKey, generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from 'vitest';
import {privateFingerprint} from '../../src/keys/index.ts';
import {rsaPublicOf} from '../../src/keys/rsa-public.ts';

const rsa = (bits: number, exponent = 0x10001) =>
  generateKeyPairSync('rsa', {modulusLength: bits, publicExponent: exponent}).privateKey;

const spkiOf = (pem: string): Buffer =>
  createPublicKey(createPrivateKey(pem)).export({type: 'spki', format: 'der'});

const key = rsa(2048);
const pkcs8 = key.export({type: 'pkcs8', format: 'pem'}).toString();
const pkcs1 = key.export({type: 'pkcs1', format: 'pem'}).toString();

describe('the public half of an RSA key, read from its DER', () => {
  it.each([
    ['PKCS#8', pkcs8],
    ['PKCS#1', pkcs1],
    ['with CRLF', pkcs8.replaceAll('\n', '\r\n')],
    ['without an end of the last line', pkcs8.trimEnd()],
    ['512 bits', rsa(512).export({type: 'pkcs1', format: 'pem'}).toString()],
    ['1024 bits', rsa(1024).export({type: 'pkcs8', format: 'pem'}).toString()],
    ['4096 bits', rsa(4096).export({type: 'pkcs8', format: 'pem'}).toString()],
    ['the exponent 3', rsa(2048, 3).export({type: 'pkcs8', format: 'pem'}).toString()],
  ])('is what OpenSSL says: %s', (_, pem) => {
    expect(rsaPublicOf(Buffer.from(pem))?.toString('hex')).toBe(spkiOf(pem).toString('hex'));
  });

  it.each([
    ['Ed25519', generateKeyPairSync('ed25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString()],
    ['text before it', `comment\n${pkcs8}`],
    ['two keys', pkcs8 + pkcs1],
    ['another kind of block at its end', pkcs8.replace('END PRIVATE', 'END RSA PRIVATE')],
    ['PKCS#1 that says PKCS#8', pkcs1.replaceAll('RSA PRIVATE', 'PRIVATE')],
    [
      'a passphrase',
      key.export({type: 'pkcs8', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x'}).toString(),
    ],
    ['nothing', ''],
  ])('is left to OpenSSL: %s', (_, pem) => {
    expect(rsaPublicOf(Buffer.from(pem))).toBeUndefined();
  });

  it('is none where the DER is cut, longer, or has an octet too many in a number', () => {
    const der = key.export({type: 'pkcs1', format: 'der'});
    const asPem = (octets: Uint8Array): Buffer =>
      Buffer.from(
        `-----BEGIN RSA PRIVATE KEY-----\n${Buffer.from(octets).toString('base64')}\n-----END RSA PRIVATE KEY-----\n`,
      );
    expect(rsaPublicOf(asPem(der))).toBeDefined();
    for (let length = 0; length < der.length; length += 7) {
      expect(rsaPublicOf(asPem(der.subarray(0, length)))).toBeUndefined();
    }
    expect(rsaPublicOf(asPem(Buffer.concat([der, Buffer.from([0])])))).toBeUndefined();
    for (const at of [0, 1, 4, 5]) {
      const wrong = Buffer.from(der);
      wrong[at] = (wrong[at] ?? 0) ^ 0xff;
      expect(rsaPublicOf(asPem(wrong)), String(at)).toBeUndefined();
    }
  });

  it('gives the same fingerprint as every other form of the key', () => {
    const fingerprint = createHash('sha256').update(spkiOf(pkcs8)).digest('hex');
    for (const form of [pkcs8, pkcs1, `comment\n${pkcs8}`, key.export({type: 'pkcs1', format: 'der'})]) {
      expect(privateFingerprint(Buffer.from(form))).toBe(fingerprint);
    }
  });
});
