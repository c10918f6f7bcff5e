import {createHash, verify as cryptoVerify} from 'node:crypto';
import type {DnsName} from '../domain/names.ts';
import {BodyHasher, type BodyWish} from './body-hash.ts';
import type {Canonicalization} from './canonicalize-header.ts';
import {changedHeader} from './copied-headers.ts';
import {type HeaderBlock, parseHeaderBlock} from './header-block.ts';
import {headerHashInput} from './header-hash.ts';
import {type CachedKey, type KeyCache, noKeyCache} from './key-cache.ts';
import {lineEndingFilter, MAX_HEADER_OCTETS, MessageReader} from './message-reader.ts';
import {type LineEndings, lower, type MessageInput} from './octets.ts';
import {judge, type VerifyPolicy} from './policy.ts';
import {isSmallOrder} from './public-key.ts';
import {quoted, type Reason, reason} from './reason.ts';
import {relaxedKernel} from './relaxed-kernel.ts';
import {
  parseSignature,
  readCanonicalization,
  type Signature,
  type SignatureClaims,
  withoutSignatureValue,
} from './signature.ts';
import {colonList, type TagList} from './tag-list.ts';

/** Answer of the DNS for a key record. `records`: one string a TXT record, its character-strings joined. */
export type KeyLookupAnswer =
  | {readonly status: 'found'; readonly records: readonly string[]}
  | {readonly status: 'absent'}
  | {readonly status: 'temporary'; readonly reason: string};

/** Looks up the TXT records of a name. Where it throws, the answer counts as `temporary`. */
export type KeyLookup = (name: DnsName) => Promise<KeyLookupAnswer>;

/** Options of {@link verifyMessage} and {@link createVerifier}. */
export interface VerifyOptions {
  readonly lookup: KeyLookup;
  /** Seconds since 1970 at which x= is judged. */
  readonly now: number;
  /** Keeps imported keys between messages. */
  readonly keyCache?: KeyCache;
  readonly policy?: VerifyPolicy;
  /** How many signatures are looked at, from the top; the rest get `neutral`. Default 50. */
  readonly maxSignatures?: number;
  /** Default `strict`. */
  readonly lineEndings?: LineEndings;
  /** Largest header block in octets. Default 8 MiB. */
  readonly maxHeaderOctets?: number;
  /** Keep what went into each hash, to compare with another implementation. Off by default. */
  readonly explain?: {
    /** Octets of each canonical body to keep. Default 64 KiB. */
    readonly bodyOctets?: number;
  };
}

/** The results of RFC 8601 §2.7.1 that a signature can have; a message without signatures has no verdict at all. */
export type VerdictResult = 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror';

/** How much of the body a signature covers, in octets of the canonical body. */
export interface BodyCoverage {
  /** The whole canonical body. */
  readonly canonical: number;
  /** What is hashed. */
  readonly signed: number;
  /** What l= leaves out: anybody may have added it. */
  readonly unsigned: number;
  /** l=, where there is one. */
  readonly limit: number | undefined;
}

/** What went into the two hashes of a signature. */
export interface Explanation {
  /** The octets that b= signs. */
  readonly headerInput: Buffer;
  /** The start of the canonical body that bh= covers, as far as it was kept. */
  readonly bodyInput: Buffer;
  /** Octets that bh= covers. */
  readonly bodyInputLength: number;
  /** The hash computed here, base64: equal to bh= where the body is unchanged. */
  readonly bodyHash: string;
}

interface VerdictBase {
  /** Place among the DKIM-Signature fields, from the top, from 0. */
  readonly index: number;
  /** d=: A-labels in lower case where the signature is well-formed, else as written. Untrusted text. */
  readonly domain: string | undefined;
  readonly selector: string | undefined;
  /** a= */
  readonly algorithm: string | undefined;
  /** i= decoded, or `@` and the domain. Untrusted text. */
  readonly identity: string | undefined;
  readonly reason: Reason;
  /** Things worth telling that did not decide: t= in the future, unsigned octets, a second From. */
  readonly notes: readonly Reason[];
  readonly canonicalization: Canonicalization | undefined;
  /** h= in its order, lower case. */
  readonly signedHeaders: readonly string[];
  readonly timestamp: number | undefined;
  readonly expiration: number | undefined;
  /** Owner name of the key record. */
  readonly keyName: DnsName | undefined;
  readonly body: BodyCoverage | undefined;
  readonly explanation: Explanation | undefined;
}

/** Verdict on one DKIM-Signature field. */
export type SignatureVerdict =
  | (VerdictBase & {
      readonly result: 'pass' | 'fail' | 'policy';
      /** Bits of the RSA modulus; 256 for Ed25519. */
      readonly keyBits: number;
      /** The key is published with t=y. */
      readonly testing: boolean;
    })
  | (VerdictBase & {
      readonly result: 'neutral' | 'temperror' | 'permerror';
      readonly keyBits: number | undefined;
      readonly testing: boolean;
    });

/** Verifies a message that is pushed in piece by piece. Nothing of the body is kept. */
export interface MessageVerifier {
  /** Takes the next octets; they may be reused after the call. */
  update(octets: Uint8Array): void;
  /** Ends the message and gives one verdict a DKIM-Signature field, top first. Call it once. */
  finish(): Promise<readonly SignatureVerdict[]>;
}

/**
 * Verifies every DKIM signature of a message (RFC 6376 §6, RFC 8301, RFC 8463), each with its own verdict, top first.
 * Strict: what the RFCs call PERMFAIL is `permerror` here.
 *
 * @returns one verdict a DKIM-Signature field; empty where there is none
 * @throws ProblemsFound where the header block is larger than `maxHeaderOctets`; whatever the input itself throws
 */
export async function verifyMessage(
  message: MessageInput,
  options: VerifyOptions,
): Promise<readonly SignatureVerdict[]> {
  const verifier = createVerifier(options);
  if (message instanceof Uint8Array) verifier.update(message);
  else for await (const piece of message) verifier.update(piece);
  return verifier.finish();
}

/** Begins the verification of one message. Key records are asked for as soon as the header is there. */
export const createVerifier = (options: VerifyOptions): MessageVerifier => new Verifier(options);

/** A signature under verification. */
interface Candidate {
  readonly index: number;
  readonly fieldIndex: number;
  readonly tags: TagList;
  readonly parsed:
    | {readonly ok: true; readonly value: Signature}
    | {readonly ok: false; readonly reason: Reason; readonly claims: SignatureClaims};
  /** Set where a verdict is known without key and body. */
  readonly early: {readonly result: 'neutral' | 'permerror'; readonly reason: Reason} | undefined;
  readonly answer: Promise<KeyLookupAnswer> | undefined;
  readonly wish: BodyWish | undefined;
}

class Verifier implements MessageVerifier {
  readonly #options: VerifyOptions;
  readonly #reader: MessageReader;
  readonly #filter: (octets: Uint8Array) => Uint8Array;
  readonly #kept = {simple: [] as Buffer[], relaxed: [] as Buffer[]};
  #header: HeaderBlock = {fields: [], byName: new Map()};
  #candidates: readonly Candidate[] = [];
  #body: BodyHasher | undefined;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#filter = lineEndingFilter(options.lineEndings ?? 'strict');
    this.#reader = new MessageReader(
      {onHeader: octets => this.#begin(octets), onBody: octets => this.#body?.update(octets)},
      options.maxHeaderOctets ?? MAX_HEADER_OCTETS,
    );
  }

  update(octets: Uint8Array): void {
    this.#reader.update(this.#filter(octets));
  }

  async finish(): Promise<readonly SignatureVerdict[]> {
    this.#reader.finish();
    this.#body?.finish();
    return Promise.all(this.#candidates.map(candidate => this.#judge(candidate)));
  }

  #begin(octets: Uint8Array): void {
    const block = parseHeaderBlock(octets);
    this.#header = block;
    const lookups = new Map<DnsName, Promise<KeyLookupAnswer>>();
    const places = block.byName.get('dkim-signature') ?? [];
    this.#candidates = places.map((fieldIndex, index) => this.#prepare(fieldIndex, index, lookups));
    const wishes = this.#candidates.flatMap(candidate =>
      candidate.wish === undefined ? [] : [candidate.wish],
    );
    if (wishes.length === 0) return;
    const limit = this.#options.explain === undefined ? 0 : (this.#options.explain.bodyOctets ?? 65_536);
    this.#body = new BodyHasher(wishes, relaxedKernel, limit === 0 ? undefined : keep(this.#kept, limit));
  }

  #prepare(fieldIndex: number, index: number, lookups: Map<DnsName, Promise<KeyLookupAnswer>>): Candidate {
    const limit = this.#options.maxSignatures ?? 50;
    const field = this.#header.fields[fieldIndex];
    if (field === undefined || index >= limit) {
      const why = reason(
        'signature.limit',
        `More than ${limit} signatures; this one was not looked at.`,
        'RFC 6376 §6.1',
      );
      const claims = {domain: undefined, selector: undefined, algorithm: undefined, identity: undefined};
      return {
        index,
        fieldIndex,
        tags: new Map(),
        parsed: {ok: false, reason: why, claims},
        early: {result: 'neutral', reason: why},
        answer: undefined,
        wish: undefined,
      };
    }
    const outcome = parseSignature(field);
    const tags = outcome.ok ? outcome.value.tags : outcome.tags;
    const why = outcome.ok ? this.#expired(outcome.value) : outcome.reason;
    if (!outcome.ok || why !== undefined) {
      return {
        index,
        fieldIndex,
        tags,
        parsed: outcome,
        early: {result: 'permerror', reason: why ?? NEVER},
        answer: undefined,
        wish: this.#options.explain === undefined ? undefined : wishOf(tags),
      };
    }
    const signature = outcome.value;
    let answer = lookups.get(signature.keyName);
    if (answer === undefined) {
      answer = ask(this.#options.lookup, signature.keyName);
      lookups.set(signature.keyName, answer);
    }
    const wish = {canonicalization: signature.canonicalization.body, length: signature.bodyLength};
    return {index, fieldIndex, tags, parsed: outcome, early: undefined, answer, wish};
  }

  // "Past" the time in x=: the second it names still counts as valid (RFC 6376 §3.5).
  #expired(signature: Signature): Reason | undefined {
    const {expiration} = signature;
    if (expiration === undefined || this.#options.now <= expiration) return undefined;
    return reason(
      'signature.expired',
      `The signature expired ${this.#options.now - expiration} seconds ago.`,
      'RFC 6376 §6.1.1',
      {tag: 'x', offset: signature.tags.get('x')?.start ?? 0},
    );
  }

  async #judge(candidate: Candidate): Promise<SignatureVerdict> {
    const base = this.#base(candidate);
    if (!candidate.parsed.ok || candidate.early !== undefined) {
      const early = candidate.early ?? {result: 'permerror' as const, reason: NEVER};
      return {...base, ...early, keyBits: undefined, testing: false};
    }
    const signature = candidate.parsed.value;
    const answer = (await candidate.answer) ?? {status: 'absent' as const};
    if (answer.status === 'temporary') {
      const why = reason(
        'key.temporary',
        `The key could not be looked up: ${answer.reason}`,
        'RFC 6376 §6.1.2',
      );
      return {...base, result: 'temperror', reason: why, keyBits: undefined, testing: false};
    }
    const keys = answer.status === 'found' ? this.#keys(answer.records, signature) : [];
    const [first] = keys;
    if (first === undefined) {
      const why = reason('key.absent', `There is no key record at ${signature.keyName}.`, 'RFC 6376 §6.1.2');
      return {...base, result: 'permerror', reason: why, keyBits: undefined, testing: false};
    }
    const usable = keys.flatMap(key => (key.ok ? [key] : []));
    const [key] = usable;
    if (key === undefined) {
      const failed = first.ok ? NEVER : first.reason;
      return {...base, result: 'permerror', reason: failed, keyBits: first.bits, testing: first.testing};
    }
    return this.#compare(candidate, signature, usable, key, base);
  }

  #compare(
    candidate: Candidate,
    signature: Signature,
    usable: readonly UsableKey[],
    first: UsableKey,
    base: VerdictBase,
  ): SignatureVerdict {
    const {body} = base;
    const digest = candidate.wish === undefined ? undefined : this.#body?.digest(candidate.wish);
    if (body === undefined || digest === undefined) throw new TypeError('the body was not hashed');
    if (signature.bodyLength !== undefined && signature.bodyLength > body.canonical) {
      const why = reason(
        'body.shorter',
        `l= covers ${signature.tags.get('l')?.value ?? ''} octets, the body has only ${body.canonical}.`,
        'RFC 6376 §3.5',
        {tag: 'l', offset: body.canonical},
      );
      return {...base, result: 'permerror', reason: why, keyBits: first.bits, testing: first.testing};
    }
    if (!digest.hash.equals(signature.bodyHash)) {
      const why = reason(
        'body.hash',
        'The body was changed: its hash is not the one in bh=.',
        'RFC 6376 §6.1.3',
        {
          tag: 'bh',
        },
      );
      return {...base, result: 'fail', reason: why, keyBits: first.bits, testing: first.testing};
    }
    const input = this.#headerInput(candidate, signature.signedHeaders, signature.canonicalization);
    const key = usable.find(one => verifyWith(one, input, signature));
    if (key === undefined) {
      const why = this.#mismatch(signature);
      return {...base, result: 'fail', reason: why, keyBits: first.bits, testing: first.testing};
    }
    const broken = judge(this.#options.policy ?? {}, {
      signature,
      keyBits: key.bits,
      testing: key.testing,
      unsignedOctets: body.unsigned,
      instances: name => this.#header.byName.get(name)?.length ?? 0,
      now: this.#options.now,
    });
    return {
      ...base,
      result: broken === undefined ? 'pass' : 'policy',
      reason: broken ?? reason('signature.good', 'The signature is good.', 'RFC 6376 §6.1.3'),
      keyBits: key.bits,
      testing: key.testing,
    };
  }

  #headerInput(candidate: Candidate, names: readonly string[], how: Canonicalization): Buffer {
    const field = this.#header.fields[candidate.fieldIndex];
    if (field === undefined) return Buffer.alloc(0);
    const own = withoutSignatureValue(field, candidate.tags);
    return headerHashInput(this.#header, names, how.header, own, candidate.fieldIndex);
  }

  #mismatch(signature: Signature): Reason {
    const changed = changedHeader(signature, this.#header);
    return changed === undefined
      ? reason(
          'signature.mismatch',
          'The signature does not fit: a signed header field or the signature was changed, or the key is another one.',
          'RFC 6376 §6.1.3',
          {tag: 'b'},
        )
      : reason(
          'signature.mismatch',
          `The signature does not fit: the field ${changed} is not the one that was signed, as z= shows.`,
          'RFC 6376 §6.1.3',
          {tag: 'b', header: changed},
        );
  }

  /** Every TXT record that is a key record, checked against the signature; else what is wrong with the first. */
  #keys(records: readonly string[], signature: Signature): readonly CheckedKey[] {
    const cache = this.#options.keyCache ?? noKeyCache;
    // Several records are undefined (RFC 6376 §3.6.2.2): those that are none are skipped, the others tried in turn.
    const read = records.slice(0, MAX_RECORDS).map(text => cache.read(text));
    const good = read.flatMap(one => (one.ok ? [checkKey(one.value, signature)] : []));
    if (good.length > 0) return good;
    return read.flatMap(one =>
      one.ok ? [] : [{ok: false, reason: one.reason, bits: undefined, testing: false}],
    );
  }

  #base(candidate: Candidate): VerdictBase & {readonly notes: readonly Reason[]} {
    const {parsed, index, wish} = candidate;
    const digest = wish === undefined ? undefined : this.#body?.digest(wish);
    const body =
      digest === undefined
        ? undefined
        : {
            canonical: digest.canonicalLength,
            signed: digest.hashedLength,
            unsigned: digest.canonicalLength - digest.hashedLength,
            limit: wish?.length,
          };
    const explanation = this.#explain(candidate, digest);
    if (!parsed.ok) {
      return {
        index,
        ...parsed.claims,
        reason: parsed.reason,
        notes: [],
        canonicalization: undefined,
        signedHeaders: [],
        timestamp: undefined,
        expiration: undefined,
        keyName: undefined,
        body,
        explanation,
      };
    }
    const signature = parsed.value;
    return {
      index,
      domain: signature.domain,
      selector: signature.selector,
      algorithm: signature.algorithm,
      identity: signature.identity,
      reason: NEVER,
      notes: this.#notes(signature, body),
      canonicalization: signature.canonicalization,
      signedHeaders: signature.signedHeaders,
      timestamp: signature.timestamp,
      expiration: signature.expiration,
      keyName: signature.keyName,
      body,
      explanation,
    };
  }

  #explain(
    candidate: Candidate,
    digest: {readonly hash: Buffer; readonly hashedLength: number} | undefined,
  ): Explanation | undefined {
    const how = readCanonicalization(candidate.tags.get('c'));
    if (this.#options.explain === undefined || digest === undefined || how === undefined) return undefined;
    const names = colonList(candidate.tags.get('h')?.value ?? '').map(lower);
    return {
      headerInput: this.#headerInput(candidate, names, how),
      bodyInput: Buffer.concat(this.#kept[how.body]).subarray(0, digest.hashedLength),
      bodyInputLength: digest.hashedLength,
      bodyHash: digest.hash.toString('base64'),
    };
  }

  #notes(signature: Signature, body: BodyCoverage | undefined): readonly Reason[] {
    const notes: Reason[] = [];
    if (signature.timestamp !== undefined && signature.timestamp > this.#options.now) {
      notes.push(
        reason('note.future', 't= lies in the future: a clock is wrong.', 'RFC 6376 §3.5', {tag: 't'}),
      );
    }
    if (body !== undefined && body.unsigned > 0) {
      notes.push(
        reason('note.body-unsigned', `l= leaves ${body.unsigned} octets unsigned.`, 'RFC 6376 §8.2', {
          tag: 'l',
          offset: body.signed,
        }),
      );
    }
    const from = this.#header.byName.get('from')?.length ?? 0;
    if (from > 1) {
      notes.push(
        reason('note.from-twice', `The message has ${from} From fields.`, 'RFC 6376 §8.15', {header: 'from'}),
      );
    }
    return notes;
  }
}

// Filled in by every path before a verdict leaves; its id never reaches a caller.
const NEVER = reason('internal', 'No reason was given.', 'RFC 6376 §6.1');

// Records tried for one signature: more than two are an accident or an attack.
const MAX_RECORDS = 8;

// Never rejects: the answer is awaited only after the body, and a rejection must be handled at once.
async function ask(lookup: KeyLookup, name: DnsName): Promise<KeyLookupAnswer> {
  try {
    return await lookup(name);
  } catch (error) {
    return {status: 'temporary', reason: error instanceof Error ? error.message : String(error)};
  }
}

interface UsableKey {
  readonly ok: true;
  readonly cached: CachedKey;
  readonly bits: number;
  readonly testing: boolean;
}

type CheckedKey =
  | UsableKey
  | {
      readonly ok: false;
      readonly reason: Reason;
      readonly bits: number | undefined;
      readonly testing: boolean;
    };

/** Fewest bits of an RSA key that may pass (RFC 8301 §3.2). */
const MIN_RSA_BITS = 1024;

/** The checks of RFC 6376 §6.1.2 that need both the record and the signature. */
function checkKey(cached: CachedKey, signature: Signature): CheckedKey {
  const {record, key} = cached;
  const no = (id: string, message: string, section: string, tag: string, bits?: number): CheckedKey => ({
    ok: false,
    reason: reason(id, message, section, {tag}),
    bits,
    testing: record.testing,
  });
  if (record.services !== undefined && !record.services.includes('*') && !record.services.includes('email')) {
    return no('key.service', 's= of the key record does not name email.', 'RFC 6376 §3.6.1', 's');
  }
  if (record.hashes !== undefined && !record.hashes.includes('sha256')) {
    return no('key.hash', 'h= of the key record does not name sha256.', 'RFC 6376 §6.1.2', 'h');
  }
  if (!record.revoked && record.keyType !== signature.keyType) {
    return no(
      'key.type',
      `The key is for k=${quoted(record.keyType)}, the signature says a=${signature.algorithm}.`,
      'RFC 6376 §6.1.2',
      'k',
    );
  }
  // t=s: no subdomain in i= (RFC 6376 §3.6.1)
  if (record.noSubdomains && signature.identityDomain !== signature.domain) {
    return no('key.subdomain', 't=s of the key record allows no subdomain in i=.', 'RFC 6376 §3.6.1', 't');
  }
  if (!key.ok) return {ok: false, reason: key.reason, bits: undefined, testing: record.testing};
  const {bits} = key.value;
  if (key.value.type === 'rsa' && bits < MIN_RSA_BITS) {
    return no(
      'key.too-short',
      `The RSA key has ${bits} bits; 1024 are the least.`,
      'RFC 8301 §3.2',
      'p',
      bits,
    );
  }
  return {ok: true, cached, bits, testing: record.testing};
}

function verifyWith(key: UsableKey, input: Buffer, signature: Signature): boolean {
  const {cached} = key;
  if (!cached.key.ok) return false;
  if (signature.keyType === 'rsa')
    return cryptoVerify('sha256', input, cached.key.value.key, signature.signature);
  if (isSmallOrder(cached.record.publicKey)) return false;
  // PureEdDSA over the SHA-256 of the header input (RFC 8463 §3).
  const digest = createHash('sha256').update(input).digest();
  return cryptoVerify(null, digest, cached.key.value.key, signature.signature);
}

/** What must be hashed to explain a signature that is wrong otherwise. */
function wishOf(tags: TagList): BodyWish | undefined {
  const how = readCanonicalization(tags.get('c'));
  if (how === undefined) return undefined;
  const length = tags.get('l')?.value;
  return {
    canonicalization: how.body,
    length: length !== undefined && /^[0-9]{1,15}$/.test(length) ? Number(length) : undefined,
  };
}

function keep(
  kept: {readonly simple: Buffer[]; readonly relaxed: Buffer[]},
  limit: number,
): (canonicalization: 'simple' | 'relaxed', octets: Uint8Array) => void {
  const left = {simple: limit, relaxed: limit};
  return (canonicalization, octets) => {
    if (left[canonicalization] <= 0) return;
    const part = Buffer.from(octets.subarray(0, left[canonicalization]));
    left[canonicalization] -= part.length;
    kept[canonicalization].push(part);
  };
}
