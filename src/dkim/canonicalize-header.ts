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
  const {name, colon} = field;
  return latin1(octets, 0, relaxField(octets, 0, name.length, colon, octets.length, octets, 0));
}

/**
 * Relaxed header canonicalization (RFC 6376 §3.4.2): name in lower case, unfolded, each run of WSP one SP, no WSP at
 * the end of the value nor on either side of the colon. WSP is SP and HTAB only. The result is never longer than the
 * field, so it may be written into the same memory, at `start` or before.
 *
 * @param octets holds the field from `start` to `end`, its CRLF included; its name up to `nameEnd`, its colon at `colon`
 * @param target where the result goes, from `to` on
 * @returns the end of the result, its CRLF included
 */
export function relaxField(
  octets: Uint8Array,
  start: number,
  nameEnd: number,
  colon: number,
  end: number,
  target: Uint8Array,
  to: number,
): number {
  let out = to;
  for (let at = start; at < nameEnd; at++) {
    const octet = octets[at] ?? 0;
    target[out++] = octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
  }
  target[out++] = COLON;
  const first = out;
  const stop = end - 2;
  let at = colon + 1;
  while (at < stop) {
    const octet = octets[at++] ?? 0;
    if (octet > SP || !isWhite(octets, at - 1)) {
      target[out++] = octet;
      continue;
    }
    // By construction of a field, WSP follows each CRLF inside it: leaving the CRLF out is unfolding.
    if (octet === CR) at++;
    while (at < stop && isWhite(octets, at)) at += octets[at] === CR ? 2 : 1;
    if (out > first && at < stop) target[out++] = SP;
  }
  target[out++] = CR;
  target[out++] = LF;
  return out;
}

const isWhite = (octets: Uint8Array, at: number): boolean => {
  const octet = octets[at];
  return octet === SP || octet === HTAB || (octet === CR && octets[at + 1] === LF);
};

const COLON = 0x3a;
