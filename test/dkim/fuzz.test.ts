import process from 'node:process';
import {describe, expect, it} from 'vitest';
import {canonicalizeHeader} from '../../src/dkim/canonicalize-header.ts';
import {parseHeaderBlock} from '../../src/dkim/header-block.ts';
import {createKeyCache, lintKeyRecord, verifyMessage} from '../../src/dkim/index.ts';
import {keyOf, readKeyRecord} from '../../src/dkim/key-record.ts';
import {parseSignature} from '../../src/dkim/signature.ts';
import {seeded} from './corpus/cases.ts';
import {HOSTILE_MESSAGES, HOSTILE_RECORDS} from './hostile-shapes.ts';
import {against, octets, recordOf, rsa} from './support.ts';

// A million inputs over the parsers; DKIM_FUZZ scales it: 1 is the million, the default is a tenth of it.
const SHARE = Number(process.env['DKIM_FUZZ'] ?? 0.1);
const SEED = Number(process.env['DKIM_FUZZ_SEED'] ?? 1);

const WORDS = [
  'v=1',
  'a=rsa-sha256',
  'a=ed25519-sha256',
  'c=relaxed/simple',
  'd=example.org',
  's=s1',
  'h=from:to',
  'bh=aaaa',
  'b=aaaa',
  'i=@example.org',
  'i=a=40b@c',
  'l=5',
  'q=dns/txt',
  't=1',
  'x=2',
  'z=a:b|c',
  'v=DKIM1',
  'k=rsa',
  'k=ed25519',
  'p=',
  'p=MIGf',
  'p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
  'n=x',
  's=email',
  't=y:s',
  'g=*',
  'h=sha256',
  ';',
  ';',
  ';',
  '=',
  ':',
  ' ',
  '\t',
  '\r\n ',
  '\r\n',
  '\r',
  '\n',
  '\0',
  '\x7f',
  '\xc3\xbc',
  '\xff',
  '"',
  '\\',
  '@',
  '.',
  '_',
  '-',
  '%',
  '999999999999999999',
  'x'.repeat(70),
  'DKIM-Signature',
  'From',
  'Subject:',
  'From: a\r\n',
  'DKIM-Signature: v=1; ',
  '\r\n\r\n',
  '(',
  ')',
  '=3D',
  '=ZZ',
  'rsa-sha1',
  'dns/txt',
] as const;

const COMPLETE =
  'DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; h=from:to; i=a@b.example.org; l=5; q=dns/txt; t=1; x=2000000000; z=From:a|To:b; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=YWJj\r\n';

describe('fuzzing', () => {
  const random = seeded(SEED);
  const below = (limit: number): number => Math.floor(random() * limit);

  /** Words in any order, or a good text with a few octets changed, cut or doubled. */
  const input = (good: string): string => {
    if (random() < 0.4) {
      let text = '';
      for (let count = below(14); count > 0; count--) text += WORDS[below(WORDS.length)] ?? '';
      return text;
    }
    let text = good;
    for (let count = 1 + below(3); count > 0; count--) {
      const at = below(text.length + 1);
      const word = random() < 0.5 ? String.fromCharCode(below(256)) : (WORDS[below(WORDS.length)] ?? '');
      text = text.slice(0, at) + (random() < 0.7 ? word : '') + text.slice(at + below(4));
    }
    return text;
  };

  it(`signature fields: only typed outcomes`, () => {
    for (let count = 500_000 * SHARE; count > 0; count--) {
      const {fields} = parseHeaderBlock(octets(input(COMPLETE)));
      for (const field of fields) {
        const outcome = parseSignature(field);
        if (!outcome.ok && outcome.reason.id === '') throw new Error('no reason');
        canonicalizeHeader(field, 'relaxed');
      }
    }
  });

  it('key records: only typed outcomes', () => {
    const good =
      'v=DKIM1; h=sha256; k=ed25519; n=a note; s=email; t=y:s; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=';
    for (let count = 450_000 * SHARE; count > 0; count--) {
      const text = input(good);
      const record = readKeyRecord(text);
      if (record.ok && count % 10 === 0) keyOf(record.value);
      if (count % 10 === 0) lintKeyRecord(text);
    }
  });

  it('messages: a verdict for each signature field, never pass', async () => {
    const options = {
      ...against(
        'v=DKIM1; k=rsa; p=MIGf',
        recordOf(rsa().publicKey),
        'v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
      ),
      keyCache: createKeyCache(),
    };
    for (let count = 50_000 * SHARE; count > 0; count--) {
      const verdicts = await verifyMessage(octets(`${input(COMPLETE)}From: a\r\n\r\nbody\r\n`), {
        ...options,
        diagnose: count % 20 === 0,
      });
      if (verdicts.some(verdict => verdict.result === 'pass' || verdict.reason.id === 'internal'))
        throw new Error('a wrong verdict');
    }
  });
});

describe('hostile shapes', () => {
  // The aim is 50 ms for 1 MB, which `npm run bench:dkim` measures; here only the growth is looked at, as other work
  // may run beside the tests: eight times the input in about eight times the time, where a square would take 64.
  const costs = async (run: (text: string) => unknown, text: (size: number) => string, size: number) => {
    const input = text(size);
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3; round++) {
      const {user, system} = process.cpuUsage();
      await run(input);
      const used = process.cpuUsage({user, system});
      best = Math.min(best, used.user + used.system);
    }
    return best;
  };
  const growth = async (run: (text: string) => unknown, text: (size: number) => string): Promise<number> => {
    const small = await costs(run, text, 125_000);
    const large = await costs(run, text, 1_000_000);
    // Below this, garbage collection and compilation weigh more than the work.
    return large / Math.max(small, 3000);
  };

  const record = recordOf(rsa().publicKey);
  it.each(HOSTILE_MESSAGES)('verifies in linear time: %s', async (_name, text) => {
    expect(await growth(input => verifyMessage(octets(input), against(record)), text)).toBeLessThan(32);
  });

  it.each(HOSTILE_RECORDS)('lints in linear time: %s', async (_name, text) => {
    expect(await growth(lintKeyRecord, text)).toBeLessThan(32);
  });

  it('finds a square', async () => {
    let sum = 0;
    const square = (text: string): void => {
      for (let one = 0; one < text.length; one += 80) {
        for (let two = 0; two < text.length; two += 80) sum ^= one + two;
      }
    };
    expect(await growth(square, size => 'a'.repeat(size))).toBeGreaterThan(32);
    expect(sum).toBeDefined();
  });
});
