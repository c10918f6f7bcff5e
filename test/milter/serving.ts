import {mkdtemp, rm} from 'node:fs/promises';
import {createServer, type Server, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {absolute} from '../../src/domain/paths.ts';
import {type MilterHandler, type MilterManner, serveMilter} from '../../src/milter/server.ts';
import type {SocketEndpoint} from '../../src/system/ports.ts';

/** A real listening socket for one test; `stop` ends it and everything connected to it. */
export interface Listening {
  readonly endpoint: SocketEndpoint;
  stop(): Promise<void>;
}

async function listening(server: Server, on: 'unix' | 'tcp', sockets: Set<Socket>): Promise<Listening> {
  const directory = await mkdtemp(path.join(tmpdir(), 'waxseal-milter-'));
  const socketPath = path.join(directory, 'milter.sock');
  await new Promise<void>(resolve => {
    if (on === 'unix') server.listen(socketPath, resolve);
    else server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const endpoint: SocketEndpoint =
    on === 'unix' || address === null || typeof address === 'string'
      ? {kind: 'unix', path: absolute(socketPath)}
      : {kind: 'tcp', host: '127.0.0.1', port: address.port};
  return {
    endpoint,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>(resolve => server.close(() => resolve()));
      await rm(directory, {recursive: true});
    },
  };
}

/** Serves raw connections. */
export function serveRaw(
  onSocket: (socket: Socket) => void,
  on: 'unix' | 'tcp' = 'unix',
): Promise<Listening> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  return listening(server, on, sockets);
}

/** Serves the milter protocol. */
export const serve = (
  handler: MilterHandler,
  manner?: MilterManner,
  on: 'unix' | 'tcp' = 'unix',
): Promise<Listening> => serveRaw(socket => void serveMilter(socket, handler, manner), on);
