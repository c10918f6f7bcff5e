import {createHash, type Hash} from 'node:crypto';
import type {RelaxedKernel} from './body-kernel.ts';
import {type BodyCanonicalizer, relaxedBody, simpleBody} from './canonicalize-body.ts';
import type {CanonicalizationName} from './canonicalize-header.ts';

/** What is known of a body after its last octet. */
export interface BodyDigest {
  /** SHA-256 of the canonical body, cut at the length asked for. */
  readonly hash: Buffer;
  /** Octets of the whole canonical body. */
  readonly canonicalLength: number;
  /** Octets of it that are hashed. */
  readonly hashedLength: number;
}

/** One body hash that is wanted. Equal wishes share one hash. */
export interface BodyWish {
  readonly canonicalization: CanonicalizationName;
  /** l=: octets of the canonical body to hash; undefined means all. */
  readonly length: number | undefined;
}

/**
 * Hashes a body in one pass for any number of signatures: each canonicalization runs once, each distinct length has
 * one hash. Memory does not depend on the length of the body.
 */
export class BodyHasher {
  readonly #hashes = new Map<string, LimitedHash>();
  readonly #canonicalizers: BodyCanonicalizer[] = [];
  readonly #totals = new Map<CanonicalizationName, {length: number}>();
  #small: Buffer | undefined;
  #filled = 0;

  /**
   * @param kernel work horse of the relaxed canonicalization; may be shared, as every call is synchronous
   * @param tap gets the canonical octets as they go by, for explanations
   */
  constructor(
    wishes: readonly BodyWish[],
    kernel: RelaxedKernel,
    tap?: (canonicalization: CanonicalizationName, octets: Uint8Array) => void,
  ) {
    for (const canonicalization of ['simple', 'relaxed'] as const) {
      const hashes: LimitedHash[] = [];
      for (const wish of wishes) {
        if (wish.canonicalization !== canonicalization || this.#hashes.has(nameOf(wish))) continue;
        const hash = new LimitedHash(wish.length);
        this.#hashes.set(nameOf(wish), hash);
        hashes.push(hash);
      }
      if (hashes.length === 0) continue;
      const total = {length: 0};
      this.#totals.set(canonicalization, total);
      const sink = (octets: Uint8Array): void => {
        total.length += octets.length;
        for (const hash of hashes) hash.update(octets);
        tap?.(canonicalization, octets);
      };
      this.#canonicalizers.push(canonicalization === 'simple' ? simpleBody(sink) : relaxedBody(sink, kernel));
    }
  }

  /** Takes the next octets of the body. They are used before the call returns and not kept. */
  update(octets: Uint8Array): void {
    if (octets.length >= COLLECT_BELOW) {
      this.#flush();
      this.#feed(octets);
      return;
    }
    // Small pieces are collected: a hash update costs more than what it hashes otherwise.
    this.#small ??= Buffer.allocUnsafe(COLLECT);
    if (this.#filled + octets.length > COLLECT) this.#flush();
    this.#small.set(octets, this.#filled);
    this.#filled += octets.length;
  }

  /** Ends the body. The hashes can be asked for after that, each any number of times. */
  finish(): void {
    this.#flush();
    for (const canonicalizer of this.#canonicalizers) canonicalizer.finish();
  }

  /** The digest for one of the wishes given at the start. */
  digest(wish: BodyWish): BodyDigest {
    const hash = this.#hashes.get(nameOf(wish));
    if (hash === undefined) throw new TypeError('this body hash was not asked for');
    return {
      hash: hash.digest(),
      canonicalLength: this.#totals.get(wish.canonicalization)?.length ?? 0,
      hashedLength: hash.length,
    };
  }

  #flush(): void {
    if (this.#small === undefined || this.#filled === 0) return;
    this.#feed(this.#small.subarray(0, this.#filled));
    this.#filled = 0;
  }

  #feed(octets: Uint8Array): void {
    for (const canonicalizer of this.#canonicalizers) canonicalizer.update(octets);
  }
}

const COLLECT = 16 * 1024;
const COLLECT_BELOW = 1024;

const nameOf = (wish: BodyWish): string => `${wish.canonicalization} ${wish.length ?? ''}`;

class LimitedHash {
  readonly #hash: Hash = createHash('sha256');
  readonly #limit: number;
  #digest: Buffer | undefined;
  length = 0;

  constructor(limit: number | undefined) {
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
  }

  update(octets: Uint8Array): void {
    const left = this.#limit - this.length;
    if (left <= 0) return;
    const part = octets.length <= left ? octets : octets.subarray(0, left);
    this.#hash.update(part);
    this.length += part.length;
  }

  digest(): Buffer {
    this.#digest ??= this.#hash.digest();
    return this.#digest;
  }
}
