import {constants} from 'node:fs';
import {open} from 'node:fs/promises';
import {connect, type Socket} from 'node:net';
import path from 'node:path';
import type {AbsolutePath} from '../../domain/paths.ts';
import type {SocketEndpoint, Sockets} from '../ports.ts';
import {startLimit} from './limit.ts';

// sun_path of unix(7) has 108 octets with its NUL.
const MAX_UNIX_PATH = 107;

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
  const full = root === undefined ? endpoint.path : path.posix.join(root, endpoint.path);
  if (Buffer.byteLength(full) <= MAX_UNIX_PATH) return await opened(connect({path: full}), timeoutMs);
  // A name through an open directory is short however deep the directory lies.
  const directory = await open(path.posix.dirname(full), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    const short = `/proc/self/fd/${directory.fd}/${path.posix.basename(full)}`;
    return await opened(connect({path: short}), timeoutMs);
  } finally {
    await directory.close();
  }
}

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
