import {expect, test} from 'vitest';
import {demoServers, demoZones} from '../../src/demo/dns.ts';
import {surveyOnce} from '../../src/dns/authoritative.ts';
import type {ServerView, Survey, Zone} from '../../src/dns/survey.ts';
import {dnsName, NAME, stale, VALUE, type World, world, zoneOf} from './world.ts';

const statuses = (survey: Survey): readonly string[] => survey.servers.map(view => view.status);

async function survey(net: World, change: (zone: Zone) => Zone = zone => zone): Promise<Survey> {
  const zone = change(await zoneOf(net.ports, NAME));
  return surveyOnce(net.ports, {name: NAME, expected: VALUE, zone});
}

/** One server only, so that what is published is everywhere at once. */
const alone = {servers: demoServers.map(server => ({...server, lagMs: 0}))};

test('nothing is there: absent everywhere, with the serial of each server', async () => {
  await using net = await world();
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['absent', 'absent', 'absent']);
  expect(seen.servers.map(view => view.serial)).toEqual(Array(3).fill(seen.zone.serial));
  expect(seen).toMatchObject({agreed: false, settled: false, resolver: 'not-asked'});
});

test('the record on the primary only: the secondaries are seen to lag, by status and serial', async () => {
  await using net = await world(stale);
  net.demo.publish(NAME, VALUE);
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['matching', 'absent', 'absent']);
  const [first, second] = seen.servers.map(view => view.serial ?? 0);
  expect((first ?? 0) - (second ?? 0)).toBe(1);
  expect(seen.agreed).toBe(false);
});

test('strings are joined and compared whole, over UDP within 1232 octets', async () => {
  await using net = await world(alone);
  net.demo.publish(NAME, [VALUE.slice(0, 100), VALUE.slice(100, 290), VALUE.slice(290)]);
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['matching', 'matching', 'matching']);
  expect(seen.agreed).toBe(true);
  expect(seen.servers[0]?.records).toEqual([VALUE]);
});

test('a truncated answer is fetched over TCP', async () => {
  await using net = await world({...alone, misbehave: () => 'truncate'});
  net.demo.publish(NAME, VALUE);
  expect((await survey(net)).agreed).toBe(true);
  expect(
    net.demo.asked.filter(each => each.via === 'tcp' && each.type === 'TXT' && each.name === NAME),
  ).toHaveLength(3);
});

test('a truncated answer from a server without TCP is told from silence', async () => {
  await using net = await world({...alone, misbehave: () => 'truncate'});
  net.demo.publish(NAME, VALUE);
  const zone = await zoneOf(net.ports, NAME);
  const tcp = (): Promise<Uint8Array> =>
    Promise.reject(Object.assign(new Error('refused'), {code: 'ECONNREFUSED'}));
  const ports = {...net.ports, dns: {...net.ports.dns, tcp}};
  const seen = await surveyOnce(ports, {name: NAME, expected: VALUE, zone}, {explain: false});
  expect(seen.servers.map(({status, mistake}) => [status, mistake?.id])).toEqual(
    Array(3).fill(['timeout', 'dns.server-no-tcp']),
  );
});

test('a TTL of more than a day is remarked, and stands against nothing', async () => {
  const records = [
    {name: NAME, ttl: 172_800, type: 'TXT' as const, data: [VALUE.slice(0, 255), VALUE.slice(255)]},
  ];
  await using net = await world({
    ...alone,
    zones: demoZones.map(zone =>
      zone.apex === 'example.org' ? {...zone, records: [...zone.records, ...records]} : zone,
    ),
  });
  const seen = await survey(net);
  expect(seen.agreed).toBe(true);
  expect(seen.servers.map(view => view.mistake?.id)).toEqual(Array(3).fill('dns.long-ttl'));
});

test('two records are one too many, even when one of them is right', async () => {
  await using net = await world(alone);
  net.demo.publish(NAME, VALUE);
  net.demo.publish(NAME, 'v=DKIM1; p=');
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['several', 'several', 'several']);
  expect(seen.servers[0]?.mistake?.id).toBe('dns.two-keys');
  expect(seen.agreed).toBe(false);
});

test('lame and refusing servers are told apart and stand against agreement', async () => {
  await using net = await world({
    servers: [
      ...demoServers.map(server => ({...server, lagMs: 0})),
      {name: 'ns3.example.org', addresses: ['192.0.2.3'], lagMs: 0, zones: ['example.org']},
      {name: 'ns4.example.org', addresses: ['192.0.2.4'], lagMs: 0, zones: []},
    ],
    misbehave: server => (server === 'ns3.example.org' ? 'lame' : undefined),
  });
  net.demo.publish(NAME, VALUE);
  const seen = await survey(net, zone => ({
    ...zone,
    servers: [
      ...zone.servers,
      {name: dnsName('ns3.example.org'), address: '192.0.2.3', port: 53},
      {name: dnsName('ns4.example.org'), address: '192.0.2.4', port: 53},
    ],
  }));
  expect(statuses(seen)).toEqual(['matching', 'matching', 'matching', 'lame', 'refused']);
  expect(seen.servers.map(view => view.mistake?.id)).toEqual([
    undefined,
    undefined,
    undefined,
    'dns.server-lame',
    'dns.server-refused',
  ]);
  expect(seen.agreed).toBe(false);
});

test('a silent server is a timeout and delays nobody', async () => {
  await using net = await world({
    ...alone,
    misbehave: (server, question) =>
      server === 'ns2.example.org' && question.type === 'TXT' ? 'silent' : undefined,
  });
  net.demo.publish(NAME, VALUE);
  const zone = await zoneOf(net.ports, NAME);
  const begun = Date.now();
  const came: {view: ServerView; after: number}[] = [];
  const seen = await surveyOnce(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {onServer: view => came.push({view, after: Date.now() - begun})},
  );
  expect(statuses(seen)).toEqual(['matching', 'timeout', 'timeout']);
  expect(came.map(each => each.view.status)).toEqual(['matching', 'timeout', 'timeout']);
  expect(came[1]?.after).toBeGreaterThan(3500);
  expect(came[0]?.after).toBeLessThan((came[1]?.after ?? 0) - 1000);
  expect(seen.agreed).toBe(false);
});

test('an address without a route does not stand against agreement, unless there is no other', async () => {
  await using net = await world({
    servers: [
      {
        ...demoServers[0],
        addresses: ['198.51.100.53'],
        name: 'ns1.example.org',
        lagMs: 0,
        zones: ['example.org'],
      },
    ],
  });
  net.demo.publish(NAME, VALUE);
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['matching', 'unreachable', 'unreachable']);
  expect(seen.agreed).toBe(true);
  const nowhere = await survey(net, zone => ({...zone, servers: zone.servers.slice(1)}));
  expect(statuses(nowhere)).toEqual(['unreachable', 'unreachable']);
  expect(nowhere.agreed).toBe(false);
});

const alias = (target: string) => ({
  ...alone,
  zones: [
    ...demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {...zone, records: [...zone.records, {name: NAME, ttl: 60, type: 'CNAME' as const, data: target}]}
        : zone,
    ),
    {
      apex: 'keys.net',
      primary: 'ns9.keys.net',
      negativeTtl: 5,
      records: [
        {name: 'keys.net', ttl: 60, type: 'NS' as const, data: 'ns9.keys.net'},
        {name: 'ns9.keys.net', ttl: 60, type: 'A' as const, data: '192.0.2.9'},
        {name: 'back.keys.net', ttl: 60, type: 'CNAME' as const, data: NAME},
      ],
    },
  ],
  servers: [
    ...alone.servers,
    {name: 'ns9.keys.net', addresses: ['192.0.2.9'], lagMs: 0, zones: ['keys.net']},
  ],
});

test('a CNAME at the selector is followed to the servers of its target', async () => {
  await using net = await world(alias('org1.keys.net'));
  net.demo.publish('org1.keys.net', VALUE);
  const seen = await survey(net);
  expect(seen.zone.apex).toBe('example.org');
  expect(statuses(seen)).toEqual(['matching', 'matching', 'matching']);
  expect(seen.servers.map(view => view.alias)).toEqual(Array(3).fill('org1.keys.net'));
  expect(net.demo.asked.some(each => each.server === 'ns9.keys.net' && each.name === 'org1.keys.net')).toBe(
    true,
  );
  expect(net.resolverQuestions().filter(each => /_domainkey|org1/.test(each))).toEqual([]);
});

test.each([
  ['gone.keys.net', 'dns.cname-dead-end'],
  ['gone.nobody-has-this.net', 'dns.cname-dead-end'],
  ['back.keys.net', 'dns.cname-loop'],
])('a CNAME to %s leads nowhere, and that is said', async (target, id) => {
  await using net = await world(alias(target));
  const seen = await survey(net);
  expect(statuses(seen)).toEqual(['absent', 'absent', 'absent']);
  expect(seen.servers[0]?.mistake?.id).toBe(id);
});

test('an abort ends the survey with its own reason', async () => {
  await using net = await world({
    misbehave: (_, question) => (question.type === 'TXT' ? 'silent' : undefined),
  });
  const zone = await zoneOf(net.ports, NAME);
  const leaving = new AbortController();
  const reason = new Error('left');
  setTimeout(() => leaving.abort(reason), 50);
  await expect(
    surveyOnce(net.ports, {name: NAME, expected: VALUE, zone}, {signal: leaving.signal}),
  ).rejects.toBe(reason);
});
