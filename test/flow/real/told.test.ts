/** A person is told once of each new state of affairs, by mail or by whoever prints it. */
import {expect, it} from 'vitest';
import {tellByMail} from '../../../src/flow/real/rotation-told.ts';
import {saveState} from '../../../src/rotation/index.ts';
import type {Ports} from '../../../src/system/ports.ts';
import {keyIn} from '../../rotation/keys.ts';
import {scratch} from '../../system/scratch.ts';

const DAY = 86_400_000;

async function host(status = 0) {
  const {files} = scratch();
  await saveState(files, {keys: [keyIn('active', '202611')]});
  let now = Date.parse('2026-11-21T10:00:00Z');
  const sent: {readonly argv: readonly string[]; readonly text: string}[] = [];
  const ports = {
    files,
    clock: {now: () => new Date(now), sleep: async () => {}},
    commands: {
      async run(argv, options) {
        sent.push({argv, text: new TextDecoder().decode(options?.input as Uint8Array)});
        return {status, stdout: '', stderr: '', ended: 'exit'};
      },
    },
  } satisfies Pick<Ports, 'files' | 'commands' | 'clock'>;
  return {
    sent,
    pass: (ms: number) => {
      now += ms;
    },
    tell: (to: string, ...lines: readonly string[]) => tellByMail(ports, to, 'mail.example.org', lines),
  };
}

it('hands one mail to sendmail, and the next when something changes or a week has gone by', async () => {
  const {sent, pass, tell} = await host();
  expect(await tell('root@localhost', 'Publish it.')).toBe('mailed');
  expect(sent[0]?.argv).toEqual(['sendmail', '-i', '--', 'root@localhost']);
  expect(sent[0]?.text).toMatch(
    /^To: root@localhost\nSubject: DKIM keys of mail\.example\.org: a step waits for you\n/,
  );
  expect(sent[0]?.text).toContain('\n\nPublish it.\n');
  pass(3600_000);
  expect(await tell('root@localhost', 'Publish it.')).toBe('known');
  expect(await tell('root@localhost', 'Publish it.', 'Revoke it.')).toBe('mailed');
  pass(8 * DAY);
  expect(await tell('root@localhost', 'Publish it.', 'Revoke it.')).toBe('mailed');
  expect(sent).toHaveLength(3);
});

it('tells the same again when it went away meanwhile', async () => {
  const {sent, tell} = await host();
  expect(await tell('root', 'The record is gone.')).toBe('mailed');
  expect(await tell('root')).toBe('nothing');
  expect(await tell('root', 'The record is gone.')).toBe('mailed');
  expect(sent).toHaveLength(2);
});

it('leaves it to who prints it where nobody gets mail, once', async () => {
  const {sent, tell} = await host();
  expect(await tell('', 'Publish it.')).toBe('new');
  expect(await tell('', 'Publish it.')).toBe('known');
  expect(sent).toEqual([]);
});

it('tries again where sendmail did not take it', async () => {
  const {sent, tell} = await host(75);
  expect(await tell('root', 'Publish it.')).toBe('failed');
  expect(await tell('root', 'Publish it.')).toBe('failed');
  expect(sent).toHaveLength(2);
});
