import process from 'node:process';
import {describe, expect, test} from 'vitest';
import {sameKeyRecord} from '../../src/dns/compare.ts';
import {nameMistake} from '../../src/dns/mistakes.ts';
import {readPolicies} from '../../src/dns/policy.ts';
import {decodeMessage, matchAnswer} from '../../src/dns/wire.ts';
import {domainOf} from '../support/fake-operations.ts';
import {hostilePacket, manyLongNames, pointerChain, QUERY, seeded} from './hostile.ts';
import {tablePorts} from './table.ts';
import {dnsName, NAME, VALUE} from './world.ts';

/** WAXSEAL_FUZZ says how many packets; the lab takes a million. WAXSEAL_FUZZ_SEED repeats a run. */
const COUNT = Number(process.env['WAXSEAL_FUZZ'] ?? 50_000);
const SEED = Number(process.env['WAXSEAL_FUZZ_SEED'] ?? 1);

describe('hostile packets', () => {
  test(`${COUNT} of them are read or refused with a reason, and hold no more than their octets`, () => {
    const pick = seeded(SEED);
    let read = 0;
    let refused = 0;
    for (let number = 0; number < COUNT; number++) {
      const packet = hostilePacket(pick);
      const before = Buffer.from(packet);
      const match = matchAnswer(packet, QUERY);
      const decoded = decodeMessage(packet);
      // What fails here is found again by its number: the sequence is the same for the same seed.
      if (!decoded.ok) {
        refused++;
        if (decoded.reason === '') throw new Error(`packet ${number}: refused without a reason`);
      } else {
        read++;
        const {answers, authorities, additionals} = decoded.message;
        const records = answers.length + authorities.length + additionals.length;
        // A record has eleven octets at least, so no count in the header can make more of them.
        if (records * 11 > packet.length) throw new Error(`packet ${number}: ${records} records`);
        const texts = answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []));
        if (texts.join('').length > packet.length) throw new Error(`packet ${number}: text from nowhere`);
        if (match === 'yes') judge(texts);
      }
      if (!before.equals(packet)) throw new Error(`packet ${number}: was written to`);
    }
    // Both ways are gone often, or the packets are no test.
    expect(read).toBeGreaterThan(COUNT / 50);
    expect(refused).toBeGreaterThan(COUNT / 50);
  });

  test('counts of thousands are refused before anything is read', () => {
    expect(decodeMessage(manyLongNames(64_000))).toEqual({
      ok: false,
      reason: 'more records than any answer has',
    });
  });

  test('a name through a chain of pointers is refused', () => {
    expect(decodeMessage(pointerChain(60_000))).toMatchObject({ok: false});
  });

  test.each([
    ['a chain of pointers', pointerChain, 64_000],
    ['long names', manyLongNames, 15_000],
  ])('time grows with the size only: %s', (_what, shape, size) => {
    const [small, large] = [shape(size / 8), shape(size)];
    let [ofSmall, ofLarge] = [fastest(small), fastest(large)];
    // Eight times the octets: with the square it would be 64 times the time. A busy machine only needs more tries.
    for (let tries = 0; tries < 20 && ofLarge >= ofSmall * 24 + 2; tries++) {
      ofSmall = Math.min(ofSmall, fastest(small));
      ofLarge = Math.min(ofLarge, fastest(large));
    }
    expect(ofLarge).toBeLessThan(ofSmall * 24 + 2);
  });
});

function judge(texts: readonly string[]): void {
  for (const text of texts) sameKeyRecord(text, VALUE);
  nameMistake({
    name: NAME,
    expected: VALUE,
    records: texts,
    apex: dnsName('example.org'),
    serverNames: ['ns1.example.org'],
  });
}

/** Milliseconds, the best of several. */
function fastest(packet: Buffer): number {
  let best = Number.POSITIVE_INFINITY;
  for (let left = 15; left > 0; left--) {
    const begun = performance.now();
    decodeMessage(packet);
    best = Math.min(best, performance.now() - begun);
  }
  return best;
}

/** Records of 60,000 octets that make much of one part of the grammar. */
const repeated = (part: string, around = '$'): string =>
  around.replace('$', () => part.repeat(Math.floor(60_000 / part.length)));

const HOSTILE_SPF: readonly string[] = [
  ...['a ', 'include:example.org ', 'x=y ', 'ip4:192.0.2.1 ', 'ptr '].map(part =>
    repeated(part, 'v=spf1 $-all'),
  ),
  ...['%{d}', '%{d}.', '%{', '.a', '-', '.1', '1', '/1', '.', '%%', '\u200b'].map(part =>
    repeated(part, 'v=spf1 a:x.$.org -all'),
  ),
  ...['.', '9'].map(part => repeated(part, 'v=spf1 a:%{d$}.org -all')),
  ...['1:', '::'].map(part => repeated(part, 'v=spf1 ip6:$ -all')),
];

const HOSTILE_DMARC: readonly string[] = [
  ...['mailto:a@b.org,', 'mailto:', 'mailto:a@', ',', ' ', '!', 'b.'].map(part =>
    repeated(part, 'v=DMARC1; p=none; rua=mailto:a@$'),
  ),
  ...['a=b;', ';', '=', ' '].map(part => repeated(part, 'v=DMARC1; $')),
  repeated('x', 'v=DMARC1; p=$'),
];

describe('hostile policies', () => {
  test('are judged in little time, with typed outcomes and short words', async () => {
    const begun = process.cpuUsage();
    for (const [at, spf] of HOSTILE_SPF.entries()) {
      const dmarc = HOSTILE_DMARC[at % HOSTILE_DMARC.length] ?? '';
      const ports = tablePorts({'example.org TXT': [spf], '_dmarc.example.org TXT': [dmarc]});
      const read = await readPolicies(ports, domainOf('example.org'), {addresses: ['192.0.2.1']});
      const said = [...read.findings, ...read.spf.remarks, ...read.dmarc.remarks];
      for (const {id, message, hint} of said) {
        if (message.length + hint.length > 600) throw new Error(`record ${at}: ${id} says ${message.length}`);
      }
      for (const {id, evidence} of read.findings) {
        if (evidence.length > 1000) throw new Error(`record ${at}: ${id} shows ${evidence.length}`);
      }
      // A dozen lookups each, whatever the records ask for: 10 terms with 10 hosts at most.
      if (ports.asked.length > 150) throw new Error(`record ${at}: ${ports.asked.length} questions`);
    }
    // Each takes some hundredths of a second; with the square of its size it would be minutes.
    expect(process.cpuUsage(begun).user / 1000).toBeLessThan(60_000);
  });
});

describe('hostile records', () => {
  test('any text beside any other is judged, and the judgement is short', () => {
    const pick = seeded(SEED + 1);
    const words = [
      'v=DKIM1',
      ';',
      '; ',
      'p=',
      'k=rsa',
      VALUE,
      '"',
      '\\',
      ' ',
      '\n',
      '\u200b',
      'é',
      '\\;',
      '-----BEGIN',
      'MII',
      '=',
      'h=sha256',
    ];
    for (let number = 0; number < Math.max(2000, COUNT / 20); number++) {
      const text = (): string => Array.from({length: pick(12)}, () => words[pick(words.length)]).join('');
      const records = Array.from({length: pick(4)}, text);
      const mistake = nameMistake({
        name: NAME,
        expected: pick(2) === 0 ? VALUE : text(),
        records,
        apex: dnsName('example.org'),
        serverNames: [],
      });
      if (mistake !== undefined && mistake.message.length > 2000) throw new Error(`record ${number}`);
    }
  });
});
