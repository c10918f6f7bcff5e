/** Programs that run as root: who else could put something in their place. */
import {type AbsolutePath, absolute, parentOf} from '../domain/paths.ts';
import type {FileStat, Files, Ports} from './ports.ts';

/** What others than its owner can change, and the command that ends it, without the path. */
export interface Loose {
  readonly at: AbsolutePath;
  readonly repair: string;
}

const MOST_LINKS = 40;
const STICKY = 0o1000;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

/**
 * The file itself, or a directory or link on the way to it, links followed, by which somebody else could put another
 * program in its place. `isOwn` says whose files are trusted. A group that has no other members can write: Debian gives
 * /usr/local to such a one, `staff`. Undefined where all is tight, or where there is no file.
 */
export async function looseWay(
  {files, users}: Pick<Ports, 'users'> & {readonly files: Pick<Files, 'stat' | 'readLink'>},
  path: AbsolutePath,
  isOwn: (who: {readonly uid: number}) => boolean,
): Promise<Loose | undefined> {
  /** Whether somebody else may write there. */
  const isShared = async ({mode, gid}: FileStat): Promise<boolean> => {
    if ((mode & OTHERS_WRITE) !== 0) return true;
    if ((mode & GROUP_WRITES) === 0) return false;
    const members = (await users.groupById(gid))?.members ?? [];
    const named = await Promise.all(members.map(name => users.user(name)));
    return [...named, ...(await users.primaryMembers(gid))].some(who => who === undefined || !isOwn(who));
  };
  const pending = path.split('/').filter(Boolean);
  let at = absolute('/');
  for (let links = 0; pending.length > 0 && links < MOST_LINKS; ) {
    const name = pending.shift() ?? '.';
    if (name === '.') continue;
    if (name === '..') {
      at = parentOf(at);
      continue;
    }
    const directory = await files.stat(at);
    const here = absolute(at === '/' ? `/${name}` : `${at}/${name}`);
    const entry = await files.stat(here);
    if (directory === undefined || entry === undefined) return undefined;
    if (!isOwn(directory)) return {at, repair: 'chown root'};
    if ((directory.mode & STICKY) === 0 && (await isShared(directory))) return {at, repair: 'chmod go-w'};
    // In a sticky directory everybody can make entries, and only their owner can replace them.
    if (!isOwn(entry)) return {at: here, repair: entry.kind === 'symlink' ? 'chown -h root' : 'chown root'};
    if (entry.kind === 'file' && (await isShared(entry))) return {at: here, repair: 'chmod go-w'};
    if (entry.kind !== 'symlink') {
      at = here;
      continue;
    }
    links += 1;
    const target = (await files.readLink(here)) ?? '';
    if (target.startsWith('/')) at = absolute('/');
    pending.unshift(...target.split('/').filter(Boolean));
  }
  return undefined;
}
