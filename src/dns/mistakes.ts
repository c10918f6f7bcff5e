/**
 * The mistake, by name. From what a server returned and what should be there, says what went wrong on the way: each is
 * a Problem with a stable id `dns.*`, what was seen, and the repair.
 */
import type {DnsName} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {recordTags, sameKeyRecord} from './compare.ts';

export interface Published {
  readonly name: DnsName;
  readonly expected: string;
  /** One entry a TXT record, its strings joined. */
  readonly records: readonly string[];
}

/** Undefined where nothing is wrong, or nothing is there. */
export function nameMistake(published: Published): Problem | undefined {
  const {records, expected} = published;
  const [only] = records;
  if (only === undefined) return undefined;
  if (records.some(holdsPrivateKey)) return privateKey(published);
  if (records.length > 1) return severalRecords(published);
  if (sameKeyRecord(only, expected)) return blanksInKey(only, expected);
  for (const rule of RULES) {
    const found = rule(only, published);
    if (found !== undefined) return found;
  }
  return otherTags(only, published);
}

type Rule = (found: string, published: Published) => Problem | undefined;

const excerpt = (text: string, length = 48): string => {
  const shown = visible(text);
  return shown.length <= length ? shown : `${shown.slice(0, length - 3)}...`;
};

const replaceIt = ({name}: Published): string => `Replace the TXT record at ${name} by the one shown.`;

/** A private key in PEM, or a `p=` whose DER begins as PKCS#1 or PKCS#8 private keys do: SEQUENCE, then INTEGER 0. */
function holdsPrivateKey(text: string): boolean {
  if (/PRIVATE KEY/i.test(text)) return true;
  const der = derOf(text);
  return der !== undefined && startsWithInteger(der, 0);
}

function derOf(text: string): Buffer | undefined {
  const body = /(?:^|;)[ \t\r\n"]*p[ \t]*=([^;"\\]+)/.exec(text)?.[1]?.replace(/[\s]+/g, '') ?? '';
  if (!/^[A-Za-z0-9+/]{16,}=*$/.test(body)) return undefined;
  const der = Buffer.from(body, 'base64');
  return der[0] === 0x30 ? der : undefined;
}

/** Octets after the tag and length of the outer SEQUENCE. */
const contentStart = (der: Buffer): number => {
  const length = der[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
};

function startsWithInteger(der: Buffer, value: number): boolean {
  const at = contentStart(der);
  return der[at] === 0x02 && der[at + 1] === 0x01 && der[at + 2] === value;
}

const privateKey = ({name}: Published): Problem =>
  problem(
    'dns.private-key',
    `The record at ${name} holds a private key: everybody can sign as the domain.`,
    'Delete the record at once and make a new key under another selector; this key must never be used again.',
  );

function severalRecords(published: Published): Problem {
  const {records, expected, name} = published;
  if (joinsTo(records, expected)) {
    return problem(
      'dns.split-records',
      `The key is cut into ${records.length} TXT records; it must be one record of several strings.`,
      `Delete them and enter one TXT record at ${name}: the whole value in one field, or as "..." "..." on one line.`,
    );
  }
  const others = records.filter(record => !sameKeyRecord(record, expected));
  if (others.length === 0) {
    return problem(
      'dns.repeated-record',
      `The same key record is there ${records.length} times; receivers may refuse all of them.`,
      `Leave only one TXT record at ${name}.`,
    );
  }
  const evidence = excerpt(others[0] ?? '');
  return problem(
    'dns.several-records',
    others.length < records.length
      ? `Another TXT record stands beside the right one (${evidence}); receivers may refuse both.`
      : `There are ${records.length} TXT records and none is the right one (${evidence}).`,
    `Leave only the record shown at ${name}.`,
  );
}

/** Servers return records in any order: the pieces are laid end to end as they fit. */
function joinsTo(pieces: readonly string[], whole: string): boolean {
  if (pieces.length > 8 || pieces.some(piece => piece === '')) return false;
  if (pieces.length === 0) return whole.trim() === '';
  return pieces.some((piece, at) => {
    const bare = unquoted(piece);
    return whole.startsWith(bare) && joinsTo(pieces.toSpliced(at, 1), whole.slice(bare.length));
  });
}

const unquoted = (text: string): string => text.trim().replace(/^"|"$/g, '');

/** It works, but some receivers do not skip blanks in the key. */
function blanksInKey(found: string, expected: string): Problem | undefined {
  const key = /(?:^|;)\s*p\s*=([^;]*)/.exec(found)?.[1]?.trim() ?? '';
  if (found === expected || !/\s/.test(key)) return undefined;
  return problem(
    'dns.blanks-in-key',
    `The key has a blank in it (${excerpt(around(key, key.search(/\s/)))}): strings were joined with blanks.`,
    'It is valid, but not every receiver reads it. Enter the value again in one piece, without blanks in p=.',
  );
}

const around = (text: string, at: number): string => text.slice(Math.max(0, at - 12), at + 13);

const literalQuotes: Rule = (found, published) => {
  if (!found.includes('"')) return undefined;
  return problem(
    'dns.literal-quotes',
    `The data itself has quotation marks in it: ${excerpt(found)}`,
    `The panel adds the quotes by itself. ${replaceIt(published)} Enter it without quotation marks, in one piece.`,
  );
};

const literalBackslash: Rule = (found, published) => {
  if (!found.includes('\\')) return undefined;
  return problem(
    'dns.literal-backslash',
    `The data itself has a backslash in it: ${excerpt(around(found, found.indexOf('\\')))}`,
    `${replaceIt(published)} Semicolons need no backslash there.`,
  );
};

const pemArmour: Rule = (found, published) =>
  /-----\s*(?:BEGIN|END)|BEGIN PUBLIC/.test(found)
    ? problem(
        'dns.pem-armour',
        'The lines "-----BEGIN ..." of a PEM file are in the record.',
        `${replaceIt(published)} Only the Base64 of the key belongs after p=.`,
      )
    : undefined;

const oddCharacters: Rule = (found, published) => {
  const odd = [...found].find(character => !/[\x20-\x7e\t\r\n]/.test(character));
  if (odd === undefined) return undefined;
  const code = (odd.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
  return problem(
    'dns.odd-characters',
    `The record has a character that does not belong there: U+${code} in ${excerpt(around(found, found.indexOf(odd)))}`,
    `${replaceIt(published)} Copy it as plain text: mail programs and word processors change quotes and blanks.`,
  );
};

const cutAtSemicolon: Rule = (found, published) =>
  /^\s*v\s*=\s*DKIM1\s*;?\s*$/.test(found)
    ? problem(
        'dns.cut-at-semicolon',
        `Only ${excerpt(found)} arrived: everything from the first semicolon on is missing.`,
        `In a zone file the value must be in quotation marks, or the rest is a comment. ${replaceIt(published)}`,
      )
    : undefined;

const foreignRecord: Rule = (found, published) => {
  const tags = recordTags(found);
  const version = /^\s*v\s*=\s*([A-Za-z0-9]+)/.exec(found)?.[1];
  const dkim = version?.toUpperCase().startsWith('DKIM') ?? (tags?.has('p') || tags?.has('k'));
  if (dkim === true || found.includes('p=')) return undefined;
  return problem(
    'dns.foreign-record',
    `The TXT record there is no DKIM key: ${excerpt(found)}`,
    `${replaceIt(published)} Where it comes from a wildcard (*) record, a record of this name takes precedence.`,
  );
};

const truncatedKey: Rule = (found, published) => {
  const {expected} = published;
  const tags = recordTags(found);
  const wanted = recordTags(expected)?.get('p') ?? '';
  const key = tags?.get('p');
  if (key === undefined || key === '' || key === wanted || !wanted.startsWith(key)) return undefined;
  const octets = Buffer.byteLength(found);
  const whole = Buffer.byteLength(expected);
  const cut = octets === 255 || octets === 254;
  return problem(
    cut ? 'dns.cut-at-255' : 'dns.cut-key',
    cut
      ? `Only the first ${octets} of ${whole} octets are there: the first string of the record.`
      : `The key is cut off: ${key.length} of ${wanted.length} characters of p= are there.`,
    cut
      ? `Enter the value as several strings of at most 255 octets in one record: "..." "..."`
      : `${replaceIt(published)} Where the panel limits the length, use a smaller key or delegate the name by CNAME.`,
  );
};

const noKey: Rule = (found, published) => {
  const tags = recordTags(found);
  if (tags === undefined) return undefined;
  const key = tags.get('p');
  if (key === undefined) {
    return problem('dns.no-key', `The record has no p= tag: ${excerpt(found)}`, replaceIt(published));
  }
  return key === ''
    ? problem(
        'dns.revoked',
        'The record has an empty p=: this key is revoked.',
        'Use another selector; a revoked one is never used again.',
      )
    : undefined;
};

const pkcs1: Rule = (found, published) => {
  const der = derOf(found);
  const at = der === undefined ? 0 : contentStart(der);
  return der?.[at] === 0x02
    ? problem(
        'dns.pkcs1',
        'The key after p= is in the PKCS#1 form ("BEGIN RSA PUBLIC KEY"), which receivers do not read.',
        replaceIt(published),
      )
    : undefined;
};

const otherKey: Rule = (found, published) => {
  const key = recordTags(found)?.get('p');
  const wanted = recordTags(published.expected)?.get('p');
  if (key === undefined || key === wanted) return undefined;
  return problem(
    'dns.other-key',
    `Another key is published: p= ends with ${excerpt(key.slice(-12))}, not with ${excerpt((wanted ?? '').slice(-12))}.`,
    `${replaceIt(published)} Where that key is in use elsewhere, choose another selector.`,
  );
};

/** The order matters: what explains the rest comes first. */
const RULES: readonly Rule[] = [
  pemArmour,
  literalQuotes,
  literalBackslash,
  oddCharacters,
  cutAtSemicolon,
  foreignRecord,
  truncatedKey,
  noKey,
  pkcs1,
  otherKey,
];

function otherTags(found: string, published: Published): Problem {
  const have = recordTags(found);
  if (have === undefined) {
    return problem('dns.no-tag-list', `The record cannot be read: ${excerpt(found)}`, replaceIt(published));
  }
  if (have.has('v') && [...have.keys()][0] !== 'v') {
    return problem(
      'dns.version-not-first',
      'The tag v= is not the first of the record.',
      replaceIt(published),
    );
  }
  const wanted = recordTags(published.expected) ?? new Map<string, string>();
  const names = [...new Set([...wanted.keys(), ...have.keys()])];
  const differing = names.filter(name => have.get(name) !== wanted.get(name));
  const told = differing.map(name =>
    have.has(name)
      ? `${name}=${excerpt(have.get(name) ?? '', 20)}${wanted.has(name) ? '' : ' too much'}`
      : `${name}= missing`,
  );
  return problem(
    'dns.other-tags',
    `The key is right, but other tags differ: ${told.join(', ')}.`,
    replaceIt(published),
  );
}
