import type {DnsName} from '../domain/names.ts';
import {decodeBase64, isBase64} from './base64.ts';
import type {Canonicalization, CanonicalizationName} from './canonicalize-header.ts';
import type {HeaderField} from './header-block.ts';
import {keyName, toAscii} from './names.ts';
import {fromLatin1, lower} from './octets.ts';
import {decodeQuotedPrintable} from './quoted-printable.ts';
import {quoted, type Reason, reason} from './reason.ts';
import {colonList, parseTagList, type Tag, type TagList} from './tag-list.ts';

/** The algorithms that signatures are made and verified with (RFC 8301, RFC 8463). */
export type Algorithm = 'rsa-sha256' | 'ed25519-sha256';

/** A DKIM-Signature field whose tags are all present and right (RFC 6376 §3.5). */
export interface Signature {
  readonly algorithm: Algorithm;
  readonly keyType: 'rsa' | 'ed25519';
  readonly canonicalization: Canonicalization;
  /** d= as lower-case A-labels. */
  readonly domain: string;
  /** s= as lower-case A-labels. */
  readonly selector: string;
  /** Owner name of the key record. */
  readonly keyName: DnsName;
  /** i= decoded, or `@` and the domain where it is absent. */
  readonly identity: string;
  /** The part of i= after the last `@`, as lower-case A-labels. */
  readonly identityDomain: string;
  /** h= in its order, lower case, with repetitions. */
  readonly signedHeaders: readonly string[];
  /** bh=, base64 as it is written: white space and all. */
  readonly bodyHash: string;
  /** b= */
  readonly signature: Buffer;
  /** l= in octets of the canonical body; undefined where absent, Infinity where beyond any body. */
  readonly bodyLength: number | undefined;
  /** t= in seconds since 1970. */
  readonly timestamp: number | undefined;
  /** x= in seconds since 1970. */
  readonly expiration: number | undefined;
  readonly tags: TagList;
}

/** What a signature says about itself, as far as it could be read: for reports on signatures that are wrong. */
export interface SignatureClaims {
  readonly domain: string | undefined;
  readonly selector: string | undefined;
  readonly algorithm: string | undefined;
  readonly identity: string | undefined;
}

/** Outcome of {@link parseSignature}: the signature, or why it is none (PERMFAIL in the terms of RFC 6376 §6.1). */
export type SignatureParse =
  | {readonly ok: true; readonly value: Signature}
  | {readonly ok: false; readonly reason: Reason; readonly claims: SignatureClaims; readonly tags: TagList};

const REQUIRED = ['v', 'a', 'b', 'bh', 'd', 'h', 's'] as const;
// sig-t-tag, sig-x-tag = 1*12DIGIT; sig-l-tag = 1*76DIGIT
const SECONDS = /^[0-9]{1,12}$/;
const LENGTH = /^[0-9]{1,76}$/;
// field-name of RFC 5322 without ";", which ends the tag.
const FIELD_NAMES = /^[!-9<-~]+(?:[ \t\r\n]*:[ \t\r\n]*[!-9<-~]+)*$/;

/** Reads a DKIM-Signature field strictly (RFC 6376 §3.5, §6.1.1). Offsets in reasons count from the field's start. */
export function parseSignature(field: HeaderField): SignatureParse {
  const text = field.raw.slice(0, -2);
  const list = parseTagList(text, 'signature', field.colon + 1);
  if (!list.ok) return {ok: false, reason: list.reason, claims: NO_CLAIMS, tags: new Map()};
  const tags = list.value;
  const read = readTags(tags);
  return 'id' in read ? {ok: false, reason: read, claims: claimsOf(tags), tags} : {ok: true, value: read};
}

function readTags(tags: TagList): Signature | Reason {
  const syntax = (tag: string, message: string, section = 'RFC 6376 §3.5'): Reason =>
    reason('signature.syntax', message, section, where(tags, tag));

  for (const name of REQUIRED) {
    const tag = tags.get(name);
    if (tag === undefined) {
      return reason('signature.tag-missing', `The required tag ${name}= is missing.`, 'RFC 6376 §6.1.1', {
        tag: name,
      });
    }
  }
  const value = (name: string): string => tags.get(name)?.value ?? '';

  if (value('v') !== '1') {
    return reason(
      'signature.version',
      `v=${quoted(value('v'))} is not version 1.`,
      'RFC 6376 §6.1.1',
      where(tags, 'v'),
    );
  }

  // Literals of the grammar are case-insensitive (RFC 5234 §2.3), here and for c=, q=.
  const algorithm = lower(value('a'));
  if (algorithm !== 'rsa-sha256' && algorithm !== 'ed25519-sha256') {
    return algorithm === 'rsa-sha1'
      ? reason(
          'signature.rsa-sha1',
          'rsa-sha1 must not be used: the signature counts as failed.',
          'RFC 8301 §3.1',
          where(tags, 'a'),
        )
      : reason(
          'signature.algorithm',
          `The algorithm a=${quoted(value('a'))} is unknown.`,
          'RFC 6376 §6.1.1',
          where(tags, 'a'),
        );
  }

  const canonicalization = readCanonicalization(tags.get('c'));
  if (canonicalization === undefined) {
    return reason(
      'signature.canonicalization',
      `The canonicalization c=${quoted(value('c'))} is unknown.`,
      'RFC 6376 §6.1.1',
      where(tags, 'c'),
    );
  }

  const domain = toAscii(value('d'), 'domain');
  if (domain === undefined) return syntax('d', `d=${quoted(value('d'))} is not a domain name.`);
  const selector = toAscii(value('s'), 'selector');
  if (selector === undefined) return syntax('s', `s=${quoted(value('s'))} is not a selector.`);
  const name = keyName(selector, domain);
  if (name === undefined) return syntax('s', 's= and d= together are longer than a DNS name may be.');

  const signedHeaders = colonList(lower(value('h')));
  if (!FIELD_NAMES.test(value('h'))) {
    return syntax('h', 'h= is not a list of header field names.');
  }
  if (!signedHeaders.includes('from')) {
    return reason('signature.from-unsigned', 'The From field is not signed.', 'RFC 6376 §6.1.1', {
      ...where(tags, 'h'),
      header: 'from',
    });
  }

  const identity = readIdentity(tags.get('i'), domain);
  if (identity === undefined) return syntax('i', `i=${quoted(value('i'))} is not an identity.`);
  if (identity.domain !== domain && !identity.domain.endsWith(`.${domain}`)) {
    return reason(
      'signature.identity-domain',
      `The domain of i= (${quoted(identity.domain)}) is neither d= (${quoted(domain)}) nor below it.`,
      'RFC 6376 §6.1.1',
      where(tags, 'i'),
    );
  }

  const query = tags.get('q');
  // Unknown methods are ignored, but one that is known must be there.
  if (query !== undefined && !colonList(query.value).some(method => lower(method) === 'dns/txt')) {
    return reason(
      'signature.query',
      `q=${quoted(query.value)} names no method that is known.`,
      'RFC 6376 §3.5',
      where(tags, 'q'),
    );
  }

  const length = tags.get('l');
  if (length !== undefined && !LENGTH.test(length.value))
    return syntax('l', `l=${quoted(length.value)} is no number.`);
  const time = tags.get('t');
  if (time !== undefined && !SECONDS.test(time.value))
    return syntax('t', `t=${quoted(time.value)} is no time.`);
  const expiry = tags.get('x');
  if (expiry !== undefined && !SECONDS.test(expiry.value))
    return syntax('x', `x=${quoted(expiry.value)} is no time.`);
  if (time !== undefined && expiry !== undefined && Number(expiry.value) <= Number(time.value)) {
    return syntax('x', 'x= is not later than t=.');
  }

  // Nobody publishes these by hand: what lacks its padding was cut.
  const bodyHash = value('bh');
  if (!isBase64(bodyHash, 'required')) return syntax('bh', 'bh= is not base64.');
  const signature = decodeBase64(value('b'), 'required');
  if (signature === undefined) return syntax('b', 'b= is not base64.');

  return {
    algorithm,
    keyType: algorithm === 'rsa-sha256' ? 'rsa' : 'ed25519',
    canonicalization,
    domain,
    selector,
    keyName: name,
    identity: identity.text,
    identityDomain: identity.domain,
    signedHeaders,
    bodyHash,
    signature,
    bodyLength: length === undefined ? undefined : toLength(length.value),
    timestamp: time === undefined ? undefined : Number(time.value),
    expiration: expiry === undefined ? undefined : Number(expiry.value),
    tags,
  };
}

/**
 * The field with the value of b= and all white space around that value deleted, nothing else changed
 * (RFC 6376 §3.5 b=, §3.7). The place comes from the parsed tag, so a `b=` inside another value is never hit.
 */
export function withoutSignatureValue(field: HeaderField, tags: TagList): HeaderField {
  const tag = tags.get('b');
  if (tag === undefined) return field;
  return {...field, raw: field.raw.slice(0, tag.start) + field.raw.slice(tag.end)};
}

const NO_CLAIMS: SignatureClaims = {
  domain: undefined,
  selector: undefined,
  algorithm: undefined,
  identity: undefined,
};

const claimsOf = (tags: TagList): SignatureClaims => ({
  domain: tags.get('d')?.value,
  selector: tags.get('s')?.value,
  algorithm: tags.get('a')?.value,
  identity: tags.get('i')?.value,
});

const where = (tags: TagList, name: string): {readonly tag: string; readonly offset?: number} => {
  const tag = tags.get(name);
  return tag === undefined ? {tag: name} : {tag: name, offset: tag.start};
};

const isCanonicalization = (name: string): name is CanonicalizationName =>
  name === 'simple' || name === 'relaxed';

/** c=; `simple/simple` where absent, `simple` for the body where only one is named. Undefined where unknown. */
export function readCanonicalization(tag: Tag | undefined): Canonicalization | undefined {
  if (tag === undefined) return {header: 'simple', body: 'simple'};
  const parts = lower(tag.value).split('/');
  const [header = '', body = 'simple'] = parts;
  return parts.length <= 2 && isCanonicalization(header) && isCanonicalization(body)
    ? {header, body}
    : undefined;
}

function readIdentity(
  tag: Tag | undefined,
  domain: string,
): {readonly text: string; readonly domain: string} | undefined {
  if (tag === undefined) return {text: `@${domain}`, domain};
  const text = decodeQuotedPrintable(tag.value);
  const at = text === undefined ? -1 : text.lastIndexOf('@');
  if (text === undefined || at < 0 || !isLocalPart(text.slice(0, at))) return undefined;
  const ascii = toAscii(text.slice(at + 1), 'domain');
  return ascii === undefined ? undefined : {text: fromLatin1(text).toString('utf8'), domain: ascii};
}

const DOT_STRING =
  /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\xff]+)*$/;
const QUOTED_STRING = /^"(?:[ !#-[\]-~\x80-\xff]|\\[ -~])*"$/;

/** Local-part of RFC 5321 (dot-string or quoted-string), with the UTF-8 of RFC 6531; may be empty in i=. */
export const isLocalPart = (text: string): boolean =>
  text === '' || DOT_STRING.test(text) || QUOTED_STRING.test(text);

const toLength = (digits: string): number => {
  const length = Number(digits);
  return Number.isSafeInteger(length) ? length : Number.POSITIVE_INFINITY;
};
