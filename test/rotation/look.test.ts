/** What a look at many records asks: counted, not timed. */
import {decode, encode} from 'dns-packet';
import {expect, it} from 'vitest';
import {silentLines} from '../../src/cli/silent-report.ts';
import {parseDnsName, parseDomain} from '../../src/domain/names.ts';
import {gatherFacts} from '../../src/jobs/rotate/facts.ts';
import {due, type KeyEntry} from '../../src/rotation/index.ts';
import type {Ports} from '../../src/system/ports.ts';
import {standingClock} from '../dns/world.ts';
import {keyIn, take} from './keys.ts';

const RESOLVER = '192.0.2.53';
const SERVERS = {'ns1.example': '192.0.2.1', 'ns2.example': '192.0.2.2'} as const;

type Packet = Parameters<typeof encode>[0];

const keysOf = (count: number, state: 'active' | 'pending' = 'active'): readonly KeyEntry[] =>
  Array.from({length: count}, (_, at) => {
    const domain = take(parseDomain(`d${at}.example`));
    const key = keyIn(state, 's1');
    const name = take(parseDnsName(`s1._domainkey.${domain}`));
    return {...key, domain, record: {...key.record, name, zone: take(parseDnsName(domain)), value: VALUE}};
  });

const VALUE = 'v=DKIM1; k=rsa; p=AAAA';

const soa = (name: string) => ({
  ...{type: 'SOA' as const, name, ttl: 300},
  data: {mname: 'ns1.example', rname: 'h', serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60},
});

/** A zone a domain on two servers, all of them below `example`. */
function answer(server: string, query: Uint8Array): Uint8Array {
  const packet = decode(Buffer.from(query));
  const [question] = packet.questions ?? [];
  const asked = question?.name ?? '';
  const name = asked.toLowerCase();
  const zone = /(?:^|\.)(d\d+\.example)$/.exec(name)?.[1] ?? 'example';
  const reply: Packet = {
    ...{type: 'response', id: packet.id ?? 0, flags: server === RESOLVER ? 0x8180 : 0x8400},
    questions: packet.questions ?? [],
  };
  const names = Object.keys(SERVERS).map(data => ({type: 'NS' as const, name, ttl: 300, data}));
  const address = Object.entries(SERVERS).find(([each]) => each === name)?.[1];
  if (question?.type === 'NS' && name === zone) return encode({...reply, answers: names});
  if (question?.type === 'SOA' && name === zone) return encode({...reply, answers: [soa(zone)]});
  if (question?.type === 'A' && address !== undefined)
    return encode({...reply, answers: [{type: 'A', name, ttl: 300, data: address}]});
  if (question?.type === 'TXT' && name.startsWith('s1._domainkey.'))
    return encode({...reply, answers: [{type: 'TXT', name: asked, ttl: 300, data: [VALUE]}]});
  return encode({...reply, authorities: [soa(zone)]});
}

function world(isSilent: boolean) {
  const asked: string[] = [];
  const exchange = async ({address}: {readonly address: string}, query: Uint8Array): Promise<Uint8Array> => {
    asked.push(address);
    await new Promise(resolve => setImmediate(resolve));
    if (isSilent) throw Object.assign(new Error('no answer'), {code: 'ETIMEDOUT'});
    return answer(address, query);
  };
  const ports = {
    clock: standingClock(),
    random: {bytes: (length: number) => new Uint8Array(length)},
    files: {read: async () => undefined},
    commands: {run: async () => ({status: 127, stdout: '', stderr: '', ended: 'missing'})},
    dns: {udp: exchange, tcp: exchange, hostResolvers: async () => [{address: RESOLVER, port: 53}]},
  } as unknown as Ports;
  const look = (keys: readonly KeyEntry[]) =>
    gatherFacts(ports, {resolvers: undefined}, {keys}, () => true, new AbortController().signal);
  return {asked, look};
}

it('asks a silent resolver a few times for a thousand keys; none of them is absent or lost by that', async () => {
  const {asked, look} = world(true);
  const keys = keysOf(1000);
  const facts = await look(keys);
  expect(asked.length).toBeLessThanOrEqual(64);
  expect(new Set([...facts.records.values()].map(({seen}) => seen))).toEqual(new Set(['unknown']));
  expect(facts.silent).toHaveLength(1);
  const [given] = facts.silent ?? [];
  expect(given).toMatchObject({address: RESOLVER, port: 53, records: 1000});
  expect(silentLines(facts.silent)).toEqual([
    `${RESOLVER} didn't answer ${given?.unanswered} queries in a row; 1,000 records weren't checked.`,
  ]);
  expect(new Set(due({keys}, facts).map(({level}) => level))).toEqual(new Set(['ok']));
});

it('has no silent server to tell where all answer', async () => {
  const facts = await world(false).look(keysOf(3));
  expect(facts.silent).toBeUndefined();
  expect([...facts.records.values()].map(({seen}) => seen)).toEqual(['key', 'key', 'key']);
});

it('asks one query a server and one of the resolver for each record that is right, however many there are', async () => {
  const counts = [];
  for (const count of [200, 400]) {
    const {asked, look} = world(false);
    const {records} = await look(keysOf(count));
    expect([...records.values()].every(({seen, ttlSeconds}) => seen === 'key' && ttlSeconds === 300)).toBe(
      true,
    );
    counts.push(asked.length);
  }
  const [few = 0, many = 0] = counts;
  // What is asked once is asked by all that begin together.
  expect(few).toBeLessThan(200 * 3 + 32 * 4);
  expect(many - few).toBe(200 * 3);
});

it('asks for what many keys share once where it looks thoroughly: the zone above, the addresses of servers', async () => {
  const counts = [];
  for (const count of [200, 400]) {
    const {asked, look} = world(false);
    const {records} = await look(keysOf(count, 'pending'));
    expect([...records.values()].every(({seen}) => seen === 'key')).toBe(true);
    counts.push(asked.filter(address => address === RESOLVER).length);
  }
  const [few = 0, many = 0] = counts;
  // SOA and NS of the domain itself.
  expect(many - few).toBe(200 * 2);
});
