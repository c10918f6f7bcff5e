import dgram from 'node:dgram';
import {once} from 'node:events';
import fs from 'node:fs';
import net, {type AddressInfo} from 'node:net';
import {Worker} from 'node:worker_threads';
import {describe, expect, it, onTestFinished} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {createSharedDnsTransport} from '../../src/system/real/dns-shared.ts';
import {
  createClock,
  createCommands,
  createDnsTransport,
  createRealPorts,
  createSockets,
  createUsers,
} from '../../src/system/real/index.ts';
import {scratch} from './scratch.ts';

const query = Buffer.from('a question');
const all = {timeoutMs: 2000, accept: () => true};

async function udpServer(
  answer: (socket: dgram.Socket, message: Buffer, port: number) => void,
): Promise<number> {
  const socket = dgram.createSocket('udp4');
  onTestFinished(() => {
    socket.close();
  });
  socket.on('message', (message, from) => answer(socket, message, from.port));
  await new Promise<void>(resolve => socket.bind(0, '127.0.0.1', resolve));
  return socket.address().port;
}

async function tcpServer(serve: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer(serve).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
  });
  await new Promise(resolve => server.once('listening', resolve));
  return (server.address() as AddressInfo).port;
}

const local = (port: number) => ({address: '127.0.0.1', port});

/** Keeps this process from running, as a machine does that is busy elsewhere. */
const holdUp = (ms: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
};

/** A server in a thread of its own, which tells of each question and answers 50 ms later. */
async function serverElsewhere(kind: 'udp' | 'tcp'): Promise<{port: number; asked: Promise<void>}> {
  const worker = new Worker(
    `const {parentPort, workerData: kind} = require('node:worker_threads');
    const tell = server => parentPort.postMessage(server.address().port);
    const later = act => { parentPort.postMessage('asked'); setTimeout(act, 50); };
    if (kind === 'udp') {
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (message, from) => later(() => socket.send(message, from.port, from.address)));
      socket.bind(0, '127.0.0.1', () => tell(socket));
    } else {
      const server = require('node:net').createServer(stream =>
        stream.on('data', data => later(() => stream.write(data))).on('error', () => {}));
      server.listen(0, '127.0.0.1', () => tell(server));
    }`,
    {eval: true, workerData: kind},
  );
  onTestFinished(async () => {
    await worker.terminate();
  });
  const [port] = (await once(worker, 'message')) as [number];
  return {port, asked: once(worker, 'message').then(() => undefined)};
}

describe('an answer that came while this process could not run', () => {
  // Shorter than this process is held up, longer than the server takes.
  const limit = {timeoutMs: 400, accept: () => true};
  const HELD_UP_MS = 800;

  it.each(['udp', 'tcp'] as const)('is heard: DNS over %s', async kind => {
    const {port, asked} = await serverElsewhere(kind);
    const answer = createDnsTransport(scratch0())[kind](local(port), query, limit);
    await asked;
    holdUp(HELD_UP_MS);
    expect(Buffer.from(await answer).toString()).toBe('a question');
  });

  it('is heard: DNS over shared sockets', async () => {
    const {port, asked} = await serverElsewhere('udp');
    const shared = createSharedDnsTransport(createDnsTransport(scratch0()));
    onTestFinished(() => shared.close());
    const answer = shared.udp(local(port), query, limit);
    await asked;
    holdUp(HELD_UP_MS);
    expect(Buffer.from(await answer).toString()).toBe('a question');
  });

  it('is heard: a connection', async () => {
    const {port} = await serverElsewhere('tcp');
    const connected = createSockets().connect({kind: 'tcp', host: '127.0.0.1', port}, 400);
    holdUp(HELD_UP_MS);
    (await connected).destroy();
  });

  it('is heard: what is waited for by the clock', async () => {
    const {port, asked} = await serverElsewhere('tcp');
    const stream = await createSockets().connect({kind: 'tcp', host: '127.0.0.1', port}, 10_000);
    onTestFinished(() => {
      stream.destroy();
    });
    const heard: string[] = [];
    stream.on('data', data => heard.push(String(data)));
    stream.write('a question');
    const limit = createClock().sleep(400);
    await asked;
    holdUp(HELD_UP_MS);
    await limit;
    expect(heard).toEqual(['a question']);
  });

  it('is heard: a program that has ended', async () => {
    const ended = createCommands().run(['sleep', '0.1'], {timeoutMs: 400});
    holdUp(HELD_UP_MS);
    expect(await ended).toMatchObject({status: 0, ended: 'exit'});
  });
});

describe('DNS over UDP', () => {
  const transport = createDnsTransport(scratch0());

  it('gives the answer that is accepted and ignores others', async () => {
    const port = await udpServer((socket, message, to) => {
      socket.send('wrong', to, '127.0.0.1');
      socket.send(Buffer.concat([message, Buffer.from('!')]), to, '127.0.0.1');
    });
    const accept = (answer: Uint8Array) => Buffer.from(answer).toString() === 'a question!';
    expect(Buffer.from(await transport.udp(local(port), query, {...all, accept})).toString()).toBe(
      'a question!',
    );
  });

  it('does not hear an answer from another port', async () => {
    const other = dgram.createSocket('udp4');
    onTestFinished(() => {
      other.close();
    });
    const port = await udpServer((_socket, _message, to) => other.send('forged', to, '127.0.0.1'));
    await expect(transport.udp(local(port), query, {...all, timeoutMs: 200})).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
  });

  it('hears of a closed port', async () => {
    const port = await udpServer(() => undefined);
    const closed = dgram.createSocket('udp4');
    await new Promise<void>(resolve => closed.bind(0, '127.0.0.1', resolve));
    const free = closed.address().port;
    closed.close();
    expect(free).not.toBe(port);
    await expect(transport.udp(local(free), query, all)).rejects.toMatchObject({code: 'ECONNREFUSED'});
  });

  it('ends with the reason of the signal', async () => {
    const port = await udpServer(() => undefined);
    const stop = new AbortController();
    const asked = transport.udp(local(port), query, {...all, signal: stop.signal});
    stop.abort(new Error('enough'));
    await expect(asked).rejects.toThrow('enough');
    await expect(transport.udp(local(port), query, {...all, signal: stop.signal})).rejects.toThrow('enough');
  });
});

describe('DNS over TCP', () => {
  const transport = createDnsTransport(scratch0());

  it('frames with two octets, also where the answer comes in pieces', async () => {
    const port = await tcpServer(socket =>
      socket.once('data', data => {
        expect(data.readUInt16BE(0)).toBe(query.length);
        const answer = Buffer.concat([Buffer.from([0x01, 0x2c]), Buffer.alloc(300, 7)]);
        socket.write(answer.subarray(0, 1));
        setTimeout(() => socket.write(answer.subarray(1, 100)), 20);
        setTimeout(() => socket.write(answer.subarray(100)), 40);
      }),
    );
    expect(await transport.tcp(local(port), query, {timeoutMs: 2000})).toEqual(new Uint8Array(300).fill(7));
  });

  it('says when the server hangs up or stays silent', async () => {
    const rude = await tcpServer(socket => socket.end());
    await expect(transport.tcp(local(rude), query, {timeoutMs: 2000})).rejects.toMatchObject({
      code: 'ECONNRESET',
    });
    const silent = await tcpServer(() => undefined);
    await expect(transport.tcp(local(silent), query, {timeoutMs: 100})).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    });
  });
});

it('reads the resolvers of resolv.conf, or takes the one that is given', async () => {
  const {files, real} = scratch();
  expect(await createDnsTransport(files).hostResolvers()).toEqual([local(53)]);
  fs.writeFileSync(
    real('/etc/resolv.conf'),
    '# nameserver 9.9.9.9\nnameserver 192.0.2.1\nnameserver  2001:db8::1 # x\n',
  );
  expect(await createDnsTransport(files).hostResolvers()).toEqual([
    {address: '192.0.2.1', port: 53},
    {address: '2001:db8::1', port: 53},
  ]);
  const resolver = {address: '192.0.2.9', port: 5353};
  expect(await createDnsTransport(files, {resolvers: [resolver]}).hostResolvers()).toEqual([resolver]);
});

describe('sockets', () => {
  it('connects to a unix socket below the root, however deep it lies', async () => {
    const {root, real} = scratch();
    const deep = `/run/${'d'.repeat(60)}/${'e'.repeat(60)}`;
    fs.mkdirSync(real(deep), {recursive: true});
    const old = process.cwd();
    process.chdir(real(deep));
    const server = net.createServer(socket => socket.end('hello')).listen('s');
    await new Promise(resolve => server.once('listening', resolve));
    process.chdir(old);
    onTestFinished(() => {
      server.close();
    });
    const stream = await createSockets({root}).connect({kind: 'unix', path: absolute(`${deep}/s`)}, 1000);
    const said = await new Promise(resolve => stream.once('data', data => resolve(String(data))));
    expect(said).toBe('hello');
  });

  it('goes through no link that somebody else could have planted, and to nothing that is no socket', async () => {
    const {root, real} = scratch();
    fs.mkdirSync(real('/var/theirs'), {recursive: true});
    const server = net.createServer(socket => socket.on('error', () => undefined)).listen(real('/var/s'));
    await new Promise(resolve => server.once('listening', resolve));
    onTestFinished(() => {
      server.close();
    });
    const sockets = createSockets({root});
    const link = {kind: 'unix', path: absolute('/var/theirs/link')} as const;
    fs.symlinkSync('/var/s', real('/var/theirs/link'));
    // In a directory that is root's alone, a link is as good as a name.
    (await sockets.connect(link, 1000)).destroy();
    fs.chmodSync(real('/var/theirs'), 0o777);
    fs.rmSync(real('/var/theirs/link'));
    fs.symlinkSync('/var/s', real('/var/theirs/link'));
    if (process.getuid?.() === 0) {
      fs.lchownSync(real('/var/theirs/link'), 1, 1);
      await expect(sockets.connect(link, 1000)).rejects.toMatchObject({id: 'file.unsafe-link'});
    }
    fs.writeFileSync(real('/var/theirs/file'), '');
    const file = {kind: 'unix', path: absolute('/var/theirs/file')} as const;
    await expect(sockets.connect(file, 1000)).rejects.toMatchObject({code: 'ECONNREFUSED'});
  });

  it('names the path of a socket behind which nothing listens, not its own handle', async () => {
    const {root, real} = scratch();
    fs.mkdirSync(real('/var'), {recursive: true});
    const server = net.createServer().listen(real('/var/live'));
    await new Promise(resolve => server.once('listening', resolve));
    fs.renameSync(real('/var/live'), real('/var/dead'));
    await new Promise(resolve => server.close(resolve));
    const dead = createSockets({root}).connect({kind: 'unix', path: absolute('/var/dead')}, 1000);
    await expect(dead).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      message: 'connect ECONNREFUSED /var/dead',
    });
  });

  it('rejects with the code of the system', async () => {
    const {root} = scratch();
    const missing = createSockets({root}).connect({kind: 'unix', path: absolute('/run/none')}, 1000);
    await expect(missing).rejects.toMatchObject({code: 'ENOENT'});
    const port = await tcpServer(() => undefined);
    const stream = await createSockets().connect({kind: 'tcp', host: '127.0.0.1', port}, 1000);
    stream.destroy();
  });
});

it('knows the accounts of its own tree only', async () => {
  const {files, real} = scratch();
  fs.writeFileSync(
    real('/etc/passwd'),
    'root:x:0:0::/:/bin/sh\nodd\nopendkim:x:100:101::/:/x\npostfix:x:103:101::/:/x\n',
  );
  fs.writeFileSync(real('/etc/group'), 'root:x:0:\nopendkim:x:101:a,b\n');
  const users = createUsers(files);
  expect(await users.user('opendkim')).toEqual({name: 'opendkim', uid: 100, gid: 101});
  expect(await users.userById(0)).toMatchObject({name: 'root'});
  expect(await users.group('opendkim')).toEqual({name: 'opendkim', gid: 101, members: ['a', 'b']});
  expect(await users.groupById(7)).toBeUndefined();
  expect((await users.primaryMembers(101)).map(user => user.name)).toEqual(['opendkim', 'postfix']);
  expect(await users.user('nobody')).toBeUndefined();
});

it('asks the real host through getent for what its files do not name', async () => {
  const {users} = createRealPorts();
  expect(await users.userById(0)).toMatchObject({name: 'root', uid: 0});
  expect(await users.user('--help')).toBeUndefined();
});

it('sleeps until the signal of its caller', async () => {
  const stop = new AbortController();
  const sleep = createClock().sleep(60_000, stop.signal);
  stop.abort(new Error('enough'));
  await expect(sleep).rejects.toThrow('enough');
});

/** A transport needs files for resolv.conf only; those of an empty tree do. */
function scratch0() {
  return createRealPorts({root: absolute('/nonexistent')}).files;
}
