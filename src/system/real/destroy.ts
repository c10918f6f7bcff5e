import {randomBytes} from 'node:crypto';
import {constants, type Stats} from 'node:fs';
import {chmod, type FileHandle, lstat, open, unlink} from 'node:fs/promises';
import type {Destruction} from '../ports.ts';
import {byHandle, hold, isSameFile} from './regular.ts';
import {codeOf, isMissing} from './system-error.ts';

/** No private key is longer; a file that is, is not read. */
const MOST_OCTETS = 1024 * 1024;
const {O_RDONLY, O_RDWR, O_NONBLOCK} = constants;

/**
 * Destroys the file that is at `at` now, see `Files.destroy`; rejects with ENOENT where nothing is. Everything is done
 * by a handle but the last act: a name can only be removed as a name. It is, while it still means that file; whoever
 * exchanges it in the instant between could have removed by himself what he put there.
 */
export async function destroyRegular(
  at: string,
  isExpected: (content: Uint8Array, stats: Stats) => boolean,
): Promise<Destruction> {
  return await hold(at, async (held, stats) => {
    if (!stats.isFile()) return 'not-a-file';
    if (stats.nlink !== 1) return 'several-names';
    const content = await contentOf(held);
    if (content === undefined || !isExpected(content, stats)) return 'unexpected';
    await overwrite(held, content.length);
    try {
      if (!isSameFile(stats, await lstat(at))) return 'overwritten';
      await unlink(at);
      return 'destroyed';
    } catch (error) {
      if (isMissing(error)) return 'overwritten';
      throw error;
    }
  });
}

/** Undefined where it is longer than any key; it may grow while it is read. */
async function contentOf(held: Pick<FileHandle, 'fd'>): Promise<Uint8Array | undefined> {
  const handle = await open(byHandle(held), O_RDONLY | O_NONBLOCK);
  try {
    const room = Buffer.alloc(MOST_OCTETS + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < room.length; length += read) {
      read = (await handle.read(room, length, room.length - length, length)).bytesRead;
    }
    return length > MOST_OCTETS ? undefined : new Uint8Array(room.subarray(0, length));
  } finally {
    await handle.close();
  }
}

async function overwrite(held: Pick<FileHandle, 'fd'>, length: number): Promise<void> {
  const handle = await openToWrite(held);
  try {
    for (let at = 0; at < length; ) {
      at += (await handle.write(randomBytes(length - at), 0, length - at, at)).bytesWritten;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function openToWrite(held: Pick<FileHandle, 'fd'>): Promise<FileHandle> {
  try {
    return await open(byHandle(held), O_RDWR | O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) !== 'EACCES') throw error;
    // A key is often 0400: its owner, where that is not root, has to take the right to write first.
    await chmod(byHandle(held), 0o600);
    return await open(byHandle(held), O_RDWR | O_NONBLOCK);
  }
}
