/** How long the queue is looked at: by what Postfix says, not by the clock. */
import {describe, expect, test} from 'vitest';
import {awaitQueued, contentOf} from '../../../src/services/postfix/prove/queue.ts';
import {fakeCommands, type Program} from '../../proof/scratch.ts';

const TOKEN = 'waxseal-0123456789abcdef';
const ID = '4XyZ1200Bb';
const BEGUN = 1_795_230_486_000;

/** A Postfix whose queue and logs change with the time that was waited. */
function postfix(at: {
  queue?: (waited: number) => string;
  logged?: (waited: number) => Readonly<Record<string, string>>;
  isRunning?: (waited: number) => boolean;
}) {
  let now = BEGUN;
  const waited = (): number => now - BEGUN;
  const programs: Record<string, Program> = {
    postqueue: () => {
      const queue = at.queue?.(waited()) ?? '';
      const entry = {queue_name: queue, queue_id: ID, recipients: [{address: `${TOKEN}@[255.255.255.255]`}]};
      return {stdout: queue === '' ? '' : `${JSON.stringify(entry)}\n`};
    },
    postcat: () =>
      ['deferred', 'active'].includes(at.queue?.(waited()) ?? '')
        ? {stdout: 'From: a@example.com\n\nx\n'}
        : {status: 1},
    postfix: () => ({status: (at.isRunning?.(waited()) ?? true) ? 0 : 1}),
    journalctl: argv => ({stdout: at.logged?.(waited())[argv[argv.indexOf('-t') + 1] ?? ''] ?? ''}),
  };
  const clock = {
    now: () => new Date(now),
    sleep: async (ms: number) => {
      now += ms;
    },
  };
  const run = (knownId?: string) =>
    awaitQueued({commands: fakeCommands(programs), clock}, TOKEN, new Date(BEGUN), knownId, undefined);
  return {run, waited};
}

test('a message that comes after a minute is found', async () => {
  const {run} = postfix({queue: waited => (waited < 60_000 ? '' : 'deferred')});
  expect(await run()).toMatchObject({state: 'queued', id: ID});
});

test('one that waits in maildrop for a busy pickup is found as well', async () => {
  const {run} = postfix({queue: waited => (waited < 90_000 ? 'maildrop' : 'active')});
  expect(await run()).toMatchObject({state: 'queued', id: ID});
});

test.each([
  ['postfix/qmgr', `${ID}: removed`],
  ['postfix/cleanup', `${ID}: milter-discard: END-OF-MESSAGE from localhost; to=<${TOKEN}@x>`],
  ['postfix/cleanup', `${ID}: reject: header From: a from local; to=<${TOKEN}@x>`],
])('it is not waited for when %s says "%s"', async (program, line) => {
  const {run, waited} = postfix({logged: () => ({[program]: `${line}\n`})});
  expect(await run(ID)).toEqual({state: 'missing'});
  expect(waited()).toBeLessThan(15_000);
});

test('nor when Postfix does not run', async () => {
  const {run, waited} = postfix({queue: () => 'maildrop', isRunning: () => false});
  expect(await run()).toEqual({state: 'maildrop', id: ID});
  expect(waited()).toBeLessThan(15_000);
});

test('a Postfix that says nothing is given minutes, and no more', async () => {
  const {run, waited} = postfix({});
  expect(await run()).toEqual({state: 'missing'});
  expect(waited()).toBeGreaterThan(200_000);
});

describe('what postcat prints', () => {
  test('is the message with CRLF', () => {
    expect(Buffer.from(contentOf('A: b\n\tc\n\nbody\n') ?? []).toString()).toBe(
      'A: b\r\n\tc\r\n\r\nbody\r\n',
    );
  });

  test('loses its frame, but no line of the body', () => {
    const printed =
      '*** ENVELOPE RECORDS deferred/A/ABC ***\n*** MESSAGE CONTENTS deferred/A/ABC ***\nA: b\n\n*** keep ***\nx\n*** MESSAGE FILE END deferred/A/ABC ***\n';
    expect(Buffer.from(contentOf(printed) ?? []).toString()).toBe('A: b\r\n\r\n*** keep ***\r\nx\r\n');
  });

  test('may be nothing', () => {
    expect(contentOf('')).toBeUndefined();
    expect(contentOf('*** MESSAGE FILE END x ***\n')).toBeUndefined();
  });

  test('keeps blank lines at the end of the body', () => {
    expect(Buffer.from(contentOf('A: b\n\nx\n\n') ?? []).toString()).toBe('A: b\r\n\r\nx\r\n\r\n');
  });
});
