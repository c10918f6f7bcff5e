import process from 'node:process';
import {dkimSign} from 'mailauth/lib/dkim/sign.js';
import {dkimVerify} from 'mailauth/lib/dkim/verify.js';
import DKIM from 'nodemailer/lib/dkim/index.js';
import {expect, it} from 'vitest';
import {type SignOptions, signMessageSync, verifyMessage} from '../../src/dkim/index.ts';
import {seeded} from './corpus/cases.ts';
import {type RandomMessage, randomMessage, type Trait} from './random-message.ts';
import {against, domain, ed25519, recordOf, rsa, selector, withField} from './support.ts';

// Random messages, both ways with each peer. WAXSEAL_PEER_MESSAGES=10000 is the full run.
const COUNT = Number(process.env['WAXSEAL_PEER_MESSAGES'] ?? 400);
const SEED = Number(process.env['WAXSEAL_PEER_SEED'] ?? 7);
const TIMEOUT = 20_000 + COUNT * 100;

const pairs = {rsa: rsa(), ed25519: ed25519()};
const records = {rsa: recordOf(pairs.rsa.publicKey), ed25519: recordOf(pairs.ed25519.publicKey)};
const pem = {
  rsa: String(pairs.rsa.privateKey.export({format: 'pem', type: 'pkcs8'})),
  ed25519: String(pairs.ed25519.privateKey.export({format: 'pem', type: 'pkcs8'})),
};
const ways = ['simple/simple', 'simple/relaxed', 'relaxed/simple', 'relaxed/relaxed'] as const;

/**
 * Where a peer differs by design or by fault (docs/explanation/engine.md): both turn a bare CR or LF into CRLF before
 * they look at a message, where here octets are octets (RFC 6376 §5.3 leaves that to the signer's side); mailauth 4
 * keeps the WSP at the end of a last line that has no CRLF, which §3.4.4 has removed.
 */
const documented: Readonly<Record<'mailauth' | 'nodemailer', ReadonlySet<Trait>>> = {
  mailauth: new Set(['bare-line-end', 'blank-tail']),
  nodemailer: new Set(['bare-line-end']),
};

interface Tally {
  agreed: number;
  excused: number;
  readonly wrong: string[];
}

async function compare(
  peer: keyof typeof documented,
  check: (message: RandomMessage, turn: number) => Promise<string>,
): Promise<Tally> {
  const random = seeded(SEED);
  const tally: Tally = {agreed: 0, excused: 0, wrong: []};
  for (let turn = 0; turn < COUNT; turn++) {
    const message = randomMessage(random);
    const outcome = await check(message, turn);
    if (outcome === 'pass') tally.agreed++;
    else if ([...message.traits].some(trait => documented[peer].has(trait))) tally.excused++;
    else
      tally.wrong.push(
        `${turn}: ${outcome} ${[...message.traits].join()} ${JSON.stringify(message.octets.toString('latin1').slice(0, 3000))}`,
      );
  }
  if (process.env['WAXSEAL_PEER_MESSAGES'] !== undefined) {
    process.stdout.write(
      `${peer}: ${tally.agreed} agree, ${tally.excused} documented, ${tally.wrong.length} other\n`,
    );
  }
  return tally;
}

const verdict = async (field: string, message: RandomMessage, record: string): Promise<string> => {
  const [one] = await verifyMessage(withField(field, message.octets), against(record));
  return one?.result === 'pass' ? 'pass' : `${one?.result} ${one?.reason.id}`;
};

it('signs so that mailauth verifies', {timeout: TIMEOUT}, async () => {
  const tally = await compare('mailauth', async (message, turn) => {
    const type = turn % 2 === 0 ? 'rsa' : 'ed25519';
    const [header, body] = (ways[turn % 4] ?? ways[0]).split('/') as ['simple', 'simple'];
    const options: SignOptions = {
      domain: domain('example.org'),
      selector: selector('s1'),
      key: pairs[type].privateKey,
      canonicalization: {header, body},
    };
    const field = signMessageSync(message.octets, options);
    const {results} = await dkimVerify(withField(field, message.octets), {
      resolver: () => Promise.resolve([[records[type]]]),
    });
    const status = results[0]?.status;
    return status?.result === 'pass' ? 'pass' : `${status?.result} ${status?.comment ?? ''}`;
  });
  expect(tally.wrong).toEqual([]);
  expect(tally.agreed + tally.excused).toBe(COUNT);
});

it('verifies what mailauth signs', {timeout: TIMEOUT}, async () => {
  const tally = await compare('mailauth', async (message, turn) => {
    const type = turn % 2 === 0 ? 'rsa' : 'ed25519';
    const {signatures} = await dkimSign(message.octets, {
      // Without it, mailauth asks the clock twice, and a signature that spans a second boundary is wrong.
      signTime: new Date(1_750_000_000_000),
      canonicalization: ways[(turn >> 1) % 4],
      signatureData: [
        {signingDomain: 'example.org', selector: 's1', privateKey: pem[type], algorithm: `${type}-sha256`},
      ],
    });
    return verdict(signatures.replace(/\r\n$/, ''), message, records[type]);
  });
  expect(tally.wrong).toEqual([]);
});

it('verifies what nodemailer signs', {timeout: TIMEOUT}, async () => {
  const signer = new DKIM({domainName: 'example.org', keySelector: 's1', privateKey: pem.rsa});
  const tally = await compare('nodemailer', async message => {
    const out = signer.sign(message.octets);
    const parts: Buffer[] = [];
    for await (const part of out) parts.push(Buffer.from(part as Buffer));
    const signed = Buffer.concat(parts);
    const end = signed.indexOf('\r\nFrom:') < 0 ? 0 : endOfFirstField(signed);
    return verdict(signed.subarray(0, end).toString('latin1'), message, records.rsa);
  });
  expect(tally.wrong).toEqual([]);
});

function endOfFirstField(message: Buffer): number {
  let at = message.indexOf('\r\n');
  while (message[at + 2] === 0x20 || message[at + 2] === 0x09) at = message.indexOf('\r\n', at + 2);
  return at;
}
