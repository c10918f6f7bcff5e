/**
 * The lab itself, without waxseal: if these fail, no other scenario means anything. A host is set up by hand with the
 * reference recipe, and what the scenarios rely on is seen to hold: signed and unsigned are told apart by judges that
 * share no code with waxseal, the secondary lags, and a fingerprint notices every kind of change.
 */
import {describe, expect, test} from 'vitest';
import {byHand, removeSigner} from './support/by-hand.ts';
import {cutAt, cutPoints} from './support/cuts.ts';
import {LAG_SECONDS, PRIMARY, RESOLVER, SECONDARY} from './support/dns.ts';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {until} from './support/process.ts';
import {bothReleases} from './support/release.ts';
import {Terminal} from './support/tmux.ts';
import {inWorld} from './support/world.ts';

describe.each(bothReleases)('$name', release => {
  test('boots with its own systemd, Postfix and OpenDKIM', () =>
    inWorld(release, async ({host}) => {
      expect(await host.read('/etc/debian_version')).toMatch(new RegExp(`^${release.version}\\.`));
      expect(await host.must(['ps', '-p', '1', '-o', 'comm='])).toBe('systemd\n');
      expect((await host.must(['systemctl', 'is-system-running'])).trim()).toBe('running');
      expect((await host.exec(['postfix', 'status'])).status).toBe(0);
      expect((await host.must(['systemctl', 'is-active', 'opendkim', release.postfixUnit])).trim()).toBe(
        'active\nactive',
      );
      expect((await host.must(['postconf', '-h', 'myhostname'])).trim()).toBe('mail.example.com');
      expect(await host.must(['postconf', '-F', 'smtp/inet/chroot', 'cleanup/unix/chroot'])).toBe(
        'smtp/inet/chroot = y\ncleanup/unix/chroot = y\n',
      );
      const [major = 0, minor = 0] = (await host.must(['node', '--version'])).slice(1).split('.').map(Number);
      expect(major * 100 + minor).toBeGreaterThanOrEqual(2019);
      // Nothing on the host can get out of its namespace: there is no route anywhere.
      expect((await host.must(['ip', 'route'])).trim()).toBe('');
    }));

  test('the secondary is seen to lag behind the primary, and the resolver finds the record afterwards', () =>
    inWorld(release, async ({internet}) => {
      const name = 'lag._domainkey.example.com';
      expect(await internet.query(RESOLVER, 'example.com', 'NS')).toHaveLength(2);
      await internet.publish('example.com', name, ['v=DKIM1; p=AAAA']);
      const begun = performance.now();
      expect(await internet.text(PRIMARY.addresses[0], name)).toEqual(['v=DKIM1; p=AAAA']);
      expect(await internet.text(PRIMARY.addresses[1], name)).toEqual(['v=DKIM1; p=AAAA']);
      expect(await internet.text(SECONDARY.addresses[0], name)).toEqual([]);
      expect(await internet.serial(PRIMARY.addresses[0], 'example.com')).toBeGreaterThan(
        await internet.serial(SECONDARY.addresses[0], 'example.com'),
      );
      await until('the record at the secondary', async () =>
        (await internet.text(SECONDARY.addresses[1], name)).length === 1 ? true : undefined,
      );
      const lag = (performance.now() - begun) / 1000;
      expect(lag).toBeGreaterThan(LAG_SECONDS * 0.5);
      expect(lag).toBeLessThan(LAG_SECONDS + 2);
      await until('the record at the resolver', async () =>
        (await internet.text(RESOLVER, name)).length === 1 ? true : undefined,
      );
    }));

  test('set up by hand, mail carries one signature that both judges accept; changed, neither does', () =>
    inWorld(release, async ({host, internet}) => {
      const from = 'alice@example.com';
      const unsigned = await send(host, internet, {from, by: 'sendmail'});
      expect(verdict(unsigned)).toBe('unsigned');
      expect(unsigned.testmsg).toBe(70);
      expect(verdict(await send(host, internet, {from, by: 'smtp'}))).toBe('unsigned');

      const before = await fingerprint(host);
      const record = await byHand(host, 'example.com', 's2026');
      // The key is not published yet: the judges must say so.
      const early = await send(host, internet, {from, by: 'sendmail'});
      expect(early.signatures.map(each => each.valid)).toEqual([false]);
      expect(early.testmsg).toBe(70);

      await internet.publishEverywhere('example.com', 's2026._domainkey.example.com', record);
      for (const by of ['sendmail', 'smtp'] as const) {
        const signed = await send(host, internet, {from, by});
        expect(verdict(signed)).toBe(VALID('example.com', 's2026'));
        expect(signed.testmsg).toBe(0);
      }
      const after = differences(before, await fingerprint(host)).join('\n');
      for (const changed of [
        'file /etc/opendkim.conf',
        'file /etc/opendkim/KeyTable: was as in the image; is file 0:0 0644',
        'file /etc/postfix/main.cf',
        'file /var/spool/postfix/opendkim/opendkim.sock: was as in the image; is socket',
      ]) {
        expect(after).toContain(changed);
      }
      expect(await exposedKeys(host)).toEqual([]);
      await host.must(['chmod', '0644', '/etc/dkimkeys/example.com/s2026.private']);
      expect(await exposedKeys(host)).toHaveLength(1);
    }));

  test('a fingerprint is steady, and notices content, mode, owner, link, removal and a stopped service', () =>
    inWorld(release, async ({host}) => {
      const before = await fingerprint(host);
      await host.must(['systemctl', 'restart', 'opendkim']);
      await host.must(['systemctl', 'reload', release.postfixUnit]);
      // Rewritten with the same content is the same.
      await host.script(
        'cp -p /etc/postfix/main.cf /root/kept; cat /root/kept > /etc/postfix/main.cf; rm /root/kept',
      );
      expect(differences(before, await fingerprint(host))).toEqual([]);

      const changes: readonly (readonly [string, string, string])[] = [
        ['echo "# a" >> /etc/opendkim.conf', 'file /etc/opendkim.conf', 'cp -p /root/o /etc/opendkim.conf'],
        ['chmod 0600 /etc/postfix/main.cf', 'file /etc/postfix/main.cf', 'chmod 0644 /etc/postfix/main.cf'],
        ['chown opendkim /etc/mailname', 'file /etc/mailname', 'chown root /etc/mailname'],
        ['ln -s /etc/passwd /usr/lib/x', 'file /usr/lib/x', 'rm /usr/lib/x'],
        ['mv /etc/dkimkeys /etc/away', 'file /etc/dkimkeys', 'mv /etc/away /etc/dkimkeys'],
        ['systemctl stop opendkim', 'service opendkim.service', 'systemctl start opendkim'],
        ['touch /tmp/leftover', 'run /tmp/leftover', 'rm /tmp/leftover'],
      ];
      await host.must(['cp', '-p', '/etc/opendkim.conf', '/root/o']);
      const reference = await fingerprint(host);
      for (const [change, noticed, mend] of changes) {
        await host.script(change);
        expect(differences(reference, await fingerprint(host)).join('\n')).toContain(noticed);
        await host.script(mend);
        expect(differences(reference, await fingerprint(host))).toEqual([]);
      }
    }));

  test('apt on a host finds the packages that its image keeps', () =>
    inWorld(release, async ({host}) => {
      await removeSigner(host);
      expect((await host.exec(['which', 'opendkim'])).status).toBe(1);
      await host.must(['apt-get', 'install', '-y', '--no-install-recommends', 'opendkim', 'opendkim-tools'], {
        environment: {DEBIAN_FRONTEND: 'noninteractive'},
      });
      expect((await host.must(['systemctl', 'is-active', 'opendkim'])).trim()).toBe('active');
    }));

  test('a program can be cut short at a counted step, by each signal, and the steps before it are done', () =>
    inWorld(release, async ({host, directory}) => {
      const program = `
        const fs = require('node:fs');
        for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(77));
        const write = async name => {
          const file = await fs.promises.open('/root/runs/' + name, 'w');
          await file.sync();
          await file.close();
          await new Promise(resolve => setTimeout(resolve, 20));
        };
        (async () => { for (let index = 1; index <= 5; index++) await write(String(index)); })();`;
      const argv = ['node', '-e', program];
      await host.must(['mkdir', '/root/runs']);
      const {outcome, points} = await cutPoints(host, argv, `${directory}/trace.txt`);
      expect(outcome.status).toBe(0);
      expect(points).toEqual([1, 2, 3, 4, 5]);
      for (const signal of ['INT', 'TERM', 'HUP', 'KILL'] as const) {
        await host.script('rm /root/runs/*');
        const cut = await cutAt(host, argv, signal, 3, `${directory}/cut.txt`);
        expect([signal, cut.status ?? cut.signal]).toEqual([signal, signal === 'KILL' ? 'SIGKILL' : 77]);
        expect(await host.list('/root/runs')).toEqual(['1', '2', '3']);
      }
    }));

  test('a terminal of 80 by 24 shows what is typed and how a program ended', () =>
    inWorld(release, async ({host, directory}) => {
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await terminal.command('stty size; tty');
      expect(await terminal.waitFor(/\/dev\/pts\/\d+/)).toContain('24 80');
      await terminal.command('sleep 60');
      await terminal.press('C-c');
      expect(await terminal.exitStatus()).toBe(130);
      await terminal.close();
    }));
});
