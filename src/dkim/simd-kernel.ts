import type {RelaxedKernel} from './body-kernel.ts';
import {assemble} from './wasm-assembler.ts';

/** Octets that one call takes. */
const CAPACITY = 64 * 1024;
/** Room for looking and writing beyond the end, in octets. */
const SLACK = 64;

// Memory: the table of 256 × 8 octets, the same with 8 added to each, then input, then output.
const TABLE = 0;
const UPPER_TABLE = 2048;
const INPUT = 4096;
const OUTPUT = INPUT + CAPACITY + SLACK;
const PAGES = Math.ceil((OUTPUT + CAPACITY + SLACK) / 65_536);

/**
 * Sixteen octets a turn, without a branch that depends on the data. For each octet three things are compared: is it
 * WSP, is its successor WSP, are its two successors CRLF. That gives a mask of the octets to delete; a table says for
 * each half of the mask how to move the others together.
 */
const CODE = `
  i32.const ${OUTPUT}
  local.set $out
  loop
    ;; $a: these octets, $b: each one's successor, $c: the one after that
    local.get $at
    v128.load ${INPUT}
    local.tee $a
    v128.const 0x20
    i8x16.eq
    local.get $a
    v128.const 0x09
    i8x16.eq
    v128.or
    local.set $wsp                      ;; WSP here
    local.get $at
    v128.load ${INPUT + 1}
    local.tee $b
    v128.const 0x20
    i8x16.eq
    local.get $b
    v128.const 0x09
    i8x16.eq
    v128.or                             ;; WSP next
    local.get $b
    v128.const 0x0d
    i8x16.eq
    local.get $at
    v128.load ${INPUT + 2}
    v128.const 0x0a
    i8x16.eq
    v128.and                            ;; CRLF next
    v128.or
    local.get $wsp
    v128.and
    i8x16.bitmask                       ;; a bit for each octet to delete
    local.set $mask

    ;; HTAB becomes SP: where there is WSP, take SP.
    v128.const 0x20
    local.get $a
    local.get $wsp
    v128.bitselect
    local.set $a

    ;; The first eight octets, moved together.
    local.get $out
    local.get $a
    local.get $mask
    i32.const 255
    i32.and
    local.tee $half
    i32.const 3
    i32.shl
    v128.load64_zero ${TABLE}
    i8x16.swizzle
    v128.store64_lane 0 0
    local.get $out
    i32.const 8
    i32.add
    local.get $half
    i32.popcnt
    i32.sub
    local.set $out

    ;; The other eight.
    local.get $out
    local.get $a
    local.get $mask
    i32.const 8
    i32.shr_u
    i32.const 255
    i32.and
    local.tee $half
    i32.const 3
    i32.shl
    v128.load64_zero ${UPPER_TABLE}
    i8x16.swizzle
    v128.store64_lane 0 0
    local.get $out
    i32.const 8
    i32.add
    local.get $half
    i32.popcnt
    i32.sub
    local.set $out

    local.get $at
    i32.const 16
    i32.add
    local.tee $at
    local.get $length
    i32.lt_u
    br_if 0
  end
  local.get $out
  i32.const ${OUTPUT}
  i32.sub
  ;; What stayed of the octets behind the end, in the last turn, does not count.
  local.get $mask
  i32.const 0xffff
  i32.xor
  i32.const 16
  local.get $at
  local.get $length
  i32.sub
  i32.sub
  i32.shr_u
  i32.popcnt
  i32.sub
`;

/** The part of the WebAssembly interface that is used; the type libraries in use here do not have it. */
interface WebAssemblyApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
  ) => {
    readonly exports: {
      readonly memory: {readonly buffer: ArrayBuffer};
      readonly run: (at: number, length: number) => number;
    };
  };
}

/**
 * The kernel of relaxed body canonicalization in WebAssembly SIMD, or undefined where the runtime has none (an old
 * processor, `--jitless`).
 */
export function createSimdKernel(): RelaxedKernel | undefined {
  const api = (globalThis as unknown as {readonly WebAssembly?: WebAssemblyApi}).WebAssembly;
  if (api === undefined) return undefined;
  try {
    const module = new api.Module(
      assemble({
        pages: PAGES,
        parameters: ['at', 'length'],
        locals: [
          ['out', 'i32'],
          ['mask', 'i32'],
          ['half', 'i32'],
          ['a', 'v128'],
          ['b', 'v128'],
          ['wsp', 'v128'],
        ],
        code: CODE,
      }),
    );
    const {memory, run} = new api.Instance(module).exports;
    Buffer.from(memory.buffer, TABLE, 2048).set(movingTable());
    Buffer.from(memory.buffer, UPPER_TABLE, 2048).set(movingTable().map(place => place + 8));
    return {
      capacity: CAPACITY,
      input: Buffer.from(memory.buffer, INPUT, CAPACITY + SLACK),
      output: Buffer.from(memory.buffer, OUTPUT, CAPACITY + SLACK),
      run: length => run(0, length),
    };
  } catch {
    return undefined;
  }
}

/** For each mask of octets to delete among eight: the places of those that stay, first to last. */
function movingTable(): Uint8Array {
  const table = new Uint8Array(2048);
  for (let mask = 0; mask < 256; mask++) {
    let to = mask * 8;
    for (let place = 0; place < 8; place++) {
      if ((mask & (1 << place)) === 0) table[to++] = place;
    }
  }
  return table;
}
