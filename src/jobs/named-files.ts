/**
 * Files that a person names, on the command line or on a screen. They lie where that person works: not below `--root`,
 * and not in the scratch directory of the sandbox.
 */
import {command} from '../domain/command.ts';
import {HostError} from '../domain/errors.ts';
import {type AbsolutePath, parentOf} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Files} from '../system/ports.ts';

export interface NamedFiles {
  /** `undefined` where there is no such file. Rejects with HostError where it cannot be read. */
  read(path: AbsolutePath): Promise<Uint8Array | undefined>;
  /**
   * As `read`, for what decides what is done: flags, domains, keys. Rejects with HostError `file.loose`, too, where
   * everybody can write the file: then anybody would decide.
   */
  readDeciding(path: AbsolutePath): Promise<Uint8Array | undefined>;
  /**
   * Writes 0644, never over a file with another content; the same content again is no error, so that a command can be
   * repeated. Rejects with HostError `file.exists` or another that says why.
   */
  save(path: AbsolutePath, text: string): Promise<void>;
  /** Writes 0600, never over a file that is there: for what holds private keys. Rejects with HostError `file.exists`. */
  create(path: AbsolutePath, text: string): Promise<void>;
}

const MODE = 0o644;
const SECRET_MODE = 0o600;
const OTHERS_WRITE = 0o002;

/**
 * @param files the whole file system of the person
 * @param person who runs waxseal. As root a new file belongs to the owner of its directory: whoever ran sudo in the
 *   home directory can then remove it, and no directory of another user is written as root
 */
export function createNamedFiles(
  files: Files,
  person: {readonly uid: number; readonly gid: number},
): NamedFiles {
  return {
    read: path => files.read(path),
    create: (path, text) =>
      files.create(path, Buffer.from(text, 'utf8'), {mode: SECRET_MODE, uid: person.uid, gid: person.gid}),
    async readDeciding(path) {
      const found = await files.inspect(path, {follow: true});
      if (found === undefined || (found.stat.mode & OTHERS_WRITE) === 0) return found?.content;
      throw new HostError(
        problem(
          'file.loose',
          `Every user on this host can write ${visible(path)} and so decide what waxseal does.`,
          `Check that its content is yours, then run: ${command('chmod', 'o-w', path)}`,
        ),
      );
    },
    async save(path, text) {
      const content = Buffer.from(text, 'utf8');
      const there = await files.read(path);
      if (there !== undefined && content.equals(there)) return;
      if (there !== undefined) {
        throw new HostError(
          problem(
            'file.exists',
            `There is a file ${visible(path)} already, with another content.`,
            'Name another file, or move that one away.',
          ),
        );
      }
      const resolved = (await files.resolve(parentOf(path))) ?? parentOf(path);
      const directory = await files.stat(resolved);
      const isShared = directory !== undefined && (directory.mode & 0o1002) !== 0;
      const owner =
        person.uid === 0 && directory !== undefined && !isShared
          ? {uid: directory.uid, gid: directory.gid}
          : person;
      await files.create(path, content, {mode: MODE, ...owner});
    },
  };
}
