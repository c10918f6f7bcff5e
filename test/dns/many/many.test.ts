/** Hundreds of domains against real sockets: two name servers and a resolver in this process, some records wrong. */
import {generateKeyPairSync} from 'node:crypto';
import {decode, encode} from 'dns-packet';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {type RunningServer, serveDns} from '../../../src/demo/dns-server.ts';
import {checkMany, type KeyFinding, type KeyToCheck} from '../../../src/dns/many/index.ts';
import type {DnsTransport} from '../../../src/system/ports.ts';
import {createSharedDnsTransport} from '../../../src/system/real/dns-shared.ts';
import {createRandom} from '../../../src/system/real/random.ts';
import {domainOf, selectorOf} from '../../support/fake-operations.ts';
import {fastClock, realTransport, VALUE} from '../world.ts';

const COUNT = 400;
const SERVERS = {'192.0.2.1': 'ns1.servers.example', '192.0.2.2': 'ns2.servers.example'} as const;
const RESOLVER = {address: '192.0.2.53', port: 53};
const running = new Map<string, RunningServer>();
const asked = new Map<string, number>();
let inFlight = 0;
let most = 0;

type Packet = Parameters<typeof encode>[0];
const soaOf = (zone: string) => ({
  type: 'SOA' as const,
  name: zone,
  ttl: 60,
  data: {
    mname: 'ns1.servers.example',
    rname: 'h.example',
    serial: 1,
    refresh: 1,
    retry: 1,
    expire: 1,
    minimum: 60,
  },
});

/** What is published for domain number so and so at a server; undefined: nothing. */
function published(number: number, server: string): readonly string[] | undefined {
  if (number === 7) return undefined;
  if (number === 8 && server === '192.0.2.2') return undefined;
  if (number === 9) return [VALUE.replace('k=rsa; ', 'k=rsa; ').replace('p=', 'p=Zm9v')];
  if (number === 10) return [VALUE, VALUE];
  if (number === 11) return ['v=spf1 -all'];
  return [AUDITED.get(number) ?? VALUE];
}

/** Records that nobody holds a key against. */
const rsa = (bits: number): string =>
  generateKeyPairSync('rsa', {modulusLength: bits})
    .publicKey.export({format: 'der', type: 'spki'})
    .toString('base64');
const SOUND = rsa(2048);
const AUDITED: ReadonlyMap<number, string> = new Map([
  [500, `v=DKIM1; k=rsa; p=${SOUND}`],
  [501, `v=DKIM1; k=rsa; p=${rsa(1024)}`],
  [502, `v=DKIM1; t=y; p=${SOUND}`],
  [503, `v=DKIM1; g=*; p=${SOUND}`],
  [504, `v=DKIM1; h=sha1; p=${SOUND}`],
  [505, `v=DKIM1; s=tlsrpt; p=${SOUND}`],
  [506, `v=DKIM1; k=rsa; p=${rsa(768)}`],
]);

function answer(server: string, query: Buffer): Buffer {
  const packet = decode(query);
  const question = packet.questions?.[0];
  const name = (question?.name ?? '').toLowerCase();
  const reply: Packet = {
    type: 'response',
    id: packet.id ?? 0,
    flags: 0x8400,
    questions: packet.questions ?? [],
  };
  const zone = /(d\d+\.example)$/.exec(name)?.[1] ?? '';
  const number = Number(/\d+/.exec(zone)?.[0]);
  const key = `${server} ${question?.type}`;
  asked.set(key, (asked.get(key) ?? 0) + 1);
  const none: Packet = {...reply, authorities: [soaOf(zone === '' ? 'example' : zone)]};
  if (name.endsWith('servers.example')) {
    const address = Object.entries(SERVERS).find(([, each]) => each === name)?.[0];
    return encode(
      question?.type === 'A' && address !== undefined
        ? {...reply, answers: [{type: 'A', name, ttl: 60, data: address}]}
        : none,
    );
  }
  if (question?.type === 'NS' && name === zone) {
    return encode({
      ...reply,
      answers: Object.values(SERVERS).map(data => ({type: 'NS', name, ttl: 60, data})),
    });
  }
  if (question?.type === 'SOA' && name === zone) return encode({...reply, answers: [soaOf(zone)]});
  if (question?.type === 'TXT' && name === `202611._domainkey.${zone}`) {
    const texts = published(number, server);
    if (texts === undefined) return encode(none);
    return encode({
      ...reply,
      answers: texts.map(text => ({
        type: 'TXT',
        name: question.name,
        ttl: 60,
        data: [text.slice(0, 255), text.slice(255)],
      })),
    });
  }
  return encode(none);
}

beforeAll(async () => {
  for (const address of [...Object.keys(SERVERS), RESOLVER.address]) {
    running.set(
      address,
      await serveDns(async query => {
        most = Math.max(most, ++inFlight);
        await new Promise(resolve => setImmediate(resolve));
        inFlight--;
        return answer(address, query);
      }),
    );
  }
});

afterAll(async () => {
  for (const server of running.values()) await server.close();
});

/** The servers of the test stand for the addresses of the documentation network. */
function transport(): DnsTransport & {close(): void} {
  const shared = createSharedDnsTransport(realTransport);
  const to = (address: string) => running.get(address) ?? {address: '127.0.0.1', port: 1};
  // Every server answers: a question that is asked again on a busy machine would be counted twice.
  const patient = {timeoutMs: 30_000};
  return {
    udp: (server, query, limits) => shared.udp(to(server.address), query, {...limits, ...patient}),
    tcp: (server, query, limits) => shared.tcp(to(server.address), query, {...limits, ...patient}),
    hostResolvers: async () => [RESOLVER],
    close: () => shared.close(),
  };
}

async function checked(
  keys: readonly KeyToCheck[],
  thorough = false,
): Promise<ReadonlyMap<string, KeyFinding>> {
  const dns = transport();
  const found = new Map<string, KeyFinding>();
  asked.clear();
  try {
    await checkMany({dns, clock: fastClock(1), random: createRandom()}, keys, {
      thorough,
      onFinding: finding => void found.set(finding.key.domain, finding),
    });
  } finally {
    dns.close();
  }
  return found;
}

const keys = (expected: string | undefined): readonly KeyToCheck[] =>
  Array.from({length: COUNT}, (_, number) => ({
    domain: domainOf(`d${number}.example`),
    selector: selectorOf('202611'),
    expected,
  }));

test('tells the right from the wrong ones, and asks little for the right ones', async () => {
  const found = await checked(keys(VALUE));
  expect(found.size).toBe(COUNT);
  const wrong = [...found.values()].filter(({mistake}) => mistake !== undefined);
  expect(new Map(wrong.map(({key, mistake}) => [`${key.domain}`, mistake?.id]))).toEqual(
    new Map([
      ['d7.example', 'dns.record'],
      ['d8.example', 'dns.serial-not-raised'],
      ['d9.example', expect.stringMatching(/^dns\./)],
      ['d10.example', 'dns.repeated-record'],
      ['d11.example', 'dns.foreign-record'],
    ]),
  );
  expect(found.get('d8.example')).toMatchObject({servers: 2, matching: 1});
  expect(found.get('d0.example')).toMatchObject({servers: 2, matching: 2, mistake: undefined});
  // One question a server and domain, a second one only for the five that are looked at again.
  expect(asked.get('192.0.2.1 TXT')).toBeLessThanOrEqual(COUNT + 10);
  expect(asked.get(`${RESOLVER.address} A`)).toBeLessThan(30);
  // 24 a server, three servers.
  expect(most).toBeLessThanOrEqual(72);
});

test('without an expected record, any key that works and is the same everywhere is right', async () => {
  const found = await checked(keys(undefined).slice(0, 20));
  // The key of these tests has the size of one, but is none: octets that no RSA key has.
  expect(found.get('d0.example')?.mistake?.message).toContain('no key that works');
  expect(found.get('d7.example')?.mistake?.id).toBe('dns.record');
});

test.each([false, true])(
  'a record that works may be better mended, one that does not is wrong: thorough %s',
  async thorough => {
    const asked = [...AUDITED.keys()].map(number => ({
      domain: domainOf(`d${number}.example`),
      selector: selectorOf('202611'),
      expected: undefined,
    }));
    const found = await checked(asked, thorough);
    const said = [...AUDITED.keys()].map(number => {
      const {mistake, remark} = found.get(`d${number}.example`) ?? {};
      return `${number} ${mistake?.id ?? 'right'} ${remark?.id ?? '-'}`;
    });
    expect(said).toEqual([
      '500 right -',
      '501 right dns.short-key',
      '502 right dns.test-mode',
      '503 right dns.obsolete-tag',
      '504 dns.record -',
      '505 dns.record -',
      '506 dns.record -',
    ]);
  },
);

test('ends at once when it is told to', async () => {
  const dns = transport();
  const ending = new AbortController();
  let seen = 0;
  const run = checkMany({dns, clock: fastClock(1), random: createRandom()}, keys(VALUE), {
    signal: ending.signal,
    onFinding: () => {
      if (++seen === 5) ending.abort(new Error('enough'));
    },
  });
  await expect(run).rejects.toThrow('enough');
  dns.close();
  expect(seen).toBeLessThan(COUNT);
});
