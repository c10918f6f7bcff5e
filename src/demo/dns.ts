/**
 * The sandbox's own DNS: a primary and a lagging secondary on real sockets, and a resolver with a cache that forgets
 * nothing too early. The program sees documentation addresses (RFC 5737, RFC 3849); packets go over the loopback.
 */
import {decode, type Question} from 'dns-packet';
import type {Clock, DnsServer, DnsTransport} from '../system/ports.ts';
import {type RunningServer, serveDns} from './dns-server.ts';
import {
  deepest,
  encodeReply,
  type Reply,
  refusal,
  replyFrom,
  type ZoneData,
  type ZoneRecord,
} from './dns-zone.ts';

export interface DemoServer {
  /** As in the NS records. */
  readonly name: string;
  /** Documentation addresses under which the program knows it. */
  readonly addresses: readonly string[];
  /** 0 for the primary: milliseconds until it has what was published. */
  readonly lagMs: number;
  /** Apexes of the zones that it carries. */
  readonly zones: readonly string[];
}

export type Misbehaviour = 'silent' | 'refuse' | 'lame' | 'truncate' | undefined;

export interface DemoDnsOptions {
  readonly clock: Clock;
  /** Default: `demoZones`. The serial is the day of the clock and a counter. */
  readonly zones?: readonly Omit<ZoneData, 'serial'>[];
  /** Default: `demoServers`. */
  readonly servers?: readonly DemoServer[];
  /** How a server fails at a question; for showing and testing trouble. */
  readonly misbehave?: (server: string, question: Question, via: 'udp' | 'tcp') => Misbehaviour;
}

export interface AskedQuestion {
  /** Name of the server, or `resolver`. */
  readonly server: string;
  readonly name: string;
  readonly type: string;
  readonly via: 'udp' | 'tcp';
  /** Milliseconds of the clock. */
  readonly at: number;
}

export interface DemoDns {
  /** Adds a TXT record on the primary, as a person does in a panel; one entry a character-string. */
  publish(name: string, strings: string | readonly string[]): void;
  /** Removes every record at the name. */
  withdraw(name: string): void;
  /** Where the packets for a documentation address go; undefined where there is no route. */
  route(server: DnsServer): DnsServer | undefined;
  readonly resolver: DnsServer;
  readonly asked: readonly AskedQuestion[];
  close(): Promise<void>;
}

const DEMO_RESOLVER: DnsServer = {address: '192.0.2.53', port: 53};
const DNS_PORT = 53;
const MAX_CHAIN = 8;

/** The lag is long enough to be seen and short enough to be waited for. */
export const demoServers: readonly DemoServer[] = [
  {name: 'ns1.example.org', addresses: ['198.51.100.53'], lagMs: 0, zones: ['example.org']},
  {
    name: 'ns2.example.org',
    addresses: ['203.0.113.53', '2001:db8::53'],
    lagMs: 6000,
    zones: ['example.org'],
  },
];

const registry = (apex: string): Omit<ZoneData, 'serial'> => ({
  apex,
  primary: 'a.registry.example',
  negativeTtl: 10,
  records: [],
});

export const demoZones: readonly Omit<ZoneData, 'serial'>[] = [
  ...['org', 'com', 'net'].map(registry),
  {
    apex: 'example.org',
    primary: 'ns1.example.org',
    negativeTtl: 10,
    records: [
      {name: 'example.org', ttl: 300, type: 'NS', data: 'ns1.example.org'},
      {name: 'example.org', ttl: 300, type: 'NS', data: 'ns2.example.org'},
      {name: 'ns1.example.org', ttl: 300, type: 'A', data: '198.51.100.53'},
      {name: 'ns2.example.org', ttl: 300, type: 'A', data: '203.0.113.53'},
      {name: 'ns2.example.org', ttl: 300, type: 'AAAA', data: '2001:db8::53'},
      {name: 'mail.example.org', ttl: 300, type: 'A', data: '198.51.100.25'},
      {name: 'example.org', ttl: 300, type: 'TXT', data: ['v=spf1 a:mail.example.org -all']},
    ],
  },
];

export async function startDemoDns(options: DemoDnsOptions): Promise<DemoDns> {
  const sandbox = new DemoDnsServers(options);
  await sandbox.start();
  return sandbox;
}

/** The transport of the sandbox: a real one, with the documentation addresses led to the sandbox's servers and nowhere else. */
export function createDemoTransport(real: Pick<DnsTransport, 'udp' | 'tcp'>, demo: DemoDns): DnsTransport {
  const routed = (server: DnsServer): DnsServer => {
    const to = demo.route(server);
    if (to === undefined) throw Object.assign(new Error('network is unreachable'), {code: 'ENETUNREACH'});
    return to;
  };
  return {
    udp: async (server, query, exchange) => real.udp(routed(server), query, exchange),
    tcp: async (server, query, exchange) => real.tcp(routed(server), query, exchange),
    hostResolvers: async () => [demo.resolver],
  };
}

interface Cached {
  readonly reply: Reply;
  readonly storedAt: number;
  readonly ttl: number;
}

class DemoDnsServers implements DemoDns {
  readonly resolver = DEMO_RESOLVER;
  readonly asked: AskedQuestion[] = [];
  readonly #options: DemoDnsOptions;
  readonly #servers: readonly DemoServer[];
  readonly #carried = new Map<string, Map<string, ZoneData>>();
  readonly #all = new Map<string, ZoneData>();
  readonly #running = new Map<string, RunningServer>();
  readonly #cache = new Map<string, Cached>();
  readonly #closing = new AbortController();

  constructor(options: DemoDnsOptions) {
    this.#options = options;
    this.#servers = options.servers ?? demoServers;
    const day = Number(options.clock.now().toISOString().slice(0, 10).replaceAll('-', ''));
    for (const zone of options.zones ?? demoZones) this.#all.set(zone.apex, {...zone, serial: day * 100 + 1});
    for (const server of this.#servers) {
      const zones = server.zones.flatMap(apex => {
        const zone = this.#all.get(apex);
        return zone === undefined ? [] : [[apex, zone] as const];
      });
      this.#carried.set(server.name, new Map(zones));
    }
  }

  async start(): Promise<void> {
    for (const server of this.#servers) {
      this.#running.set(server.name, await serveDns((query, via) => this.#answer(server, query, via)));
    }
    this.#running.set('resolver', await serveDns((query, via) => this.#resolve(query, via)));
  }

  publish(name: string, strings: string | readonly string[]): void {
    const data = typeof strings === 'string' ? (strings.match(/[\s\S]{1,255}/g) ?? ['']) : strings;
    this.#change(name, records => [...records, {name, ttl: 300, type: 'TXT', data}]);
  }

  withdraw(name: string): void {
    this.#change(name, records => records.filter(record => record.name !== name));
  }

  route(server: DnsServer): DnsServer | undefined {
    if (server.port !== DNS_PORT) return undefined;
    const name =
      server.address === DEMO_RESOLVER.address
        ? 'resolver'
        : this.#servers.find(each => each.addresses.includes(server.address))?.name;
    return name === undefined ? undefined : this.#running.get(name);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#running.values()].map(server => server.close()));
  }

  #change(name: string, edit: (records: readonly ZoneRecord[]) => readonly ZoneRecord[]): void {
    const zone = deepest([...this.#all.values()], name);
    if (zone === undefined) throw new TypeError(`the sandbox has no zone for ${name}`);
    const changed = {...zone, serial: zone.serial + 1, records: edit(zone.records)};
    this.#all.set(zone.apex, changed);
    for (const server of this.#servers) {
      const carried = this.#carried.get(server.name);
      if (carried?.has(zone.apex) !== true) continue;
      if (server.lagMs === 0) carried.set(zone.apex, changed);
      else void this.#transfer(server, changed);
    }
  }

  /** A secondary takes the zone over as it was when the lag began, and never goes back to an older one. */
  async #transfer(server: DemoServer, zone: ZoneData): Promise<void> {
    try {
      // A signal of its own: many transfers at once must not be many listeners on one (Node warns from eleven on).
      await this.#options.clock.sleep(server.lagMs, AbortSignal.any([this.#closing.signal]));
    } catch {
      return;
    }
    const carried = this.#carried.get(server.name);
    if ((carried?.get(zone.apex)?.serial ?? 0) < zone.serial) carried?.set(zone.apex, zone);
  }

  #answer(server: DemoServer, octets: Buffer, via: 'udp' | 'tcp'): Buffer | undefined {
    const query = readQuery(octets);
    if (query === undefined) return undefined;
    this.#note(server.name, query, via);
    const fault = this.#options.misbehave?.(server.name, query.question, via);
    if (fault === 'silent') return undefined;
    const zones = [...(this.#carried.get(server.name)?.values() ?? [])];
    const reply = replyFrom(zones, query.question);
    if (fault === 'refuse') return encodeReply(query, refusal, query.limit);
    if (fault === 'lame') return encodeReply(query, {...reply, authoritative: false}, query.limit);
    const limit = via === 'tcp' ? 65_535 : fault === 'truncate' ? 0 : query.limit;
    return encodeReply(query, reply, limit);
  }

  #resolve(octets: Buffer, via: 'udp' | 'tcp'): Buffer | undefined {
    const query = readQuery(octets);
    if (query === undefined) return undefined;
    this.#note('resolver', query, via);
    const fault = this.#options.misbehave?.('resolver', query.question, via);
    if (fault === 'silent') return undefined;
    const reply = fault === 'refuse' ? refusal : this.#lookup(query.question);
    return encodeReply({...query, recursion: true}, reply, via === 'tcp' ? 65_535 : query.limit);
  }

  #note(server: string, {question}: {readonly question: Question}, via: 'udp' | 'tcp'): void {
    const {name, type} = question;
    this.asked.push({
      server,
      name: name.toLowerCase().replace(/\.$/, ''),
      type,
      via,
      at: this.#options.clock.now().getTime(),
    });
  }

  /** From the cache with what is left of its TTL, negative answers too (RFC 2308). */
  #lookup(question: Question): Reply {
    const key = `${question.name.toLowerCase()}/${question.type}`;
    const now = this.#options.clock.now().getTime();
    const cached = this.#cache.get(key);
    const age = cached === undefined ? 0 : Math.floor((now - cached.storedAt) / 1000);
    if (cached !== undefined && age < cached.ttl) return aged(cached.reply, age);
    const reply = this.#fresh(question);
    const ttls = [...reply.answers, ...reply.authorities].map(record =>
      'ttl' in record ? (record.ttl ?? 0) : 0,
    );
    this.#cache.set(key, {reply, storedAt: now, ttl: Math.min(...ttls, 3600)});
    return reply;
  }

  /** As the slowest server has it: who asks too early gets the old state into the cache. */
  #fresh(question: Question): Reply {
    const chain: Reply['answers'][number][] = [];
    let name = question.name.toLowerCase().replace(/\.$/, '');
    for (let left = MAX_CHAIN; left > 0; left--) {
      const reply = this.#oldest(name, question.type);
      const alias = reply.answers.flatMap(record => (record.type === 'CNAME' ? [record.data] : []))[0];
      chain.push(...reply.answers);
      if (alias === undefined || question.type === 'CNAME') {
        return {...reply, authoritative: false, answers: chain, additionals: []};
      }
      name = alias;
    }
    return {rcode: 2, authoritative: false, answers: [], authorities: [], additionals: []};
  }

  #oldest(name: string, type: Question['type']): Reply {
    const zone = deepest([...this.#all.values()], name);
    if (zone === undefined) return {...refusal, rcode: 3};
    const versions = this.#servers.flatMap(server => {
      const carried = this.#carried.get(server.name)?.get(zone.apex);
      return carried === undefined ? [] : [carried];
    });
    const oldest = versions.reduce((old, each) => (each.serial < old.serial ? each : old), zone);
    return replyFrom([oldest], {name, type});
  }
}

const aged = (reply: Reply, age: number): Reply => {
  const older = (records: Reply['answers']): Reply['answers'] =>
    records.map(record =>
      'ttl' in record ? {...record, ttl: Math.max(0, (record.ttl ?? 0) - age)} : record,
    );
  return {...reply, answers: older(reply.answers), authorities: older(reply.authorities)};
};

interface ReadQuery {
  readonly id: number;
  readonly question: Question;
  readonly recursion: boolean;
  /** Octets that fit into an answer over UDP. */
  readonly limit: number;
}

function readQuery(octets: Buffer): ReadQuery | undefined {
  try {
    const packet = decode(octets);
    const [question] = packet.questions ?? [];
    if (question === undefined || packet.type !== 'query') return undefined;
    const edns = packet.additionals?.find(record => record.type === 'OPT');
    return {
      id: packet.id ?? 0,
      question,
      recursion: packet.flag_rd,
      limit: Math.max(512, edns?.type === 'OPT' ? edns.udpPayloadSize : 512),
    };
  } catch {
    return undefined;
  }
}
