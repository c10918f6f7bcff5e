import {type AbsolutePath, absolute, below, parentOf} from '../domain/paths.ts';
import type {FileStat, Files} from './ports.ts';

const MOST_LINKS = 40;

/** One name on the way: a directory that is no link, and what lies there under the name. */
export interface Visited {
  readonly directory: AbsolutePath;
  readonly at: AbsolutePath;
  /** A link as such, not what it leads to. */
  readonly entry: FileStat;
}

/**
 * Goes to `path` name by name, through every link, and gives back what `visit` returns first; undefined where it returns
 * nothing up to the end, to a name that is not there, or to the fortieth link. Another process may change the way
 * meanwhile: it is a look, and what is opened after it is opened by handles (system/real/walk.ts).
 */
export async function walkPath<T>(
  files: Pick<Files, 'stat' | 'readLink'>,
  path: AbsolutePath,
  visit: (visited: Visited) => Promise<T | undefined>,
): Promise<T | undefined> {
  const pending = path.split('/').filter(Boolean);
  let directory = absolute('/');
  for (let links = 0; pending.length > 0 && links < MOST_LINKS; ) {
    const name = pending.shift() ?? '.';
    if (name === '.') continue;
    if (name === '..') {
      directory = parentOf(directory);
      continue;
    }
    const at = below(directory, name);
    const entry = await files.stat(at);
    if (entry === undefined) return undefined;
    const found = await visit({directory, at, entry});
    if (found !== undefined) return found;
    if (entry.kind !== 'symlink') {
      directory = at;
      continue;
    }
    links += 1;
    const target = (await files.readLink(at)) ?? '';
    if (target.startsWith('/')) directory = absolute('/');
    pending.unshift(...target.split('/').filter(Boolean));
  }
  return undefined;
}
