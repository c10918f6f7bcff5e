import {fromLatin1, latin1} from './octets.ts';
import {withoutWhite} from './tag-list.ts';

/**
 * Decodes dkim-quoted-printable (RFC 6376 §2.11): white space is not part of the value, `=XX` is an octet in
 * upper-case hexadecimal (lower case is read as well). Undefined where a `=` is followed by anything else.
 */
export function decodeQuotedPrintable(value: string): string | undefined {
  const text = withoutWhite(value);
  if (!text.includes('=')) return text;
  const parts = text.split('=');
  let out = parts[0] ?? '';
  for (let index = 1; index < parts.length; index++) {
    const part = parts[index] ?? '';
    const code = Number.parseInt(part.slice(0, 2), 16);
    if (!/^[0-9A-Fa-f]{2}/.test(part)) return undefined;
    out += String.fromCharCode(code) + part.slice(2);
  }
  return out;
}

/**
 * Encodes octets so that they may stand in a tag: everything but printable ASCII is `=XX`, and so are `;`, `=` and
 * the characters in `also` (the `|` of z=). Non-ASCII is always encoded, which is right in every message.
 */
export function encodeQuotedPrintable(octets: Uint8Array, also = ''): string {
  return latin1(octets)
    .replace(UNSAFE, hexOctet)
    .replace(also === '' ? NOTHING : /\|/g, hexOctet);
}

/** As {@link encodeQuotedPrintable} for code units 0..255. */
export const encodeQuotedPrintableText = (text: string, also = ''): string =>
  encodeQuotedPrintable(fromLatin1(text), also);

const UNSAFE = /[^!-:<>-~]/g;
const NOTHING = /(?!)/g;

const hexOctet = (character: string): string =>
  `=${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
