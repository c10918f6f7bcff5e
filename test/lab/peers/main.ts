import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {createHash, verify as cryptoVerify, generateKeyPairSync} from 'node:crypto';
import {createSocket} from 'node:dgram';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {decode, encode} from 'dns-packet';
import {formatKeyRecord, type SignOptions, signMessageSync, verifyMessage} from '../../../src/dkim/index.ts';
import {parseDomain, parseSelector} from '../../../src/domain/names.ts';
import {seeded} from '../../dkim/corpus/cases.ts';
import {type RandomMessage, randomMessage, type Trait} from '../../dkim/random-message.ts';

// Random messages, both ways with the DKIM implementations of the distribution. WAXSEAL_PEER_MESSAGES: how many a
// peer and direction, 10000 where unset; WAXSEAL_TESTMSG_MESSAGES: how many for opendkim-testmsg, which takes one process
// a message. Exit code 1 where a disagreement is not documented. The last line is the sum of the comparisons.

const COUNT = Number(process.env['WAXSEAL_PEER_MESSAGES'] ?? 10_000);
const TESTMSG_COUNT = Number(process.env['WAXSEAL_TESTMSG_MESSAGES'] ?? COUNT);
const SEED = Number(process.env['WAXSEAL_PEER_SEED'] ?? 11);
const here = process.argv[2] ?? '.';
const PYTHON = process.env['WAXSEAL_PYTHON'] ?? '/usr/bin/python3';

/** Where a peer differs by design or by fault; each is explained in docs/explanation/engine.md. */
const documented: Readonly<Record<string, readonly Trait[]>> = {
  // Bare CR and LF become CRLF; a blank before a colon is an error; WSP on a last line without CRLF stays.
  dkimpy: ['bare-line-end', 'odd-name', 'blank-tail'],
  // The body of a message without a final CRLF gets none in simple, and keeps the WSP before its end in relaxed.
  'Mail::DKIM': ['no-final-crlf', 'blank-tail'],
  // It reads text lines: LF ends one; without a final CRLF it adds none, or one too early.
  'opendkim-testmsg': ['bare-line-end', 'no-final-crlf', 'blank-tail'],
};

const named = <T>(result: {readonly ok: true; readonly value: T} | {readonly ok: false}): T => {
  if (!result.ok) throw new TypeError('not a name');
  return result.value;
};
const domain = named(parseDomain('example.org'));
const selector = named(parseSelector('s1'));
const pairs = {
  rsa: generateKeyPairSync('rsa', {modulusLength: 1024}),
  ed25519: generateKeyPairSync('ed25519'),
};
type Type = keyof typeof pairs;
const records = {
  rsa: formatKeyRecord({algorithm: 'rsa', publicKey: pairs.rsa.publicKey}),
  ed25519: formatKeyRecord({algorithm: 'ed25519', publicKey: pairs.ed25519.publicKey}),
};
const scratch = mkdtempSync(path.join(tmpdir(), 'waxseal-peers-'));
const file = (name: string): string => path.join(scratch, name);
const rsaKey = file('rsa.pem');
writeFileSync(rsaKey, pairs.rsa.privateKey.export({format: 'pem', type: 'pkcs1'}), {mode: 0o600});
// dkimpy wants the 32 octets of an Ed25519 key in base64.
const edKey = file('ed25519.key');
writeFileSync(
  edKey,
  Buffer.from(String(pairs.ed25519.privateKey.export({format: 'jwk'}).d), 'base64url').toString('base64'),
  {
    mode: 0o600,
  },
);

const ways = ['simple/simple', 'simple/relaxed', 'relaxed/simple', 'relaxed/relaxed'] as const;
const random = seeded(SEED);
const messages: readonly RandomMessage[] = Array.from({length: COUNT}, () => randomMessage(random));
// libopendkim refuses a message without Date or with a field more often than RFC 5322 allows, so it gets its own.
const counted: readonly RandomMessage[] = Array.from({length: TESTMSG_COUNT}, () =>
  randomMessage(random, 'counted'),
);

const withField = (field: string, message: RandomMessage): Buffer =>
  Buffer.concat([Buffer.from(`${field}\r\n`, 'latin1'), message.octets]);

function signedHere(message: RandomMessage, turn: number, type: Type): Buffer {
  const [header, body] = (ways[turn % 4] ?? ways[0]).split('/') as ['simple', 'simple'];
  const options: SignOptions = {
    domain,
    selector,
    key: pairs[type].privateKey,
    canonicalization: {header, body},
  };
  return withField(signMessageSync(message.octets, options), message);
}

function frame(name: string, all: readonly Uint8Array[]): string {
  const parts = all.flatMap(one => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(one.length);
    return [length, one];
  });
  writeFileSync(file(name), Buffer.concat(parts));
  return file(name);
}

function unframe(data: Buffer): readonly Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const length = data.readUInt32BE(at);
    parts.push(data.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return parts;
}

const sum = {passed: 0, failed: 0, leftOut: 0};

function report(
  peer: string,
  what: string,
  outcomes: readonly string[],
  of: readonly RandomMessage[] = messages,
): void {
  const tally = {agree: 0, documented: 0, other: 0};
  const causes = new Map<string, number>();
  outcomes.forEach((outcome, index) => {
    const message = of[index];
    if (message === undefined) return;
    if (outcome === 'pass') tally.agree++;
    else if (documented[peer]?.some(trait => message.traits.has(trait)) === true) {
      tally.documented++;
      const cause = [...message.traits].filter(trait => documented[peer]?.includes(trait)).join('+');
      causes.set(cause, (causes.get(cause) ?? 0) + 1);
    } else {
      tally.other++;
      if (tally.other <= 3) {
        process.stdout.write(
          `  ${peer} ${what} #${index}: ${outcome}; ${JSON.stringify(message.octets.toString('latin1').slice(0, 1500))}\n`,
        );
      }
    }
  });
  const complete = outcomes.length === of.length;
  if (complete && tally.other === 0) sum.passed++;
  else sum.failed++;
  const all = complete ? '' : ` (of ${of.length}!)`;
  process.stdout.write(
    `${peer} ${what}: ${outcomes.length}${all} messages, ${tally.agree} agree, ${tally.documented} documented (${[...causes].map(([cause, count]) => `${cause} ${count}`).join(', ')}), ${tally.other} other\n`,
  );
}

const run = (command: string, argv: readonly string[]): Buffer =>
  execFileSync(command, argv, {maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'inherit']});

const lines = (data: Buffer): readonly string[] => data.toString('latin1').trimEnd().split('\n');

const verdict = async (field: Buffer, message: RandomMessage, type: Type): Promise<string> => {
  const text = field.toString('latin1').replace(/\r\n$/, '');
  if (text.startsWith('error')) return text;
  const [one] = await verifyMessage(withField(text, message), {
    lookup: () => Promise.resolve({status: 'found', records: [records[type]]}),
    now: 4_000_000_000,
  });
  return one?.result === 'pass' ? 'pass' : `${one?.result} ${one?.reason.id} ${text}`;
};

/** The peers that take many messages in one process. Half of the messages are signed with each key type it knows. */
async function batchPeer(
  peer: string,
  command: readonly [string, string],
  types: readonly Type[],
): Promise<void> {
  const typeOf = (turn: number): Type => types[turn % types.length] ?? 'rsa';
  const checked = new Array<string>(COUNT).fill('no answer');
  const made = new Array<string>(COUNT).fill('no answer');
  for (const type of types) {
    const turns = messages.flatMap((_message, turn) => (typeOf(turn) === type ? [turn] : []));
    const of = (turn: number): RandomMessage =>
      messages[turn] ?? {octets: Buffer.alloc(0), traits: new Set()};
    const signed = frame(
      'signed',
      turns.map(turn => signedHere(of(turn), turn >> 1, type)),
    );
    lines(run(command[0], [command[1], 'verify', signed, records[type]])).forEach((line, index) => {
      checked[turns[index] ?? 0] = line;
    });
    const plain = frame(
      'plain',
      turns.map(turn => of(turn).octets),
    );
    const key = type === 'rsa' ? rsaKey : edKey;
    const fields = unframe(run(command[0], [command[1], 'sign', plain, key, `${type}-sha256`]));
    for (const [index, field] of fields.entries()) {
      const turn = turns[index] ?? 0;
      made[turn] = await verdict(field, of(turn), type);
    }
  }
  report(peer, 'verifies ours', checked);
  report(peer, 'signs, we verify', made);
}

/** opendkim-testmsg asks the resolver of the system: in a network of its own, that is the server here. */
async function testmsg(): Promise<void> {
  const server = createSocket('udp4');
  server.on('message', (query, from) => {
    const {id, questions} = decode(query);
    const [question] = questions ?? [];
    const name = question?.name.toLowerCase() ?? '';
    const type: Type | undefined =
      name === 's1._domainkey.example.org'
        ? 'rsa'
        : name === 's2._domainkey.example.org'
          ? 'ed25519'
          : undefined;
    const text = type === undefined ? [] : (records[type].match(/.{1,250}/g) ?? []);
    server.send(
      encode({
        type: 'response',
        id: id ?? 0,
        flags: 0x0400 | 0x0080 | (type === undefined ? 3 : 0),
        questions: questions ?? [],
        answers:
          type === undefined || question?.type !== 'TXT'
            ? []
            : [{type: 'TXT', name: question.name, ttl: 60, data: text}],
      }),
      from.port,
      from.address,
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.bind(53, '127.0.0.1', resolve);
  });
  const one = (
    argv: readonly string[],
    input: Uint8Array,
  ): Promise<{status: number | null; out: Buffer; error: string}> =>
    new Promise((resolve, reject) => {
      const child = spawn('opendkim-testmsg', argv);
      const out: Buffer[] = [];
      let error = '';
      child.stdout.on('data', (part: Buffer) => out.push(part));
      child.stderr.on('data', (part: Buffer) => {
        error += part.toString('latin1');
      });
      child.stdin.on('error', () => undefined);
      child.on('error', reject);
      child.on('close', status => resolve({status, out: Buffer.concat(out), error}));
      child.stdin.end(input);
    });
  const inParallel = async (
    work: (message: RandomMessage, turn: number) => Promise<string>,
  ): Promise<readonly string[]> => {
    const outcomes: string[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let turn = next++; turn < counted.length; turn = next++) {
        const message = counted[turn];
        if (message !== undefined) outcomes[turn] = await work(message, turn);
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    return outcomes;
  };
  report(
    'opendkim-testmsg',
    'verifies ours',
    await inParallel(async (message, turn) => {
      const {status, error} = await one([], signedHere(message, turn, 'rsa'));
      return status === 0 && error === '' ? 'pass' : `${status} ${error}`;
    }),
    counted,
  );
  report(
    'opendkim-testmsg',
    'signs (rsa-sha1), our hash inputs fit',
    await inParallel(async message => {
      const {status, out, error} = await one(
        ['-C', '-d', 'example.org', '-s', 's1', '-k', rsaKey],
        message.octets,
      );
      if (status !== 0) return `${status} ${error}`;
      const field = /^DKIM-Signature:[^\n]*\n(?:[ \t][^\n]*\n)*/i.exec(out.toString('latin1'))?.[0] ?? '';
      return sha1Fits(field.replace(/\r\n$/, ''), message);
    }),
    counted,
  );
  server.close();
}

/** It can only sign with rsa-sha1, which never passes; so the canonical inputs are held against its signature here. */
async function sha1Fits(field: string, message: RandomMessage): Promise<string> {
  const [one] = await verifyMessage(withField(field, message), {
    lookup: () => Promise.resolve({status: 'absent'}),
    now: 4_000_000_000,
    explain: {bodyOctets: 1 << 26},
  });
  if (one?.reason.id !== 'signature.rsa-sha1' || one.explanation === undefined)
    return `${one?.result} ${one?.reason.id} ${field}`;
  const value = (name: string): string =>
    new RegExp(`[;\\s]${name}=([^;]*)`).exec(field.replace(/\s+/g, ' '))?.[1]?.replace(/\s/g, '') ?? '';
  const body = createHash('sha1').update(one.explanation.bodyInput).digest('base64');
  if (body !== value('bh')) return 'another body hash';
  const good = cryptoVerify(
    'sha1',
    one.explanation.headerInput,
    pairs.rsa.publicKey,
    Buffer.from(value('b'), 'base64'),
  );
  return good ? 'pass' : `another header input ${field}`;
}

try {
  await batchPeer('dkimpy', [PYTHON, path.join(here, 'dkimpy_peer.py')], ['rsa', 'ed25519']);
  // The version of Debian 12 has no Ed25519.
  await batchPeer('Mail::DKIM', ['perl', path.join(here, 'mail_dkim_peer.pl')], ['rsa']);
  if (
    process.env['WAXSEAL_PEER_NETWORK'] === 'own' &&
    spawnSync('opendkim-testmsg', ['-h']).error === undefined
  )
    await testmsg();
  else {
    sum.leftOut += 2;
    process.stdout.write(
      'opendkim-testmsg: left out, it needs a network namespace of its own (run as root)\n',
    );
  }
} finally {
  rmSync(scratch, {recursive: true, force: true});
}
process.stdout.write(`${sum.passed} passed, ${sum.failed} failed, ${sum.leftOut} left out\n`);
process.exitCode = sum.failed === 0 ? 0 : 1;
