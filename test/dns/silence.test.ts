/** Servers that do not answer: given up by evidence, named, tried again; never taken for servers that have nothing. */
import {decode, encode} from 'dns-packet';
import {describe, expect, it} from 'vitest';
import {ask, type DnsPorts} from '../../src/dns/client.ts';
import {createGate} from '../../src/dns/many/gate.ts';
import {checkMany, type KeyFinding} from '../../src/dns/many/index.ts';
import {createSilence} from '../../src/dns/silence.ts';
import type {DnsServer} from '../../src/system/ports.ts';
import {domainOf, selectorOf} from '../support/fake-operations.ts';
import {dnsName, standingClock} from './world.ts';

const RESOLVER = {address: '10.53.0.53', port: 53};
const NAMES = 1000;
const AT_ONCE = 32;
/** Of all that are asked side by side when the twentieth time-out is seen, and one as proof. */
const AT_MOST = 2 * AT_ONCE;

type Reply = 'answer' | 'silent' | 'closed' | 'cut' | 'other-case';

/** A server as `reply` says for each name and way; what reaches it is counted. */
function world(reply: (name: string, way: 'udp' | 'tcp') => Reply) {
  const asked: string[] = [];
  const clock = standingClock();
  const answerTo = (query: Uint8Array, how: Reply): Uint8Array => {
    const packet = decode(Buffer.from(query));
    const [question] = packet.questions ?? [];
    const name = question?.name ?? '';
    const spelled = how === 'other-case' ? name.toLowerCase() : name;
    return encode({
      type: 'response',
      id: packet.id ?? 0,
      flags: 0x8180 | (how === 'cut' ? 0x0200 : 0),
      questions: question === undefined ? [] : [{...question, name: spelled}],
      answers: [],
    });
  };
  const refuse = (code: string): never => {
    throw Object.assign(new Error(code), {code});
  };
  const exchange = async (
    way: 'udp' | 'tcp',
    query: Uint8Array,
    accept: (answer: Uint8Array) => boolean,
  ): Promise<Uint8Array> => {
    const name = (decode(Buffer.from(query)).questions?.[0]?.name ?? '').toLowerCase();
    asked.push(`${way} ${name}`);
    await new Promise(resolve => setImmediate(resolve));
    const how = reply(name, way);
    if (how === 'silent') return refuse('ETIMEDOUT');
    if (how === 'closed') return refuse('ECONNREFUSED');
    const answer = answerTo(query, how);
    return accept(answer) ? answer : refuse('ETIMEDOUT');
  };
  const ports: DnsPorts = {
    clock,
    random: {bytes: length => Uint8Array.from({length}, () => Math.floor(Math.random() * 256))},
    dns: {
      udp: (_, query, {accept}) => exchange('udp', query, accept),
      tcp: (_, query) => exchange('tcp', query, () => true),
      hostResolvers: async () => [RESOLVER],
    },
  };
  return {ports, asked, clock};
}

const names = Array.from({length: NAMES}, (_, at) => dnsName(`d${at}.example`));

/** Asks for every name, as a look at many records does. */
async function askAll(ports: DnsPorts, server: DnsServer = RESOLVER, recursion = true): Promise<number> {
  const gate = createGate(AT_ONCE);
  const outcomes = await Promise.all(
    names.map(name => gate.run(() => ask(ports, server, {name, type: 'TXT'}, {recursion}))),
  );
  return outcomes.filter(({kind}) => kind === 'answer').length;
}

describe('a silent server', () => {
  it.each([
    ['a resolver over UDP', RESOLVER, true, 'udp'],
    ['a resolver over TCP', {...RESOLVER, transport: 'tcp'} as const, true, 'tcp'],
    ['a name server', RESOLVER, false, 'udp'],
  ])('is not asked again for a thousand names: %s', async (_, server, recursion, way) => {
    const {ports, asked} = world(() => 'silent');
    const silence = createSilence(ports);
    expect(await askAll({...ports, dns: silence.dns}, server, recursion)).toBe(0);
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.length).toBeLessThanOrEqual(AT_MOST);
    expect(asked.every(each => each.startsWith(way))).toBe(true);
  });

  it('is named by those that it was not asked for, with the number of queries', async () => {
    const {ports} = world(() => 'silent');
    const silence = createSilence(ports);
    const early = silence.watched();
    await ask(
      {...ports, dns: early.dns},
      RESOLVER,
      {name: dnsName('early.example'), type: 'TXT'},
      {recursion: true},
    );
    expect(early.unasked()).toEqual([]);
    await askAll({...ports, dns: silence.dns});
    const late = silence.watched();
    await ask(
      {...ports, dns: late.dns},
      RESOLVER,
      {name: dnsName('late.example'), type: 'TXT'},
      {recursion: true},
    );
    expect(late.unasked()).toEqual([{...RESOLVER, unanswered: expect.any(Number)}]);
    expect(late.unasked()[0]?.unanswered).toBeGreaterThan(20);
  });

  it('is tried with one query after a minute, and asked again where it answers', async () => {
    let how: Reply = 'silent';
    const {ports, asked, clock} = world(() => how);
    const silence = createSilence(ports);
    const given = {...ports, dns: silence.dns};
    await askAll(given);
    const before = asked.length;
    await clock.move(59_000);
    expect(await askAll(given)).toBe(0);
    expect(asked.length).toBe(before);
    await clock.move(2000);
    expect(await askAll(given)).toBe(0);
    expect(asked.length).toBe(before + 1);
    await clock.move(61_000);
    how = 'answer';
    expect(await askAll(given)).toBe(NAMES);
  });
});

describe('a server that is there is never given up', () => {
  it.each<[string, (name: string, way: 'udp' | 'tcp', count: number) => Reply]>([
    [
      'a resolver that waits for dead name servers, but has the root',
      name => (name === '.' ? 'answer' : 'silent'),
    ],
    [
      'every twentieth query gets an answer',
      (_name, _way, count) => (count % 20 === 0 ? 'answer' : 'silent'),
    ],
    ['a closed port, which says so at once', () => 'closed'],
    ['it changes the case of names', () => 'other-case'],
    ['UDP is cut short, TCP is silent', (_name, way) => (way === 'udp' ? 'cut' : 'silent')],
  ])('%s', async (_, reply) => {
    let count = 0;
    const {ports, asked} = world((name, way) => {
      count += 1;
      return reply(name, way, count);
    });
    await askAll({...ports, dns: createSilence(ports).dns});
    expect(new Set(asked.filter(each => each.startsWith('udp ') && each !== 'udp .')).size).toBe(NAMES);
  });
});

it('check --dns asks it little, and says of no record that it is absent', async () => {
  const {ports, asked} = world(() => 'silent');
  const found: KeyFinding[] = [];
  const keys = names.map(name => ({
    domain: domainOf(name),
    selector: selectorOf('202611'),
    expected: undefined,
  }));
  await checkMany(ports, keys, {onFinding: finding => void found.push(finding)});
  expect(found).toHaveLength(NAMES);
  expect(new Set(found.map(({mistake}) => mistake?.id))).toEqual(new Set(['dns.no-resolver']));
  expect(found.filter(({unasked}) => unasked !== undefined).length).toBeGreaterThan(NAMES - 200);
  expect(asked.length).toBeLessThanOrEqual(100);
});
