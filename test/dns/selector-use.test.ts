import {expect, test} from 'vitest';
import {demoServers, demoZones} from '../../src/demo/dns.ts';
import type {ZoneRecord} from '../../src/demo/dns-zone.ts';
import {type SelectorUse, selectorInUse} from '../../src/dns/selector-use.ts';
import {NAME, VALUE, world, zoneOf} from './world.ts';

async function use(...records: readonly ZoneRecord[]): Promise<SelectorUse & {resolver: readonly string[]}> {
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org' ? {...zone, records: [...zone.records, ...records]} : zone,
    ),
  });
  const found = await selectorInUse(net.ports, {name: NAME, zone: await zoneOf(net.ports, NAME)});
  return {...found, resolver: net.resolverQuestions().filter(each => each.includes('_domainkey'))};
}

test('free, taken by TXT, taken by CNAME, and a wildcard told apart', async () => {
  expect(await use()).toEqual({kind: 'free', records: [], resolver: []});
  expect(
    await use({name: NAME, ttl: 60, type: 'TXT', data: [VALUE.slice(0, 255), VALUE.slice(255)]}),
  ).toEqual({
    kind: 'in-use',
    records: [VALUE],
    resolver: [],
  });
  expect(await use({name: NAME, ttl: 60, type: 'CNAME', data: 'k1.example.net'})).toEqual({
    kind: 'in-use',
    records: ['CNAME k1.example.net'],
    resolver: [],
  });
  expect(await use({name: '*.example.org', ttl: 60, type: 'TXT', data: ['v=spf1 -all']})).toEqual({
    kind: 'wildcard',
    records: ['v=spf1 -all'],
    resolver: [],
  });
});

test('an alias that was entered beforehand is free until something is at its end', async () => {
  const alias = {name: NAME, ttl: 60, type: 'CNAME' as const, data: '202611.example.org.keys.example.org'};
  expect(await use(alias)).toEqual({kind: 'free', records: [], resolver: []});
  const key = {
    name: alias.data,
    ttl: 60,
    type: 'TXT' as const,
    data: [VALUE.slice(0, 255), VALUE.slice(255)],
  };
  expect(await use(alias, key)).toMatchObject({kind: 'in-use', records: [`CNAME ${alias.data}`]});
  const back = {name: alias.data, ttl: 60, type: 'CNAME' as const, data: NAME};
  expect((await use(alias, back)).kind, 'in a circle').toBe('in-use');
});

test('a record on one server only, as the primary before its secondary, is taken', async () => {
  await using net = await world();
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(NAME, VALUE);
  expect((await selectorInUse(net.ports, {name: NAME, zone})).kind).toBe('in-use');
});

test('no server that speaks for the zone: unknown, not free', async () => {
  await using net = await world({
    misbehave: server => (server === 'resolver' ? undefined : 'lame'),
    servers: demoServers,
  });
  const zone = await zoneOf(net.ports, NAME);
  expect(await selectorInUse(net.ports, {name: NAME, zone})).toEqual({kind: 'unknown', records: []});
});
