/** The two numbers of an RSA public key, each unsigned, big-endian, without leading zero octets. */
export interface RsaNumbers {
  readonly modulus: Buffer;
  readonly exponent: Buffer;
}

/**
 * Reads an RSA public key in either form that key records hold: SubjectPublicKeyInfo, as every generator writes it,
 * or the bare RSAPublicKey that the text of RFC 6376 §3.6.1 names (erratum 3017). Undefined for anything else.
 * Octets after the structure are ignored, as every verifier built on OpenSSL does.
 */
export function readRsaPublicKey(der: Buffer): RsaNumbers | undefined {
  const outer = readElement(der, 0, SEQUENCE);
  if (outer === undefined) return undefined;
  const inner = readElement(outer.content, 0, SEQUENCE);
  if (inner === undefined) return readNumbers(outer.content);
  const bits = readElement(outer.content, inner.next, BIT_STRING);
  if (bits === undefined || bits.next !== outer.content.length || bits.content[0] !== 0) return undefined;
  const oid = readElement(inner.content, 0, OBJECT_IDENTIFIER);
  if (oid === undefined || !oid.content.equals(RSA_ENCRYPTION)) return undefined;
  const key = readElement(bits.content, 1, SEQUENCE);
  if (key === undefined || key.next !== bits.content.length) return undefined;
  return readNumbers(key.content);
}

/** Length of an unsigned big-endian number in bits. */
export const bitLength = (number: Buffer): number => {
  const first = number[0] ?? 0;
  return number.length === 0 ? 0 : (number.length - 1) * 8 + (32 - Math.clz32(first));
};

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OBJECT_IDENTIFIER = 0x06;
// 1.2.840.113549.1.1.1
const RSA_ENCRYPTION = Buffer.from([0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]);

function readNumbers(content: Buffer): RsaNumbers | undefined {
  const modulus = readElement(content, 0, INTEGER);
  if (modulus === undefined) return undefined;
  const exponent = readElement(content, modulus.next, INTEGER);
  if (exponent === undefined || exponent.next !== content.length) return undefined;
  const n = unsigned(modulus.content);
  const e = unsigned(exponent.content);
  return n === undefined || e === undefined ? undefined : {modulus: n, exponent: e};
}

function unsigned(content: Buffer): Buffer | undefined {
  if (content.length === 0 || (content[0] ?? 0) >= 0x80) return undefined;
  let at = 0;
  while (at < content.length - 1 && content[at] === 0) at++;
  return content.subarray(at);
}

interface Element {
  readonly content: Buffer;
  readonly next: number;
}

function readElement(der: Buffer, at: number, tag: number): Element | undefined {
  if (der[at] !== tag) return undefined;
  let length = der[at + 1];
  let start = at + 2;
  if (length === undefined) return undefined;
  if (length >= 0x80) {
    const count = length - 0x80;
    if (count < 1 || count > 4 || start + count > der.length) return undefined;
    length = der.readUIntBE(start, count);
    start += count;
  }
  const next = start + length;
  return next > der.length ? undefined : {content: der.subarray(start, next), next};
}
