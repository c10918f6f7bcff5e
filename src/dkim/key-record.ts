import {createPublicKey, type KeyObject} from 'node:crypto';
import {UsageError} from '../domain/errors.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {decodeBase64} from './base64.ts';
import {lower} from './octets.ts';
import {importPublicKey, type PublicKey} from './public-key.ts';
import {type Parsed, parsed, quoted, reason, refused} from './reason.ts';
import {colonList, parseTagList, type Tag, type TagList, withoutWhite} from './tag-list.ts';

/** A key record as published under `selector._domainkey.domain` (RFC 6376 §3.6.1). */
export interface KeyRecord {
  /** `k=`; `rsa` where there is none. Any word: unknown types parse, but no signature can use them. */
  readonly keyType: string;
  /** `h=`: hashes the key may be used with; undefined means all. */
  readonly hashes: readonly string[] | undefined;
  /** `s=`: service types; undefined means all. */
  readonly services: readonly string[] | undefined;
  /** `t=y`: the domain is only testing; a verifier must not treat failures differently, but may tell. */
  readonly testing: boolean;
  /** `t=s`: the domain of i= must be the one of d=, no subdomain. */
  readonly noSubdomains: boolean;
  /** `n=`, as written. */
  readonly note: string | undefined;
  /** True where p= is empty: the key has been revoked. */
  readonly revoked: boolean;
  /** The octets of p=; empty where revoked. */
  readonly publicKey: Buffer;
  /** Every tag as written, unknown ones included. */
  readonly tags: TagList;
}

/**
 * Parses the text of a key record: the character-strings of one TXT record joined without anything between
 * (RFC 6376 §3.6.2.2). Unknown tags are ignored; a wrong one makes the record unusable. Whether p= holds a usable
 * key is seen by {@link keyOf}.
 */
export function parseKeyRecord(text: string): Result<KeyRecord> {
  const record = readKeyRecord(text);
  return record.ok
    ? ok(record.value)
    : fail(problem(record.reason.id, record.reason.message, 'Publish the record again as it was shown.'));
}

/** As {@link parseKeyRecord}, with the reason in the engine's own terms: section, tag and offset. */
export function readKeyRecord(text: string): Parsed<KeyRecord> {
  const list = parseTagList(text, 'key');
  if (!list.ok) return list;
  const tags = list.value;
  const bad = (id: string, tag: string, message: string): Parsed<KeyRecord> =>
    refused(reason(id, message, 'RFC 6376 §3.6.1', {tag, offset: tags.get(tag)?.start ?? 0}));

  const version = tags.get('v');
  if (version !== undefined) {
    // v= must come first, and its value is case-sensitive.
    if (tags.keys().next().value !== 'v') return bad('key.version', 'v', 'v= is not the first tag.');
    if (version.value !== 'DKIM1') {
      return bad('key.version', 'v', `v=${quoted(version.value)} is not DKIM1.`);
    }
  }
  const keyType = lower(tags.get('k')?.value ?? 'rsa');
  const hashes = words(tags.get('h'));
  const services = words(tags.get('s'));
  const flags = words(tags.get('t'));
  const data = tags.get('p');
  if (data === undefined) return bad('key.tag-missing', 'p', 'p= is missing.');
  const revoked = withoutWhite(data.value) === '';
  const publicKey = revoked ? Buffer.alloc(0) : decodeBase64(data.value, 'optional');
  if (publicKey === undefined) return bad('key.base64', 'p', 'p= is not base64.');
  return parsed({
    keyType,
    hashes,
    services,
    testing: flags?.includes('y') ?? false,
    noSubdomains: flags?.includes('s') ?? false,
    note: tags.get('n')?.value,
    revoked,
    publicKey,
    tags,
  });
}

/** The public key of a record, ready to verify with. Refuses revoked keys, unknown types and data that is no key. */
export function keyOf(record: KeyRecord): Parsed<PublicKey> {
  if (record.revoked) {
    return refused(
      reason('key.revoked', 'The key has been revoked: p= is empty.', 'RFC 6376 §6.1.2', {tag: 'p'}),
    );
  }
  if (record.keyType !== 'rsa' && record.keyType !== 'ed25519') {
    return refused(
      reason('key.type', `The key type k=${quoted(record.keyType)} is unknown.`, 'RFC 6376 §6.1.2', {
        tag: 'k',
      }),
    );
  }
  return importPublicKey(record.keyType, record.publicKey);
}

/**
 * The public key that a record holds, in the form of `KeyDescription.publicKey`: base64 with its padding and without
 * white space, of SubjectPublicKeyInfo for RSA and of the 32 bare octets for Ed25519. Two records of one key give the
 * same text, however they are written (RFC 6376 §3.2: white space, order of tags; §3.6.1: either form of an RSA key).
 * Octets that are no key of their type are given as they are. This is the one reader of `p=`.
 *
 * @param record the text of a record, or the character-strings of one TXT record (RFC 6376 §3.6.2.2)
 * @returns '' where the key is revoked; undefined where the record cannot be read, or has no `p=`
 */
export function publicKeyOf(record: string | readonly string[]): string | undefined {
  const read = readKeyRecord(typeof record === 'string' ? record : record.join(''));
  if (!read.ok) return undefined;
  const {revoked, publicKey} = read.value;
  if (revoked) return '';
  const key = keyOf(read.value);
  return (key.ok ? publicOctets(key.value.key) : publicKey).toString('base64');
}

/** True where a record says that its key is revoked: `p=` is there and empty (RFC 6376 §3.6.1). */
export const isRevoked = (record: string): boolean => publicKeyOf(record) === '';

/**
 * Where the tag `p=` begins in a record that holds a key; -1 where it holds none, or cannot be read. For forms that give
 * the key a string of its own.
 */
export function keyTagAt(record: string): number {
  const tags = parseTagList(record, 'key');
  const tag = tags.ok ? tags.value.get('p') : undefined;
  return tag === undefined || tag.value === '' ? -1 : record.lastIndexOf('p', tag.start - 1);
}

/** What {@link formatKeyRecord} writes. */
export interface KeyRecordFields {
  readonly algorithm: 'rsa' | 'ed25519';
  /** A public key of that type, or the private one it belongs to. */
  readonly publicKey: KeyObject;
  /** Adds `t=y`. */
  readonly testMode?: boolean;
  /** Adds `t=s`. */
  readonly noSubdomains?: boolean;
  /** Adds `n=`, in printable ASCII; anything else is quoted as RFC 6376 §2.11 says. */
  readonly note?: string;
}

/**
 * Writes a key record: `v=DKIM1; h=sha256; k=rsa; p=...`. Order v, h, k, n, t, p; h= only for RSA (Ed25519 knows no
 * other hash, RFC 8463 §3); never s=, whose absence means every service.
 *
 * @throws UsageError where the key is not of the algorithm named
 */
export function formatKeyRecord(fields: KeyRecordFields): string {
  const {algorithm, publicKey} = fields;
  if (publicKey.asymmetricKeyType !== algorithm) {
    throw new UsageError(
      problem(
        'key-record.type',
        `The key is ${publicKey.asymmetricKeyType ?? 'secret'}, not ${algorithm}.`,
        `Give a key made for ${algorithm}.`,
      ),
    );
  }
  const flags = [fields.testMode === true ? 'y' : '', fields.noSubdomains === true ? 's' : ''].filter(
    flag => flag !== '',
  );
  return [
    'v=DKIM1',
    ...(algorithm === 'rsa' ? ['h=sha256'] : []),
    `k=${algorithm}`,
    ...(fields.note === undefined || fields.note === '' ? [] : [`n=${quoteNote(fields.note)}`]),
    ...(flags.length === 0 ? [] : [`t=${flags.join(':')}`]),
    `p=${publicOctets(publicKey).toString('base64')}`,
  ].join('; ');
}

/** The octets of p=: SubjectPublicKeyInfo for RSA (RFC 6376 §3.6.1, erratum 3017), 32 raw octets for Ed25519 (RFC 8463 §4). */
function publicOctets(key: KeyObject): Buffer {
  if (key.asymmetricKeyType === 'ed25519') {
    return Buffer.from(String(key.export({format: 'jwk'}).x), 'base64url');
  }
  if (key.type === 'public') return key.export({format: 'der', type: 'spki'});
  return createPublicKey(key).export({format: 'der', type: 'spki'});
}

// qp-section: printable ASCII but "=" stays, and ";" would end the tag.
const quoteNote = (note: string): string =>
  [...Buffer.from(note, 'utf8')]
    .map(octet =>
      octet > 0x20 && octet < 0x7f && octet !== 0x3b && octet !== 0x3d
        ? String.fromCharCode(octet)
        : octet === 0x20
          ? ' '
          : `=${octet.toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('')
    .trim();

/**
 * Items of a colon list in lower case; undefined where the tag is absent. Unknown and empty items stay in the list:
 * they match nothing. The words are literals of the grammar, which are case-insensitive (RFC 5234 §2.3).
 */
const words = (tag: Tag | undefined): readonly string[] | undefined =>
  tag === undefined ? undefined : colonList(tag.value).map(lower);
