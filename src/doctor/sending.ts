/** From which addresses mail of this host leaves, as far as the host itself knows. Reads only. */
import {addressOctets, isPrivateAddress} from '../dns/address.ts';
import type {DnsPorts} from '../dns/client.ts';
import {type ResolverOptions, resolve} from '../dns/resolver.ts';
import {parseDnsName} from '../domain/names.ts';
import type {HostFacts} from '../services/facts.ts';
import {mtaOf} from '../services/registry.ts';
import type {Ports} from '../system/ports.ts';

export interface SendingFacts {
  /** Empty where receivers see an address that this host does not know. */
  readonly addresses: readonly string[];
  /** What the host calls itself in SMTP. */
  readonly hostname: string;
  /** Why there are no addresses: `relay` (another host delivers), `private` (behind a translator), `unknown`. */
  readonly hidden?: 'relay' | 'private' | 'unknown';
  /** What the addresses, or their absence, rest on. */
  readonly evidence: string;
}

/**
 * The mail server's own choice where it has one, else the global addresses of the interfaces; behind a translator those
 * that the name of the host has in the DNS.
 */
export async function sendingFacts(
  ports: Pick<Ports, 'commands'> & DnsPorts,
  facts: Pick<HostFacts, 'hostname' | 'mta'>,
  options: ResolverOptions,
): Promise<SendingFacts> {
  const mta = mtaOf(facts);
  const own = facts.mta?.hostname || facts.hostname;
  const relay = facts.mta?.relay ?? '';
  if (relay !== '') {
    return {addresses: [], hostname: own, hidden: 'relay', evidence: `${mta?.words.relaySetting} = ${relay}`};
  }
  const bound = (await mta?.sendsFrom(ports)) ?? [];
  const given =
    bound.length > 0
      ? bound
      : interfaceAddresses(await output(ports, ['ip', '-o', 'addr', 'show', 'scope', 'global']));
  const open = given.filter(isPublic);
  if (open.length > 0) return {addresses: open, hostname: own, evidence: open.join(', ')};
  const named = (await addressesOf(ports, own, options)).filter(isPublic);
  const evidence = `${given.join(', ') || 'no address of an interface'}; ${own} A, AAAA: ${named.join(', ') || 'none'}`;
  if (named.length > 0) return {addresses: named, hostname: own, evidence};
  return {addresses: [], hostname: own, hidden: given.length > 0 ? 'private' : 'unknown', evidence};
}

const isPublic = (address: string): boolean => {
  const octets = addressOctets(address);
  return octets !== undefined && !isPrivateAddress(octets);
};

async function output(
  {commands}: Pick<Ports, 'commands'>,
  argv: readonly [string, ...string[]],
): Promise<string> {
  const {ended, status, stdout} = await commands.run(argv);
  return ended === 'exit' && status === 0 ? stdout : '';
}

/** `2: eth0    inet6 2001:db8::1/64 scope global temporary dynamic`: addresses that come and go are no sender's. */
const interfaceAddresses = (text: string): readonly string[] =>
  text.split('\n').flatMap(line => {
    const address = /\sinet6?\s+([0-9a-fA-F.:]+)\//.exec(line)?.[1];
    return address === undefined || /\b(?:temporary|deprecated|tentative)\b/.test(line) ? [] : [address];
  });

async function addressesOf(
  ports: DnsPorts,
  hostname: string,
  options: ResolverOptions,
): Promise<readonly string[]> {
  const name = parseDnsName(hostname);
  if (!name.ok) return [];
  const found = await Promise.all(
    (['A', 'AAAA'] as const).map(type => resolve(ports, {name: name.value, type}, options)),
  );
  return found.flatMap(resolved =>
    resolved.kind !== 'answer'
      ? []
      : resolved.message.answers.flatMap(record =>
          record.type === 'A' || record.type === 'AAAA' ? [record.address] : [],
        ),
  );
}
