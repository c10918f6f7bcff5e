/** Wrong things end in the right exit code and leave the host byte for byte as it was. */
import {describe, expect, test} from 'vitest';
import {differences, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, sleep, until} from './support/process.ts';
import {bothReleases} from './support/release.ts';
import {awaitedRecord, launchWaxseal, makeReady, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes'] as const;

/** A drop-in for OpenDKIM's unit, known to systemd before waxseal looks. */
async function dropIn(host: Host, lines: readonly string[]): Promise<void> {
  await host.write('/etc/systemd/system/opendkim.service.d/lab.conf', `[Service]\n${lines.join('\n')}\n`);
  await host.must(['systemctl', 'daemon-reload']);
}

describe.each(bothReleases)('$name', release => {
  test('not root: exit 5', () =>
    inWorld(release, async ({host}) => {
      const before = await fingerprint(host);
      const outcome = await host.exec([
        'runuser',
        '-u',
        'nobody',
        '--',
        'waxseal',
        ...SETUP,
        '--no-wait',
        '--json',
      ]);
      expect(outcome.status).toBe(5);
      expect(reportOf(outcome).error?.message).toMatch(/root/);
      expect(differences(before, await fingerprint(host))).toEqual([]);
    }));

  test('no Postfix: exit 5, and it is named', () =>
    inWorld(release, async ({host}) => {
      await host.script(`systemctl stop postfix ${release.postfixUnit}`);
      await host.settled();
      await host.script('dpkg --purge --force-depends postfix');
      const before = await fingerprint(host);
      const report = await waxsealJson(host, [...SETUP, '--no-wait'], 5);
      expect(`${report.error?.message} ${report.error?.hint}`).toMatch(/postfix/i);
      expect(differences(before, await fingerprint(host))).toEqual([]);
    }));

  test('invalid and missing answers: exit 2, and the flag is named', () =>
    inWorld(release, async ({host}) => {
      const before = await fingerprint(host);
      const cases: readonly (readonly [readonly string[], RegExp])[] = [
        [['setup', '--yes', '--no-wait'], /--domain/],
        ...[
          '',
          'localhost',
          'alice@example.com',
          'https://example.com/',
          '*.example.com',
          '192.0.2.1',
          'exa mple.com',
          'example..com',
          '-example.com',
          `${'a'.repeat(64)}.com`,
          '../../etc/passwd',
          'example.com;reboot',
        ].map(domain => [['setup', '--domain', domain, '--yes', '--no-wait'], /--domain/] as const),
        ...['', '..', 'a/b', 'a b', '_a', '-a', 'a-', 'x;touch /PWNED', '$(id)', 'a'.repeat(64), 'ä'].map(
          selector => [[...SETUP, '--selector', selector, '--no-wait'], /--selector/] as const,
        ),
        [[...SETUP, '--bits', '1024', '--no-wait'], /--bits/],
        [[...SETUP, '--algorithm', 'dsa', '--no-wait'], /--algorithm/],
        [[...SETUP, '--wait', 'soon'], /--wait/],
        [[...SETUP, '--socket', 'inet:99999', '--no-wait'], /--socket/],
        [[...SETUP, '--no-such-flag', '--no-wait'], /--no-such-flag/],
        [['sutup'], /sutup/],
      ];
      // All of them, not only the first that is wrong.
      const surprises: string[] = [];
      for (const [argv, named] of cases) {
        const outcome = await waxseal(host, [...argv, '--json']);
        const {error, changed} = reportOf(outcome);
        const told = `${error?.message} ${error?.hint}`;
        if (outcome.status !== 2 || changed || !named.test(told)) {
          surprises.push(`${argv.join(' ')}: exit ${outcome.status}, not ${named} in: ${told}`);
        }
      }
      expect(surprises).toEqual([]);
      expect(differences(before, await fingerprint(host))).toEqual([]);
      expect(await host.exists('/PWNED')).toBe(false);
    }));

  test('the plan is not agreed to without a terminal: exit 2 names --yes', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      const before = await fingerprint(host);
      const report = await waxsealJson(host, ['setup', '--domain', 'example.com', '--no-wait'], 2);
      expect(`${report.error?.message} ${report.error?.hint}`).toContain('--yes');
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));

  test('the record is never published, wrong, doubled, or on one server only: exit 3 and why', () =>
    inWorld(release, async ({host, internet}) => {
      const before = await fingerprint(host);
      const never = await waxsealJson(host, [...SETUP, '--wait', '5s'], 3);
      const [domain] = never.domains;
      if (domain === undefined) throw new Error('the report names no domain');
      expect(domain.servers.map(each => each.status)).toEqual(domain.servers.map(() => 'absent'));
      const {name, value} = domain.record;
      const attempts: readonly (readonly [string, readonly (readonly string[])[], string])[] = [
        ['another key', [['v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A']], 'wrong'],
        ['cut off', [[value.slice(0, 255)]], 'wrong'],
        ['twice', [domain.record.strings, ['v=DKIM1; p=']], 'several'],
      ];
      for (const [what, records, status] of attempts) {
        for (const strings of records) await internet.publish('example.com', name, strings);
        await internet.refreshSecondary('example.com');
        const report = await waxsealJson(host, [...SETUP, '--no-wait'], 3);
        expect([what, ...(report.domains[0]?.servers.map(each => each.status) ?? [])]).toEqual([
          what,
          ...domain.servers.map(() => status),
        ]);
        await internet.withdraw('example.com', name);
      }
      // A server that is silent has not said that it has the record.
      await internet.publishEverywhere('example.com', name, domain.record.strings);
      await internet.stopServer('secondary');
      const silent = await waxsealJson(host, [...SETUP, '--wait', '5s'], 3);
      expect(silent.changed).toBe(false);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');
    }));

  const restarts: readonly (readonly [string, readonly string[]])[] = [
    ['a check in its unit refuses', ["ExecStartPre=/bin/sh -c '! grep -q ^KeyTable /etc/opendkim.conf'"]],
    ['the socket cannot be made there', ['ReadOnlyPaths=/var/spool/postfix']],
    ['it cannot read its tables', ['InaccessiblePaths=-/etc/opendkim']],
    [
      'it dies a moment later',
      [
        'ExecStart=',
        "ExecStart=/bin/sh -c 'if grep -q ^KeyTable /etc/opendkim.conf; then (sleep 1; pkill -KILL -x opendkim) & fi; exec /usr/sbin/opendkim'",
        'Restart=no',
      ],
    ],
  ];
  test.each(restarts)('OpenDKIM does not come up again, %s: exit 6, everything put back', (_why, lines) =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await dropIn(host, lines);
      const before = await fingerprint(host);
      const report = await waxsealJson(host, [...SETUP, '--no-wait'], 6);
      expect(report.changed).toBe(false);
      expect(report.error?.message).not.toBe('');
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');
    }),
  );

  test('OpenDKIM cannot start at all, before or after: exit 6, files put back, still failed', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await dropIn(host, ['ExecStartPre=/bin/false', 'Restart=no']);
      await host.exec(['systemctl', 'restart', 'opendkim']);
      const before = await fingerprint(host);
      const report = await waxsealJson(host, [...SETUP, '--no-wait'], 6);
      expect(report.changed).toBe(false);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));

  test('the unit waits for another PID file than the signer writes: mended, without the 90 seconds of systemd', () =>
    inWorld(release, async ({host, internet}) => {
      const {selector} = await makeReady(host, internet);
      await dropIn(host, ['PIDFile=/run/opendkim/other.pid']);
      const begun = performance.now();
      await waxsealJson(host, [...SETUP, '--no-wait'], 0);
      expect(performance.now() - begun).toBeLessThan(90_000);
      const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(captured)).toBe(VALID('example.com', selector));
    }));

  test('the port for the socket is in use: nothing is changed', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      const listener = host.launch(
        ['node', '-e', 'require("net").createServer().listen(8891, "127.0.0.1")'],
        {
          timeoutMs: 120_000,
        },
      );
      await until('the port to be taken', async () =>
        (await host.must(['ss', '-Hltn', 'sport = :8891'])).includes('127.0.0.1:8891') ? true : undefined,
      );
      const before = await fingerprint(host);
      const outcome = await waxseal(host, [...SETUP, '--socket', 'inet:8891', '--no-wait', '--json']);
      expect([5, 6]).toContain(outcome.status);
      expect(`${reportOf(outcome).error?.message} ${reportOf(outcome).error?.hint}`).toMatch(/8891|in use/);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      listener.child.kill('SIGKILL');
    }));

  test('a run that waits for DNS keeps no other from its work, and finishes undisturbed', () =>
    inWorld(release, async ({host, internet}) => {
      const first = launchWaxseal(host, [...SETUP, '--wait', '5m', '--json']);
      const {record, selector} = await awaitedRecord(host, 'example.com');
      // The key is there before the run has noted that it waits for its record.
      await until('the run to wait', async () =>
        /"state":\s*"pending"/.test(await host.read('/var/lib/waxseal/state.json')) ? true : undefined,
      );
      // The same key, for whoever asks for the same; and another domain.
      const same = await waxsealJson(host, [...SETUP, '--no-wait'], 3);
      expect(same.domains[0]).toMatchObject({selector, record: {value: record.value}});
      const other = ['--domain', 'example.org', '--yes'];
      await waxsealJson(host, ['setup', ...other, '--no-wait'], 3);
      await waxsealJson(host, ['remove', ...other], 0);
      await internet.publishEverywhere('example.com', record.name, record.strings);
      const outcome = await first.finished;
      expect(outcome.status, describeOutcome(outcome)).toBe(0);
      expect(reportOf(outcome).domains[0]).toMatchObject({selector, state: 'active'});
    }));

  test('a run in the midst of its change: exit 8 for every other, and it finishes undisturbed', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await sleep(3500);
      const first = launchWaxseal(host, [...SETUP, '--wait', '5m', '--json']);
      await until(
        'the change to have begun',
        async () =>
          (await host.exec(['sh', '-c', 'ls /var/lib/waxseal/runs/*/journal.jsonl'])).status === 0
            ? true
            : undefined,
        {everyMs: 20},
      );
      await host.must(['pkill', '-STOP', '-f', 'waxseal.js setup']);
      for (const argv of [
        [...SETUP, '--no-wait'],
        ['undo', '--yes'],
        ['rotate', '--advance'],
      ]) {
        const report = await waxsealJson(host, argv, 8);
        expect(report.error?.message).toMatch(/\d+/);
      }
      await host.must(['pkill', '-CONT', '-f', 'waxseal.js setup']);
      // What entered the host's namespaces for it has stopped with it.
      first.child.kill('SIGCONT');
      const outcome = await first.finished;
      expect(outcome.status, describeOutcome(outcome)).toBe(0);
      expect(reportOf(outcome).domains[0]).toMatchObject({state: 'active'});
    }));

  test('an OpenDKIM that is stopped by a signal while its answer is waited for is named at once', () =>
    inWorld(release, async ({host, internet}) => {
      await makeReady(host, internet);
      await sleep(3500);
      await waxsealJson(host, [...SETUP, '--wait', '5m'], 0);
      await host.must(['pkill', '-STOP', '-x', 'opendkim']);
      const begun = performance.now();
      const {checks} = await waxsealJson(host, ['test', '--domain', 'example.com'], 4);
      // Limits of the protocol would take two minutes.
      expect(performance.now() - begun).toBeLessThan(90_000);
      expect(checks.find(({id}) => id === 'live.milter')).toMatchObject({
        status: 'fail',
        cause: expect.stringMatching(/opendkim\.service \(process \d+\) is stopped by a signal/),
        fix: expect.stringMatching(/kill -CONT \d+/),
      });
      await host.must(['pkill', '-CONT', '-x', 'opendkim']);
      await waxsealJson(host, ['test', '--domain', 'example.com'], 0);
    }));
});
