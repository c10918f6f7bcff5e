/**
 * One command and nobody types a record: setup, rotation and removal with a program that enters and withdraws records,
 * on real Debian mail hosts against a real BIND with a TSIG key that may change TXT records and a lagging secondary.
 */
import {beforeAll, describe, expect, test} from 'vitest';
import {type Internet, PRIMARY, SECONDARY, UPDATE_KEY} from './support/dns.ts';
import {differences, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {buildImage} from './support/image.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {describeOutcome, type Outcome, sleep} from './support/process.ts';
import {type Release, withPublishers} from './support/release.ts';
import {Terminal} from './support/tmux.ts';
import {type Report, reportOf, waxseal, waxsealJson} from './support/waxseal.ts';
import {agree, at, shownRecord, toRecord} from './support/wizard.ts';
import {inWorld, type World} from './support/world.ts';

const KEY_FILE = '/etc/waxseal/update.key';
const WORDS_FILE = '/var/log/programs';
const SETUP = ['setup', '--domain', 'example.com', '--yes', '--log-file', '/root/waxseal.log'] as const;
const BY_UPDATE = ['--publish', 'nsupdate', '--tsig-key', KEY_FILE] as const;

const tsig = (name: string, secret: string): string =>
  `key "${name}" { algorithm hmac-sha256; secret "${secret}"; };\n`;

async function putSecret(host: Host, file: string, text: string): Promise<void> {
  await host.write(file.slice(1), text);
  await host.must(['chmod', '600', file]);
}

/** Notes the words and the environment of each program that is run, and then is that program. */
async function overhear(host: Host, program: string): Promise<void> {
  const lines = ['#!/bin/sh', `{ echo "$0 $*"; env; } >>${WORDS_FILE}`, `exec /usr/bin/${program} "$@"`, ''];
  await host.write(`usr/local/bin/${program}`, lines.join('\n'));
  await host.must(['chmod', '755', `/usr/local/bin/${program}`]);
}

const wordsOf = async (host: Host): Promise<string> =>
  (await host.exists(WORDS_FILE.slice(1))) ? await host.read(WORDS_FILE.slice(1)) : '';

/** Nowhere but in its own file: no output, no log, no state, no journal, no word of a program. */
async function expectSecret(host: Host, secret: string, outcomes: readonly Outcome[]): Promise<void> {
  for (const outcome of outcomes) expect(outcome.stdout + outcome.stderr).not.toContain(secret);
  expect(await wordsOf(host)).not.toContain(secret);
  const found = await host.exec([
    'grep',
    '-rlF',
    secret,
    '/var/lib/waxseal',
    '/var/log',
    '/root',
    '/etc/opendkim',
    '/etc/opendkim.conf',
    '/etc/postfix',
    '/run/log',
  ]);
  expect(found.stdout).toBe('');
}

const inPublishingWorld = (release: Release, scenario: (world: World) => Promise<void>): Promise<void> =>
  inWorld(release, async world => {
    await putSecret(world.host, KEY_FILE, tsig(UPDATE_KEY.name, UPDATE_KEY.secret));
    for (const program of ['nsupdate', 'knsupdate']) await overhear(world.host, program);
    await scenario(world);
  });

const json = (outcome: Outcome, exitCode: number): Report => {
  expect(outcome.status, describeOutcome(outcome)).toBe(exitCode);
  return reportOf(outcome);
};

const serials = async (internet: Internet): Promise<number> =>
  await internet.serial(PRIMARY.addresses[0], 'example.com');

/** All of it by one command, and by the same command again. */
async function oneCommand(
  {host, internet}: World,
  how: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<readonly Outcome[]> {
  const dry = await waxseal(host, [...SETUP, ...how, '--dry-run'], {environment});
  expect(dry.status, describeOutcome(dry)).toBe(0);
  const begun = await serials(internet);
  const first = await waxseal(host, [...SETUP, ...how, '--wait', '2m', '--json'], {environment});
  const report = json(first, 0);
  const [key] = report.domains;
  if (key === undefined) throw new Error('no domain');
  expect(report).toMatchObject({changed: true, error: null});
  expect(key.state).toBe('active');
  expect(key.servers.map(({status}) => status)).toEqual(['matching', 'matching', 'matching', 'matching']);
  for (const {addresses} of [PRIMARY, SECONDARY]) {
    expect(await internet.text(addresses[0], key.record.name)).toEqual([key.record.value]);
  }
  const mail = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
  expect(verdict(mail)).toBe(VALID('example.com', key.selector));
  const serial = await serials(internet);
  expect(serial).toBeGreaterThan(begun);

  const again = await waxseal(host, [...SETUP, ...how, '--json'], {environment});
  expect(json(again, 0)).toMatchObject({changed: false, error: null});
  expect(await serials(internet)).toBe(serial);
  // A dry run says who would enter what, and where; it runs nothing.
  expect(dry.stdout + dry.stderr).toContain(`Would be entered by`);
  expect(dry.stdout + dry.stderr).toContain(`${key.selector}._domainkey.example.com`);
  return [dry, first, again];
}

beforeAll(async () => void (await Promise.all(withPublishers.map(buildImage))));

describe.each(withPublishers)('$name', release => {
  test('nsupdate: one command publishes, waits for the lagging secondary, signs and proves it; again it does nothing', () =>
    inPublishingWorld(release, async world => {
      const outcomes = await oneCommand(world, BY_UPDATE);
      const words = await wordsOf(world.host);
      expect(words.match(/^\/usr\/local\/bin\/nsupdate .*$/gm)).toEqual([
        `/usr/local/bin/nsupdate -v -t 20 -k ${KEY_FILE}`,
      ]);
      await expectSecret(world.host, UPDATE_KEY.secret, outcomes);
    }));
});

/** Debian 12 has lexicon as a package. */
describe.each(withPublishers.filter(({suite}) => suite === 'bookworm'))('$name', release => {
  test('lexicon enters the record by its provider ddns, the credentials in a file', () =>
    inPublishingWorld(release, async world => {
      await putSecret(
        world.host,
        '/etc/lexicon/lexicon_ddns.yml',
        `auth_token: "hmac-sha256:${UPDATE_KEY.name}:${UPDATE_KEY.secret}"\nddns_server: ${PRIMARY.addresses[0]}\n`,
      );
      const outcomes = await oneCommand(world, [
        '--publish',
        'lexicon:ddns',
        '--lexicon-config',
        '/etc/lexicon',
      ]);
      await expectSecret(world.host, UPDATE_KEY.secret, outcomes);
    }));
});

describe.each(withPublishers.filter(({suite}) => suite === 'trixie'))('$name', release => {
  test('a refused update names who must act, leaves the host as it was, and the same command goes on', () =>
    inPublishingWorld(release, async ({host, internet}) => {
      await putSecret(host, '/etc/waxseal/other.key', tsig('stranger', UPDATE_KEY.secret));
      await putSecret(
        host,
        '/etc/waxseal/wrong.key',
        tsig(UPDATE_KEY.name, 'd3Jvbmctc2VjcmV0LXdyb25nLXNlY3JldA=='),
      );
      await putSecret(host, '/etc/waxseal/knot.key', `hmac-sha256:stranger:${UPDATE_KEY.secret}\n`);
      await putSecret(host, '/etc/waxseal/open.key', tsig(UPDATE_KEY.name, UPDATE_KEY.secret));
      await host.must(['chmod', '644', '/etc/waxseal/open.key']);
      await host.script('rm /usr/local/bin/knsupdate; mv /usr/bin/knsupdate /usr/bin/knsupdate.away');
      const before = await fingerprint(host);
      const cases: readonly (readonly [how: readonly string[], id: string, who: RegExp])[] = [
        [['nsupdate'], 'publish.failed', /wants a key.*--tsig-key/],
        [
          ['nsupdate', '--tsig-key', '/etc/waxseal/other.key'],
          'publish.failed',
          /does not know the key of \/etc\/waxseal\/other\.key: ask whoever runs the name server ns1\.example\.com/,
        ],
        [
          ['nsupdate', '--tsig-key', '/etc/waxseal/wrong.key'],
          'publish.failed',
          /another secret: get the right key from whoever runs/,
        ],
        [
          ['nsupdate', '--tsig-key', KEY_FILE, '--update-server', SECONDARY.addresses[0]],
          'publish.failed',
          /does not take updates of example\.com|let the key/,
        ],
        [
          ['nsupdate', '--tsig-key', KEY_FILE, '--update-server', '10.53.2.1:5399'],
          'publish.failed',
          /does not answer updates from here: ask whoever runs the name server 10\.53\.2\.1/,
        ],
        [['nsupdate', '--tsig-key', '/etc/waxseal/open.key'], 'publish.key-readable', /chmod o= /],
        [['nsupdate', '--tsig-key', '/etc/waxseal/none.key'], 'publish.key-missing', /--tsig-key/],
        [['knsupdate', '--tsig-key', '/etc/waxseal/knot.key'], 'publish.program-missing', /knot-dnsutils/],
        [['lexicon:gandi'], 'publish.program-missing', /lexicon/],
      ];
      const outcomes: Outcome[] = [];
      for (const [how, id, who] of cases) {
        const outcome = await waxseal(host, [...SETUP, '--publish', ...how, '--wait', '60s', '--json']);
        outcomes.push(outcome);
        const {error, changed, domains} = json(outcome, 3);
        expect(error?.id, how.join(' ')).toBe(id);
        expect(`${error?.message} ${error?.hint}`, how.join(' ')).toMatch(who);
        expect(error?.message).toContain('_domainkey.example.com was not entered');
        expect([changed, domains[0]?.state]).toEqual([false, 'pending']);
      }
      await host.must(['rm', '/root/waxseal.log', WORDS_FILE]);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');
      await expectSecret(host, UPDATE_KEY.secret, outcomes);

      const done = json(await waxseal(host, [...SETUP, ...BY_UPDATE, '--wait', '2m', '--json']), 0);
      expect(done.domains[0]?.state).toBe('active');
    }));

  test('the wizard proposes the key that it finds: three keys at the record, and nobody types one', () =>
    inPublishingWorld(release, async ({host, internet, directory}) => {
      const terminal = await Terminal.open(host, {log: `${directory}/terminal.log`});
      await toRecord(terminal);
      const {value, selector} = await shownRecord(terminal);
      const offered = await terminal.screen();
      expect(offered.replace(/\s+/g, ' ')).toContain(`Or press p: nsupdate with ${KEY_FILE} can do it.`);
      await terminal.press('p');
      await terminal.waitFor(/^ Who enters the record into the DNS\?/m);
      await terminal.waitFor(/^ ❯ nsupdate with \/etc\/waxseal\/update\.key/m);
      await terminal.press('Escape');
      await at(terminal, 'record');
      await terminal.press('p');
      await terminal.waitFor(/^ ❯ nsupdate with/m);
      await terminal.press('Enter');
      await terminal.waitFor(/Enter nsupdate publishes it/);
      await terminal.press('Enter');
      await at(terminal, 'propagation');
      await at(terminal, 'plan', 90_000);
      expect(await internet.text(SECONDARY.addresses[0], `${selector}._domainkey.example.com`)).toEqual([
        value,
      ]);
      await agree(terminal);
      await at(terminal, 'done', 90_000);
      await terminal.press('Enter');
      expect(await terminal.exitStatus()).toBe(0);
      const said = await terminal.history();
      expect(said.replace(/\s+/g, ' ')).toContain(`--publish nsupdate --tsig-key ${KEY_FILE}`);
      expect(said).not.toContain(UPDATE_KEY.secret);
      await terminal.close();
      const mail = await send(host, internet, {from: 'alice@example.com', by: 'smtp'});
      expect(verdict(mail)).toBe(VALID('example.com', selector));
      await expectSecret(host, UPDATE_KEY.secret, []);
    }));

  test('a hook of the administrator enters the record; one that others can change is not run', () =>
    inPublishingWorld(release, async world => {
      const {host} = world;
      const hook = '/usr/local/sbin/dns-hook';
      const text = [
        '#!/bin/sh -e',
        'env | grep ^WAXSEAL_ | sort >/root/hook.env; echo "$1" >>/root/hook.calls; echo said-by-hook',
        '[ ! -e /root/fail ] || { echo "no such zone at the provider" >&2; exit 5; }',
        `{ echo "server ${PRIMARY.addresses[0]}"; echo "zone $WAXSEAL_ZONE."`,
        'if [ "$1" = add ]; then echo "update delete $WAXSEAL_RECORD_NAME. TXT"',
        'echo "update add $WAXSEAL_RECORD_NAME. 60 TXT $WAXSEAL_RECORD_STRINGS"',
        'else echo "update delete $WAXSEAL_RECORD_NAME. TXT $WAXSEAL_RECORD_STRINGS"; fi',
        `echo send; } | nsupdate -k ${KEY_FILE}`,
        '',
      ];
      await host.write(hook.slice(1), text.join('\n'));
      const refusal = async (id: string, words: RegExp): Promise<void> => {
        const outcome = await waxseal(host, [...SETUP, '--publish', `hook:${hook}`, '--no-wait', '--json']);
        const {error} = json(outcome, 3);
        expect(error?.id).toBe(id);
        expect(`${error?.message} ${error?.hint}`).toMatch(words);
      };
      await refusal('publish.hook-missing', /cannot be run/);
      // A group with a user in it; that of root has none.
      await host.script(`chgrp mail ${hook}; chmod 775 ${hook}`);
      await refusal('publish.hook-unsafe', /chmod go-w \/usr\/local\/sbin\/dns-hook/);
      await host.script(`chmod 755 ${hook}; chown nobody ${hook}`);
      await refusal('publish.hook-unsafe', /chown root/);
      await host.script(`chown root ${hook}; chmod 777 /usr/local/sbin`);
      await refusal('publish.hook-unsafe', /by \/usr\/local\/sbin, .*chmod go-w \/usr\/local\/sbin/);
      expect(await host.exists('root/hook.calls')).toBe(false);
      await host.script('chmod 755 /usr/local/sbin; touch /root/fail');
      await refusal('publish.failed', /exit 5.*no such zone at the provider/);
      await host.script('rm /root/fail /root/hook.calls');

      await oneCommand(world, ['--publish', `hook:${hook}`]);
      expect(await host.read('root/hook.calls')).toBe('add\n');
      const {domains} = await waxsealJson(host, ['status'], 0);
      const [key] = domains;
      const seen = new Map(
        (await host.read('root/hook.env'))
          .split('\n')
          .map(line => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]),
      );
      expect(Object.fromEntries(seen)).toMatchObject({
        WAXSEAL_ACTION: 'add',
        WAXSEAL_DOMAIN: 'example.com',
        WAXSEAL_SELECTOR: key?.selector,
        WAXSEAL_ZONE: 'example.com',
        WAXSEAL_RECORD_NAME: key?.record.name,
        WAXSEAL_RECORD_RELATIVE_NAME: key?.record.relativeName,
        WAXSEAL_RECORD_TYPE: 'TXT',
        WAXSEAL_RECORD_TTL: '3600',
        WAXSEAL_RECORD_VALUE: key?.record.value,
      });
    }));

  test('a whole life of a key by rotate --advance: published, switched, emptied, deleted, and nobody types anything', () =>
    inPublishingWorld(release, async ({host, internet}) => {
      const once = [...BY_UPDATE, '--update-ttl', '5'];
      const [first] = json(await waxseal(host, [...SETUP, ...once, '--wait', '2m', '--json']), 0).domains;
      if (first === undefined) throw new Error('no domain');
      await host.must(['postconf', '-e', 'maximal_queue_lifetime=5s', 'bounce_queue_lifetime=5s']);
      await host.must(['postfix', 'reload']);
      const settings = (interval: string): Promise<void> =>
        host.write(
          'etc/waxseal/rotation.conf',
          `interval = ${interval}\nremind = 0s\nmargin = 1s\nsafety = 6s\nfloor = 8s\nrevoked = 20s\n`,
        );
      await settings('1s');
      // The first steps are done by the timer's unit, in its cage.
      await waxsealJson(host, ['rotate', '--install-timer', '--yes'], 0);
      await sleep(1500);
      await host.must(['systemctl', 'start', 'waxseal-rotate.service']);
      const coming = (await waxsealJson(host, ['status'], 0)).domains.find(({state}) => state === 'pending');
      expect(
        await internet.text(PRIMARY.addresses[0], coming?.record.name ?? ''),
        await host.must(['journalctl', '-u', 'waxseal-rotate.service', '--no-pager']),
      ).toEqual([coming?.record.value]);
      await host.must(['systemctl', 'stop', 'waxseal-rotate.timer']);
      const told: string[] = [];
      const outcomes: Outcome[] = [];
      const atPrimary: string[] = [];
      const seen = new Set<string>();
      const until = Date.now() + 480_000;
      for (;;) {
        const outcome = await waxseal(host, ['rotate', '--advance', '--json']);
        outcomes.push(outcome);
        expect([0, 3], describeOutcome(outcome)).toContain(outcome.status);
        const report = reportOf(outcome);
        expect(report.error, JSON.stringify(report.error)).toBe(null);
        const now = report.domains.map(({selector, state}) => `${selector} ${state}`).join(', ');
        if (told.at(-1) !== now) told.push(now);
        const [record = ''] = await internet.text(PRIMARY.addresses[0], first.record.name);
        const said = record === first.record.value ? 'key' : record === '' ? 'nothing' : record;
        if (atPrimary.at(-1) !== said) atPrimary.push(said);
        for (const each of report.domains) if (each.state === 'active') seen.add(each.selector);
        // One new key is enough: on a slow host a third would have begun before the second signs.
        if (report.domains.some(({selector}) => selector !== first.selector)) await settings('180d');
        if (seen.size === 2 && report.domains.length === 1) break;
        if (Date.now() > until) throw new Error(`${told.join(' -> ')}; ${JSON.stringify(report.domains)}`);
        await sleep(1000);
      }
      console.log(told.join('\n'));
      expect(atPrimary).toEqual(['key', 'v=DKIM1; k=rsa; p=', 'nothing']);
      for (const {addresses} of [PRIMARY, SECONDARY]) {
        expect(await internet.text(addresses[0], first.record.name)).toEqual([]);
      }
      const [, second = ''] = [...seen];
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe(
        VALID('example.com', second),
      );
      await expectSecret(host, UPDATE_KEY.secret, outcomes);

      // The domain goes: what signed is emptied and deleted in its time, by the same program.
      const removal = json(await waxseal(host, ['remove', '--domain', 'example.com', '--yes', '--json']), 0);
      expect(removal.domains).toMatchObject([{selector: second, state: 'retiring'}]);
      const name = `${second}._domainkey.example.com`;
      for (let left = 90; (await internet.text(SECONDARY.addresses[0], name)).length > 0; left -= 1) {
        if (left === 0) throw new Error(JSON.stringify((await waxsealJson(host, ['status'], 0)).domains));
        await sleep(1000);
        await waxseal(host, ['remove', '--domain', 'example.com', '--yes', '--json']);
      }
      expect(await internet.text(PRIMARY.addresses[0], name)).toEqual([]);
      expect(verdict(await send(host, internet, {from: 'alice@example.com', by: 'smtp'}))).toBe('unsigned');
    }));
});
