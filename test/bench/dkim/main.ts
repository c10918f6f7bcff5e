import {execFileSync} from 'node:child_process';
import {createHash, generateKeyPairSync, type KeyObject, sign, verify} from 'node:crypto';
import {readFileSync} from 'node:fs';
import process from 'node:process';
import {Readable} from 'node:stream';
import {
  createKeyCache,
  createSigner,
  formatKeyRecord,
  lintKeyRecord,
  signBatch,
  signMessage,
  signMessageSync,
  verifyMessage,
} from '../../../src/dkim/index.ts';
import {parseDomain, parseSelector} from '../../../src/domain/names.ts';
import {HOSTILE_MESSAGES, HOSTILE_RECORDS} from '../../dkim/hostile-shapes.ts';
import {cut, type Kind, message, messagePieces} from './messages.ts';

// One table from one run: this engine, mailauth, nodemailer and the bare operations of node:crypto. After a warm-up,
// they take turns operation by operation, and the lower quartile of the times of each counts: so that other work on the
// machine disturbs all alike, and what it interrupts falls out. All numbers are ratios to the bare operations. Nothing is asserted.

const ROW_MS = Number(process.env['WAXSEAL_BENCH_MS'] ?? 1500);
const WARM_UP_MS = Number(process.env['WAXSEAL_BENCH_WARM_UP_MS'] ?? 3000);
const ROUNDS = 8;
// Rows to measure, as a regular expression: 'sign rsa (2|50) KB'. All where absent.
const ONLY = new RegExp(process.env['WAXSEAL_BENCH_ONLY'] ?? '');
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

// Loaded when they are measured: a process that measures memory must not carry them.
const mailauthSign = async () => (await import('mailauth/lib/dkim/sign.js')).dkimSign;
const mailauthVerify = async () => (await import('mailauth/lib/dkim/verify.js')).dkimVerify;
const nodemailer = async () => (await import('nodemailer/lib/dkim/index.js')).default;

type Run = () => unknown;

/** Runs it for so many milliseconds, at least once. */
async function repeat(run: Run, milliseconds: number): Promise<void> {
  const begin = performance.now();
  do {
    const result = run();
    if (result instanceof Promise) await result;
  } while (performance.now() - begin < milliseconds);
}

/**
 * Lower quartile of the times of each run in milliseconds: one operation of each in turn, for ROW_MS, so many turns at least. Long
 * operations are interrupted too often for the clock: there it is processor time, which is too coarse for short ones.
 */
async function inTurns(
  runs: Readonly<Record<string, Run>>,
  turns: number,
  clock: 'wall' | 'processor',
): Promise<Readonly<Record<string, number>>> {
  const times: Record<string, number[]> = {};
  const begin = performance.now();
  const now = (): number => {
    if (clock === 'wall') return performance.now();
    const {user, system} = process.cpuUsage();
    return (user + system) / 1000;
  };
  for (let turn = 0; turn < turns || performance.now() - begin < ROW_MS; turn++) {
    for (const [name, run] of Object.entries(runs)) {
      const start = now();
      const result = run();
      if (result instanceof Promise) await result;
      const taken = times[name] ?? [];
      taken.push(now() - start);
      times[name] = taken;
    }
  }
  return Object.fromEntries(Object.entries(times).map(([name, all]) => [name, quartile(all)]));
}

const quartile = (values: readonly number[]): number =>
  [...values].sort((one, other) => one - other)[values.length >> 2] ?? 0;

/** Operations a second of `bare`, the rates of the others as a ratio to that. The peers take turns among themselves. */
async function row(
  {bare, buffer, stream, ...peers}: Readonly<Record<string, Run>>,
  clock: 'wall' | 'processor',
): Promise<Readonly<Record<string, number>>> {
  const own = await inTurns(
    {...(bare && {bare}), ...(buffer && {buffer}), ...(stream && {stream})},
    15,
    clock,
  );
  const times = {...own, ...(await inTurns(peers, 3, clock))};
  const unit = own['bare'] ?? 1;
  return Object.fromEntries(
    Object.entries(times).map(([name, time]) => [name, name === 'bare' ? 1000 / time : unit / time]),
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

async function signRuns(octets: Buffer, keys: Pair): Promise<Readonly<Record<string, Run>>> {
  const dkimSign = await mailauthSign();
  const DKIM = await nodemailer();
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

async function verifyRuns(octets: Buffer, keys: Pair): Promise<Readonly<Record<string, Run>>> {
  const dkimVerify = await mailauthVerify();
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
      const rows = SIZES.filter(([name]) => ONLY.test(`${what} ${algorithm} ${name}`));
      // A hundred RSA signatures fill a round, and it takes thousands until the runtime has compiled everything; that
      // happens on other threads and would be counted.
      if (rows.length > 0) {
        for (const run of Object.values(await runs(message('text', 2048), keys)))
          await repeat(run, WARM_UP_MS);
      }
      for (const [name, kind, size] of rows) {
        const result = await row(
          await runs(message(kind, size), keys),
          size < 500_000 ? 'wall' : 'processor',
        );
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
  const times = await inTurns(
    {
      single: () => {
        for (const one of many) signMessageSync(one, options);
      },
      batch: async () => {
        for await (const field of signBatch(many, options)) if (field === '') throw new Error('no field');
      },
    },
    3,
    'wall',
  );
  const ratio = (times['single'] ?? 0) / (times['batch'] ?? 1);
  process.stdout.write(
    `\n200 messages of 2 KB, RSA-2048: batch form ${show(ratio)} of one after the other\n`,
  );
}

/** What 1 MB of each hostile shape takes, the largest first. */
async function hostile(): Promise<void> {
  const {record} = pair('rsa');
  const options = {lookup: async () => ({status: 'found' as const, records: [record]}), now: 0};
  const all: (readonly [name: string, milliseconds: number])[] = [];
  for (const [name, text] of HOSTILE_MESSAGES) {
    const octets = Buffer.from(text(1_000_000), 'latin1');
    all.push([name, await fastest(() => verifyMessage(octets, options))]);
  }
  for (const [name, text] of HOSTILE_RECORDS) {
    const record = text(1_000_000);
    all.push([`lint: ${name}`, await fastest(() => lintKeyRecord(record))]);
  }
  process.stdout.write('\n1 MB of each hostile shape, ms of processor time\n');
  for (const [name, milliseconds] of all.sort(([, one], [, other]) => other - one)) {
    process.stdout.write(`${name.padEnd(32)}${milliseconds.toFixed(1).padStart(8)}\n`);
  }
}

async function fastest(run: Run): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begin = process.cpuUsage();
    await run();
    const {user, system} = process.cpuUsage(begin);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
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

// Not getrusage: its peak survives exec, so a child of a large process would show the peak of its parent.
const peakMegabytes = (): number =>
  Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024;

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
    const dkimSign = await mailauthSign();
    await dkimSign(Readable.from(messagePieces(kind, size)), {
      signatureData: [{signingDomain: domain, selector, privateKey: keys.pem}],
    });
  }
  process.stdout.write(String(peakMegabytes()));
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
} else if (process.argv[2] === 'hostile') {
  await hostile();
} else if (process.argv[2] === 'peaks') {
  memory();
} else {
  process.stdout.write(
    `Node ${process.version}. Ratios to the bare operations: lower quartiles of single operations in turns, ${ROW_MS} ms a row.\n`,
  );
  await speed();
  if (ONLY.source !== '(?:)') process.exit();
  await batch();
  await hostile();
  memory();
}
