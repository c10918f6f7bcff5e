import {randomBytes} from 'node:crypto';
import {constants, type Stats} from 'node:fs';
import {
  access,
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rmdir,
  unlink,
} from 'node:fs/promises';
import {command} from '../../domain/command.ts';
import {HostError} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {AccessList, Destruction, FileAttributes, FileStat, Files} from '../ports.ts';
import {readAccessLists} from './access-list.ts';
import {destroyRegular} from './destroy.ts';
import {copyLabels} from './labels.ts';
import type {OwnerLedger} from './owner-ledger.ts';
import {byHandle, type HeldPath, hold, holdOpen, isSameFile, notAFile, openRegular} from './regular.ts';
import {codeOf, fileError, isMissing} from './system-error.ts';
import {type Place, type Trust, walk} from './walk.ts';

export interface FilesOptions {
  /** A directory that stands for `/`: every path is mapped below it and no symlink leads out of it. */
  readonly root?: AbsolutePath;
  /** `real` uses chown(2) and needs root; a ledger only remembers the owners. */
  readonly owners: 'real' | OwnerLedger;
}

/** Handles that one program inherits: far below the limit of any process. */
const LISTS_AT_ONCE = 200;
// Accounts below this number belong to services (SYS_UID_MAX of login.defs(5)): the signer may own its directories.
const FIRST_PERSON = 1000;
const {W_OK, O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY} = constants;

/** Name of the file that is written beside `name` before it takes its place: `.NAME.waxseal-1f2e3d4c`. */
const temporaryName = (name: string): string =>
  `.${name.slice(0, 200)}.waxseal-${randomBytes(4).toString('hex')}`;

/** Implements {@link Files} on the real file system; each operation holds the directory open while it works in it. */
export function createFiles(options: FilesOptions): Files {
  const root = options.root ?? '/';
  const ledger = options.owners === 'real' ? undefined : options.owners;
  const euid = process.geteuid?.() ?? 0;

  const trustOf = (uid: number): Trust => ({
    uid: owner => owner === uid || owner === euid || owner < FIRST_PERSON,
    gid: group => group === 0 || group === process.getegid?.(),
  });

  async function within<T>(path: AbsolutePath, uid: number, work: (place: Place) => Promise<T>): Promise<T> {
    const place = await walk(path, {root, follow: false, trust: trustOf(uid)});
    if (place === undefined) throw Object.assign(new Error('no such directory'), {code: 'ENOENT'});
    return await closing(place, work);
  }

  async function looking<T>(
    path: AbsolutePath,
    {follow, refusesPlanted = false}: {readonly follow: boolean; readonly refusesPlanted?: boolean},
    work: (place: Place) => Promise<T>,
  ): Promise<T | undefined> {
    try {
      const place = await walk(path, {root, follow, refusesPlanted});
      return place === undefined ? undefined : await closing(place, work);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Opens a file once, judges it, and gives that very file to `work`. */
  const reading = <T>(
    path: AbsolutePath,
    follow: boolean,
    work: (handle: FileHandle, stats: Stats) => Promise<T>,
  ): Promise<T | undefined> =>
    looking(path, {follow, refusesPlanted: true}, place =>
      closingHandle(openRegular(place.at, path, O_RDONLY), async handle => {
        const stats = await handle.stat();
        if (mayBeForeign(place, stats)) throw severalNames(path);
        return await work(handle, stats);
      }),
    );

  async function own(handle: FileHandle, attributes: FileAttributes): Promise<void> {
    const stats = await handle.stat();
    if (ledger !== undefined) ledger.record(stats.dev, stats.ino, attributes);
    else if (stats.uid !== attributes.uid || stats.gid !== attributes.gid) {
      await handle.chown(attributes.uid, attributes.gid);
    }
    // After chown: chown(2) clears the setuid and setgid bits.
    await handle.chmod(attributes.mode);
  }

  async function publish(
    path: AbsolutePath,
    content: Uint8Array,
    attributes: FileAttributes,
    put: (temporary: string, place: Place) => Promise<void>,
    prepare: (handle: FileHandle, place: Place) => Promise<void> = async () => {},
    modified?: Date,
  ): Promise<void> {
    await within(path, attributes.uid, async place => {
      const temporary = place.at.slice(0, -place.name.length) + temporaryName(place.name);
      await closingHandle(open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600), async handle => {
        try {
          // Labels first, while the file is empty: they may widen its mode, which is set right before the content.
          await prepare(handle, place);
          await own(handle, attributes);
          await handle.writeFile(content);
          if (modified !== undefined) await handle.utimes(modified, modified);
          await handle.sync();
          // Whoever owns the directory may exchange any name in it, at any time: what was written goes to no other
          // place than its own, and where it did not get there, nothing is said to be done.
          await mustBe(handle, temporary, path);
          await put(temporary, place);
          await mustBe(handle, place.at, path);
        } catch (error) {
          await unlink(temporary).catch(() => undefined);
          throw error;
        }
      });
      await syncDirectory(place);
    });
  }

  return {
    stat: path =>
      told('look at', path, () =>
        looking(path, {follow: false}, async place => describe(await lstat(place.at), ledger)),
      ),

    read: (path, {follow = true} = {}) =>
      told('read', path, () => reading(path, follow, handle => handle.readFile())),

    inspect: (path, {follow = false} = {}) =>
      told('read', path, () =>
        reading(path, follow, async (handle, stats) => ({
          content: await handle.readFile(),
          stat: describe(stats, ledger),
        })),
      ),

    list: path =>
      told('list', path, () =>
        looking(path, {follow: true}, async place => (await readdir(place.at)).sort()),
      ),

    resolve: path =>
      told('look at', path, () =>
        looking(path, {follow: true}, async place => {
          await lstat(place.at);
          return place.path;
        }),
      ),

    accessLists: async paths => {
      const found = new Map<AbsolutePath, AccessList | 'unread'>();
      for (let at = 0; at < paths.length; at += LISTS_AT_ONCE) {
        for (const [path, list] of await accessListsOf(paths.slice(at, at + LISTS_AT_ONCE)))
          found.set(path, list);
      }
      return found;
    },

    readLink: path => told('read', path, () => looking(path, {follow: false}, place => readlink(place.at))),

    replace: (path, content, attributes, how = {}) =>
      told('write', path, () =>
        publish(
          path,
          content,
          attributes,
          async (temporary, place) => {
            const there = await lstatOrUndefined(place.at);
            if (there !== undefined && !there.isFile()) throw notAFile(path, there);
            await rename(temporary, place.at);
          },
          async (handle, place) => {
            if (how.keepLabels !== true) return;
            const old = await openRegular(place.at, path, O_RDONLY).catch(missingIsFine);
            if (old !== undefined) await closingHandle(old, from => copyLabels(path, from, handle));
          },
          how.modified,
        ),
      ),

    checkChangeable: path =>
      told('change', path, async () => {
        await looking(path, {follow: false}, async place => {
          try {
            await access(place.at, W_OK);
          } catch (error) {
            // A mode without the right to write does not stop a replacement, nor root.
            if (['EROFS', 'EPERM'].includes(codeOf(error))) throw error;
          }
        });
      }),

    create: (path, content, attributes) =>
      told('create', path, () =>
        publish(path, content, attributes, async (temporary, place) => {
          // link(2) fails where the name is taken; rename(2) would replace.
          await link(temporary, place.at);
          await unlink(temporary);
        }),
      ),

    makeDirectory: (path, attributes) =>
      told('make the directory', path, () =>
        within(path, attributes.uid, async place => {
          await mkdir(place.at, 0o700);
          try {
            await closingHandle(open(place.at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), async handle => {
              // Another directory may have its name by now; only a new and empty one may be given away.
              if (!(await isFresh(handle))) throw exchanged(path);
              await own(handle, attributes);
              await mustBe(handle, place.at, path);
            });
          } catch (error) {
            await rmdir(place.at).catch(() => undefined);
            throw error;
          }
          await syncDirectory(place);
        }),
      ),

    setAttributes: (path, attributes, seen) =>
      told('change the owner or mode of', path, () =>
        within(path, attributes.uid, place =>
          hold(place.at, async (held, stats) => {
            if (!stats.isFile() && !stats.isDirectory()) throw notAFile(path, stats);
            if (stats.dev !== seen.device || stats.ino !== seen.inode) throw exchanged(path);
            await closingHandle(open(byHandle(held), O_RDONLY | O_NONBLOCK), async handle => {
              // A hard link in somebody else's directory may be any file of the host.
              if (stats.isFile() && stats.nlink > 1 && !place.exclusive) throw severalNames(path);
              await own(handle, attributes);
              await handle.sync();
            });
          }),
        ),
      ),

    append: (path, content, attributes) =>
      told('write', path, () =>
        within(path, attributes.uid, async place => {
          const there = await openRegular(place.at, path, O_WRONLY | O_APPEND).catch(missingIsFine);
          const flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_CREAT | O_EXCL;
          await closingHandle(there ?? open(place.at, flags, 0o600), async handle => {
            if (there === undefined) await own(handle, attributes);
            else refuseLoose(path, place, await handle.stat(), attributes);
            const {size} = await handle.stat();
            try {
              await handle.writeFile(content);
              await handle.sync();
            } catch (error) {
              // A full disk may have taken half a line; the next one must not be glued to it.
              await handle.truncate(size).catch(() => undefined);
              throw error;
            }
          });
          if (there === undefined) await syncDirectory(place);
        }),
      ),

    destroy: async (path, isExpected) => {
      let end: Destruction = 'absent';
      await told('destroy', path, () =>
        absentIsFine(path, async place => {
          end = await destroyRegular(place.at, (content, stats) =>
            isExpected(content, describe(stats, ledger)),
          );
        }),
      );
      return end;
    },

    remove: path =>
      told('remove', path, () =>
        absentIsFine(path, async place => {
          await unlink(place.at);
        }),
      ),

    removeDirectory: path =>
      told('remove the directory', path, () =>
        absentIsFine(path, async place => {
          await rmdir(place.at);
        }),
      ),
  };

  /** Every file is held open meanwhile, so that the list is of what was judged. */
  async function accessListsOf(
    paths: readonly AbsolutePath[],
  ): Promise<readonly (readonly [AbsolutePath, AccessList | 'unread'])[]> {
    const held: {readonly path: AbsolutePath; readonly handle: HeldPath}[] = [];
    try {
      for (const path of paths) {
        await told('look at', path, () =>
          looking(path, {follow: false}, async place => {
            const handle = holdOpen(place.at);
            // Without a right for the group, the mask of a list lets no one in.
            const mayGive = !handle.stats.isSymbolicLink() && (handle.stats.mode & 0o070) !== 0;
            if (mayGive) held.push({path, handle});
            else handle.close();
          }),
        );
      }
      if (held.length === 0) return [];
      const lists = await readAccessLists(held.map(({handle}) => handle));
      return held.flatMap(({path}, at) => {
        const list = lists[at];
        return list === undefined ? [] : [[path, list] as const];
      });
    } finally {
      for (const {handle} of held) handle.close();
    }
  }

  async function absentIsFine(path: AbsolutePath, work: (place: Place) => Promise<void>): Promise<void> {
    try {
      await within(path, 0, async place => {
        await work(place);
        await syncDirectory(place);
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}

async function closing<T>(place: Place, work: (place: Place) => Promise<T>): Promise<T> {
  try {
    return await work(place);
  } finally {
    await place.close();
  }
}

async function closingHandle<T>(
  opening: FileHandle | Promise<FileHandle>,
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> {
  const handle = await opening;
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
}

async function told<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(action, path, error);
  }
}

function missingIsFine(error: unknown): undefined {
  if (!isMissing(error)) throw error;
  return undefined;
}

async function lstatOrUndefined(at: string): Promise<Stats | undefined> {
  try {
    return await lstat(at);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

// A rename is only safe from a power cut when its directory has reached the disk too.
async function syncDirectory(place: Place): Promise<void> {
  try {
    await closingHandle(open(place.directory, O_RDONLY | O_DIRECTORY), handle => handle.sync());
  } catch (error) {
    // Some file systems cannot sync a directory; a directory may be searchable but not readable.
    if (!['EINVAL', 'EACCES', 'ENOTSUP'].includes(codeOf(error))) throw error;
  }
}

function kindOf(stats: Stats): FileStat['kind'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  return stats.isSocket() ? 'socket' : 'other';
}

function describe(stats: Stats, ledger: OwnerLedger | undefined): FileStat {
  const owner = ledger?.ownerOf(stats.dev, stats.ino) ?? stats;
  return {
    kind: kindOf(stats),
    mode: stats.mode & 0o7777,
    uid: owner.uid,
    gid: owner.gid,
    size: stats.size,
    links: stats.nlink,
    device: stats.dev,
    inode: stats.ino,
    modifiedMs: stats.mtimeMs,
  };
}

/** Rejects where `at` is not the name of the open file any more. */
async function mustBe(handle: FileHandle, at: string, path: AbsolutePath): Promise<void> {
  const [stats, there] = await Promise.all([handle.stat(), lstatOrUndefined(at)]);
  if (!isSameFile(stats, there)) throw exchanged(path);
}

/** True for a directory of this process that nobody else can enter and nothing is in. */
async function isFresh(handle: FileHandle): Promise<boolean> {
  const {uid, mode} = await handle.stat();
  return (
    uid === process.geteuid?.() && (mode & 0o077) === 0 && (await readdir(byHandle(handle))).length === 0
  );
}

/** A file with several names that somebody else may have put into this directory, where it may be any file of the host. */
const mayBeForeign = ({exclusive, stats: directory}: Place, {nlink, uid}: Stats): boolean =>
  !exclusive && nlink > 1 && ((directory.mode & 0o022) !== 0 || uid !== directory.uid);

/** Throws where what is to be appended to is not what this process, or `attributes`, would have made. */
function refuseLoose(
  path: AbsolutePath,
  place: Place,
  {nlink, uid, mode}: Stats,
  attributes: FileAttributes,
): void {
  if (nlink > 1 && !place.exclusive) throw severalNames(path);
  const isOwn = [0, process.geteuid?.(), attributes.uid].includes(uid);
  // The group that the owner has chosen may read along: log files are rotated with 0640.
  const isTight = (mode & 0o666 & ~(attributes.mode | 0o640)) === 0;
  if (isOwn && isTight) return;
  throw new HostError(
    problem(
      'file.loose',
      isOwn
        ? `waxseal does not write ${visible(path)}: others than its owner can write it, or everyone can read it.`
        : `waxseal does not write ${visible(path)}: it belongs to somebody else (user ${uid}).`,
      isOwn
        ? `Name another file, or take the rights away: ${command('chmod', '0600', path)}`
        : 'Name another file, or move that one away.',
    ),
  );
}

const exchanged = (path: AbsolutePath): HostError =>
  new HostError(
    problem(
      'file.exchanged',
      `Somebody else put something in the place of ${visible(path)} while waxseal was writing it; nothing else was touched.`,
      `Make its directory root's, then run waxseal again. Who can write in it: ${command('namei', '-l', path)}`,
    ),
  );

const severalNames = (path: AbsolutePath): HostError =>
  new HostError(
    problem(
      'file.hard-link',
      `${visible(path)} has more than one name (hard link) in a directory that others can write.`,
      `Find the other names: ${command('find', '/', '-xdev', '-samefile', path)}`,
    ),
  );
