import {spawnSync} from 'node:child_process';
import {afterAll, afterEach, beforeAll, describe, expect, test} from 'vitest';
import {type Bundle, bundle} from './bundle.ts';
import {Pty, type PtyOptions} from './pty.ts';

let built: Bundle;
let pty: Pty | undefined;

beforeAll(async () => {
  built = await bundle('../../src/bin.ts');
});
afterAll(() => {
  built.remove();
});
afterEach(() => {
  expect(pty?.raw ?? '').not.toContain('\x1b[3J');
  pty?.dispose();
  pty = undefined;
});

/** The shipped program as a shell runs it. */
function run(line: string, options: PtyOptions = {}): Pty {
  pty = new Pty(
    '/bin/sh',
    ['-c', `waxseal() { node ${built.program} "$@"; }; ${line}; printf 'code %s\\nPROMPT> ' "$?"; read -r _`],
    options,
  );
  return pty;
}

/** Whether anything in the octets moves the cursor or erases, as only Ink does. */
const movesCursor = (raw: string): boolean => /\x1b\[(?:\d*[ABCDGHJK]|\?25|\?2026|\?2004)/.test(raw);

test('the demo, key by key, from the first look to the last word', async () => {
  const terminal = run('waxseal demo --lag 1s');
  await terminal.follow(
    ['What was found', '\r'],
    ['Which domain', '\r'],
    ['What shall', '\r'],
    ['Which kind', '\r'],
    ['Use the recom', '\r'],
    ['Publish this', '\r'],
    ['What will be changed', 'a'],
    ['Type yes', 'yes\r'],
    ['Step 10 of 10', '\r'],
  );
  await terminal.waitFor('PROMPT>');
  const history = terminal.history().join('\n');
  expect(history).toMatch(/^v=DKIM1;.*[A-Za-z0-9+/]{40}$/m);
  expect(history).toContain('ok: Done');
  expect(history).toContain('That was the sandbox, which is gone now; nothing of this machine was touched.');
  expect(terminal.lines()).toContain('code 0');
  expect(terminal.cursor()).toMatchObject({visible: true, line: 'PROMPT>'});
});

describe('where Ink has no place', () => {
  test('H19: TERM=dumb asks line by line and moves no cursor', async () => {
    const terminal = run('waxseal demo', {environment: {TERM: 'dumb'}});
    await terminal.waitFor('Enter: go on.');
    terminal.write('\r');
    await terminal.waitFor('Step 2 of 10');
    expect(movesCursor(terminal.raw)).toBe(false);
  });

  test('H6: --plain does the same on any terminal', async () => {
    const terminal = run('waxseal demo --plain');
    await terminal.waitFor('Enter: go on.');
    expect(movesCursor(terminal.raw)).toBe(false);
  });

  test('H6: with stdout in a pipe nothing is drawn, and the demo answers for itself', async () => {
    const terminal = run('waxseal demo --lag 0s | cat');
    await terminal.waitFor('PROMPT>', 60_000);
    expect(movesCursor(terminal.raw)).toBe(false);
  });

  test('H6: with stdin closed nothing is asked', async () => {
    const terminal = run(`waxseal setup --root ${built.directory} </dev/null`);
    await terminal.waitFor('PROMPT>');
    expect(movesCursor(terminal.raw)).toBe(false);
    expect(terminal.lines().join('\n')).not.toContain('code 0');
  });

  test('H6: without any terminal a missing command is exit 2', () => {
    const ended = spawnSync(process.execPath, [built.program], {
      input: '',
      encoding: 'utf8',
      env: {PATH: process.env['PATH']},
    });
    expect(ended.status).toBe(2);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toContain('no terminal');
  });

  test('H8: --no-color works where sudo has dropped NO_COLOR', async () => {
    const terminal = run('waxseal demo --no-color');
    await terminal.waitFor('What was found');
    expect(terminal.raw).not.toMatch(/\x1b\[[0-9;]*m/);
  });
});
