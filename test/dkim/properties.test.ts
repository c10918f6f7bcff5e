import {describe, expect, it} from 'vitest';
import {BodyHasher} from '../../src/dkim/body-hash.ts';
import {createPlainKernel, type RelaxedKernel} from '../../src/dkim/body-kernel.ts';
import {
  type BodyCanonicalizer,
  relaxedBody,
  simpleBody,
  wholeRelaxedBody,
  wholeSimpleBody,
} from '../../src/dkim/canonicalize-body.ts';
import {canonicalizeHeader} from '../../src/dkim/canonicalize-header.ts';
import {parseHeaderBlock} from '../../src/dkim/header-block.ts';
import {signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {createSimdKernel} from '../../src/dkim/simd-kernel.ts';
import {fc} from '../support/fast-check.ts';
import {sha256} from './corpus/vectors.ts';
import {against, domain, ed25519, octets, recordOf, selector, withField} from './support.ts';

const runs = Number(process.env['DKIM_PROPERTY_RUNS'] ?? 300);
const plain = createPlainKernel();
const simd = createSimdKernel();
const kernels: readonly (readonly [string, RelaxedKernel])[] = [
  ['plain', plain],
  ...(simd === undefined ? [] : [['simd', simd] as const]),
];

// Bodies of the octets that matter, in short runs, so that every neighbourhood comes up.
const body = fc
  .array(
    fc.constantFrom(
      ' ',
      '\t',
      '\r',
      '\n',
      '\r\n',
      '\r\n',
      'a',
      'bc',
      '\xff',
      '\v',
      ' \r\n',
      '\r\n\r\n',
      'x'.repeat(20),
    ),
    {
      maxLength: 60,
    },
  )
  .map(parts => octets(parts.join('')));
const octet = fc.constantFrom(0x20, 0x09, 0x0d, 0x0a, 0x61);
const cuts = fc.array(fc.nat(40), {minLength: 1, maxLength: 8});

/** The definition of RFC 6376 §3.4.3 and §3.4.4, line by line, as slow and plain as the text. */
function reference(kind: 'simple' | 'relaxed', input: Buffer): Buffer {
  let lines = input.toString('latin1').split('\r\n');
  if (kind === 'relaxed') lines = lines.map(line => line.replace(/[ \t]+$/, '').replace(/[ \t]+/g, ' '));
  while (lines.length > 0 && lines.at(-1) === '') lines.pop();
  if (lines.length === 0) return octets(kind === 'simple' ? '\r\n' : '');
  return octets(`${lines.join('\r\n')}\r\n`);
}

function canonical(
  make: (sink: (part: Uint8Array) => void) => BodyCanonicalizer,
  input: Buffer,
  sizes: readonly number[],
): Buffer {
  const parts: Buffer[] = [];
  const canonicalizer = make(part => parts.push(Buffer.from(part)));
  let at = 0;
  for (let turn = 0; at < input.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    canonicalizer.update(input.subarray(at, at + size));
    at += size === 0 && sizes.every(one => one === 0) ? 1 : size;
  }
  canonicalizer.finish();
  return Buffer.concat(parts);
}

describe('body canonicalization', () => {
  it('simple is the definition, however it is cut', () => {
    fc.assert(
      fc.property(body, cuts, (input, sizes) => {
        const safe = sizes.every(size => size === 0) ? [1] : sizes;
        expect(canonical(simpleBody, input, safe).equals(reference('simple', input))).toBe(true);
      }),
      {numRuns: runs},
    );
  });

  it.each(kernels)('relaxed is the definition, however it is cut (%s kernel)', (_name, kernel) => {
    fc.assert(
      fc.property(body, cuts, (input, sizes) => {
        const safe = sizes.every(size => size === 0) ? [1] : sizes;
        const result = canonical(sink => relaxedBody(sink, kernel), input, safe);
        expect(result.equals(reference('relaxed', input))).toBe(true);
        // Idempotent: canonical stays canonical.
        expect(canonical(sink => relaxedBody(sink, kernel), result, safe).equals(result)).toBe(true);
      }),
      {numRuns: runs},
    );
  });

  it('has kernels that agree on every length and around every border', () => {
    if (simd === undefined) return;
    fc.assert(
      fc.property(body, fc.integer({min: 1, max: 70}), octet, octet, (input, pad, next, third) => {
        const known = Buffer.concat([Buffer.alloc(pad, 0x61), input]);
        const {length} = known;
        // The two behind the end are looked at: they are the same for both, whatever was there before.
        const data = Buffer.concat([known, Buffer.from([next, third])]);
        plain.input.set(data);
        simd.input.set(data);
        const one = plain.output.subarray(0, plain.run(length));
        expect(simd.output.subarray(0, simd.run(length)).equals(one)).toBe(true);
      }),
      {numRuns: runs},
    );
  });

  it('has the same form of a body that is there whole', () => {
    const long = fc.tuple(body, fc.constantFrom(0, 500, 5000), body);
    fc.assert(
      fc.property(long, ([before, pad, after]) => {
        const input = Buffer.concat([before, Buffer.alloc(pad, 0x61), after]);
        const simple = wholeSimpleBody(input);
        if (simple !== undefined) expect(reference('simple', input).equals(simple)).toBe(true);
        else expect(input.subarray(-2).equals(octets('\r\n'))).toBe(false);
        for (const [, kernel] of kernels) {
          const relaxed = wholeRelaxedBody(input, kernel);
          if (relaxed !== undefined) expect(reference('relaxed', input).equals(relaxed)).toBe(true);
        }
      }),
      {numRuns: runs},
    );
  });

  it('hashes the same whole, as one piece and in pieces of any size', () => {
    const tiny = createPlainKernel(64);
    const wishes = [
      {canonicalization: 'simple', length: undefined},
      {canonicalization: 'relaxed', length: undefined},
      {canonicalization: 'relaxed', length: 30},
    ] as const;
    const digests = (kernel: RelaxedKernel, pieces: readonly Buffer[], last: boolean) => {
      const hasher = new BodyHasher(wishes, kernel);
      for (const piece of pieces) hasher.update(piece, last);
      hasher.finish();
      return wishes.map(wish => hasher.digest(wish));
    };
    fc.assert(
      fc.property(
        body,
        fc.constantFrom(0, 30, 600, 5000),
        fc.integer({min: 1, max: 3000}),
        (end, pad, size) => {
          const input = Buffer.concat([Buffer.alloc(pad, 0x61), end]);
          const pieces: Buffer[] = [];
          for (let at = 0; at < input.length; at += size) pieces.push(input.subarray(at, at + size));
          const expected = digests(plain, pieces, false);
          expect(expected[1]?.hash).toBe(sha256(reference('relaxed', input)));
          for (const kernel of [plain, tiny]) {
            expect(digests(kernel, [input], true)).toEqual(expected);
            expect(digests(kernel, [input], false)).toEqual(expected);
          }
        },
      ),
      {numRuns: runs},
    );
  });

  it('cuts a body at l= octets wherever the pieces end', () => {
    fc.assert(
      fc.property(body, fc.nat(60), fc.integer({min: 1, max: 9}), (input, length, size) => {
        const wish = {canonicalization: 'relaxed', length} as const;
        const whole = new BodyHasher([wish], plain);
        whole.update(input);
        whole.finish();
        const pieces = new BodyHasher([wish], plain);
        for (let at = 0; at < input.length; at += size) pieces.update(input.subarray(at, at + size));
        pieces.finish();
        expect(pieces.digest(wish)).toEqual(whole.digest(wish));
        expect(whole.digest(wish).hashedLength).toBe(Math.min(length, whole.digest(wish).canonicalLength));
      }),
      {numRuns: runs},
    );
  });
});

describe('header canonicalization', () => {
  it('relaxed is the definition', () => {
    const value = fc
      .array(fc.constantFrom(' ', '\t', '\r\n ', '\r\n\t', 'a', 'B:', '\xe9', '\r', '\n', '\v'))
      .map(parts => parts.join(''));
    fc.assert(
      fc.property(value, text => {
        // Otherwise the field ends there.
        fc.pre(!/\r\n(?![ \t])/.test(text));
        const [field] = parseHeaderBlock(octets(`SubJect :${text}\r\n`)).fields;
        if (field === undefined) throw new Error('no field');
        // RFC 6376 §3.4.2, step by step. A CR that ends the value belongs to it.
        const unfolded = text.replace(/\r\n(?=[ \t])/g, '');
        const expected = `subject:${unfolded.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '')}\r\n`;
        expect(canonicalizeHeader(field, 'relaxed')).toBe(expected);
      }),
      {numRuns: runs},
    );
  });

  it('relaxed is idempotent', () => {
    const value = fc
      .array(fc.constantFrom(' ', '\t', '\r\n ', '\r\n\t', 'a', 'B:', '\xe9', '\r', '\n', '\v'))
      .map(parts => parts.join(''));
    fc.assert(
      fc.property(value, fc.constantFrom('Subject', 'SUBJECT ', 'x\t'), (text, name) => {
        const [field] = parseHeaderBlock(octets(`${name}:${text}\r\n`)).fields;
        if (field === undefined) throw new Error('no field');
        const once = canonicalizeHeader(field, 'relaxed');
        const [again] = parseHeaderBlock(octets(once)).fields;
        if (again === undefined) throw new Error('no field');
        expect(canonicalizeHeader(again, 'relaxed')).toBe(once);
        expect(once).not.toMatch(/[ \t]{2}|\t|[ \t]\r\n$|^[^:]*: /);
      }),
      {numRuns: runs},
    );
  });
});

describe('sign and verify', () => {
  const pair = ed25519();
  const record = recordOf(pair.publicKey);
  const field = fc
    .tuple(
      fc.constantFrom('To', 'Cc', 'Subject', 'Received', 'X-Odd', 'subject', 'From'),
      fc
        .array(fc.constantFrom(' ', '\t', '\r\n ', 'word', '\xe9\xa8', ';', '=', 'b=x', '@'))
        .map(parts => parts.join('')),
    )
    .map(([name, value]) => `${name}:${value}\r\n`);
  const message = fc
    .tuple(fc.array(field, {maxLength: 6}), body)
    .map(([fields, text]) => Buffer.concat([octets(`From: a@example.org\r\n${fields.join('')}\r\n`), text]));
  const how = fc.record({
    header: fc.constantFrom('simple' as const, 'relaxed' as const),
    body: fc.constantFrom('simple' as const, 'relaxed' as const),
  });

  it('what is signed verifies, whole and in pieces, and with any signed octet changed it does not', async () => {
    await fc.assert(
      fc.asyncProperty(
        message,
        how,
        fc.nat(),
        fc.integer({min: 1, max: 255}),
        cuts,
        async (input, canonicalization, place, change, sizes) => {
          const options = {
            domain: domain('example.org'),
            selector: selector('s'),
            key: pair.privateKey,
            canonicalization,
          };
          const signed = withField(
            signMessageSync(input, {...options, headers: ['From', 'Subject', 'To'], oversign: ['Subject']}),
            input,
          );
          const lookups = {...against(record), explain: {}};
          const [whole] = await verifyMessage(signed, lookups);
          expect(whole?.result).toBe('pass');
          const cut: Uint8Array[] = [];
          for (let at = 0, turn = 0; at < signed.length; turn++) {
            const size = Math.max(1, sizes[turn % sizes.length] ?? 1);
            cut.push(signed.subarray(at, at + size));
            at += size;
          }
          expect(await verifyMessage(cut, lookups)).toEqual([whole]);
          // A change anywhere either leaves both hash inputs as they were (white space, unsigned fields) or fails.
          const at = place % signed.length;
          signed[at] = (signed[at] ?? 0) ^ change;
          const [after] = await verifyMessage(signed, lookups);
          const same =
            after?.explanation !== undefined &&
            after.explanation.bodyHash === whole?.explanation?.bodyHash &&
            after.explanation.headerInput.equals(whole.explanation.headerInput);
          if (!same) expect(after?.result).not.toBe('pass');
        },
      ),
      {numRuns: runs},
    );
  });
});
