/**
 * Walks a path one name at a time on open directory handles (as openat(2) would), so that nobody can swap a directory
 * for a symbolic link between a check and the use. Node has no openat; `/proc/self/fd/N/name` is the same on Linux.
 *
 * The calls are the synchronous ones: a handle that only names a directory (O_PATH) reads nothing from a disk and waits
 * for no FIFO or device, and ten thousand paths cost a tenth of what promises for each step do.
 */
import {closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats} from 'node:fs';
import {type FileHandle, statfs} from 'node:fs/promises';
import {command} from '../../domain/command.ts';
import {HostError} from '../../domain/errors.ts';
import {type AbsolutePath, absolute} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {haveAccessLists} from './labels.ts';
import {O_PATH} from './regular.ts';
import {isMissing} from './system-error.ts';

const MAX_LINKS = 40;
// statfs(2).
const PROC_SUPER_MAGIC = 0x9fa0;

/** Whom the caller trusts to own a directory on the way of a write. */
export interface Trust {
  uid(uid: number): boolean;
  gid(gid: number): boolean;
}

export interface WalkOptions {
  /** Directory on the real file system that counts as `/`; links cannot leave it. */
  readonly root: string;
  /** Whether a symlink at the very end is followed. */
  readonly follow: boolean;
  /**
   * Set where content is read: refuse links that others could have planted. They would have this
   * process, which may be root, read what they cannot, and take it for what it is not.
   */
  readonly refusesPlanted?: boolean;
  /** Set for writes: refuse directories that others can write, too. */
  readonly trust?: Trust;
}

/** An open directory and a name in it. `at` stays valid until `close`, whatever is renamed meanwhile. */
export interface Place {
  readonly name: string;
  readonly at: string;
  readonly directory: string;
  /** Path as the host sees it, every symlink on the way resolved. */
  readonly path: AbsolutePath;
  /** True where the directory is writable for root and this process only: nobody else can have planted what is in it. */
  readonly exclusive: boolean;
  /** The directory itself. */
  readonly stats: Stats;
  close(): Promise<void>;
}

interface Level {
  readonly handle: Pick<FileHandle, 'fd'>;
  readonly name: string;
  readonly stats: Stats;
}

const inside = (level: Level, name: string): string => `/proc/self/fd/${level.handle.fd}/${name}`;

const segmentsOf = (path: string): string[] =>
  path.split('/').filter(segment => segment !== '' && segment !== '.');

/** Who besides the trusted could write in this directory; `undefined` where nobody. */
function stranger(stats: Stats, trust: Trust): string | undefined {
  // A sticky directory lets others add names but not touch those of root.
  const sticky = (stats.mode & 0o1000) !== 0;
  if ((stats.mode & 0o002) !== 0 && !sticky) return 'everyone';
  if ((stats.mode & 0o020) !== 0 && !sticky && !trust.gid(stats.gid)) return `group ${stats.gid}`;
  // Whatever its mode says: its owner can change that.
  if (!trust.uid(stats.uid)) return `user ${stats.uid}`;
  return undefined;
}

// With an access list the bits of the group are its mask (acl(5)): they say that somebody may write, not who.
const listed = async (stats: Stats, directory: Pick<FileHandle, 'fd'>): Promise<string | undefined> =>
  (stats.mode & 0o1020) === 0o020 && (await haveAccessLists([directory]))[0] !== false
    ? 'somebody in its access list'
    : undefined;

const isExclusive = (stats: Stats): boolean =>
  (stats.mode & 0o022) === 0 && (stats.uid === 0 || stats.uid === process.geteuid?.());

/** The place that `path` names, or `undefined` where a directory on the way does not exist. */
export async function walk(path: AbsolutePath, options: WalkOptions): Promise<Place | undefined> {
  const stack: Level[] = [];
  const closeAll = async (): Promise<void> => {
    for (const level of stack.splice(0)) closeSync(level.handle.fd);
  };
  try {
    const place = await descend(path, options, stack);
    if (place === undefined) {
      await closeAll();
      return undefined;
    }
    return {...place, close: closeAll};
  } catch (error) {
    await closeAll();
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function descend(
  path: AbsolutePath,
  options: WalkOptions,
  stack: Level[],
): Promise<Omit<Place, 'close'> | undefined> {
  await enter(stack, options.root, '', undefined);
  const pending = segmentsOf(path);
  let links = 0;
  for (;;) {
    const level = stack.at(-1);
    if (level === undefined) throw new TypeError('the walk left its root');
    const name = pending.shift();
    if (name === undefined) return placeAt(stack, level, '.');
    if (name === '..') {
      if (stack.length > 1) closeTop(stack);
      continue;
    }
    const last = pending.length === 0;
    if (last && !options.follow) return placeAt(stack, level, name);
    const stats = lstatSync(inside(level, name), {throwIfNoEntry: !last});
    if (stats === undefined) return placeAt(stack, level, name);
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MAX_LINKS) throw tooManyLinks(path);
      if (options.trust !== undefined || options.refusesPlanted === true) {
        await refusePlanted(path, level, name, stats, options.trust === undefined ? 'read' : 'write');
      }
      const target = readlinkSync(inside(level, name));
      if (target.startsWith('/')) {
        while (stack.length > 1) closeTop(stack);
      }
      pending.unshift(...segmentsOf(target));
    } else if (last) {
      return placeAt(stack, level, name);
    } else {
      if (!stats.isDirectory()) return undefined;
      await enter(stack, inside(level, name), name, {path, trust: options.trust});
    }
  }
}

function closeTop(stack: Level[]): void {
  const level = stack.pop();
  if (level !== undefined) closeSync(level.handle.fd);
}

async function enter(
  stack: Level[],
  at: string,
  name: string,
  check: {path: AbsolutePath; trust: Trust | undefined} | undefined,
): Promise<void> {
  // The root itself may be reached by a link: whoever named it, chose it.
  const follow = check === undefined ? 0 : constants.O_NOFOLLOW;
  const fd = openSync(at, O_PATH | constants.O_DIRECTORY | follow);
  const handle = {fd};
  const stats = fstatSync(fd);
  stack.push({handle, name, stats});
  if (check?.trust === undefined) return;
  const who = stranger(stats, check.trust) ?? (await listed(stats, handle));
  if (who === undefined) return;
  const directory = pathOf(stack);
  throw new HostError(
    problem(
      'file.unsafe-directory',
      `waxseal does not write ${visible(check.path)}: ${who} can write in ${visible(directory)}.`,
      `Take the right away (getfacl shows an access list) or change the owner, then run waxseal again. By mode: ${command('chmod', 'go-w', directory)}`,
    ),
  );
}

/**
 * A link in a directory that only root can write was made by root. Any other might lead anywhere. For reading, a link of
 * root's or of whoever runs this is enough: others can move it, but not make one.
 */
async function refusePlanted(
  path: AbsolutePath,
  level: Level,
  name: string,
  link: Stats,
  purpose: 'read' | 'write',
): Promise<void> {
  const mine = link.uid === 0 || link.uid === process.geteuid?.();
  const sticky = (level.stats.mode & 0o1000) !== 0;
  if (isExclusive(level.stats) || (mine && (sticky || purpose === 'read'))) return;
  // In an unprivileged container the links of proc(5) belong to nobody; they are the kernel's all the same.
  if ((await statfs(inside(level, '.'))).type === PROC_SUPER_MAGIC) return;
  throw new HostError(
    problem(
      'file.unsafe-link',
      `waxseal does not ${purpose} ${visible(path)}: ${visible(name)} on the way is a symbolic link that others can change.`,
      purpose === 'read'
        ? `Name the file that it leads to (realpath ${visible(path)}), or replace the link by it, then run waxseal again.`
        : 'Replace the link by what it points to, then run waxseal again.',
    ),
  );
}

const tooManyLinks = (path: AbsolutePath): HostError =>
  new HostError(
    problem(
      'file.link-loop',
      `${visible(path)} leads in a circle of symbolic links.`,
      'Look at it with namei -l.',
    ),
  );

const pathOf = (stack: readonly Level[]): AbsolutePath =>
  absolute(
    `/${stack
      .slice(1)
      .map(level => level.name)
      .join('/')}`,
  );

function placeAt(stack: readonly Level[], level: Level, name: string): Omit<Place, 'close'> {
  const parent = pathOf(stack);
  return {
    name,
    at: inside(level, name),
    directory: inside(level, '.'),
    path: name === '.' ? parent : absolute(parent === '/' ? `/${name}` : `${parent}/${name}`),
    exclusive: isExclusive(level.stats),
    stats: level.stats,
  };
}
