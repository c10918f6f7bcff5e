/** Whether a client is in a list of hosts: dkimf_checkhost and dkimf_checkip of util.c. Every lookup is of exact text. */
import {addressOctets, maskedOctets} from '../../../dns/address.ts';
import {createDataSet, type DataSet, type Found, type SetRow} from './data-set.ts';

/**
 * `row`: the entry that decided, a negative one (`!10.0.0.1`) included; absent where no entry says anything. `unread`
 * with a row: OpenDKIM may or may not find it.
 */
export interface HostMatch {
  readonly isIn: boolean | 'unread';
  readonly row?: SetRow;
}

/** By name first, then by address, as InternalHosts and PeerList are asked. */
export function matchHost(
  set: DataSet,
  client: {readonly name: string; readonly address: string},
): HostMatch {
  const byName = firstOf(set, namesFor(client.name));
  if (byName.isIn !== false) return byName;
  const found = firstOf(set, textsFor(client.address));
  return found.row !== undefined && BY_CHANCE.test(found.row.key) ? {isIn: 'unread', row: found.row} : found;
}

/** Whether a list has a host, network or name as it is written, or covers an address by a network. */
export function coversHost(entries: readonly string[], host: string): boolean {
  const source = {by: 'default', program: 'OpenDKIM'} as const;
  const rows = entries.map((key, line) => ({line, key, value: '', source}));
  const set = createDataSet('list', rows, true);
  if (set.first(host) !== undefined) return true;
  return addressOctets(host) !== undefined && matchHost(set, {name: '', address: host}).isIn === true;
}

/** `!x` before `x`; the first text with an entry ends the search. */
function firstOf(set: DataSet, texts: Iterable<string>): HostMatch {
  for (const text of texts) {
    for (const asked of [`!${text}`, text]) {
      const row: Found = set.first(asked);
      if (row === 'unread') return {isIn: 'unread'};
      if (row === undefined) continue;
      return {isIn: !asked.startsWith('!'), row};
    }
  }
  return {isIn: false};
}

/** `[192.0.2.1]`: dkimf_checkip does not end the text that it looks up, so it is found or not, as memory has it. */
const BY_CHANCE = /^!?\[[0-9.]+\]$/;

/** The name itself, then `.domain` for each domain above it. */
function namesFor(name: string): readonly string[] {
  if (name === '') return [];
  const names = [name];
  for (let dot = name.indexOf('.', 1); dot >= 0; dot = name.indexOf('.', dot + 1))
    names.push(name.slice(dot));
  return names;
}

/** The address, then its networks from the narrowest to the widest; each with and without brackets. Made as it is asked. */
function* textsFor(address: string): Generator<string> {
  const octets = isPlainIpv4(address) ? addressOctets(address) : ipv6Octets(address);
  // Without an address of the internet OpenDKIM takes the client for the loopback address (mlfi_connect).
  if (octets === undefined) return yield* textsFor('127.0.0.1');
  yield octetsText(octets);
  yield `[${octetsText(octets)}]`;
  for (let bits = octets.length * 8; bits >= 0; bits -= 1) {
    const network = octetsText(maskedOctets(octets, bits));
    yield `${network}/${bits}`;
    yield `[${network}]/${bits}`;
  }
}

const isPlainIpv4 = (address: string): boolean => !address.includes(':');

/** An IPv4-mapped address stays one of IPv6 here. */
function ipv6Octets(address: string): Uint8Array | undefined {
  const octets = addressOctets(address);
  return octets?.length === 4 ? Uint8Array.from([...MAPPED, ...octets]) : octets;
}

const MAPPED: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** As inet_ntop(3) writes it. */
function octetsText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join('.');
  const dotted = octets.subarray(12).join('.');
  if (MAPPED.every((octet, at) => octets[at] === octet)) return `::ffff:${dotted}`;
  // IPv4-compatible addresses; ::1 and :: are not taken for such.
  if (octets.subarray(0, 12).every(octet => octet === 0) && (octets[12] !== 0 || octets[13] !== 0)) {
    return `::${dotted}`;
  }
  const groups = Array.from({length: 8}, (_, at) => ((octets[at * 2] ?? 0) << 8) | (octets[at * 2 + 1] ?? 0));
  const run = longestZeros(groups);
  const text = (part: readonly number[]): string => part.map(group => group.toString(16)).join(':');
  return run.length < 2
    ? text(groups)
    : `${text(groups.slice(0, run.start))}::${text(groups.slice(run.start + run.length))}`;
}

function longestZeros(groups: readonly number[]): {readonly start: number; readonly length: number} {
  let best = {start: 0, length: 0};
  let start = 0;
  for (let at = 0; at <= groups.length; at += 1) {
    if (groups[at] === 0) continue;
    if (at - start > best.length) best = {start, length: at - start};
    start = at + 1;
  }
  return best;
}
