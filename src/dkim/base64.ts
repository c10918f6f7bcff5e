import {withoutWhite} from './tag-list.ts';

// base64string = ALPHADIGITPS *([FWS] ALPHADIGITPS) [ [FWS] "=" [ [FWS] "=" ] ] (RFC 6376 §2.10)
const ALPHABET = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Decodes the base64 of a tag, white space anywhere ignored. Returns undefined where it is empty, has a character
 * outside the alphabet or a length that no padding explains; Node's own decoder would skip such things in silence.
 *
 * @param padding `optional` for b= and bh=, as the ABNF has it; `required` for key records, where a missing `=` means
 *   a record that was cut or mangled on its way into the zone
 */
export function decodeBase64(value: string, padding: 'optional' | 'required'): Buffer | undefined {
  const text = withoutWhite(value);
  if (!ALPHABET.test(text)) return undefined;
  const pad = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const remainder = (text.length - pad) % 4;
  if (remainder === 1 || (pad > 0 && remainder + pad !== 4)) return undefined;
  if (padding === 'required' && text.length % 4 !== 0) return undefined;
  return Buffer.from(text, 'base64');
}
