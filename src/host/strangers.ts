/** Clients elsewhere, to be tried against everything by which a host tells its clients apart. Pure. */
import {
  addressOctets,
  isInNetwork,
  isPrivateAddress,
  maskedOctets,
  type Network,
  parseNetwork,
} from '../dns/address.ts';
import type {Client} from './would-sign.ts';

/**
 * `anyone`: whoever is on the internet. `listed`: a host of a network that somebody wrote into a list, and that is small
 * enough to be his own.
 */
export interface Stranger {
  readonly client: Client;
  readonly kind: 'anyone' | 'listed';
}

/**
 * Addresses all over the public networks, for lists that are not networks: patterns, scripts. Networks for
 * documentation are among them, as labs and examples have them.
 */
const ANYWHERE: readonly string[] = [
  '8.8.8.8',
  '41.77.9.3',
  '63.250.11.2',
  '93.184.215.14',
  '103.21.244.9',
  '131.107.3.8',
  '160.45.170.10',
  '185.199.108.15',
  '198.51.100.77',
  '203.0.113.5',
  '217.70.184.38',
  '2001:4860:4860::8888',
  '2a00:1450:4001:82a::2005',
];

/** No client on the internet has one of these addresses (IANA special-purpose registries); private ones come on top. */
const RESERVED: readonly string[] = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '224.0.0.0/3',
  // Everything but 2000::/3.
  '::/3',
  '4000::/2',
  '8000::/1',
];

/**
 * One client for each way in which the lists can tell clients apart. Networks nest or are disjoint, so the clients of a
 * network that are in none of its parts have its first or its last address among them, or one just outside of a part.
 *
 * @param texts hosts, networks, names and patterns as they are written: `192.0.2.0/24`, `!192.0.2.7`, `[2001:db8::]/32`,
 *   `.example`, `192.0.*`
 */
export function strangersFor(texts: readonly string[]): readonly Stranger[] {
  const listed = texts.flatMap(text => networkOf(text) ?? []);
  const reserved = RESERVED.flatMap(text => networkOf(text) ?? []);
  const places = placesOf([...listed, ...reserved]);
  const seen = new Set<string>();
  const found: Stranger[] = [];
  const add = (address: Uint8Array, isNew: (place: string) => boolean): void => {
    const covering = places(address);
    const isOff = isPrivateAddress(address) || reserved.some(each => covers(each, address));
    // A host that somebody named by itself is known to him.
    if (isOff || covering.some(isSingle)) return;
    if (!isNew(covering.map(networkText).join(' '))) return;
    const shown = addressText(address);
    found.push({
      client: {name: `[${shown}]`, address: shown},
      kind: covering.some(isSmall) ? 'listed' : 'anyone',
    });
  };
  for (const text of ANYWHERE) {
    const octets = addressOctets(text);
    if (octets !== undefined) add(octets, place => seen.add(place) !== undefined);
  }
  for (const network of [...listed, ...reserved]) {
    for (const edge of edgesOf(network)) {
      add(edge, place => {
        const isNew = !seen.has(place);
        seen.add(place);
        return isNew;
      });
    }
  }
  for (const octets of texts.slice(0, MOST_PATTERNS).flatMap(text => sampleOf(text) ?? []))
    add(octets, () => true);
  return [...found, ...byName(texts)];
}

/** Patterns are few where there are any. */
const MOST_PATTERNS = 200;

/** `.com` is in names that strangers have; a name of two labels is of somebody who is known. */
function byName(texts: readonly string[]): readonly Stranger[] {
  const names = new Set<string>();
  for (const text of texts) {
    const [, label] = /^!?\*?\.([a-z][a-z-]*)$/i.exec(text) ?? [];
    if (label !== undefined) names.add(`host.${label}`);
  }
  const [, , , address = ''] = ANYWHERE;
  return [...names].map(name => ({client: {name, address}, kind: 'anyone'}));
}

const networkOf = (text: string): Network | undefined => parseNetwork(text.replace(/^!/, ''));

const isSingle = ({octets, bits}: Network): boolean => bits === octets.length * 8;

/** As large as one organization may have for itself: an IPv4 /16, what a provider gets of IPv6. */
const isSmall = ({octets, bits}: Network): boolean => bits >= (octets.length === 4 ? 16 : 32);

const covers = ({octets, bits}: Network, address: Uint8Array): boolean => isInNetwork(address, octets, bits);

const networkText = ({octets, bits}: Network): string => `${[...octets].join('.')}/${bits}`;

/** Which of the networks an address is in; costs one look-up for each length of a prefix. */
function placesOf(networks: readonly Network[]): (address: Uint8Array) => readonly Network[] {
  const byText = new Map(networks.map(network => [networkText(network), network]));
  const lengths = new Map<number, Set<number>>();
  for (const {octets, bits} of networks)
    lengths.set(octets.length, (lengths.get(octets.length) ?? new Set()).add(bits));
  return address =>
    [...(lengths.get(address.length) ?? [])]
      .sort((one, other) => one - other)
      .flatMap(bits => byText.get(networkText({octets: maskedOctets(address, bits), bits})) ?? []);
}

/** The first and the last address, and those just outside. */
function edgesOf({octets, bits}: Network): readonly Uint8Array[] {
  const last = octets.map((octet, at) => octet | (0xff >> Math.min(8, Math.max(0, bits - at * 8))));
  return [octets, last, ...(moved(octets, -1) ?? []), ...(moved(last, 1) ?? [])];
}

/** The address before or after; none beyond the ends. */
function moved(octets: Uint8Array, by: 1 | -1): readonly [Uint8Array] | undefined {
  const next = Uint8Array.from(octets);
  const [full, empty] = by === 1 ? [0xff, 0] : [0, 0xff];
  for (let at = next.length - 1; at >= 0; at -= 1) {
    if (next[at] !== full) {
      next[at] = (next[at] ?? 0) + by;
      return [next];
    }
    next[at] = empty;
  }
  return undefined;
}

/** `198.51.*`: an address that it is for. */
function sampleOf(text: string): Uint8Array | undefined {
  const [, begin = ''] = /^!?((?:\d{1,3}\.){1,3})\*$/.exec(text) ?? [];
  const parts = begin.split('.').filter(part => part !== '');
  if (parts.length === 0) return undefined;
  return addressOctets([...parts, '9', '9', '9'].slice(0, 4).join('.'));
}

/** As inet_ntop(3) writes it, which is how a mail server names its clients. */
function addressText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  const groups = Array.from({length: 8}, (_, at) =>
    (((octets[at * 2] ?? 0) << 8) | (octets[at * 2 + 1] ?? 0)).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}
