import {HostError} from '../domain/errors.ts';
import {type AbsolutePath, below, parentOf} from '../domain/paths.ts';
import {STATE_DIRECTORY} from '../domain/places.ts';
import {problem} from '../domain/result.ts';
import type {FileAttributes, Files} from '../system/ports.ts';

/** Everything of waxseal's own is root's alone: it holds private keys and copies of configuration with passwords. */
export const OWN_FILE: FileAttributes = {mode: 0o600, uid: 0, gid: 0};
export const OWN_DIRECTORY: FileAttributes = {mode: 0o700, uid: 0, gid: 0};

/**
 * The state directory itself lets others pass, but not look: the signer of a preflight runs as its own user in a
 * directory below, and OpenDKIM judges every directory on the way to a key (FACTS 2.1).
 */
const PASSABLE_DIRECTORY: FileAttributes = {...OWN_DIRECTORY, mode: 0o711};

const forbidden = (path: AbsolutePath): number => (path === STATE_DIRECTORY ? 0o066 : 0o077);

/**
 * Makes a directory at or below the state directory, with every level that is missing. HostError where a level is
 * something else, or belongs to somebody else: what is kept here decides what is written as root.
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
  if (there.kind !== 'directory' || there.uid !== 0 || (there.mode & forbidden(path)) !== 0) {
    throw new HostError(
      problem(
        'state.unsafe',
        `${path} is not a directory of root's alone.`,
        `Look at it with ls -ld ${path}; where it is yours: chown root:root ${path} && chmod go-rw ${path}`,
      ),
    );
  }
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
