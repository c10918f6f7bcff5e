/** What stands after `p=` when it is not the key that should be there: told by its first octets (RFC 5280, 8017, 8410). */

export type KeyMaterial =
  | 'private'
  | 'pkcs1'
  | 'certificate'
  | 'ssh'
  | 'armour-in-base64'
  | 'ed25519-spki'
  | 'other';

/** The text after `p=` without blanks and quotation marks; undefined where there is none. */
export function keyText(record: string): string | undefined {
  return /(?:^|[;"\s])p[ \t]*=([^;\\]*)/.exec(record)?.[1]?.replace(/[\s"]+/g, '');
}

/** A private key in PEM, or DER that begins as PKCS#1 and PKCS#8 private keys do: SEQUENCE, then INTEGER 0 or 1. */
export function holdsPrivateKey(record: string): boolean {
  if (/PRIVATE[ _]KEY/i.test(record)) return true;
  const text = keyText(record);
  return text !== undefined && materialOf(text) === 'private';
}

/** @param base64 the text after `p=`, without blanks. */
export function materialOf(base64: string): KeyMaterial {
  // "-----BEGIN", "ssh-rsa" behind its length, as Base64 has them.
  if (base64.startsWith('LS0tLS')) return 'armour-in-base64';
  if (/^(?:ssh-(?:rsa|ed25519))?AAAA[BC]3NzaC/.test(base64)) return 'ssh';
  if (!/^[A-Za-z0-9+/]{16,}=*$/.test(base64)) return 'other';
  const der = Buffer.from(base64, 'base64');
  if (der[0] !== 0x30) return 'other';
  const inner = contentAt(der, 0);
  // PrivateKeyInfo and RSAPrivateKey carry their version first; a modulus is never that short.
  if (der[inner] === 0x02) return der[inner + 1] === 1 && (der[inner + 2] ?? 2) < 2 ? 'private' : 'pkcs1';
  if (der[inner] !== 0x30) return 'other';
  // Certificate: TBSCertificate begins with [0] version or the serial number; SubjectPublicKeyInfo with an OID.
  const second = der[contentAt(der, inner)];
  if (second === 0xa0 || second === 0x02) return 'certificate';
  return der.length === 44 && der.includes(Buffer.from('06032b6570', 'hex')) ? 'ed25519-spki' : 'other';
}

/** Where the content of the TLV at `at` begins. */
function contentAt(der: Buffer, at: number): number {
  const length = der[at + 1] ?? 0;
  return at + (length < 0x80 ? 2 : 2 + (length & 0x7f));
}
