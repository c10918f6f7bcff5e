import {createHash} from 'node:crypto';
import {command} from '../domain/command.ts';
import {HostError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Before, Owner} from '../services/step.ts';
import type {FileAttributes, FileStat, Files, Mode, Users} from '../system/ports.ts';

export const sha256Of = (content: Uint8Array | string): string =>
  createHash('sha256').update(content).digest('hex');

/** What is at a path now. `content` only for a file. */
export type Observed =
  | {readonly state: 'absent'}
  | (Pick<FileStat, 'mode' | 'uid' | 'gid' | 'device' | 'inode'> & {readonly state: 'present'} & (
        | {
            readonly kind: 'file';
            readonly sha256: string;
            readonly links: number;
            readonly content: Uint8Array;
          }
        | {readonly kind: 'directory'; readonly sha256: ''}
      ));

/** Looks at a path without following a symlink there. HostError `file.kind` where it is neither file nor directory. */
export async function observe(files: Files, path: AbsolutePath): Promise<Observed> {
  const stat = await files.stat(path);
  if (stat === undefined) return {state: 'absent'};
  if (stat.kind === 'directory') return {state: 'present', kind: 'directory', sha256: '', ...idsOf(stat)};
  if (stat.kind !== 'file') {
    throw new HostError(
      problem(
        'file.kind',
        `${visible(path)} is a ${stat.kind === 'other' ? 'special file' : stat.kind}, not a regular file.`,
        `See what it is: ${command('ls', '-ld', path)}`,
      ),
    );
  }
  // Another file may have that name by now: what it is and what is in it are of one and the same.
  const found = await files.inspect(path);
  if (found === undefined) return {state: 'absent'};
  const {content} = found;
  const {links} = found.stat;
  return {state: 'present', kind: 'file', sha256: sha256Of(content), ...idsOf(found.stat), links, content};
}

const idsOf = ({mode, uid, gid, device, inode}: FileStat) => ({mode, uid, gid, device, inode});

/** The form in which a step remembers what was there when the plan was made. */
export function asBefore(observed: Observed): Before {
  if (observed.state === 'absent') return observed;
  const {kind, sha256, mode, uid, gid} = observed;
  return {state: 'present', kind, sha256, mode, uid, gid};
}

/** Content, kind, owner and mode are the same. */
export function isSame(observed: Observed, expected: Before): boolean {
  if (observed.state === 'absent' || expected.state === 'absent') return observed.state === expected.state;
  return (
    observed.kind === expected.kind &&
    observed.sha256 === expected.sha256 &&
    observed.mode === expected.mode &&
    observed.uid === expected.uid &&
    observed.gid === expected.gid
  );
}

/**
 * Numbers for the names of a step. A name of digits only is an id where no account has that name, as in chown(1): a file
 * may belong to a user that is gone. HostError `user.missing` or `group.missing`.
 */
export async function attributesOf(users: Users, owner: Owner, mode: Mode): Promise<FileAttributes> {
  const [namedUser, namedGroup] = await Promise.all([users.user(owner.user), users.group(owner.group)]);
  const isId = (name: string): boolean => /^\d{1,10}$/.test(name);
  const user = namedUser ?? (isId(owner.user) ? {uid: Number(owner.user)} : undefined);
  const group = namedGroup ?? (isId(owner.group) ? {gid: Number(owner.group)} : undefined);
  const missing = (kind: 'user' | 'group', name: string): HostError =>
    new HostError(
      problem(
        `${kind}.missing`,
        `There is no ${kind} ${visible(name)} on this host.`,
        'Install the package that brings it.',
      ),
    );
  if (user === undefined) throw missing('user', owner.user);
  if (group === undefined) throw missing('group', owner.group);
  return {mode, uid: user.uid, gid: group.gid};
}
