/** Rotations under a constant stream of mail: every message verifies when it comes and again after it was delayed. */
import {rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import type {Internet} from './support/dns.ts';
import {differences, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, sleep, start, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, type Report, reportOf, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const TTL = 5;
/** How often a run of the scheduler is killed on the real host. */
const KILLS = Number(process.env['WAXSEAL_LAB_KILLS'] ?? 50);
/** Three rotations where there is time for many kills. */
const ROTATIONS = KILLS > 20 ? 3 : 1;
/** Waiting times that fit into a test; the rules are the same. */
const SETTINGS = (interval: string): string =>
  [
    `interval = ${interval}`,
    'remind = 0s',
    'margin = 1s',
    'safety = 6s',
    'floor = 8s',
    'revoked = 4s',
    '',
  ].join('\n');

interface Sums {
  readonly sent: number;
  readonly refused: number;
  readonly received: number;
  readonly checks: number;
  /** Sent back by the receiver, verified again out of the queue. */
  readonly delayed: number;
  /** Verified again some seconds after their receipt. */
  readonly late: number;
  readonly unsigned: number;
  readonly failed: number;
  readonly seconds: number;
  readonly selectors: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}

/** What a person does who reads what waxseal asks for: publishes, empties, deletes records. Nothing else. */
async function obey(internet: Internet, report: Report, asked: Set<string>): Promise<void> {
  for (const {record, state, nextStep, selector} of report.domains) {
    const once = async (what: string, lines: readonly string[]): Promise<void> => {
      if (asked.has(`${what} ${selector}`)) return;
      asked.add(`${what} ${selector}`);
      await internet.update('example.com', lines);
    };
    const add = (strings: readonly string[]): string =>
      `update add ${record.name}. ${TTL} TXT ${strings.map(text => `"${text}"`).join(' ')}`;
    const drop = `update delete ${record.name}. TXT`;
    if (state === 'pending') await once('publish', [drop, add(record.strings)]);
    if (state === 'retiring' && nextStep.startsWith('Revoke')) {
      await once('revoke', [drop, add(['v=DKIM1; k=rsa; p='])]);
    }
    if (state === 'revoked' && nextStep.startsWith('Delete')) await once('delete', [drop]);
  }
}

/** One run of the scheduler; `killAfter` seconds later it is killed, whatever it does. */
async function advance(host: Host, killAfter?: number): Promise<Report | undefined> {
  const argv = ['waxseal', 'rotate', '--advance', '--json'];
  const killer = killAfter === undefined ? [] : ['timeout', '-s', 'KILL', killAfter.toFixed(2)];
  const outcome = await host.exec([...killer, ...argv], {timeoutMs: 120_000});
  if (outcome.status === 137 || outcome.signal !== null) return undefined;
  expect([0, 3], describeOutcome(outcome)).toContain(outcome.status);
  return reportOf(outcome);
}

const releasesHere = releases.filter(({suite}) => suite === 'trixie');

async function rotations(
  host: Host,
  internet: Internet,
  directory: string,
  wanted: {readonly rotations: number; readonly kills: number},
): Promise<{sums: Sums; kills: number; states: readonly string[]}> {
  await makeReady(host, internet);
  await sleep(3500);
  await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
  await host.must([
    'postconf',
    '-e',
    'relayhost=[10.53.3.1]:2525',
    'maximal_queue_lifetime=30s',
    'bounce_queue_lifetime=30s',
    'queue_run_delay=2s',
    'minimal_backoff_time=2s',
    'maximal_backoff_time=3s',
    'default_destination_concurrency_limit=10',
  ]);
  await host.must(['postfix', 'reload']);
  await host.write('etc/waxseal/rotation.conf', SETTINGS('1s'));
  const running = path.join(directory, 'running');
  await writeFile(running, '');
  const stream = start(
    [
      'nsenter',
      `--net=/run/netns/${internet.namespace}`,
      '--',
      '/usr/bin/python3',
      path.join(import.meta.dirname, 'support/stream.py'),
      '24',
      '2525',
      running,
    ],
    {timeoutMs: 640_000},
  );
  const asked = new Set<string>();
  let kills = 0;
  let switched = 0;
  let last: Report | undefined;
  const seen = new Set<string>();
  try {
    await until(
      'all rotations and removals',
      async () => {
        expect(stream.child.exitCode, JSON.stringify(stream.output())).toBe(null);
        // Spread over a run of the scheduler, from its start to after the switch.
        const killAfter = kills < wanted.kills ? 0.25 + Math.random() * (kills % 2 === 0 ? 1 : 5) : undefined;
        const report = await advance(host, killAfter);
        if (report === undefined) {
          kills += 1;
          return undefined;
        }
        last = report;
        await obey(internet, report, asked);
        for (const each of report.domains) {
          if (each.state !== 'active' || seen.has(each.selector)) continue;
          seen.add(each.selector);
          switched = seen.size - 1;
          if (switched === wanted.rotations) {
            await host.write('etc/waxseal/rotation.conf', SETTINGS('180d'));
          }
        }
        const alone = report.domains.length === 1 && report.domains[0]?.state === 'active';
        if (switched >= wanted.rotations && alone && kills >= wanted.kills) return true;
        await sleep(300);
        return undefined;
      },
      {withinMs: 600_000, everyMs: 100},
    );
  } catch (error) {
    if (error instanceof Error)
      error.message += `\n${JSON.stringify(last?.domains.map(each => [each.selector, each.state, each.nextStep]))} switched ${switched} kills ${kills} ${JSON.stringify(stream.output())}`;
    throw error;
  } finally {
    await rm(running, {force: true});
  }
  // Now and then Postfix finds a message "still being delivered" and looks at it again minutes later; nothing is lost.
  let isOver = false;
  const flushing = (async () => {
    while (!isOver) {
      await sleep(5000);
      if (!isOver) await host.exec(['postqueue', '-f']);
    }
  })();
  const outcome = await stream.finished;
  isOver = true;
  await flushing;
  const sums: Sums = JSON.parse(outcome.stdout);
  return {sums, kills, states: [...seen]};
}

function expectWhole(sums: Sums): void {
  expect(sums.failures).toEqual([]);
  expect({unsigned: sums.unsigned, failed: sums.failed, refused: sums.refused}).toEqual({
    unsigned: 0,
    failed: 0,
    refused: 0,
  });
  expect(sums.received).toBe(sums.sent);
  expect(sums.sent / sums.seconds).toBeGreaterThanOrEqual(20);
  expect(sums.delayed + sums.late).toBe(sums.received);
  expect(sums.delayed).toBeGreaterThan(sums.received / 6);
}

const told = (name: string, sums: Sums, kills: number): string =>
  `${name}: sent ${sums.sent} in ${sums.seconds} s (${(sums.sent / sums.seconds).toFixed(1)}/s), received ${sums.received}, ` +
  `verified ${JSON.stringify(sums.selectors)}, again out of the queue ${sums.delayed}, again later ${sums.late}, ` +
  `failed ${sums.failed}, unsigned ${sums.unsigned}, kills ${kills}`;

describe.each(releasesHere)('$name', release => {
  test('three rotations in a row under a constant stream: nothing fails, nothing goes unsigned', () =>
    inWorld(release, async ({host, internet, directory}) => {
      const {sums, states} = await rotations(host, internet, directory, {rotations: 3, kills: 0});
      console.log(told('three rotations', sums, 0));
      expectWhole(sums);
      // On a slow machine a further key may be on its way before the interval is long again.
      expect(states.length).toBeGreaterThanOrEqual(4);
      expect(Object.keys(sums.selectors).sort()).toEqual([...states].sort());
    }));

  test(
    'the same, cut off by kill -9 at random moments',
    () =>
      inWorld(release, async ({host, internet, directory}) => {
        const {sums, kills, states} = await rotations(host, internet, directory, {
          rotations: ROTATIONS,
          kills: KILLS,
        });
        console.log(told('cut off', sums, kills));
        expectWhole(sums);
        expect(kills).toBe(KILLS);
        expect(states.length).toBeGreaterThan(ROTATIONS);
      }),
    700_000,
  );

  test('an unattended switch is tried in a temporary OpenDKIM first; where that fails, nothing is touched', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
      await host.write('etc/waxseal/rotation.conf', SETTINGS('1s'));
      const old = (await waxsealJson(host, ['status'], 0)).domains[0]?.selector ?? '';
      await sleep(1500);
      const coming = (await advance(host))?.domains.find(({state}) => state === 'pending');
      if (coming === undefined) throw new Error('no key on its way');
      await internet.publishEverywhere('example.com', coming.record.name, coming.record.strings);
      // The running OpenDKIM read its configuration before. No other one starts with this.
      const sound = await host.must(['cat', '/etc/opendkim.conf']);
      await host.write('etc/opendkim.conf', `${sound}ExternalIgnoreList refile:/etc/opendkim/gone\n`);
      const tables = ['sha256sum', '/etc/opendkim/KeyTable', '/etc/opendkim/SigningTable'] as const;
      const before = [await host.must(tables), await host.must(['ls', '-R', '/etc/dkimkeys'])];
      const failed = await until('the switch to be due', async () => {
        const outcome = await host.exec(['waxseal', 'rotate', '--advance', '--json'], {timeoutMs: 120_000});
        return [0, 3].includes(outcome.status ?? -1) ? undefined : outcome;
      });
      expect(failed.status, describeOutcome(failed)).toBe(6);
      const report = reportOf(failed);
      expect(report.error).toMatchObject({id: 'preflight.start', hint: expect.stringMatching(/./)});
      expect([await host.must(tables), await host.must(['ls', '-R', '/etc/dkimkeys'])]).toEqual(before);
      expect(report.domains.find(({selector}) => selector === old)?.state).toBe('active');
      const message = await send(host, internet, {from: 'a@example.com', by: 'sendmail'});
      expect(verdict(message)).toBe(VALID('example.com', old));
      await host.write('etc/opendkim.conf', sound);
      await until('the new key to sign', async () => {
        const states = (await advance(host))?.domains ?? [];
        return states.some(each => each.selector === coming.selector && each.state === 'active') || undefined;
      });
    }));

  test('the timer is installed as a planned change, runs in its cage, and is taken away again', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
      const before = await fingerprint(host);
      await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
      await host.must(['systemd-analyze', 'verify', '/etc/systemd/system/waxseal-rotate.timer']);
      expect((await host.must(['systemctl', 'is-active', 'waxseal-rotate.timer'])).trim()).toBe('active');
      const wants = await host.must(['systemctl', 'show', 'timers.target', '-p', 'Wants', '--value']);
      expect(wants).toContain('waxseal-rotate.timer');
      // A key that is due: the whole way to the switch in the cage of the unit, as the timer runs it.
      await host.write('etc/waxseal/rotation.conf', SETTINGS('1s'));
      await sleep(1500);
      await host.must(['systemctl', 'start', 'waxseal-rotate.service']);
      const report = await waxsealJson(host, ['status'], 0);
      const coming = report.domains.find(({state}) => state === 'pending');
      if (coming === undefined) throw new Error(JSON.stringify(report.domains));
      await internet.publishEverywhere('example.com', coming.record.name, coming.record.strings);
      await host.must(['systemctl', 'start', 'waxseal-rotate.service']);
      await sleep(5000);
      await host.must(['systemctl', 'start', 'waxseal-rotate.service']);
      const after = await waxsealJson(host, ['status'], 0);
      expect(
        after.domains.find(({selector}) => selector === coming.selector)?.state,
        await host.must(['journalctl', '-u', 'waxseal-rotate.service', '--no-pager']),
      ).toBe('active');
      const score = await host.exec(['systemd-analyze', 'security', '--no-pager', 'waxseal-rotate.service']);
      console.log(score.stdout.trim().split('\n').at(-1));
      // The switch, the new key that was put in place before it, and the timer.
      for (let runs = 0; runs < 3; runs += 1) await waxsealJson(host, ['undo', '--yes'], 0);
      expect(await host.exists('etc/systemd/system/waxseal-rotate.timer')).toBe(false);
      expect(await host.exists('etc/systemd/system/timers.target.d')).toBe(false);
      const gone = await host.exec(['systemctl', 'is-active', 'waxseal-rotate.timer']);
      expect(gone.stdout.trim()).toBe('inactive');
      await host.must(['rm', '-r', '/etc/waxseal']);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));
});
