import dgram from 'node:dgram';
import {decode, encode, type Packet} from 'dns-packet';
import {expect, test} from 'vitest';
import {type Answerer, type RunningServer, serveDns} from '../../src/demo/dns-server.ts';
import {ask, type DnsPorts} from '../../src/dns/client.ts';
import type {DnsServer} from '../../src/system/ports.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {dnsName, fastClock, realTransport} from './world.ts';

const ports: DnsPorts = {dns: realTransport, clock: fastClock(1), random: createRandom()};
const question = {name: dnsName('sel._domainkey.example.org'), type: 'TXT'} as const;

async function withServer<T>(answer: Answerer, use: (server: RunningServer) => Promise<T>): Promise<T> {
  const server = await serveDns(answer);
  try {
    return await use(server);
  } finally {
    await server.close();
  }
}

const reply = (
  query: Buffer,
  text: string,
  change: (packet: Packet) => Packet = packet => packet,
): Buffer => {
  const {id, questions} = decode(query);
  return encode(
    change({
      type: 'response',
      id: id ?? 0,
      flags: 0x0400,
      questions: questions ?? [],
      answers: [{type: 'TXT', name: question.name, ttl: 60, data: [text]}],
    }),
  );
};

const texts = (outcome: Awaited<ReturnType<typeof ask>>): readonly string[] =>
  outcome.kind === 'answer'
    ? outcome.message.answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []))
    : [outcome.kind];

test('a query carries EDNS with 1232 octets, a random ID and the name in random case', async () => {
  const seen: Packet[] = [];
  await withServer(
    query => {
      seen.push(decode(query));
      return reply(query, 'x');
    },
    async server => {
      for (let at = 0; at < 6; at++) await ask(ports, server, question, {recursion: false});
    },
  );
  expect(seen).toHaveLength(6);
  expect(seen.map(packet => packet.additionals?.[0])).toEqual(
    Array(6).fill(expect.objectContaining({type: 'OPT', udpPayloadSize: 1232})),
  );
  const names = seen.map(packet => packet.questions?.[0]?.name ?? '');
  expect(names.map(name => name.toLowerCase())).toEqual(Array(6).fill(question.name));
  expect(new Set(names).size).toBeGreaterThan(1);
  expect(new Set(seen.map(packet => packet.id)).size).toBeGreaterThan(1);
  expect(seen.every(packet => ((packet.flags ?? 0) & 0x0100) === 0)).toBe(true);
});

/** A server that sends several datagrams for each query, some of them perhaps from another port. */
async function forging(
  answers: (query: Buffer) => readonly {readonly octets: Buffer; readonly elsewhere?: boolean}[],
  use: (server: DnsServer) => Promise<void>,
): Promise<void> {
  const [own, other] = [dgram.createSocket('udp4'), dgram.createSocket('udp4')];
  await Promise.all([own, other].map(each => new Promise<void>(done => each.bind(0, '127.0.0.1', done))));
  own.on('message', async (query, from) => {
    for (const {octets, elsewhere} of answers(query)) {
      const socket = elsewhere === true ? other : own;
      await new Promise<void>(sent => socket.send(octets, from.port, from.address, () => sent()));
    }
  });
  try {
    await use({address: '127.0.0.1', port: own.address().port});
  } finally {
    own.close();
    other.close();
  }
}

test.each<[string, (packet: Packet) => Packet]>([
  ['another ID', packet => ({...packet, id: ((packet.id ?? 0) + 1) & 0xffff})],
  ['another name', packet => ({...packet, questions: [{type: 'TXT', name: 'other.example.org'}]})],
  [
    'another type',
    packet => ({...packet, questions: [{type: 'A', name: packet.questions?.[0]?.name ?? ''}]}),
  ],
  ['QR not set', packet => ({...packet, type: 'query'})],
  ['no question', packet => ({...packet, questions: []})],
])('a forged datagram with %s is passed over and the true one taken', async (_, forge) => {
  await forging(
    query => [{octets: reply(query, 'forged', forge)}, {octets: reply(query, 'true')}],
    async server => {
      const outcome = await ask(ports, server, question, {recursion: false, tries: 1});
      expect(texts(outcome)).toEqual(['true']);
    },
  );
});

test('a perfect answer from another port is passed over', async () => {
  await forging(
    query => [{octets: reply(query, 'forged'), elsewhere: true}, {octets: reply(query, 'true')}],
    async server => {
      const outcome = await ask(ports, server, question, {recursion: false, tries: 1});
      expect(texts(outcome)).toEqual(['true']);
    },
  );
});

test('a name answered in other case is believed over TCP only', async () => {
  const vias: string[] = [];
  const outcome = await withServer(
    (query, via) => {
      vias.push(via);
      return reply(query, via, packet => ({
        ...packet,
        questions: [{type: 'TXT', name: question.name.toUpperCase()}],
      }));
    },
    server => ask(ports, server, question, {recursion: false, timeoutMs: 60_000, tries: 1}),
  );
  expect(vias).toEqual(['udp', 'tcp']);
  expect(texts(outcome)).toEqual(['tcp']);
});

test('an answer in other case does not stand in the way of the true one behind it', async () => {
  await forging(
    query => [
      {
        octets: reply(query, 'forged', packet => ({
          ...packet,
          questions: [{type: 'TXT', name: question.name.toUpperCase()}],
        })),
      },
      {octets: reply(query, 'true')},
    ],
    async server => {
      const outcome = await ask(ports, server, question, {recursion: false, tries: 1});
      expect(texts(outcome)).toEqual(['true']);
    },
  );
});

test('a truncated answer is asked for again over TCP, even with one try', async () => {
  const outcome = await withServer(
    (query, via) =>
      via === 'tcp' ? reply(query, 'whole') : reply(query, 'cut', packet => ({...packet, flags: 0x0600})),
    server => ask(ports, server, question, {recursion: false, tries: 1}),
  );
  expect(texts(outcome)).toEqual(['whole']);
  expect(outcome).toMatchObject({kind: 'answer', transport: 'tcp'});
});

test('a server that is too old for EDNS is asked again without it', async () => {
  const outcome = await withServer(
    query =>
      (decode(query).additionals ?? []).length > 0
        ? reply(query, '', packet => ({...packet, flags: 1, answers: []}))
        : reply(query, 'plain'),
    server => ask(ports, server, question, {recursion: false}),
  );
  expect(texts(outcome)).toEqual(['plain']);
});

test('a server that answers the second try only is heard', async () => {
  let count = 0;
  const outcome = await withServer(
    query => (count++ === 0 ? undefined : reply(query, 'late')),
    server => ask(ports, server, question, {recursion: false, timeoutMs: 1000}),
  );
  expect([count, texts(outcome)]).toEqual([2, ['late']]);
});

test('a packet that lies is a result, not an exception', async () => {
  const outcome = await withServer(
    query => {
      const whole = reply(query, 'x');
      whole.writeUInt16BE(7, 6);
      return whole;
    },
    server => ask(ports, server, question, {recursion: false}),
  );
  expect(outcome).toEqual({kind: 'malformed', reason: 'fewer records than the header says'});
});

test('nobody at the port is silence with its code', async () => {
  const server = await serveDns(() => undefined);
  await server.close();
  const outcome = await ask(ports, server, question, {recursion: false});
  expect(outcome).toEqual({kind: 'silent', code: 'ECONNREFUSED'});
});

test('an abort ends the question with its own reason', async () => {
  const leaving = new AbortController();
  const reason = new Error('left');
  await withServer(
    () => undefined,
    async server => {
      setTimeout(() => leaving.abort(reason), 50);
      await expect(ask(ports, server, question, {recursion: false, signal: leaving.signal})).rejects.toBe(
        reason,
      );
    },
  );
});
