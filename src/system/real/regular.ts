import {closeSync, constants, fstatSync, openSync, type Stats} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {HostError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';

// open(2): a handle that names a place and needs no permission to read it. Node does not export the constant.
export const O_PATH = 0o10000000;

/** A path of the file behind a handle, for this process: it means that very file, whatever happens to its names. */
export const byHandle = (handle: Pick<FileHandle, 'fd'>): string => `/proc/self/fd/${handle.fd}`;

/** A handle that only names what it is of. */
export interface HeldPath extends Pick<FileHandle, 'fd'> {
  readonly stats: Stats;
  close(): void;
}

/**
 * Names what is at `at` now by a handle, without following a link and without opening it: to open a FIFO may block,
 * and to open a device may do something.
 */
export function holdOpen(at: string): HeldPath {
  // Synchronous as in walk.ts: nothing is read and nothing waited for.
  const fd = openSync(at, O_PATH | constants.O_NOFOLLOW);
  return {fd, stats: fstatSync(fd), close: () => closeSync(fd)};
}

/** Works with what is at `at` now; see {@link holdOpen}. */
export async function hold<T>(
  at: string,
  work: (held: Pick<FileHandle, 'fd'>, stats: Stats) => Promise<T>,
): Promise<T> {
  const held = holdOpen(at);
  try {
    return await work(held, held.stats);
  } finally {
    held.close();
  }
}

/**
 * Opens the regular file that is at `at` now. Its kind is judged first, and the file that was judged is the one that is
 * opened. HostError `file.symlink` or `file.kind` where it is no regular file, `path` being what the error names.
 *
 * @param flags of open(2), for reading or writing; nothing is ever created
 */
export async function openRegular(at: string, path: string, flags: number): Promise<FileHandle> {
  return await hold(at, async (held, stats) => {
    if (!stats.isFile()) throw notAFile(path, stats);
    return await open(byHandle(held), flags | constants.O_NONBLOCK);
  });
}

export const isSameFile = (one: Stats, other: Stats | undefined): boolean =>
  other !== undefined && one.dev === other.dev && one.ino === other.ino;

export const notAFile = (path: string, stats: Stats): HostError =>
  new HostError(
    problem(
      stats.isSymbolicLink() ? 'file.symlink' : 'file.kind',
      `${visible(path)} is ${stats.isSymbolicLink() ? 'a symbolic link' : 'not a regular file'}.`,
      'Look at it with ls -l and move it away.',
    ),
  );
