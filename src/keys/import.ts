import {createPrivateKey, type KeyObject} from 'node:crypto';
import forge from 'node-forge';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {describeKey, type KeyDescription} from './inspect.ts';

export interface ImportedKey extends KeyDescription {
  /** PKCS#8 PEM with line feeds, whatever the form was. Secret. */
  readonly pem: string;
  readonly form: 'pkcs8' | 'pkcs1';
  /** What is worth knowing but no obstacle: a short key. */
  readonly remarks: readonly Problem[];
}

const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';
const RSA_PSS = '1.2.840.113549.1.1.10';
const ED25519 = '1.3.101.112';
const EC_PUBLIC_KEY = '1.2.840.10045.2.1';
const MAX_OCTETS = 64 * 1024;
const MINIMUM_BITS = 1024;
const ADVISED_BITS = 2048;

const refuse = (id: string, message: string, hint: string): Result<never> => fail(problem(id, message, hint));

/** What is in a PEM block that is not a private key in a form that signers read. */
const FOREIGN: Readonly<Record<string, readonly [id: string, what: string, hint: string]>> = {
  CERTIFICATE: ['key.certificate', 'a certificate', 'Give the file of its private key instead.'],
  'CERTIFICATE REQUEST': [
    'key.certificate',
    'a certificate request',
    'Give the file of its private key instead.',
  ],
  'PUBLIC KEY': ['key.public', 'a public key', 'Signing needs the private key that belongs to it.'],
  'RSA PUBLIC KEY': ['key.public', 'a public key', 'Signing needs the private key that belongs to it.'],
  'OPENSSH PRIVATE KEY': [
    'key.openssh',
    'an OpenSSH key',
    'Copy the file and convert the copy: ssh-keygen -p -N "" -m PEM -f COPY. Better: let waxseal make a new key.',
  ],
  'EC PRIVATE KEY': ['key.ec', 'an elliptic curve (ECDSA) key', 'DKIM knows RSA and Ed25519 only.'],
  'DSA PRIVATE KEY': ['key.dsa', 'a DSA key', 'DKIM knows RSA and Ed25519 only.'],
  'ENCRYPTED PRIVATE KEY': [
    'key.encrypted',
    'a private key with a pass phrase',
    'A signer cannot ask for it. Make a copy without it (openssl pkey writes one), and import that.',
  ],
};

/**
 * Reads a private key of the user: PKCS#8 or PKCS#1 PEM, line ends of any system, text around the block allowed.
 * Everything else is refused by its own name. RSA from 1024 bits (RFC 8301 §3.2); under 2048 with a remark.
 */
export function importKey(octets: Uint8Array): Result<ImportedKey> {
  const block = privateBlock(octets);
  if (!block.ok) return block;
  const {body, form} = block.value;
  const known = form === 'pkcs8' ? checkPkcs8(body) : checkPkcs1(body);
  if (!known.ok) return known;
  let key: KeyObject;
  try {
    const type = form === 'pkcs8' ? 'pkcs8' : 'pkcs1';
    key = createPrivateKey({key: Buffer.from(body, 'binary'), format: 'der', type});
  } catch {
    return damaged();
  }
  const described = describeKey(key);
  if (!described.ok) return described;
  const {algorithm, bits} = described.value;
  if (algorithm === 'rsa' && bits < MINIMUM_BITS) {
    return refuse(
      'key.too-short',
      `The key has ${bits} bits; verifiers ignore signatures of RSA keys under ${MINIMUM_BITS} bits (RFC 8301).`,
      'Let waxseal make a new key.',
    );
  }
  const pem = key.export({type: 'pkcs8', format: 'pem'}).toString();
  return ok({pem, form, ...described.value, remarks: remarksOn(algorithm, bits)});
}

function remarksOn(algorithm: string, bits: number): readonly Problem[] {
  if (algorithm !== 'rsa' || bits >= ADVISED_BITS) return [];
  return [
    problem(
      'key.short',
      `The key has ${bits} bits; ${ADVISED_BITS} is the advised length (RFC 8301), and some receivers trust less.`,
      'Rotate to a new key soon.',
    ),
  ];
}

const damaged = (): Result<never> =>
  refuse(
    'key.damaged',
    'The private key is damaged.',
    'Check the file: it must hold one complete private key as PEM.',
  );

interface Block {
  readonly form: 'pkcs8' | 'pkcs1';
  /** DER as a binary string. */
  readonly body: string;
}

function privateBlock(octets: Uint8Array): Result<Block> {
  if (octets.length > MAX_OCTETS) {
    return refuse(
      'key.too-long',
      'The file is too long for a private key.',
      'Give the file of the key alone.',
    );
  }
  // Windows editors put a byte order mark first and end lines with CR LF; old ones with CR alone.
  const text = Buffer.from(octets).toString('latin1').replace(/\r\n?/g, '\n');
  if (!text.includes('-----BEGIN ')) return notPem(text);
  let blocks: readonly forge.pem.ObjectPEM[];
  try {
    blocks = forge.pem.decode(text);
  } catch {
    return damaged();
  }
  const secret = blocks.filter(block => /^(?:RSA )?PRIVATE KEY$/.test(block.type));
  const [first] = secret;
  if (first === undefined) return foreign(blocks.map(block => block.type));
  if (secret.length > 1) {
    return refuse('key.several', 'The file has more than one private key.', 'Give a file with one key.');
  }
  if (first.procType?.type === 'ENCRYPTED') return foreign(['ENCRYPTED PRIVATE KEY']);
  return ok({form: first.type === 'PRIVATE KEY' ? 'pkcs8' : 'pkcs1', body: first.body});
}

function notPem(text: string): Result<never> {
  const der = text.charCodeAt(0) === 0x30;
  return refuse(
    'key.not-pem',
    der ? 'The key is in binary form (DER).' : 'There is no private key in the file.',
    der
      ? 'Convert it to PEM with openssl pkey, which reads DER, and import that.'
      : 'A private key begins with -----BEGIN PRIVATE KEY-----.',
  );
}

function foreign(types: readonly string[]): Result<never> {
  // OpenSSL writes an EC key after its own EC PARAMETERS block: the first type that has a name of its own counts.
  for (const type of types) {
    const known = FOREIGN[type];
    if (known !== undefined) return refuse(known[0], `The file is ${known[1]}.`, known[2]);
  }
  const shown = visible(types[0] ?? 'nothing').slice(0, 40);
  return refuse('key.unknown', `The file has ${shown}, no private key.`, 'Give a PKCS#8 or PKCS#1 PEM file.');
}

const childrenOf = (node: forge.asn1.Asn1 | undefined): readonly forge.asn1.Asn1[] =>
  node !== undefined && Array.isArray(node.value) ? node.value : [];

function parseDer(body: string): forge.asn1.Asn1 | undefined {
  try {
    return forge.asn1.fromDer(body);
  } catch {
    return undefined;
  }
}

/** PrivateKeyInfo (RFC 5208 §5): version, algorithm identifier, octets. */
function checkPkcs8(body: string): Result<true> {
  const [version, identifier, octets] = childrenOf(parseDer(body));
  const oid = childrenOf(identifier)[0];
  if (version?.type !== forge.asn1.Type.INTEGER || typeof oid?.value !== 'string' || octets === undefined) {
    return damaged();
  }
  const name = forge.asn1.derToOid(oid.value);
  if (name === RSA_ENCRYPTION || name === ED25519) return ok(true);
  if (name === EC_PUBLIC_KEY) return foreign(['EC PRIVATE KEY']);
  if (name === RSA_PSS) {
    return refuse(
      'key.rsa-pss',
      'The file is an RSA-PSS key.',
      'DKIM needs a plain RSA key (rsaEncryption).',
    );
  }
  return refuse('key.algorithm', `DKIM cannot use a key of the type ${name}.`, 'Use RSA or Ed25519.');
}

/** RSAPrivateKey (RFC 8017 A.1.2): version and eight integers; two primes. */
function checkPkcs1(body: string): Result<true> {
  const numbers = childrenOf(parseDer(body));
  const whole = numbers.length === 9 && numbers.every(number => number.type === forge.asn1.Type.INTEGER);
  return whole ? ok(true) : damaged();
}
