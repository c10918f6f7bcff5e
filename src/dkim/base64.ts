import {CR, HTAB, LF, SP} from './octets.ts';

// base64string = ALPHADIGITPS *([FWS] ALPHADIGITPS) [ [FWS] "=" [ [FWS] "=" ] ] (RFC 6376 §2.10)
const DIGIT = 1;
const PADDING = 2;
const WHITE = 3;
const KINDS = kinds();

function kinds(): Uint8Array {
  const table = new Uint8Array(256);
  for (const digit of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/') {
    table[digit.charCodeAt(0)] = DIGIT;
  }
  table['='.charCodeAt(0)] = PADDING;
  for (const white of [SP, HTAB, CR, LF]) table[white] = WHITE;
  return table;
}

/**
 * Whether the value of a tag is base64, white space anywhere ignored. It is not where it is empty, has a character
 * outside the alphabet or a length that no padding explains; Node's own decoder would skip such things in silence.
 * Padding may be left out, as the grammar has it, but what there is must be right.
 */
export function isBase64(value: string): boolean {
  let digits = 0;
  let padding = 0;
  for (let at = 0; at < value.length; at++) {
    const kind = KINDS[value.charCodeAt(at)];
    if (kind === DIGIT && padding === 0) digits++;
    else if (kind === PADDING) padding++;
    else if (kind !== WHITE) return false;
  }
  const remainder = digits % 4;
  if (digits === 0 || padding > 2 || remainder === 1) return false;
  return padding === 0 || remainder + padding === 4;
}

/** The octets of a tag in base64, undefined where {@link isBase64} says that it is none. */
export const decodeBase64 = (value: string): Buffer | undefined =>
  // Node's decoder skips the white space by itself.
  isBase64(value) ? Buffer.from(value, 'base64') : undefined;

/** Whether the value of a tag stands for the same octets as base64 in the form that Node writes. */
export const isSameBase64 = (value: string, written: string): boolean =>
  value === written || Buffer.from(value, 'base64').toString('base64') === written;
