/** Hosts that are set up in another way than the package leaves them, each brought to one valid signature and back. */
import {describe, expect, test} from 'vitest';
import {byHand, removeSigner} from './support/by-hand.ts';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;

/** From a published key to signed mail by both ways, a second run without a change, and back to what it was. */
async function thereAndBack(
  {host, internet}: World,
  options: readonly string[],
  inspect?: (selector: string) => Promise<void>,
): Promise<void> {
  const before = await fingerprint(host);
  const {selector} = await makeReady(host, internet, options);
  const report = await waxsealJson(host, [...SETUP, ...options], 0);
  expect(report).toMatchObject({result: 'ok', changed: true});
  for (const by of ['sendmail', 'smtp'] as const) {
    const captured = await send(host, internet, {from: 'alice@example.com', by});
    expect(verdict(captured)).toBe(VALID('example.com', selector));
    expect(captured.testmsg).toBe(0);
  }
  expect(await exposedKeys(host)).toEqual([]);
  await inspect?.(selector);
  const settled = await fingerprint(host);
  const again = await waxsealJson(host, [...SETUP, ...options], 0);
  expect(again).toMatchObject({changed: false, changes: []});
  expect(differences(settled, await fingerprint(host), {allowState: true})).toEqual([]);
  await waxsealJson(host, ['undo', '--yes'], 0);
  expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
}

const postconf = async (host: Host, name: string): Promise<string> =>
  (await host.must(['postconf', '-h', name])).trim();

/** A second OpenDKIM that only verifies: a milter that was there first and has to stay. */
async function otherMilter(host: Host): Promise<void> {
  await host.write(
    '/etc/other-milter.conf',
    'Mode v\nUserID opendkim\nSocket inet:8890@127.0.0.1\nPidFile /run/other-milter.pid\nBackground no\nSyslog yes\n',
  );
  await host.write(
    '/etc/systemd/system/other-milter.service',
    '[Service]\nExecStart=/usr/sbin/opendkim -x /etc/other-milter.conf\n[Install]\nWantedBy=multi-user.target\n',
  );
  await host.must(['systemctl', 'enable', '--now', '--quiet', 'other-milter']);
  await until('the other milter', async () =>
    (await host.must(['ss', '-Hltn'])).includes('127.0.0.1:8890') ? true : undefined,
  );
}

describe.each(releases)('$name', release => {
  test('OpenDKIM is not there: named without --install, installed as a planned change with it', () =>
    inWorld(release, async ({host, internet}) => {
      await removeSigner(host);
      const before = await fingerprint(host);
      const refused = await waxsealJson(host, SETUP, 5);
      expect(`${refused.error?.message} ${refused.error?.hint}`).toMatch(/opendkim/);
      expect(`${refused.error?.message} ${refused.error?.hint}`).toMatch(/--install|apt-get install/);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);

      const first = await waxsealJson(host, [...SETUP, '--install'], 3);
      expect(first.changed).toBe(true);
      expect(first.changes.filter(each => each.kind === 'package').map(each => each.target)).toContain(
        'opendkim',
      );
      const [domain] = first.domains;
      if (domain === undefined) throw new Error('the report names no domain');
      await internet.publishEverywhere('example.com', domain.record.name, domain.record.strings);
      await waxsealJson(host, SETUP, 0);
      for (const by of ['sendmail', 'smtp'] as const) {
        const captured = await send(host, internet, {from: 'alice@example.com', by});
        expect(verdict(captured)).toBe(VALID('example.com', domain.selector));
      }

      // Back, one after the other. What was installed meanwhile stays, and what needs a package of the run keeps it.
      await waxsealJson(host, ['undo', '--yes'], 0);
      await host.script(
        [
          'DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends opendkim-tools',
          'mkdir -p /root/local/DEBIAN',
          "printf '%s\\n' 'Package: local-mail' 'Version: 1' 'Architecture: all' 'Depends: opendkim' 'Maintainer: root' 'Description: x' > /root/local/DEBIAN/control",
          'dpkg-deb --build /root/local /root/local.deb',
          'dpkg --install /root/local.deb',
        ].join('\n'),
      );
      const needed = await waxseal(host, ['undo', '--yes', '--json']);
      expect(needed.status, describeOutcome(needed)).not.toBe(0);
      expect(reportOf(needed)).toMatchObject({changed: false, error: {id: 'package.needed'}});
      expect(reportOf(needed).error?.message).toContain('local-mail');
      await host.must(['dpkg', '--purge', 'local-mail']);
      await waxsealJson(host, ['undo', '--yes'], 0);
      // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
      const packages = (await host.must(['dpkg-query', '-W', '-f', '${Package}\\n'])).split('\n');
      expect(packages).toEqual(expect.arrayContaining(['postfix', 'opendkim-tools']));
      expect(packages).not.toContain('opendkim');
      expect(await host.exists('/etc/opendkim.conf')).toBe(false);
    }));

  test('a TCP socket instead of one in the chroot', () =>
    inWorld(release, async world => {
      await thereAndBack(world, ['--socket', 'inet:8891'], async () => {
        expect(await postconf(world.host, 'smtpd_milters')).toMatch(/^inet:(127\.0\.0\.1|localhost):8891$/);
        // On loopback only: nobody else may hand messages to the signer.
        expect(await world.host.must(['ss', '-Hltn', 'sport = :8891'])).toMatch(/127\.0\.0\.1:8891/);
        expect(await world.host.must(['ss', '-Hltn', 'sport = :8891'])).not.toMatch(
          /0\.0\.0\.0:8891|\*:8891/,
        );
      });
    }));

  test('milters that are there already are kept, in their order, with their own settings', () =>
    inWorld(release, async world => {
      const {host} = world;
      await otherMilter(host);
      const existing = '{ inet:127.0.0.1:8890, connect_timeout=10s, default_action=accept }';
      await host.must([
        'postconf',
        '-e',
        `smtpd_milters = ${existing}`,
        'non_smtpd_milters = inet:127.0.0.1:8890',
      ]);
      await host.must(['systemctl', 'reload', release.postfixUnit]);
      await thereAndBack(world, [], async () => {
        expect(await postconf(host, 'smtpd_milters')).toMatch(
          /^\{ inet:127\.0\.0\.1:8890, connect_timeout=10s, default_action=accept \},? +unix:opendkim\/opendkim\.sock$/,
        );
        expect(await postconf(host, 'non_smtpd_milters')).toMatch(
          /^inet:127\.0\.0\.1:8890,? +unix:opendkim\/opendkim\.sock,?$/,
        );
      });
    }));

  test('an unusual main.cf: a symlink, continuation lines with comments between, a doubled parameter, no last newline', () =>
    inWorld(release, async world => {
      const {host} = world;
      await otherMilter(host);
      const main = await host.read('/etc/postfix/main.cf');
      await host.write(
        '/etc/postfix/local/main.cf',
        [
          `# Kept in another place\t`,
          main.trimEnd(),
          'smtpd_milters = inet:127.0.0.1:1',
          'smtpd_milters =',
          '# The first one is ours',
          '   inet:127.0.0.1:8890,',
          '',
          '# and nothing else',
          '\t',
          'non_smtpd_milters=$smtpd_milters',
          'milter_default_action =tempfail',
          '# no newline after this',
        ].join('\n'),
      );
      await host.script('ln -sf local/main.cf /etc/postfix/main.cf');
      await host.must(['systemctl', 'reload', release.postfixUnit]);
      await thereAndBack(world, [], async () => {
        expect(await host.must(['readlink', '/etc/postfix/main.cf'])).toBe('local/main.cf\n');
        const changed = await host.read('/etc/postfix/local/main.cf');
        for (const comment of [
          '# Kept in another place\t',
          '# The first one is ours',
          '# and nothing else',
          '# no newline after this',
        ]) {
          expect(changed).toContain(comment);
        }
        expect(await postconf(host, 'smtpd_milters')).toMatch(
          /^inet:127\.0\.0\.1:8890,? +unix:opendkim\/opendkim\.sock,?$/,
        );
      });
    }));

  test('a domain that is signed already goes on being signed', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      const record = await byHand(host, 'example.org', 'old');
      await internet.publishEverywhere('example.org', 'old._domainkey.example.org', record);
      const other = async (): Promise<string> =>
        verdict(await send(host, internet, {from: 'carol@example.org', by: 'smtp'}));
      expect(await other()).toBe(VALID('example.org', 'old'));
      await thereAndBack(world, [], async () => {
        expect(await other()).toBe(VALID('example.org', 'old'));
      });
      expect(await other()).toBe(VALID('example.org', 'old'));
    }));

  test('one key in opendkim.conf itself, without tables: its domain goes on being signed', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      await byHandWithoutTables(host);
      const zone = await host.read('/etc/dkimkeys/solo.txt');
      const strings = [...zone.matchAll(/"([^"]*)"/g)].map(part => part[1] ?? '');
      await internet.publishEverywhere('example.org', 'solo._domainkey.example.org', strings);
      const other = async (): Promise<string> =>
        verdict(await send(host, internet, {from: 'carol@example.org', by: 'smtp'}));
      expect(await other()).toBe(VALID('example.org', 'solo'));
      await thereAndBack(world, [], async () => {
        expect(await other()).toBe(VALID('example.org', 'solo'));
      });
    }));

  test('Postfix outside a chroot', () =>
    inWorld(release, async world => {
      await world.host.script("postconf -F '*/*/chroot = n' && postfix reload");
      await thereAndBack(world, []);
    }));

  test('an imported key', () =>
    inWorld(release, async world => {
      const {host} = world;
      await host.script('umask 077; openssl genrsa -traditional -out /root/mine.pem 2048 2>/dev/null');
      const key = await host.must(
        ['openssl', 'rsa', '-in', '/root/mine.pem', '-pubout', '-outform', 'DER'],
        {},
      );
      expect(key.length).toBeGreaterThan(0);
      await thereAndBack(world, ['--key', '/root/mine.pem', '--selector', 'mine'], async selector => {
        expect(selector).toBe('mine');
        const used = await host.must([
          'openssl',
          'rsa',
          '-in',
          '/etc/dkimkeys/example.com/mine.private',
          '-noout',
          '-modulus',
        ]);
        expect(used).toBe(await host.must(['openssl', 'rsa', '-in', '/root/mine.pem', '-noout', '-modulus']));
      });
    }));

  test('two domains in one run, 3072 bits', () =>
    inWorld(release, async ({host, internet}) => {
      const command = [
        'setup',
        '--domain',
        'example.com',
        '--domain',
        'example.org',
        '--bits',
        '3072',
        '--yes',
        '--no-wait',
      ];
      const before = await fingerprint(host);
      const first = await waxsealJson(host, command, 3);
      expect(first.domains.map(each => each.domain)).toEqual(['example.com', 'example.org']);
      // One of two is not enough: nothing is switched on by halves.
      const [com, org] = first.domains;
      if (com === undefined || org === undefined) throw new Error('the report lacks a domain');
      await internet.publishEverywhere('example.com', com.record.name, com.record.strings);
      await waxsealJson(host, command, 3);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      await internet.publishEverywhere('example.org', org.record.name, org.record.strings);
      const done = await waxsealJson(host, command, 0);
      expect(done.domains.map(each => `${each.domain} ${each.bits} ${each.state}`)).toEqual([
        'example.com 3072 active',
        'example.org 3072 active',
      ]);
      for (const {domain, selector} of done.domains) {
        const captured = await send(host, internet, {from: `alice@${domain}`, by: 'smtp'});
        expect(verdict(captured)).toBe(VALID(domain, selector));
        expect(captured.testmsg).toBe(0);
      }
      await waxsealJson(host, ['undo', '--yes'], 0);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));
});

/** The oldest form of OpenDKIM's configuration: Domain, Selector and KeyFile, on a socket in the chroot. */
async function byHandWithoutTables(host: Host): Promise<void> {
  await host.script(
    [
      'opendkim-genkey -b 2048 -h sha256 -D /etc/dkimkeys -d example.org -s solo',
      'chown opendkim:opendkim /etc/dkimkeys/solo.*',
      "sed -i 's/^Socket/#Socket/' /etc/opendkim.conf",
      'printf "Domain example.org\\nSelector solo\\nKeyFile /etc/dkimkeys/solo.private\\nSocket local:/var/spool/postfix/opendkim/opendkim.sock\\n" >> /etc/opendkim.conf',
      'install -d -o opendkim -g postfix -m 2750 /var/spool/postfix/opendkim',
      'systemctl restart opendkim',
      'for i in $(seq 50); do [ -S /var/spool/postfix/opendkim/opendkim.sock ] && break; sleep 0.1; done',
      "postconf -e 'smtpd_milters = unix:opendkim/opendkim.sock' 'non_smtpd_milters = $smtpd_milters'",
      `systemctl reload ${host.release.postfixUnit}`,
    ].join('\n'),
  );
}
