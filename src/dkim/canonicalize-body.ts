import type {RelaxedKernel} from './body-kernel.ts';
import {asBuffer, CR, HTAB, LF, SP} from './octets.ts';

/** Takes canonical octets. The memory behind `octets` is reused after the call. */
export type OctetSink = (octets: Uint8Array) => void;

/** Canonicalizes a body piece by piece; what is held back between calls never grows with the body. */
export interface BodyCanonicalizer {
  update(octets: Uint8Array): void;
  /** Ends the body: what was held back is settled and the final CRLF is there if it must be. */
  finish(): void;
}

/**
 * Holds back the CRLFs at the end of what came so far, as a number: they are part of the body only if something
 * follows them (RFC 6376 §3.4.3, §3.4.4).
 */
class TrailingLines {
  readonly #sink: OctetSink;
  readonly #emptyBody: 'crlf' | 'nothing';
  #held = 0;
  #carriageReturn = false;
  #content = false;

  constructor(sink: OctetSink, emptyBody: 'crlf' | 'nothing') {
    this.#sink = sink;
    this.#emptyBody = emptyBody;
  }

  update(octets: Uint8Array): void {
    let start = 0;
    let end = octets.length;
    if (end === 0) return;
    if (this.#carriageReturn) {
      this.#carriageReturn = false;
      if (octets[0] === LF) {
        this.#held++;
        start = 1;
        if (end === 1) return;
      } else {
        this.#release();
        this.#sink(CRLF.subarray(0, 1));
      }
    }
    const carriageReturn = octets[end - 1] === CR;
    if (carriageReturn) end--;
    let trailing = 0;
    while (end - start >= 2 && octets[end - 1] === LF && octets[end - 2] === CR) {
      end -= 2;
      trailing++;
    }
    if (end > start) {
      this.#release();
      this.#sink(start === 0 && end === octets.length ? octets : octets.subarray(start, end));
      this.#content = true;
    }
    this.#held += trailing;
    this.#carriageReturn = carriageReturn;
  }

  finish(): void {
    if (this.#carriageReturn) {
      // A bare CR at the very end is an octet like any other.
      this.#release();
      this.#sink(CRLF.subarray(0, 1));
      this.#content = true;
    }
    // A body without a final CRLF gets one; simple makes an empty body a single CRLF, relaxed leaves it empty.
    if (this.#content || this.#emptyBody === 'crlf') this.#sink(CRLF.subarray(0, 2));
  }

  #release(): void {
    this.#content = true;
    for (; this.#held > 0; this.#held -= Math.min(this.#held, CRLF.length / 2)) {
      this.#sink(CRLF.subarray(0, Math.min(this.#held * 2, CRLF.length)));
    }
  }
}

const CRLF = Buffer.from('\r\n'.repeat(1024));

/** Simple body canonicalization (RFC 6376 §3.4.3): only the empty lines at the end go. */
export const simpleBody = (sink: OctetSink): BodyCanonicalizer => new TrailingLines(sink, 'crlf');

/** Relaxed body canonicalization (RFC 6376 §3.4.4). */
export const relaxedBody = (sink: OctetSink, kernel: RelaxedKernel): BodyCanonicalizer =>
  new RelaxedBody(sink, kernel);

class RelaxedBody implements BodyCanonicalizer {
  readonly #lines: TrailingLines;
  readonly #kernel: RelaxedKernel;
  /** A WSP, or WSP and CR, at the end of the last piece: what follows decides whether the WSP stays. */
  #pending: 'none' | 'wsp' | 'wsp-cr' = 'none';

  constructor(sink: OctetSink, kernel: RelaxedKernel) {
    this.#lines = new TrailingLines(sink, 'nothing');
    this.#kernel = kernel;
  }

  update(octets: Uint8Array): void {
    const piece = this.#kernel.capacity - 2;
    if (octets.length <= piece) this.#piece(octets);
    else for (let at = 0; at < octets.length; at += piece) this.#piece(octets.subarray(at, at + piece));
  }

  #piece(octets: Uint8Array): void {
    if (octets.length === 0) return;
    if (this.#pending === 'none' && hasNoWsp(octets)) {
      // No WSP at all, as in base64: nothing to delete, so the octets go on as they are, without a copy.
      this.#lines.update(octets);
      return;
    }
    const {input, output} = this.#kernel;
    let total = 0;
    if (this.#pending !== 'none') input[total++] = SP;
    if (this.#pending === 'wsp-cr') input[total++] = CR;
    input.set(octets, total);
    total += octets.length;
    const last = input[total - 1] ?? 0;
    let decided = total;
    if (isWsp(last)) {
      this.#pending = 'wsp';
      decided -= 1;
    } else if (last === CR && total > 1 && isWsp(input[total - 2] ?? 0)) {
      this.#pending = 'wsp-cr';
      decided -= 2;
    } else {
      this.#pending = 'none';
    }
    if (decided === 0) return;
    const length = this.#kernel.run(decided);
    if (length > 0) this.#lines.update(output.subarray(0, length));
  }

  finish(): void {
    // The line that the body ends in has no CRLF: its trailing WSP goes all the same, before a CRLF is added.
    if (this.#pending === 'wsp-cr') this.#lines.update(SP_CR);
    this.#lines.finish();
  }
}

const SP_CR = Buffer.from(' \r');

const isWsp = (octet: number): boolean => octet === SP || octet === HTAB;

// Below this size two searches cost more than the kernel does.
const SKIP_FROM = 512;

/**
 * The simple form of a body that is there whole, as a view of it; undefined where it must be pieced together, as it
 * does not end in CRLF.
 */
export function wholeSimpleBody(octets: Uint8Array): Uint8Array | undefined {
  const end = contentEnd(octets);
  if (end === 0) return CRLF.subarray(0, 2);
  return end < octets.length ? octets.subarray(0, end + 2) : undefined;
}

/**
 * The relaxed form of a body that is there whole, as a view of it or of the memory of the kernel, to be used before
 * the next call; undefined where it is longer than the kernel takes at once, or would have to be copied only for a CRLF.
 */
export function wholeRelaxedBody(octets: Uint8Array, kernel: RelaxedKernel): Uint8Array | undefined {
  const {capacity, input, output} = kernel;
  let {length} = octets;
  if (length + 2 > capacity) return undefined;
  const complete = length >= 2 && octets[length - 2] === CR && octets[length - 1] === LF;
  if (hasNoWsp(octets)) return complete ? withoutEmptyLines(octets) : undefined;
  input.set(octets);
  if (!complete) {
    // WSP at the end of a last line without CRLF goes, too: so the CRLF may as well be there before.
    input[length++] = CR;
    input[length++] = LF;
  }
  return withoutEmptyLines(output.subarray(0, kernel.run(length)));
}

/** For octets that end in CRLF. */
function withoutEmptyLines(octets: Uint8Array): Uint8Array {
  const end = contentEnd(octets);
  return octets.subarray(0, end === 0 ? 0 : end + 2);
}

/** Where the CRLFs at the end begin. */
function contentEnd(octets: Uint8Array): number {
  let end = octets.length;
  while (end >= 2 && octets[end - 1] === LF && octets[end - 2] === CR) end -= 2;
  return end;
}

function hasNoWsp(octets: Uint8Array): boolean {
  if (octets.length < SKIP_FROM) return false;
  const buffer = asBuffer(octets);
  return !buffer.includes(SP) && !buffer.includes(HTAB);
}
