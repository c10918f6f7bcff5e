import {asBuffer, CR, HTAB, LF, latin1, lower, SP} from './octets.ts';

/** One header field with its exact octets. */
export interface HeaderField {
  /** Lower case, without the white space or fold before the colon; '' where there is no colon. */
  readonly name: string;
  /** The whole field as code units 0..255, folding and the final CRLF included. */
  readonly raw: string;
  /** Index of the colon in `raw`; -1 where there is none. */
  readonly colon: number;
}

/**
 * The header of a message: its octets, and where each field stands in them, top first. A field becomes an object only
 * when somebody asks for it, and names become strings only in a header of many fields: most fields of most messages
 * are looked at once, to be hashed.
 */
export class HeaderBlock {
  /** A copy of the block. Each field ends in CRLF. */
  readonly octets: Buffer;
  readonly #starts: readonly number[];
  readonly #colons: readonly number[];
  #shapes: readonly number[] | undefined;
  #names: NameIndex | undefined;

  constructor(octets: Buffer, starts: readonly number[], colons: readonly number[]) {
    this.octets = octets;
    this.#starts = starts;
    this.#colons = colons;
  }

  /** How many fields there are. */
  get count(): number {
    return this.#colons.length;
  }

  /** Where a field begins in `octets`. */
  start(index: number): number {
    return this.#starts[index] ?? this.octets.length;
  }

  /** Where a field ends in `octets`, its CRLF included: where the next one begins. */
  end(index: number): number {
    return this.#starts[index + 1] ?? this.octets.length;
  }

  /** Where the colon of a field stands in `octets`; -1 where it has none. */
  colon(index: number): number {
    return this.#colons[index] ?? -1;
  }

  /**
   * Where the name of a field ends in `octets`: before the colon and the white space in front of it. That may hold a
   * fold, as unfolding comes before all else (RFC 5322 §2.2.3, RFC 6376 §3.4.2): readers of mail show such a From.
   */
  nameEnd(index: number): number {
    const {octets} = this;
    const start = this.start(index);
    let end = this.colon(index);
    if (end < 0) return start;
    for (;;) {
      if (end > start && isWsp(octets[end - 1] ?? 0)) end--;
      else if (end > start + 1 && octets[end - 1] === LF && octets[end - 2] === CR) end -= 2;
      else return end;
    }
  }

  /** A field as an object, or undefined where there are not so many. */
  field(index: number): HeaderField | undefined {
    if (index < 0 || index >= this.count) return undefined;
    const start = this.start(index);
    const colon = this.colon(index);
    return {
      name: lower(latin1(this.octets, start, this.nameEnd(index))),
      raw: latin1(this.octets, start, this.end(index)),
      colon: colon < 0 ? -1 : colon - start,
    };
  }

  /** Every field as an object, top first. */
  get fields(): readonly HeaderField[] {
    return this.#colons.flatMap((_colon, index) => this.field(index) ?? []);
  }

  /** The fields of a name, top first. @param name lower case */
  places(name: string): readonly number[] {
    const places: number[] = [];
    if (this.count > INDEX_FROM) {
      for (let at = this.names.last(name); at >= 0; at = this.names.before(at)) places.push(at);
      return places.reverse();
    }
    const {shapes} = this;
    const shape = shapeOf(name);
    for (let at = 0; at < shapes.length; at++)
      if (shapes[at] === shape && this.isNamed(at, name)) places.push(at);
    return places;
  }

  /** How many fields of a name there are. @param name lower case */
  instances(name: string): number {
    if (this.count > INDEX_FROM) return this.names.count(name);
    const {shapes} = this;
    const shape = shapeOf(name);
    let count = 0;
    for (let at = 0; at < shapes.length; at++) if (shapes[at] === shape && this.isNamed(at, name)) count++;
    return count;
  }

  /** Whether a field has a name. @param name lower case, of the same shape as that of the field */
  isNamed(index: number, name: string): boolean {
    const {octets} = this;
    const start = this.#starts[index] ?? 0;
    for (let at = 0; at < name.length; at++) {
      if (folded(octets[start + at] ?? 0) !== name.charCodeAt(at)) return false;
    }
    return true;
  }

  /** {@link shapeOf} each name; made when first asked for. */
  get shapes(): readonly number[] {
    this.#shapes ??= this.#findShapes();
    return this.#shapes;
  }

  #findShapes(): readonly number[] {
    return this.#starts.map((start, index) => {
      const length = this.nameEnd(index) - start;
      return length === 0
        ? Number.NaN
        : shape(length, folded(this.octets[start] ?? 0), folded(this.octets[start + length - 1] ?? 0));
    });
  }

  /** The index of the names; made when it is first asked for. */
  get names(): NameIndex {
    this.#names ??= new NameIndex(this);
    return this.#names;
  }
}

// Up to so many fields and names, looking at every field costs less than an index of the names.
const INDEX_FROM = 64;
const LOOK_UP_TO = 256;

/**
 * Length, first and last octet of a name as one number: most names that differ, differ in that, and no octet has to be
 * compared. A name without octets has none that anything equals.
 */
const shapeOf = (name: string): number =>
  name === '' ? Number.NaN : shape(name.length, name.charCodeAt(0), name.charCodeAt(name.length - 1));

const shape = (length: number, first: number, last: number): number => (length << 16) | (first << 8) | last;

const isWsp = (octet: number): boolean => octet === SP || octet === HTAB;

const folded = (octet: number): number => (octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet);

/** The fields of each name as a chain from the bottom upwards: nothing is allocated for a field but its name. */
class NameIndex {
  readonly #chains = new Map<string, {last: number; count: number}>();
  readonly #before: Int32Array;

  constructor(block: HeaderBlock) {
    this.#before = new Int32Array(block.count);
    // Decoded once: slices of one string are far cheaper than decoding each name.
    const text = latin1(block.octets);
    for (let index = 0; index < block.count; index++) {
      if (block.nameEnd(index) === block.start(index)) continue;
      // Under the spelling of the field too, so that only the first of each spelling is turned into lower case.
      const spelling = text.slice(block.start(index), block.nameEnd(index));
      let chain = this.#chains.get(spelling);
      if (chain === undefined) {
        chain = this.#chains.get(lower(spelling)) ?? {last: -1, count: 0};
        this.#chains.set(lower(spelling), chain);
        this.#chains.set(spelling, chain);
      }
      this.#before[index] = chain.last;
      chain.last = index;
      chain.count++;
    }
  }

  /** The lowest field of a name, -1 where there is none. */
  last(name: string): number {
    return this.#chains.get(name)?.last ?? -1;
  }

  /** The next field of the same name above, -1 where there is none. */
  before(index: number): number {
    return this.#before[index] ?? -1;
  }

  count(name: string): number {
    return this.#chains.get(name)?.count ?? 0;
  }
}

/**
 * Splits a header block into fields (RFC 5322 §2.2). A field ends at CRLF that no WSP follows; bare CR or LF is an
 * octet like any other. A line without a colon (an mbox "From " line, say) is kept without a name: it can be
 * neither selected nor lost. A last field without CRLF gets one.
 *
 * @param block the block up to and including the CRLF of its last field; it may be reused after the call
 */
export function parseHeaderBlock(block: Uint8Array): HeaderBlock {
  const octets = withFinalCrlf(block);
  const starts: number[] = [];
  const colons: number[] = [];
  const end = octets.length;
  let start = 0;
  let colon = -1;
  for (let at = 0; at < end; at++) {
    const octet = octets[at] ?? 0;
    // Most octets are letters, which stand behind both in ASCII.
    if (octet > COLON) continue;
    if (octet === COLON) {
      if (colon < 0) colon = at;
    } else if (octet === LF && at > 0 && octets[at - 1] === CR) {
      const next = at + 1 < end ? octets[at + 1] : LF;
      if (next === SP || next === HTAB) continue;
      starts.push(start);
      colons.push(colon);
      start = at + 1;
      colon = -1;
    }
  }
  return new HeaderBlock(octets, starts, colons);
}

const COLON = 0x3a;

function withFinalCrlf(block: Uint8Array): Buffer {
  const {length} = block;
  if (length === 0 || (block[length - 2] === CR && block[length - 1] === LF)) return Buffer.from(block);
  return Buffer.concat([asBuffer(block), CRLF]);
}

const CRLF = Buffer.from('\r\n');

/**
 * Picks the fields a signature covers, in the order of its h= tag. Several fields of one name are taken from the
 * bottom of the header upwards; a name with no field left adds nothing (RFC 6376 §5.4.2).
 *
 * @param names lower case, in the order of h=
 * @param except index of the signature's own field, which is never part of its own selection (§3.5)
 * @param without indexes of fields to select as if they were not there
 * @returns indexes of the fields
 */
export function selectFields(
  block: HeaderBlock,
  names: readonly string[],
  except: number | undefined,
  without: readonly number[] = NONE,
): number[] {
  return block.count <= INDEX_FROM && names.length <= LOOK_UP_TO
    ? selectByLooking(block, names, except, without)
    : selectByIndex(block, names, except, without);
}

const NONE: readonly number[] = [];

function selectByLooking(
  block: HeaderBlock,
  names: readonly string[],
  except: number | undefined,
  without: readonly number[],
): number[] {
  const {shapes} = block;
  // No typed array: one so small costs more than what is in it.
  const taken = shapes.map((_shape, at) => at === except || without.includes(at));
  const chosen: number[] = [];
  for (const name of names) {
    const shape = shapeOf(name);
    for (let at = shapes.length - 1; at >= 0; at--) {
      if (shapes[at] !== shape || taken[at] === true || !block.isNamed(at, name)) continue;
      taken[at] = true;
      chosen.push(at);
      break;
    }
  }
  return chosen;
}

function selectByIndex(
  {names: index}: HeaderBlock,
  names: readonly string[],
  except: number | undefined,
  without: readonly number[],
): number[] {
  const next = new Map<string, number>();
  const chosen: number[] = [];
  for (const name of names) {
    let at = next.get(name) ?? index.last(name);
    while (at >= 0 && (at === except || without.includes(at))) at = index.before(at);
    if (at < 0) continue;
    chosen.push(at);
    next.set(name, index.before(at));
  }
  return chosen;
}
