/**
 * Hosts where another program signs already: rspamd as a milter beside OpenDKIM, amavis as a content filter behind
 * Postfix. With both choices, judged by dkimpy: `leave` makes two good signatures, `switch` exactly one, and undo gives
 * the host back as it was, with the other signer at work.
 */
import {createPublicKey, generateKeyPairSync} from 'node:crypto';
import {unlink} from 'node:fs/promises';
import path from 'node:path';
import {beforeAll, describe, expect, test} from 'vitest';
import type {Internet} from './support/dns.ts';
import {differences, type Fingerprint, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {buildImage} from './support/image.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {until} from './support/process.ts';
import {type Release, withOtherSigners} from './support/release.ts';
import {makeReady, type Report, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;
const WAYS = ['sendmail', 'smtp'] as const;

/** What the other programs write by themselves while they run: caches, statistics, pid files, mail in work. */
const OWN_NOTES = [/^\/var\/lib\/(rspamd|amavis)(\/|$)/, /^\/etc\/aliases\.db$/];

interface Rival {
  readonly name: 'rspamd' | 'amavis';
  readonly selector: string;
  /** Its file of which one line says whether it signs. */
  readonly file: string;
  /** What the live test of a message says: amavis takes it out of the queue, so that none is sent. */
  readonly mailed: 'pass' | 'warn';
  prepare(host: Host): Promise<void>;
}

/** A key pair of the other signer: the private half for its file, the record for the DNS. */
function keyPair(): {readonly pem: string; readonly strings: readonly string[]} {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  const pem = privateKey.export({type: 'pkcs1', format: 'pem'}).toString();
  const der = createPublicKey(privateKey).export({type: 'spki', format: 'der'}).toString('base64');
  const record = `v=DKIM1; k=rsa; p=${der}`;
  return {pem, strings: [record.slice(0, 250), record.slice(250)]};
}

const listens = (host: Host, port: number): Promise<true> =>
  until(
    `port ${port}`,
    async () => ((await host.must(['ss', '-Hltn'])).includes(`:${port} `) ? true : undefined),
    // rspamd compiles its patterns before it listens: minutes on a busy machine.
    {withinMs: 300_000},
  );

async function placeKey(host: Host, file: string, pem: string, owner: string): Promise<void> {
  await host.must(['install', '-d', '-o', owner, '-g', owner, '-m', '0750', path.posix.dirname(file)]);
  await host.write(file, pem);
  await host.script(`chown ${owner}:${owner} ${file} && chmod 600 ${file}`);
}

const RIVALS: readonly ((pem: string) => Rival)[] = [
  pem => ({
    name: 'rspamd',
    selector: 'rs1',
    file: '/etc/rspamd/local.d/dkim_signing.conf',
    mailed: 'pass',
    async prepare(host) {
      const key = '/var/lib/rspamd/dkim/example.com.rs1.key';
      await placeKey(host, key, pem, '_rspamd');
      await host.write(
        '/etc/rspamd/local.d/dkim_signing.conf',
        `# since 2019\nenabled = true; # by the mail team\ndomain { example.com { path = "${key}"; selector = "rs1"; } }\n`,
      );
      await host.must([
        'postconf',
        '-e',
        'smtpd_milters = inet:localhost:11332',
        'non_smtpd_milters = $smtpd_milters',
        'milter_default_action = accept',
      ]);
      await host.must(['systemctl', 'enable', '--now', '--quiet', 'rspamd']);
      await listens(host, 11332);
    },
  }),
  pem => ({
    name: 'amavis',
    selector: 'am1',
    file: '/etc/amavis/conf.d/50-user',
    mailed: 'warn',
    async prepare(host) {
      const key = '/var/lib/amavis/dkim/am1.pem';
      await placeKey(host, key, pem, 'amavis');
      await host.write(
        '/etc/amavis/conf.d/50-user',
        [
          'use strict;',
          '# no scanners in the lab',
          '@bypass_virus_checks_maps = (1);',
          '@bypass_spam_checks_maps = (1);',
          '$originating = 1;',
          '$enable_dkim_signing = 1;   # by the mail team',
          `dkim_key('example.com', 'am1', '${key}');`,
          '1;  # ensure a defined return',
          '',
        ].join('\n'),
      );
      await host.must(['postconf', '-e', 'content_filter = smtp-amavis:[127.0.0.1]:10024']);
      const master = await host.read('/etc/postfix/master.cf');
      await host.write(
        '/etc/postfix/master.cf',
        [
          master.trimEnd(),
          'smtp-amavis unix -  -   y   -   2  smtp',
          '    -o syslog_name=postfix/amavis',
          '    -o smtp_send_xforward_command=yes',
          '127.0.0.1:10025 inet n  -   y   -   -  smtpd',
          '    -o syslog_name=postfix/10025',
          '    -o content_filter=',
          '    -o mynetworks=127.0.0.0/8',
          '    -o receive_override_options=no_header_body_checks,no_unknown_recipient_checks,no_address_mappings',
          '',
        ].join('\n'),
      );
      await host.must(['systemctl', 'enable', '--now', '--quiet', 'amavis']);
      await listens(host, 10024);
    },
  }),
];

/** The package enables its service; only the one of the scenario shall run. */
async function sleeping(host: Host): Promise<void> {
  for (const unit of ['rspamd', 'amavis', 'amavis-mc']) {
    await unlink(path.join(host.root, `etc/systemd/system/multi-user.target.wants/${unit}.service`)).catch(
      () => undefined,
    );
  }
}

async function verdicts(host: Host, internet: Internet): Promise<readonly string[]> {
  const found: string[] = [];
  for (const by of WAYS) {
    const captured = await send(host, internet, {from: 'alice@example.com', by});
    found.push(verdict(captured).split('; ').sort().join('; '));
  }
  return found;
}

const both = (...selectors: readonly string[]): readonly string[] =>
  WAYS.map(() =>
    selectors
      .map(selector => VALID('example.com', selector))
      .sort()
      .join('; '),
  );

const mailChecks = ({checks}: Report): readonly string[] =>
  checks.filter(({id}) => id === 'live.sendmail' || id === 'live.smtp').map(({status}) => status);

async function expectAsBefore(host: Host, before: Fingerprint, where: string): Promise<void> {
  const options = {allowState: true, except: OWN_NOTES};
  expect(differences(before, await fingerprint(host), options), where).toEqual([]);
}

async function bothChoices({host, internet}: World, rival: Rival): Promise<void> {
  await rival.prepare(host);
  await host.must(['systemctl', 'reload', host.release.postfixUnit]);
  const theirs = both(rival.selector);
  expect(await verdicts(host, internet), 'before').toEqual(theirs);
  const before = await fingerprint(host);
  const its = await host.read(rival.file);

  const unsaid = await waxsealJson(host, SETUP, 2);
  expect(unsaid).toMatchObject({changed: false, domains: [], error: {id: 'answer.missing'}});
  expect(unsaid.error?.message).toContain(rival.name);
  expect(unsaid.error?.hint).toContain('--other-signer switch|leave');
  await expectAsBefore(host, before, 'nothing said');

  const {selector} = await makeReady(host, internet, ['--other-signer', 'leave']);
  const left = await waxsealJson(host, [...SETUP, '--other-signer', 'leave'], 0);
  expect(left).toMatchObject({changed: true, result: 'ok'});
  expect(left.changes.map(({target}) => target)).not.toContain(rival.file);
  expect(mailChecks(left)).toEqual([rival.mailed, rival.mailed]);
  expect(await verdicts(host, internet), 'leave').toEqual(both(rival.selector, selector));
  const smtp = left.checks.find(({id}) => id === 'live.smtp')?.evidence ?? '';
  if (rival.mailed === 'pass') expect(smtp).toMatch(/^2 signatures: ours, .*for the same domain/);
  // What `test` finds afterwards is what was left so on purpose.
  await waxsealJson(host, ['test', '--domain', 'example.com'], 0);
  await waxsealJson(host, ['undo', '--yes'], 0);
  await expectAsBefore(host, before, 'leave, undone');
  expect(await verdicts(host, internet), 'leave, undone').toEqual(theirs);

  const switched = await waxsealJson(host, [...SETUP, '--other-signer', 'switch'], 0);
  const own = switched.domains[0]?.selector ?? '';
  expect(switched.changes.find(({target}) => target === rival.file)?.diff).toMatch(
    /^-.*= ?(true|1);.*by the mail team\n\+.*= ?(false|0);.*by the mail team$/m,
  );
  expect(await verdicts(host, internet), 'switch').toEqual(both(own));
  // Nobody else signs any more: nothing is asked, nothing is changed.
  expect(await waxsealJson(host, SETUP, 0)).toMatchObject({changed: false, changes: []});
  await waxsealJson(host, ['undo', '--yes'], 0);
  await expectAsBefore(host, before, 'switch, undone');
  expect(await host.read(rival.file)).toBe(its);
  // It takes its configuration again some seconds after the reload (FACTS 5).
  await until(
    `${rival.name} to sign again`,
    async () =>
      (await verdicts(host, internet)).join('\n') === theirs.join('\n') ? (true as const) : undefined,
    {withinMs: 600_000, everyMs: 2000},
  );
  console.log(
    `${rival.name} on ${host.release.suite}: leave ${both(rival.selector, selector)[0]}; switch ${both(own)[0]}; undone twice, byte for byte`,
  );
}

// An image of its own, which no other scenario has to wait for.
beforeAll(async () => void (await Promise.all(withOtherSigners.map(buildImage))));

describe.each(withOtherSigners)('$name', (release: Release) => {
  test.each(['rspamd', 'amavis'] as const)(
    '%s signs already: both choices, and back',
    name => {
      const {pem, strings} = keyPair();
      const rival = RIVALS.map(make => make(pem)).find(each => each.name === name);
      if (rival === undefined) throw new Error(name);
      return inWorld(
        release,
        async world => {
          await world.internet.publishEverywhere(
            'example.com',
            `${rival.selector}._domainkey.example.com`,
            strings,
          );
          await bothChoices(world, rival);
        },
        sleeping,
      );
    },
    20 * 60_000,
  );

  test('a second OpenDKIM may sign: left without an answer, dropped with --other-signer switch, and back', () => {
    const {pem, strings} = keyPair();
    return inWorld(
      release,
      async world => {
        const {host, internet} = world;
        await internet.publishEverywhere('example.com', 'old._domainkey.example.com', strings);
        await placeKey(host, '/etc/old-dkim/old.private', pem, 'opendkim');
        await host.write(
          '/etc/old-dkim.conf',
          [
            'Mode s',
            'UserID opendkim',
            'Socket inet:8891@127.0.0.1',
            'PidFile /run/old-dkim.pid',
            'Background no',
            'Syslog yes',
            'Domain example.com',
            'Selector old',
            'KeyFile /etc/old-dkim/old.private',
            '',
          ].join('\n'),
        );
        await host.write(
          '/etc/systemd/system/old-dkim.service',
          '[Service]\nExecStart=/usr/sbin/opendkim -x /etc/old-dkim.conf\n[Install]\nWantedBy=multi-user.target\n',
        );
        await host.must(['systemctl', 'enable', '--now', '--quiet', 'old-dkim']);
        await listens(host, 8891);
        // Two guides one after the other: the packaged OpenDKIM is wired, too, and has no key.
        const configuration = await host.read('/etc/opendkim.conf');
        await host.write(
          '/etc/opendkim.conf',
          configuration.replace(/^Socket\s.*$/m, 'Socket local:/var/spool/postfix/opendkim/opendkim.sock'),
        );
        await host.script(
          [
            'install -d -o opendkim -g postfix -m 2750 /var/spool/postfix/opendkim',
            'systemctl restart opendkim',
            "postconf -e 'smtpd_milters = inet:localhost:8891, unix:opendkim/opendkim.sock' 'non_smtpd_milters = $smtpd_milters' 'milter_default_action = accept'",
            `systemctl reload ${host.release.postfixUnit}`,
          ].join('\n'),
        );
        const theirs = both('old');
        expect(await verdicts(host, internet), 'before').toEqual(theirs);
        const before = await fingerprint(host);
        const {selector} = await makeReady(host, internet);
        const left = await waxsealJson(host, SETUP, 0);
        expect(mailChecks(left)).toEqual(['pass', 'pass']);
        expect(await verdicts(host, internet), 'left').toEqual(both('old', selector));
        await waxsealJson(host, ['undo', '--yes'], 0);
        await expectAsBefore(host, before, 'left, undone');
        await waxsealJson(host, [...SETUP, '--other-signer', 'switch'], 0);
        expect(await host.must(['postconf', '-h', 'smtpd_milters'])).toBe('unix:opendkim/opendkim.sock\n');
        expect(await verdicts(host, internet), 'switch').toEqual(both(selector));
        await waxsealJson(host, ['undo', '--yes'], 0);
        await expectAsBefore(host, before, 'switch, undone');
        expect(await verdicts(host, internet), 'switch, undone').toEqual(theirs);
      },
      sleeping,
    );
  });
});
