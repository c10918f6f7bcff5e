import type {DnsName} from '../domain/names.ts';
import {isSameBase64} from './base64.ts';
import {type BodyDigest, BodyHasher, type BodyWish} from './body-hash.ts';
import type {Canonicalization} from './canonicalize-header.ts';
import {diagnoseBody, MAX_DIAGNOSED_BODY} from './diagnose-body.ts';
import {type HeaderBlock, parseHeaderBlock} from './header-block.ts';
import {headerHashInput} from './header-hash.ts';
import {type KeyCache, noKeyCache} from './key-cache.ts';
import {checkKeys, type UsableKey, verifyWith} from './key-check.ts';
import {lineEndingFilter, MAX_HEADER_OCTETS, MessageReader} from './message-reader.ts';
import {type Misfit, misfit} from './misfit.ts';
import {type LineEndings, lower, type MessageInput} from './octets.ts';
import {eachPiece} from './pieces.ts';
import {judge, type VerifyPolicy} from './policy.ts';
import {type Reason, reason} from './reason.ts';
import {relaxedKernel} from './relaxed-kernel.ts';
import {
  parseSignature,
  readCanonicalization,
  type Signature,
  type SignatureParse,
  withoutSignatureValue,
} from './signature.ts';
import {colonList, type TagList} from './tag-list.ts';
import {
  type BodyCoverage,
  type Explanation,
  type Outcome,
  type SignatureVerdict,
  withoutKey,
} from './verdict.ts';

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
  /**
   * Look for what changed a body or header that does not fit, and say it in the reason. Keeps the body, up to 8 MiB,
   * for that; a longer one is not looked into. Off by default. Never part of a result.
   */
  readonly diagnose?: boolean;
}

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
  const verifier = new Verifier(options);
  if (message instanceof Uint8Array) verifier.update(message, true);
  else await eachPiece(message, (piece, last) => verifier.update(piece, last));
  // Awaited here: handing the promise on as it is would take two more turns of the microtask queue.
  return await verifier.finish();
}

/** Begins the verification of one message. Key records are asked for as soon as the header is there. */
export const createVerifier = (options: VerifyOptions): MessageVerifier => new Verifier(options);

/** A signature under verification. */
interface Candidate {
  readonly index: number;
  readonly fieldIndex: number;
  /** Undefined where the signature is not looked at. */
  readonly parse: SignatureParse | undefined;
  /** Set where the verdict is known without key and body. */
  readonly early: Outcome | undefined;
  readonly answer: Promise<KeyLookupAnswer> | undefined;
  readonly wish: BodyWish | undefined;
}

class Verifier implements MessageVerifier {
  readonly #options: VerifyOptions;
  readonly #reader: MessageReader;
  readonly #filter: (octets: Uint8Array) => Uint8Array;
  readonly #kept = {simple: [] as Buffer[], relaxed: [] as Buffer[]};
  #header: HeaderBlock | undefined;
  readonly #candidates: Candidate[] = [];
  #body: BodyHasher | undefined;
  #whole: WholeBody | undefined;
  #diagnosed = 0;

  constructor(options: VerifyOptions) {
    this.#options = options;
    this.#filter = lineEndingFilter(options.lineEndings ?? 'strict');
    this.#reader = new MessageReader(
      {
        onHeader: octets => this.#begin(octets),
        onBody: (body, last) => {
          this.#body?.update(body, last);
          this.#whole?.update(body);
        },
      },
      options.maxHeaderOctets ?? MAX_HEADER_OCTETS,
    );
  }

  update(octets: Uint8Array, last = false): void {
    this.#reader.update(this.#filter(octets), last);
  }

  async finish(): Promise<readonly SignatureVerdict[]> {
    this.#reader.finish();
    this.#body?.finish();
    const verdicts: SignatureVerdict[] = [];
    // All lookups have been under way since the header was there, so nothing waits for another one here.
    for (const candidate of this.#candidates) {
      const {early, answer, parse} = candidate;
      const digest = candidate.wish === undefined ? undefined : this.#body?.digest(candidate.wish);
      const outcome =
        early ??
        (parse?.ok === true && answer !== undefined && digest !== undefined
          ? this.#judge(candidate, parse.value, digest, await answer)
          : NEVER);
      verdicts.push(this.#verdict(candidate, digest, outcome));
    }
    return verdicts;
  }

  #begin(octets: Uint8Array): void {
    const block = parseHeaderBlock(octets);
    this.#header = block;
    const lookups = new Map<DnsName, Promise<KeyLookupAnswer>>();
    const wishes: BodyWish[] = [];
    for (const place of block.places('dkim-signature')) {
      const candidate = this.#prepare(block, place, this.#candidates.length, lookups);
      this.#candidates.push(candidate);
      if (candidate.wish !== undefined) wishes.push(candidate.wish);
    }
    if (wishes.length === 0) return;
    const limit = this.#options.explain === undefined ? 0 : (this.#options.explain.bodyOctets ?? 65_536);
    if (this.#options.diagnose === true) this.#whole = new WholeBody();
    this.#body = new BodyHasher(wishes, relaxedKernel, limit === 0 ? undefined : keep(this.#kept, limit));
  }

  #prepare(
    block: HeaderBlock,
    fieldIndex: number,
    index: number,
    lookups: Map<DnsName, Promise<KeyLookupAnswer>>,
  ): Candidate {
    const limit = this.#options.maxSignatures ?? 50;
    const field = index < limit ? block.field(fieldIndex) : undefined;
    if (field === undefined) {
      const why = reason(
        'signature.limit',
        `More than ${limit} signatures; this one was not looked at.`,
        'RFC 6376 §6.1',
      );
      const early = withoutKey('neutral', why);
      return {index, fieldIndex, parse: undefined, early, answer: undefined, wish: undefined};
    }
    const parse = parseSignature(field);
    const why = parse.ok ? this.#expired(parse.value) : parse.reason;
    if (!parse.ok || why !== undefined) {
      const tags = parse.ok ? parse.value.tags : parse.tags;
      return {
        index,
        fieldIndex,
        parse,
        early: why === undefined ? NEVER : withoutKey('permerror', why),
        answer: undefined,
        wish: this.#options.explain === undefined ? undefined : wishOf(tags),
      };
    }
    const signature = parse.value;
    let answer = lookups.get(signature.keyName);
    if (answer === undefined) {
      answer = ask(this.#options.lookup, signature.keyName);
      lookups.set(signature.keyName, answer);
    }
    const wish = {canonicalization: signature.canonicalization.body, length: signature.bodyLength};
    return {index, fieldIndex, parse, early: undefined, answer, wish};
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

  #judge(candidate: Candidate, signature: Signature, digest: BodyDigest, answer: KeyLookupAnswer): Outcome {
    if (answer.status === 'temporary') {
      const message = `The key could not be looked up: ${answer.reason}`;
      return withoutKey('temperror', reason('key.temporary', message, 'RFC 6376 §6.1.2'));
    }
    const records = answer.status === 'found' ? answer.records : [];
    const keys = checkKeys(records, signature, this.#options.keyCache ?? noKeyCache);
    const [first] = keys;
    if (first === undefined) {
      const message = `There is no key record at ${signature.keyName}.`;
      return withoutKey('permerror', reason('key.absent', message, 'RFC 6376 §6.1.2'));
    }
    const usable = keys.filter(key => key.ok);
    const [key] = usable;
    if (key === undefined) {
      if (first.ok) return NEVER;
      return {result: 'permerror', reason: first.reason, keyBits: first.bits, testing: first.testing};
    }
    return this.#compare(candidate, signature, digest, usable, key);
  }

  #compare(
    candidate: Candidate,
    signature: Signature,
    digest: BodyDigest,
    usable: readonly UsableKey[],
    first: UsableKey,
  ): Outcome {
    const {bits: keyBits, testing} = first;
    if (signature.bodyLength !== undefined && signature.bodyLength > digest.canonicalLength) {
      const why = reason(
        'body.shorter',
        `l= covers ${signature.tags.get('l')?.value ?? ''} octets, the body has only ${digest.canonicalLength}.`,
        'RFC 6376 §3.5',
        {tag: 'l', offset: digest.canonicalLength},
      );
      return {result: 'permerror', reason: why, keyBits, testing};
    }
    if (!isSameBase64(signature.bodyHash, digest.hash)) {
      const why = this.#bodyReason(candidate, signature, usable);
      return {result: 'fail', reason: why, keyBits, testing};
    }
    const input = this.#headerInput(
      candidate,
      signature.tags,
      signature.signedHeaders,
      signature.canonicalization,
    );
    const key = usable.find(one => verifyWith(one, input, signature));
    if (key === undefined) {
      const {why, where} = this.#misfit(candidate, signature, usable, this.#diagnosed++ < MAX_DIAGNOSED);
      const message = `The signature does not fit: ${why}`;
      const mismatch = reason('signature.mismatch', message, 'RFC 6376 §6.1.3', {tag: 'b', ...where});
      return {result: 'fail', reason: mismatch, keyBits, testing};
    }
    const broken =
      this.#options.policy === undefined
        ? undefined
        : judge(this.#options.policy, {
            signature,
            keyBits: key.bits,
            testing: key.testing,
            unsignedOctets: digest.canonicalLength - digest.hashedLength,
            instances: name => this.#header?.instances(name) ?? 0,
            now: this.#options.now,
          });
    return {
      result: broken === undefined ? 'pass' : 'policy',
      reason: broken ?? reason('signature.good', 'The signature is good.', 'RFC 6376 §6.1.3'),
      keyBits: key.bits,
      testing: key.testing,
    };
  }

  #headerInput(candidate: Candidate, tags: TagList, names: readonly string[], how: Canonicalization): Buffer {
    const field = this.#header?.field(candidate.fieldIndex);
    if (this.#header === undefined || field === undefined) return Buffer.alloc(0);
    const own = withoutSignatureValue(field, tags);
    return headerHashInput(this.#header, names, how.header, own, candidate.fieldIndex);
  }

  #bodyReason(candidate: Candidate, signature: Signature, usable: readonly UsableKey[]): Reason {
    const changed = 'The body was changed: its hash is not the one in bh=.';
    const whole = this.#whole;
    const body = whole !== undefined && this.#diagnosed++ < MAX_DIAGNOSED ? whole.octets() : undefined;
    if (body === undefined) return reason('body.hash', changed, 'RFC 6376 §6.1.3', {tag: 'bh'});
    const change = diagnoseBody({
      body,
      canonicalization: signature.canonicalization.body,
      limit: signature.bodyLength,
      wanted: Buffer.from(signature.bodyHash, 'base64'),
      transferEncoding: this.#transferEncoding(),
    });
    const {tags, signedHeaders, canonicalization} = signature;
    const input = this.#headerInput(candidate, tags, signedHeaders, canonicalization);
    const header = usable.some(key => verifyWith(key, input, signature))
      ? 'The header is as it was signed.'
      : `The header does not fit the signature either: ${this.#misfit(candidate, signature, usable, true).why}`;
    const message = `${changed} ${change === undefined ? '' : `${change.message} `}${header}`;
    return reason('body.hash', message, 'RFC 6376 §6.1.3', {
      tag: 'bh',
      ...(change === undefined ? {} : {change: change.kind, offset: change.offset}),
      ...(change?.octets === undefined ? {} : {octets: change.octets}),
    });
  }

  #transferEncoding(): string | undefined {
    const [place] = this.#header?.places('content-transfer-encoding') ?? [];
    const field = place === undefined ? undefined : this.#header?.field(place);
    return field === undefined
      ? undefined
      : lower(field.raw.slice(field.colon + 1))
          .replace(/\([^()]*\)/g, '')
          .trim();
  }

  #misfit(candidate: Candidate, signature: Signature, keys: readonly UsableKey[], looking: boolean): Misfit {
    return misfit({
      block: this.#header ?? parseHeaderBlock(new Uint8Array(0)),
      index: candidate.fieldIndex,
      signature,
      keys,
      opening: looking,
      guessing: looking && this.#options.diagnose === true,
    });
  }

  // One literal for all: this is on the way of every signature, and spreading takes longer than parsing.
  #verdict(candidate: Candidate, digest: BodyDigest | undefined, outcome: Outcome): SignatureVerdict {
    const {parse} = candidate;
    const signature = parse?.ok === true ? parse.value : undefined;
    const claims = parse?.ok === false ? parse.claims : signature;
    const body =
      digest === undefined
        ? undefined
        : {
            canonical: digest.canonicalLength,
            signed: digest.hashedLength,
            unsigned: digest.canonicalLength - digest.hashedLength,
            limit: candidate.wish?.length,
          };
    const verdict = {
      index: candidate.index,
      domain: claims?.domain,
      selector: claims?.selector,
      algorithm: claims?.algorithm,
      identity: claims?.identity,
      reason: outcome.reason,
      notes: signature === undefined ? [] : this.#notes(signature, body),
      canonicalization: signature?.canonicalization,
      signedHeaders: signature?.signedHeaders ?? [],
      timestamp: signature?.timestamp,
      expiration: signature?.expiration,
      keyName: signature?.keyName,
      body,
      explanation: digest === undefined ? undefined : this.#explain(candidate, digest),
      result: outcome.result,
      keyBits: outcome.keyBits,
      testing: outcome.testing,
    };
    // An outcome has its bits wherever its result promises them; taken apart above, the type has lost sight of that.
    return verdict as SignatureVerdict;
  }

  #explain(candidate: Candidate, digest: BodyDigest): Explanation | undefined {
    const {parse} = candidate;
    if (this.#options.explain === undefined || parse === undefined) return undefined;
    const tags = parse.ok ? parse.value.tags : parse.tags;
    const how = readCanonicalization(tags.get('c'));
    if (how === undefined) return undefined;
    const names = colonList(tags.get('h')?.value ?? '').map(lower);
    return {
      headerInput: this.#headerInput(candidate, tags, names, how),
      bodyInput: Buffer.concat(this.#kept[how.body]).subarray(0, digest.hashedLength),
      bodyInputLength: digest.hashedLength,
      bodyHash: digest.hash,
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
    const from = this.#header?.instances('from') ?? 0;
    if (from > 1) {
      notes.push(
        reason('note.from-twice', `The message has ${from} From fields.`, 'RFC 6376 §8.15', {header: 'from'}),
      );
    }
    return notes;
  }
}

// Signatures of one message that are looked into where they do not fit.
const MAX_DIAGNOSED = 4;

// No path ends here: a signature that is parsed and not judged early has been asked for and hashed.
const NEVER = withoutKey('permerror', reason('internal', 'No reason was given.', 'RFC 6376 §6.1'));

// Never rejects: the answer is awaited only after the body, and a rejection must be handled at once.
async function ask(lookup: KeyLookup, name: DnsName): Promise<KeyLookupAnswer> {
  try {
    return await lookup(name);
  } catch (error) {
    return {status: 'temporary', reason: error instanceof Error ? error.message : String(error)};
  }
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

/** The body as it came, as long as it is short enough to look into. */
class WholeBody {
  readonly #parts: Buffer[] = [];
  #length = 0;

  update(octets: Uint8Array): void {
    this.#length += octets.length;
    if (this.#length <= MAX_DIAGNOSED_BODY) this.#parts.push(Buffer.from(octets));
    else this.#parts.length = 0;
  }

  octets(): Buffer | undefined {
    return this.#length <= MAX_DIAGNOSED_BODY ? Buffer.concat(this.#parts) : undefined;
  }
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
