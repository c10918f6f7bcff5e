/** Whether a selector is taken in DNS. */
import {type DnsName, parseDnsName} from '../domain/names.ts';
import {ask, type DnsPorts} from './client.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {AuthoritativeServer, Zone} from './survey.ts';
import type {DnsMessage} from './wire.ts';
import {findZoneOfTarget} from './zone.ts';

/**
 * `free`: every server that answered has nothing there, or an alias that was entered beforehand: a CNAME, also by a DNAME
 * of `_domainkey`, at whose end nothing is yet. `in-use`: a TXT is there, or a CNAME to one or to nobody knows where. `wildcard`: only a wildcard
 * record answers, which a record of this name will cover. `unknown`: no server answered for the zone.
 */
export interface SelectorUse {
  readonly kind: 'free' | 'in-use' | 'wildcard' | 'unknown';
  /** What was found: TXT joined, or `CNAME target`. Foreign text. */
  readonly records: readonly string[];
}

/**
 * Asks the authoritative servers; only where nothing at all comes back from any of them, the resolver. Rejects only with
 * the reason of the signal.
 * @param passed aliases that led here.
 */
export async function selectorInUse(
  ports: DnsPorts,
  {name, zone}: {readonly name: DnsName; readonly zone: Zone},
  options: ResolverOptions = {},
  passed = 0,
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
  if (isWildcard) return {kind: 'wildcard', records};
  const isFree = await isPrepared(ports, new Set(told.flatMap(said => said ?? [])), options, passed);
  return isFree ? {kind: 'free', records: []} : {kind: 'in-use', records};
}

const ALIAS = 'CNAME ';
const MAX_ALIASES = 8;

/** Whether all that is there are aliases, and their ends are as free as a name without a record. */
async function isPrepared(
  ports: DnsPorts,
  records: ReadonlySet<string>,
  options: ResolverOptions,
  passed: number,
): Promise<boolean> {
  if (passed >= MAX_ALIASES) return false;
  for (const record of records) {
    const target = parseDnsName(record.startsWith(ALIAS) ? record.slice(ALIAS.length) : '');
    if (!target.ok || target.value === '') return false;
    const zone = await findZoneOfTarget(ports, target.value, options);
    if (!zone.ok) return false;
    const use = await selectorInUse(ports, {name: target.value, zone: zone.value}, options, passed + 1);
    if (use.kind !== 'free') return false;
  }
  return true;
}

/** A host that may not reach port 53: its resolver knows whether something is there, and remembers that it was asked. */
async function resolverSays(ports: DnsPorts, name: DnsName, options: ResolverOptions): Promise<SelectorUse> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind !== 'answer') return {kind: 'unknown', records: []};
  // The resolver has followed the aliases: what is at their end is in the same answer.
  const {answers} = resolved.message;
  const records = answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []));
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
    return record.type === 'CNAME' ? [`${ALIAS}${record.target}`] : [];
  });
