/** How foreign text is shown as evidence: harmless, short, and with the octets that matter. */
import {visible} from '../domain/text.ts';

/** The beginning, or all of it where it is short. */
export function excerpt(text: string, length = 48): string {
  const shown = visible(text);
  return shown.length <= length ? shown : `${shown.slice(0, length - 3)}...`;
}

export const around = (text: string, at: number): string =>
  excerpt(text.slice(Math.max(0, at - 12), at + 13));

/** Octets as they travelled, in hexadecimal: `e2 80 9c`. Twelve at most. */
export function hex(octets: Uint8Array): string {
  const shown = [...octets.subarray(0, 12)].map(octet => octet.toString(16).padStart(2, '0')).join(' ');
  return octets.length > 12 ? `${shown} ...` : shown;
}

/**
 * The octets of one character of a record. A record that is no UTF-8 was read one octet a character.
 * @param octets of the whole record as they came, where they are known.
 */
export function octetsOf(character: string, octets: Uint8Array | undefined): string {
  const encoded = Buffer.from(character);
  const raw = octets === undefined ? undefined : Buffer.from(octets);
  return hex(raw === undefined || raw.includes(encoded) ? encoded : Buffer.from(character, 'latin1'));
}
