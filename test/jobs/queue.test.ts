/** What Postfix says of its queues: the oldest message of all instances, or that it is not known. */
import {describe, expect, it} from 'vitest';
import {readQueue} from '../../src/jobs/rotate/facts.ts';
import {DEFAULT_SETTINGS, due} from '../../src/rotation/index.ts';
import type {CommandResult, Ports} from '../../src/system/ports.ts';
import {keyIn, servers} from '../rotation/keys.ts';

const NOW = new Date('2026-11-30T23:59:30Z');
const seconds = (iso: string): number => Date.parse(iso) / 1000;
const message = (id: string, at: string, queue = 'deferred'): string =>
  `${JSON.stringify({queue_name: queue, queue_id: id, arrival_time: seconds(at), recipients: []})}\n`;

/** A host whose programs answer so, by their command lines; anything else fails. */
function ports(answers: Readonly<Record<string, string>>): Pick<Ports, 'commands' | 'clock'> {
  const answer = (text: string | undefined): CommandResult => ({
    status: text === undefined ? 1 : 0,
    stdout: text ?? '',
    stderr: '',
    ended: 'exit',
  });
  return {
    clock: {now: () => NOW, sleep: async () => {}},
    commands: {run: async argv => answer(answers[argv.join(' ')])},
  };
}

const TOLD = 'maximal_queue_lifetime bounce_queue_lifetime multi_instance_directories';
const DEFAULT = `postconf -xh ${TOLD}`;
const OUT = `postconf -c /etc/postfix-out -xh ${TOLD}`;
const read = (answers: Readonly<Record<string, string>>) => readQueue(ports(answers), {keys: []});

describe('a Postfix that hangs', () => {
  it('is waited for once in a run, and its queue is not known', async () => {
    let asked = 0;
    const {clock} = ports({});
    const commands: Ports['commands'] = {
      run: async argv => {
        if (argv[0] === 'postconf') return {status: 0, stdout: '5d\n5d\n\n', stderr: '', ended: 'exit'};
        asked += 1;
        return {status: null, stdout: '', stderr: '', ended: 'timeout'};
      },
    };
    const memory = {};
    const unknown = {known: false, why: 'postqueue -j did not come to its end', isHung: true};
    expect(await readQueue({clock, commands}, {keys: []}, memory)).toEqual(unknown);
    expect(await readQueue({clock, commands}, {keys: []}, memory)).toEqual(unknown);
    expect(asked).toBe(1);
  });
});

describe('one instance', () => {
  it('has the oldest of all its queues', async () => {
    const list = [
      message('4aaa', '2026-11-30T10:00:00Z', 'active'),
      message('4bbb', '2026-10-31T23:59:59Z', 'hold'),
      message('4ccc', '2026-11-29T10:00:00Z'),
    ].join('');
    expect(await read({[DEFAULT]: '5d\n100h\n\n', 'postqueue -j': list})).toEqual({
      known: true,
      lifetimeSeconds: 432_000,
      bounceSeconds: 360_000,
      oldest: {
        at: '2026-10-31T23:59:59.000Z',
        id: '4bbb',
        where: 'hold',
        how: 'deliver it (postqueue -i 4bbb, postsuper -H 4bbb) or delete it (postsuper -d 4bbb)',
      },
    });
  });

  it('takes a message from the future for one of an unknown time', async () => {
    const list = message('4aaa', '2026-12-02T00:00:00Z');
    expect(await read({[DEFAULT]: '5d\n5d\n\n', 'postqueue -j': list})).toMatchObject({
      oldest: {at: '1970-01-01T00:00:00.000Z'},
    });
  });

  it.each([
    ['postconf fails', {}, 'postconf does not tell the life times'],
    ['postqueue fails', {[DEFAULT]: '5d\n5d\n\n'}, 'postqueue -j does not tell its messages'],
    [
      'a line is no message',
      {[DEFAULT]: '5d\n5d\n\n', 'postqueue -j': '{"queue_id":"4aaa"}\n'},
      'postqueue -j does not tell its messages',
    ],
    [
      'the list is cut at the very end of a line',
      {
        [DEFAULT]: '5d\n5d\n\n',
        'postqueue -j': `${message('4aaa', '2026-11-30T10:00:00Z').padStart(4 * 1024 * 1024, ' ')}`,
      },
      'it holds so many messages that postqueue -j cannot be read to its end',
    ],
  ])('is not known where %s', async (_what, answers, why) => {
    expect(await read(answers)).toEqual({known: false, why});
  });
});

describe('several instances', () => {
  const both = {
    [DEFAULT]: '5d\n5d\n/etc/postfix-out\n',
    [OUT]: '10d\n1d\n\n',
    'postqueue -j': message('4aaa', '2026-11-20T10:00:00Z'),
    'postqueue -c /etc/postfix-out -j': message('4bbb', '2026-11-19T10:00:00Z', 'hold'),
  };

  it('has the oldest of all of them, and the longest life', async () => {
    expect(await read(both)).toEqual({
      known: true,
      lifetimeSeconds: 864_000,
      bounceSeconds: 432_000,
      oldest: {
        at: '2026-11-19T10:00:00.000Z',
        id: '4bbb',
        where: 'hold of /etc/postfix-out',
        how: 'deliver it (postqueue -c /etc/postfix-out -i 4bbb, postsuper -c /etc/postfix-out -H 4bbb) or delete it (postsuper -c /etc/postfix-out -d 4bbb)',
      },
    });
    expect(await read({...both, 'postqueue -c /etc/postfix-out -j': ''})).toMatchObject({
      oldest: {id: '4aaa'},
    });
  });

  it('is not known where one of them does not tell', async () => {
    const {[OUT]: _gone, ...rest} = both;
    expect(await read(rest)).toEqual({
      known: false,
      why: 'postconf does not tell the life times, of the instance in /etc/postfix-out',
    });
  });

  it('names the instance in what is to be done', async () => {
    const key = keyIn('retiring', '202611', 'rsa', '2026-11-19T12:00:00.000Z');
    const record = {seen: 'key', servers, resolver: 'unknown', negativeSeconds: 300} as const;
    const [step] = due(
      {keys: [key]},
      {
        now: NOW,
        settings: DEFAULT_SETTINGS,
        queue: await read(both),
        records: new Map([[key.record.name, record]]),
        inUse: new Map(),
      },
    );
    expect(step?.text).toContain('message 4bbb (hold of /etc/postfix-out) may be signed with it');
    expect(step?.text).toContain('postsuper -c /etc/postfix-out -d 4bbb');
  });
});
