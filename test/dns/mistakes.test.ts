import {generateKeyPairSync} from 'node:crypto';
import {expect, test} from 'vitest';
import {recordTags, sameKeyRecord} from '../../src/dns/compare.ts';
import {misplacedNames} from '../../src/dns/misplaced.ts';
import {nameMistake} from '../../src/dns/mistakes.ts';
import {dnsName, KEY, NAME, VALUE} from './world.ts';

const pair = generateKeyPairSync('rsa', {modulusLength: 2048});
const other = pair.publicKey.export({type: 'spki', format: 'der'}).toString('base64');
const pkcs1 = pair.publicKey.export({type: 'pkcs1', format: 'der'}).toString('base64');
const pkcs8 = pair.privateKey.export({type: 'pkcs8', format: 'der'}).toString('base64');
const pkcs1Private = pair.privateKey.export({type: 'pkcs1', format: 'der'}).toString('base64');

const mistake = (...records: readonly string[]): string | undefined =>
  nameMistake({name: NAME, expected: VALUE, records})?.id;

test.each([
  ['the record itself', VALUE],
  ['other blanks between the tags', `v=DKIM1;k=rsa ;h=sha256;  p=${KEY};`],
  ['other order after v=', `v=DKIM1; p=${KEY}; h=sha256; k=rsa`],
  ['a tab in front', `\tv=DKIM1; k=rsa; h=sha256; p=${KEY}`],
])('%s is the same key record, without a mistake', (_, found) => {
  expect(sameKeyRecord(found, VALUE)).toBe(true);
  expect(mistake(found)).toBeUndefined();
});

test.each([
  ['dns.private-key', [`v=DKIM1; k=rsa; p=${pkcs8}`]],
  ['dns.private-key', [`v=DKIM1; k=rsa; p=${pkcs1Private}`]],
  ['dns.private-key', ['-----BEGIN PRIVATE KEY-----MIIE']],
  ['dns.private-key', [VALUE, `p=${pkcs8}`]],
  ['dns.split-records', [VALUE.slice(0, 255), VALUE.slice(255)]],
  ['dns.split-records', [VALUE.slice(255), VALUE.slice(0, 255)]],
  ['dns.split-records', [`"${VALUE.slice(0, 255)}"`, `"${VALUE.slice(255)}"`]],
  ['dns.repeated-record', [VALUE, `${VALUE};`]],
  ['dns.several-records', [VALUE, 'v=spf1 -all']],
  ['dns.several-records', [`v=DKIM1; p=${other}`, 'v=DKIM1; p=']],
  ['dns.literal-quotes', [`"${VALUE}"`]],
  ['dns.literal-quotes', [`"${VALUE.slice(0, 200)}" "${VALUE.slice(200)}"`]],
  ['dns.literal-backslash', [VALUE.replaceAll(';', '\\;')]],
  ['dns.pem-armour', [`v=DKIM1; k=rsa; p=-----BEGIN PUBLIC KEY-----${KEY}-----END PUBLIC KEY-----`]],
  ['dns.odd-characters', [VALUE.replace('p=', 'p=\u200b')]],
  ['dns.odd-characters', [`\u201c${VALUE}\u201d`]],
  ['dns.odd-characters', [VALUE.replace('; k', ';\u00a0k')]],
  ['dns.cut-at-semicolon', ['v=DKIM1']],
  ['dns.cut-at-semicolon', ['v=DKIM1;']],
  ['dns.cut-at-255', [VALUE.slice(0, 255)]],
  ['dns.cut-key', [VALUE.slice(0, 200)]],
  ['dns.cut-key', [VALUE.slice(0, -1)]],
  ['dns.no-key', ['v=DKIM1; k=rsa']],
  ['dns.revoked', ['v=DKIM1; k=rsa; p=']],
  ['dns.pkcs1', [`v=DKIM1; k=rsa; h=sha256; p=${pkcs1}`]],
  ['dns.other-key', [`v=DKIM1; k=rsa; h=sha256; p=${other}`]],
  ['dns.foreign-record', ['v=spf1 include:example.net -all']],
  ['dns.foreign-record', ['some-site-verification=abc']],
  ['dns.other-tags', [`k=rsa; h=sha256; p=${KEY}`]],
  ['dns.other-tags', [`v=DKIM1; k=rsa; h=sha256; t=y; p=${KEY}`]],
  ['dns.version-not-first', [`k=rsa; v=DKIM1; h=sha256; p=${KEY}`]],
  ['dns.no-tag-list', [`v=DKIM1; v=DKIM1; k=rsa; h=sha256; p=${KEY}`]],
])('%s is named', (id, records) => {
  expect(mistake(...records)).toBe(id);
});

test('strings joined with blanks match, with a remark', () => {
  const found = `${VALUE.slice(0, 255)} ${VALUE.slice(255)}`;
  expect(sameKeyRecord(found, VALUE)).toBe(true);
  expect(mistake(found)).toBe('dns.blanks-in-key');
});

test('every mistake is a sentence with what to do, harmless for a terminal', () => {
  const evil = nameMistake({name: NAME, expected: VALUE, records: ['\x1b]0;pwned\x07 v=DKIM1; p=AAAA']});
  expect(evil?.message).not.toMatch(/[\x00-\x1f\x7f]/);
  expect(evil?.hint).toContain(NAME);
});

test('a key that differs in one character is another key', () => {
  const found = VALUE.replace('q7Zt', 'q7zt');
  expect(sameKeyRecord(found, VALUE)).toBe(false);
  expect(mistake(found)).toBe('dns.other-key');
});

test('the names at which a lost record is sought', () => {
  const places = misplacedNames({
    name: dnsName('s1._domainkey.mail.example.org'),
    expected: VALUE,
    apex: dnsName('example.org'),
  });
  expect(places.map(place => `${place.mistake.id} ${place.name}`)).toEqual([
    'dns.doubled-domain s1._domainkey.mail.example.org.example.org',
    'dns.doubled-domain s1._domainkey.mail.example.org.mail.example.org',
    'dns.wrong-subdomain s1._domainkey.example.org',
    'dns.bare-selector s1.mail.example.org',
    'dns.at-domainkey _domainkey.mail.example.org',
    'dns.no-underscore s1.domainkey.mail.example.org',
    'dns.at-domain mail.example.org',
  ]);
  expect(places[0]?.mistake.hint).toBe(
    'Delete it there and enter it as s1._domainkey.mail in the zone example.org.',
  );
});

test('a tag list that is none', () => {
  expect(recordTags('')).toBeUndefined();
  expect(recordTags('hello')).toBeUndefined();
  expect([...(recordTags('a=1; b = x y ;') ?? [])]).toEqual([
    ['a', '1'],
    ['b', 'x y'],
  ]);
});
