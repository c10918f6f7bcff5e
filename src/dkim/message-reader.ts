import {ProblemsFound} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {asBuffer, CR, LF, type LineEndings} from './octets.ts';

/** Largest header block that is read where nothing else is asked for, in octets. */
export const MAX_HEADER_OCTETS = 8 * 1024 * 1024;

/**
 * Splits a message into header block and body while it comes in, in pieces of any size. Only the header block is
 * kept. `onHeader` is called once, with the block up to the CRLF of its last field, before the first `onBody`.
 */
export class MessageReader {
  readonly #onHeader: (octets: Uint8Array) => void;
  readonly #onBody: (octets: Uint8Array, last: boolean) => void;
  readonly #limit: number;
  #block: Buffer | undefined;
  #length = 0;
  #inBody = false;

  constructor(
    handlers: {
      readonly onHeader: (octets: Uint8Array) => void;
      /** `last`: it is known that nothing comes behind these octets. */
      readonly onBody: (octets: Uint8Array, last: boolean) => void;
    },
    limit = MAX_HEADER_OCTETS,
  ) {
    this.#onHeader = handlers.onHeader;
    this.#onBody = handlers.onBody;
    this.#limit = limit;
  }

  /**
   * @param last the message ends with these octets; `finish` is to be called all the same
   * @throws ProblemsFound where the header block is larger than the limit
   */
  update(octets: Uint8Array, last = false): void {
    if (this.#inBody) {
      if (octets.length > 0) this.#onBody(octets, last);
      return;
    }
    // A message that comes in one piece needs no copy.
    if (this.#length === 0) {
      const end = endOfHeader(asBuffer(octets), 0);
      if (end !== undefined) {
        this.#begin(octets, end, last);
        return;
      }
    }
    const searched = Math.max(0, this.#length - 3);
    const block = this.#append(octets);
    const end = endOfHeader(block, searched);
    if (end !== undefined) this.#begin(block, end, last);
    else if (this.#length > this.#limit) this.#refuse();
  }

  /** Ends the message. Where no empty line came, all of it is header and the body is empty (RFC 5322 §2.1). */
  finish(): void {
    if (this.#inBody) return;
    this.#inBody = true;
    this.#onHeader(this.#block?.subarray(0, this.#length) ?? new Uint8Array(0));
  }

  #begin(octets: Uint8Array, end: EndOfHeader, last: boolean): void {
    if (end.header > this.#limit) this.#refuse();
    this.#inBody = true;
    this.#onHeader(octets.subarray(0, end.header));
    this.#block = undefined;
    if (end.body < octets.length) this.#onBody(octets.subarray(end.body), last);
  }

  #append(octets: Uint8Array): Buffer {
    const wanted = this.#length + octets.length;
    let block = this.#block;
    if (block === undefined || block.length < wanted) {
      const larger = Buffer.allocUnsafe(Math.max(wanted, 2 * (block?.length ?? 2048)));
      block?.copy(larger, 0, 0, this.#length);
      block = larger;
      this.#block = larger;
    }
    block.set(octets, this.#length);
    this.#length = wanted;
    return block.subarray(0, wanted);
  }

  #refuse(): never {
    throw new ProblemsFound(
      problem(
        'message.header-size',
        `The header of the message is larger than ${this.#limit} octets.`,
        'Such a message is not mail that a server would take.',
      ),
    );
  }
}

/** Where the header ends, its last CRLF included, and where the body begins. */
interface EndOfHeader {
  readonly header: number;
  readonly body: number;
}

/** The empty line that ends the header. */
function endOfHeader(block: Buffer, from: number): EndOfHeader | undefined {
  // An empty line at the very top: no header at all.
  if (block[0] === CR && block[1] === LF) return {header: 0, body: 2};
  const at = block.indexOf('\r\n\r\n', from, 'latin1');
  return at < 0 ? undefined : {header: at + 2, body: at + 4};
}

/** Turns each bare LF into CRLF, across pieces: for files that an editor or an mbox left with bare LF. */
export function lineEndingFilter(mode: LineEndings): (octets: Uint8Array) => Uint8Array {
  if (mode === 'strict') return octets => octets;
  let last = 0;
  return octets => {
    const buffer = asBuffer(octets);
    let bare = 0;
    for (let at = buffer.indexOf(LF); at >= 0; at = buffer.indexOf(LF, at + 1)) {
      if ((at === 0 ? last : buffer[at - 1]) !== CR) bare++;
    }
    const before = last;
    last = buffer.at(-1) ?? last;
    if (bare === 0) return octets;
    const out = Buffer.allocUnsafe(buffer.length + bare);
    let to = 0;
    let from = 0;
    for (let at = buffer.indexOf(LF); at >= 0; at = buffer.indexOf(LF, at + 1)) {
      if ((at === 0 ? before : buffer[at - 1]) === CR) continue;
      to += buffer.copy(out, to, from, at);
      out[to++] = CR;
      from = at;
    }
    buffer.copy(out, to, from);
    return out;
  };
}
