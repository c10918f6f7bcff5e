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
 *
 * @param padding the grammar of RFC 6376 §2.10 has it optional, as most lengths need none; the encoding itself, RFC
 *   2045 §6.8, always completes the last quantum, and verifiers that decode by it refuse anything else. What there is
 *   must be right in either case
 */
export function isBase64(value: string, padding: 'required' | 'optional'): boolean {
  let digits = 0;
  let pads = 0;
  for (let at = 0; at < value.length; at++) {
    const kind = KINDS[value.charCodeAt(at)];
    if (kind === DIGIT && pads === 0) digits++;
    else if (kind === PADDING) pads++;
    else if (kind !== WHITE) return false;
  }
  const remainder = digits % 4;
  if (digits === 0 || pads > 2 || remainder === 1) return false;
  if (pads === 0 && padding === 'optional') return true;
  return pads === (4 - remainder) % 4;
}

/** The octets of a tag in base64, undefined where {@link isBase64} says that it is none. */
export const decodeBase64 = (value: string, padding: 'required' | 'optional'): Buffer | undefined =>
  // Node's decoder skips the white space by itself.
  isBase64(value, padding) ? Buffer.from(value, 'base64') : undefined;

/** Whether the value of a tag stands for the same octets as base64 in the form that Node writes. */
export const isSameBase64 = (value: string, written: string): boolean =>
  value === written || Buffer.from(value, 'base64').toString('base64') === written;
