/** Rotations that nobody attends: by the timer in its cage, by hooks, by cron; and how a person is told. */
import {beforeAll, describe, expect, test} from 'vitest';
import {PRIMARY, UPDATE_KEY} from './support/dns.ts';
import type {Host} from './support/host.ts';
import {buildImage} from './support/image.ts';
import {describeOutcome, sleep, until} from './support/process.ts';
import {releases, withPublishers} from './support/release.ts';
import {makeReady, type Report, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

/** Below the home of root, which the cage may read and not write. */
const KEY_FILE = '/root/update.key';
const SERVICE = 'waxseal-rotate.service';

const settings = (interval: string, ...more: readonly string[]): string =>
  [
    `interval = ${interval}`,
    'remind = 0s',
    'margin = 1s',
    'safety = 3s',
    'floor = 4s',
    'revoked = 2s',
    ...more,
    '',
  ].join('\n');

async function putSecret(host: Host): Promise<void> {
  const {name, secret} = UPDATE_KEY;
  await host.write(KEY_FILE.slice(1), `key "${name}" { algorithm hmac-sha256; secret "${secret}"; };\n`);
  await host.must(['chmod', '600', KEY_FILE]);
}

async function shortQueues(host: Host): Promise<void> {
  await host.must(['postconf', '-e', 'maximal_queue_lifetime=2s', 'bounce_queue_lifetime=2s']);
  await host.must(['postfix', 'reload']);
}

const status = (host: Host): Promise<Report> => waxsealJson(host, ['status'], 0);
const states = ({domains}: Report): readonly string[] =>
  domains.map(({selector, state}) => `${selector} ${state}`);

/** Private keys below a directory, by their paths. */
const keysBelow = async (host: Host, directory: string): Promise<readonly string[]> =>
  (
    await host.exec(['find', directory, '-type', 'f', '(', '-name', '*.private', '-o', '-name', '*.pem', ')'])
  ).stdout
    .split('\n')
    .filter(Boolean);

const publishing = withPublishers.filter(({suite}) => suite === 'trixie');
const plain = releases.filter(({suite}) => suite === 'trixie');

beforeAll(async () => void (await Promise.all(publishing.map(buildImage))));

describe.each(publishing)('$name', release => {
  test('the timer in its cage takes a key through its whole life, with nsupdate', () =>
    inWorld(release, async ({host}) => {
      await putSecret(host);
      const setup = [
        ...['setup', '--domain', 'example.com', '--yes', '--wait', '90s', '--publish', 'nsupdate'],
        ...['--tsig-key', KEY_FILE, '--update-ttl', '2'],
      ];
      const made = await waxsealJson(host, setup, 0);
      const first = made.domains[0];
      if (first === undefined) throw new Error('no domain');
      await shortQueues(host);
      await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
      const timer = await host.must(['systemctl', 'show', 'waxseal-rotate.timer']);
      expect(timer).toMatch(/^RandomizedDelayUSec=30min$/m);
      expect(timer).toMatch(/^Persistent=yes$/m);
      expect(timer).toMatch(/^TimersCalendar=.*\*:00:00/m);
      const score = (await host.exec(['systemd-analyze', 'security', '--no-pager', SERVICE])).stdout
        .trim()
        .split('\n')
        .at(-1);
      console.log(score);
      expect(Number(/: (\d+\.\d)/.exec(score ?? '')?.[1])).toBeLessThanOrEqual(3.9);

      await host.write('etc/waxseal/rotation.conf', settings('1s'));
      const seen = new Set<string>();
      const begun = performance.now();
      await until(
        'the old key to be gone, and the new one to sign',
        async () => {
          // Far more often than any timer: systemd would refuse the sixth start within ten seconds.
          await host.exec(['systemctl', 'reset-failed', SERVICE]);
          const run = await host.exec(['systemctl', 'start', SERVICE], {timeoutMs: 120_000});
          expect(run.status, describeOutcome(run)).toBe(0);
          const report = await status(host);
          for (const each of states(report)) seen.add(each);
          const switched = report.domains.some(
            ({selector, state}) => selector !== first.selector && state === 'active',
          );
          if (switched) await host.write('etc/waxseal/rotation.conf', settings('180d'));
          const alone = report.domains.length === 1 && switched;
          await sleep(500);
          return alone ? true : undefined;
        },
        {withinMs: 240_000, everyMs: 200},
      );
      console.log(
        `in the cage: ${[...seen].join(', ')}; ${((performance.now() - begun) / 1000).toFixed(0)} s, nobody asked`,
      );
      for (const state of ['active', 'retiring', 'revoked']) {
        expect([...seen]).toContain(`${first.selector} ${state}`);
      }
      // The private key of the old selector is gone, and so is its record; the journal holds no secret.
      expect(
        (await keysBelow(host, '/etc/dkimkeys')).filter(each => each.endsWith(`/${first.selector}.private`)),
      ).toEqual([]);
      const journal = await host.must(['journalctl', '-u', SERVICE, '--no-pager', '-o', 'cat']);
      expect(journal).not.toContain(UPDATE_KEY.secret);
      expect(journal).not.toContain('PRIVATE KEY');
      expect((await waxseal(host, ['test', '--json'])).status).toBe(0);
    }));

  test('hooks publish, activate, retire and remove; what they leave undone comes by mail to root, once', () =>
    inWorld(release, async ({host, internet}) => {
      await putSecret(host);
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
      await shortQueues(host);
      const hook = [
        '#!/bin/sh',
        'echo "$1 $WAXSEAL_EVENT $WAXSEAL_SELECTOR $WAXSEAL_RECORD_ZONE $WAXSEAL_RECORD_TYPE $WAXSEAL_RECORD_VALUE" >>/root/hook.log',
        '[ "$1" != remove ] || [ -e /root/may-remove ] || { echo "not allowed" >&2; exit 1; }',
        'add=""',
        '[ "$1" = remove ] || add="update add $WAXSEAL_RECORD_NAME 2 TXT $(echo "$WAXSEAL_RECORD_VALUE" | fold -w 250 | sed \'s/.*/"&"/\' | tr "\\n" " ")"',
        '[ "$1" = activate ] && exit 0',
        `nsupdate -k ${KEY_FILE} <<END`,
        `server ${PRIMARY.addresses[0]}`,
        'zone $WAXSEAL_RECORD_ZONE',
        'update delete $WAXSEAL_RECORD_NAME TXT',
        '$add',
        'send',
        'END',
        '',
      ].join('\n');
      await host.write('etc/waxseal/hooks.d/10-dns', hook);
      await host.must(['chmod', '755', '/etc/waxseal/hooks.d/10-dns']);
      // One that others may write is not run, and it is said.
      await host.write('etc/waxseal/hooks.d/20-open', '#!/bin/sh\ntouch /root/was-run\n');
      await host.must(['chmod', '777', '/etc/waxseal/hooks.d/20-open']);
      await host.write('etc/waxseal/rotation.conf', settings('1s', 'mail = root@localhost'));
      const [old = ''] = states(await status(host)).map(each => each.split(' ')[0]);
      // A record that caches forget soon, as somebody makes it who is about to rotate.
      const {record} = (await status(host)).domains[0] ?? {};
      if (record === undefined) throw new Error('no record');
      const strings = record.strings.map(each => `"${each}"`).join(' ');
      await internet.update('example.com', [
        `update delete ${record.name}. TXT`,
        `update add ${record.name}. 2 TXT ${strings}`,
      ]);
      await internet.refreshSecondary('example.com');
      const log = async (): Promise<string> =>
        (await host.exists('root/hook.log')) ? await host.read('root/hook.log') : '';
      const advance = async (): Promise<Report> => {
        const outcome = await waxseal(host, ['rotate', '--advance', '--publish-retired', '--json']);
        expect([0, 3], describeOutcome(outcome)).toContain(outcome.status);
        return reportOf(outcome);
      };
      const mails = async (): Promise<readonly string[]> => {
        await host.exec(['postqueue', '-f']);
        await sleep(1500);
        const text = (await host.exists('var/mail/root')) ? await host.read('var/mail/root') : '';
        return text.split(/^From /m).filter(each => each.includes('Subject: DKIM keys of'));
      };
      let last = '';
      const reached = (what: string, holds: (report: Report) => boolean): Promise<Report> =>
        until(
          what,
          async () => {
            const report = await advance();
            // One new key is enough: on a slow host a third would have begun before the second signs.
            if (report.domains.some(each => each.selector !== old)) {
              await host.write('etc/waxseal/rotation.conf', settings('180d', 'mail = root@localhost'));
            }
            last = `${JSON.stringify(report.domains.map(each => [each.selector, each.state, each.nextStep]))}\n${await log()}`;
            return holds(report) ? report : undefined;
          },
          {withinMs: 600_000, everyMs: 700},
        ).catch((error: unknown) => {
          throw new Error(`${String(error)}\n${last}`);
        });
      await reached('the wish to have the record deleted', report =>
        report.domains.some(each => each.selector === old && each.nextStep.startsWith('Delete')),
      );
      expect(await host.exists('root/was-run')).toBe(false);
      // Revoked everywhere, but its record is still there: its private key is nobody else's yet.
      expect(await keysBelow(host, '/var/lib/waxseal/retired')).toEqual([]);
      const told = await mails();
      const asking = told.filter(each => each.includes(`Delete the record ${old}._domainkey.example.com`));
      expect(asking, told.join('\n')).toHaveLength(1);
      expect(asking[0]).toMatch(/^To: root@localhost$/m);
      expect(asking[0]).toMatch(/^Auto-Submitted: auto-generated$/m);
      expect(asking[0]).not.toContain('PRIVATE KEY');
      await advance();
      await advance();
      expect(await mails()).toHaveLength(told.length);

      await host.write('root/may-remove', '');
      const end = await reached('the old key to be gone', report => report.domains.length === 1);
      expect(states(end)[0]).toMatch(/ active$/);
      const current = end.domains[0]?.selector ?? '';
      const lines = (await log()).split('\n').filter(Boolean);
      const events = lines.map(each => each.split(' ').slice(0, 5).join(' '));
      for (const [event, selector] of [
        ['publish', current],
        ['activate', current],
        ['retire', old],
        ['remove', old],
      ] as const) {
        expect(events, lines.join('\n')).toContain(`${event} ${event} ${selector} example.com TXT`);
      }
      expect(events.filter(each => each.startsWith('activate'))).toHaveLength(1);
      expect(lines.find(each => each.startsWith('retire'))).toMatch(/ v=DKIM1; k=rsa; p=$/);
      const order = ['publish', 'activate', 'retire', 'remove'].map(event =>
        events.findIndex(each => each.startsWith(event)),
      );
      expect(order).toEqual(order.toSorted((one, other) => one - other));
      const published = await keysBelow(host, '/var/lib/waxseal/retired');
      expect(published).toHaveLength(1);
      expect(await host.must(['stat', '-c', '%a %U:%G %Y', published[0] ?? ''])).toBe(
        '644 root:root 946684800\n',
      );
      expect(
        (await keysBelow(host, '/etc/dkimkeys')).filter(each => each.endsWith(`/${old}.private`)),
      ).toEqual([]);
      console.log(`hooks: ${[...new Set(events)].join('; ')}; ${told.length} mail(s) to root`);
    }));
});

describe.each(plain)('$name without systemd', release => {
  test('gets a line for cron, which /bin/sh runs as it stands: it advances, and says only what is news', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
      const hide = () => host.must(['mv', '/run/systemd/system', '/run/systemd/hidden']);
      const show = () => host.must(['mv', '/run/systemd/hidden', '/run/systemd/system']);
      await hide();
      // This host has no cron, either: that is said, and nothing is put anywhere.
      const none = await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 5);
      expect(none.error?.id).toBe('timer.no-cron');
      await host.must(['install', '-d', '-m', '755', '/etc/cron.d']);
      const report = await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
      const again = await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
      await show();
      expect(report.changes.map(({kind, target}) => `${kind} ${target}`)).toEqual([
        'write /etc/cron.d/waxseal',
      ]);
      expect(again.changes).toEqual([]);
      // What cron(8) asks of a file in /etc/cron.d: root's, writable for nobody else, no dot in its name.
      expect(await host.must(['stat', '-c', '%a %U:%G', '/etc/cron.d/waxseal'])).toBe('644 root:root\n');
      const text = await host.read('etc/cron.d/waxseal');
      expect(text.endsWith('\n')).toBe(true);
      const [path = '', line = '', ...more] = text
        .split('\n')
        .filter(each => each !== '' && !each.startsWith('#'));
      expect(more).toEqual([]);
      expect(path).toMatch(/^PATH=[/:a-z]+$/);
      const fields = /^(\d+) (\*) (\*) (\*) (\*) (\S+) (.+)$/.exec(line);
      expect(Number(fields?.[1])).toBeLessThan(60);
      expect(fields?.[6]).toBe('root');
      // An unescaped percent sign would be a line feed, and the rest the input (crontab(5)).
      const command = fields?.[7] ?? '';
      expect(command).not.toMatch(/(?<!\\)%/);
      const cron = () =>
        host.exec(
          ['env', '-i', path, 'HOME=/root', 'LOGNAME=root', 'SHELL=/bin/sh', '/bin/sh', '-c', command],
          {
            timeoutMs: 120_000,
          },
        );
      const idle = await cron();
      expect(idle.status, describeOutcome(idle)).toBe(0);
      // Whatever is said is mailed by cron every hour: nothing is news here.
      expect(idle.stdout + idle.stderr).toBe('');

      await host.write('etc/waxseal/rotation.conf', settings('1s'));
      await sleep(1500);
      const due = await cron();
      expect(due.status, describeOutcome(due)).toBe(3);
      expect(due.stdout).toMatch(/^done: Make the next key of example\.com/m);
      expect(due.stdout).toMatch(/^example\.com: Publish the record \S+\._domainkey\.example\.com/m);
      expect(states(await status(host))[1]).toMatch(/ pending$/);
      const same = await cron();
      expect(same.status).toBe(3);
      expect(same.stdout + same.stderr).toBe('');
      console.log(`cron: ${line}`);
      await waxsealJson(host, ['undo', '--yes'], 0);
      expect(await host.exists('etc/cron.d/waxseal')).toBe(false);
    }));
});
