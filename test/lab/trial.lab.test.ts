/**
 * The test in a temporary OpenDKIM and the comparison of signatures, on real hosts: units that are unprivileged from the
 * start, keys that they cannot read, rows that ask for what root alone can read, and domains of others that a plan breaks.
 */
import {describe, expect, test} from 'vitest';
import {byHand} from './support/by-hand.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, sleep, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const SETUP = ['setup', '--domain', 'example.com', '--yes', '--no-wait'] as const;
const trixie = releases.filter(({suite}) => suite === 'trixie');

/** User=, Group= and the runtime directory by a drop-in, no UserID: OpenDKIM never runs as root. */
async function unprivileged(host: Host, group: string): Promise<void> {
  await host.write(
    '/etc/systemd/system/opendkim.service.d/override.conf',
    `[Service]\nUser=opendkim\nGroup=${group}\nRuntimeDirectory=opendkim\nRuntimeDirectoryMode=0750\n`,
  );
  const configuration = await host.read('/etc/opendkim.conf');
  await host.write('/etc/opendkim.conf', configuration.replace(/^UserID\s.*$/m, '#$&'));
  await host.script('systemctl daemon-reload && systemctl restart opendkim');
}

const isSigned = async ({host, internet}: World, from: string, by: 'sendmail' | 'smtp'): Promise<string> =>
  verdict(await send(host, internet, {from, by}));

/** The tables as they are, for a comparison afterwards. */
const tables = (host: Host): Promise<string> =>
  host.script(
    'cd /etc/opendkim && sha256sum KeyTable SigningTable && stat -c "%n %U:%G %a" KeyTable SigningTable',
  );

/** Another domain that was set up by hand and is published: signed before any plan. */
async function handMade({host, internet}: World, domain: string): Promise<void> {
  const strings = await byHand(host, domain, 'old');
  await internet.publishEverywhere('example.com', `old._domainkey.${domain}`, strings);
}

describe.each(trixie)('$name', release => {
  test.each(['opendkim', 'postfix'])(
    'a unit with User=opendkim and Group=%s passes set-up and rotation, with real mail',
    group =>
      inWorld(release, async world => {
        const {host, internet} = world;
        await unprivileged(host, group);
        const {selector} = await makeReady(host, internet);
        const setup = await waxsealJson(host, SETUP, 0);
        expect(
          setup.checks.filter(({id}) => id.startsWith('preflight.')).map(({id, status}) => `${id} ${status}`),
        ).toEqual(['preflight.keys pass', 'preflight.start pass', 'preflight.signs pass']);
        expect(await host.script('ps -o user= -C opendkim | sort -u')).toBe('opendkim\n');
        for (const by of ['sendmail', 'smtp'] as const) {
          expect(await isSigned(world, 'alice@example.com', by)).toBe(VALID('example.com', selector));
        }
        // Short waits: nobody asked before.
        await host.write('/etc/waxseal/rotation.conf', 'interval = 1s\nremind = 0s\nmargin = 1s\n');
        const begun = await waxsealJson(
          host,
          ['rotate', '--domain', 'example.com', '--selector', 'next1', '--yes', '--no-wait'],
          3,
        );
        const record = begun.domains.find(each => each.selector === 'next1')?.record;
        if (record === undefined) throw new Error('the report names no new key');
        await internet.publishEverywhere(record.zone, record.name, record.strings);
        // Until nobody can remember that the record was not there.
        const rotated = await waxsealJson(
          host,
          ['rotate', '--domain', 'example.com', '--selector', 'next1', '--yes', '--wait', '10m'],
          0,
        );
        expect(rotated.checks.find(({id}) => id === 'live.kept')).toMatchObject({status: 'pass'});
        expect(await isSigned(world, 'alice@example.com', 'smtp')).toBe(VALID('example.com', 'next1'));
        // As the unit runs it: the same account reads the same keys, and stops what it has no key for.
        const tried = async (from: string, code: number): Promise<string> => {
          const {checks} = await waxsealJson(host, ['explain', from, '--entrance', 'local'], code);
          const found = checks.find(({id}) => id === 'explain.tried');
          return `${found?.status} ${found?.evidence}`;
        };
        expect(await tried('alice@example.com', 0)).toBe('pass temporary OpenDKIM: d=example.com s=next1');
        expect(await tried('alice@elsewhere.example', 4)).toBe('pass temporary OpenDKIM: not signed');
        await host.script(
          'echo "lost lost.example:s1:/etc/dkimkeys/lost" >> /etc/opendkim/KeyTable; echo "*@lost.example lost" >> /etc/opendkim/SigningTable',
        );
        expect(await tried('alice@lost.example', 4)).toBe('pass temporary OpenDKIM: refused');
      }),
  );

  test('a key that the unit could not read fails before anything is changed, and the directory is named', () =>
    inWorld(release, async ({host, internet}) => {
      await unprivileged(host, 'postfix');
      // For the package's own account this is enough; the process of this unit is not in that group.
      await host.script('chown root:opendkim /etc/dkimkeys && chmod 0750 /etc/dkimkeys');
      await makeReady(host, internet);
      const before = await host.script('sha256sum /etc/opendkim.conf /etc/postfix/main.cf');
      const failed = await waxseal(host, [...SETUP]);
      expect(failed.status, describeOutcome(failed)).not.toBe(0);
      expect(failed.stdout + failed.stderr).toContain("can't enter /etc/dkimkeys");
      expect(await host.script('sha256sum /etc/opendkim.conf /etc/postfix/main.cf')).toBe(before);
      // What it says to do is enough.
      await host.script('chown opendkim /etc/dkimkeys && chmod 700 /etc/dkimkeys');
      await waxsealJson(host, SETUP, 0);
    }));

  test('rows that ask for files of root, or for the staged key of another domain, leave nothing readable', () =>
    inWorld(release, async ({host, internet}) => {
      await host.script('printf root-only-secret > /etc/root-secret && chmod 600 /etc/root-secret');
      await makeReady(host, internet);
      await waxseal(host, ['setup', '--domain', 'news.example.com', '--yes', '--no-wait']);
      const other = (await host.script('ls /var/lib/waxseal/keys/news.example.com/*.pem')).trim();
      const rows = [
        'x com:sel:/var/lib/waxseal/../../../etc/root-secret',
        `y com:sel:${other}`,
        'z example.com:sel:/var/lib/waxseal/state.json',
      ];
      await byHand(host, 'example.net', 'old');
      await host.write(
        '/etc/opendkim/KeyTable',
        `${rows.join('\n')}\n${await host.read('/etc/opendkim/KeyTable')}`,
      );
      await host.script('chown -R opendkim:opendkim /etc/opendkim');
      // Everything that its user finds beside the temporary OpenDKIM while it is there.
      const watcher = [
        'my %seen; my $end = time + 300;',
        'while (time < $end && !-e "/run/opendkim/stop") {',
        '  for my $f (glob "/proc/[0-9]*/cmdline") {',
        '    open(my $h, "<", $f) or next; my $c = do { local $/; <$h> } // ""; close $h;',
        '    next unless $c =~ m{(/var/lib/waxseal/preflight-[^/\\0]+)/opendkim\\.conf};',
        '    for my $n (0..9) { open(my $k, "<", "$1/key-$n") or next; local $/; $seen{<$k> // ""} = 1 }',
        '  }',
        '  select(undef, undef, undef, 0.01);',
        '}',
        'print for keys %seen;',
      ].join('\n');
      const watching = host.exec(['runuser', '-u', 'opendkim', '--', 'perl', '-e', watcher], {
        timeoutMs: 400_000,
      });
      await sleep(1000);
      const setup = await waxseal(host, [...SETUP]);
      await host.script('touch /run/opendkim/stop');
      const found = (await watching).stdout;
      expect(setup.status, describeOutcome(setup)).toBe(0);
      // It did see the key of the plan, and nothing else.
      expect(found.match(/BEGIN/g)).toHaveLength(1);
      expect(found).not.toContain('root-only-secret');
      expect(found).not.toContain('schema');
      expect(found).not.toContain((await host.read(other)).split('\n')[3]);
    }));

  test('a pattern above the row of another domain: the rows of a plan leave that domain its mail', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      await handMade(world, 'news.example.com');
      // It matches a part of what the new row for subdomains does: that row must not come before it.
      const signing = await host.read('/etc/opendkim/SigningTable');
      await host.write(
        '/etc/opendkim/SigningTable',
        `*@x*.example.com old._domainkey.news.example.com\n${signing}`,
      );
      await host.must(['systemctl', 'reload', 'opendkim']);
      expect(await isSigned(world, 'alice@news.example.com', 'smtp')).toBe(VALID('news.example.com', 'old'));
      await makeReady(host, internet);
      await waxsealJson(host, SETUP, 0);
      expect(await isSigned(world, 'alice@news.example.com', 'smtp')).toBe(VALID('news.example.com', 'old'));
    }));

  test('a domain that breaks while a plan is carried out is noticed, and the plan is put back', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      await handMade(world, 'news.example.com');
      await makeReady(host, internet);
      const before = await tables(host);
      // The moment the key table is replaced, somebody takes the key of the other domain away.
      const fault = host.exec(
        [
          'bash',
          '-c',
          'was=$(stat -c %i /etc/opendkim/KeyTable); for i in $(seq 6000); do [ "$(stat -c %i /etc/opendkim/KeyTable)" = "$was" ] || break; sleep 0.05; done; chown root:root /etc/dkimkeys/news.example.com/old.private',
        ],
        {timeoutMs: 400_000},
      );
      const setup = await waxsealJson(host, SETUP, 6);
      await fault;
      expect(setup.error?.message).toContain('postmaster@news.example.com (row *@news.example.com)');
      expect(setup.error?.message).toContain('now it is refused');
      expect(await tables(host)).toBe(before);
      // Broken before the next plan: named, and no reason to put that one back.
      const again = await waxsealJson(host, SETUP, 0);
      expect(again.checks.find(({id}) => id === 'live.kept')).toBeUndefined();
      await until('the key to be given back', async () =>
        (await host.exec(['chown', 'opendkim:opendkim', '/etc/dkimkeys/news.example.com/old.private']))
          .status === 0
          ? true
          : undefined,
      );
      expect(await isSigned(world, 'alice@news.example.com', 'smtp')).toBe(VALID('news.example.com', 'old'));
    }));
});
