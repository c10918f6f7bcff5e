/** How long "nothing is there" is remembered: the smaller of the SOA's own TTL and its MINIMUM (RFC 2308 §5). */
import {decode, encode} from 'dns-packet';
import {expect, it} from 'vitest';
import type {DnsPorts} from '../../src/dns/client.ts';
import {findZone} from '../../src/dns/zone.ts';
import {dnsName, standingClock} from './world.ts';

const RESOLVER = '192.0.2.53';

interface Soa {
  readonly ttl: number;
  readonly minimum: number;
}

/** One zone on one server; the resolver tells the same records, with what is left of their time. */
function portsWith(own: Soa | undefined, left: Soa): DnsPorts {
  const answer = async ({address}: {readonly address: string}, query: Uint8Array): Promise<Uint8Array> => {
    const packet = decode(Buffer.from(query));
    const [question] = packet.questions ?? [];
    const name = (question?.name ?? '').toLowerCase();
    const soa = address === RESOLVER ? left : own;
    if (soa === undefined) throw Object.assign(new Error('no answer'), {code: 'ETIMEDOUT'});
    const record = {
      ...{type: 'SOA' as const, name: 'example.org', ttl: soa.ttl},
      data: {
        mname: 'ns.example.org',
        rname: 'h',
        serial: 1,
        refresh: 1,
        retry: 1,
        expire: 1,
        minimum: soa.minimum,
      },
    };
    const reply = {
      ...{type: 'response' as const, id: packet.id ?? 0, flags: address === RESOLVER ? 0x8180 : 0x8400},
      questions: packet.questions ?? [],
    };
    if (question?.type === 'NS' && name === 'example.org')
      return encode({...reply, answers: [{type: 'NS', name, ttl: 60, data: 'ns.example.org'}]});
    if (question?.type === 'A' && name === 'ns.example.org')
      return encode({...reply, answers: [{type: 'A', name, ttl: 60, data: '192.0.2.1'}]});
    if (question?.type === 'SOA' && name === 'example.org') return encode({...reply, answers: [record]});
    return encode({...reply, authorities: [record]});
  };
  return {
    clock: standingClock(),
    random: {bytes: length => new Uint8Array(length)},
    dns: {udp: answer, tcp: answer, hostResolvers: async () => [{address: RESOLVER, port: 53}]},
  };
}

it.each<[string, Soa | undefined, Soa, number]>([
  ['the MINIMUM where it is smaller', {ttl: 3600, minimum: 60}, {ttl: 7, minimum: 60}, 60],
  ['the TTL of the SOA where that is smaller', {ttl: 60, minimum: 3600}, {ttl: 7, minimum: 3600}, 60],
  ['either where they are the same', {ttl: 300, minimum: 300}, {ttl: 7, minimum: 300}, 300],
  ['nothing where the SOA is not kept at all', {ttl: 0, minimum: 3600}, {ttl: 0, minimum: 3600}, 0],
  // What a resolver tells is counted down already: its TTL would make the wait too short.
  ['the MINIMUM where only a resolver tells', undefined, {ttl: 7, minimum: 3600}, 3600],
])('%s', async (_, own, left, seconds) => {
  const zone = await findZone(portsWith(own, left), dnsName('s1._domainkey.example.org'), {});
  expect(zone.ok && zone.value.negativeTtlSeconds).toBe(seconds);
});
