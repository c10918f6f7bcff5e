/** Decides where OpenDKIM will listen: what Postfix can reach already stays. */
import {type SocketEndpoint, sameEndpoint} from '../../domain/endpoint.ts';
import {type AbsolutePath, below, parentOf} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {directoryStep, entryOf, type KnownHost} from '../files.ts';
import {milterEndpoint} from '../signer.ts';
import type {DirectoryStep} from '../step.ts';
import type {Wanted} from '../wanted.ts';
import type {Setting} from './edit.ts';
import {canReach, listensEverywhere, parseUmask, socketValue} from './socket.ts';

export interface SocketChoice {
  readonly endpoint: SocketEndpoint;
  /** Where it listens today. */
  readonly before: SocketEndpoint | undefined;
  readonly settings: readonly Setting[];
  readonly directories: readonly DirectoryStep[];
  readonly remarks: readonly Problem[];
}

/** `<queue directory>/opendkim/opendkim.sock`: inside the chroot, and right without one. */
const standardPath = (host: KnownHost): AbsolutePath =>
  below(host.postfix.queueDirectory, 'opendkim', 'opendkim.sock');

/** Keeps the socket that Postfix reaches already, or takes the wanted one. */
export function chooseSocket(host: KnownHost, wanted: Wanted['socket']): Result<SocketChoice> {
  const {opendkim} = host;
  const written = opendkim.socketOverride === '' ? opendkim.settings['socket'] : opendkim.socketOverride;
  const before = milterEndpoint(opendkim);
  const endpoint = before !== undefined && fits(host, before, wanted) ? before : fresh(host, wanted);
  const stays = sameEndpoint(endpoint, before);
  if (opendkim.socketOverride !== '' && !stays) return fail(overridden(host));
  const settings: Setting[] = stays ? [] : [{name: 'Socket', value: socketValue(endpoint)}];
  const umask = endpoint.kind === 'unix' ? umaskFor(host) : undefined;
  if (umask !== undefined) settings.push(umask);
  return ok({
    endpoint,
    before,
    settings,
    directories: endpoint.kind === 'unix' ? directoriesFor(host, endpoint.path) : [],
    remarks: stays && written !== undefined && listensEverywhere(written) ? [everywhere(written)] : [],
  });
}

function fits(host: KnownHost, endpoint: SocketEndpoint, wanted: Wanted['socket']): boolean {
  if (endpoint.kind === 'tcp') {
    return (
      wanted === 'auto' ||
      (typeof wanted === 'object' && wanted.inetPort === endpoint.port && isLoopback(endpoint.host))
    );
  }
  if (typeof wanted === 'object') return false;
  if (endpoint.path === standardPath(host)) return true;
  const visibleToPostfix =
    !host.postfix.chrooted || endpoint.path.startsWith(`${host.postfix.queueDirectory}/`);
  return visibleToPostfix && reachable(host, endpoint.path);
}

const isLoopback = (address: string): boolean => address === '127.0.0.1';

const fresh = (host: KnownHost, wanted: Wanted['socket']): SocketEndpoint =>
  typeof wanted === 'object'
    ? {kind: 'tcp', host: '127.0.0.1', port: wanted.inetPort}
    : {kind: 'unix', path: standardPath(host)};

/**
 * 007 is right with the setgid directory; others are kept where group may write and the world may not
 * (daemons/opendkim.md#socket).
 */
function umaskFor(host: KnownHost): Setting | undefined {
  const now = parseUmask(host.opendkim.settings['umask']);
  const right = now !== undefined && (now & 0o020) === 0 && (now & 0o002) !== 0;
  return right ? undefined : {name: 'UMask', value: '007'};
}

function reachable(host: KnownHost, path: AbsolutePath): boolean {
  const {snapshot, layout, opendkim} = host;
  const client = snapshot.users[layout.postfix.user];
  const stat = entryOf(snapshot, parentOf(path)).stat;
  if (client === undefined || stat?.kind !== 'directory') return false;
  const gids = new Set([client.gid]);
  for (const group of Object.values(snapshot.groups)) {
    if (group.members.includes(client.name)) gids.add(group.gid);
  }
  const daemonGid = snapshot.groups[opendkim.group]?.gid ?? -1;
  const umask = umaskFor(host) === undefined ? (parseUmask(opendkim.settings['umask']) ?? 0o007) : 0o007;
  return canReach({directory: stat, daemonGid, umask, client: {uid: client.uid, gids}});
}

/**
 * The setgid directory gives the socket the group of Postfix, so that nobody has to join a group
 * (daemons/opendkim.md#socket).
 */
function directoriesFor(host: KnownHost, path: AbsolutePath): readonly DirectoryStep[] {
  if (path !== standardPath(host) || reachable(host, path)) return [];
  return directoryStep(
    host.snapshot,
    parentOf(path),
    {user: host.opendkim.user, group: host.layout.postfix.group},
    0o2750,
    'Make the directory of the socket that Postfix can enter',
  );
}

const overridden = (host: KnownHost): Problem =>
  problem(
    'opendkim.socket-override',
    `The unit ${host.opendkim.unit} is started with "-p ${visible(host.opendkim.socketOverride)}", which wins over Socket in ${host.opendkim.configFile}.`,
    `Take it away: systemctl revert ${host.opendkim.unit}; or keep that socket with --socket auto where Postfix can reach it.`,
  );

const everywhere = (written: string): Problem =>
  problem(
    'opendkim.listens-everywhere',
    `OpenDKIM listens on every address of this host (Socket ${visible(written)}) and stays so.`,
    'Add @localhost to its port in Socket, or close the port in the firewall.',
  );
