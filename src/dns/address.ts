/** IP addresses as octets: networks of SPF, names for reverse lookups. */

/** 4 or 16 octets; an IPv4-mapped IPv6 address is the IPv4 address (RFC 7208 §5). Undefined where it is no address. */
export function addressOctets(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return four(text);
  const [head = '', tail, extra] = text.split('::');
  if (extra !== undefined) return undefined;
  const before = groups(head);
  const after = tail === undefined ? [] : groups(tail);
  if (before === undefined || after === undefined) return undefined;
  const missing = 16 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined;
  const octets = Uint8Array.from([...before, ...Array<number>(missing).fill(0), ...after]);
  const isMapped = octets.subarray(0, 12).every((octet, at) => octet === (at < 10 ? 0 : 0xff));
  return isMapped ? octets.slice(12) : octets;
}

function four(text: string): Uint8Array | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return undefined;
  const octets = text.split('.').map(Number);
  return octets.every(octet => octet <= 255) ? Uint8Array.from(octets) : undefined;
}

function groups(text: string): readonly number[] | undefined {
  if (text === '') return [];
  const octets: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    const embedded = at === parts.length - 1 ? four(part) : undefined;
    if (embedded !== undefined) octets.push(...embedded);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) {
      const value = Number.parseInt(part, 16);
      octets.push(value >> 8, value & 0xff);
    } else return undefined;
  }
  return octets;
}

/** Whether the address is in the network; addresses of different families never are. */
export function isInNetwork(address: Uint8Array, network: Uint8Array, prefix: number): boolean {
  if (address.length !== network.length) return false;
  for (let bit = 0; bit < prefix; bit += 8) {
    const mask = prefix - bit >= 8 ? 0xff : 0xff & (0xff << (8 - (prefix - bit)));
    const at = bit >> 3;
    if (((address[at] ?? 0) & mask) !== ((network[at] ?? 0) & mask)) return false;
  }
  return true;
}

/** A network, or a single address, with the bits beyond its prefix cleared. */
export interface Network {
  /** 4 or 16. */
  readonly octets: Uint8Array;
  readonly bits: number;
}

/** `192.0.2.0/24`, `[2001:db8::]/32`, `192.0.2.7`; `::ffff:192.0.2.0/120` is 192.0.2.0/24. Undefined where it is none. */
export function parseNetwork(text: string): Network | undefined {
  const [written = '', prefix, ...rest] = text.split('/');
  const base = written.startsWith('[') && written.endsWith(']') ? written.slice(1, -1) : written;
  const octets = addressOctets(base);
  if (octets === undefined || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix)))
    return undefined;
  const all = octets.length * 8;
  const isMapped = octets.length === 4 && base.includes(':');
  const bits = prefix === undefined ? all : Number(prefix) - (isMapped ? 96 : 0);
  return bits < 0 || bits > all ? undefined : {octets: maskedOctets(octets, bits), bits};
}

export const maskedOctets = (octets: Uint8Array, bits: number): Uint8Array =>
  octets.map((octet, at) => octet & (0xff00 >> Math.min(8, Math.max(0, bits - at * 8))));

/**
 * The network that an address with a prefix means, where the address has bits beyond it: `192.168.1.5/24` means
 * `192.168.1.0/24`, which some programs never match. undefined where it has none, or is no network.
 */
export function meantNetwork(text: string): string | undefined {
  const [address = '', prefix = '', ...rest] = text.split('/');
  const octets = addressOctets(address);
  if (octets === undefined || rest.length > 0 || !/^\d{1,3}$/.test(prefix)) return undefined;
  const bits = Number(prefix);
  const masked = maskedOctets(octets, bits);
  if (bits > octets.length * 8 || masked.every((octet, at) => octet === octets[at])) return undefined;
  if (octets.length === 4) return `${masked.join('.')}/${prefix}`;
  const groups = Array.from({length: 8}, (_, at) => ((masked[at * 2] ?? 0) << 8) | (masked[at * 2 + 1] ?? 0));
  const shown = new URL(`http://[${groups.map(group => group.toString(16)).join(':')}]/`).hostname;
  return `${shown.slice(1, -1)}/${prefix}`;
}

const hexDigits = (octets: Uint8Array): readonly string[] =>
  [...octets].flatMap(octet => [...octet.toString(16).padStart(2, '0')]);

/** `1.2.0.192.in-addr.arpa` (RFC 1035 §3.5), nibbles under `ip6.arpa` (RFC 3596 §2.5). */
export const reverseName = (octets: Uint8Array): string =>
  octets.length === 4
    ? `${[...octets].reverse().join('.')}.in-addr.arpa`
    : `${[...hexDigits(octets)].reverse().join('.')}.ip6.arpa`;

/** `%{i}` of SPF (RFC 7208 §7.3): dotted, for IPv6 nibble by nibble. */
export const dottedAddress = (octets: Uint8Array): string =>
  octets.length === 4 ? octets.join('.') : hexDigits(octets).join('.');

const PRIVATE: readonly (readonly [network: string, prefix: number])[] = [
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['::1', 128],
];

/** Addresses that receivers never see: RFC 1918, 4193, 6598, loopback, link-local. */
export const isPrivateAddress = (octets: Uint8Array): boolean =>
  PRIVATE.some(([network, prefix]) => {
    const base = addressOctets(network);
    return base !== undefined && isInNetwork(octets, base, prefix);
  });
