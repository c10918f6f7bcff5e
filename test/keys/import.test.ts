import {generateKeyPairSync} from 'node:crypto';
import forge from 'node-forge';
import {describe, expect, it} from 'vitest';
import {importKey} from '../../src/keys/import.ts';
import {inspectKey} from '../../src/keys/index.ts';

const rsa = (bits: number) => generateKeyPairSync('rsa', {modulusLength: bits}).privateKey;
const key = rsa(2048);
const pkcs8 = key.export({type: 'pkcs8', format: 'pem'}).toString();
const pkcs1 = key.export({type: 'pkcs1', format: 'pem'}).toString();
const read = (text: string) => importKey(Buffer.from(text, 'latin1'));

describe('importKey', () => {
  it.each([
    ['PKCS#8', pkcs8, 'pkcs8'],
    ['PKCS#1', pkcs1, 'pkcs1'],
    ['CRLF', pkcs8.replaceAll('\n', '\r\n'), 'pkcs8'],
    ['CR alone', pkcs1.replaceAll('\n', '\r'), 'pkcs1'],
    ['byte order mark', `\xef\xbb\xbf${pkcs8}`, 'pkcs8'],
    ['text around', `Bag Attributes\n  friendlyName: x\n${pkcs8}\nmore`, 'pkcs8'],
  ])('reads %s and gives the same PKCS#8', (_what, text, form) => {
    const result = read(text);
    expect(result).toMatchObject({
      ok: true,
      value: {form, pem: pkcs8, algorithm: 'rsa', bits: 2048, remarks: []},
    });
  });

  it('reads Ed25519', () => {
    const pem = generateKeyPairSync('ed25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
    const result = read(pem);
    expect(result).toMatchObject({ok: true, value: {algorithm: 'ed25519', bits: 256, pem}});
    // RFC 8463 §4: 32 octets, so 44 characters; the 60 of SubjectPublicKeyInfo are the usual mistake.
    expect(result.ok && result.value.publicKey.length).toBe(44);
  });

  it('takes 1024 bits with a remark', () => {
    const pem = rsa(1024).export({type: 'pkcs1', format: 'pem'}).toString();
    expect(read(pem)).toMatchObject({ok: true, value: {bits: 1024, remarks: [{id: 'key.short'}]}});
  });

  const pem = (type: string, body = 'AAAA') => `-----BEGIN ${type}-----\n${body}\n-----END ${type}-----\n`;
  const ec = generateKeyPairSync('ec', {namedCurve: 'prime256v1'}).privateKey;
  it.each([
    ['key.too-short', rsa(768).export({type: 'pkcs8', format: 'pem'}).toString()],
    ['key.certificate', pem('CERTIFICATE')],
    ['key.public', pem('PUBLIC KEY')],
    ['key.public', pem('RSA PUBLIC KEY')],
    ['key.openssh', pem('OPENSSH PRIVATE KEY')],
    ['key.ec', ec.export({type: 'sec1', format: 'pem'}).toString()],
    ['key.ec', ec.export({type: 'pkcs8', format: 'pem'}).toString()],
    [
      'key.encrypted',
      key.export({type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x'}).toString(),
    ],
    [
      'key.encrypted',
      key.export({type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x'}).toString(),
    ],
    [
      'key.rsa-pss',
      generateKeyPairSync('rsa-pss', {modulusLength: 2048})
        .privateKey.export({type: 'pkcs8', format: 'pem'})
        .toString(),
    ],
    [
      'key.algorithm',
      generateKeyPairSync('x25519').privateKey.export({type: 'pkcs8', format: 'pem'}).toString(),
    ],
    ['key.several', pkcs8 + pkcs1],
    ['key.not-pem', 'hello'],
    ['key.not-pem', key.export({type: 'pkcs8', format: 'der'}).toString('latin1')],
    ['key.not-pem', ''],
    ['key.damaged', pem('PRIVATE KEY')],
    ['key.damaged', pkcs8.replace(/\n.{64}\n/, '\n')],
    ['key.damaged', pkcs1.slice(0, 400)],
    ['key.damaged', pem('RSA PRIVATE KEY', Buffer.from('3003020100', 'hex').toString('base64'))],
    ['key.unknown', pem('MYSTERY')],
    ['key.too-long', 'x'.repeat(70_000)],
  ])('refuses with %s', (id, text) => {
    const result = read(text);
    expect(result).toMatchObject({ok: false, problem: {id}});
    if (!result.ok) expect(result.problem.hint).not.toBe('');
  });

  it('names what a file of an unknown type has', () => {
    expect(read(pem('MYSTERY'))).toMatchObject({
      ok: false,
      problem: {message: 'The file has MYSTERY, no private key.'},
    });
  });

  it('agrees with another implementation on the public key', () => {
    const {n, e} = forge.pki.privateKeyFromPem(pkcs1);
    const spki = forge.asn1.toDer(forge.pki.publicKeyToAsn1(forge.pki.setRsaPublicKey(n, e)));
    expect(inspectKey(pkcs8)).toMatchObject({
      ok: true,
      value: {publicKey: forge.util.encode64(spki.getBytes())},
    });
  });
});
