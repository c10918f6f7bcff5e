/** A port that another program has: OpenDKIM would start and die. */
import type {Socket} from 'node:net';
import {describe, expect, it} from 'vitest';
import {rivalOnPort} from '../../src/jobs/change.ts';
import {lookAtHost} from '../../src/services/look.ts';
import {parseSocket} from '../../src/services/opendkim/socket.ts';
import type {SocketEndpoint} from '../../src/system/ports.ts';
import {fixtureHost} from '../support/fake-host.ts';

const PORT = {kind: 'tcp', host: '127.0.0.1', port: 8891} as const;

async function ask(
  how: {
    readonly active: boolean;
    readonly socket: string;
    readonly override?: string;
    readonly listens: boolean;
  },
  endpoint: SocketEndpoint = PORT,
): Promise<string> {
  const facts = await lookAtHost(fixtureHost('debian-13'));
  const {signer: opendkim} = facts;
  if (opendkim === undefined) throw new TypeError('no OpenDKIM');
  const asked: SocketEndpoint[] = [];
  const sockets = {
    connect: async (to: SocketEndpoint) => {
      asked.push(to);
      if (!how.listens) throw new Error('refused');
      return {destroy: () => undefined} as unknown as Socket;
    },
  };
  const {active, socket, override = ''} = how;
  const listens = parseSocket(override === '' ? socket : override);
  const attachment = listens === undefined ? undefined : ({by: 'milter', endpoint: listens} as const);
  const known = {...opendkim, active, attachment};
  const rival = await rivalOnPort({sockets}, {...facts, signer: known}, endpoint);
  return `${rival?.id ?? 'free'}, ${asked.length === 0 ? 'not asked' : 'asked'}`;
}

describe('the port that OpenDKIM is to get', () => {
  const own = 'inet:8891@localhost';
  it.each([
    ['its own, where it listens there', {active: true, socket: own, listens: true}, 'free, not asked'],
    ['by its unit', {active: true, socket: 'local:/run/x', override: own, listens: true}, 'free, not asked'],
    // Its own by the configuration alone: who listens there is somebody else.
    ['of a dead one', {active: false, socket: own, listens: true}, 'socket.port-taken, asked'],
    ['of a dead one, free', {active: false, socket: own, listens: false}, 'free, asked'],
    [
      'another than its own',
      {active: true, socket: 'inet:9000@localhost', listens: true},
      'socket.port-taken, asked',
    ],
    [
      'overridden',
      {active: true, socket: own, override: 'inet:9000@localhost', listens: true},
      'socket.port-taken, asked',
    ],
    ['free', {active: true, socket: 'inet:9000@localhost', listens: false}, 'free, asked'],
  ])('%s', async (_, how, expected) => {
    expect(await ask(how)).toBe(expected);
  });

  it('is no question for a unix socket', async () => {
    const endpoint = {kind: 'unix', path: '/run/opendkim.sock'} as SocketEndpoint;
    expect(await ask({active: false, socket: own, listens: true}, endpoint)).toBe('free, not asked');
  });
});
