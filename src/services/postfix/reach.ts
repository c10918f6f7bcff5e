/** Which sockets Postfix can connect to: inside of its chroot, through directories that its account may enter. */
import {type AbsolutePath, below, parentOf} from '../../domain/paths.ts';
import {entryOf} from '../files.ts';
import type {Reach} from '../mta.ts';
import type {PostfixHost} from './steps.ts';

export function postfixReach({snapshot, layout, postfix}: PostfixHost): Reach {
  const client = snapshot.users[layout.postfix.user];
  const groups = Object.values(snapshot.groups).filter(({members}) => members.includes(client?.name ?? ''));
  return {
    // Inside the chroot, and right without one.
    standardSocket: signer => below(postfix.queueDirectory, signer, `${signer}.sock`),
    group: layout.postfix.group,
    mayConnect(path: AbsolutePath, {gid, umask}) {
      const directory = entryOf(snapshot, parentOf(path)).stat;
      const isVisible = !postfix.chrooted || path.startsWith(`${postfix.queueDirectory}/`);
      if (!isVisible || client === undefined || directory?.kind !== 'directory') return false;
      const gids = new Set([client.gid, ...groups.map(group => group.gid)]);
      return canReach({directory, daemonGid: gid, umask, client: {uid: client.uid, gids}});
    },
  };
}

/** Who may enter a directory and use a socket in it. */
export interface Access {
  /** Attributes of the socket's directory; undefined where it is missing. */
  readonly directory: {readonly uid: number; readonly gid: number; readonly mode: number} | undefined;
  /** Group that the socket gets where the directory is not setgid. */
  readonly daemonGid: number;
  readonly umask: number;
  readonly client: {readonly uid: number; readonly gids: ReadonlySet<number>};
}

/** True where the client can connect to a socket that the daemon makes in the directory (daemons/opendkim.md#socket). */
export function canReach(access: Access): boolean {
  const {directory, client} = access;
  if (directory === undefined) return false;
  const inGroup = client.gids.has(directory.gid);
  const enters =
    directory.uid === client.uid
      ? (directory.mode & 0o100) !== 0
      : inGroup
        ? (directory.mode & 0o010) !== 0
        : (directory.mode & 0o001) !== 0;
  const socketGid = (directory.mode & 0o2000) !== 0 ? directory.gid : access.daemonGid;
  const connects = client.gids.has(socketGid) ? (access.umask & 0o020) === 0 : (access.umask & 0o002) === 0;
  return enters && connects;
}
