/** The sandbox's DNS as the counterpart of the DNS room: real packets, a clock that runs faster. */
import {
  createDemoTransport,
  type DemoDns,
  type DemoDnsOptions,
  type DemoServer,
  demoServers,
  startDemoDns,
} from '../../src/demo/dns.ts';
import type {DnsPorts} from '../../src/dns/client.ts';
import type {Zone} from '../../src/dns/survey.ts';
import {findZone} from '../../src/dns/zone.ts';
import {type DnsName, parseDnsName} from '../../src/domain/names.ts';
import type {Clock, DnsTransport, Files} from '../../src/system/ports.ts';
import {createDnsTransport} from '../../src/system/real/dns-transport.ts';
import {createRandom} from '../../src/system/real/random.ts';
import {workingClock, workingTime} from '../support/working-time.ts';

/** `factor` seconds pass in one in which this process could work. */
export const fastClock = (factor: number): Clock => workingClock(worked, factor);

export const worked = workingTime();

/** Time that stands still until it is moved: what is between two questions does not depend on how busy the machine is. */
export function standingClock(): Clock & {move(ms: number): Promise<void>} {
  let now = Date.UTC(2026, 10, 21, 10);
  const sleepers = new Set<{readonly until: number; wake(): void}>();
  return {
    now: () => new Date(now),
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = {until: now + ms, wake: resolve};
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          if (sleepers.delete(sleeper)) reject(signal.reason);
        });
      }),
    async move(ms) {
      now += ms;
      for (const sleeper of [...sleepers].filter(({until}) => until <= now)) {
        sleepers.delete(sleeper);
        sleeper.wake();
      }
      await new Promise(resolve => setImmediate(resolve));
    },
  };
}

const noFiles = {read: async () => undefined} as unknown as Files;

/** Real sockets; resolv.conf is not read. */
export const realTransport: DnsTransport = createDnsTransport(noFiles);

/** The same, with limits in working time: a machine that is busy elsewhere makes no server silent. */
const patientTransport: Pick<DnsTransport, 'udp' | 'tcp'> = {
  udp: (server, query, exchange) =>
    withinLimit(exchange, changed => realTransport.udp(server, query, {...exchange, ...changed})),
  tcp: (server, query, exchange) =>
    withinLimit(exchange, changed => realTransport.tcp(server, query, {...exchange, ...changed})),
};

async function withinLimit(
  {timeoutMs, signal}: {readonly timeoutMs: number; readonly signal?: AbortSignal},
  exchange: (changed: {timeoutMs: number; signal: AbortSignal}) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const ending = new AbortController();
  const either = signal === undefined ? ending.signal : AbortSignal.any([signal, ending.signal]);
  const limit = worked.sleep(timeoutMs, either).then(() => {
    throw Object.assign(new Error('the server did not answer in time'), {code: 'ETIMEDOUT'});
  });
  try {
    return await Promise.race([exchange({timeoutMs: 600_000, signal: either}), limit]);
  } finally {
    ending.abort();
    limit.catch(() => undefined);
  }
}

export interface World {
  readonly ports: DnsPorts;
  readonly demo: DemoDns;
  /** Questions that reached the resolver, as `name/type`. */
  resolverQuestions(): readonly string[];
  [Symbol.asyncDispose](): Promise<void>;
}

export async function world(options: Partial<DemoDnsOptions> & {factor?: number} = {}): Promise<World> {
  const {clock = fastClock(options.factor ?? 20)} = options;
  const demo = await startDemoDns({...options, clock});
  return {
    demo,
    ports: {dns: createDemoTransport(patientTransport, demo), clock, random: createRandom()},
    resolverQuestions: () =>
      demo.asked.filter(each => each.server === 'resolver').map(each => `${each.name}/${each.type}`),
    [Symbol.asyncDispose]: () => demo.close(),
  };
}

export function dnsName(text: string): DnsName {
  const parsed = parseDnsName(text);
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return parsed.value;
}

export async function zoneOf(ports: DnsPorts, name: string): Promise<Zone> {
  const zone = await findZone(ports, dnsName(name), {});
  if (!zone.ok) throw new TypeError(zone.problem.message);
  return zone.value;
}

/** Of the length that an RSA key of 2048 bits has; what it says does not matter to DNS. */
export const KEY =
  `MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA${'q7Zt3Vx9LpRw5Yb1Nf8Kd2Hs6Jm4Gc0T'.repeat(11)}wIDAQAB`.slice(
    0,
    392,
  );
export const VALUE = `v=DKIM1; k=rsa; h=sha256; p=${KEY}`;
/** Secondaries that never have what the primary was given a moment ago: for tests of what is seen until then. */
export const stale: {readonly servers: readonly DemoServer[]} = {
  servers: demoServers.map(server => (server.lagMs > 0 ? {...server, lagMs: 86_400_000} : server)),
};
export const NAME = dnsName('202611._domainkey.example.org');
