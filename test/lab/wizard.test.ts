/** The main job by a person: the wizard in a terminal of 80 by 24, key by key. */
import {describe, expect, test} from 'vitest';
import {PRIMARY} from './support/dns.ts';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {until} from './support/process.ts';
import {releases} from './support/release.ts';
import {Terminal} from './support/tmux.ts';
import {launchWaxseal, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {agree, at, inStrings, leave, shownRecord, toRecord} from './support/wizard.ts';
import {inWorld, type World} from './support/world.ts';

async function expectSigned({host, internet}: World, selector: string): Promise<void> {
  for (const by of ['sendmail', 'smtp'] as const) {
    const captured = await send(host, internet, {from: 'alice@example.com', by});
    expect(verdict(captured)).toBe(VALID('example.com', selector));
    expect(captured.testmsg).toBe(0);
  }
}

describe.each(releases)('$name', release => {
  test('the whole way: look, answer, publish, see the lag, read the plan, agree, done; and undo', () =>
    inWorld(release, async world => {
      const {host, internet, directory} = world;
      const before = await fingerprint(host);
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await toRecord(terminal);
      const {name, value, selector} = await shownRecord(terminal);

      // Help opens over the screen and closes again; nothing is lost.
      await terminal.press('?');
      await terminal.waitFor(/^ The record +Step 5 of 10$/m);
      await terminal.press('Escape');
      await at(terminal, 'record');
      // One step back and forth: the same key, the same record.
      await terminal.press('Escape');
      await at(terminal, 'settings');
      await terminal.press('Enter');
      await at(terminal, 'record');
      expect((await shownRecord(terminal)).value).toBe(value);

      await internet.publish('example.com', name, inStrings(value));
      await terminal.press('Enter');
      // The lag is seen: the primary has it, the secondary not yet, and their serials differ.
      await at(terminal, 'propagation');
      const matrix = await terminal.waitFor(
        screen =>
          /✔ ok +ns1\.example\.com +\S+ +\d+$/m.test(screen) &&
          /not there yet +ns2\.example\.com +\S+ +\d+$/m.test(screen),
      );
      const serials = [...matrix.matchAll(/ns[12]\.example\.com +\S+ +(\d+)$/gm)].map(row => row[1]);
      expect(new Set(serials).size).toBe(2);
      expect(serials).toContain(String(await internet.serial(PRIMARY.addresses[0], 'example.com')));
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');

      await at(terminal, 'plan', 90_000);
      // Everything that will be written can be read; Enter alone agrees to nothing.
      let read = await terminal.screen();
      for (let page = 0; page < 20 && !/^\+smtpd_milters/m.test(read.replaceAll(/^ /gm, '')); page++) {
        await terminal.press('PageDown');
        read = await terminal.screen();
      }
      expect(read).toMatch(/^ \+smtpd_milters = unix:opendkim\/opendkim\.sock/m);
      await terminal.press('Enter');
      await terminal.waitFor(/Enter alone changes nothing/);
      await terminal.press('a');
      await terminal.waitFor(/Type yes and press Enter/);
      await terminal.type('no');
      await terminal.press('Enter');
      await terminal.waitFor(/Not applied/);
      expect(differences(before, await fingerprint(host), {allowState: true, processes: false})).toEqual([]);

      await agree(terminal);
      const done = await at(terminal, 'done', 90_000);
      expect(done).toMatch(/selector \S+, active/);
      await terminal.press('Enter');
      expect(await terminal.exitStatus()).toBe(0);
      // What was said stays in the terminal, with the command that does the same again.
      expect(await terminal.history()).toMatch(/waxseal setup --domain example\.com/);
      await expectSigned(world, selector);
      expect(await exposedKeys(host)).toEqual([]);

      await terminal.close();
      await waxsealJson(host, ['undo', '--yes'], 0);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));

  test('left at the propagation screen, finished by flags', () =>
    inWorld(release, async world => {
      const {host, internet, directory} = world;
      const before = await fingerprint(host);
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await toRecord(terminal);
      const {name, value, selector} = await shownRecord(terminal);
      await terminal.press('Enter');
      await at(terminal, 'propagation');
      expect(await leave(terminal)).toBe(3);
      await terminal.close();
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);

      const running = launchWaxseal(host, [
        'setup',
        '--domain',
        'example.com',
        '--yes',
        '--wait',
        '2m',
        '--json',
      ]);
      await until('the run to be at work', async () =>
        (await host.processes('dist/waxseal.js')).length > 0 ? true : undefined,
      );
      await internet.publish('example.com', name, inStrings(value));
      const outcome = await running.finished;
      expect(outcome.status, outcome.stderr).toBe(0);
      // The very key that the wizard made and showed.
      expect(reportOf(outcome).domains[0]).toMatchObject({selector, state: 'active', record: {value}});
      await expectSigned(world, selector);
      expect((await waxseal(host, ['undo', '--yes'])).status).toBe(0);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));

  test('the line drops at the propagation screen; the wizard goes on there in a new terminal', () =>
    inWorld(release, async world => {
      const {host, internet, directory} = world;
      const first = await Terminal.open(host, {log: `${directory}/first.log`, name: 'first'});
      await toRecord(first);
      const {name, value, selector} = await shownRecord(first);
      await first.press('Enter');
      await at(first, 'propagation');
      await first.hangUp();
      await until('the wizard to be gone', async () =>
        (await host.processes('dist/waxseal.js')).length === 0 ? true : undefined,
      );
      await internet.publishEverywhere('example.com', name, inStrings(value));

      const second = await Terminal.open(host, {log: `${directory}/second.log`, name: 'second'});
      await second.command('waxseal');
      await at(second, 'resume');
      await second.press('Enter');
      await agree(second);
      await at(second, 'done', 90_000);
      await second.press('Enter');
      expect(await second.exitStatus()).toBe(0);
      await second.close();
      await expectSigned(world, selector);
    }));

  test('Ctrl-C on each screen: asked first, the right exit code, the host as it was', () =>
    inWorld(release, async ({host, internet, directory}) => {
      const before = await fingerprint(host);
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      const unchanged = async (where: string): Promise<void> => {
        expect(differences(before, await fingerprint(host), {allowState: true}), where).toEqual([]);
        await terminal.command('clear');
        await terminal.waitFor(/^\[exit 0\] #$/m);
      };
      const questions = ['host', 'domain', 'selector', 'key', 'settings'] as const;
      for (const [count, name] of questions.entries()) {
        await terminal.command('waxseal');
        for (const each of questions.slice(0, count)) {
          await at(terminal, each);
          await terminal.press('Enter');
        }
        await at(terminal, name);
        // First thought better of it, then left.
        await terminal.press('C-c');
        await terminal.waitFor(/^ Leave\?/m);
        await terminal.press('Escape');
        await at(terminal, name);
        expect(await leave(terminal), name).toBe(130);
        await unchanged(name);
      }

      await toRecord(terminal);
      const {name, value} = await shownRecord(terminal);
      expect(await leave(terminal)).toBe(3);
      await unchanged('record');

      await terminal.command('waxseal');
      await at(terminal, 'resume');
      expect(await leave(terminal)).toBe(130);
      await unchanged('resume');

      await terminal.command('waxseal');
      await at(terminal, 'resume');
      await terminal.press('Enter');
      await at(terminal, 'propagation');
      expect(await leave(terminal)).toBe(3);
      await unchanged('propagation');

      await internet.publishEverywhere('example.com', name, inStrings(value));
      const toPlan = async (): Promise<void> => {
        await terminal.command('waxseal');
        await at(terminal, 'resume');
        await terminal.press('Enter');
        await at(terminal, 'plan');
      };
      await toPlan();
      expect(await leave(terminal)).toBe(130);
      await unchanged('plan');

      await toPlan();
      await terminal.press('a');
      await terminal.waitFor(/Type yes and press Enter/);
      expect(await leave(terminal)).toBe(130);
      await unchanged('the question before applying');

      // From here on Ctrl-C does not ask: it puts everything back.
      for (const screen of ['applying', 'testing'] as const) {
        await toPlan();
        await agree(terminal);
        await at(terminal, screen);
        await terminal.press('C-c');
        expect(await terminal.exitStatus(90_000), screen).toBe(130);
        // The first screen is there before the first step: Ctrl-C may come before anything was changed.
        expect(await terminal.history()).toMatch(
          screen === 'applying' ? /Everything was put back|Nothing was changed/ : /Everything was put back/,
        );
        await unchanged(screen);
      }
      await terminal.close();
    }));

  test('the line drops while changes are made: everything is put back without a terminal', () =>
    inWorld(release, async ({host, internet, directory}) => {
      const before = await fingerprint(host);
      for (const screen of ['applying', 'testing'] as const) {
        const terminal = await Terminal.open(host, {log: `${directory}/${screen}.log`, name: screen});
        if (screen === 'applying') {
          await toRecord(terminal);
          const {name, value} = await shownRecord(terminal);
          await internet.publishEverywhere('example.com', name, inStrings(value));
        } else {
          await terminal.command('waxseal');
          await at(terminal, 'resume');
        }
        await terminal.press('Enter');
        await agree(terminal);
        await at(terminal, screen);
        await terminal.hangUp();
        await until(
          'the wizard to be gone',
          async () => ((await host.processes('dist/waxseal.js')).length === 0 ? true : undefined),
          {withinMs: 300_000},
        );
        await terminal.close();
        expect(differences(before, await fingerprint(host), {allowState: true}), screen).toEqual([]);
      }
    }));
});
