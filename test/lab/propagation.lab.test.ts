/** The propagation screen against real name servers: a mistake is named and its repair seen; a firewall is no mystery. */
import {describe, expect, test} from 'vitest';
import {SECONDARY} from './support/dns.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {sleep} from './support/process.ts';
import {releases} from './support/release.ts';
import {Terminal} from './support/tmux.ts';
import {waxsealJson} from './support/waxseal.ts';
import {agree, at, inStrings, shownRecord, toRecord} from './support/wizard.ts';
import {inWorld} from './support/world.ts';

const trixie = releases.filter(({suite}) => suite === 'trixie');

describe.each(trixie.length > 0 ? trixie : releases)('$name', release => {
  test('a wrong record is named, and once it is right that is seen within one interval', () =>
    inWorld(release, async ({host, internet, directory}) => {
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await toRecord(terminal);
      const {name, value} = await shownRecord(terminal);
      // As a panel does it that keeps the first string only.
      await internet.publish('example.com', name, [value.slice(0, 255)]);
      await internet.refreshSecondary('example.com');
      await terminal.press('Enter');
      const wrong = await terminal.waitFor(
        screen =>
          /✖ wrong record +ns1\.example\.com/.test(screen) &&
          /✖ wrong record +ns2\.example\.com/.test(screen) &&
          /255/.test(screen) &&
          /hint: /.test(screen),
      );
      console.log(wrong);
      // Somebody reads that, and takes their time.
      await sleep(8000);
      const strings = inStrings(value).map(each => `"${each}"`);
      await internet.update('example.com', [
        `update delete ${name}. TXT`,
        `update add ${name}. 60 TXT ${strings.join(' ')}`,
      ]);
      const begun = performance.now();
      await terminal.waitFor(/✔ ok +ns1\.example\.com/);
      const seconds = (performance.now() - begun) / 1000;
      console.log(`the repair was seen after ${seconds.toFixed(1)} s`);
      // Intervals are bounded by the zone's negative TTL, here 3 s, and one round takes up to 1.5 s; the rest is the screen's.
      expect(seconds).toBeLessThan(9);
      await internet.refreshSecondary('example.com');
      await at(terminal, 'plan', 90_000);
      await terminal.close();
    }));

  test('port 53 is blocked: the weaker claim, and on by the resolver alone only where that is chosen', () =>
    inWorld(release, async ({host, internet, directory}) => {
      await internet.blockPort53();
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await toRecord(terminal);
      const {name, value, selector} = await shownRecord(terminal);
      await internet.openPort53();
      await internet.publish('example.com', name, inStrings(value));
      await internet.refreshSecondary('example.com');
      await internet.blockPort53();
      await terminal.press('Enter');
      const blocked = await terminal.waitFor(
        /port 53 outward is blocked[\s\S]*w goes on by the resolver's word/,
        120_000,
      );
      expect(blocked).toContain(`no answer          ${SECONDARY.name}`);
      console.log(blocked);
      const flags = ['setup', '--domain', 'example.com', '--yes', '--no-wait'];
      await terminal.press('w');
      await agree(terminal);
      const done = await at(terminal, 'done', 180_000);
      expect(done).toContain("Known by the resolver's word only:");
      console.log(done);
      await terminal.press('Enter');
      expect(await terminal.exitStatus()).toBe(0);
      expect(await terminal.history()).toContain('--resolver-only');
      await terminal.close();
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe(
        VALID('example.com', selector),
      );
      // By flags: without the choice it stays pending, with it the claim is in the document.
      const without = await waxsealJson(host, flags, 3);
      expect(without.domains[0]).toMatchObject({
        dns: {resolver: 'matching', weaker: {id: 'dns.port-blocked'}},
      });
      const by = await waxsealJson(host, [...flags, '--resolver-only'], 0);
      expect(by.checks[0]).toMatchObject({id: 'dns.resolver-only', status: 'warn'});
    }));
});
