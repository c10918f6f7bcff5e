import type {HeaderField} from './header-block.ts';
import {CR, fromLatin1, HTAB, LF, latin1, SP} from './octets.ts';

/** Names of the two algorithms (RFC 6376 §3.4). */
export type CanonicalizationName = 'simple' | 'relaxed';

/** `c=`: one algorithm for the header, one for the body. */
export interface Canonicalization {
  readonly header: CanonicalizationName;
  readonly body: CanonicalizationName;
}

/** The canonical form of a header field, with its final CRLF. */
export function canonicalizeHeader(field: HeaderField, how: CanonicalizationName): string {
  // simple: no change at all (RFC 6376 §3.4.1)
  if (how === 'simple') return field.raw;
  const octets = fromLatin1(field.raw);
  return latin1(octets, 0, relaxInPlace(octets, 0, field, 0));
}

/**
 * Relaxed header canonicalization (RFC 6376 §3.4.2): name in lower case, unfolded, each run of WSP one SP, no WSP at
 * the end of the value nor on either side of the colon. WSP is SP and HTAB only. The result is never longer than the
 * field, so it is written into the same memory.
 *
 * @param octets holds the field as it is from `from` on
 * @param to where the result goes, not behind `from`
 * @returns the end of the result, its CRLF included
 */
export function relaxInPlace(octets: Uint8Array, from: number, field: HeaderField, to: number): number {
  const {raw, colon, name} = field;
  let out = to;
  for (let at = from; at < from + name.length; at++) {
    const octet = octets[at] ?? 0;
    octets[out++] = octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
  }
  octets[out++] = COLON;
  const start = out;
  const end = from + raw.length - 2;
  let space = false;
  for (let at = from + colon + 1; at < end; at++) {
    const octet = octets[at] ?? 0;
    if (octet === SP || octet === HTAB) {
      space = true;
    } else if (octet === CR && octets[at + 1] === LF) {
      // By construction of a field, WSP follows each CRLF inside it: leaving the CRLF out is unfolding.
      at++;
    } else {
      if (space && out > start) octets[out++] = SP;
      space = false;
      octets[out++] = octet;
    }
  }
  octets[out++] = CR;
  octets[out++] = LF;
  return out;
}

const COLON = 0x3a;
