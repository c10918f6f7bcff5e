import {withoutWhite} from './tag-list.ts';

// base64string = ALPHADIGITPS *([FWS] ALPHADIGITPS) [ [FWS] "=" [ [FWS] "=" ] ] (RFC 6376 §2.10)
const ALPHABET = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Decodes the base64 of a tag, white space anywhere ignored. Returns undefined where it is empty, has a character
 * outside the alphabet or a length that no padding explains; Node's own decoder would skip such things in silence.
 * Padding may be left out, as the grammar has it, but what there is must be right.
 */
export function decodeBase64(value: string): Buffer | undefined {
  const text = withoutWhite(value);
  if (!ALPHABET.test(text)) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const remainder = (text.length - padding) % 4;
  if (remainder === 1 || (padding > 0 && remainder + padding !== 4)) return undefined;
  return Buffer.from(text, 'base64');
}
