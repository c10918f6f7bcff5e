/**
 * The mistake, by name. From what a server returned and what should be there, says what went wrong on the way: each is
 * a Problem with a stable id `dns.*`, the octets that are wrong, and the repair for the provider at hand. All ids are
 * in docs/reference/dns-mistakes.md.
 */
import {type Problem, problem} from '../domain/result.ts';
import {recordTags, sameKeyRecord, writtenTags} from './compare.ts';
import {around, excerpt, octetsOf} from './evidence.ts';
import {holdsPrivateKey} from './key-material.ts';
import {CHARACTER_RULES} from './mistakes-characters.ts';
import {CUT_RULES} from './mistakes-cut.ts';
import {KEY_RULES} from './mistakes-key.ts';
import {tagMistake} from './mistakes-tags.ts';
import {type Published, type Rule, replaceIt} from './repair.ts';

/** Undefined where nothing is wrong, or nothing is there. */
export function nameMistake(published: Published): Problem | undefined {
  const {records, expected} = published;
  const [only] = records;
  if (only === undefined) return undefined;
  if (records.some(holdsPrivateKey)) return privateKey(published);
  if (records.length > 1) return severalRecords(published);
  if (sameKeyRecord(only, expected)) return blanksInKey(only, published);
  for (const rule of RULES) {
    const found = rule(only, published);
    if (found !== undefined) return found;
  }
  return tagMistake(only, published);
}

/** The order matters: what explains the rest comes first. */
const RULES: readonly Rule[] = [emptyRecord, ...CHARACTER_RULES, ...CUT_RULES, foreignRecord, ...KEY_RULES];

const privateKey = ({name, records}: Published): Problem =>
  problem(
    'dns.private-key',
    `The record at ${name} holds a private key (${excerpt(records.find(holdsPrivateKey)?.replace(/[A-Za-z0-9+/]{24,}/g, '(hidden)') ?? '')}): everybody can sign as the domain.`,
    'Delete the record at once and make a new key under another selector: waxseal rotate --emergency. This key must never be used again.',
  );

function severalRecords(published: Published): Problem {
  const {records, expected, name} = published;
  const pieces = piecesOf(records, expected);
  if (pieces !== undefined) {
    const sizes = pieces.map(piece => Buffer.byteLength(piece)).join(' and ');
    return problem(
      'dns.split-records',
      `The key is cut into ${records.length} TXT records of ${sizes} octets; it must be one record of several strings.`,
      `Delete them. ${replaceIt(published, 'One TXT record: the whole value in one field, or as "..." "..." on one line.')}`,
    );
  }
  const others = records.filter(record => !sameKeyRecord(record, expected)).toSorted();
  if (others.length === 0) {
    return problem(
      'dns.repeated-record',
      `The same key record is there ${records.length} times; receivers may refuse all of them.`,
      `Leave only one TXT record at ${name}.`,
    );
  }
  const evidence = excerpt(others[0] ?? '');
  const isThere = others.length < records.length;
  const otherKeys = others.filter(record => recordTags(record)?.has('p') === true);
  if (isThere && otherKeys.length > 0) {
    return problem(
      'dns.two-keys',
      `Another key stands beside the right one at the same selector (${evidence}); receivers may refuse both.`,
      `Delete the other record at ${name}. A second key needs a selector of its own.`,
    );
  }
  return problem(
    'dns.several-records',
    isThere
      ? `Another TXT record stands beside the right one (${evidence}); receivers may refuse both.`
      : `There are ${records.length} TXT records and none is the right one (${evidence}).`,
    `Leave only the record shown at ${name}.`,
  );
}

/** Servers return records in any order: the pieces are laid end to end as they fit. Undefined where they do not. */
function piecesOf(records: readonly string[], whole: string): readonly string[] | undefined {
  if (records.length > 8 || records.some(record => record === '')) return undefined;
  if (records.length === 0) return whole.trim() === '' ? [] : undefined;
  for (const [at, record] of records.entries()) {
    const bare = unquoted(record);
    if (!whole.startsWith(bare)) continue;
    const rest = piecesOf(records.toSpliced(at, 1), whole.slice(bare.length));
    if (rest !== undefined) return [record, ...rest];
  }
  return undefined;
}

const unquoted = (text: string): string => text.trim().replace(/^"|"$/g, '');

/** It works, but some receivers do not skip blanks in the key. */
function blanksInKey(found: string, published: Published): Problem | undefined {
  const key = writtenTags(found)?.get('p') ?? '';
  const at = key.search(/\s/);
  if (found === published.expected || at < 0) return undefined;
  return problem(
    'dns.blanks-in-key',
    `The key has a blank in it (${around(key, at)}, octets ${octetsOf(key[at] ?? ' ', undefined)}): strings were joined with blanks.`,
    `It is valid, but not every receiver reads it. ${replaceIt(published, 'No blanks belong into p=.')}`,
  );
}

function emptyRecord(found: string, published: Published): Problem | undefined {
  if (found.trim() !== '') return undefined;
  return problem(
    'dns.empty-record',
    `The TXT record there is empty (${Buffer.byteLength(found)} octets).`,
    replaceIt(published),
  );
}

function foreignRecord(found: string, published: Published): Problem | undefined {
  const tags = recordTags(found);
  const version = /^\s*v\s*=\s*([A-Za-z0-9]+)/.exec(found)?.[1];
  const dkim = version?.toUpperCase().startsWith('DKIM') ?? (tags?.has('p') || tags?.has('k'));
  if (dkim === true || /(?:^|[;\s])p\s*[=:]/.test(found)) return undefined;
  return problem(
    'dns.foreign-record',
    `The TXT record there is no DKIM key: ${excerpt(found)}`,
    replaceIt(
      published,
      'Where it comes from a wildcard (*) record, a record of this name takes precedence.',
    ),
  );
}
