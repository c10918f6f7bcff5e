import {execFileSync} from 'node:child_process';
import {createHash, generateKeyPairSync, type KeyObject, sign, verify} from 'node:crypto';
import process from 'node:process';
import {Readable} from 'node:stream';
import {dkimSign} from 'mailauth/lib/dkim/sign.js';
import {dkimVerify} from 'mailauth/lib/dkim/verify.js';
import DKIM from 'nodemailer/lib/dkim/index.js';
import {
  createKeyCache,
  createSigner,
  formatKeyRecord,
  signBatch,
  signMessage,
  signMessageSync,
  verifyMessage,
} from '../../../src/dkim/index.ts';
import {parseDomain, parseSelector} from '../../../src/domain/names.ts';
import {cut, type Kind, message, messagePieces} from './messages.ts';

// One table from one run: this engine, mailauth, nodemailer and the bare operations of node:crypto. All numbers are
// ratios to the bare operations in the same round; rounds are interleaved, the median counts. Nothing is asserted.

const ROUND_MS = Number(process.env['WAXSEAL_BENCH_MS'] ?? 150);
const ROUNDS = Number(process.env['WAXSEAL_BENCH_ROUNDS'] ?? 5);
const SIZES: readonly (readonly [name: string, kind: Kind, octets: number])[] = [
  ['2 KB text', 'text', 2048],
  ['50 KB text', 'text', 50_000],
  ['50 KB base64', 'mime', 50_000],
  ['1 MB text', 'text', 1_000_000],
  ['1 MB base64', 'mime', 1_000_000],
  ['25 MB text', 'text', 25_000_000],
  ['25 MB base64', 'mime', 25_000_000],
];

const named = <T>(result: {readonly ok: true; readonly value: T} | {readonly ok: false}): T => {
  if (!result.ok) throw new TypeError('not a name');
  return result.value;
};
const domain = named(parseDomain('example.org'));
const selector = named(parseSelector('bench'));

type Run = () => unknown;

/** Operations a second over about ROUND_MS, at least one. */
async function rate(run: Run): Promise<number> {
  const begin = process.hrtime.bigint();
  let count = 0;
  let elapsed = 0n;
  const limit = BigInt(ROUND_MS) * 1_000_000n;
  do {
    const result = run();
    if (result instanceof Promise) await result;
    count++;
    elapsed = process.hrtime.bigint() - begin;
  } while (elapsed < limit);
  return (count * 1e9) / Number(elapsed);
}

const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0;

/** Ratio of each run to the first, per round; and the rate of the first. */
async function row(runs: Readonly<Record<string, Run>>): Promise<Readonly<Record<string, number>>> {
  const rates: Record<string, number[]> = {};
  for (const run of Object.values(runs)) {
    const result = run();
    if (result instanceof Promise) await result;
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, run] of Object.entries(runs)) {
      const list = rates[name] ?? [];
      list.push(await rate(run));
      rates[name] = list;
    }
  }
  const bare = rates['bare'] ?? [];
  return Object.fromEntries(
    Object.entries(rates).map(([name, list]) => [
      name,
      name === 'bare' ? median(list) : median(list.map((value, index) => value / (bare[index] ?? 1))),
    ]),
  );
}

interface Pair {
  readonly algorithm: 'rsa' | 'ed25519';
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly pem: string;
  readonly record: string;
}

function pair(algorithm: 'rsa' | 'ed25519'): Pair {
  const {privateKey, publicKey} =
    algorithm === 'rsa' ? generateKeyPairSync('rsa', {modulusLength: 2048}) : generateKeyPairSync('ed25519');
  const pem = String(privateKey.export({format: 'pem', type: 'pkcs8'}));
  return {algorithm, privateKey, publicKey, pem, record: formatKeyRecord({algorithm, publicKey})};
}

const bodyOf = (octets: Buffer): Buffer => octets.subarray(octets.indexOf('\r\n\r\n') + 4);

function signRuns(octets: Buffer, keys: Pair): Readonly<Record<string, Run>> {
  const options = {domain, selector, key: keys.privateKey, timestamp: 1_750_000_000};
  const body = bodyOf(octets);
  // As many octets as the header input of these messages has.
  const input = Buffer.alloc(900, 0x61);
  const runs: Record<string, Run> = {
    bare: () => {
      createHash('sha256').update(body).digest();
      return keys.algorithm === 'rsa'
        ? sign('sha256', input, keys.privateKey)
        : sign(null, createHash('sha256').update(input).digest(), keys.privateKey);
    },
    buffer: () => signMessageSync(octets, options),
    stream: () => signMessage(Readable.from(cut(octets)), options),
    mailauth: () =>
      dkimSign(octets, {
        canonicalization: 'relaxed/relaxed',
        signTime: new Date(1_750_000_000_000),
        signatureData: [{signingDomain: domain, selector, privateKey: keys.pem}],
      }),
  };
  if (keys.algorithm === 'rsa') {
    const signer = new DKIM({domainName: domain, keySelector: selector, privateKey: keys.pem});
    runs['nodemailer'] = () =>
      new Promise((resolve, reject) => {
        const out = signer.sign(octets);
        out.on('data', () => undefined);
        out.on('end', resolve);
        out.on('error', reject);
      });
  }
  return runs;
}

function verifyRuns(octets: Buffer, keys: Pair): Readonly<Record<string, Run>> {
  const field = signMessageSync(octets, {domain, selector, key: keys.privateKey, timestamp: 1_750_000_000});
  const signed = Buffer.concat([Buffer.from(`${field}\r\n`), octets]);
  const body = bodyOf(octets);
  const input = Buffer.alloc(900, 0x61);
  const digest = createHash('sha256').update(input).digest();
  const rsa = keys.algorithm === 'rsa';
  const signature = rsa ? sign('sha256', input, keys.privateKey) : sign(null, digest, keys.privateKey);
  const options = {
    lookup: () => Promise.resolve({status: 'found' as const, records: [keys.record]}),
    now: 1_750_000_100,
    keyCache: createKeyCache(),
  };
  const check = async (verdicts: ReturnType<typeof verifyMessage>): Promise<void> => {
    if ((await verdicts)[0]?.result !== 'pass') throw new Error('a good signature did not pass');
  };
  return {
    bare: () => {
      createHash('sha256').update(body).digest();
      return rsa
        ? verify('sha256', input, keys.publicKey, signature)
        : verify(null, createHash('sha256').update(input).digest(), keys.publicKey, signature);
    },
    buffer: () => check(verifyMessage(signed, options)),
    stream: () => check(verifyMessage(Readable.from(cut(signed)), options)),
    mailauth: () => dkimVerify(signed, {resolver: () => Promise.resolve([[keys.record]])}),
  };
}

const show = (value: number | undefined): string =>
  value === undefined ? '-' : value.toFixed(value < 0.1 ? 3 : 2);

async function speed(): Promise<void> {
  const out = (cells: readonly string[]): void => {
    process.stdout.write(
      `${cells.map((cell, index) => (index < 2 ? cell.padEnd(15) : cell.padStart(11))).join('')}\n`,
    );
  };
  out(['', '', 'bare op/s', 'buffer', 'stream', 'mailauth', 'nodemailer']);
  for (const algorithm of ['rsa', 'ed25519'] as const) {
    const keys = pair(algorithm);
    for (const [what, runs] of [
      ['sign', signRuns],
      ['verify', verifyRuns],
    ] as const) {
      for (const [name, kind, size] of SIZES) {
        const result = await row(runs(message(kind, size), keys));
        out([
          `${what} ${algorithm}`,
          name,
          String(Math.round(result['bare'] ?? 0)),
          show(result['buffer']),
          show(result['stream']),
          show(result['mailauth']),
          show(result['nodemailer']),
        ]);
      }
    }
  }
}

/** Many messages at once, RSA: one after the other against the batch form. */
async function batch(): Promise<void> {
  const keys = pair('rsa');
  const octets = message('text', 2048);
  const many = Array.from({length: 200}, () => octets);
  const options = {domain, selector, key: keys.privateKey};
  const result = await row({
    bare: () => {
      for (const one of many) signMessageSync(one, options);
    },
    batch: async () => {
      for await (const field of signBatch(many, options)) if (field === '') throw new Error('no field');
    },
  });
  process.stdout.write(
    `\n200 messages of 2 KB, RSA-2048: batch form ${show(result['batch'])} of one after the other\n`,
  );
}

/** Peak memory above idle in a process of its own. */
function memory(): void {
  process.stdout.write('\nPeak memory of a process, MB above the same process with a message of 2 KB\n');
  for (const kind of ['text', 'mime'] as const) {
    for (const engine of ['waxseal', 'mailauth']) {
      const of = (size: number): number =>
        Number(
          execFileSync(process.execPath, [
            process.argv[1] ?? '',
            'memory',
            engine,
            kind,
            String(size),
          ]).toString(),
        );
      process.stdout.write(
        `${`25 MB stream ${kind} ${engine}`.padEnd(32)}${(of(25_000_000) - of(2048)).toFixed(1).padStart(8)}\n`,
      );
    }
  }
}

async function memoryChild(engine: string, kind: Kind, size: number): Promise<void> {
  const keys = pair('ed25519');
  if (engine === 'waxseal') {
    const options = {domain, selector, key: keys.privateKey};
    const signer = createSigner([options]);
    for (const piece of messagePieces(kind, size)) signer.update(piece);
    const [field = ''] = signer.finish();
    await verifyMessage(withField(field, kind, size), {
      lookup: () => Promise.resolve({status: 'found', records: [keys.record]}),
      now: 0,
    });
  } else {
    await dkimSign(Readable.from(messagePieces(kind, size)), {
      signatureData: [{signingDomain: domain, selector, privateKey: keys.pem}],
    });
  }
  process.stdout.write(String(process.resourceUsage().maxRSS / 1024));
}

function* withField(field: string, kind: Kind, size: number): Generator<Buffer> {
  yield Buffer.from(`${field}\r\n`);
  yield* messagePieces(kind, size);
}

if (process.argv[2] === 'memory') {
  await memoryChild(
    process.argv[3] ?? '',
    process.argv[4] === 'mime' ? 'mime' : 'text',
    Number(process.argv[5]),
  );
} else {
  process.stdout.write(
    `Node ${process.version}. Ratios to the bare operations; medians of ${ROUNDS} interleaved rounds.\n`,
  );
  await speed();
  await batch();
  memory();
}
