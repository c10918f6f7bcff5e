/** Whether a selector is taken in DNS. */
import type {DnsName} from '../domain/names.ts';
import {ask, type DnsPorts} from './client.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {AuthoritativeServer, Zone} from './survey.ts';
import type {DnsMessage} from './wire.ts';

/**
 * `free`: every server that answered has nothing there. `in-use`: a TXT or CNAME is there. `wildcard`: only a wildcard
 * record answers, which a record of this name will cover. `unknown`: no server answered for the zone.
 */
export interface SelectorUse {
  readonly kind: 'free' | 'in-use' | 'wildcard' | 'unknown';
  /** What was found: TXT joined, or `CNAME target`. Foreign text. */
  readonly records: readonly string[];
}

/**
 * Asks the authoritative servers; only where nothing at all comes back from any of them, the resolver. Rejects only with the reason of the
 * signal.
 */
export async function selectorInUse(
  ports: DnsPorts,
  {name, zone}: {readonly name: DnsName; readonly zone: Zone},
  options: ResolverOptions = {},
): Promise<SelectorUse> {
  const {signal} = options;
  const all = await Promise.all(zone.servers.map(server => recordsAt(ports, server, name, signal)));
  if (all.every(said => said === 'silent')) return await resolverSays(ports, name, options);
  const told = all.map(said => (typeof said === 'string' ? undefined : said));
  if (told.every(records => records === undefined)) return {kind: 'unknown', records: []};
  const at = told.findIndex(records => records !== undefined && records.length > 0);
  const records = told[at];
  const server = zone.servers[at];
  if (records === undefined || server === undefined) return {kind: 'free', records: []};
  const neighbour = await recordsAt(ports, server, sibling(ports, name), signal);
  // Nobody has made a record at a random name: what answers there is a wildcard (RFC 4592).
  const isWildcard = typeof neighbour !== 'string' && sameSet(neighbour, records);
  return {kind: isWildcard ? 'wildcard' : 'in-use', records};
}

/** A host that may not reach port 53: its resolver knows whether something is there, and remembers that it was asked. */
async function resolverSays(ports: DnsPorts, name: DnsName, options: ResolverOptions): Promise<SelectorUse> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind !== 'answer') return {kind: 'unknown', records: []};
  const records = found(resolved.message, name);
  return {kind: records.length === 0 ? 'free' : 'in-use', records};
}

const sameSet = (left: readonly string[], right: readonly string[]): boolean =>
  left.length === right.length && left.every(each => right.includes(each));

/** A random name beside `name`. */
export function sibling(ports: Pick<DnsPorts, 'random'>, name: DnsName): DnsName {
  const label = `wx${Buffer.from(ports.random.bytes(8)).toString('hex')}`;
  return [label, ...name.split('.').slice(1)].join('.') as DnsName;
}

async function recordsAt(
  ports: DnsPorts,
  server: AuthoritativeServer,
  name: DnsName,
  signal: AbortSignal | undefined,
): Promise<readonly string[] | 'silent' | 'useless'> {
  const outcome = await ask(ports, server, {name, type: 'TXT'}, {recursion: false, signal});
  if (outcome.kind === 'silent' || outcome.kind === 'no-route') return 'silent';
  if (outcome.kind !== 'answer' || !outcome.message.authoritative) return 'useless';
  const {rcode} = outcome.message;
  return rcode === 'NOERROR' || rcode === 'NXDOMAIN' ? found(outcome.message, name) : 'useless';
}

const found = (message: DnsMessage, name: DnsName): readonly string[] =>
  message.answers.flatMap(record => {
    if (record.name !== name) return [];
    if (record.type === 'TXT') return [record.text];
    return record.type === 'CNAME' ? [`CNAME ${record.target}`] : [];
  });
