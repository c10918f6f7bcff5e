import {CR, HTAB, LF, SP} from './octets.ts';

/**
 * The inner loop of relaxed body canonicalization, with its own work memory. WSP reduction is octet deletion: a WSP
 * goes away where WSP or CRLF follows it, every other octet stays, HTAB becomes SP (RFC 6376 §3.4.4).
 */
export interface RelaxedKernel {
  /** Most octets that one call takes. */
  readonly capacity: number;
  /** Where the caller writes the input, with at least two octets of room behind `capacity`. */
  readonly input: Buffer;
  /** Where the result of the last call stands. */
  readonly output: Buffer;
  /**
   * Canonicalizes the first `length` octets of `input` into `output` and returns the length of the result. The two
   * octets behind `length` are looked at, so the caller makes sure that they are the octets that follow.
   */
  run(length: number): number;
}

const CAPACITY = 64 * 1024;

/** The rule in plain JavaScript: branch-free, as the branches of real text cannot be predicted. */
export function createPlainKernel(capacity = CAPACITY): RelaxedKernel {
  const input = Buffer.alloc(capacity + 16);
  const output = Buffer.alloc(capacity + 16);
  return {capacity, input, output, run: length => reduce(input, length, output)};
}

function reduce(input: Uint8Array, length: number, output: Uint8Array): number {
  let out = 0;
  let current = input[0] ?? 0;
  let next = input[1] ?? 0;
  for (let at = 0; at < length; at++) {
    const third = input[at + 2] ?? 0;
    const wsp = WSP[current] ?? 0;
    output[out] = current - wsp * (current - SP);
    out += 1 - (wsp & ((WSP[next] ?? 0) | ((IS_CR[next] ?? 0) & (IS_LF[third] ?? 0))));
    current = next;
    next = third;
  }
  return out;
}

const flags = (...octets: readonly number[]): Uint8Array => {
  const table = new Uint8Array(256);
  for (const octet of octets) table[octet] = 1;
  return table;
};

const WSP = flags(SP, HTAB);
const IS_CR = flags(CR);
const IS_LF = flags(LF);
