/** A person is told once of each new state of affairs, by mail or by whoever prints it. */
import {expect, it} from 'vitest';
import {tellByMail} from '../../src/jobs/rotate/notify.ts';
import {formatState, parseState, saveState} from '../../src/rotation/index.ts';
import type {Ports} from '../../src/system/ports.ts';
import {keyIn} from '../rotation/keys.ts';
import {scratch} from '../system/scratch.ts';

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
  /** A line is about what its last word says. */
  const tell = (to: string, lines: readonly string[], blind: readonly string[] = []) =>
    tellByMail(
      ports,
      {to, host: async () => 'mail.example.org', isSeen: about => !blind.includes(about)},
      lines.map(text => ({about: text.split(' ').at(-1) ?? '', text})),
    );
  return {
    sent,
    pass: (ms: number) => {
      now += ms;
    },
    tell: (to: string, ...lines: readonly string[]) => tell(to, lines),
    /** As `tell`, in a run that could not see how it stands with these. */
    tellBlind: (blind: readonly string[], ...lines: readonly string[]) => tell('root', lines, blind),
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

it('does not tell again what is left when something else is settled', async () => {
  const {sent, tell} = await host();
  expect(await tell('root', 'Publish a.', 'Publish b.')).toBe('mailed');
  expect(await tell('root', 'Publish a.')).toBe('known');
  expect(await tell('root', 'Publish a.', 'Publish b.')).toBe('mailed');
  expect(await tell('root', 'Publish b.')).toBe('known');
  expect(await tell('root', 'Publish a.')).toBe('mailed');
  expect(sent).toHaveLength(3);
});

it('takes what could not be seen for unchanged, not for settled', async () => {
  const {sent, tell, tellBlind} = await host();
  expect(await tell('root', 'Gone is a.', 'Gone is b.')).toBe('mailed');
  expect(await tellBlind(['a.'], 'Gone is b.')).toBe('known');
  expect(await tellBlind(['a.', 'b.'])).toBe('nothing');
  expect(await tell('root', 'Gone is a.', 'Gone is b.')).toBe('known');
  expect(sent).toHaveLength(1);
});

it('reads the notes of a version that told everything as one', async () => {
  const noted = JSON.parse(formatState({keys: []}));
  const old = JSON.stringify({...noted, told: {at: '2026-11-21T10:00:00.000Z', digest: 'abc'}});
  expect(parseState(old)).toMatchObject({ok: true, value: {keys: []}});
});
