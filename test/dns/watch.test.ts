import {expect, test} from 'vitest';
import {demoServers, demoZones, type Misbehaviour} from '../../src/demo/dns.ts';
import type {Survey, Zone} from '../../src/dns/survey.ts';
import {pause, watchRecord} from '../../src/dns/watch.ts';
import {NAME, stale, VALUE, type World, worked, world, zoneOf} from './world.ts';

interface Watched {
  readonly final: Survey;
  readonly surveys: readonly Survey[];
}

async function watch(net: World, zone: Zone, deadlineMs: number | undefined): Promise<Watched> {
  const surveys: Survey[] = [];
  const final = await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {deadlineMs, onSurvey: survey => surveys.push(survey)},
  );
  return {final, surveys};
}

const isForRecord = (question: string): boolean => question === `${NAME}/TXT`;

test('waits until the lagging secondary has it, and only then asks the resolver', async () => {
  // Behind for longer than any pause between two rounds.
  await using net = await world({
    servers: demoServers.map(server => ({...server, lagMs: server.lagMs === 0 ? 0 : 20_000})),
  });
  const zone = await zoneOf(net.ports, NAME);
  setTimeout(() => net.demo.publish(NAME, VALUE), 50);
  const {final, surveys} = await watch(net, zone, undefined);

  expect(final).toMatchObject({agreed: true, settled: true, resolver: 'matching', nextAt: undefined});
  expect(final.servers.map(view => view.status)).toEqual(['matching', 'matching', 'matching']);
  const partly = surveys.filter(
    each => each.servers[0]?.status === 'matching' && each.servers[1]?.status === 'absent',
  );
  expect(partly.length).toBeGreaterThan(0);
  expect(partly.every(each => !each.agreed && each.resolver === 'not-asked')).toBe(true);
  expect(surveys[0]?.servers.map(view => view.status)).toEqual(['asking', 'asking', 'asking']);
  expect(surveys.at(-1)).toEqual(final);
  // Each report says something new.
  const contents = surveys.map(survey => JSON.stringify({...survey, at: ''}));
  expect(contents.filter((content, at) => content === contents[at - 1])).toEqual([]);

  // The one question at the resolver came after the secondary had answered with the record.
  const asked = net.demo.asked.filter(
    each => each.server === 'resolver' && isForRecord(`${each.name}/${each.type}`),
  );
  expect(asked).toHaveLength(1);
  const lastRound = net.demo.asked
    .filter(each => each.server === 'ns2.example.org' && each.type === 'TXT')
    .at(-1);
  expect(asked[0]?.at ?? 0).toBeGreaterThanOrEqual(lastRound?.at ?? Number.POSITIVE_INFINITY);
});

test('a negative answer that somebody else put into the cache is waited out', async () => {
  // Remembered for two seconds of this machine: the servers agree long before.
  await using net = await world({
    servers: demoServers.map(server => ({...server, lagMs: 0})),
    zones: demoZones.map(zone => (zone.apex === 'example.org' ? {...zone, negativeTtl: 40} : zone)),
  });
  const zone = await zoneOf(net.ports, NAME);
  const {resolve} = await import('../../src/dns/resolver.ts');
  await resolve(net.ports, {name: NAME, type: 'TXT'}, {});
  net.demo.publish(NAME, VALUE);
  const {final, surveys} = await watch(net, zone, undefined);
  expect(surveys.some(each => each.agreed && !each.settled && each.resolver === 'absent')).toBe(true);
  expect(final).toMatchObject({agreed: true, settled: true, resolver: 'matching'});
});

test('a resolver that goes on denying the record is waited for no longer than the negative TTL', async () => {
  let fault: Misbehaviour;
  await using net = await world({misbehave: () => fault});
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(NAME, VALUE);
  await net.ports.clock.sleep(6100);
  // A resolver with a view of its own, as inside of a company: the same servers, another zone.
  await using other = await world();
  const ports = {
    ...net.ports,
    dns: {
      ...net.ports.dns,
      udp: (...[server, query, exchange]: Parameters<typeof net.ports.dns.udp>) =>
        (server.address === '192.0.2.53' ? other : net).ports.dns.udp(server, query, exchange),
    },
  };
  fault = undefined;
  const final = await watchRecord(
    ports,
    {name: NAME, expected: VALUE, zone},
    {deadlineMs: undefined, onSurvey: () => undefined},
  );
  expect(final).toMatchObject({agreed: true, settled: false, resolver: 'absent', nextAt: undefined});
  // Fifteen seconds: pauses of one, two, three and twice five.
  expect(other.resolverQuestions().filter(isForRecord).length).toBeLessThanOrEqual(7);
});

test('a resolver that refuses or is not there holds nothing up', async () => {
  await using net = await world({misbehave: server => (server === 'resolver' ? 'refuse' : undefined)});
  await using plain = await world();
  const zone = await zoneOf(plain.ports, NAME);
  net.demo.publish(NAME, VALUE);
  await net.ports.clock.sleep(6100);
  const {final} = await watch(net, zone, undefined);
  expect(final).toMatchObject({agreed: true, settled: true, resolver: 'timeout'});
});

test('the deadline ends it with what is known; 0 asks once', async () => {
  await using net = await world(stale);
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(NAME, VALUE);
  const once = await watch(net, zone, 0);
  expect(once.final.servers.map(view => view.status)).toEqual(['matching', 'absent', 'absent']);
  expect(once.final).toMatchObject({agreed: false, settled: false, nextAt: undefined, resolver: 'not-asked'});
  expect(net.demo.asked.filter(each => each.type === 'TXT')).toHaveLength(3);
  expect(net.resolverQuestions().filter(isForRecord)).toEqual([]);
});

test('a silent server does not hold the rounds of the others up', async () => {
  await using net = await world({
    factor: 1,
    misbehave: (server, question) =>
      server === 'ns2.example.org' && question.type === 'TXT' ? 'silent' : undefined,
  });
  const zone = await zoneOf(net.ports, NAME);
  let published = false;
  let silentWhenSeen: readonly string[] | undefined;
  let silentAsked: number | undefined;
  const leaving = new AbortController();
  await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {
      deadlineMs: undefined,
      signal: leaving.signal,
      onSurvey: ({servers}) => {
        const [other, ...silent] = servers.map(({status}) => status);
        // Published once the first round has looked in vain: only a further round can see it.
        if (other === 'absent' && !published) net.demo.publish(NAME, VALUE);
        published ||= other === 'absent';
        if (other === 'matching') silentWhenSeen ??= silent;
        if (silent.some(status => status === 'asking')) return;
        silentAsked = net.demo.asked.filter(
          each => each.server === 'ns2.example.org' && each.type === 'TXT',
        ).length;
        leaving.abort();
      },
    },
  ).catch(() => undefined);
  expect(silentWhenSeen).toEqual(['asking', 'asking']);
  // While it is being asked, on two addresses with two tries each, it is not asked over again.
  expect(silentAsked).toBeLessThanOrEqual(4);
});

test('what is shown changes four times a second at most, and the last state always comes', async () => {
  await using net = await world({factor: 1});
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(NAME, VALUE);
  let shown = 0;
  const begun = performance.now();
  await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {deadlineMs: 2500, onSurvey: () => shown++},
  );
  const quarters = Math.ceil((performance.now() - begun) / 250);
  expect(shown).toBeGreaterThan(2);
  // The first and the last are not held back.
  expect(shown).toBeLessThanOrEqual(quarters + 2);
});

test('a record entered with the domain twice is found and named while everything is absent', async () => {
  await using net = await world();
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(`${NAME}.example.org`, VALUE);
  await net.ports.clock.sleep(6100);
  const surveys: Survey[] = [];
  const leaving = new AbortController();
  await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {
      deadlineMs: undefined,
      signal: leaving.signal,
      onSurvey: survey => {
        surveys.push(survey);
        if (survey.servers.some(view => view.mistake !== undefined)) leaving.abort();
      },
    },
  ).catch(() => undefined);
  expect(surveys.at(-1)?.servers.map(view => view.mistake?.id)).toEqual(Array(3).fill('dns.doubled-domain'));
  expect(surveys[1]?.servers[0]?.mistake).toBeUndefined();
  expect(net.resolverQuestions().filter(each => each.includes('_domainkey'))).toEqual([]);
});

test('the mistake is forgotten as soon as one server has the record', async () => {
  // Behind for longer than any pause between two rounds.
  await using net = await world({
    servers: demoServers.map(server => ({...server, lagMs: server.lagMs === 0 ? 0 : 30_000})),
  });
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(`${NAME}.example.org`, VALUE);
  const surveys: Survey[] = [];
  let corrected = false;
  const final = await watchRecord(
    net.ports,
    {name: NAME, expected: VALUE, zone},
    {
      deadlineMs: undefined,
      onSurvey: survey => {
        surveys.push(survey);
        if (corrected || survey.servers[0]?.mistake === undefined) return;
        corrected = true;
        net.demo.publish(NAME, VALUE);
      },
    },
  );
  const lagging = surveys.filter(each => each.servers[0]?.status === 'matching');
  expect(lagging.some(each => each.servers[1]?.status === 'absent')).toBe(true);
  expect(lagging.flatMap(each => each.servers.map(view => view.mistake?.id))).not.toContain(
    'dns.doubled-domain',
  );
  expect(final.settled).toBe(true);
});

test('leaving ends it with the reason of the signal, at once', async () => {
  await using net = await world({factor: 1});
  const zone = await zoneOf(net.ports, NAME);
  const leaving = new AbortController();
  const reason = new Error('left');
  setTimeout(() => leaving.abort(reason), 150);
  const begun = worked.now();
  await expect(
    watchRecord(
      net.ports,
      {name: NAME, expected: VALUE, zone},
      {deadlineMs: undefined, signal: leaving.signal, onSurvey: () => undefined},
    ),
  ).rejects.toBe(reason);
  expect(worked.now() - begun).toBeLessThan(5000);
});

test('pauses grow by the table, stay within the negative TTL and never fall below a second', () => {
  const zone = (negativeTtlSeconds: number): {zone: Zone} => ({zone: {negativeTtlSeconds} as Zone});
  const random = (octet: number) => ({random: {bytes: () => new Uint8Array([octet])}});
  const seconds = [0, 1, 2, 3, 11, 500].map(round => pause(random(128), zone(3600), round) / 1000);
  expect(seconds.map(Math.round)).toEqual([1, 2, 3, 5, 60, 60]);
  expect(Math.round(pause(random(128), zone(5), 11) / 1000)).toBe(5);
  expect(pause(random(0), zone(3600), 0)).toBe(1000);
  expect(pause(random(0), zone(3600), 11)).toBe(54_000);
  expect(pause(random(255), zone(3600), 11)).toBe(66_000);
});

test('no server in reach: the word of the resolver ends the wait only where that is wished', async () => {
  await using net = await world({servers: demoServers.map(server => ({...server, lagMs: 0}))});
  const zone = await zoneOf(net.ports, NAME);
  net.demo.publish(NAME, VALUE);
  const {dns, clock} = net.ports;
  const udp: typeof dns.udp = async (server, query, exchange) => {
    if (server.address === net.demo.resolver.address) return dns.udp(server, query, exchange);
    await clock.sleep(exchange.timeoutMs, exchange.signal);
    throw Object.assign(new Error('dropped'), {code: 'ETIMEDOUT'});
  };
  const ports = {...net.ports, dns: {...dns, udp}};
  const subject = {name: NAME, expected: VALUE, zone};
  const onSurvey = (): void => undefined;
  const without = await watchRecord(ports, subject, {deadlineMs: 20_000, onSurvey});
  expect(without).toMatchObject({settled: false, resolver: 'matching', weaker: {id: 'dns.port-blocked'}});
  // Without a deadline: nothing else would end it.
  const final = await watchRecord(ports, subject, {deadlineMs: undefined, onSurvey, resolverOnly: true});
  expect(final).toMatchObject({agreed: false, settled: false, resolver: 'matching'});
});
