/** The wizard as a person meets it: screens by their titles, and what every screen has to show. */
import {expect} from 'vitest';
import {LONG_MS} from './process.ts';
import type {Terminal} from './tmux.ts';

/** The screens of a full run at 80 by 24, by title and number. */
export const SCREEN = {
  host: ['What was found on this host', 1],
  resume: ['A key is waiting for its record', 1],
  recover: ['An earlier run did not end', 1],
  domain: ['Which domain shall be signed?', 2],
  selector: ['What shall the key be called?', 3],
  key: ['Which kind of key?', 4],
  settings: ['Use the recommended settings?', 4],
  record: ['Publish this record', 5],
  propagation: ['Is the record everywhere?', 6],
  plan: ['What will be changed', 7],
  applying: ['Making the changes', 8],
  rollingBack: ['Putting everything back', 8],
  testing: ['Testing with real messages', 9],
  done: ['Done', 10],
  failed: ['It did not work out', 10],
} as const;

export type ScreenName = keyof typeof SCREEN;

const header = (name: ScreenName): RegExp => {
  const [title, step] = SCREEN[name];
  return new RegExp(`^ ${title.replaceAll('?', '\\?')} +Step ${step} of 10$`, 'm');
};

/** Waits for a screen, and holds it to the rules for all: where am I, what can I press, has anything been changed. */
export async function at(terminal: Terminal, name: ScreenName, withinMs = LONG_MS): Promise<string> {
  const screen = await terminal.waitFor(header(name), withinMs);
  const lines = screen.split('\n');
  expect(lines.length, screen).toBeLessThanOrEqual(24);
  for (const line of lines) expect([...line].length, screen).toBeLessThanOrEqual(80);
  const last = lines.at(-1) ?? '';
  const before = ['applying', 'rollingBack', 'testing', 'done', 'failed'].includes(name);
  if (!before) expect(last, screen).toContain('Nothing has been changed on this host so far.');
  return screen;
}

/** Ctrl-C, the question whether to leave, and yes; returns the exit code. */
export async function leave(terminal: Terminal): Promise<number> {
  await terminal.press('C-c');
  await terminal.waitFor(/^ Leave\?/m);
  await terminal.press('Enter');
  return terminal.exitStatus();
}

/** From the shell to the screen that shows the record, taking what is proposed. */
export async function toRecord(terminal: Terminal): Promise<void> {
  await terminal.command('waxseal');
  await at(terminal, 'host');
  await terminal.press('Enter');
  await at(terminal, 'domain');
  await terminal.waitFor(/^ ❯ example\.com /m);
  await terminal.press('Enter');
  await at(terminal, 'selector');
  await terminal.press('Enter');
  await at(terminal, 'key');
  await terminal.press('Enter');
  await at(terminal, 'settings');
  await terminal.press('Enter');
  await at(terminal, 'record');
}

/** The record as it stands on the screen, to be copied by hand. */
export async function shownRecord(
  terminal: Terminal,
): Promise<{readonly name: string; readonly selector: string; readonly value: string}> {
  const text = await terminal.history();
  const name = /^Whole name: +(\S+)\.$/m.exec(text)?.[1] ?? '';
  const value = /^v=DKIM1;.*$/m.exec(text)?.[0] ?? '';
  expect(name, text).toMatch(/^[a-z0-9-]+\._domainkey\.example\.com$/);
  expect(value, text).toMatch(/p=[A-Za-z0-9+/=]{380,}$/);
  return {name, value, selector: name.split('.')[0] ?? ''};
}

/** A value as a name server wants it: strings of 255 octets at most. */
export const inStrings = (value: string): readonly string[] => value.match(/.{1,255}/g) ?? [];

/** From the plan to its end: read, agree, and see it carried out. */
export async function agree(terminal: Terminal): Promise<void> {
  await at(terminal, 'plan');
  await terminal.press('a');
  await terminal.waitFor(/Type yes and press Enter/);
  await terminal.type('yes');
  await terminal.press('Enter');
}
