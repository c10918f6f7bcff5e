/** Symbolic links on the way to a configuration file that somebody else than root could have put there. */
import {HostError} from '../domain/errors.ts';
import {type AbsolutePath, absolute, parentOf} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {FileStat, Files} from '../system/ports.ts';

const MOST_LINKS = 40;

/**
 * Throws HostError `file.unsafe-link` where a link on the way to `path` lies in a directory that others can write: it may
 * lead to any file of the host, and that file would be read and changed as a table. A link that root made in a directory
 * of root's, or with the sticky bit, is a link as any other.
 */
export async function refusePlanted(
  files: Pick<Files, 'stat' | 'readLink'>,
  path: AbsolutePath,
): Promise<void> {
  const pending = path.split('/').filter(Boolean);
  let at = '';
  for (let links = 0; pending.length > 0 && links < MOST_LINKS; ) {
    const name = pending.shift();
    if (name === undefined || name === '.') continue;
    if (name === '..') {
      at = at.slice(0, at.lastIndexOf('/'));
      continue;
    }
    const here = absolute(`${at}/${name}`);
    const stat = await files.stat(here);
    if (stat?.kind !== 'symlink') {
      at = here;
      continue;
    }
    links += 1;
    if (!isRoots(await files.stat(parentOf(here)), stat)) throw new HostError(planted(path, here));
    const target = await files.readLink(here);
    if (target === undefined) return;
    if (target.startsWith('/')) at = '';
    pending.unshift(...target.split('/').filter(Boolean));
  }
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
