import {describe, expect, it} from 'vitest';
import {lookAtHost, parseOsRelease} from '../../src/services/look.ts';
import {openDkimOf} from '../../src/services/opendkim/facts.ts';
import {postfixOf} from '../../src/services/postfix/facts.ts';
import {packageSteps} from '../../src/services/signing.ts';
import {execArguments, optionValue} from '../../src/services/systemd.ts';
import {type FakeHost, fakeHost, fixtureHost} from '../support/fake-host.ts';

const ids = (problems: readonly {readonly id: string}[]): readonly string[] =>
  problems.map(problem => problem.id);

/** sendmail(1) as a link to the program of a mail server. */
function link({files}: FakeHost, program: string): void {
  files.put(program, '');
  files.symlink('/usr/sbin/sendmail', program);
}

describe('lookAtHost', () => {
  it('tells what a Debian 13 host is', async () => {
    const facts = await lookAtHost(fixtureHost('debian-13'));
    expect(facts).toMatchObject({
      distribution: {id: 'debian', version: '13', prettyName: 'Debian GNU/Linux 13 (trixie)'},
      serviceManager: 'systemd',
      hostname: 'mail.example.com',
      privileged: true,
      missingPackages: [],
      blockers: [],
      remarks: [],
      rivals: [],
    });
    expect(facts.mta).toMatchObject({
      running: true,
      chrooted: true,
      myorigin: 'mail.example.com',
      mydomain: 'example.com',
      smtpdMilters: '',
      unit: 'postfix.service',
      mainCf: '/etc/postfix/main.cf',
      queueDirectory: '/var/spool/postfix',
    });
    expect(postfixOf(facts)?.chroot['smtp/inet']).toBe(true);
    expect(postfixOf(facts)?.chroot['local/unix']).toBe(false);
    expect(facts.signer).toMatchObject({
      version: '2.11.0',
      active: true,
      user: 'opendkim',
      unitPidFile: '/run/opendkim/opendkim.pid',
      keys: [],
      signedDomains: [],
    });
    expect(openDkimOf(facts)?.settings['socket']).toBe('local:/run/opendkim/opendkim.sock');
  });

  it('finds the real unit of Postfix on Debian 12', async () => {
    expect((await lookAtHost(fixtureHost('debian-12'))).mta?.unit).toBe('postfix@-.service');
  });

  it('runs no command that could be slow or change something', async () => {
    const host = fixtureHost('debian-13');
    await lookAtHost(host);
    const programs = host.calls.map(argv => argv.slice(0, 2).join(' '));
    expect(new Set(programs)).toEqual(
      new Set([
        'postconf -n',
        'postconf -d',
        'id -Gn',
        'postconf -x',
        'postconf -F',
        'postconf -P',
        'postfix status',
        'systemctl show',
        'opendkim -V',
      ]),
    );
    expect(host.calls.length).toBeLessThan(12);
  });

  it.each([true, false])('knows of the chroot of smtpd where commands are told: %s', async told => {
    const host = fixtureHost('debian-13');
    host.files.put(
      '/etc/postfix/master.cf',
      host.files.text('/etc/postfix/master.cf').replace(/^(cleanup.*?) y /m, '$1 n '),
    );
    const {run} = host.commands;
    const commands = {
      run: async (argv: readonly [string, ...string[]]) => {
        const result = await run(argv);
        return told ? result : {...result, stdout: result.stdout.replace(/^.*\/command = .*$/gm, '')};
      },
    };
    const facts = await lookAtHost({...host, commands});
    expect(postfixOf(facts)?.chroot['cleanup/unix']).toBe(false);
    expect(facts.mta?.chrooted).toBe(true);
  });

  it('blocks without root, without Postfix, on an unknown system', async () => {
    const host = fakeHost({privileged: false});
    host.missing.add('postconf').add('opendkim');
    const facts = await lookAtHost(host);
    expect(ids(facts.blockers)).toEqual(['host.not-root', 'host.unsupported', 'host.no-mta']);
    expect(facts.mta).toBeUndefined();
    for (const blocker of facts.blockers) expect(blocker.hint).not.toBe('');
  });

  it.each([
    ['exim4', (host: FakeHost) => link(host, '/usr/sbin/exim4'), 'Exim'],
    ['Sendmail', (host: FakeHost) => link(host, '/usr/libexec/sendmail/sendmail'), 'Sendmail'],
    [
      'Sendmail without a link',
      (host: FakeHost) => {
        host.files.put('/usr/sbin/sendmail', '');
        host.files.put('/etc/mail/sendmail.cf', '');
      },
      'Sendmail',
    ],
    ['a running Exim', (host: FakeHost) => host.units.set('exim.service', {ActiveState: 'active'}), 'Exim'],
    ['what nobody knows', (host: FakeHost) => host.files.put('/usr/sbin/sendmail', ''), "isn't Postfix"],
  ])('names %s and gives no advice that would remove it', async (_, furnish, name) => {
    const host = fixtureHost('debian-13');
    host.missing.add('postconf');
    host.files.nodes.delete('/usr/sbin/sendmail');
    furnish(host);
    const facts = await lookAtHost(host);
    const blocker = facts.blockers.find(({id}) => id === 'host.other-mta');
    expect(blocker?.message).toContain(name);
    expect(blocker?.message).toContain('waxseal works with Postfix.');
    expect(ids(facts.blockers)).not.toContain('host.no-mta');
    for (const {hint} of facts.blockers) expect(hint).not.toMatch(/install|apt|remove|purge/i);
  });

  it('installs Postfix only by the package manager of the host, and where no mail server is', async () => {
    const bare = fixtureHost('debian-13');
    bare.missing.add('postconf');
    bare.files.nodes.delete('/usr/sbin/sendmail');
    const [blocker] = (await lookAtHost(bare)).blockers;
    expect(blocker).toMatchObject({
      id: 'host.no-mta',
      hint: expect.stringMatching(/: apt-get install postfix$/),
    });
    for (const [id, expected] of [
      ['fedora', /: dnf install postfix$/],
      ['plan9', /^Install Postfix, and set it up to send mail$/],
      ['arch', /: pacman -S postfix$/],
    ] as const) {
      bare.files.put('/etc/os-release', `ID=${id}\n`);
      const found = (await lookAtHost(bare)).blockers.find(each => each.id === 'host.no-mta');
      expect(found?.hint.replace(/\.$/, '')).toMatch(expected);
    }
  });

  it('names OpenDKIM as missing where it is, and plans to install it', async () => {
    const host = fixtureHost('debian-13');
    host.missing.add('opendkim');
    const facts = await lookAtHost(host);
    expect(facts.missingPackages).toEqual(['opendkim']);
    expect(facts.blockers).toEqual([]);
    expect(packageSteps(facts)).toEqual([
      {kind: 'package', id: 'package:opendkim', why: 'Install opendkim', manager: 'apt', names: ['opendkim']},
    ]);
    expect(packageSteps(await lookAtHost(fixtureHost('debian-13')))).toEqual([]);
  });

  it('blocks where Postfix is stopped or cannot read its configuration', async () => {
    const host = fixtureHost('debian-13');
    host.postfixRuns = false;
    expect(ids((await lookAtHost(host)).blockers)).toEqual(['postfix.stopped']);
    const broken = fixtureHost('debian-13');
    const {run} = broken.commands;
    const commands = {
      run: async (argv: readonly [string, ...string[]]) =>
        argv[1] === '-n'
          ? {
              status: 1,
              stdout: '',
              stderr: "postconf: fatal: /etc/postfix/main.cf, line 3: missing '='\n",
              ended: 'exit' as const,
            }
          : await run(argv),
    };
    const [blocker] = (await lookAtHost({...broken, commands})).blockers;
    expect(blocker?.id).toBe('postfix.configuration');
    expect(blocker?.message).toContain('line 3');
  });

  it.each([
    ['KeyTable dsn:pgsql://u:secret@127.0.0.1/db/table=t\nSigningTable refile:/t\n', 'opendkim.tables'],
    ['KeyTable file:/t\nSigningTable ldap://h/x\n', 'opendkim.tables'],
    ['SetupPolicyScript /etc/opendkim/setup.lua\n', 'opendkim.policy-script'],
  ])('blocks on %j and shows no password', async (lines, id) => {
    const host = fixtureHost('debian-13');
    host.files.put('/etc/opendkim.conf', host.files.text('/etc/opendkim.conf') + lines);
    const facts = await lookAtHost(host);
    expect(ids(facts.blockers)).toEqual([id]);
    expect(JSON.stringify([facts.blockers, facts.remarks])).not.toContain('secret');
  });

  it.each(['masked', 'not-found'])('blocks where the unit of OpenDKIM is %s', async LoadState => {
    const host = fixtureHost('debian-13');
    host.units.set('opendkim.service', {LoadState, ActiveState: 'inactive'});
    expect(ids((await lookAtHost(host)).blockers)).toEqual(['opendkim.unit']);
  });

  it('blocks where nothing can restart OpenDKIM, and does not where an init script can', async () => {
    const host = fixtureHost('debian-13');
    host.files.nodes.delete('/run/systemd/system');
    expect(ids((await lookAtHost(host)).blockers)).toEqual(['host.no-service-manager']);
    host.files.put('/etc/init.d/opendkim', '#!/bin/sh\n', {mode: 0o755});
    const facts = await lookAtHost(host);
    expect(facts.blockers).toEqual([]);
    expect(facts.signer?.active).toBe(false);
    host.files.put('/run/opendkim/opendkim.pid', '77\n');
    host.files.directory('/proc/77');
    expect((await lookAtHost(host)).signer?.active).toBe(true);
  });

  it('remarks that another system is not proven', async () => {
    const host = fixtureHost('debian-13');
    host.files.put('/etc/os-release', 'ID=arch\nPRETTY_NAME="Arch\\x1b Linux"\n');
    const facts = await lookAtHost(host);
    expect(ids(facts.remarks)).toContain('host.unproven');
  });

  it('knows the keys of tables and never what a row holds instead of a path', async () => {
    const host = fixtureHost('tables-of-others');
    host.files.put('/etc/opendkim/key.table', 'a example.org:s:/k\nb example.net:t:MIIEsecret\n');
    host.files.put('/etc/opendkim/signing.table', '*@example.org a\n');
    const facts = await lookAtHost(host);
    expect(facts.signer?.keys).toEqual([
      {label: 'a', domain: 'example.org', selector: 's', path: '/k', used: true},
      {label: 'b', domain: 'example.net', selector: 't', path: '', used: false},
    ]);
  });

  it('finds rspamd behind a reference and says whether it signs', async () => {
    const host = fixtureHost('references');
    const [rspamd] = (await lookAtHost(host)).rivals;
    expect(rspamd).toEqual({
      kind: 'rspamd',
      program: 'rspamd',
      configFile: '/etc/rspamd/local.d/dkim_signing.conf',
      evidence: 'smtpd_milters has inet:127.0.0.1:11332',
      signs: 'perhaps',
      domains: {known: [], unread: []},
    });
    host.files.put('/var/lib/rspamd/dkim/example.com.dkim.key', '');
    expect((await lookAtHost(host)).rivals[0]?.signs).toBe('yes');
    host.files.put('/etc/rspamd/override.d/dkim_signing.conf', 'enabled=false;\n');
    expect((await lookAtHost(host)).rivals[0]?.signs).toBe('no');
  });

  it('finds dkimpy-milter and amavis that signs', async () => {
    const host = fixtureHost('overrides');
    host.files.put(
      '/etc/postfix/main.cf',
      `${host.files.text('/etc/postfix/main.cf')}smtpd_milters = inet:localhost:8892\n`,
    );
    host.files.put(
      '/etc/amavis/conf.d/50-user',
      '$enable_dkim_signing = 1;\ndkim_key("example.com", "a", "/k");\n',
    );
    const found = async () => (await lookAtHost(host)).rivals.map(signer => [signer.program, signer.signs]);
    // Others listen on that port as well: a second OpenDKIM that only verifies, for one.
    expect(await found()).toEqual([['amavis', 'yes']]);
    host.files.put('/etc/dkimpy-milter/dkimpy-milter.conf', '');
    expect(await found()).toEqual([
      ['amavis', 'yes'],
      ['dkimpy-milter', 'yes'],
    ]);
  });

  it.each([
    ['no word of signing', '$max_servers = 2;\n1;\n', 'no'],
    ['only in a comment', '# $enable_dkim_signing = 1;\n1;\n', 'no'],
    ['a key and no switch', "dkim_key('example.com', 'a', '/k');\n", 'perhaps'],
    ['more from elsewhere', "include_config_files('/srv/amavis.conf');\n", 'perhaps'],
    ['switched on without a key', '$enable_dkim_signing = 1;\n', 'perhaps'],
  ])('amavis with %s', async (_, text, signs) => {
    const host = fixtureHost('amavis-leave');
    for (const name of [...host.files.nodes.keys()]) {
      if (name.startsWith('/etc/amavis/conf.d/')) host.files.put(name, '');
    }
    host.files.put('/etc/amavis/conf.d/50-user', text);
    expect((await lookAtHost(host)).rivals.map(signer => [signer.program, signer.signs])).toEqual([
      ['amavis', signs],
    ]);
  });

  it('finds a second OpenDKIM where its socket is beside that of the known one and somebody listens', async () => {
    const host = fixtureHost('stray-switched-off');
    const others = async () => (await lookAtHost(host)).rivals;
    expect(await others()).toEqual([]);
    // 22BB is port 8891; state 06 is a connection that was closed, 0A one that listens.
    const row = (state: string): string =>
      `  sl  local_address rem_address   st\n   3: 0100007F:22BB 00000000:0000 ${state} 00000000:00000000 00:00000000\n`;
    host.files.put('/proc/net/tcp', row('06'));
    expect(await others()).toEqual([]);
    host.files.put('/proc/net/tcp', row('0A'));
    expect(await others()).toEqual([
      {
        kind: 'opendkim',
        program: 'OpenDKIM',
        evidence: 'smtpd_milters has inet:localhost:8891, where another program listens',
        signs: 'perhaps',
        domains: {known: [], unread: ['the configuration of that OpenDKIM']},
      },
    ]);
    // The one that is known here is no second one.
    host.files.put('/etc/opendkim.conf', 'Socket inet:8891@localhost\n');
    expect(await others()).toEqual([]);
  });

  it('names what leads mail around the milter lists', async () => {
    const main = '/etc/postfix/main.cf';
    const found = async (line: string) => {
      const host = fixtureHost('debian-13');
      host.files.put(main, `${host.files.text(main)}\n${line}\n`);
      const {remarks} = await lookAtHost(host);
      return remarks.map(({id, message}) => `${id}: ${message}`).join('\n');
    };
    expect(await found('receive_override_options = no_milters')).toContain('postfix.milters-off: receive');
    expect(await found('smtpd_milter_maps = cidr:/etc/postfix/m')).toContain(
      'postfix.milter-maps: smtpd_milter_maps (cidr:/etc/postfix/m)',
    );
  });

  it('puts the name of the host and localhost names last among the domains', async () => {
    const host = fixtureHost('debian-13');
    host.files.put('/etc/mailname', 'example.org\n');
    const {mailDomains} = await lookAtHost(host);
    expect(mailDomains).toEqual(['example.org', 'example.com', 'mail.example.com', 'localhost.example.com']);
  });
});

describe('parseOsRelease', () => {
  it('undoes quotes and backslashes', () => {
    const values = parseOsRelease('ID=debian\nNAME="A \\"b\\""\nX=\'y z\'\n# no\nBAD\n');
    expect([...values]).toEqual([
      ['ID', 'debian'],
      ['NAME', 'A "b"'],
      ['X', 'y z'],
    ]);
  });
});

describe('execArguments', () => {
  it('reads the argument vector and options in both forms', () => {
    const argv = execArguments(
      '{ path=/usr/sbin/opendkim ; argv[]=/usr/sbin/opendkim -x /a -pinet:1@localhost ; ignore_errors=no ; }',
    );
    expect(optionValue(argv, 'x')).toBe('/a');
    expect(optionValue(argv, 'p')).toBe('inet:1@localhost');
    expect(optionValue(argv, 'q')).toBeUndefined();
    expect(execArguments('')).toEqual([]);
  });
});
