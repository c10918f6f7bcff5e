import {chmod, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, describe, expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {type ProbeMessage, type ProbeOutcome, probeMilter} from '../../src/milter/client.ts';
import {encodeNegotiation, encodePacket, encodeStrings, takePacket} from '../../src/milter/packets.ts';
import type {MilterAnswer, MilterHandler, MilterSession} from '../../src/milter/server.ts';
import {createClock} from '../../src/system/real/clock.ts';
import {createSockets} from '../../src/system/real/sockets.ts';
import {openDkimManner, rspamdManner} from '../support/manners.ts';
import {type Listening, serve, serveRaw} from './serving.ts';

const ports = {sockets: createSockets(), clock: createClock()};

const message: ProbeMessage = {
  client: {host: 'localhost', address: '127.0.0.1', port: 4321},
  helo: 'mail.example.com',
  serverName: 'mail.example.com',
  queueId: 'PROBE1',
  from: 'postmaster@example.com',
  recipients: ['a@example.org', 'b@example.org'],
  headers: [
    {name: 'From', value: 'postmaster@example.com'},
    {name: 'Subject', value: 'one\r\n two'},
  ],
  body: Buffer.from('Hello\r\n'),
};

const open: Listening[] = [];
afterEach(async () => {
  for (const listening of open.splice(0)) await listening.stop();
});

const listen = async (started: Promise<Listening>): Promise<Listening['endpoint']> => {
  const listening = await started;
  open.push(listening);
  return listening.endpoint;
};

const always =
  (at: string, answer: MilterAnswer): MilterHandler =>
  step =>
    step === at ? answer : {verdict: 'continue'};

const ask = async (
  handler: MilterHandler,
  options: {manner?: typeof openDkimManner; replyTimeoutMs?: number; body?: Uint8Array} = {},
): Promise<ProbeOutcome> =>
  probeMilter(
    ports,
    await listen(serve(handler, options.manner)),
    options.body === undefined ? message : {...message, body: options.body},
    options.replyTimeoutMs === undefined ? {} : {replyTimeoutMs: options.replyTimeoutMs},
  );

describe('a whole conversation', () => {
  test.each([
    ['as OpenDKIM', openDkimManner, 'unix'],
    ['as OpenDKIM over TCP', openDkimManner, 'tcp'],
    ['as rspamd', rspamdManner, 'unix'],
    ['with every step', {actions: 0x1ff, protocol: 0}, 'unix'],
  ] as const)('%s: the milter is told everything and its header comes back', async (_, manner, on) => {
    const sessions: MilterSession[] = [];
    const endpoint = await listen(
      serve(
        (step, session) => {
          if (step !== 'end-of-message') return {verdict: 'continue'};
          sessions.push(session);
          return {verdict: 'accept', insert: [{name: 'DKIM-Signature', value: 'v=1;\r\n\tb=x'}]};
        },
        manner,
        on,
      ),
    );
    const outcome = await probeMilter(ports, endpoint, message);
    const spaced = (manner.protocol & 0x100000) !== 0;
    expect(outcome).toEqual({
      ended: 'answered',
      step: 'end-of-message',
      reply: {verdict: 'accept'},
      negotiated: {version: 6, ...manner},
      added: [{place: 'insert', index: 1, name: 'DKIM-Signature', value: `${spaced ? ' ' : ''}v=1;\n\tb=x`}],
      changes: [],
    });
    expect(sessions).toHaveLength(1);
    expect(sessions[0]).toMatchObject({
      client: {host: 'localhost', address: '127.0.0.1', port: 4321},
      helo: (manner.protocol & 2) === 0 ? 'mail.example.com' : '',
      from: '<postmaster@example.com>',
      recipients: ['<a@example.org>', '<b@example.org>'],
      headers: [
        {name: 'From', value: 'postmaster@example.com'},
        {name: 'Subject', value: 'one\n two'},
      ],
      macros: {i: 'PROBE1', j: 'mail.example.com'},
    });
    expect(Buffer.from(sessions[0]?.body ?? []).toString()).toBe('Hello\r\n');
    expect(sessions[0]?.macros).not.toHaveProperty('{auth_type}');
  });

  test('a client that has logged in is told as such', async () => {
    let seen: Readonly<Record<string, string>> = {};
    const endpoint = await listen(
      serve((_, session) => {
        seen = session.macros;
        return {verdict: 'continue'};
      }),
    );
    const loggedIn = {...message.client, authType: 'PLAIN'};
    await probeMilter(ports, endpoint, {...message, client: loggedIn});
    expect(seen).toMatchObject({'{auth_type}': 'PLAIN', '{auth_authen}': 'postmaster@example.com'});
    await probeMilter(ports, endpoint, {...message, client: {...loggedIn, login: 'alice'}});
    expect(seen).toMatchObject({'{auth_type}': 'PLAIN', '{auth_authen}': 'alice'});
  });

  test('steps that the milter does not want are not sent', async () => {
    const steps: string[] = [];
    const outcome = await ask(
      step => {
        steps.push(step);
        return {verdict: 'continue'};
      },
      {manner: {actions: 1, protocol: 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x200}},
    );
    expect(steps).toEqual(['end-of-message']);
    expect(outcome).toMatchObject({ended: 'answered', reply: {verdict: 'accept'}, added: []});
  });

  test('a long body goes in chunks, and no more of them after skip', async () => {
    let chunks = 0;
    const body = Buffer.alloc(200_000, 'x');
    await ask(
      step => {
        if (step === 'body') chunks += 1;
        return {verdict: step === 'body' && chunks === 2 ? 'skip' : 'continue'};
      },
      {body},
    );
    expect(chunks).toBe(2);
    let octets = 0;
    await ask(
      (step, session) => {
        if (step === 'end-of-message') octets = session.body.length;
        return {verdict: 'continue'};
      },
      {body},
    );
    expect(octets).toBe(200_000);
  });

  test('progress keeps the conversation alive', async () => {
    const outcome = await ask(
      async step => {
        if (step === 'end-of-message') await createClock().sleep(60);
        return {verdict: 'accept', progress: 3};
      },
      {replyTimeoutMs: 500},
    );
    expect(outcome).toMatchObject({ended: 'answered', reply: {verdict: 'accept'}});
  });

  test('changes to the message are told', async () => {
    const raw = Buffer.concat([
      encodePacket({command: 'm', data: encodeStrings([])}),
      encodePacket({command: 'b', data: Buffer.from('new')}),
      encodePacket({command: 'q', data: encodeStrings(['why'])}),
      encodePacket({command: '+', data: encodeStrings(['<x@example.org>'])}),
    ]);
    const outcome = await ask(always('end-of-message', {verdict: 'accept', raw}));
    expect(outcome).toMatchObject({
      ended: 'answered',
      changes: ['header-changed', 'body-replaced', 'quarantined', 'recipients-changed'],
    });
  });
});

describe('an early or unfriendly answer', () => {
  test.each([
    ['connect', 'accept'],
    ['mail', 'accept'],
    ['end-of-headers', 'tempfail'],
    ['header', 'reject'],
    ['rcpt', 'discard'],
    ['body', 'tempfail'],
    ['end-of-message', 'tempfail'],
  ] as const)('at %s: %s', async (step, verdict) => {
    expect(await ask(always(step, {verdict}))).toMatchObject({
      ended: 'answered',
      step,
      reply: {verdict},
      added: [],
    });
  });

  test('an SMTP reply, its text made harmless', async () => {
    const verdict = {code: 451, text: '4.7.1 try\x1b[2J later'};
    expect(await ask(always('end-of-headers', {verdict}))).toMatchObject({
      ended: 'answered',
      step: 'end-of-headers',
      reply: {verdict: 'reply', code: 451, text: '4.7.1 try\\x1b[2J later'},
    });
  });
});

describe('what is no milter, or a broken one', () => {
  test('nothing at the path', async () => {
    const outcome = await probeMilter(
      ports,
      {kind: 'unix', path: absolute('/nonexistent/milter.sock')},
      message,
    );
    expect(outcome).toMatchObject({ended: 'unreachable', cause: 'missing'});
  });

  test('a socket that nobody listens on', async () => {
    const listening = await serve(() => ({verdict: 'continue'}), undefined, 'tcp');
    await listening.stop();
    expect(await probeMilter(ports, listening.endpoint, message)).toMatchObject({
      ended: 'unreachable',
      cause: 'refused',
    });
  });

  test('a plain file instead of a socket', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'waxseal-milter-'));
    const file = absolute(path.join(directory, 'milter.sock'));
    await writeFile(file, '');
    await chmod(file, 0o600);
    expect(await probeMilter(ports, {kind: 'unix', path: file}, message)).toMatchObject({
      ended: 'unreachable',
      cause: 'refused',
    });
    await rm(directory, {recursive: true});
  });

  test.each([
    ['EACCES', 'denied'],
    ['ETIMEDOUT', 'timeout'],
    ['EHOSTUNREACH', 'other'],
  ])('connecting fails with %s', async (code, cause) => {
    const sockets = {connect: () => Promise.reject(Object.assign(new Error(`connect ${code}`), {code}))};
    expect(await probeMilter({...ports, sockets}, {kind: 'tcp', host: 'x', port: 1}, message)).toEqual({
      ended: 'unreachable',
      cause,
      detail: `connect ${code}`,
    });
  });

  test('an SMTP server', async () => {
    const endpoint = await listen(serveRaw(socket => socket.write('220 mail.example.com ESMTP\r\n'), 'tcp'));
    expect(await probeMilter(ports, endpoint, message)).toMatchObject({
      ended: 'broken',
      step: 'negotiate',
      cause: 'not-a-milter',
    });
  });

  test('something that hangs up at once', async () => {
    const endpoint = await listen(serveRaw(socket => socket.destroy()));
    expect(await probeMilter(ports, endpoint, message)).toMatchObject({
      ended: 'broken',
      step: 'negotiate',
      cause: 'not-a-milter',
    });
  });

  test('something that never answers', async () => {
    const endpoint = await listen(serveRaw(() => undefined));
    expect(await probeMilter(ports, endpoint, message, {replyTimeoutMs: 50})).toMatchObject({
      ended: 'broken',
      step: 'negotiate',
      cause: 'timeout',
    });
  });

  test('a milter that wants what was not offered', async () => {
    const endpoint = await listen(
      serveRaw(socket => {
        socket.write(encodePacket(encodeNegotiation({version: 6, actions: 0x8000_0000, protocol: 0})));
      }),
    );
    expect(await probeMilter(ports, endpoint, message)).toMatchObject({
      ended: 'broken',
      step: 'negotiate',
      cause: 'protocol',
    });
  });

  test.each(['end-of-headers', 'end-of-message'] as const)('a milter that dies at %s', async step => {
    expect(await ask(always(step, {verdict: 'hang-up'}))).toMatchObject({
      ended: 'broken',
      step,
      cause: 'closed',
    });
  });

  test('progress without end is cut off', async () => {
    const endpoint = await listen(
      serveRaw(socket => {
        let octets: Uint8Array = new Uint8Array(0);
        let negotiated = false;
        socket.on('data', chunk => {
          octets = Buffer.concat([octets, chunk]);
          const taken = takePacket(octets);
          if (negotiated || !taken.ok || taken.value === undefined) return;
          negotiated = true;
          socket.write(encodePacket(encodeNegotiation({version: 6, actions: 1, protocol: 0})));
          const timer = setInterval(
            () => socket.write(encodePacket({command: 'p', data: new Uint8Array(0)})),
            20,
          );
          socket.on('close', () => clearInterval(timer));
        });
      }),
    );
    const outcome = await probeMilter(ports, endpoint, message, {replyTimeoutMs: 200, totalTimeoutMs: 300});
    expect(outcome).toMatchObject({ended: 'broken', step: 'connect', cause: 'timeout'});
  });

  test.each([
    ['progress', encodePacket({command: 'p', data: new Uint8Array(0)})],
    ['header fields', encodePacket({command: 'h', data: encodeStrings(['X', 'y'.repeat(60_000)])})],
  ])('a flood of %s is cut off by its size, long before the time is up', async (_, packet) => {
    const flood = Buffer.concat(Array.from({length: 100}, () => packet));
    let sent = 0;
    const raw = new Uint8Array(flood);
    const endpoint = await listen(
      serveRaw(socket => {
        let octets: Uint8Array = new Uint8Array(0);
        let negotiated = false;
        const pour = (): void => {
          // It would go on for ever, were there no end to what a run of the tests may take.
          while (sent < 20_000 && socket.writable) {
            sent += 100;
            if (!socket.write(raw)) return;
          }
        };
        socket.on('drain', pour);
        socket.on('error', () => undefined);
        socket.on('data', chunk => {
          octets = Buffer.concat([octets, chunk]);
          const end = Buffer.from(octets).includes(
            Buffer.from(encodePacket({command: 'E', data: new Uint8Array(0)})),
          );
          if (!negotiated) {
            negotiated = true;
            // No answers before the end of the message (SMFIP_NR_*), which is where header fields may be added.
            socket.write(encodePacket(encodeNegotiation({version: 6, actions: 1, protocol: 0xf_f480})));
          }
          if (end) pour();
        });
      }),
    );
    const outcome = await probeMilter(ports, endpoint, message);
    expect(outcome).toMatchObject({ended: 'broken', step: 'end-of-message', cause: 'protocol'});
  });

  test.each([
    ['an unknown answer', encodePacket({command: 'z', data: new Uint8Array(0)}), 'end-of-message'],
    ['a header before the end', encodePacket({command: 'h', data: encodeStrings(['X', 'y'])}), 'mail'],
    ['a malformed header', encodePacket({command: 'h', data: encodeStrings(['X'])}), 'end-of-message'],
    ['a malformed reply', encodePacket({command: 'y', data: encodeStrings(['what'])}), 'mail'],
    ['a monstrous packet', Buffer.from('ffffffff', 'hex'), 'mail'],
    ['skip outside the body', encodePacket({command: 's', data: new Uint8Array(0)}), 'mail'],
  ] as const)('%s', async (_, raw, step) => {
    expect(await ask(always(step, {verdict: 'continue', raw}))).toMatchObject({
      ended: 'broken',
      step,
      cause: 'protocol',
    });
  });
});

test('an abort ends the wait with its reason', async () => {
  const endpoint = await listen(serveRaw(() => undefined));
  const reason = new Error('asked to stop');
  const control = new AbortController();
  const probing = probeMilter(ports, endpoint, message, {signal: control.signal});
  setTimeout(() => control.abort(reason), 30);
  await expect(probing).rejects.toBe(reason);
  await expect(probeMilter(ports, endpoint, message, {signal: control.signal})).rejects.toBe(reason);
});
