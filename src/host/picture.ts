/**
 * What a host does with mail, as one value: the ways in, the programs that sign, their keys, and what DNS says about
 * them. Everything that waxseal states about a host is an answer of the pure questions beside this file.
 */
import type {AbsolutePath} from '../domain/paths.ts';
import type {KeyFact} from '../services/key-fact.ts';
import type {Entrance, MilterHop, Pass} from '../services/mta.ts';
import type {SignerView} from '../services/signer.ts';
import type {SocketEndpoint} from '../system/ports.ts';
import type {Shown} from './shown.ts';

/** What a process of the MTA met at a milter: by its own account, groups and root directory. */
export interface HopReach {
  readonly outcome: 'answers' | 'absent' | 'denied' | 'refused' | 'stale-groups' | 'silent' | 'not-a-milter';
  /** What was seen, made harmless. */
  readonly detail: string;
}

/** What DNS said about the record of a key. */
export interface RecordFact {
  readonly domain: string;
  readonly selector: string;
  readonly seenAt: Date;
  /** `right`: every authoritative server returns this key. `unknown`: too few answered to tell. */
  readonly state: 'right' | 'wrong' | 'missing' | 'unknown';
  readonly detail: string;
}

export interface HostPicture {
  readonly seenAt: Date;
  readonly entrances: readonly Entrance[];
  readonly signers: readonly SignerView[];
  /** By path as the rows name it; a path that is not in it was not looked at. */
  readonly keys: ReadonlyMap<AbsolutePath, KeyFact>;
  /** By {@link reachKey}; a hop that is not in it was not tried. */
  readonly reach: ReadonlyMap<string, HopReach>;
  /** What a test message has shown to do no harm: it is no breaker of an entrance any more. */
  readonly shown: readonly Shown[];
  /** By {@link recordKey}; only what was asked for. */
  readonly records: ReadonlyMap<string, RecordFact>;
}

export const recordKey = (domain: string, selector: string): string =>
  `${selector.toLowerCase()}._domainkey.${domain.toLowerCase()}`;

/** Hops that the same kind of process connects to in the same way are tried once. */
export function reachKey(pass: Pick<Pass, 'account' | 'chroot'>, hop: MilterHop): string {
  const {user, groups} = pass.account;
  const root = pass.chroot && hop.endpoint?.kind === 'tcp' ? ' inside' : '';
  return `${user}:${groups.join(',')} ${hop.endpoint === undefined ? hop.text : placeText(hop.endpoint)}${root}`;
}

export const placeText = (endpoint: SocketEndpoint): string =>
  endpoint.kind === 'unix' ? `unix:${endpoint.path}` : `inet:${loopback(endpoint.host)}:${endpoint.port}`;

/** Every name of this host's own loopback address is one place: a signer that listens on one of them is reached. */
const loopback = (host: string): string =>
  host === 'localhost' || host === '::1' || host === '0.0.0.0' || host === '::' || host === ''
    ? '127.0.0.1'
    : host;

/** The signer that mail is handed to as to a content filter. */
export const filterOf = (signers: readonly SignerView[], {next}: Pass): SignerView | undefined =>
  next === undefined ? undefined : signers.find(({takes}) => takes?.(next.to));

/** The signer that listens where a hop leads. */
export const signerAt = (signers: readonly SignerView[], hop: MilterHop): SignerView | undefined => {
  const {endpoint} = hop;
  if (endpoint === undefined) return undefined;
  const place = placeText(endpoint);
  return signers.find(({endpoints}) => endpoints.some(each => placeText(each.endpoint) === place));
};
