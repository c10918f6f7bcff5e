import {createSocket} from 'node:dgram';
import {connect, isIPv6, type Socket} from 'node:net';
import {connect as connectTls} from 'node:tls';
import {absolute} from '../../domain/paths.ts';
import type {DnsServer, DnsTransport, Files} from '../ports.ts';
import {startLimit} from './limit.ts';

export interface DnsTransportOptions {
  /** Asked instead of the resolvers of resolv.conf. */
  readonly resolvers?: readonly DnsServer[];
}

/** With a name the certificate must be valid for it; without one anything is better than clear text (RFC 8310 §5). */
const stream = ({address, port, transport, tlsName}: DnsServer): Socket =>
  transport === 'tls'
    ? connectTls({
        host: address,
        port,
        ALPNProtocols: ['dot'],
        ...(tlsName === undefined ? {rejectUnauthorized: false} : {servername: tlsName}),
      })
    : connect({host: address, port});

const timedOut = (): Error =>
  Object.assign(new Error('the server did not answer in time'), {code: 'ETIMEDOUT'});

/** DNS messages over UDP (RFC 1035 §4.2.1) and TCP (RFC 7766), one exchange a socket. */
export function createDnsTransport(files: Files, options: DnsTransportOptions = {}): DnsTransport {
  return {
    udp: (server, query, exchange) =>
      new Promise((resolve, reject) => {
        const {signal} = exchange;
        const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
        const settle = (act: () => void): void => {
          endLimit();
          signal?.removeEventListener('abort', leave);
          socket.removeAllListeners();
          // A datagram that fails late must not become an uncaught error.
          socket.on('error', () => undefined);
          socket.close();
          act();
        };
        const leave = (): void => settle(() => reject(signal?.reason));
        const endLimit = startLimit(exchange.timeoutMs, () => settle(() => reject(timedOut())));
        if (signal?.aborted) {
          leave();
          return;
        }
        signal?.addEventListener('abort', leave, {once: true});
        socket.on('error', error => settle(() => reject(error)));
        socket.on('message', (answer, from) => {
          // connect(2) makes the kernel filter by source; the test stays for systems where it does not.
          if (from.port === server.port && exchange.accept(answer))
            settle(() => resolve(new Uint8Array(answer)));
        });
        // A connected socket gets a random source port of its own and hears of ICMP errors.
        socket.connect(server.port, server.address, () => {
          socket.send(query, error => {
            if (error) settle(() => reject(error));
          });
        });
      }),

    tcp: (server, query, exchange) =>
      new Promise((resolve, reject) => {
        const {signal} = exchange;
        const socket = stream(server);
        const settle = (act: () => void): void => {
          endLimit();
          signal?.removeEventListener('abort', leave);
          socket.removeAllListeners();
          socket.on('error', () => undefined);
          socket.destroy();
          act();
        };
        const leave = (): void => settle(() => reject(signal?.reason));
        const endLimit = startLimit(exchange.timeoutMs, () => settle(() => reject(timedOut())));
        if (signal?.aborted) {
          leave();
          return;
        }
        signal?.addEventListener('abort', leave, {once: true});
        const chunks: Buffer[] = [];
        socket.on('error', error => settle(() => reject(error)));
        socket.on(server.transport === 'tls' ? 'secureConnect' : 'connect', () => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(query.length);
          // One segment: some servers cannot put a split length together (RFC 7766 §8).
          socket.write(Buffer.concat([length, query]));
        });
        socket.on('data', chunk => {
          chunks.push(chunk);
          const all = Buffer.concat(chunks);
          if (all.length < 2 || all.length < 2 + all.readUInt16BE(0)) return;
          settle(() => resolve(new Uint8Array(all.subarray(2, 2 + all.readUInt16BE(0)))));
        });
        socket.on('close', () =>
          settle(() =>
            reject(Object.assign(new Error('the server closed the connection'), {code: 'ECONNRESET'})),
          ),
        );
      }),

    async hostResolvers() {
      if (options.resolvers !== undefined) return options.resolvers;
      const bytes = await files.read(absolute('/etc/resolv.conf'));
      const named = bytes === undefined ? [] : parseResolvers(Buffer.from(bytes).toString('utf8'));
      // resolv.conf(5): without a nameserver line the one of this host is asked.
      return named.length > 0 ? named : [{address: '127.0.0.1', port: 53}];
    },
  };
}

const parseResolvers = (text: string): readonly DnsServer[] =>
  text.split('\n').flatMap(line => {
    const address = /^\s*nameserver\s+([0-9a-fA-F.:]+(?:%\S+)?)/.exec(line)?.[1];
    return address === undefined ? [] : [{address, port: 53}];
  });
