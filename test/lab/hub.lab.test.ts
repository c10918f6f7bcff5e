/** The hub on a real host, key by key in a terminal of 80 by 24: everything it offers, reached and left again by Esc. */
import {describe, expect, test} from 'vitest';
import {send, VALID, verdict} from './support/mail.ts';
import {sleep} from './support/process.ts';
import {releases} from './support/release.ts';
import {Terminal} from './support/tmux.ts';
import {makeReady, waxsealJson} from './support/waxseal.ts';
import {agree, at, inStrings, shownRecord} from './support/wizard.ts';
import {inWorld} from './support/world.ts';

/** The last thing on the screen, not one of before. */
const HUB = /^ DKIM on this host +2 domains$[\s\S]*q leave$(?![\s\S])/m;
const BACK = /^Esc or Enter goes back to the overview, q and Enter leaves:$(?![\s\S])/m;

/** The same with the last words of a command before it: while a screen goes away, the prompt of before is the last. */
const endingIn = (words: string): RegExp => new RegExp(`${words}\\n+${BACK.source.slice(1)}`);

const SETTINGS = 'margin = 20s\n';

async function hub(terminal: Terminal): Promise<string> {
  const screen = await terminal.waitFor(HUB, 60_000);
  const lines = screen.split('\n');
  expect(lines.length, screen).toBeLessThanOrEqual(24);
  for (const line of lines) expect([...line].length, screen).toBeLessThanOrEqual(80);
  return screen.slice(screen.lastIndexOf(' DKIM on this host'));
}

/** A letter, what it leads to, and Escape back to the hub. */
async function thereAndBack(terminal: Terminal, letter: string, screen: RegExp): Promise<string> {
  await terminal.press(letter);
  const shown = await terminal.waitFor(screen, 60_000);
  await terminal.press('Escape');
  await hub(terminal);
  return shown;
}

describe.each(releases)('$name', release => {
  test('every domain, and from there rotate, advance, resume, check, record and remove', () =>
    inWorld(release, async ({host, internet, directory}) => {
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
      const second = await waxsealJson(host, ['setup', '--domain', 'example.org', '--yes', '--no-wait'], 3);
      for (const {record} of second.domains) {
        await internet.publishEverywhere('example.org', record.name, record.strings);
      }
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.org', '--yes', '--wait', '60s'], 0);
      await host.write('etc/waxseal/rotation.conf', SETTINGS);
      const [com = '', org = ''] = (await waxsealJson(host, ['status'], 0)).domains.map(
        each => each.selector,
      );

      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await terminal.command('waxseal');
      const first = await hub(terminal);
      // The month may change while this runs.
      const months = [0, 1].map(hours =>
        new Date(Date.now() + 180 * 86_400_000 + hours * 3_600_000).toISOString().slice(0, 8),
      );
      const date = `(?:${months.join('|')})`;
      const row = (domain: string, selector: string, state: string, due: string): RegExp =>
        new RegExp(
          `^ [❯ ] ${domain.replaceAll('.', '\\.')} +${selector} +RSA 2048 0 d +${state} *${due}$`,
          'm',
        );
      expect(first).toMatch(/^ {3}domain +selector +key +age +state +next$/m);
      expect(first).toMatch(row('example.com', com, 'active', `${date}\\d\\d`));
      expect(first).toMatch(row('example.org', org, 'active', `${date}\\d\\d`));
      expect(first).toMatch(new RegExp(`^ +Not before ${date}\\d\\d \\d\\d:\\d\\d \\(UTC\\)$`, 'm'));
      expect(first).not.toContain('u resume');

      await thereAndBack(terminal, 's', BACK);
      expect(await terminal.history()).toContain(`Name:   ${com}._domainkey.example.com`);
      await thereAndBack(terminal, 'c', endingIn('No problem found\\.'));
      expect(await terminal.history()).toContain('No problem found.');
      await thereAndBack(terminal, 'a', endingIn('Signs\\. The next key is due later\\.'));
      const asked = await thereAndBack(
        terminal,
        'd',
        /^Stop signing for example\.com\? \[y\/N\]$(?![\s\S])/m,
      );
      expect(asked).toContain('opendkim');
      await thereAndBack(terminal, 'r', /^ What was found on this host +Step 1 of 10$/m);
      const same = (await waxsealJson(host, ['status'], 0)).domains;
      expect(same.map(({state}) => state)).toEqual(['active', 'active']);

      // A rotation as far as its record, left there, and found again.
      await terminal.press('r');
      await at(terminal, 'host');
      await terminal.press('Enter');
      for (const screen of ['selector', 'key', 'settings'] as const) {
        await at(terminal, screen);
        await terminal.press('Enter');
      }
      await at(terminal, 'record');
      const {name, value, selector} = await shownRecord(terminal);
      expect(selector).not.toBe(com);
      await terminal.press('Enter');
      await at(terminal, 'propagation');
      await terminal.press('C-c');
      await terminal.waitFor(/^ Leave\?/m);
      await terminal.press('Enter');
      await terminal.waitFor(BACK);
      await terminal.press('Escape');
      const begun = await hub(terminal);
      expect(begun).toMatch(row('example.com', selector, 'pending', 'you'));
      expect(begun).toContain('u resume');
      await thereAndBack(terminal, 'u', /^ A key is waiting for its record +Step 1 of 10$/m);

      await internet.publishEverywhere('example.com', name, inStrings(value));
      await sleep(3500);
      await terminal.press('u');
      await at(terminal, 'resume');
      await terminal.press('Enter');
      // The wait for negative caches is counted down, and the old key signs meanwhile.
      const counted: number[] = [];
      for (let looks = 0; looks < 3; looks += 1) {
        const screen = await terminal.waitFor(/The new key signs in \d+ s:/, 60_000);
        counted.push(Number(/The new key signs in (\d+) s:/.exec(screen)?.[1]));
        await sleep(1500);
      }
      expect(counted).toEqual(counted.toSorted((one, other) => other - one));
      expect(new Set(counted).size).toBe(3);
      const old = verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}));
      expect(old).toBe(VALID('example.com', com));
      await agree(terminal);
      await at(terminal, 'done', 90_000);
      await terminal.press('Enter');
      await terminal.waitFor(BACK, 60_000);
      await terminal.press('Escape');
      const rotated = await hub(terminal);
      expect(rotated).toMatch(row('example.com', com, 'retiring', '\\d{4}-\\d\\d-\\d\\d'));
      expect(rotated).toMatch(row('example.com', selector, 'active', `${date}\\d\\d`));
      const fresh = verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}));
      expect(fresh).toBe(VALID('example.com', selector));

      // Removed, with a typed yes.
      await terminal.press('Down');
      await terminal.waitFor(/^ ❯ example\.org /m);
      await terminal.press('d');
      await terminal.waitFor(/^Stop signing for example\.org\? \[y\/N\]$(?![\s\S])/m, 60_000);
      await terminal.type('y');
      await terminal.press('Enter');
      await terminal.waitFor(BACK, 60_000);
      await terminal.press('Escape');
      const removed = await hub(terminal);
      expect(removed).toMatch(row('example.org', org, 'retiring', '\\d{4}-\\d\\d-\\d\\d'));
      expect(verdict(await send(host, internet, {from: 'bob@example.org', by: 'smtp'}))).toBe('unsigned');
      await terminal.press('q');
      expect(await terminal.exitStatus()).toBe(0);
      await terminal.close();
    }));
});
