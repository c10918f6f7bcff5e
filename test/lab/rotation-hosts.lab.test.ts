/** Several hosts that sign for one domain, and tables that are links. */
import {describe, expect, test} from 'vitest';
import type {Internet} from './support/dns.ts';
import {differences, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, sleep} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {inWorld, type World} from './support/world.ts';

const SETTINGS = 'interval = 1s\nremind = 0s\nmargin = 1s\n';
const trixie = releases.filter(({suite}) => suite === 'trixie');

async function setUp({host, internet}: World): Promise<string> {
  const {selector} = await makeReady(host, internet);
  await sleep(3500);
  await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--wait', '60s'], 0);
  return selector;
}

/** Runs the scheduler until a new key signs, publishing as a person would. */
async function rotated(host: Host, internet: Internet): Promise<string> {
  await host.write('etc/waxseal/rotation.conf', SETTINGS);
  await sleep(1500);
  const begun = await waxsealJson(host, ['rotate', '--advance'], 3);
  const coming = begun.domains.find(({state}) => state === 'pending');
  if (coming === undefined) throw new Error(JSON.stringify(begun.domains));
  await internet.publishEverywhere('example.com', coming.record.name, coming.record.strings);
  await waxseal(host, ['rotate', '--advance', '--json']);
  await sleep(5000);
  return coming.selector;
}

const recordOf = async (host: Host) => {
  const [domain] = (await waxsealJson(host, ['status'], 0)).domains;
  if (domain === undefined) throw new Error('no domain');
  return domain.record;
};

/** A host is told by the name that its Postfix has. */
async function anotherName(host: Host): Promise<void> {
  await host.must(['postconf', '-e', 'myhostname=mx2.example.com']);
  await host.must(['postfix', 'reload']);
}

/** Owner and mode of every private key, by its path. */
const modes = (host: Host): Promise<string> =>
  host.script("find /etc/dkimkeys -mindepth 1 ! -name 'README*' -printf '%p %m %u:%g\\n' | sort");

describe.each(trixie)('$name', release => {
  test('two hosts with a selector each: known to each other, and whether they agree is asked of the DNS', () =>
    inWorld(release, async one =>
      inWorld(release, async other => {
        await anotherName(other.host);
        const mine = await setUp(one);
        // The other host meets the first one's record in its DNS and takes another selector.
        const first = await recordOf(one.host);
        await other.internet.publishEverywhere('example.com', first.name, inStrings(first.value));
        const theirs = await setUp(other);
        expect(theirs).not.toBe(mine);
        const second = await recordOf(other.host);
        await one.internet.publishEverywhere('example.com', second.name, inStrings(second.value));

        const exported = await waxseal(one.host, ['export', '--output', '/root/state.json']);
        expect(exported.status, describeOutcome(exported)).toBe(0);
        const text = await one.host.read('root/state.json');
        expect(text).not.toContain('PRIVATE KEY');
        await other.host.write('root/state.json', text);
        expect((await waxseal(other.host, ['import', '/root/state.json'])).status).toBe(0);
        const agreed = await waxsealJson(other.host, ['rotate', '--check-hosts'], 0);
        expect(agreed.checks).toMatchObject([{id: 'rotate.hosts', status: 'pass'}]);

        // A selector that the other host uses is never taken, though nobody shows it in this DNS any more.
        await other.internet.withdraw('example.com', first.name);
        const lost = await waxsealJson(other.host, ['rotate', '--check-hosts'], 4);
        expect(lost.checks[0]).toMatchObject({id: 'rotate.hosts', status: 'fail'});
        const next = await rotated(other.host, other.internet);
        expect([mine, theirs]).not.toContain(next);

        // The same selector with another key on both.
        await other.host.write(
          'root/clash.json',
          text
            .replaceAll(`"${mine}"`, `"${theirs}"`)
            .replaceAll(`"${mine}._domainkey"`, `"${theirs}._domainkey"`)
            .replaceAll(first.name, second.name),
        );
        expect((await waxseal(other.host, ['import', '/root/clash.json'])).status).toBe(0);
        const clash = await waxsealJson(other.host, ['rotate', '--check-hosts'], 4);
        expect(JSON.stringify(clash.checks)).toContain('same selector with another key');
      }),
    ));

  test('two hosts with one key: carried over with its mode, and no secret is shown', () =>
    inWorld(release, async one =>
      inWorld(release, async other => {
        await anotherName(other.host);
        const selector = await setUp(one);
        const outcome = await waxseal(one.host, ['export', '--with-keys', '--output', '/root/keys.json']);
        expect(outcome.status, describeOutcome(outcome)).toBe(0);
        expect(await one.host.must(['stat', '-c', '%a %U:%G', '/root/keys.json'])).toBe('600 root:root\n');
        await other.host.write('root/keys.json', await one.host.read('root/keys.json'));
        await other.host.must(['chmod', '600', '/root/keys.json']);
        const imported = await waxseal(other.host, ['import', '/root/keys.json']);
        expect(imported.status, describeOutcome(imported)).toBe(0);
        expect(await other.host.script('stat -c "%a %U:%G" /var/lib/waxseal/keys/example.com/*')).toMatch(
          /^(600 root:root\n)+$/,
        );
        const record = await recordOf(one.host);
        await other.internet.publishEverywhere('example.com', record.name, inStrings(record.value));
        await sleep(3500);
        const command = /waxseal (setup .*)$/m.exec(imported.stdout)?.[1]?.trim().split(' ') ?? [];
        await waxsealJson(other.host, [...command, '--yes', '--wait', '60s'], 0);
        expect(await modes(other.host)).toBe(await modes(one.host));
        expect(await modes(other.host)).toMatch(
          new RegExp(`${selector}\\.private 600 opendkim:opendkim$`, 'm'),
        );
        const hash = (host: Host): Promise<string> =>
          host.script("find /etc/dkimkeys -name '*.private' -exec sha256sum {} +");
        expect(await hash(other.host)).toBe(await hash(one.host));
        for (const {host, internet} of [one, other]) {
          const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
          expect(verdict(captured)).toBe(VALID('example.com', selector));
        }
        await waxsealJson(other.host, ['rotate', '--check-hosts'], 0);
      }),
    ));

  test('tables that are links into a safe directory stay links; links that others planted are refused', () =>
    inWorld(release, async world => {
      const {host, internet} = world;
      await setUp(world);
      await host.script(
        [
          'install -d -m 755 /etc/opendkim/tables',
          'for table in KeyTable SigningTable; do',
          '  mv /etc/opendkim/$table /etc/opendkim/tables/$table',
          '  ln -s tables/$table /etc/opendkim/$table',
          'done',
        ].join('\n'),
      );
      const selector = await rotated(host, internet);
      const switched = await waxseal(host, ['rotate', '--advance', '--json']);
      expect([0, 3], describeOutcome(switched)).toContain(switched.status);
      for (const table of ['KeyTable', 'SigningTable']) {
        expect(await host.must(['readlink', `/etc/opendkim/${table}`])).toBe(`tables/${table}\n`);
        expect(await host.read(`etc/opendkim/tables/${table}`)).toContain(selector);
      }
      const captured = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(captured)).toBe(VALID('example.com', selector));

      // The same tables by way of a directory where anybody can put another link.
      await host.script(
        [
          'install -d -m 1777 /srv/shared',
          'for table in KeyTable SigningTable; do',
          '  setpriv --reuid=nobody --regid=nogroup --clear-groups ln -s /etc/opendkim/tables/$table /srv/shared/$table',
          'done',
          "sed -i 's#/etc/opendkim/\\(Key\\|Signing\\)Table#/srv/shared/\\1Table#' /etc/opendkim.conf",
          'systemctl restart opendkim',
        ].join('\n'),
      );
      const before = await fingerprint(host);
      const refused = await waxseal(host, [
        'rotate',
        '--domain',
        'example.com',
        '--yes',
        '--no-wait',
        '--json',
      ]);
      expect([5, 6], describeOutcome(refused)).toContain(refused.status);
      expect(reportOf(refused).error?.message).toMatch(/\/srv\/shared/);
      console.log(`planted links: exit ${refused.status}, ${reportOf(refused).error?.message}`);
      for (const table of ['KeyTable', 'SigningTable']) {
        expect(await host.must(['readlink', `/srv/shared/${table}`])).toBe(`/etc/opendkim/tables/${table}\n`);
      }
      const changed = differences(before, await fingerprint(host), {allowState: true, processes: false});
      expect(changed.filter(each => !each.includes('/etc/dkimkeys'))).toEqual([]);
      const still = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(still)).toBe(VALID('example.com', selector));
    }));
});

const inStrings = (value: string): readonly string[] => value.match(/.{1,255}/g) ?? [];
