import {createPublicKey, type KeyObject} from 'node:crypto';
import {bitLength, readRsaPublicKey} from './der.ts';
import {type Parsed, parsed, reason, refused} from './reason.ts';

/** A public key that signatures can be verified with. `bits` is the length of the RSA modulus; 256 for Ed25519. */
export interface PublicKey {
  readonly type: 'rsa' | 'ed25519';
  readonly bits: number;
  readonly key: KeyObject;
}

/** More would let a record keep a verifier busy; RFC 8301 §3.2 asks for 4096 at least. */
const MAX_RSA_BITS = 16_384;

/**
 * Turns the octets of p= into a key. The numbers are taken out of the DER here and handed over as a JWK: the length
 * of the modulus is needed in bits anyway, and Node's own decoding of DER is slower by an order of magnitude.
 * A short RSA key is returned as it is: whether it may be used is decided elsewhere.
 */
export function importPublicKey(type: 'rsa' | 'ed25519', octets: Buffer): Parsed<PublicKey> {
  return type === 'rsa' ? importRsa(octets) : importEd25519(octets);
}

function importRsa(octets: Buffer): Parsed<PublicKey> {
  const bad = (message: string, section = 'RFC 6376 §3.6.1'): Parsed<PublicKey> =>
    refused(reason('key.not-a-key', message, section, {tag: 'p'}));
  const numbers = readRsaPublicKey(octets);
  if (numbers === undefined) return bad('p= does not hold an RSA public key.');
  const {modulus, exponent} = numbers;
  const bits = bitLength(modulus);
  if (bits > MAX_RSA_BITS)
    return bad(`The RSA key has ${bits} bits; more than ${MAX_RSA_BITS} are not read.`);
  if (((modulus.at(-1) ?? 0) & 1) === 0) return bad('The RSA modulus is even.', 'RFC 8017 §3.1');
  // An exponent of 1 would make every padded hash its own signature.
  if (((exponent.at(-1) ?? 0) & 1) === 0 || bitLength(exponent) < 2) {
    return bad('The RSA exponent is even or 1.', 'RFC 8017 §3.1');
  }
  try {
    const key = createPublicKey({
      format: 'jwk',
      key: {kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url')},
    });
    return parsed({type: 'rsa', bits, key});
  } catch {
    return bad('p= does not hold a usable RSA public key.');
  }
}

function importEd25519(octets: Buffer): Parsed<PublicKey> {
  const bad = (message: string): Parsed<PublicKey> =>
    refused(reason('key.not-a-key', message, 'RFC 8463 §4', {tag: 'p'}));
  if (octets.length !== 32) {
    return bad(`An Ed25519 key is 32 octets; p= holds ${octets.length}.`);
  }
  try {
    const key = createPublicKey({
      format: 'jwk',
      key: {kty: 'OKP', crv: 'Ed25519', x: octets.toString('base64url')},
    });
    return parsed({type: 'ed25519', bits: 256, key});
  } catch {
    return bad('p= does not hold a usable Ed25519 public key.');
  }
}

/**
 * True for the encodings of points of small order: with such a key, signatures can be made that fit any message
 * without a private key (RFC 8032 §5.1.7 leaves the check to the verifier, OpenSSL does not do it).
 */
export function isSmallOrder(octets: Buffer): boolean {
  const folded = Buffer.from(octets);
  folded[31] = (folded[31] ?? 0) & 0x7f;
  return SMALL_ORDER.some(point => point.equals(folded));
}

const filled = (first: number, middle: number, last: number): Buffer => {
  const point = Buffer.alloc(32, middle);
  point[0] = first;
  point[31] = last;
  return point;
};

// The y coordinates of order 1, 2, 4 and 8, and their second encodings above the field prime, without the sign bit.
const SMALL_ORDER: readonly Buffer[] = [
  filled(0x00, 0x00, 0x00),
  filled(0x01, 0x00, 0x00),
  filled(0xec, 0xff, 0x7f),
  filled(0xed, 0xff, 0x7f),
  filled(0xee, 0xff, 0x7f),
  Buffer.from('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'hex'),
  Buffer.from('c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', 'hex'),
];
