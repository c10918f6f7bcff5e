import {constants} from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import type {AbsolutePath} from '../../domain/paths.ts';
import type {SocketEndpoint, Sockets} from '../ports.ts';
import {startLimit} from './limit.ts';
import {byHandle, O_PATH} from './regular.ts';
import {walk} from './walk.ts';

export interface SocketsOptions {
  /** Unix sockets are looked for below this directory. */
  readonly root?: AbsolutePath;
}

export const createSockets = (options: SocketsOptions = {}): Sockets => ({
  connect: (endpoint, timeoutMs) => dial(endpoint, timeoutMs, options.root),
});

async function dial(
  endpoint: SocketEndpoint,
  timeoutMs: number,
  root: AbsolutePath | undefined,
): Promise<Socket> {
  if (endpoint.kind === 'tcp')
    return await opened(connect({host: endpoint.host, port: endpoint.port}), timeoutMs);
  return await dialUnix(endpoint.path, timeoutMs, root);
}

/**
 * The signer's account owns the directory of its socket. So the socket is named once, by a handle, and that very socket
 * is connected to: a link or another socket that is put in its place meanwhile is not. Rejects with HostError
 * `file.unsafe-link` where a link on the way could have been planted. A name by a handle is short, however deep the
 * socket lies (sun_path of unix(7) has 108 octets).
 */
async function dialUnix(
  path: AbsolutePath,
  timeoutMs: number,
  root: AbsolutePath | undefined,
): Promise<Socket> {
  const place = await walk(path, {root: root ?? '/', follow: true, refusesPlanted: true});
  if (place === undefined) throw Object.assign(new Error(`connect ENOENT ${path}`), {code: 'ENOENT'});
  let held: FileHandle | undefined;
  const release = async (): Promise<void> => {
    await held?.close();
    await place.close();
  };
  try {
    held = await open(place.at, O_PATH | constants.O_NOFOLLOW);
    if (!(await held.stat()).isSocket()) {
      throw Object.assign(new Error(`${path} is not a socket`), {code: 'ECONNREFUSED'});
    }
  } catch (error) {
    await release();
    throw error;
  }
  const handle = byHandle(held);
  const dialing = opened(connect({path: handle}), timeoutMs).catch((error: unknown) => {
    throw named(error, handle, path);
  });
  // Not awaited: what the other side does right after it took the connection must find somebody who listens to it.
  void dialing.catch(() => undefined).finally(() => void release().catch(() => undefined));
  return await dialing;
}

/** The system's error with the path that people know in place of the handle. */
const named = (error: unknown, handle: string, path: AbsolutePath): unknown =>
  error instanceof Error
    ? Object.assign(error, {message: error.message.replace(handle, path), address: path})
    : error;

function opened(socket: Socket, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      endLimit();
      socket.destroy();
      reject(error);
    };
    const endLimit = startLimit(timeoutMs, () =>
      refuse(Object.assign(new Error('the connection took too long'), {code: 'ETIMEDOUT'})),
    );
    socket.once('error', refuse);
    socket.once('connect', () => {
      endLimit();
      socket.off('error', refuse);
      resolve(socket);
    });
  });
}
