import {expect, test} from 'vitest';
import {createDemoTransport, demoServers, startDemoDns} from '../../src/demo/dns.ts';
import {ask, type Outcome} from '../../src/dns/client.ts';
import {dnsName, NAME, realTransport, standingClock, VALUE, world} from '../dns/world.ts';

const PRIMARY = {address: '198.51.100.53', port: 53};
const SECONDARY = {address: '2001:db8::53', port: 53};
const RESOLVER = {address: '192.0.2.53', port: 53};

const texts = (outcome: Outcome): readonly string[] =>
  outcome.kind === 'answer'
    ? outcome.message.answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []))
    : [outcome.kind];

const serial = (outcome: Outcome): number | undefined =>
  outcome.kind === 'answer'
    ? [...outcome.message.answers, ...outcome.message.authorities].flatMap(record =>
        record.type === 'SOA' ? [record.serial] : [],
      )[0]
    : undefined;

test('what is published is on the primary at once and on the secondary after its lag, serials tell', async () => {
  const clock = standingClock();
  await using net = await world({clock});
  const at = (server: typeof PRIMARY): Promise<Outcome> =>
    ask(net.ports, server, {name: NAME, type: 'TXT'}, {recursion: false});
  const soa = (server: typeof PRIMARY): Promise<Outcome> =>
    ask(net.ports, server, {name: dnsName('example.org'), type: 'SOA'}, {recursion: false});
  const before = serial(await soa(PRIMARY)) ?? 0;
  expect(before).toBe(2026_11_21_01);

  net.demo.publish(NAME, VALUE);
  expect([texts(await at(PRIMARY)), texts(await at(SECONDARY))]).toEqual([[VALUE], []]);
  expect([serial(await soa(PRIMARY)), serial(await soa(SECONDARY))]).toEqual([before + 1, before]);

  await clock.move(5900);
  expect(texts(await at(SECONDARY))).toEqual([]);
  await clock.move(100);
  expect(texts(await at(SECONDARY))).toEqual([VALUE]);
  expect(serial(await soa(SECONDARY))).toBe(before + 1);

  net.demo.withdraw(NAME);
  expect([texts(await at(PRIMARY)), texts(await at(SECONDARY))]).toEqual([[], [VALUE]]);
});

test('the resolver remembers that nothing is there for the negative TTL, as a real one does', async () => {
  const clock = standingClock();
  await using net = await world({clock, servers: demoServers.map(server => ({...server, lagMs: 0}))});
  const asked = (): Promise<Outcome> =>
    ask(net.ports, RESOLVER, {name: NAME, type: 'TXT'}, {recursion: true});
  expect(texts(await asked())).toEqual([]);
  net.demo.publish(NAME, VALUE);
  await clock.move(3000);
  const denied = await asked();
  expect(texts(denied)).toEqual([]);
  const left = denied.kind === 'answer' ? denied.message.authorities[0]?.ttlSeconds : undefined;
  expect(left).toBe(7);
  await clock.move(8000);
  expect(texts(await asked())).toEqual([VALUE]);
});

test('only the addresses of the sandbox have a route', async () => {
  await using net = await world();
  const away = await ask(
    net.ports,
    {address: '192.0.2.200', port: 53},
    {name: NAME, type: 'TXT'},
    {recursion: false},
  );
  expect(away).toEqual({kind: 'no-route', code: 'ENETUNREACH'});
  expect(await net.ports.dns.hostResolvers()).toEqual([RESOLVER]);
});

test('a name outside of every zone cannot be published', async () => {
  await using net = await world();
  expect(() => net.demo.publish('a.example.dev', 'x')).toThrow('no zone');
});

test('after closing nobody answers, and a transfer under way is dropped', async () => {
  const net = await world();
  net.demo.publish(NAME, VALUE);
  const to = net.demo.route(PRIMARY);
  if (to === undefined) throw new TypeError('no route');
  await net.demo.close();
  const transport = {...net.ports, dns: realTransport};
  expect(await ask(transport, to, {name: NAME, type: 'TXT'}, {recursion: false})).toEqual({
    kind: 'silent',
    code: 'ECONNREFUSED',
  });
});

test('two sandboxes stand side by side', async () => {
  await using one = await world();
  const clock = one.ports.clock;
  const two = await startDemoDns({clock});
  try {
    two.publish(NAME, VALUE);
    const ports = {...one.ports, dns: createDemoTransport(realTransport, two)};
    expect(texts(await ask(ports, PRIMARY, {name: NAME, type: 'TXT'}, {recursion: false}))).toEqual([VALUE]);
    expect(texts(await ask(one.ports, PRIMARY, {name: NAME, type: 'TXT'}, {recursion: false}))).toEqual([]);
  } finally {
    await two.close();
  }
});

test('a dozen records on their way to the secondary are no leak to warn of', async () => {
  const warnings: string[] = [];
  const hear = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', hear);
  try {
    await using net = await world();
    for (let count = 0; count < 12; count++) net.demo.publish(dnsName(`s${count}.example.org`), VALUE);
    await net.ports.clock.sleep(100);
  } finally {
    process.off('warning', hear);
  }
  expect(warnings).toEqual([]);
});
