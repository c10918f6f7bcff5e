/** Octet values the canonicalizations care about. WSP is SP and HTAB only (RFC 5234 appendix B.1): not VT, FF or NBSP. */
export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;

/**
 * A message as octets: whole, or in pieces of any size, cut anywhere. Line ends must be CRLF (RFC 6376 §5.3);
 * see `lineEndings` in the options for files that have bare LF.
 */
export type MessageInput = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** How line ends are read: `strict` takes octets as they are, `normalize` turns each bare LF into CRLF (files on disk). */
export type LineEndings = 'strict' | 'normalize';

/** Octets as a string of code units 0..255: keeps 8-bit header fields exact, which UTF-8 decoding would not. */
export const latin1 = (octets: Uint8Array, start = 0, end = octets.length): string =>
  asBuffer(octets).toString('latin1', start, end);

/** Octets of a string of code units 0..255. */
export const fromLatin1 = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A view of the same memory, so that `indexOf` and `latin1Slice` (memchr, no loop in JavaScript) can be used. */
export const asBuffer = (octets: Uint8Array): Buffer =>
  Buffer.isBuffer(octets) ? octets : Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);

/** Lower case of ASCII and Latin-1 only; names compared here are ASCII by grammar. */
export const lower = (text: string): string => text.toLowerCase();
