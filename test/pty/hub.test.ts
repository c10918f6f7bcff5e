/** The hub in a real terminal of 80 by 24: what it shows, and each thing it offers reached and left again by Esc. */
import {readFileSync, rmSync} from 'node:fs';
import path from 'node:path';
import {afterAll, afterEach, beforeAll, expect, test} from 'vitest';
import {type Bundle, bundle} from './bundle.ts';
import {Pty} from './pty.ts';

const ESC = '\x1b';
const SLOW = 20_000;

let built: Bundle;
let pty: Pty | undefined;

beforeAll(async () => {
  built = await bundle('./hub-program.ts');
});
afterAll(() => {
  built.remove();
});
afterEach(() => {
  expect(pty?.raw ?? '').not.toContain('\x1b[3J');
  pty?.dispose();
  pty = undefined;
});

const marker = (): string => path.join(built.directory, 'marker');

async function open(...flags: readonly string[]): Promise<Pty> {
  rmSync(marker(), {force: true});
  const terminal = new Pty(process.execPath, [built.program, ...flags], {
    environment: {WAXSEAL_TEST_MARKER: marker(), TZ: 'UTC'},
  });
  pty = terminal;
  await terminal.waitFor(HUB, 60_000);
  return terminal;
}

const HUB = /^ DKIM on this host +2 domains$[\s\S]*q leave\s*$(?![\s\S])/m;
/** The last thing on the screen, not one of before. */
const BACK = /^Esc or Enter goes back to the overview, q and Enter leaves:\s*$(?![\s\S])/m;

/** The same with the last words of a command before it: while a screen goes away, the prompt of before is the last. */
const endingIn = (words: string): RegExp => new RegExp(`${words}\\n+${BACK.source.slice(1)}`);

function fits(terminal: Pty): void {
  const lines = terminal.lines();
  expect(lines.length).toBeLessThanOrEqual(24);
  for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(80);
}

/** Presses a letter, waits for what it leads to, and goes back by Esc, as often as it takes. */
async function thereAndBack(
  terminal: Pty,
  key: string,
  ...screens: readonly (readonly [screen: RegExp, then: string])[]
): Promise<void> {
  terminal.write(key);
  for (const [screen, then] of screens) {
    await terminal.waitFor(screen, SLOW);
    fits(terminal);
    terminal.write(then);
  }
  await terminal.waitFor(HUB, SLOW);
}

/** From the hub to the search for the record, every question answered as it is proposed. */
async function rotateToRecord(terminal: Pty): Promise<void> {
  terminal.write('r');
  await terminal.waitFor(/What was found on this host/, SLOW);
  terminal.write('\r');
  for (const title of [/What shall the key be called/, /Which kind of key/, /Use the recommended settings/]) {
    await terminal.waitFor(title, SLOW);
    terminal.write('\r');
  }
  await terminal.waitFor(/Publish this record/, SLOW);
  terminal.write('\r');
}

async function leave(terminal: Pty): Promise<string> {
  terminal.write('q');
  expect((await terminal.end()).exitCode).toBe(0);
  return readFileSync(marker(), 'utf8');
}

test('every domain with its key, its age, its state, its next step and the date', async () => {
  const terminal = await open('--late');
  fits(terminal);
  const screen = terminal.lines().join('\n');
  const month = new Date().toISOString().slice(0, 7).replace('-', '');
  expect(screen).toMatch(/^ {3}domain +selector +key +age +state +next *$/m);
  expect(screen).toMatch(new RegExp(`^ ❯ example\\.org +${month} +RSA 2048 +200 d +active +now$`, 'm'));
  expect(screen).toMatch(
    new RegExp(`^ {3}news\\.example\\.org +${month}a +RSA 2048 +200 d +active +now$`, 'm'),
  );
  expect(screen).toContain('Make the next key of example.org.');
  for (const what of ['r rotate', 'a advance', 'c check', 's show record', 'd remove', 'q leave']) {
    expect(screen).toContain(what);
  }
  // Nothing was begun: there is nothing to resume.
  expect(screen).not.toContain('u resume');
  expect(await leave(terminal)).toBe(`example.org ${month} active\nnews.example.org ${month}a active\n`);
});

test('record, check, advance, remove, rotate and resume: each is reached, and left again by Esc', async () => {
  const terminal = await open();
  const date = new Date(Date.now() + 180 * 86_400_000).toISOString().slice(0, 8);
  await terminal.waitFor(new RegExp(`^ ❯ example\\.org .* 0 d +active +${date}\\d\\d$`, 'm'));
  await terminal.waitFor(new RegExp(`^ +Not before ${date}\\d\\d \\d\\d:\\d\\d \\(UTC\\)$`, 'm'));
  // The second domain, so that it is seen that the marked one is meant, and stays marked.
  terminal.write('\x1b[B');
  await terminal.waitFor(/^ ❯ news\.example\.org /m);
  await thereAndBack(terminal, 's', [BACK, ESC]);
  expect(terminal.history().join('\n')).toMatch(/^Name: +\d+a\._domainkey\.news\.example\.org$/m);
  await terminal.waitFor(/^ ❯ news\.example\.org /m);
  await thereAndBack(terminal, 'c', [endingIn('No problem found\\.'), ESC]);
  await thereAndBack(terminal, 'a', [endingIn('Signs\\. The next key is due later\\.'), ESC]);
  await thereAndBack(terminal, 'd', [/^Stop signing for news\.example\.org\? \[y\/N\]\s*$(?![\s\S])/m, ESC]);
  // No question on the way out of the first screen: nothing is lost by going.
  await thereAndBack(terminal, 'r', [/What was found on this host/, ESC]);
  await thereAndBack(
    terminal,
    'r',
    [/What was found on this host/, '\r'],
    [/What shall the key be called/, ESC],
    [/What was found on this host/, ESC],
  );
  const month = new Date().toISOString().slice(0, 7).replace('-', '');
  // As far as the record: now there is something to resume.
  await rotateToRecord(terminal);
  await terminal.waitFor(/Is the record everywhere/, SLOW);
  terminal.write('\x03');
  await terminal.waitFor(/Leave\?/);
  terminal.write('\r');
  await terminal.waitFor(BACK, SLOW);
  terminal.write(ESC);
  await terminal.waitFor(HUB, SLOW);
  await terminal.waitFor(
    new RegExp(`^ {3}news\\.example\\.org +${month}b +RSA 2048 +0 d +pending +you$`, 'm'),
  );
  await terminal.waitFor('u resume');
  await thereAndBack(terminal, 'u', [/A key is waiting for its record/, ESC]);
  expect(await leave(terminal)).toBe(
    `example.org ${month} active\nnews.example.org ${month}a active\nnews.example.org ${month}b pending\n`,
  );
});

test('a whole rotation from the hub, with the wait counted down, and back', async () => {
  const terminal = await open('--publish');
  const month = new Date().toISOString().slice(0, 7).replace('-', '');
  await rotateToRecord(terminal);
  // Ten seconds of the zone's negative caches, and the margin of two.
  const left = new Set<string>();
  await terminal.waitFor(/The new key signs in \d+ s:/, SLOW);
  fits(terminal);
  for (let looks = 0; looks < 40 && left.size < 3; looks += 1) {
    const found = /The new key signs in (\d+) s:/.exec(terminal.lines().join('\n'))?.[1];
    if (found !== undefined) left.add(found);
    await new Promise(resolve => setTimeout(resolve, 250));
  }
  expect(left.size).toBe(3);
  await terminal.waitFor(/What will be changed/, 60_000);
  terminal.write('a');
  await terminal.waitFor(/Type yes/);
  terminal.write('yes\r');
  await terminal.waitFor(/Step 10 of 10/, 60_000);
  terminal.write('\r');
  await terminal.waitFor(BACK, SLOW);
  terminal.write(ESC);
  await terminal.waitFor(HUB, SLOW);
  await terminal.waitFor(
    new RegExp(`^ ❯ example\\.org +${month} +RSA 2048 +0 d +retiring +\\d{4}-\\d\\d-\\d\\d$`, 'm'),
  );
  expect(await leave(terminal)).toBe(
    `example.org ${month} retiring\nnews.example.org ${month}a active\nexample.org ${month}b active\n`,
  );
});
