/** Decides where OpenDKIM will listen: what Postfix can reach already stays. */
import {type SocketEndpoint, sameEndpoint} from '../../domain/endpoint.ts';
import {type AbsolutePath, parentOf} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {milterEndpoint} from '../facts.ts';
import {directoryStep} from '../files.ts';
import type {SignerSettings} from '../intent.ts';
import type {Reach} from '../mta.ts';
import type {DirectoryStep} from '../step.ts';
import type {Setting} from './edit.ts';
import type {OpenDkimHost} from './host.ts';
import {listensEverywhere, parseUmask, socketValue} from './socket.ts';

type SocketWish = NonNullable<SignerSettings['socket']>;

export interface SocketChoice {
  readonly endpoint: SocketEndpoint;
  /** Where it listens today. */
  readonly before: SocketEndpoint | undefined;
  readonly settings: readonly Setting[];
  readonly directories: readonly DirectoryStep[];
  readonly remarks: readonly Problem[];
}

const standardPath = (reach: Reach): AbsolutePath => reach.standardSocket('opendkim');

/** Keeps the socket that Postfix reaches already, or takes the wanted one. */
export function chooseSocket(host: OpenDkimHost, reach: Reach, wanted: SocketWish): Result<SocketChoice> {
  const {opendkim} = host;
  const written = opendkim.socketOverride === '' ? opendkim.settings['socket'] : opendkim.socketOverride;
  const before = milterEndpoint(opendkim);
  const endpoint = before !== undefined && fits(host, reach, before, wanted) ? before : fresh(reach, wanted);
  const stays = sameEndpoint(endpoint, before);
  if (opendkim.socketOverride !== '' && !stays) return fail(overridden(host));
  const settings: Setting[] = stays ? [] : [{name: 'Socket', value: socketValue(endpoint)}];
  const umask = endpoint.kind === 'unix' ? umaskFor(host) : undefined;
  if (umask !== undefined) settings.push(umask);
  return ok({
    endpoint,
    before,
    settings,
    directories: endpoint.kind === 'unix' ? directoriesFor(host, reach, endpoint.path) : [],
    remarks: stays && written !== undefined && listensEverywhere(written) ? [everywhere(written)] : [],
  });
}

function fits(host: OpenDkimHost, reach: Reach, endpoint: SocketEndpoint, wanted: SocketWish): boolean {
  if (endpoint.kind === 'tcp') {
    return (
      wanted === 'auto' ||
      (typeof wanted === 'object' && wanted.inetPort === endpoint.port && isLoopback(endpoint.host))
    );
  }
  if (typeof wanted === 'object') return false;
  return endpoint.path === standardPath(reach) || reachable(host, reach, endpoint.path);
}

const isLoopback = (address: string): boolean => address === '127.0.0.1';

const fresh = (reach: Reach, wanted: SocketWish): SocketEndpoint =>
  typeof wanted === 'object'
    ? {kind: 'tcp', host: '127.0.0.1', port: wanted.inetPort}
    : {kind: 'unix', path: standardPath(reach)};

/**
 * 007 is right with the setgid directory; others are kept where group may write and the world may not
 * (daemons/opendkim.md#socket).
 */
function umaskFor(host: OpenDkimHost): Setting | undefined {
  return isRightUmask(parseUmask(host.opendkim.settings['umask']))
    ? undefined
    : {name: 'UMask', value: '007'};
}

const isRightUmask = (umask: number | undefined): umask is number =>
  umask !== undefined && (umask & 0o020) === 0 && (umask & 0o002) !== 0;

function reachable({snapshot, opendkim}: OpenDkimHost, reach: Reach, path: AbsolutePath): boolean {
  const written = parseUmask(opendkim.settings['umask']);
  return reach.mayConnect(path, {
    gid: snapshot.groups[opendkim.group]?.gid ?? -1,
    umask: isRightUmask(written) ? written : 0o007,
  });
}

/**
 * The setgid directory gives the socket the group of the MTA, so that nobody has to join a group
 * (daemons/opendkim.md#socket).
 */
function directoriesFor(host: OpenDkimHost, reach: Reach, path: AbsolutePath): readonly DirectoryStep[] {
  if (path !== standardPath(reach) || reachable(host, reach, path)) return [];
  return directoryStep(
    host.snapshot,
    parentOf(path),
    {user: host.opendkim.user, group: reach.group},
    0o2750,
    'Make the directory of the socket that Postfix can enter',
  );
}

const overridden = (host: OpenDkimHost): Problem =>
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
