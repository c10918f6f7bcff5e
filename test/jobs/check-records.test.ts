/** The records of a host with many keys against those of one with few: the same zones, looked at in both ways. */
import {expect, test} from 'vitest';
import type {DemoDnsOptions, DemoServer} from '../../src/demo/dns.ts';
import type {ZoneData, ZoneRecord} from '../../src/demo/dns-zone.ts';
import type {DnsPorts} from '../../src/dns/client.ts';
import {resolveOnlyText} from '../../src/dns/resolver.ts';
import {recordChecks} from '../../src/jobs/check/records.ts';
import type {Check} from '../../src/proof/proof.ts';
import type {KeyEntry} from '../../src/rotation/index.ts';
import type {DnsTransport} from '../../src/system/ports.ts';
import {dnsName, KEY, VALUE, type World, world} from '../dns/world.ts';
import {domainOf, selectorOf} from '../support/fake-operations.ts';

const [FIRST, SECOND] = ['ns1.servers.net', 'ns2.servers.net'];
const CROWD = Array.from({length: 20}, (_, at) => `crowd${at}.servers.net`);
/** There is no way to it. */
const FAR = '198.51.100.77';
const ADDRESSES = new Map([
  [FIRST, '198.51.100.1'],
  [SECOND, '198.51.100.2'],
  ['lagging.servers.net', '198.51.100.3'],
  ['silent.servers.net', '198.51.100.4'],
  ['a.registry.net', '198.51.100.9'],
  ['far.servers.net', FAR],
  // All of them lead to the first.
  ...CROWD.map(name => [name, '198.51.100.1'] as const),
]);
const nameOf = (domain: string): string => `202611._domainkey.${domain}`;
const ns = (owner: string, target: string): ZoneRecord => ({name: owner, ttl: 300, type: 'NS', data: target});
const txt = (domain: string, text = VALUE, ttl = 300): ZoneRecord => ({
  ...{name: nameOf(domain), ttl, type: 'TXT'},
  data: text.match(/.{1,255}/g) ?? [],
});

const FORMER = VALUE.replace('AQ8A', 'Aold');

interface Laid {
  readonly apex: string;
  readonly servers: readonly string[];
  /** As the registry has them, where they are others. */
  readonly above?: readonly string[];
  /** Those that answer for it, where they are others. */
  readonly carriers?: readonly string[];
  readonly records?: readonly ZoneRecord[];
}

/** Zones below `org`, delegated there, and the names of their servers in a zone of their own. */
function laidOut(zones: readonly Laid[]): Pick<DemoDnsOptions, 'zones' | 'servers'> {
  const zone = (apex: string, records: readonly ZoneRecord[]): Omit<ZoneData, 'serial'> => ({
    ...{apex, primary: FIRST, negativeTtl: 86_400},
    records,
  });
  const carried = (name: string): readonly string[] =>
    zones.flatMap(({apex, servers, above = [], carriers = [...servers, ...above]}) =>
      carriers.includes(name) ? [apex] : [],
    );
  return {
    zones: [
      zone('org', [
        ns('org', 'a.registry.net'),
        ...zones.flatMap(({apex, servers, above = servers}) => above.map(name => ns(apex, name))),
      ]),
      zone(
        'net',
        [...ADDRESSES].map(([name, data]) => ({name, ttl: 300, type: 'A', data})),
      ),
      ...zones.map(({apex, servers, records = []}) =>
        zone(apex, [...servers.map(name => ns(apex, name)), ...records]),
      ),
    ],
    servers: [...ADDRESSES].map(
      ([name, address]): DemoServer => ({
        ...{
          name,
          addresses: address === FAR ? [] : [address],
          zones: name === 'a.registry.net' ? ['org'] : carried(name),
        },
        lagMs: name === 'lagging.servers.net' ? 86_400_000 : 0,
      }),
    ),
  };
}

const entry = (domain: string, selector = '202611', value = VALUE): KeyEntry =>
  ({
    ...{domain: domainOf(domain), selector: selectorOf(selector), state: 'active'},
    record: {name: dnsName(`${selector}._domainkey.${domain}`), value},
  }) as unknown as KeyEntry;

/** Its time-outs come at once. */
function withSilent({dns, ...ports}: DnsPorts, address: string | undefined): DnsPorts {
  const to =
    (way: 'udp' | 'tcp'): DnsTransport['udp'] =>
    (server, query, exchange) =>
      server.address === address
        ? Promise.reject(Object.assign(new Error('no answer'), {code: 'ETIMEDOUT'}))
        : dns[way](server, query, exchange);
  return {...ports, dns: {...dns, udp: to('udp'), tcp: to('tcp')}};
}

const checked = (
  {ports}: World,
  domains: readonly string[],
  thoroughUpTo?: number,
): Promise<readonly Check[]> => {
  const own = domains.map(domain => entry(domain));
  const former = domains.map(domain => ({...entry(domain, 'old', FORMER), state: 'removed'}));
  return recordChecks(
    withSilent(ports, ADDRESSES.get('silent.servers.net')),
    new Map(),
    {own, made: new Map()},
    {
      known: [...own, ...former] as readonly KeyEntry[],
      ...(thoroughUpTo === undefined ? {} : {thoroughUpTo}),
    },
  );
};

const BOTH = [FIRST, SECOND];
const ALONE = [
  'absent',
  'wrong',
  'former',
  'foreign',
  'several',
  'twice',
  'spaced',
  'long',
  'alias',
  'astray',
  'unheard',
  'cached',
];
const PLAIN = Array.from({length: 101}, (_, at) => `d${at}.many.org`);
const INSIDE = [...ALONE.map(name => `${name}.many.org`), ...PLAIN];
const ODD: readonly ZoneRecord[] = [
  txt('wrong.many.org', VALUE.replace('Zt3V', 'Zt4V')),
  txt('former.many.org', FORMER),
  txt('foreign.many.org', 'v=spf1 -all'),
  ...[VALUE, 'hello'].map(text => txt('several.many.org', text)),
  ...[VALUE, VALUE].map(text => txt('twice.many.org', text)),
  txt('spaced.many.org', `v=DKIM1; k=rsa; h=sha256; p=${KEY.slice(0, 200)} ${KEY.slice(200)}`),
  txt('long.many.org', VALUE, 7 * 86_400),
  txt('unheard.many.org'),
  {name: nameOf('alias.many.org'), ttl: 300, type: 'CNAME', data: nameOf('d0.many.org')},
  {name: nameOf('astray.many.org'), ttl: 300, type: 'CNAME', data: 'nowhere.many.org'},
];
const OWN_ZONES: readonly Laid[] = [
  {apex: 'whole.org', servers: BOTH, records: [txt('whole.org')]},
  {apex: 'late.org', servers: [FIRST, 'lagging.servers.net']},
  {apex: 'silent.org', servers: [FIRST, 'silent.servers.net'], records: [txt('silent.org')]},
  {apex: 'lame.org', servers: BOTH, carriers: [FIRST], records: [txt('lame.org')]},
  {apex: 'far.org', servers: [FIRST, 'far.servers.net'], records: [txt('far.org')]},
  {apex: 'crowd.org', servers: [FIRST, ...CROWD], records: [txt('crowd.org')]},
  {apex: 'bare.org', servers: [FIRST, 'none.servers.net', 'void.servers.net'], records: [txt('bare.org')]},
  {apex: 'doubled.org', servers: [FIRST, 'lagging.servers.net'], records: [txt('doubled.org')]},
  {apex: 'swapped.org', servers: [FIRST], above: [SECOND], records: [txt('swapped.org')]},
  {apex: 'gone.org', servers: [FIRST], above: BOTH, carriers: [FIRST], records: [txt('gone.org')]},
  {apex: 'hidden.org', servers: [FIRST], above: BOTH, records: [txt('hidden.org')]},
  {
    ...{apex: 'moved.org', servers: BOTH, above: [FIRST]},
    records: ['a', 'b', 'c'].map(name => txt(`${name}.moved.org`)),
  },
];
const DOMAINS = [
  ...INSIDE,
  ...OWN_ZONES.map(({apex}) => apex).filter(apex => apex !== 'moved.org'),
  ...['a', 'b', 'c'].map(name => `${name}.moved.org`),
];

test('many records are judged as few are, and what is odd about a zone is told once', async () => {
  await using net = await world({
    ...laidOut([
      {apex: 'many.org', servers: BOTH, records: [...PLAIN.map(each => txt(each)), ...ODD]},
      ...OWN_ZONES,
    ]),
    misbehave: (server, {name}) =>
      server === 'resolver' && name.toLowerCase() === nameOf('unheard.many.org') ? 'refuse' : undefined,
  });
  net.demo.publish(nameOf('late.org'), VALUE);
  net.demo.publish(nameOf('doubled.org'), 'hello');
  expect(await resolveOnlyText(net.ports, dnsName(nameOf('cached.many.org')), {})).toBeUndefined();
  net.demo.publish(nameOf('cached.many.org'), VALUE);
  const few = await checked(net, DOMAINS, DOMAINS.length);
  const many = await checked(net, DOMAINS, 0);
  expect(many).toEqual(few);
  const told = many.map(({title, status, evidence, cause, fix}) => {
    expect([cause !== '', fix !== '']).toEqual([status !== 'pass', status !== 'pass']);
    const ids = new Set(evidence.match(/dns\.[\w-]+/g));
    return [title.replace('Record 202611._domainkey.', ''), status, ...ids].join(' ');
  });
  expect(told.filter(each => !/^d\d+\.many\.org pass$/.test(each))).toEqual([
    'absent.many.org fail',
    'wrong.many.org fail dns.other-key',
    'former.many.org fail dns.old-key',
    'foreign.many.org fail dns.foreign-record',
    'several.many.org fail dns.several-records',
    'twice.many.org fail dns.repeated-record',
    'spaced.many.org warn dns.blanks-in-key',
    'long.many.org warn dns.long-ttl',
    'alias.many.org pass',
    'astray.many.org fail dns.cname-dead-end',
    'unheard.many.org pass',
    'cached.many.org pass',
    'whole.org pass',
    'late.org fail dns.stale-secondary',
    'silent.org fail dns.server-silent',
    'lame.org fail dns.server-refused',
    'far.org pass dns.server-no-route',
    'crowd.org pass',
    'Zone crowd.org warn dns.servers-left-out',
    'bare.org pass',
    'Zone bare.org warn dns.server-without-address',
    'Zone bare.org warn dns.server-without-address',
    'doubled.org fail dns.several-records',
    'swapped.org pass',
    'Zone swapped.org warn dns.delegation-differs',
    'gone.org fail dns.server-refused',
    'Zone gone.org warn dns.delegation-differs',
    'hidden.org pass',
    'Zone hidden.org warn dns.delegation-differs',
    'a.moved.org pass',
    'Zone moved.org warn dns.delegation-differs',
    'b.moved.org pass',
    'c.moved.org pass',
  ]);
});

test('from 101 records on, a right one costs a query to each server and one to the resolver', async () => {
  await using net = await world(
    laidOut([{apex: 'many.org', servers: BOTH, records: PLAIN.map(domain => txt(domain))}]),
  );
  const queriesFor = async (count: number): Promise<Readonly<Record<string, number>>> => {
    const before = net.demo.asked.length;
    const checks = await checked(net, PLAIN.slice(0, count));
    expect(checks.filter(({status}) => status === 'pass')).toHaveLength(count);
    const counts: Record<string, number> = {};
    for (const {server, type} of net.demo.asked.slice(before)) {
      const kind = server === 'resolver' ? `${server} ${type}` : server;
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    return counts;
  };
  expect(PLAIN).toHaveLength(101);
  const many = await queriesFor(101);
  expect(many).toMatchObject({[FIRST]: 101, [SECOND]: 101, 'resolver TXT': 101});
  // What many ask for at the same time, before the first knows it: 16 at a time.
  const {
    [FIRST]: _first,
    [SECOND]: _second,
    'resolver TXT': _text,
    'resolver NS': servers = 0,
    ...once
  } = many;
  expect(servers).toBeLessThanOrEqual(101 + 3 * 16);
  expect(Math.max(...Object.values(once))).toBeLessThanOrEqual(3 * 16);
  const few = await queriesFor(100);
  expect(few[FIRST]).toBeGreaterThan(3 * 100);
});

test('servers that the registry and the zone do not both name are found out once, and not for each record', async () => {
  const domains = Array.from({length: 101}, (_, at) => `d${at}.moved.org`);
  await using net = await world(
    laidOut([{apex: 'moved.org', servers: BOTH, above: [FIRST], records: domains.map(each => txt(each))}]),
  );
  const checks = await checked(net, domains);
  expect(checks.filter(({id}) => id === 'dns.zone')).toHaveLength(1);
  expect(checks).toHaveLength(102);
  expect(net.demo.asked.filter(({server}) => server === 'a.registry.net').length).toBeLessThanOrEqual(2 * 16);
});
