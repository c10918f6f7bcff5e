import {decode, encode} from 'dns-packet';
import {expect, test} from 'vitest';
import {demoServers, demoZones} from '../../src/demo/dns.ts';
import type {ZoneData} from '../../src/demo/dns-zone.ts';
import {findZone} from '../../src/dns/zone.ts';
import {parseDomain} from '../../src/domain/names.ts';
import {dnsName, NAME, worked, world, zoneOf} from './world.ts';

const ns = (owner: string, target: string): ZoneData['records'][number] => ({
  name: owner,
  ttl: 300,
  type: 'NS',
  data: target,
});

test('the zone of a record: apex, all servers on all addresses, and the SOA as they tell it', async () => {
  await using net = await world();
  const zone = await zoneOf(net.ports, NAME);
  expect(zone).toMatchObject({
    apex: 'example.org',
    primary: 'ns1.example.org',
    negativeTtlSeconds: 10,
    remarks: [],
  });
  expect(zone.serial).toBeGreaterThan(2026_00_00_00);
  expect(zone.servers).toEqual([
    {name: 'ns1.example.org', address: '198.51.100.53', port: 53},
    {name: 'ns2.example.org', address: '203.0.113.53', port: 53},
    {name: 'ns2.example.org', address: '2001:db8::53', port: 53},
  ]);
});

test('the cut is found from a deep name, whether the names between exist or not', async () => {
  await using net = await world();
  for (const name of [
    'a._domainkey.mail.example.org',
    'a.b._domainkey.not.there.example.org',
    'example.org',
  ]) {
    expect((await zoneOf(net.ports, name)).apex).toBe('example.org');
  }
});

test('nothing from _domainkey down is asked at the resolver', async () => {
  await using net = await world();
  await zoneOf(net.ports, NAME);
  expect(net.resolverQuestions()).toContain('example.org/SOA');
  expect(net.resolverQuestions().filter(each => each.includes('_domainkey'))).toEqual([]);
});

test('an internationalised domain is asked by its A-labels', async () => {
  const apex = 'xn--bcher-kva.example.org';
  await using net = await world({
    zones: [
      ...demoZones,
      {apex, primary: 'ns1.example.org', negativeTtl: 5, records: [ns(apex, 'ns1.example.org')]},
    ],
    servers: demoServers.map(server => ({...server, zones: ['example.org', apex]})),
  });
  const domain = parseDomain('Bücher.example.org');
  if (!domain.ok) throw new TypeError(domain.problem.message);
  expect((await zoneOf(net.ports, `s1._domainkey.${domain.value}`)).apex).toBe(apex);
});

const delegated = '_domainkey.example.org';
const delegatedZone = {
  apex: delegated,
  primary: 'ns.keys.example.org',
  negativeTtl: 3,
  records: [ns(delegated, 'ns.keys.example.org')],
};
const delegation = demoZones.map(zone =>
  zone.apex === 'example.org'
    ? {
        ...zone,
        records: [
          ...zone.records,
          ns(delegated, 'ns.keys.example.org'),
          {name: 'ns.keys.example.org', ttl: 300, type: 'A' as const, data: '192.0.2.77'},
        ],
      }
    : zone,
);

test('a _domainkey zone delegated to other servers is followed', async () => {
  await using net = await world({
    zones: [...delegation, delegatedZone],
    servers: [
      ...demoServers,
      {name: 'ns.keys.example.org', addresses: ['192.0.2.77'], lagMs: 0, zones: [delegated]},
    ],
  });
  const zone = await zoneOf(net.ports, NAME);
  expect(zone).toMatchObject({apex: delegated, negativeTtlSeconds: 3});
  expect(zone.servers).toEqual([{name: 'ns.keys.example.org', address: '192.0.2.77', port: 53}]);
  expect(net.resolverQuestions().filter(each => each.includes('_domainkey'))).toEqual([]);
});

test('a _domainkey zone on the same server as its parent is seen', async () => {
  await using net = await world({
    zones: [
      ...demoZones,
      {...delegatedZone, primary: 'ns1.example.org', records: [ns(delegated, 'ns1.example.org')]},
    ],
    servers: demoServers.map(server => ({...server, zones: ['example.org', delegated]})),
  });
  const zone = await zoneOf(net.ports, NAME);
  expect(zone.apex).toBe(delegated);
  expect(zone.servers).toEqual([{name: 'ns1.example.org', address: '198.51.100.53', port: 53}]);
  expect(net.resolverQuestions().filter(each => each.includes('_domainkey'))).toEqual([]);
});

test('a mail domain that is an alias belongs to the zone of the alias, not of its target', async () => {
  await using net = await world({
    zones: [
      ...demoZones.map(zone =>
        zone.apex === 'example.org'
          ? {
              ...zone,
              records: [
                ...zone.records,
                {name: 'www.example.org', ttl: 60, type: 'CNAME' as const, data: 'host.example.net'},
              ],
            }
          : zone,
      ),
      {
        apex: 'example.net',
        primary: 'ns1.example.org',
        negativeTtl: 5,
        records: [ns('example.net', 'ns1.example.org')],
      },
    ],
  });
  expect((await zoneOf(net.ports, 's1._domainkey.www.example.org')).apex).toBe('example.org');
});

test('errors say what to do: not registered, no resolver, SERVFAIL, no address', async () => {
  await using net = await world({
    zones: [
      ...demoZones,
      {apex: 'lost.org', primary: 'ns.lost.org', negativeTtl: 5, records: [ns('lost.org', 'ns.lost.org')]},
    ],
    servers: [...demoServers, {name: 'ns.lost.org', addresses: [], lagMs: 0, zones: ['lost.org']}],
  });
  const problemOf = async (name: string, ports = net.ports): Promise<string> => {
    const zone = await findZone(ports, dnsName(name), {});
    return zone.ok ? 'none' : `${zone.problem.id}: ${zone.problem.message}`;
  };
  expect(await problemOf('s._domainkey.nobody-has-this.org')).toBe(
    'dns.domain-missing: The domain nobody-has-this.org does not exist: the zone org does not know it.',
  );
  expect(await problemOf('s._domainkey.lost.org')).toBe(
    'dns.no-servers: None of the name servers of lost.org has an address: ns.lost.org.',
  );
  const without = {...net.ports, dns: {...net.ports.dns, hostResolvers: async () => []}};
  expect(await problemOf('example.org', without)).toBe('dns.no-resolver: This host has no DNS resolver.');
  const unreachable = {address: '192.0.2.99', port: 53};
  const away = {...net.ports, dns: {...net.ports.dns, hostResolvers: async () => [unreachable]}};
  expect(await problemOf('example.org', away)).toContain(
    'No DNS resolver answers; the last asked was 192.0.2.99.',
  );
});

test('a resolver that cannot look the domain up is named', async () => {
  await using net = await world({
    zones: [
      {
        apex: 'loop.org',
        primary: 'a',
        negativeTtl: 5,
        records: [{name: 'loop.org', ttl: 5, type: 'CNAME', data: 'loop.org'}],
      },
    ],
    servers: [],
  });
  const zone = await findZone(net.ports, dnsName('loop.org'), {});
  expect(zone).toMatchObject({ok: false, problem: {id: 'dns.resolver-failed'}});
});

test('a name server without an address and a silent one are remarks, and hold nothing up', async () => {
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {...zone, records: [...zone.records, ns('example.org', 'gone.example.org')]}
        : zone,
    ),
    misbehave: server => (server === 'ns2.example.org' ? 'silent' : undefined),
  });
  const begun = worked.now();
  const zone = await zoneOf(net.ports, NAME);
  // The silent one alone would take two seconds, and twice that with its second try.
  expect(worked.now() - begun).toBeLessThan(1900);
  expect(zone.remarks.map(remark => remark.id)).toEqual(['dns.server-without-address']);
});

test('a zone none of whose servers answers still shows them, with a remark', async () => {
  await using net = await world({misbehave: server => (server === 'resolver' ? undefined : 'refuse')});
  const zone = await zoneOf(net.ports, NAME);
  expect(zone.servers).toHaveLength(3);
  expect(zone.remarks.map(remark => remark.id)).toEqual(['dns.zone-unverified']);
});

test('of a resolver that counts down, only the MINIMUM is taken for how long "not there" is remembered', async () => {
  await using net = await world({misbehave: server => (server === 'resolver' ? undefined : 'refuse')});
  await zoneOf(net.ports, NAME);
  // Half of the ten seconds are over.
  await net.ports.clock.sleep(5000);
  expect((await zoneOf(net.ports, NAME)).negativeTtlSeconds).toBe(10);
});

test('glue of one family only: the resolver is asked for the other', async () => {
  const [own] = delegation.filter(({apex}) => apex === 'example.org');
  const six = {name: 'ns.keys.example.org', ttl: 300, type: 'AAAA' as const, data: '2001:db8::77'};
  await using net = await world({
    zones: [
      ...delegation.map(zone => (zone === own ? {...zone, records: [...zone.records, six]} : zone)),
      delegatedZone,
    ],
    servers: [
      ...demoServers,
      {
        ...{name: 'ns.keys.example.org', addresses: ['192.0.2.77', '2001:db8::77']},
        ...{lagMs: 0, zones: [delegated]},
      },
    ],
  });
  const {dns} = net.ports;
  // The referral of a server that has only A records for its glue, as some panels make them.
  const udp: typeof dns.udp = async (server, query, exchange) => {
    const octets = await dns.udp(server, query, exchange);
    const packet = decode(Buffer.from(octets));
    if (packet.flag_aa || server.address === net.demo.resolver.address) return octets;
    const additionals = (packet.additionals ?? []).filter(({type}) => type === 'A');
    return encode({...packet, type: 'response', additionals});
  };
  const zone = await zoneOf({...net.ports, dns: {...dns, udp}}, NAME);
  expect(zone.servers.map(({address}) => address)).toEqual(['192.0.2.77', '2001:db8::77']);
});

test('a zone with more name servers than are asked says so', async () => {
  const many = Array.from({length: 25}, (_, at) => `ns${at + 10}.example.org`);
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {
            ...zone,
            records: [
              ...zone.records,
              ...many.flatMap(name => [
                ns('example.org', name),
                {name, ttl: 60, type: 'A' as const, data: '198.51.100.53'},
              ]),
            ],
          }
        : zone,
    ),
  });
  const zone = await zoneOf(net.ports, NAME);
  expect(zone.remarks.map(({id}) => id)).toContain('dns.servers-left-out');
});

/** example.org as its own servers tell it, and as the registry has it. */
function moved(own: readonly string[], above: readonly string[]) {
  const servers = ['a.registry.example', 'old.provider.net', 'new.provider.net'];
  const address = (name: string): string => `192.0.2.${10 + servers.indexOf(name)}`;
  const glue = servers.map(name => ({name, ttl: 60, type: 'A' as const, data: address(name)}));
  const zone = (apex: string, primary: string, records: ZoneData['records']) => ({
    apex,
    primary,
    negativeTtl: 5,
    records,
  });
  return {
    zones: [
      zone('org', 'a.registry.example', [
        ns('org', 'a.registry.example'),
        ...above.map(name => ns('example.org', name)),
      ]),
      zone('example', 'a.registry.example', glue.slice(0, 1)),
      zone('provider.net', 'old.provider.net', glue.slice(1)),
      zone(
        'example.org',
        'old.provider.net',
        own.map(name => ns('example.org', name)),
      ),
    ],
    servers: servers.map((name, at) => ({
      name,
      addresses: [address(name)],
      lagMs: 0,
      zones: at === 0 ? ['org'] : ['example.org'],
    })),
  };
}

test('name servers of the registry that the zone does not name are asked, too, and the difference is told', async () => {
  await using net = await world(moved(['old.provider.net'], ['new.provider.net']));
  const zone = await zoneOf(net.ports, NAME);
  expect(zone.servers).toEqual([
    {name: 'old.provider.net', address: '192.0.2.11', port: 53, listed: 'child'},
    {name: 'new.provider.net', address: '192.0.2.12', port: 53, listed: 'parent'},
  ]);
  expect(zone.remarks).toMatchObject([
    {
      id: 'dns.delegation-differs',
      message:
        'The zone example.org is delegated to new.provider.net, but its own NS records name old.provider.net.',
    },
  ]);
});

test('the same name servers above and below are no remark', async () => {
  const both = ['old.provider.net', 'new.provider.net'];
  await using net = await world(moved(both, both));
  const zone = await zoneOf(net.ports, NAME);
  expect(zone.remarks).toEqual([]);
  expect(zone.servers.map(({name, listed}) => [name, listed])).toEqual([
    ['new.provider.net', undefined],
    ['old.provider.net', undefined],
  ]);
});
