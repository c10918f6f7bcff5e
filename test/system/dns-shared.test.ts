/** UDP over shared sockets: an answer finds its question by the address that it comes from. */
import {createSocket, Socket} from 'node:dgram';
import {once} from 'node:events';
import {networkInterfaces} from 'node:os';
import {expect, test, vi} from 'vitest';
import {createSharedDnsTransport} from '../../src/system/real/dns-shared.ts';
import {realTransport} from '../dns/world.ts';

const ADDRESSES = [
  ['udp4', '127.0.0.1'],
  ['udp6', '::1'],
  ['udp6', '0:0:0:0:0:0:0:1'],
] as const;
const hasSix = Object.values(networkInterfaces()).some(all => all?.some(({address}) => address === '::1'));

test.each(ADDRESSES.filter(([type]) => type === 'udp4' || hasSix))(
  '%s: a server is known again however its address %s is written',
  async (type, address) => {
    const server = createSocket(type);
    server.on('message', (query, from) => server.send(query, from.port, from.address));
    server.bind(0, type === 'udp4' ? '127.0.0.1' : '::1');
    await once(server, 'listening');
    const shared = createSharedDnsTransport(realTransport);
    try {
      const query = Uint8Array.from([1, 2, 3, 4]);
      const limits = {timeoutMs: 30_000, accept: () => true};
      expect(await shared.udp({address, port: server.address().port}, query, limits)).toEqual(query);
    } finally {
      shared.close();
      server.close();
    }
  },
  10_000,
);

test('a socket that cannot be had is silence, and the process lives', async () => {
  // As bind() does where the process has too many open files.
  vi.spyOn(Socket.prototype, 'bind').mockImplementation(function fail(this: Socket) {
    process.nextTick(() => this.emit('error', Object.assign(new Error('bind EMFILE'), {code: 'EMFILE'})));
    return this;
  });
  const shared = createSharedDnsTransport(realTransport);
  try {
    const asked = shared.udp({address: '127.0.0.1', port: 9}, Uint8Array.from([1, 2, 3, 4]), {
      ...{timeoutMs: 100, accept: () => true},
    });
    await expect(asked).rejects.toMatchObject({code: 'ETIMEDOUT'});
  } finally {
    shared.close();
  }
});
