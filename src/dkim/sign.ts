import {createHash, sign as cryptoSign, type KeyObject} from 'node:crypto';
import {ProblemsFound, UsageError} from '../domain/errors.ts';
import type {DomainName, Selector} from '../domain/names.ts';
import {problem} from '../domain/result.ts';
import {type BodyDigest, BodyHasher, type BodyWish} from './body-hash.ts';
import type {Canonicalization} from './canonicalize-header.ts';
import {FieldWriter} from './fold.ts';
import {type HeaderBlock, parseHeaderBlock} from './header-block.ts';
import {headerHashInput} from './header-hash.ts';
import {lineEndingFilter, MAX_HEADER_OCTETS, MessageReader} from './message-reader.ts';
import {keyName, toAscii} from './names.ts';
import {type LineEndings, latin1, type MessageInput} from './octets.ts';
import {eachPiece} from './pieces.ts';
import {encodeQuotedPrintable, encodeQuotedPrintableText} from './quoted-printable.ts';
import {relaxedKernel} from './relaxed-kernel.ts';
import {type Algorithm, isLocalPart} from './signature.ts';

/** How one signature is made. */
export interface SignOptions {
  /** d= */
  readonly domain: DomainName;
  /** s= */
  readonly selector: Selector;
  /** Private key: RSA of 1024 bits or more (RFC 8301 §3.2), or Ed25519. */
  readonly key: KeyObject;
  /** c=; default relaxed/relaxed. */
  readonly canonicalization?: Canonicalization;
  /**
   * Names of the fields to sign, any case: every instance that the message has is signed, in this order. Default
   * {@link DEFAULT_HEADERS}. From must be among them.
   */
  readonly headers?: readonly string[];
  /**
   * Names that are listed once more than the message has them, so that nobody can add another (RFC 6376 §8.15).
   * Default From.
   */
  readonly oversign?: readonly string[];
  /** h= word for word, instead of `headers` and `oversign`. */
  readonly exactHeaders?: readonly string[];
  /** i=: `user@domain` or `@domain`, the domain being d= or below it; UTF-8 is quoted. Left out where absent. */
  readonly identity?: string;
  /** t= in whole seconds since 1970. Left out where absent. */
  readonly timestamp?: number;
  /** x= in whole seconds since 1970; later than t=. */
  readonly expiration?: number;
  /** l=: octets of the canonical body to sign, or `whole` for its length. Discouraged (RFC 6376 §8.2). */
  readonly bodyLength?: number | 'whole';
  /** Names of the fields to copy into z=, for diagnosis. */
  readonly copyHeaders?: readonly string[];
  /** Writes `q=dns/txt`, which is the default of the protocol. */
  readonly queryMethod?: boolean;
  /** Default `strict`: octets are signed as they are. */
  readonly lineEndings?: LineEndings;
  /** Largest header block in octets. Default 8 MiB. */
  readonly maxHeaderOctets?: number;
}

/** Fields signed by default: RFC 6376 §5.4.1 and what else says who wrote what to whom and how to read it. */
export const DEFAULT_HEADERS: readonly string[] = [
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'subject',
  'date',
  'message-id',
  'in-reply-to',
  'references',
  'mime-version',
  'content-type',
  'content-transfer-encoding',
  'content-disposition',
  'content-id',
  'content-description',
  'resent-date',
  'resent-from',
  'resent-sender',
  'resent-to',
  'resent-cc',
  'resent-message-id',
  'list-id',
  'list-help',
  'list-unsubscribe',
  'list-unsubscribe-post',
  'list-subscribe',
  'list-post',
  'list-owner',
  'list-archive',
  'autocrypt',
];

const DEFAULT_OVERSIGN: readonly string[] = ['from'];

/** A message being signed, pushed in piece by piece. Nothing of the body is kept. */
export interface MessageSigner {
  /** Takes the next octets; they may be reused after the call. */
  update(octets: Uint8Array): void;
  /** Ends the message; one field for each of the options given, in their order. Blocks for the private-key operation. */
  finish(): readonly string[];
  /** As `finish`, but the private-key operations run in the thread pool of Node. */
  finishAsync(): Promise<readonly string[]>;
}

/**
 * Signs a message that is in memory (RFC 6376 §5).
 *
 * @returns the complete field `DKIM-Signature: ...`, folded with CRLF and HTAB, without the final CRLF; to be put on
 *   top of the header
 * @throws UsageError where the options are wrong; ProblemsFound where the message has no From or is shorter than l=
 */
export function signMessageSync(message: Uint8Array, options: SignOptions): string {
  const signer = new Signer([options]);
  signer.update(message, true);
  return signer.finish()[0] ?? '';
}

/** As {@link signMessageSync}, for a message in any form; the memory it takes does not grow with the body. */
export async function signMessage(message: MessageInput, options: SignOptions): Promise<string> {
  const signer = new Signer([options]);
  if (message instanceof Uint8Array) signer.update(message, true);
  else await eachPiece(message, (piece, last) => signer.update(piece, last));
  return signer.finish()[0] ?? '';
}

/**
 * Begins a message that gets one signature for each of `options`, the body being read once: RSA and Ed25519 side by
 * side (RFC 8463 §5). `lineEndings` and `maxHeaderOctets` are taken from the first.
 *
 * @throws UsageError where options are wrong
 */
export const createSigner = (options: readonly SignOptions[]): MessageSigner => new Signer(options);

/** Options that have been looked at. */
interface Plan {
  readonly options: SignOptions;
  readonly algorithm: Algorithm;
  readonly canonicalization: Canonicalization;
  readonly wish: BodyWish;
}

class Signer implements MessageSigner {
  readonly #plans: readonly Plan[];
  readonly #reader: MessageReader;
  readonly #filter: (octets: Uint8Array) => Uint8Array;
  readonly #body: BodyHasher;
  #header: HeaderBlock | undefined;

  constructor(options: readonly SignOptions[]) {
    this.#plans = options.map(planOf);
    this.#filter = lineEndingFilter(options[0]?.lineEndings ?? 'strict');
    this.#body = new BodyHasher(
      this.#plans.map(plan => plan.wish),
      relaxedKernel,
    );
    this.#reader = new MessageReader(
      {
        onHeader: octets => {
          this.#header = parseHeaderBlock(octets);
        },
        onBody: (body, last) => this.#body.update(body, last),
      },
      options[0]?.maxHeaderOctets ?? MAX_HEADER_OCTETS,
    );
  }

  update(octets: Uint8Array, last = false): void {
    this.#reader.update(this.#filter(octets), last);
  }

  finish(): readonly string[] {
    return this.#inputs().map(({plan, unsigned, input}) =>
      complete(
        unsigned,
        plan.algorithm === 'rsa-sha256'
          ? cryptoSign('sha256', input, plan.options.key)
          : cryptoSign(null, digestOf(input), plan.options.key),
      ),
    );
  }

  async finishAsync(): Promise<readonly string[]> {
    return Promise.all(
      this.#inputs().map(async ({plan, unsigned, input}) =>
        complete(
          unsigned,
          // Ed25519 is faster than the way to another thread.
          plan.algorithm === 'rsa-sha256'
            ? await signInThread(input, plan.options.key)
            : cryptoSign(null, digestOf(input), plan.options.key),
        ),
      ),
    );
  }

  #inputs(): readonly {readonly plan: Plan; readonly unsigned: FieldWriter; readonly input: Buffer}[] {
    this.#reader.finish();
    this.#body.finish();
    const header = this.#header;
    if (header === undefined || header.instances('from') === 0) {
      throw new ProblemsFound(
        problem('sign.no-from', 'The message has no From field.', 'DKIM signs the author: add a From field.'),
      );
    }
    return this.#plans.map(plan => {
      const names = signedNames(plan.options, header);
      const digest = this.#body.digest(plan.wish);
      const unsigned = writeField(plan, names, digest, header);
      const raw = `${unsigned.toString()}\r\n`;
      const own = {name: 'dkim-signature', raw, colon: 'DKIM-Signature'.length};
      const input = headerHashInput(header, names, plan.canonicalization.header, own, undefined);
      return {plan, unsigned, input};
    });
  }
}

const digestOf = (input: Buffer): Buffer => createHash('sha256').update(input).digest();

const complete = (unsigned: FieldWriter, signature: Buffer): string =>
  unsigned.fill(signature.toString('base64')).toString();

const signInThread = (input: Buffer, key: KeyObject): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    cryptoSign('sha256', input, key, (error, signature) => {
      if (error === null) resolve(signature);
      else reject(error);
    });
  });

const MAX_LOCAL_PART = 64;
const TIMES = ['timestamp', 'expiration'] as const;
const isNoName = (name: string): boolean => !/^[!-9<-~]{1,200}$/.test(name);

function planOf(options: SignOptions): Plan {
  const refuse = (id: string, message: string, hint: string): never => {
    throw new UsageError(problem(`sign.${id}`, message, hint));
  };
  const type = options.key.type === 'private' ? options.key.asymmetricKeyType : undefined;
  if (type !== 'rsa' && type !== 'ed25519') {
    refuse(
      'key-type',
      'The key is no private RSA or Ed25519 key.',
      'Give a private key of one of these types.',
    );
  }
  if (type === 'rsa' && (options.key.asymmetricKeyDetails?.modulusLength ?? 0) < 1024) {
    refuse('key-size', 'The RSA key has fewer than 1024 bits.', 'Use a key of 2048 bits (RFC 8301 §3.2).');
  }
  // Only the names given: the default ones need no second look.
  const bad =
    options.exactHeaders === undefined
      ? (options.headers?.find(isNoName) ?? options.oversign?.find(isNoName))
      : options.exactHeaders.find(isNoName);
  if (bad !== undefined) {
    refuse('header-name', `${JSON.stringify(bad)} is not the name of a header field.`, 'Check the spelling.');
  }
  const chosen = options.exactHeaders ?? options.headers;
  if (chosen !== undefined && !chosen.some(name => name.toLowerCase() === 'from')) {
    refuse('from-unsigned', 'From is not among the fields to sign.', 'Add From: RFC 6376 §5.4 demands it.');
  }
  if (keyName(options.selector, options.domain) === undefined) {
    refuse(
      'key-name',
      'The selector and the domain together are longer than a DNS name may be: there can be no key record.',
      'Use a shorter selector.',
    );
  }
  for (const name of TIMES) {
    const time = options[name];
    if (time !== undefined && !(Number.isSafeInteger(time) && time >= 0 && time < 1e12)) {
      refuse(
        'time',
        `The ${name} is not a whole number of seconds since 1970.`,
        'Give seconds, not milliseconds.',
      );
    }
  }
  if (options.expiration !== undefined && options.expiration <= (options.timestamp ?? -1)) {
    refuse('expiration', 'The expiration is not later than the timestamp.', 'Give a later one.');
  }
  if (options.identity !== undefined) {
    const identity = latin1(Buffer.from(options.identity, 'utf8'));
    const domain = toAscii(identity.slice(identity.lastIndexOf('@') + 1), 'domain');
    const localPart = identity.slice(0, identity.lastIndexOf('@'));
    const inside =
      identity.includes('@') &&
      isLocalPart(localPart) &&
      // No mailbox has more (RFC 5321 §4.5.3.1.1), and i= is not broken: no line may reach 998 (RFC 5322 §2.1.1).
      localPart.length <= MAX_LOCAL_PART &&
      domain !== undefined &&
      (domain === options.domain || domain.endsWith(`.${options.domain}`));
    if (!inside) {
      refuse(
        'identity',
        `The identity ${JSON.stringify(options.identity)} is not within ${options.domain}.`,
        `Write it as user@${options.domain} or @${options.domain}.`,
      );
    }
  }
  const {bodyLength} = options;
  if (typeof bodyLength === 'number' && !(Number.isSafeInteger(bodyLength) && bodyLength >= 0)) {
    refuse('body-length', 'The body length is not a whole number of octets.', 'Give 0 or more.');
  }
  const canonicalization = options.canonicalization ?? {header: 'relaxed', body: 'relaxed'};
  return {
    options,
    algorithm: type === 'rsa' ? 'rsa-sha256' : 'ed25519-sha256',
    canonicalization,
    wish: {
      canonicalization: canonicalization.body,
      length: typeof bodyLength === 'number' ? bodyLength : undefined,
    },
  };
}

/** h=, lower case: every instance of each field wanted, then the names that must not be added to. */
function signedNames(options: SignOptions, block: HeaderBlock): readonly string[] {
  if (options.exactHeaders !== undefined) return options.exactHeaders.map(name => name.toLowerCase());
  const wanted = options.headers === undefined ? DEFAULT_HEADERS : lowerOnce(options.headers);
  const oversigned = options.oversign === undefined ? DEFAULT_OVERSIGN : lowerOnce(options.oversign);
  const names: string[] = [];
  const add = (name: string, count: number): void => {
    for (let instance = 0; instance < count; instance++) names.push(name);
  };
  for (const name of wanted) {
    add(name, block.instances(name) + (oversigned.includes(name) ? 1 : 0));
  }
  for (const name of oversigned) {
    if (!wanted.includes(name)) add(name, block.instances(name) + 1);
  }
  return names;
}

const lowerOnce = (names: readonly string[]): readonly string[] => [
  ...new Set(names.map(name => name.toLowerCase())),
];

/** The field up to `b=`, its value missing. */
function writeField(
  plan: Plan,
  names: readonly string[],
  digest: BodyDigest,
  block: HeaderBlock,
): FieldWriter {
  const {options, canonicalization, algorithm} = plan;
  const field = new FieldWriter('DKIM-Signature: v=1;')
    .add(`a=${algorithm};`, ' ')
    .add(`c=${canonicalization.header}/${canonicalization.body};`, ' ')
    .add(`d=${options.domain};`, ' ')
    .add(`s=${options.selector};`, ' ');
  if (options.queryMethod === true) field.add('q=dns/txt;', ' ');
  if (options.timestamp !== undefined) field.add(`t=${options.timestamp};`, ' ');
  if (options.expiration !== undefined) field.add(`x=${options.expiration};`, ' ');
  if (options.bodyLength !== undefined) {
    const length = options.bodyLength === 'whole' ? digest.canonicalLength : options.bodyLength;
    if (length > digest.canonicalLength) {
      // l= larger than the body is forbidden to signers (RFC 6376 §3.5).
      throw new ProblemsFound(
        problem(
          'sign.body-length',
          `The body has ${digest.canonicalLength} octets, fewer than the ${length} to be signed.`,
          'Sign the whole body.',
        ),
      );
    }
    field.add(`l=${length};`, ' ');
  }
  if (options.identity !== undefined) {
    field.add(`i=${encodeQuotedPrintable(Buffer.from(options.identity, 'utf8'))};`, ' ');
  }
  const last = names.length - 1;
  names.forEach((name, index) => {
    const piece = `${index === 0 ? 'h=' : ''}${name}${index === last ? ';' : ':'}`;
    if (index === 0) field.fold(piece);
    else field.add(piece);
  });
  if (options.copyHeaders !== undefined) copyHeaders(field, options.copyHeaders, block);
  return field.fold(`bh=${digest.hash};`).fold('b=');
}

/** z=: the fields as they are now, quoted; a fold may stand anywhere, as white space is no part of it. */
function copyHeaders(field: FieldWriter, names: readonly string[], block: HeaderBlock): void {
  const copies: string[] = [];
  for (const name of new Set(names.map(one => one.toLowerCase()))) {
    for (const index of block.places(name)) {
      const {raw, colon} = block.field(index) ?? {raw: ':', colon: 0};
      const value = raw.slice(colon + 1).trim();
      copies.push(`${raw.slice(0, colon).trimEnd()}:${encodeQuotedPrintableText(value, '|')}`);
    }
  }
  if (copies.length === 0) return;
  field.fold('z=');
  // An encoded octet is never broken.
  const units = copies.join('|').match(/=..|[^=]/g) ?? [];
  for (const unit of units) field.add(unit);
  field.add(';');
}
