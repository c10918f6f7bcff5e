/** The main job by a script: one command with flags, JSON out, no terminal. */
import {describe, expect, test} from 'vitest';
import {PRIMARY, SECONDARY} from './support/dns.ts';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, sleep} from './support/process.ts';
import {bothReleases} from './support/release.ts';
import {awaitedRecord, launchWaxseal, reportOf, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes'] as const;

/** Process ids of the daemons: the same number means that nobody restarted them. */
async function daemons(host: Host): Promise<string> {
  return host.must(['systemctl', 'show', 'opendkim', host.release.postfixUnit, '-p', 'MainPID', '--value']);
}

/** When OpenDKIM added signatures, in milliseconds of the epoch, by its own journal. */
async function signingTimes(host: Host): Promise<readonly number[]> {
  const lines = await host.must(['journalctl', '-t', 'opendkim', '-o', 'short-unix', '--no-pager']);
  return lines
    .split('\n')
    .filter(line => line.includes('DKIM-Signature field added'))
    .map(line => Number(line.split(' ')[0]) * 1000);
}

describe.each(bothReleases)('$name', release => {
  test('setup waits for the lagging secondary, signs only then, runs again without a change, and is undone', () =>
    inWorld(release, async ({host, internet}) => {
      const before = await fingerprint(host);
      const running = launchWaxseal(host, [...SETUP, '--wait', '2m', '--json']);
      const {record, selector} = await awaitedRecord(host, 'example.com');
      expect(record.name).toBe(`${selector}._domainkey.example.com`);
      expect(record.zone).toBe('example.com');
      expect(record.relativeName).toBe(`${selector}._domainkey`);

      // Nobody has the record yet: nothing signs, nothing outside waxseal's own directory is different.
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'sendmail'}))).toBe(
        'unsigned',
      );
      await internet.publish('example.com', record.name, record.strings);
      expect(await internet.text(PRIMARY.addresses[0], record.name)).toEqual([record.value]);
      expect(await internet.text(SECONDARY.addresses[0], record.name)).toEqual([]);

      let visibleAt = 0;
      let sentMeanwhile = 0;
      while (visibleAt === 0) {
        const captured = await send(host, internet, {
          from: 'alice@example.com',
          by: sentMeanwhile % 2 === 0 ? 'smtp' : 'sendmail',
        });
        const asked = Date.now();
        const there = (await internet.text(SECONDARY.addresses[0], record.name)).length > 0;
        if (there) visibleAt = asked;
        else {
          sentMeanwhile += 1;
          expect(verdict(captured)).toBe('unsigned');
          expect(running.child.exitCode, JSON.stringify(running.output())).toBe(null);
        }
      }
      // The lag is long enough for several messages; fewer would mean that this scenario saw nothing.
      expect(sentMeanwhile).toBeGreaterThanOrEqual(2);

      const outcome = await running.finished;
      expect(outcome.status, describeOutcome(outcome)).toBe(0);
      const report = reportOf(outcome);
      expect(report).toMatchObject({command: 'setup', result: 'ok', changed: true, error: null});
      expect(report.domains).toHaveLength(1);
      expect(report.domains[0]).toMatchObject({
        domain: 'example.com',
        selector,
        algorithm: 'rsa',
        bits: 2048,
        state: 'active',
      });
      const servers = report.domains[0]?.servers ?? [];
      expect(servers.map(each => `${each.name} ${each.address} ${each.status}`).sort()).toEqual(
        [PRIMARY, SECONDARY]
          .flatMap(server => server.addresses.map(address => `${server.name} ${address} matching`))
          .sort(),
      );
      const serial = await internet.serial(PRIMARY.addresses[0], 'example.com');
      expect(servers.map(each => each.serial)).toEqual(servers.map(() => serial));
      expect(report.checks.length).toBeGreaterThan(0);
      expect(report.checks.filter(each => each.status === 'fail')).toEqual([]);
      // The secondary was looked at just before; a signature may not be older than that.
      const times = await signingTimes(host);
      expect(times.length).toBeGreaterThan(0);
      expect(Math.min(...times)).toBeGreaterThanOrEqual(visibleAt - 1000);

      for (const by of ['sendmail', 'smtp'] as const) {
        const captured = await send(host, internet, {from: 'alice@example.com', by});
        expect(verdict(captured)).toBe(VALID('example.com', selector));
        expect(captured.testmsg).toBe(0);
        expect(captured.signatures[0]?.headers).toEqual(
          expect.arrayContaining(['from', 'to', 'subject', 'date']),
        );
      }
      const sub = await send(host, internet, {from: 'bob@news.example.com', by: 'smtp'});
      expect(verdict(sub)).toBe(VALID('example.com', selector));
      const foreign = await send(host, internet, {from: 'eve@example.net', by: 'smtp'});
      expect(verdict(foreign)).toBe('unsigned');
      // Nothing of the live test is left in the queue, and no key can be read by others.
      expect((await host.must(['postqueue', '-j'])).trim()).toBe('');
      expect(await exposedKeys(host)).toEqual([]);
      const keyPath = report.domains[0]?.keyPath ?? '';
      expect(await host.must(['stat', '-c', '%U %G %a', keyPath])).toMatch(
        /^(opendkim opendkim|root opendkim) (600|400|640)\n$/,
      );

      // Again: nothing to do, nothing done, not even a restart.
      const settled = await fingerprint(host);
      const processes = await daemons(host);
      const again = await waxsealJson(host, [...SETUP, '--wait', '10s'], 0);
      expect(again).toMatchObject({result: 'ok', changed: false, changes: [], error: null});
      expect(differences(settled, await fingerprint(host), {allowState: true})).toEqual([]);
      expect(await daemons(host)).toBe(processes);

      const undone = await waxsealJson(host, ['undo', '--yes'], 0);
      expect(undone).toMatchObject({command: 'undo', result: 'ok', changed: true, error: null});
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'sendmail'}))).toBe(
        'unsigned',
      );
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');
    }));

  test('--no-wait ends with exit 3 and touches nothing; the same command finishes the job later', () =>
    inWorld(release, async ({host, internet}) => {
      const before = await fingerprint(host);
      const command = [...SETUP, '--no-wait'];
      const first = await waxsealJson(host, command, 3);
      expect(first).toMatchObject({result: 'pending', changed: false});
      const [domain] = first.domains;
      if (domain === undefined) throw new Error('the report names no domain');
      expect(domain.servers.map(each => each.status)).toEqual(domain.servers.map(() => 'absent'));
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);

      // Only the primary has it: still too early, and the same key waits.
      await internet.publish('example.com', domain.record.name, domain.record.strings);
      const second = await waxsealJson(host, command, 3);
      expect(second.domains[0]?.record).toEqual(domain.record);
      const statuses = new Map(second.domains[0]?.servers.map(each => [each.address, each.status] as const));
      expect(statuses.get(PRIMARY.addresses[0])).toBe('matching');
      expect(statuses.get(SECONDARY.addresses[0])).toBe('absent');
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);

      await internet.refreshSecondary('example.com');
      // What the resolver remembers of the absent record has to run out: three seconds here.
      await sleep(4000);
      const third = await waxsealJson(host, command, 0);
      expect(third).toMatchObject({result: 'ok', changed: true});
      expect(third.domains[0]?.record).toEqual(domain.record);
      for (const by of ['sendmail', 'smtp'] as const) {
        const captured = await send(host, internet, {from: 'alice@example.com', by});
        expect(verdict(captured)).toBe(VALID('example.com', domain.selector));
        expect(captured.testmsg).toBe(0);
      }
    }));

  test('--dry-run shows the diff and changes nothing, not even in its own directory', () =>
    inWorld(release, async ({host}) => {
      const before = await fingerprint(host);
      const report = await waxsealJson(host, ['setup', '--domain', 'example.com', '--dry-run'], 0);
      expect(report.changed).toBe(false);
      const diffs = report.changes.map(each => `${each.target}\n${each.diff}`).join('\n');
      expect(diffs).toMatch(/^\+KeyTable\s+file:/m);
      expect(diffs).toContain('+smtpd_milters = unix:opendkim/opendkim.sock');
      expect(differences(before, await fingerprint(host))).toEqual([]);
    }));
});
