import {createHash, type Hash, hash} from 'node:crypto';
import type {RelaxedKernel} from './body-kernel.ts';
import {
  type BodyCanonicalizer,
  relaxedBody,
  simpleBody,
  wholeRelaxedBody,
  wholeSimpleBody,
} from './canonicalize-body.ts';
import type {CanonicalizationName} from './canonicalize-header.ts';

/** What is known of a body after its last octet. */
export interface BodyDigest {
  /** SHA-256 of the canonical body, cut at the length asked for, in base64: as bh= has it. */
  readonly hash: string;
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
 * one hash. Memory does not depend on the length of the body. A body that is there whole and fits into the kernel, or
 * comes in small pieces that do, is hashed by one call a hash: that takes less than a hash that is kept open.
 */
export class BodyHasher {
  readonly #kernel: RelaxedKernel;
  readonly #forms: readonly CanonicalForm[];
  /** Set from the first octets on that are not collected: from there on nothing is whole. */
  #canonicalizers: readonly BodyCanonicalizer[] | undefined;
  #small: Buffer | undefined;
  #filled = 0;
  #finished = false;

  /**
   * @param kernel work horse of the relaxed canonicalization; may be shared, as every call is synchronous
   * @param tap gets the canonical octets as they go by, for explanations
   */
  constructor(wishes: readonly BodyWish[], kernel: RelaxedKernel, tap?: CanonicalTap) {
    this.#kernel = kernel;
    const forms: CanonicalForm[] = [];
    for (const {canonicalization, length} of wishes) {
      let form = forms.find(one => one.canonicalization === canonicalization);
      if (form === undefined) {
        form = new CanonicalForm(canonicalization, tap);
        forms.push(form);
      }
      form.want(length);
    }
    this.#forms = forms;
  }

  /**
   * Takes the next octets of the body. They are used before the call returns and not kept.
   *
   * @param last nothing comes behind them
   */
  update(octets: Uint8Array, last = false): void {
    const begun = this.#canonicalizers !== undefined || this.#filled > 0;
    if (last && !begun && this.#whole(octets)) return;
    if (octets.length >= (begun ? COLLECT_BELOW : COLLECT_FIRST)) {
      this.#flush();
      this.#feed(octets);
      return;
    }
    // Small pieces are collected: a hash update costs more than what it hashes otherwise.
    if (this.#filled + octets.length > COLLECT) this.#flush();
    this.#collect(octets);
  }

  /** Ends the body. The hashes can be asked for after that, each any number of times. */
  finish(): void {
    if (this.#finished) return;
    if (this.#canonicalizers === undefined && this.#whole(this.#collected())) return;
    this.#flush();
    for (const canonicalizer of this.#begin()) canonicalizer.finish();
    this.#finished = true;
  }

  /** The digest for one of the wishes given at the start. */
  digest(wish: BodyWish): BodyDigest {
    const form = this.#forms.find(one => one.canonicalization === wish.canonicalization);
    const hash = form?.wanted(wish.length);
    if (form === undefined || hash === undefined) throw new TypeError('this body hash was not asked for');
    return {hash: hash.digest(), canonicalLength: form.length, hashedLength: hash.length};
  }

  /** Hashes a whole body at once; false where it is too long for that. */
  #whole(octets: Uint8Array): boolean {
    const canonical = this.#forms.map(({canonicalization}) =>
      canonicalization === 'simple' ? wholeSimpleBody(octets) : wholeRelaxedBody(octets, this.#kernel),
    );
    if (canonical.includes(undefined)) return false;
    this.#forms.forEach((form, index) => {
      form.whole(canonical[index] ?? EMPTY);
    });
    this.#finished = true;
    return true;
  }

  #collect(octets: Uint8Array): void {
    const small = this.#small;
    if (small === undefined) {
      // Often the only piece there is.
      this.#small = Buffer.from(octets);
    } else {
      if (this.#filled + octets.length > small.length) {
        this.#small = Buffer.allocUnsafe(COLLECT);
        small.copy(this.#small, 0, 0, this.#filled);
      }
      this.#small?.set(octets, this.#filled);
    }
    this.#filled += octets.length;
  }

  #collected(): Uint8Array {
    return this.#small?.subarray(0, this.#filled) ?? EMPTY;
  }

  #flush(): void {
    if (this.#filled === 0) return;
    this.#feed(this.#collected());
    this.#filled = 0;
  }

  #feed(octets: Uint8Array): void {
    for (const canonicalizer of this.#begin()) canonicalizer.update(octets);
  }

  #begin(): readonly BodyCanonicalizer[] {
    this.#canonicalizers ??= this.#forms.map(form =>
      form.canonicalization === 'simple'
        ? simpleBody(octets => form.update(octets))
        : relaxedBody(octets => form.update(octets), this.#kernel),
    );
    return this.#canonicalizers;
  }
}

type CanonicalTap = (canonicalization: CanonicalizationName, octets: Uint8Array) => void;

const COLLECT = 16 * 1024;
const COLLECT_BELOW = 1024;
// A first piece of this length may be all there is. Below half of what Node takes for small buffers at a time.
const COLLECT_FIRST = 4000;
const EMPTY = Buffer.alloc(0);

/** One canonical form of the body and the hashes over it. */
class CanonicalForm {
  readonly canonicalization: CanonicalizationName;
  readonly #tap: CanonicalTap | undefined;
  readonly #hashes: LimitedHash[] = [];
  /** Octets so far. */
  length = 0;

  constructor(canonicalization: CanonicalizationName, tap: CanonicalTap | undefined) {
    this.canonicalization = canonicalization;
    this.#tap = tap;
  }

  want(limit: number | undefined): void {
    if (this.wanted(limit) === undefined) this.#hashes.push(new LimitedHash(limit));
  }

  wanted(limit: number | undefined): LimitedHash | undefined {
    return this.#hashes.find(hash => hash.limit === limit);
  }

  update(octets: Uint8Array): void {
    this.length += octets.length;
    for (const hash of this.#hashes) hash.update(octets);
    this.#tap?.(this.canonicalization, octets);
  }

  whole(octets: Uint8Array): void {
    this.length = octets.length;
    for (const hash of this.#hashes) hash.whole(octets);
    this.#tap?.(this.canonicalization, octets);
  }
}

class LimitedHash {
  readonly limit: number | undefined;
  length = 0;
  #hash: Hash | undefined;
  #digest: string | undefined;

  constructor(limit: number | undefined) {
    this.limit = limit;
  }

  update(octets: Uint8Array): void {
    const part = this.#part(octets);
    if (part.length === 0) return;
    this.#hash ??= createHash('sha256');
    this.#hash.update(part);
    this.length += part.length;
  }

  whole(octets: Uint8Array): void {
    const part = this.#part(octets);
    this.#digest = hash('sha256', part, 'base64');
    this.length = part.length;
  }

  digest(): string {
    this.#digest ??= (this.#hash ?? createHash('sha256')).digest('base64');
    return this.#digest;
  }

  #part(octets: Uint8Array): Uint8Array {
    const left = (this.limit ?? Number.POSITIVE_INFINITY) - this.length;
    return octets.length <= left ? octets : octets.subarray(0, Math.max(0, left));
  }
}
