import type {HeaderField} from './header-block.ts';
import {isWsp} from './octets.ts';

/** Names of the two algorithms (RFC 6376 §3.4). */
export type CanonicalizationName = 'simple' | 'relaxed';

/** `c=`: one algorithm for the header, one for the body. */
export interface Canonicalization {
  readonly header: CanonicalizationName;
  readonly body: CanonicalizationName;
}

/** The canonical form of a header field, with its final CRLF. */
export const canonicalizeHeader = (field: HeaderField, how: CanonicalizationName): string =>
  // simple: no change at all (RFC 6376 §3.4.1)
  how === 'simple' ? field.raw : relaxedHeader(field);

/**
 * Relaxed header canonicalization (RFC 6376 §3.4.2): name in lower case, unfolded, each run of WSP one SP, no WSP at
 * the end of the value nor on either side of the colon. WSP is SP and HTAB only.
 */
export function relaxedHeader(field: HeaderField): string {
  const {raw, colon, name} = field;
  const end = raw.endsWith('\r\n') ? raw.length - 2 : raw.length;
  let value = raw.slice(colon + 1, end);
  if (NEEDS_WORK.test(value)) value = value.replace(FOLD, '').replace(WSP_RUN, ' ');
  let start = 0;
  let stop = value.length;
  while (start < stop && isWsp(value.charCodeAt(start))) start++;
  while (stop > start && isWsp(value.charCodeAt(stop - 1))) stop--;
  return `${name}:${value.slice(start, stop)}\r\n`;
}

// By construction of a field each CRLF inside it is followed by WSP, so removing CRLF is unfolding.
const FOLD = /\r\n/g;
const WSP_RUN = /[ \t]+/g;
const NEEDS_WORK = /\t|\r\n| {2}/;
