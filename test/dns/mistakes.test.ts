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
const edwards = generateKeyPairSync('ed25519')
  .publicKey.export({type: 'spki', format: 'der'})
  .toString('base64');
/** How an X.509 certificate begins: TBSCertificate with [0] version 3 and a serial number. */
const CERTIFICATE = Buffer.from(`3082030a308201f2a0030201020214${'5a'.repeat(300)}`, 'hex').toString(
  'base64',
);

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
  ['dns.zero-width', [VALUE.replace('p=', 'p=\u200b')]],
  ['dns.zero-width', [`${VALUE}\u{e0041}`]],
  ['dns.zero-width', [`${VALUE}\ufe0f`]],
  ['dns.typographic-quotes', [`\u201c${VALUE}\u201d`]],
  ['dns.odd-blank', [VALUE.replace('; k', ';\u00a0k')]],
  ['dns.odd-characters', [VALUE.replace('p=', '\u0440=')]],
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
  ['dns.version-missing', [`k=rsa; h=sha256; p=${KEY}`]],
  ['dns.test-mode', [`v=DKIM1; k=rsa; h=sha256; t=y; p=${KEY}`]],
  ['dns.test-mode', [`v=DKIM1; k=rsa; h=sha256; t=s:y; p=${KEY}`]],
  ['dns.subdomain-flag', [`v=DKIM1; k=rsa; h=sha256; t=s; p=${KEY}`]],
  ['dns.wrong-key-type', [VALUE.replace('k=rsa', 'k=ed25519')]],
  ['dns.wrong-version', [VALUE.replace('DKIM1', 'dkim1')]],
  ['dns.wrong-version', [VALUE.replace('DKIM1', 'DKIM')]],
  ['dns.hash-not-allowed', [VALUE.replace('sha256', 'sha1')]],
  ['dns.not-for-mail', [`v=DKIM1; k=rsa; h=sha256; s=tlsrpt; p=${KEY}`]],
  ['dns.other-tags', [`v=DKIM1; k=rsa; h=sha256; n=hello; p=${KEY}`]],
  ['dns.no-semicolon', [VALUE.replaceAll(';', '')]],
  ['dns.no-semicolon', [VALUE.replaceAll(';', ',')]],
  ['dns.colon-for-equals', [VALUE.replace('v=', 'v:')]],
  ['dns.two-keys', [VALUE, `v=DKIM1; p=${other}`]],
  ['dns.empty-record', ['']],
  ['dns.html-entities', [VALUE.replaceAll('=', '&#61;')]],
  ['dns.html-entities', [`&quot;${VALUE}&quot;`]],
  ['dns.percent-encoded', [VALUE.replaceAll('+', '%2B').replaceAll('=', '%3D')]],
  ['dns.zone-line-in-value', [`${NAME}. 3600 IN TXT "${VALUE}"`]],
  ['dns.zone-line-in-value', [`202611._domainkey IN TXT ( "${VALUE}" )`]],
  ['dns.literal-newline', [VALUE.replace('; p=', ';\\n p=')]],
  ['dns.escaped-quotes', [`\\"${VALUE}\\"`]],
  ['dns.literal-quotes', [`'${VALUE}'`]],
  ['dns.line-breaks', [`${VALUE.slice(0, 100)}\n${VALUE.slice(100)}`]],
  ['dns.line-breaks', [`${VALUE.slice(0, 100)}\r\n${VALUE.slice(100)}`]],
  ['dns.value-twice', [VALUE + VALUE]],
  ['dns.value-twice', [`${VALUE}; ${VALUE}`]],
  ['dns.strings-out-of-order', [VALUE.slice(255) + VALUE.slice(0, 255)]],
  ['dns.first-string-missing', [VALUE.slice(255)]],
  ['dns.first-string-only', [VALUE.slice(0, VALUE.indexOf('p='))]],
  ['dns.first-string-only', [VALUE.slice(0, VALUE.indexOf('p=') + 71)]],
  ['dns.certificate', [`v=DKIM1; k=rsa; p=${CERTIFICATE}`]],
  ['dns.ssh-key', ['v=DKIM1; k=rsa; p=AAAAB3NzaC1yc2EAAAADAQABAAABAQC7qZt3Vx9LpRw5Yb1Nf8']],
  [
    'dns.base64-twice',
    [`v=DKIM1; k=rsa; p=${Buffer.from(`-----BEGIN PUBLIC KEY-----\n${KEY}`).toString('base64')}`],
  ],
  ['dns.ed25519-spki', [`v=DKIM1; k=ed25519; p=${edwards}`]],
  ['dns.case-changed', [VALUE.toLowerCase().replace('dkim1', 'DKIM1')]],
  ['dns.not-base64', [VALUE.replace('q7Zt', 'q7*t')]],
  ['dns.version-not-first', [`k=rsa; v=DKIM1; h=sha256; p=${KEY}`]],
  ['dns.tag-twice', [`v=DKIM1; v=DKIM1; k=rsa; h=sha256; p=${KEY}`]],
])('%s is named', (id, records) => {
  expect(mistake(...records)).toBe(id);
});

test('strings joined with blanks match, with a remark', () => {
  const found = `${VALUE.slice(0, 255)} ${VALUE.slice(255)}`;
  expect(sameKeyRecord(found, VALUE)).toBe(true);
  expect(mistake(found)).toBe('dns.blanks-in-key');
});

test.each([
  ['dns.split-records', [VALUE.slice(0, 255), VALUE.slice(255)]],
  ['dns.several-records', ['v=spf1 -all', 'google-site-verification=1', 'a=b']],
])('%s: the sentence is the same in whatever order a server returns the records', (id, records) => {
  const told = [records, records.toReversed()].map(each =>
    nameMistake({name: NAME, expected: VALUE, records: each}),
  );
  expect(told[0]?.id).toBe(id);
  expect(told[1]).toEqual(told[0]);
});

test('every mistake is a sentence with what to do, harmless for a terminal', () => {
  const evil = nameMistake({name: NAME, expected: VALUE, records: ['\x1b]0;pwned\x07 v=DKIM1; p=AAAA']});
  expect(evil?.message).not.toMatch(/[\x00-\x1f\x7f]/);
  expect(evil?.hint).toContain(NAME);
});

test('a key that differs in one character is another key', () => {
  const found = VALUE.replace('q7Zt', 'q8Zt');
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
    'dns.domainkey-twice s1._domainkey._domainkey.mail.example.org',
    'dns.labels-swapped _domainkey.s1.mail.example.org',
    'dns.misspelt-domainkey s1._domainkeys.mail.example.org',
    'dns.misspelt-domainkey s1._domain_key.mail.example.org',
    'dns.underscore-at-selector _s1._domainkey.mail.example.org',
    'dns.old-selector default._domainkey.mail.example.org',
    'dns.old-selector mail._domainkey.mail.example.org',
    'dns.old-selector dkim._domainkey.mail.example.org',
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

const signed = VALUE.replace('q7Zt3Vx9', 'q7+t/Vx9');
const nearly = (found: string): string | undefined =>
  nameMistake({name: NAME, expected: signed, records: [found]})?.id;

test('a key that lost its "+" on the way, or took the alphabet of URLs', () => {
  expect(nearly(signed.replaceAll('+', ' '))).toBe('dns.plus-lost');
  expect(nearly(signed.replaceAll('+', '-').replaceAll('/', '_'))).toBe('dns.base64url');
});

test('a limit of the provider at hand is told from any other cut', () => {
  const expected = `v=DKIM1; k=rsa; h=sha256; p=${KEY.repeat(2).slice(0, 736)}`;
  const at = (length: number, serverNames: readonly string[]): string | undefined =>
    nameMistake({name: NAME, expected, records: [expected.slice(0, length)], serverNames})?.id;
  expect(at(500, ['ns1.digitalocean.com'])).toBe('dns.cut-by-limit');
  expect(at(500, ['ns1.porkbun.com'])).toBe('dns.cut-key');
  expect(at(512, [])).toBe('dns.cut-by-limit');
  expect(at(499, ['ns1.digitalocean.com'])).toBe('dns.cut-key');
});

test('the key of the selector before is told from a strange one', () => {
  const found = {name: NAME, expected: VALUE, records: [`v=DKIM1; k=rsa; h=sha256; p=${other}`]};
  expect(nameMistake({...found, formerValues: [`v=DKIM1; p=${other}`]})?.id).toBe('dns.old-key');
  expect(nameMistake({...found, formerValues: [`v=DKIM1; p=${KEY}`]})?.id).toBe('dns.other-key');
});

test('the octets that are wrong are shown as they travelled, in UTF-8 or in what a Windows program writes', () => {
  const utf8 = Buffer.from(`\u201c${VALUE}\u201d`);
  const windows = Buffer.concat([Buffer.from([0x93]), Buffer.from(VALUE), Buffer.from([0x94])]);
  const seen = (octets: Buffer, text: string): string =>
    nameMistake({name: NAME, expected: VALUE, records: [text], octets: [octets]})?.message ?? '';
  expect(seen(utf8, utf8.toString())).toContain('U+201C (octets e2 80 9c)');
  expect(seen(windows, windows.toString('latin1'))).toContain('U+0093 (octets 93)');
});

test('the repair is in the words of the provider at hand', () => {
  const hint = (server: string): string =>
    nameMistake({
      name: dnsName('202611._domainkey.mail.example.org'),
      expected: VALUE,
      records: [`"${VALUE}"`],
      apex: dnsName('example.org'),
      serverNames: [server],
    })?.hint ?? '';
  expect(hint('dana.ns.cloudflare.com')).toContain(
    'At Cloudflare: Name: 202611._domainkey.mail (without the domain). Value: the whole value as one line',
  );
  expect(hint('ns-12.awsdns-01.com')).toContain('At Amazon Route 53: ');
  expect(hint('ns-12.awsdns-01.com')).toContain('Value: as strings of at most 255 octets');
  expect(hint('ns1.vultr.com')).toContain('in one pair of quotation marks');
  expect(hint('ns1.example.org')).not.toContain('At ');
});

test('no part of a private key is repeated', () => {
  const told = nameMistake({name: NAME, expected: VALUE, records: [`v=DKIM1; k=rsa; p=${pkcs8}`]});
  expect(told?.message).not.toContain(pkcs8.slice(0, 30));
  expect(told?.hint).toContain('waxseal rotate --emergency');
});
