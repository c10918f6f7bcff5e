/** Programs that run as root: who else could put something in their place. */
import {command} from '../domain/command.ts';
import {type AbsolutePath, below, parentOf} from '../domain/paths.ts';
import {listed as listedText, visible} from '../domain/text.ts';
import type {AccessList, FileStat, Files, Ports} from './ports.ts';
import {walkPath} from './walk-path.ts';

/** What others than its owner can change, and the command that ends it, without the path. */
export interface Loose {
  readonly at: AbsolutePath;
  readonly repair: string;
  /** Who may write by an access list, for a person. */
  readonly listed?: string;
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
type Looks = Pick<Ports, 'users'> & {readonly files: Pick<Files, 'stat' | 'readLink' | 'accessLists'>};
type IsOwn = (who: {readonly uid: number}) => boolean;

/** Somebody else than those who are trusted may write there; undefined where nobody may. */
async function shared(
  ports: Looks,
  at: AbsolutePath,
  {mode, gid}: FileStat,
  isOwn: IsOwn,
): Promise<Loose | undefined> {
  const loose = {at, repair: 'chmod go-w'};
  if ((mode & OTHERS_WRITE) !== 0) return loose;
  if ((mode & GROUP_WRITES) === 0) return undefined;
  const list = (await ports.files.accessLists([at])).get(at);
  if (list === undefined) return (await hasOthers(ports, gid, isOwn)) ? loose : undefined;
  const listed = await listedFor(ports, list, {gid, right: 2}, isOwn);
  // The bits of the group are the mask of the list: without them it gives no right.
  return listed === undefined ? undefined : {...loose, listed};
}

/** Whether a group has other members than those who are trusted. */
async function hasOthers({users}: Pick<Ports, 'users'>, gid: number, isOwn: IsOwn): Promise<boolean> {
  const members = (await users.groupById(gid))?.members ?? [];
  const named = await Promise.all(members.map(name => users.user(name)));
  return [...named, ...(await users.primaryMembers(gid))].some(who => who === undefined || !isOwn(who));
}

/** Who else has a right by an access list, for a person; undefined where nobody has. */
export async function listedFor(
  ports: Pick<Ports, 'users'>,
  list: AccessList | 'unread',
  {gid, right}: {readonly gid: number; readonly right: 2 | 4},
  isOwn: IsOwn,
): Promise<string | undefined> {
  if (list === 'unread') return "an account that can't be told without getfacl";
  const own = {kind: 'group', id: gid, rights: list.group} as const;
  const others: string[] = [];
  for (const {kind, id, rights} of [own, ...list.named]) {
    if ((rights & right) === 0) continue;
    if (kind === 'user') {
      if (!isOwn({uid: id})) others.push((await ports.users.userById(id))?.name ?? `user ${id}`);
    } else if (await hasOthers(ports, id, isOwn)) {
      others.push(`group ${(await ports.users.groupById(id))?.name ?? id}`);
    }
  }
  return others.length === 0 ? undefined : visible(listedText(others));
}

/**
 * The file itself, or a directory or link on the way to it, links followed, by which somebody else could put another
 * program in its place. `isOwn` says whose files are trusted. A group that has no other members can write: Debian gives
 * /usr/local to such a one, `staff`. Undefined where all is tight, or where there is no file.
 */
export async function looseWay(ports: Looks, path: AbsolutePath, isOwn: IsOwn): Promise<Loose | undefined> {
  return await walkPath(ports.files, path, async ({directory, at, entry}) => {
    const above = await ports.files.stat(directory);
    if (above === undefined) return undefined;
    if (!isOwn(above)) return {at: directory, repair: 'chown root'};
    const open = (above.mode & STICKY) === 0 ? await shared(ports, directory, above, isOwn) : undefined;
    if (open !== undefined) return open;
    // In a sticky directory everybody can make entries, and only their owner can replace them.
    if (!isOwn(entry)) return {at, repair: entry.kind === 'symlink' ? 'chown -h root' : 'chown root'};
    return entry.kind === 'file' ? await shared(ports, at, entry, isOwn) : undefined;
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
  const open = await shared(ports, at, entry, isOwn);
  if (open !== undefined) return open;
  if (entry.kind !== 'directory') return undefined;
  for (const name of (await ports.files.list(at)) ?? []) {
    const loose = NOT_LOADED.has(name) ? undefined : await looseBelow(ports, below(at, name), isOwn);
    if (loose !== undefined) return loose;
  }
  return undefined;
}
