import {command} from '../domain/command.ts';
import {HostError} from '../domain/errors.ts';
import {type AbsolutePath, below, parentOf} from '../domain/paths.ts';
import {STATE_DIRECTORY} from '../domain/places.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {FileAttributes, FileStat, Files} from '../system/ports.ts';

/** Everything of waxseal's own is root's alone: it holds private keys and copies of configuration with passwords. */
export const OWN_FILE: FileAttributes = {mode: 0o600, uid: 0, gid: 0};
export const OWN_DIRECTORY: FileAttributes = {mode: 0o700, uid: 0, gid: 0};

/**
 * The state directory itself lets others pass, but not look: the signer of a preflight runs as its own user in a
 * directory below, and every directory on the way to a key is judged (daemons/opendkim.md#key-files).
 */
const PASSABLE_DIRECTORY: FileAttributes = {...OWN_DIRECTORY, mode: 0o711};

const forbidden = (path: AbsolutePath): number => (path === STATE_DIRECTORY ? 0o066 : 0o077);

/**
 * Why something of waxseal's own can't be relied on, with the repair: it is of another kind (problem `state.kind`), or
 * another account could have written or read it (`state.unsafe`). What is kept here decides what is written as root.
 */
export function judgeOwn(
  path: AbsolutePath,
  stat: Pick<FileStat, 'kind' | 'mode' | 'uid'>,
  wanted: 'file' | 'directory',
): Problem | undefined {
  if (stat.kind !== wanted) {
    return problem(
      'state.kind',
      `${path} is not a ${wanted}${stat.kind === 'symlink' ? ' but a symbolic link' : ''}.`,
      `Move it away: ${command('mv', path, `${path}.damaged`)}`,
    );
  }
  const odd = stat.mode & forbidden(path);
  if (stat.uid === 0 && odd === 0) return undefined;
  const might = (odd & 0o022) !== 0 || stat.uid !== 0 ? 'changed' : 'read';
  const mode = path === STATE_DIRECTORY ? 'go-rw' : 'go-rwx';
  return problem(
    'state.unsafe',
    `${path} isn't root's alone: other users might have ${might} it.`,
    `Check what is in it. If it is right: ${command('chown', 'root:root', path)} && ${command('chmod', mode, path)}`,
  );
}

/** The problem `state.kind` where something else than a file is there. */
export async function oddKind(files: Pick<Files, 'stat'>, path: AbsolutePath): Promise<Problem | undefined> {
  const stat = await files.stat(path);
  const odd = stat === undefined ? undefined : judgeOwn(path, stat, 'file');
  return odd?.id === 'state.kind' ? odd : undefined;
}

/**
 * Makes a directory at or below the state directory, with every level that is missing. HostError where {@link judgeOwn}
 * finds something on a level.
 */
export async function makeStateDirectory(files: Files, path: AbsolutePath): Promise<void> {
  if (path !== STATE_DIRECTORY && !path.startsWith(`${STATE_DIRECTORY}/`)) {
    throw new TypeError(`not below the state directory: ${path}`);
  }
  if (path !== STATE_DIRECTORY) await makeStateDirectory(files, parentOf(path));
  let there = await files.stat(path);
  if (there === undefined) {
    try {
      await files.makeDirectory(path, path === STATE_DIRECTORY ? PASSABLE_DIRECTORY : OWN_DIRECTORY);
      return;
    } catch (error) {
      // Another job of this run may have made it in the same moment; then it is judged like any other.
      there = await files.stat(path);
      if (there === undefined) throw error;
    }
  }
  const unsafe = judgeOwn(path, there, 'directory');
  if (unsafe !== undefined) throw new HostError(unsafe);
}

/** `.NAME.waxseal-1f2e3d4c`: what a crash between writing and renaming leaves beside NAME. */
const TEMPORARY = /^\..+\.waxseal-[0-9a-f]{8}$/;

/** Removes what a crash left half-written in a directory, of one name or of all. They may hold a private key. */
export async function sweepTemporary(files: Files, directory: AbsolutePath, name?: string): Promise<void> {
  for (const found of (await files.list(directory)) ?? []) {
    const ours =
      TEMPORARY.test(found) && (name === undefined || found.startsWith(`.${name.slice(0, 200)}.waxseal-`));
    if (ours) await files.remove(below(directory, found));
  }
}
