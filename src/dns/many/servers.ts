/** The name servers of many domains: each name of a server is looked up once, however many domains it serves. */
import type {DnsName, DomainName} from '../../domain/names.ts';
import type {DnsPorts} from '../client.ts';
import {learn, type Resolved, type ResolverOptions, resolve} from '../resolver.ts';
import type {AuthoritativeServer} from '../survey.ts';
import {delegationOf, MAX_ADDRESSES, MAX_NAMES} from '../zone.ts';

const DNS_PORT = 53;
const REMEMBERED = 10_000;

export interface ServerBook {
  /**
   * The servers that the resolver names for the zone of the domain; undefined where it names none, or has no answer. The
   * zone may be one above the domain.
   */
  serversOf(domain: DomainName): Promise<readonly AuthoritativeServer[] | undefined>;
  /**
   * Nothing is odd about the zone itself: each of its name servers has an address, there are not too many to ask, and the
   * zone above names the same ones, as far as it tells. Asks that once for each zone.
   */
  isSound(domain: DomainName): Promise<boolean>;
}

/** Finds the servers of many domains, and asks once for a zone that many are in and for a name server they share. */
export function createServerBook(ports: DnsPorts, options: ResolverOptions): ServerBook {
  const known = new Map<DnsName, Promise<readonly AuthoritativeServer[]>>();
  const named = new Map<DnsName, Named>();
  const sound = new Map<DnsName, boolean>();

  const addressesOf = (name: DnsName): Promise<readonly AuthoritativeServer[]> => {
    const before = known.get(name);
    if (before !== undefined) return before;
    if (known.size >= REMEMBERED) known.clear();
    const asked = lookUp(name);
    known.set(name, asked);
    // A server without an address, for all that is known now: another may have more luck.
    void asked.then(
      found => found.length === 0 && known.delete(name),
      () => known.delete(name),
    );
    return asked;
  };
  const lookUp = async (name: DnsName): Promise<readonly AuthoritativeServer[]> => {
    const found = await Promise.all(
      (['A', 'AAAA'] as const).map(type => resolve(ports, {name, type}, options)),
    );
    return found.flatMap(resolved =>
      recordsOf(resolved).flatMap(record =>
        record.type === 'A' || record.type === 'AAAA'
          ? [{name, address: record.address, port: DNS_PORT}]
          : [],
      ),
    );
  };
  const namesAt = (zone: DnsName): Promise<Named> => learn(named, zone, () => askNames(zone), isNamed);
  const askNames = async (zone: DnsName): Promise<Named> => {
    const resolved = await resolve(ports, {name: zone, type: 'NS'}, options);
    const names = recordsOf(resolved).flatMap(record =>
      record.type === 'NS' && record.name === zone ? [record.target] : [],
    );
    const soa =
      resolved.kind === 'answer'
        ? resolved.message.authorities.find(record => record.type === 'SOA')
        : undefined;
    return {names: [...new Set(names)].sort(), above: soa?.name};
  };
  const zoneOf = async (domain: DomainName): Promise<Named & {readonly apex: DnsName}> => {
    // A mail domain is a name in the DNS like any other; it may be one within a zone: its SOA says which.
    const name = `${domain}` as DnsName;
    const found = await namesAt(name);
    const {above} = found;
    const isApex = found.names.length > 0 || above === undefined || above === '' || above === name;
    return isApex ? {...found, apex: name} : {...(await namesAt(above)), apex: above};
  };
  const isSoundAt = async (apex: DnsName, names: readonly DnsName[]): Promise<boolean> => {
    const [servers, above] = await Promise.all([
      Promise.all(names.map(addressesOf)),
      delegationOf(ports, apex, options),
    ]);
    const isTooMany = names.length > MAX_NAMES || servers.flat().length >= MAX_ADDRESSES;
    if (isTooMany || servers.some(found => found.length === 0)) return false;
    return (
      above === undefined ||
      (above.names.length === names.length && names.every(name => above.names.includes(name)))
    );
  };
  return {
    async serversOf(domain) {
      const {names} = await zoneOf(domain);
      const servers = (await Promise.all(names.map(addressesOf))).flat();
      return servers.length === 0 ? undefined : servers.slice(0, MAX_ADDRESSES);
    },
    async isSound(domain) {
      const {names, apex} = await zoneOf(domain);
      return await learn(
        sound,
        apex,
        () => isSoundAt(apex, names),
        () => true,
      );
    },
  };
}

const isNamed = ({names}: Named): boolean => names.length > 0;

interface Named {
  readonly names: readonly DnsName[];
  readonly above: DnsName | undefined;
}

const recordsOf = (resolved: Resolved) => (resolved.kind === 'answer' ? resolved.message.answers : []);
