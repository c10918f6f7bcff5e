import {isBase64} from './base64.ts';
import {type KeyRecord, keyOf, readKeyRecord} from './key-record.ts';
import type {PublicKey} from './public-key.ts';
import {quoted} from './reason.ts';
import {colonList, parseTagList, type TagList} from './tag-list.ts';

/** How much a finding matters: `error` breaks signatures, `warning` will or may, `note` is worth knowing. */
export type LintSeverity = 'error' | 'warning' | 'note';

/** Something to say about a published key record. */
export interface LintFinding {
  /** Stable: `lint.no-record`, `lint.key-size`. Never reused for another meaning. */
  readonly id: string;
  readonly severity: LintSeverity;
  /** What is the matter, in one sentence. */
  readonly message: string;
  /** What to do about it, in one sentence. */
  readonly fix: string;
  readonly tag?: string;
}

/** What is known beside the record itself. */
export interface LintOptions {
  /** The record that should be there: finds a key of another pair. */
  readonly expected?: string;
  /** Whether addresses in subdomains of d= are signed for, which t=s forbids in i=. */
  readonly signsSubdomains?: boolean;
}

/**
 * Looks for everything that is known to go wrong with a key record (RFC 6376 §3.6.1, RFC 8301, RFC 8463). Pure: what
 * only the DNS can tell (TTL, servers that differ, aliases) is not seen here.
 *
 * @param texts the TXT records at the name, each with its character-strings joined; a single string is one record
 * @returns the findings, gravest first; empty where the record is as it should be
 */
export function lintKeyRecord(
  texts: string | readonly string[],
  options: LintOptions = {},
): readonly LintFinding[] {
  const records = typeof texts === 'string' ? [texts] : texts;
  const findings: LintFinding[] = [];
  const add: Add = (severity, id, message, fix, tag) => {
    const finding = {id: `lint.${id}`, severity, message, fix};
    findings.push(tag === undefined ? finding : {...finding, tag});
  };
  if (records.length === 0) {
    add('error', 'no-record', 'There is no TXT record at the name.', 'Publish the key record.');
  }
  if (records.length > 1) {
    add(
      'error',
      'several-records',
      `There are ${records.length} TXT records at the name; verifiers take any one of them.`,
      'Leave only the one record of this key.',
    );
  }
  for (const text of records) lintOne(text, options, add);
  const order: readonly LintSeverity[] = ['error', 'warning', 'note'];
  return findings.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

type Add = (severity: LintSeverity, id: string, message: string, fix: string, tag?: string) => void;

const AGAIN = 'Publish the record again as it was shown, without changes.';

function lintOne(text: string, options: LintOptions, add: Add): void {
  lintText(text, add);
  const list = parseTagList(text, 'key');
  if (!list.ok) {
    const twice = list.reason.id === 'key.tag-twice';
    add('error', twice ? 'tag-twice' : 'syntax', list.reason.message, AGAIN, list.reason.tag);
    return;
  }
  const tags = list.value;
  lintVersion(tags, add);
  lintObsolete(tags, add);
  if (/\S[ \t]+\S/.test(tags.get('p')?.value ?? '')) {
    add(
      'warning',
      'spaces-in-key',
      'p= has spaces in it: its strings were joined with blanks. Most verifiers ignore them, some do not.',
      'Enter the strings so that nothing stands between them.',
      'p',
    );
  }
  const record = readKeyRecord(text);
  if (record.ok && !record.value.revoked && !isBase64(tags.get('p')?.value ?? '', 'required')) {
    add('warning', 'padding', 'p= lacks its padding: some verifiers refuse such a key.', AGAIN, 'p');
  }
  if (!record.ok) {
    if (record.reason.id === 'key.tag-missing') {
      add('error', 'no-key', 'p= is missing: the record has no key.', AGAIN, 'p');
    } else if (record.reason.id === 'key.base64') {
      add('error', 'base64', 'p= is not base64: it was cut or mangled on its way.', AGAIN, 'p');
    }
    return;
  }
  lintUse(record.value, options, add);
  lintKey(record.value, add);
  lintExpected(record.value, options, add);
}

/** Traces of copying through a web form or a zone file. */
function lintText(text: string, add: Add): void {
  if (text.includes('\\;') || text.includes('\\"')) {
    add(
      'error',
      'escaped',
      'The record holds a backslash that belongs to zone-file syntax, not to the data.',
      'Remove the backslashes.',
    );
  }
  if (text.includes('"')) {
    add('error', 'quotes', 'The record holds quotation marks as data.', 'Remove the quotation marks.');
  }
  if (/^[\s(]*[A-Za-z0-9._-]+\s+(?:\d+\s+)?(?:IN\s+)?TXT\s/i.test(text)) {
    add(
      'error',
      'zone-line',
      'The record holds a whole zone-file line, name and type included.',
      'Enter only the value, beginning with v=DKIM1.',
    );
  }
  if (/[^\x00-\x7f]/.test(text)) {
    add('warning', 'non-ascii', 'The record holds characters outside ASCII.', AGAIN);
  }
}

function lintVersion(tags: TagList, add: Add): void {
  const version = tags.get('v');
  if (version === undefined) {
    add(
      'note',
      'no-version',
      'v=DKIM1 is missing: it is recommended.',
      'Begin the record with v=DKIM1;.',
      'v',
    );
  } else if (version.value !== 'DKIM1') {
    add('error', 'version', `v=${quoted(version.value)} is not DKIM1.`, 'Write v=DKIM1, in capitals.', 'v');
  } else if (tags.keys().next().value !== 'v') {
    add('error', 'version-not-first', 'v=DKIM1 is not the first tag.', 'Move it to the front.', 'v');
  }
}

function lintObsolete(tags: TagList, add: Add): void {
  const granularity = tags.get('g');
  if (granularity !== undefined) {
    add(
      'warning',
      'obsolete-g',
      'g= was removed from DKIM in 2011; old verifiers may still obey it.',
      'Remove it.',
      'g',
    );
  }
  const known = new Set(['v', 'h', 'k', 'n', 'p', 's', 't', 'g']);
  for (const name of tags.keys()) {
    if (!known.has(name))
      add('note', 'unknown-tag', `The tag ${name}= is unknown; verifiers ignore it.`, 'Remove it.', name);
  }
}

function lintUse(record: KeyRecord, options: LintOptions, add: Add): void {
  if (record.hashes !== undefined && !record.hashes.includes('sha256')) {
    add(
      'error',
      'hash',
      'h= does not name sha256, the only hash in use.',
      'Write h=sha256 or leave h= out.',
      'h',
    );
  } else if (record.hashes?.includes('sha1') === true) {
    add('note', 'sha1', 'h= still allows sha1, which no verifier may accept.', 'Write h=sha256.', 'h');
  }
  if (record.services !== undefined && !record.services.includes('*') && !record.services.includes('email')) {
    add('error', 'service', 's= names neither email nor *.', 'Leave s= out.', 's');
  }
  const flags = colonList(record.tags.get('t')?.value ?? '').filter(flag => flag !== '');
  if (record.testing) {
    add(
      'warning',
      'test-mode',
      't=y says that DKIM is only being tested; some receivers then ignore the signatures.',
      'Remove t=y once signing works.',
      't',
    );
  }
  if (record.noSubdomains) {
    const breaks = options.signsSubdomains === true;
    add(
      breaks ? 'error' : 'note',
      'no-subdomains',
      't=s forbids an i= in a subdomain of d=.',
      breaks ? 'Remove t=s.' : 'Keep it where every i= is exactly in d=.',
      't',
    );
  }
  const strange = flags.find(flag => !['y', 's'].includes(flag.toLowerCase()));
  if (strange !== undefined) {
    add(
      'note',
      'unknown-flag',
      `The flag ${quoted(strange)} in t= is unknown; verifiers ignore it.`,
      'Remove it.',
      't',
    );
  }
}

function lintKey(record: KeyRecord, add: Add): void {
  if (record.revoked) {
    add('error', 'revoked', 'p= is empty: the key is revoked.', 'Sign with another key and selector.', 'p');
    return;
  }
  if (record.keyType !== 'rsa' && record.keyType !== 'ed25519') {
    add('error', 'key-type', `k=${quoted(record.keyType)} is unknown.`, 'Write k=rsa or k=ed25519.', 'k');
    return;
  }
  if (isPrivateKey(record.publicKey)) {
    add(
      'error',
      'private-key',
      'p= holds a private key: whoever reads the record can sign.',
      'Make a new key under another selector, and let nothing sign with this one any more.',
      'p',
    );
    return;
  }
  const key = keyOf(record);
  if (!key.ok) {
    const fitsOther = record.keyType === 'rsa' && record.publicKey.length === 32;
    const id = record.keyType === 'ed25519' ? 'ed25519-size' : 'not-a-key';
    if (fitsOther) {
      add(
        'error',
        'type-mismatch',
        'p= holds 32 octets, an Ed25519 key, but k= says RSA.',
        'Write k=ed25519.',
        'k',
      );
    } else if (record.keyType === 'ed25519' && looksLikeDer(record.publicKey)) {
      add(
        'error',
        'type-mismatch',
        'p= holds a DER structure, but k=ed25519 wants the bare 32 octets of the key.',
        'Publish the bare key, or k=rsa where it is an RSA key.',
        'k',
      );
    } else if (/even|exponent/.test(key.reason.message)) {
      add('error', 'rsa-numbers', key.reason.message, 'Make a new key.', 'p');
    } else {
      add('error', id, key.reason.message, AGAIN, 'p');
    }
    return;
  }
  lintSize(key.value, add);
}

/** PKCS#1 and PKCS#8 alike: a SEQUENCE that begins with a version, 0 or 1, where a public key has its modulus or type. */
function isPrivateKey(octets: Buffer): boolean {
  if (octets[0] !== 0x30) return false;
  const length = octets[1] ?? 0;
  const inner = length < 0x80 ? 2 : 2 + (length & 0x7f);
  return octets[inner] === 0x02 && octets[inner + 1] === 1 && (octets[inner + 2] ?? 2) < 2;
}

const looksLikeDer = (octets: Buffer): boolean => octets[0] === 0x30 && octets.length > 32;

function lintSize(key: PublicKey, add: Add): void {
  if (key.type !== 'rsa') return;
  const {bits} = key;
  if (bits < 1024) {
    add(
      'error',
      'key-size',
      `The RSA key has ${bits} bits; below 1024 no signature passes.`,
      'Make a key of 2048 bits.',
      'p',
    );
  } else if (bits < 2048) {
    add(
      'warning',
      'key-size',
      `The RSA key has ${bits} bits; 2048 are recommended.`,
      'Make a key of 2048 bits.',
      'p',
    );
  } else if (bits > 2048) {
    add(
      'note',
      'key-size',
      `The RSA key has ${bits} bits: more than one DNS string and slower to sign; some verifiers stop at 2048 or 4096.`,
      'Keep it unless a receiver refuses it.',
      'p',
    );
  }
}

function lintExpected(record: KeyRecord, options: LintOptions, add: Add): void {
  if (options.expected === undefined) return;
  const wanted = readKeyRecord(options.expected);
  if (!wanted.ok || wanted.value.publicKey.equals(record.publicKey)) return;
  add(
    'error',
    'other-key',
    'The key in p= is not the one that signs.',
    'Publish the record that belongs to the key.',
    'p',
  );
}
