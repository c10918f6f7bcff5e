/**
 * A small assembler for WebAssembly: takes a function as a listing of instructions, one a line, in the linear form of
 * the text format, and gives the bytes of a module. It exists so that the project has no opaque binary: what runs is
 * what can be read. It knows only the instructions that are used here.
 */

/** A module with one memory (exported as `memory`) and one function (exported as `run`), i32 parameters to one i32. */
export interface ModuleSource {
  /** Pages of 64 KiB. */
  readonly pages: number;
  /** Names of the i32 parameters. */
  readonly parameters: readonly string[];
  /** Names and types of the local variables. */
  readonly locals: readonly (readonly [name: string, type: 'i32' | 'v128'])[];
  /**
   * Instructions. `;;` begins a comment. Operands: `$name` of a variable, numbers, or for v128.const the one octet
   * that fills the vector. Loads and stores take an offset, then a lane where they have one.
   */
  readonly code: string;
}

/** Assembles a module (WebAssembly core specification 2.0 §5). Throws TypeError for an unknown word: a fault here. */
export function assemble(source: ModuleSource): Uint8Array {
  const variables = [...source.parameters, ...source.locals.map(([name]) => name)];
  const code = source.code
    .split('\n')
    .map(line => (line.split(';;')[0] ?? '').trim())
    .filter(line => line !== '')
    .flatMap(line => instruction(line, variables));
  const locals = source.locals.flatMap(([, type]) => [1, type === 'i32' ? I32 : V128]);
  const body = [...unsigned(source.locals.length), ...locals, ...code, END];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    // One type: the parameters to one i32.
    ...section(1, [1, 0x60, source.parameters.length, ...source.parameters.map(() => I32), 1, I32]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0x00, ...unsigned(source.pages)]),
    ...section(7, [2, ...text('memory'), 0x02, 0, ...text('run'), 0x00, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ]);
}

const I32 = 0x7f;
const V128 = 0x7b;
const END = 0x0b;

type Operands = 'none' | 'variable' | 'number' | 'depth' | 'block' | 'memory' | 'memory-lane' | 'fill';

const INSTRUCTIONS: Readonly<Record<string, readonly [operands: Operands, ...bytes: number[]]>> = {
  loop: ['block', 0x03],
  end: ['none', END],
  br_if: ['depth', 0x0d],
  select: ['none', 0x1b],
  'local.get': ['variable', 0x20],
  'local.set': ['variable', 0x21],
  'local.tee': ['variable', 0x22],
  'i32.const': ['number', 0x41],
  'i32.lt_u': ['none', 0x49],
  'i32.popcnt': ['none', 0x69],
  'i32.add': ['none', 0x6a],
  'i32.sub': ['none', 0x6b],
  'i32.and': ['none', 0x71],
  'i32.or': ['none', 0x72],
  'i32.xor': ['none', 0x73],
  'i32.shl': ['none', 0x74],
  'i32.shr_u': ['none', 0x76],
  'v128.load': ['memory', 0xfd, 0x00],
  'v128.const': ['fill', 0xfd, 0x0c],
  'v128.load64_zero': ['memory', 0xfd, 0x5d],
  'v128.store64_lane': ['memory-lane', 0xfd, 0x5b],
  'v128.and': ['none', 0xfd, 0x4e],
  'v128.or': ['none', 0xfd, 0x50],
  'v128.bitselect': ['none', 0xfd, 0x52],
  'i8x16.swizzle': ['none', 0xfd, 0x0e],
  'i8x16.eq': ['none', 0xfd, 0x23],
  'i8x16.bitmask': ['none', 0xfd, 0x64],
  'i8x16.add': ['none', 0xfd, 0x6e],
};

function instruction(line: string, variables: readonly string[]): readonly number[] {
  const [word = '', ...operands] = line.split(/\s+/);
  const known = INSTRUCTIONS[word];
  if (known === undefined) throw new TypeError(`unknown instruction: ${line}`);
  const [kind, ...bytes] = known;
  return [...bytes, ...operandBytes(kind, operands, variables, line)];
}

function operandBytes(
  kind: Operands,
  operands: readonly string[],
  variables: readonly string[],
  line: string,
): readonly number[] {
  const numbers = operands.map(Number);
  const [first = 0, second = 0] = numbers;
  switch (kind) {
    case 'none':
      return [];
    case 'block':
      return [0x40];
    case 'variable': {
      const index = variables.indexOf((operands[0] ?? '').slice(1));
      if (index < 0) throw new TypeError(`unknown variable: ${line}`);
      return unsigned(index);
    }
    case 'number':
      return signed(first);
    case 'depth':
      return unsigned(first);
    // An alignment of 0: any address.
    case 'memory':
      return [0, ...unsigned(first)];
    case 'memory-lane':
      return [0, ...unsigned(first), second];
    case 'fill':
      return new Array<number>(16).fill(first);
  }
}

const section = (id: number, content: readonly number[]): readonly number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];

const text = (name: string): readonly number[] => [...unsigned(name.length), ...Buffer.from(name, 'latin1')];

/** LEB128. */
function unsigned(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function signed(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest < -0x40 || rest >= 0x40; rest >>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest & 0x7f];
}
