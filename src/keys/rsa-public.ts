/**
 * The public half of an RSA private key, straight from its DER: ten thousand key files of a host are told apart, and to
 * load each as a key takes thirty times as long. Whatever is not in the one usual form is left to OpenSSL.
 */

/** SEQUENCE { rsaEncryption, NULL }: AlgorithmIdentifier (RFC 8017, appendix A.1). */
const RSA_ENCRYPTION = Buffer.from('300d06092a864886f70d0101010500', 'hex');
const SEQUENCE = 0x30;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
/** Version, modulus, public exponent, and six more: RSAPrivateKey (RFC 8017, appendix A.1.2). */
const INTEGERS = 9;

/**
 * DER SubjectPublicKeyInfo of an RSA private key: PEM with nothing around it, as PKCS#8 (RFC 5208) or PKCS#1. Undefined
 * for everything else, a damaged key too.
 */
export const rsaPublicOf = (pem: Buffer): Buffer | undefined => rsaKeyOf(pem)?.spki;

/** As {@link rsaPublicOf}, with the length of the modulus. */
export function rsaKeyOf(pem: Buffer): RsaKey | undefined {
  const match =
    /^-----BEGIN (RSA )?PRIVATE KEY-----\r?\n([A-Za-z0-9+/\r\n]+={0,2}\r?\n)-----END (RSA )?PRIVATE KEY-----\r?\n?$/.exec(
      pem.toString('latin1'),
    );
  const [, first, text, last] = match ?? [];
  if (text === undefined || first !== last) return undefined;
  const der = Buffer.from(text, 'base64');
  const key = first === undefined ? innerKey(der) : der;
  return key === undefined ? undefined : publicOf(key);
}

/** The RSAPrivateKey in a PrivateKeyInfo. */
function innerKey(der: Buffer): Buffer | undefined {
  const parts = partsOf(only(der, SEQUENCE));
  const [version, algorithm, key, ...others] = parts ?? [];
  const isUsual =
    version?.whole.equals(Buffer.from([INTEGER, 1, 0])) === true &&
    algorithm?.whole.equals(RSA_ENCRYPTION) === true &&
    key?.tag === OCTET_STRING &&
    others.length === 0;
  return isUsual ? key.content : undefined;
}

export interface RsaKey {
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly bits: number;
}

function publicOf(key: Buffer): RsaKey | undefined {
  const parts = partsOf(only(key, SEQUENCE));
  const [version, modulus, exponent] = parts ?? [];
  if (parts?.length !== INTEGERS || !parts.every(isPositive)) return undefined;
  if (version?.content.equals(Buffer.from([0])) !== true) return undefined;
  if (modulus === undefined || exponent === undefined) return undefined;
  const pair = wrapped(SEQUENCE, Buffer.concat([modulus.whole, exponent.whole]));
  const bits = wrapped(BIT_STRING, Buffer.concat([Buffer.from([0]), pair]));
  const spki = wrapped(SEQUENCE, Buffer.concat([RSA_ENCRYPTION, bits]));
  return {spki, bits: bitsOf(modulus.content)};
}

/** Without the zeros in front. */
function bitsOf(number: Buffer): number {
  const at = number.findIndex(octet => octet !== 0);
  return at < 0 ? 0 : (number.length - at) * 8 - Math.clz32(number[at] ?? 0) + 24;
}

/** An INTEGER of at least nought, in as few octets as DER wants (X.690 §8.3.2). */
function isPositive({tag, content}: Part): boolean {
  const [first = 0x80, second = 0x80] = content;
  return tag === INTEGER && first < 0x80 && (first !== 0 || content.length === 1 || second >= 0x80);
}

interface Part {
  readonly tag: number;
  readonly content: Buffer;
  readonly whole: Buffer;
}

/** One element of DER at an offset; undefined where it is cut, or its length is not in the shortest form. */
function partAt(der: Buffer, at: number): Part | undefined {
  const [tag, short] = [der[at], der[at + 1]];
  if (tag === undefined || short === undefined) return undefined;
  const octets = short < 0x80 ? 0 : short & 0x7f;
  if (octets > 3 || (short >= 0x80 && octets === 0) || at + 2 + octets > der.length) return undefined;
  const length = octets === 0 ? short : der.readUIntBE(at + 2, octets);
  if (octets > 0 && length < (octets === 1 ? 0x80 : 2 ** (8 * (octets - 1)))) return undefined;
  const [start, end] = [at + 2 + octets, at + 2 + octets + length];
  if (end > der.length) return undefined;
  return {tag, content: der.subarray(start, end), whole: der.subarray(at, end)};
}

/** The content, where the octets are one element of that kind and no more. */
function only(der: Buffer, tag: number): Buffer | undefined {
  const part = partAt(der, 0);
  return part?.tag === tag && part.whole.length === der.length ? part.content : undefined;
}

function partsOf(content: Buffer | undefined): readonly Part[] | undefined {
  if (content === undefined) return undefined;
  const parts: Part[] = [];
  for (let at = 0; at < content.length; ) {
    const part = partAt(content, at);
    if (part === undefined) return undefined;
    parts.push(part);
    at += part.whole.length;
  }
  return parts;
}

function wrapped(tag: number, content: Buffer): Buffer {
  const {length} = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
