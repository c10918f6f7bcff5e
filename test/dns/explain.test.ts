import {decode} from 'dns-packet';
import {expect, test} from 'vitest';
import {demoServers, demoZones} from '../../src/demo/dns.ts';
import {surveyOnce} from '../../src/dns/authoritative.ts';
import {explainLaggards} from '../../src/dns/explain.ts';
import {paced} from '../../src/dns/pace.ts';
import type {AuthoritativeServer, ServerStatus, ServerView, Survey, Zone} from '../../src/dns/survey.ts';
import {watchRecord} from '../../src/dns/watch.ts';
import {dnsName, fastClock, NAME, stale, VALUE, type World, world, zoneOf} from './world.ts';

const survey = async (net: World, options = {}): Promise<Survey> =>
  surveyOnce(net.ports, {name: NAME, expected: VALUE, zone: await zoneOf(net.ports, NAME)}, options);

const ids = (seen: Survey): readonly (string | undefined)[] => seen.servers.map(view => view.mistake?.id);
const alone = demoServers.map(server => ({...server, lagMs: 0}));

type Records = (typeof demoZones)[number]['records'];

const withRecords = (records: Records) => ({
  servers: alone,
  zones: demoZones.map(zone =>
    zone.apex === 'example.org' ? {...zone, records: [...zone.records, ...records]} : zone,
  ),
});

const view = (
  status: ServerStatus,
  serial: number | undefined,
  listed?: AuthoritativeServer['listed'],
): ServerView => ({
  server: {
    name: dnsName(`ns-${status}.example.net`),
    address: '192.0.2.1',
    port: 53,
    ...(listed === undefined ? {} : {listed}),
  },
  status,
  serial,
  records: [],
  mistake: undefined,
});

const subject = {name: NAME, expected: VALUE, zone: {apex: dnsName('example.org')} as Zone};

test.each([
  ['dns.stale-secondary', [view('matching', 5), view('absent', 4)]],
  ['dns.stale-secondary', [view('matching', 1), view('wrong', 0xffff_fff0)]],
  ['dns.serial-not-raised', [view('matching', 5), view('absent', 5)]],
  ['dns.zone-overwritten', [view('matching', 5), view('absent', 6)]],
  ['dns.wrong-provider', [view('matching', 5, 'child'), view('absent', 5, 'parent')]],
  ['dns.wrong-provider', [view('matching', 5, 'parent'), view('absent', 9)]],
  [undefined, [view('matching', 5), view('absent', undefined)]],
  [undefined, [view('matching', 5), view('timeout', 4)]],
  [undefined, [view('absent', 5), view('absent', 4)]],
])('servers compared: %s', (id, views: readonly ServerView[]) => {
  const [leader, other] = explainLaggards(subject, views);
  expect([leader?.mistake, other?.mistake?.id]).toEqual([undefined, id]);
});

test('a secondary that is behind is named with both serials', async () => {
  await using net = await world(stale);
  net.demo.publish(NAME, VALUE);
  const seen = await survey(net);
  expect(ids(seen)).toEqual([undefined, 'dns.stale-secondary', 'dns.stale-secondary']);
  expect(seen.servers[1]?.mistake?.message).toMatch(/serial \d+01; .* has \d+02/);
});

test('a wildcard is told from a record, whether it helps or not', async () => {
  const star = (text: string): Records => [
    {name: '*.example.org', ttl: 60, type: 'TXT', data: text.match(/.{1,255}/g) ?? []},
  ];
  await using foreign = await world(withRecords(star('v=spf1 -all')));
  const seen = await survey(foreign);
  expect(seen.servers.map(each => [each.status, each.mistake?.id])).toEqual(
    Array(3).fill(['wrong', 'dns.wildcard']),
  );
  await using same = await world(withRecords(star(VALUE)));
  expect((await survey(same)).servers.map(each => [each.status, each.mistake?.id])).toEqual(
    Array(3).fill(['matching', 'dns.wildcard']),
  );
  await using real = await world(withRecords(star('v=spf1 -all')));
  real.demo.publish(NAME, VALUE);
  expect(ids(await survey(real))).toEqual([undefined, undefined, undefined]);
  await using quiet = await world(withRecords(star('v=spf1 -all')));
  expect(ids(await survey(quiet, {explain: false}))).toEqual(Array(3).fill('dns.foreign-record'));
});

test('a lost record is named by a single survey, too', async () => {
  await using net = await world(withRecords([]));
  net.demo.publish(`${NAME}.example.org`, VALUE);
  expect(ids(await survey(net))).toEqual(Array(3).fill('dns.doubled-domain'));
});

test('a server that denies the name above the record is named, and only for what is there', async () => {
  await using net = await world(withRecords([]));
  const {dns} = net.ports;
  const udp: typeof dns.udp = async (server, query, exchange) => {
    const octets = await dns.udp(server, query, exchange);
    const isAbove =
      decode(Buffer.from(query)).questions?.[0]?.name.toLowerCase() === '_domainkey.example.org';
    if (server.address !== '198.51.100.53' || !isAbove) return octets;
    // NXDOMAIN, as servers say that know no empty non-terminals.
    return Uint8Array.from(octets, (octet, at) => (at === 3 ? octet | 3 : octet));
  };
  const denying = {...net, ports: {...net.ports, dns: {...dns, udp}}};
  expect(ids(await survey(denying))).toEqual([undefined, undefined, undefined]);
  net.demo.publish(NAME, VALUE);
  const seen = await survey(denying);
  expect(seen.agreed).toBe(true);
  expect(ids(seen)).toEqual(['dns.name-above-denied', undefined, undefined]);
  expect(ids(await survey(net))).toEqual([undefined, undefined, undefined]);
});

test('the record under the selector before, and the key before under this selector', async () => {
  await using net = await world(withRecords([]));
  const zone = await zoneOf(net.ports, NAME);
  const former = dnsName('202605._domainkey.example.org');
  net.demo.publish(former, VALUE);
  const lost = {name: NAME, expected: VALUE, zone, formerNames: [former]};
  expect(ids(await surveyOnce(net.ports, lost))).toEqual(Array(3).fill('dns.old-selector'));
  const old = VALUE.replace('q7Zt', 'r8Zt');
  net.demo.publish(NAME, old);
  const stale = {...lost, formerValues: [old]};
  expect(ids(await surveyOnce(net.ports, stale))).toEqual(Array(3).fill('dns.old-key'));
});

test('a primary that is not among the name servers, and has not passed the record on', async () => {
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {
            ...zone,
            primary: 'hidden.example.org',
            records: [...zone.records, {name: 'hidden.example.org', ttl: 60, type: 'A', data: '192.0.2.66'}],
          }
        : zone,
    ),
    servers: [
      ...demoServers.map(server => ({...server, lagMs: 3_600_000})),
      {name: 'hidden.example.org', addresses: ['192.0.2.66'], lagMs: 0, zones: ['example.org']},
    ],
  });
  net.demo.publish(NAME, VALUE);
  const seen = await survey(net);
  expect(ids(seen)).toEqual(Array(3).fill('dns.not-transferred'));
});

const cname = (target: string): Records => [{name: NAME, ttl: 60, type: 'CNAME', data: target}];

test('another record behind an alias: the TXT beside the CNAME is never seen', async () => {
  await using net = await world(withRecords(cname('keys.example.org')));
  net.demo.publish('keys.example.org', VALUE.replace('q7Zt', 'r8Zt'));
  const seen = await survey(net);
  expect(seen.servers.map(each => [each.status, each.mistake?.id])).toEqual(
    Array(3).fill(['wrong', 'dns.cname-beside-txt']),
  );
});

test('the servers of the target of an alias are rows of their own', async () => {
  await using net = await world(withRecords(cname('keys.example.org')));
  net.demo.publish('keys.example.org', VALUE);
  const seen = await survey(net);
  expect(
    seen.targets?.map(({name, zone, servers}) => [name, zone.apex, servers.map(each => each.status)]),
  ).toEqual([['keys.example.org', 'example.org', ['matching', 'matching', 'matching']]]);
  expect((await survey(await plain())).targets).toBeUndefined();
});

const plain = async (): Promise<World> => world(withRecords([]));

test('no authoritative server in reach: the resolver is asked, and that it is worth less is said', async () => {
  await using net = await world({servers: alone});
  net.demo.publish(NAME, VALUE);
  const zone = await zoneOf(net.ports, NAME);
  const blocked = {
    ...net.ports,
    dns: {
      ...net.ports.dns,
      udp: (...[server, query, exchange]: Parameters<typeof net.ports.dns.udp>) =>
        server.address === '192.0.2.53'
          ? net.ports.dns.udp(server, query, exchange)
          : Promise.reject(Object.assign(new Error('dropped'), {code: 'ETIMEDOUT'})),
    },
  };
  const seen = await surveyOnce(blocked, {name: NAME, expected: VALUE, zone});
  expect(seen).toMatchObject({
    agreed: false,
    settled: false,
    resolver: 'matching',
    weaker: {id: 'dns.port-blocked'},
  });
  const watched = await watchRecord(
    blocked,
    {name: NAME, expected: VALUE, zone},
    {deadlineMs: 0, onSurvey: () => undefined},
  );
  expect(watched).toMatchObject({agreed: false, resolver: 'matching', weaker: {id: 'dns.port-blocked'}});
});

test('how long caches may still say otherwise: for a new record and for a changed one', async () => {
  await using net = await world({servers: alone});
  const zone = await zoneOf(net.ports, NAME);
  const old = VALUE.replace('q7Zt', 'r8Zt');
  net.demo.publish(NAME, old);
  let changed = false;
  const final = await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {
      deadlineMs: undefined,
      onSurvey: ({servers}) => {
        if (changed || !servers.every(({status}) => status === 'wrong')) return;
        changed = true;
        net.demo.withdraw(NAME);
        net.demo.publish(NAME, VALUE);
      },
    },
  );
  expect(final.settled).toBe(true);
  expect(final.caches).toMatchObject([{kind: 'old', where: 'anywhere'}]);
  const left = Date.parse(final.caches?.[0]?.until ?? '') - net.ports.clock.now().getTime();
  // The clock runs twenty times as fast.
  expect(left).toBeGreaterThan(150_000);
  expect(left).toBeLessThanOrEqual(300_000);

  await using fresh = await world({servers: alone});
  let isOut = false;
  const seen = await watchRecord(
    fresh.ports,
    {name: NAME, expected: VALUE, zone: await zoneOf(fresh.ports, NAME)},
    {
      deadlineMs: undefined,
      onSurvey: ({servers}) => {
        if (isOut || !servers.every(({status}) => status === 'absent')) return;
        isOut = true;
        fresh.demo.publish(NAME, VALUE);
      },
    },
  );
  expect(seen.caches).toMatchObject([{kind: 'negative', where: 'anywhere'}]);
  expect(seen.dnssec).toEqual({status: 'insecure'});
});

test('no server is asked twice within a second while the record is awaited', async () => {
  await using net = await world({factor: 10});
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(`${NAME}.example.org`, VALUE);
  setTimeout(() => net.demo.publish(NAME, VALUE), 1200);
  // Measured where they are sent: on a busy machine two that came at their time may be read at once.
  const sent = new Map<string, number[]>();
  const {dns, clock} = net.ports;
  const udp: typeof dns.udp = (server, query, exchange) => {
    sent.set(server.address, [...(sent.get(server.address) ?? []), clock.now().getTime()]);
    return dns.udp(server, query, exchange);
  };
  await watchRecord(
    {...net.ports, dns: {...dns, udp}},
    {name: NAME, expected: VALUE, zone},
    {deadlineMs: 40_000, onSurvey: () => undefined},
  );
  for (const {address} of zone.servers) {
    const at = sent.get(address) ?? [];
    expect(at.length).toBeGreaterThan(3);
    // The clock runs ten times as fast: what holds this process up for a moment is much of its second.
    expect(Math.min(...at.slice(1).map((time, before) => time - (at[before] ?? 0)))).toBeGreaterThan(500);
  }
});

test('a host that wakes late does not ask twice at once', async () => {
  let now = 0;
  const sent: number[] = [];
  const ports = paced({
    clock: {
      now: () => new Date(now),
      // Each sleep takes three seconds longer than it was asked for.
      sleep: async ms => {
        await Promise.resolve();
        now += ms + 3000;
      },
    },
    random: {bytes: length => new Uint8Array(length)},
    dns: {
      udp: async () => {
        sent.push(now);
        return new Uint8Array();
      },
      tcp: async () => new Uint8Array(),
      hostResolvers: async () => [],
    },
  });
  const ask = (): Promise<unknown> =>
    ports.dns.udp({address: '192.0.2.1', port: 53}, new Uint8Array(3), {timeoutMs: 10, accept: () => true});
  await Promise.all([ask(), ask(), ask(), ask()]);
  const gaps = sent.slice(1).map((at, before) => at - (sent[before] ?? 0));
  expect(gaps).toHaveLength(3);
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1000);
});

test('a resolver does not wait for its turn', async () => {
  const clock = fastClock(1);
  const sent: number[] = [];
  const ports = paced({
    clock,
    random: {bytes: length => new Uint8Array(length)},
    dns: {
      udp: async () => {
        sent.push(clock.now().getTime());
        return new Uint8Array();
      },
      tcp: async () => new Uint8Array(),
      hostResolvers: async () => [],
    },
  });
  const server = {address: '192.0.2.1', port: 53};
  const exchange = {timeoutMs: 10, accept: () => true};
  const query = (flags: number): Uint8Array => Uint8Array.from([0, 0, flags]);
  const begun = clock.now().getTime();
  await ports.dns.udp(server, query(1), exchange);
  await ports.dns.udp(server, query(1), exchange);
  expect(clock.now().getTime() - begun).toBeLessThan(900);
  await ports.dns.udp(server, query(0), exchange);
  await ports.dns.udp({...server, address: '192.0.2.2'}, query(0), exchange);
  expect(clock.now().getTime() - begun).toBeLessThan(900);
  await ports.dns.udp(server, query(0), exchange);
  expect(clock.now().getTime() - begun).toBeGreaterThan(950);
});
