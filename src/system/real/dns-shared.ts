import {createSocket, type RemoteInfo, type Socket} from 'node:dgram';
import {isIPv6, SocketAddress} from 'node:net';
import type {DnsServer, DnsTransport} from '../ports.ts';
import {startLimit} from './limit.ts';

/** Sockets of each family, and how many questions each sends before it is given up for one with another port. */
const SOCKETS = 8;
const QUESTIONS = 2000;
const RECEIVE_OCTETS = 1024 * 1024;

interface Waiting {
  readonly accept: (answer: Uint8Array) => boolean;
  readonly answered: (answer: Uint8Array) => void;
}

interface Line {
  readonly socket: Socket;
  /** By server and ID: several questions may be under way to one server, each with an ID of its own. */
  readonly waiting: Map<string, Waiting>;
  sent: number;
}

const keyOf = (address: string, port: number, message: Uint8Array): string =>
  `${address} ${port} ${message[0]} ${message[1]}`;

/** As the kernel writes the source of a datagram (RFC 5952); a person and dns-packet write IPv6 addresses in other ways. */
const asReceived = (address: string): string =>
  isIPv6(address) && !address.includes('%') ? new SocketAddress({address, family: 'ipv6'}).address : address;

/**
 * The transport for thousands of questions: UDP over a few sockets that are shared and changed often, instead of one for
 * each question. An answer counts by source address, source port, ID and question, as ever; only the source port of this
 * host is the same for some thousand questions, so this is for reading many records, not for deciding about one key.
 * ICMP errors are not heard: a closed port is silence here. TCP and the rest are those of `base`.
 */
export function createSharedDnsTransport(base: DnsTransport): DnsTransport & {close(): void} {
  const lines = new Map<4 | 6, Line[]>([
    [4, []],
    [6, []],
  ]);
  const open = new Set<Line>();
  let turn = 0;

  function makeLine(family: 4 | 6): Line {
    const socket = createSocket({type: family === 6 ? 'udp6' : 'udp4', recvBufferSize: RECEIVE_OCTETS});
    const line: Line = {socket, waiting: new Map(), sent: 0};
    socket.on('message', (answer: Buffer, from: RemoteInfo) => {
      const waiting = line.waiting.get(keyOf(from.address, from.port, answer));
      if (waiting?.accept(answer) === true) waiting.answered(answer);
    });
    // What one datagram could not do is told by its own callback.
    socket.on('error', () => undefined);
    open.add(line);
    return line;
  }

  function retire(line: Line): void {
    if (line.sent < QUESTIONS || line.waiting.size > 0 || !open.delete(line)) return;
    line.socket.close();
  }

  function lineFor(family: 4 | 6): Line {
    const all = lines.get(family) ?? [];
    const at = turn++ % SOCKETS;
    const line = all[at];
    if (line !== undefined && line.sent < QUESTIONS) return line;
    const fresh = makeLine(family);
    all[at] = fresh;
    if (line !== undefined) retire(line);
    return fresh;
  }

  return {
    tcp: (server, query, exchange) => base.tcp(server, query, exchange),
    hostResolvers: () => base.hostResolvers(),
    udp(server: DnsServer, query, exchange) {
      const line = lineFor(isIPv6(server.address) ? 6 : 4);
      const key = keyOf(asReceived(server.address), server.port, query);
      if (line.waiting.has(key)) return base.udp(server, query, exchange);
      line.sent++;
      return new Promise((resolve, reject) => {
        const {signal} = exchange;
        const settle = (act: () => void): void => {
          endLimit();
          signal?.removeEventListener('abort', leave);
          line.waiting.delete(key);
          retire(line);
          act();
        };
        const leave = (): void => settle(() => reject(signal?.reason));
        const endLimit = startLimit(exchange.timeoutMs, () =>
          settle(() => reject(Object.assign(new Error('no answer in time'), {code: 'ETIMEDOUT'}))),
        );
        line.waiting.set(key, {
          accept: exchange.accept,
          answered: answer => settle(() => resolve(new Uint8Array(answer))),
        });
        if (signal?.aborted === true) return leave();
        signal?.addEventListener('abort', leave, {once: true});
        line.socket.send(query, server.port, server.address, error => {
          if (error && line.waiting.has(key)) settle(() => reject(error));
        });
      });
    },
    close() {
      for (const {socket} of open) socket.close();
      open.clear();
    },
  };
}
