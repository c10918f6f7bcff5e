/** Each mistake as somebody makes it: the lines that then stand in the zone, and the id by which it has to be named. */
import {generateKeyPairSync, type KeyObject, type KeyPairKeyObjectResult} from 'node:crypto';
import type {DriverSubject} from './dns-driver.ts';
import {quoted, strings} from './dns-net.ts';

export interface MistakeCase {
  readonly id: string;
  readonly subject: DriverSubject;
  readonly lines: readonly string[];
  /** It works all the same, and is only remarked. */
  readonly works?: boolean;
}

const APEX = 'example.org';

const recordOf = (key: KeyObject): string =>
  `v=DKIM1; k=rsa; h=sha256; p=${key.export({type: 'spki', format: 'der'}).toString('base64')}`;

/** Of any key in some hundred no digit is `+`: what becomes of one in a form of the web could not be shown with it. */
function pairWithEveryDigit(): KeyPairKeyObjectResult {
  const made = generateKeyPairSync('rsa', {modulusLength: 2048});
  const digits = recordOf(made.publicKey).split('p=')[1] ?? '';
  return ['+', '/'].every(digit => digits.includes(digit)) ? made : pairWithEveryDigit();
}

export const pair = pairWithEveryDigit();
const big = recordOf(generateKeyPairSync('rsa', {modulusLength: 4096}).publicKey);
export const VALUE = recordOf(pair.publicKey);
export const OTHER = recordOf(generateKeyPairSync('rsa', {modulusLength: 2048}).publicKey);
const KEY = VALUE.slice(VALUE.indexOf('p=') + 2);
const edwards = generateKeyPairSync('ed25519').publicKey.export({type: 'spki', format: 'der'});
const der = (key: KeyObject, type: 'pkcs1' | 'pkcs8'): string =>
  key.export({type: type as 'pkcs1', format: 'der'}).toString('base64');

/** Values that arrive spoiled at the right name. */
const spoiled: readonly (readonly [id: string, ...values: (string | Uint8Array)[]])[] = [
  ['dns.private-key', `v=DKIM1; k=rsa; p=${der(pair.privateKey, 'pkcs8')}`],
  ['dns.split-records', VALUE.slice(0, 255), VALUE.slice(255)],
  ['dns.repeated-record', VALUE, `${VALUE};`],
  ['dns.two-keys', VALUE, OTHER],
  ['dns.several-records', VALUE, 'v=spf1 -all'],
  ['dns.empty-record', ''],
  ['dns.literal-quotes', `"${VALUE}"`],
  ['dns.escaped-quotes', `\\"${VALUE}\\"`],
  ['dns.literal-backslash', VALUE.replaceAll(';', '\\;')],
  ['dns.literal-newline', VALUE.replaceAll('; ', ';\\n')],
  ['dns.line-breaks', (KEY.match(/.{1,64}/g) ?? []).join('\n').replace(/^/, 'v=DKIM1; k=rsa; h=sha256; p=')],
  ['dns.typographic-quotes', `\u201c${VALUE}\u201d`],
  ['dns.zero-width', VALUE.replace('p=', 'p=\u200b')],
  ['dns.odd-blank', VALUE.replace('; k', ';\u00a0k')],
  ['dns.odd-characters', Buffer.concat([Buffer.from([0x93]), Buffer.from(VALUE), Buffer.from([0x94])])],
  ['dns.pem-armour', `v=DKIM1; k=rsa; p=-----BEGIN PUBLIC KEY-----${KEY}-----END PUBLIC KEY-----`],
  ['dns.html-entities', VALUE.replaceAll('=', '&#61;')],
  ['dns.percent-encoded', VALUE.replaceAll('=', '%3D').replaceAll('+', '%2B')],
  ['dns.zone-line-in-value', `s1._domainkey IN TXT ( "${VALUE}" )`],
  ['dns.cut-at-255', VALUE.slice(0, 255)],
  ['dns.cut-key', VALUE.slice(0, 300)],
  ['dns.first-string-only', VALUE.slice(0, VALUE.indexOf('p='))],
  ['dns.first-string-missing', VALUE.slice(255)],
  ['dns.strings-out-of-order', VALUE.slice(255) + VALUE.slice(0, 255)],
  ['dns.value-twice', VALUE + VALUE],
  ['dns.no-key', 'v=DKIM1; k=rsa; h=sha256'],
  ['dns.revoked', 'v=DKIM1; k=rsa; p='],
  ['dns.pkcs1', `v=DKIM1; k=rsa; p=${der(pair.publicKey, 'pkcs1')}`],
  ['dns.ssh-key', 'v=DKIM1; k=rsa; p=AAAAB3NzaC1yc2EAAAADAQABAAABAQC7qZt3Vx9LpRw5Yb1Nf8'],
  [
    'dns.base64-twice',
    `v=DKIM1; k=rsa; p=${Buffer.from(`-----BEGIN PUBLIC KEY-----\n${KEY}`).toString('base64')}`,
  ],
  ['dns.ed25519-spki', `v=DKIM1; k=ed25519; p=${edwards.toString('base64')}`],
  ['dns.case-changed', VALUE.toLowerCase().replace('dkim1', 'DKIM1')],
  ['dns.base64url', VALUE.replaceAll('+', '-').replaceAll('/', '_')],
  ['dns.not-base64', VALUE.replace(KEY, `${KEY.slice(0, 100)}*${KEY.slice(101)}`)],
  ['dns.other-key', OTHER],
  ['dns.foreign-record', 'v=spf1 include:example.net -all'],
  ['dns.version-missing', VALUE.replace('v=DKIM1; ', '')],
  ['dns.version-not-first', VALUE.replace('v=DKIM1; k=rsa', 'k=rsa; v=DKIM1')],
  ['dns.wrong-version', VALUE.replace('DKIM1', 'dkim1')],
  ['dns.wrong-key-type', VALUE.replace('k=rsa', 'k=ed25519')],
  ['dns.test-mode', VALUE.replace('; p=', '; t=y; p=')],
  ['dns.subdomain-flag', VALUE.replace('; p=', '; t=s; p=')],
  ['dns.hash-not-allowed', VALUE.replace('sha256', 'sha1')],
  ['dns.not-for-mail', VALUE.replace('; p=', '; s=tlsrpt; p=')],
  ['dns.other-tags', VALUE.replace('; p=', '; n=old note; p=')],
  ['dns.no-semicolon', VALUE.replaceAll(';', '')],
  ['dns.tag-twice', `v=DKIM1; ${VALUE}`],
  ['dns.colon-for-equals', VALUE.replace('v=', 'v:')],
];

const fromValues = spoiled.map(([id, ...values]): MistakeCase => {
  const name = `s1._domainkey.${id.slice(4)}.${APEX}`;
  return {
    id,
    subject: {name, expected: VALUE},
    lines: values.map(value => `${name}. TXT ${strings(value)}`),
  };
});

/** A place of its own for each: `m1.example.org`, and the name at which the record was entered there. */
const lost: readonly (readonly [id: string, at: (selector: string, domain: string) => string])[] = [
  // Without the final dot, as it is forgotten in a zone file.
  ['dns.doubled-domain', (selector, domain) => `${selector}._domainkey.${domain}`],
  ['dns.wrong-subdomain', selector => `${selector}._domainkey`],
  ['dns.bare-selector', (selector, domain) => `${selector}.${domain}.`],
  ['dns.at-domainkey', (_, domain) => `_domainkey.${domain}.`],
  ['dns.no-underscore', (selector, domain) => `${selector}.domainkey.${domain}.`],
  ['dns.at-domain', (_, domain) => `${domain}.`],
  ['dns.domainkey-twice', (selector, domain) => `${selector}._domainkey._domainkey.${domain}.`],
  ['dns.labels-swapped', (selector, domain) => `_domainkey.${selector}.${domain}.`],
  ['dns.misspelt-domainkey', (selector, domain) => `${selector}._domainkeys.${domain}.`],
  ['dns.underscore-at-selector', (selector, domain) => `_${selector}._domainkey.${domain}.`],
  ['dns.old-selector', (_, domain) => `former._domainkey.${domain}.`],
];

const fromNames = lost.map(([id, at], index): MistakeCase => {
  const domain = `m${index}.${APEX}`;
  const name = `lost${index}._domainkey.${domain}`;
  return {
    id,
    subject: {name, expected: VALUE, formerNames: [`former._domainkey.${domain}`]},
    lines: [`${at(`lost${index}`, domain)} TXT ${strings(VALUE)}`],
  };
});

const at = (label: string): string => `s1._domainkey.${label}.${APEX}`;

const others: readonly MistakeCase[] = [
  {
    // Unquoted in the zone file: a semicolon begins a comment there.
    id: 'dns.cut-at-semicolon',
    subject: {name: at('semicolon'), expected: VALUE},
    lines: [`${at('semicolon')}. TXT ${VALUE}`],
  },
  {
    id: 'dns.cut-by-limit',
    subject: {name: at('limit'), expected: big},
    lines: [`${at('limit')}. TXT ${strings(big.slice(0, 512))}`],
  },
  {
    id: 'dns.blanks-in-key',
    subject: {name: at('blanks'), expected: VALUE},
    lines: [`${at('blanks')}. TXT ${quoted(VALUE.slice(0, 200))} " " ${quoted(VALUE.slice(200))}`],
    works: true,
  },
  {
    id: 'dns.old-key',
    subject: {name: at('former'), expected: VALUE, formerValues: [OTHER]},
    lines: [`${at('former')}. TXT ${strings(OTHER)}`],
  },
  {
    id: 'dns.wildcard',
    subject: {name: at('wildcard'), expected: VALUE},
    lines: [`*.wildcard.${APEX}. TXT "v=spf1 -all"`],
  },
  {
    id: 'dns.wildcard',
    subject: {name: at('wildcard2'), expected: VALUE},
    lines: [`*._domainkey.wildcard2.${APEX}. TXT ${strings(VALUE)}`],
    works: true,
  },
  {
    id: 'dns.cname-dead-end',
    subject: {name: at('dead'), expected: VALUE},
    lines: [`${at('dead')}. CNAME nothing.dead.${APEX}.`],
  },
  {
    id: 'dns.cname-loop',
    subject: {name: at('loop'), expected: VALUE},
    lines: [`${at('loop')}. CNAME back.loop.${APEX}.`, `back.loop.${APEX}. CNAME ${at('loop')}.`],
  },
  {
    id: 'dns.cname-beside-txt',
    subject: {name: at('beside'), expected: VALUE},
    lines: [`${at('beside')}. CNAME esp.beside.${APEX}.`, `esp.beside.${APEX}. TXT ${strings(OTHER)}`],
  },
];

const plus: MistakeCase = {
  id: 'dns.plus-lost',
  subject: {name: at('plus'), expected: VALUE},
  lines: [`${at('plus')}. TXT ${strings(VALUE.replaceAll('+', ' '))}`],
};

export const CASES: readonly MistakeCase[] = [...fromValues, ...fromNames, ...others, plus];
