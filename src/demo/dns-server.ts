/** A DNS server on the loopback: real UDP and TCP packets on one ephemeral port. What it answers is given to it. */
import dgram from 'node:dgram';
import net from 'node:net';
import type {DnsServer} from '../system/ports.ts';

/** The answer's octets; undefined: say nothing. */
export type Answerer = (
  query: Buffer,
  via: 'udp' | 'tcp',
) => Buffer | undefined | Promise<Buffer | undefined>;

export interface RunningServer extends DnsServer {
  close(): Promise<void>;
}

const LOOPBACK = '127.0.0.1';
/** The UDP port is free; that of TCP with the same number may not be. */
const ATTEMPTS = 10;

/** Answers DNS over UDP and TCP on one free port of 127.0.0.1. */
export async function serveDns(answer: Answerer): Promise<RunningServer> {
  for (let left = ATTEMPTS; ; left--) {
    const udp = await boundUdp();
    const {port} = udp.address();
    try {
      const tcp = await listeningTcp(port, answer);
      udp.on('message', (query, from) => {
        void Promise.resolve(answer(query, 'udp')).then(octets => {
          // Closed while the answer was made: nobody waits for it any more.
          if (octets !== undefined) udp.send(octets, from.port, from.address, () => undefined);
        }, ignored);
      });
      return {address: LOOPBACK, port, close: () => closeBoth(udp, tcp)};
    } catch (error) {
      await new Promise<void>(resolve => udp.close(() => resolve()));
      if (left <= 1) throw error;
    }
  }
}

const ignored = (): undefined => undefined;

async function boundUdp(): Promise<dgram.Socket> {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(0, LOOPBACK, () => resolve());
  });
  socket.removeAllListeners('error').on('error', ignored);
  return socket;
}

interface TcpServer {
  readonly server: net.Server;
  readonly connections: Set<net.Socket>;
}

async function listeningTcp(port: number, answer: Answerer): Promise<TcpServer> {
  const connections = new Set<net.Socket>();
  const server = net.createServer(socket => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket)).on('error', ignored);
    let pending = Buffer.alloc(0);
    socket.on('data', chunk => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0);
        const query = pending.subarray(2, end);
        pending = pending.subarray(end);
        void Promise.resolve(answer(query, 'tcp')).then(octets => {
          if (octets !== undefined && socket.writable) socket.write(framed(octets));
        }, ignored);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, LOOPBACK, () => resolve());
  });
  return {server, connections};
}

/** RFC 7766 §8: length and message in one write. */
function framed(octets: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(octets.length);
  return Buffer.concat([length, octets]);
}

async function closeBoth(udp: dgram.Socket, {server, connections}: TcpServer): Promise<void> {
  for (const connection of connections) connection.destroy();
  await Promise.all([
    new Promise<void>(resolve => udp.close(() => resolve())),
    new Promise<void>(resolve => server.close(() => resolve())),
  ]);
}
