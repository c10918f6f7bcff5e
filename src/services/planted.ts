/** Symbolic links on the way to a configuration file that somebody else than root could have put there. */
import {HostError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {FileStat, Files} from '../system/ports.ts';
import {walkPath} from '../system/walk-path.ts';

/**
 * Throws HostError `file.unsafe-link` where a link on the way to `path` lies in a directory that others can write: it may
 * lead to any file of the host, and that file would be read and changed as a table. A link that root made in a directory
 * of root's, or with the sticky bit, is a link as any other.
 */
export async function refusePlanted(
  files: Pick<Files, 'stat' | 'readLink'>,
  path: AbsolutePath,
): Promise<void> {
  const link = await walkPath(files, path, async ({directory, at, entry}) =>
    entry.kind === 'symlink' && !isRoots(await files.stat(directory), entry) ? at : undefined,
  );
  if (link !== undefined) throw new HostError(planted(path, link));
}

function isRoots(directory: FileStat | undefined, link: FileStat): boolean {
  if (directory === undefined) return false;
  const isExclusive = directory.uid === 0 && (directory.mode & 0o022) === 0;
  return isExclusive || ((directory.mode & 0o1000) !== 0 && link.uid === 0);
}

const planted = (path: AbsolutePath, link: AbsolutePath) =>
  problem(
    'file.unsafe-link',
    `waxseal does not write ${visible(path)}: ${visible(link)} is a symbolic link that others can change.`,
    'Replace the link by what it points to, then run waxseal again.',
  );
