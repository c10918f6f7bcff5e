/** Programs that run as root: who else could put something in their place. */
import {command} from '../domain/command.ts';
import {type AbsolutePath, below, parentOf} from '../domain/paths.ts';
import type {FileStat, Files, Ports} from './ports.ts';
import {walkPath} from './walk-path.ts';

/** What others than its owner can change, and the command that ends it, without the path. */
export interface Loose {
  readonly at: AbsolutePath;
  readonly repair: string;
}

/** The command that ends it, as it is pasted into a shell. */
export const repairOf = ({repair, at}: Loose): string => {
  const [program = '', ...rest] = repair.split(' ');
  return command(program, ...rest, at);
};

const STICKY = 0o1000;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

type Known = Pick<Ports, 'files' | 'users'>;
type IsOwn = (who: {readonly uid: number}) => boolean;

/** Whether somebody else may write there. A group that has no other members is nobody else. */
async function isShared(
  {users}: Pick<Ports, 'users'>,
  {mode, gid}: FileStat,
  isOwn: IsOwn,
): Promise<boolean> {
  if ((mode & OTHERS_WRITE) !== 0) return true;
  if ((mode & GROUP_WRITES) === 0) return false;
  const members = (await users.groupById(gid))?.members ?? [];
  const named = await Promise.all(members.map(name => users.user(name)));
  return [...named, ...(await users.primaryMembers(gid))].some(who => who === undefined || !isOwn(who));
}

/**
 * The file itself, or a directory or link on the way to it, links followed, by which somebody else could put another
 * program in its place. `isOwn` says whose files are trusted. A group that has no other members can write: Debian gives
 * /usr/local to such a one, `staff`. Undefined where all is tight, or where there is no file.
 */
export async function looseWay(
  ports: Pick<Ports, 'users'> & {readonly files: Pick<Files, 'stat' | 'readLink'>},
  path: AbsolutePath,
  isOwn: IsOwn,
): Promise<Loose | undefined> {
  return await walkPath(ports.files, path, async ({directory, at, entry}) => {
    const above = await ports.files.stat(directory);
    if (above === undefined) return undefined;
    if (!isOwn(above)) return {at: directory, repair: 'chown root'};
    if ((above.mode & STICKY) === 0 && (await isShared(ports, above, isOwn)))
      return {at: directory, repair: 'chmod go-w'};
    // In a sticky directory everybody can make entries, and only their owner can replace them.
    if (!isOwn(entry)) return {at, repair: entry.kind === 'symlink' ? 'chown -h root' : 'chown root'};
    return entry.kind === 'file' && (await isShared(ports, entry, isOwn))
      ? {at, repair: 'chmod go-w'}
      : undefined;
  });
}

/** Nothing that is loaded by a program that has everything in its bundle; a checkout has thousands of files there. */
const NOT_LOADED: ReadonlySet<string> = new Set(['node_modules', '.git']);

/**
 * As {@link looseWay} for a program that loads files from beside it: also every file and directory of its package, which
 * is what lies below the nearest package.json (it says how the files are read), or below the directory of the script.
 */
export async function loosePackage(
  ports: Known,
  script: AbsolutePath,
  isOwn: IsOwn,
): Promise<Loose | undefined> {
  const real = (await ports.files.resolve(script)) ?? script;
  const top = await packageOf(ports.files, parentOf(real));
  return (
    (await looseWay(ports, script, isOwn)) ??
    (await looseWay(ports, top, isOwn)) ??
    (await looseBelow(ports, top, isOwn))
  );
}

async function packageOf(files: Known['files'], directory: AbsolutePath): Promise<AbsolutePath> {
  for (let at = directory; ; at = parentOf(at)) {
    if ((await files.stat(below(at, 'package.json'))) !== undefined) return at;
    if (at === '/') return directory;
  }
}

/** The directory and all in it; where a link leads to, with the way there. */
async function looseBelow(ports: Known, at: AbsolutePath, isOwn: IsOwn): Promise<Loose | undefined> {
  const entry = await ports.files.stat(at);
  if (entry === undefined) return undefined;
  if (entry.kind === 'symlink') return await looseWay(ports, at, isOwn);
  if (!isOwn(entry)) return {at, repair: 'chown root'};
  // A sticky bit is no help: what is added is loaded just as well.
  if (await isShared(ports, entry, isOwn)) return {at, repair: 'chmod go-w'};
  if (entry.kind !== 'directory') return undefined;
  for (const name of (await ports.files.list(at)) ?? []) {
    const loose = NOT_LOADED.has(name) ? undefined : await looseBelow(ports, below(at, name), isOwn);
    if (loose !== undefined) return loose;
  }
  return undefined;
}
