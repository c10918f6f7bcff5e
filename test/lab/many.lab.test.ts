/** A thousand domains on one host, from the first command to signed mail and back, with real BIND, OpenDKIM and Postfix. */
import {describe, expect, test} from 'vitest';
import {differences, exposedKeys, fingerprint} from './support/fingerprint.ts';
import type {Host} from './support/host.ts';
import {send, VALID, verdict} from './support/mail.ts';
import {measured, watched} from './support/measured.ts';
import {describeOutcome, until} from './support/process.ts';
import {releases} from './support/release.ts';
import {type DomainReport, reportOf} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const COUNT = Number(process.env['WAXSEAL_LAB_DOMAINS'] ?? 1000);
/** With one key for all the cost of a domain is that of its record and its rows, which the other scenario measures. */
const SHARED = Math.min(COUNT, 100);
const KEYS = '/var/lib/waxseal/keys';
const LIST = '/root/domains.csv';
/** For a program that is started once for each of a thousand files. */
const MANY_MS = 10 * 60_000;
/** A thousand domains took 13 minutes on a machine that had much else to do. */
const TIMEOUT_MS = 60 * 60_000;

const name = (at: number): string => `d${String(at).padStart(5, '0')}.example.com`;
const names = (count: number): readonly string[] => Array.from({length: count}, (_, at) => name(at + 1));

/** Each private key below a directory: its path, its SHA-256 and its inode, so that a key made again is seen. */
async function keysBelow(host: Host, directory: string): Promise<ReadonlyMap<string, string>> {
  const listing = await host.exec(
    [
      'bash',
      '-c',
      `find ${directory} -type f -printf '%p %i\\n' | while read -r path inode; do echo "$path $inode $(sha256sum < "$path")"; done`,
    ],
    {timeoutMs: MANY_MS},
  );
  return new Map(
    listing.stdout
      .split('\n')
      .filter(Boolean)
      .map(line => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  );
}

const keyCount = async (host: Host): Promise<number> =>
  (await host.exec(['find', KEYS, '-type', 'f', '-name', '*.pem'])).stdout.split('\n').filter(Boolean).length;

const rowsOf = async (host: Host, table: string): Promise<readonly string[]> =>
  (await host.read(`/etc/opendkim/${table}`)).split('\n');

/** Every row of before is there, in its order, and nothing but `more` was added. */
function expectAdded(before: readonly string[], after: readonly string[], more: number): void {
  const added = after.filter(row => !before.includes(row));
  expect(after.filter(row => !added.includes(row))).toEqual(before);
  expect(added).toHaveLength(more);
}

const recordOf = (domains: readonly DomainReport[], domain: string): DomainReport => {
  const found = domains.find(each => each.domain === domain);
  if (found === undefined) throw new Error(`no ${domain} in the report`);
  return found;
};

const trixie = releases.filter(({suite}) => suite === 'trixie');

describe.each(trixie.length > 0 ? trixie : releases)('$name', {timeout: TIMEOUT_MS}, release => {
  test(`${COUNT} domains with ${COUNT} keys: interrupted, set up, signed, one added, one removed, undone`, () =>
    inWorld(release, async ({host, internet}) => {
      const domains = names(COUNT);
      const lines: string[] = [];
      const timed = async (what: string, argv: readonly string[], exitCode: number) => {
        const done = await measured(host, what, [...argv, '--json'], exitCode);
        lines.push(done.line);
        return reportOf(done.outcome);
      };
      // Every tenth has a selector of its own.
      const row = (at: number): string => (at % 10 === 0 ? `${name(at)},own${at}` : name(at));
      const rows = domains.map((_, at) => row(at + 1));
      await host.write(LIST, `domain,selector\n${rows.join('\n')}\n`);
      const setup = ['setup', '--domains-file', LIST, '--yes'];
      const pristine = await fingerprint(host);

      // Twice cut short while keys are made: what is there then is used, and nothing is made twice.
      for (const [signal, share, status] of [
        ['SIGKILL', 0.1, null],
        ['SIGINT', 0.2, 130],
      ] as const) {
        const before = await keysBelow(host, KEYS);
        const run = watched(host, [...setup, '--no-wait', '--json']);
        await until(
          `${share * COUNT} keys`,
          async () => ((await keyCount(host)) >= share * COUNT ? true : undefined),
          {withinMs: MANY_MS, everyMs: 200},
        );
        const pid = run.pid();
        // Number 0 would be all of this test's own processes.
        if (pid === undefined) throw new Error('the process of the run was not found');
        process.kill(pid, signal);
        const {outcome} = await run.end();
        if (status !== null) {
          expect(outcome.status, describeOutcome(outcome)).toBe(status);
          expect(reportOf(outcome).error?.hint).toMatch(
            /^The \d+ keys that are made are kept; go on with: waxseal setup --domains-file \/root\/domains\.csv /,
          );
        }
        const kept = await keysBelow(host, KEYS);
        expect(kept.size).toBeLessThan(COUNT);
        // What was half-written when it was killed has another name, and goes when its domain's turn comes.
        for (const [path, key] of before) if (path.endsWith('.pem')) expect(kept.get(path), path).toBe(key);
        const whole = await host.exec(
          [
            'bash',
            '-c',
            `find ${KEYS} -name '*.pem' -exec openssl pkey -in {} -noout -check \\; | sort | uniq -c`,
          ],
          {timeoutMs: MANY_MS},
        );
        expect(whole.stdout.trim()).toMatch(/^\d+ Key is valid$/);
        lines.push(`cut short by ${signal}: ${await keyCount(host)} keys kept, all whole`);
      }
      const kept = await keysBelow(host, KEYS);
      const first = await timed(`${COUNT} keys made, the others taken up`, [...setup, '--no-wait'], 3);
      const made = await keysBelow(host, KEYS);
      // What was half-written when the process was killed is gone, too.
      expect([...made.keys()].filter(path => !path.endsWith('.pem'))).toEqual([]);
      expect(made.size).toBe(COUNT);
      for (const [path, key] of kept) if (path.endsWith('.pem')) expect(made.get(path), path).toBe(key);
      expect(first.domains).toHaveLength(COUNT);
      expect(new Set(first.domains.map(({record}) => record.value)).size).toBe(COUNT);
      const selectors = first.domains.map(({selector}) => selector);
      const [common = ''] = selectors;
      expect(selectors).toEqual(domains.map((_, at) => ((at + 1) % 10 === 0 ? `own${at + 1}` : common)));
      expect(
        differences(pristine, await fingerprint(host), {allowState: true, except: [/^\/root\//]}),
      ).toEqual([]);

      // The records go into BIND's own zone file, as waxseal writes them.
      await timed(
        `${COUNT} records written as zone file`,
        ['record', '--format', 'zone', '--output', '/root/records.zone'],
        0,
      );
      await internet.appendToZone('example.com', await host.read('/root/records.zone'));
      const done = await timed(`${COUNT} domains surveyed, planned, applied, proven`, setup, 0);
      expect(done.domains.filter(({state}) => state === 'active')).toHaveLength(COUNT);
      expect(await exposedKeys(host)).toEqual([]);
      for (const at of [1, 10, COUNT >> 1, COUNT]) {
        const captured = await send(host, internet, {from: `alice@${name(at)}`, by: 'smtp'});
        expect(verdict(captured)).toBe(VALID(name(at), recordOf(done.domains, name(at)).selector));
      }
      // One more: no other key, no other row has another byte.
      const tables = {keys: await rowsOf(host, 'KeyTable'), signing: await rowsOf(host, 'SigningTable')};
      const inUse = await keysBelow(host, '/etc/dkimkeys');
      const setUp = await fingerprint(host);
      const late = 'late.example.com';
      const alone = ['setup', '--domain', late, '--selector', 'late1', '--yes'];
      const asked = await timed('one domain more: its key and record', [...alone, '--no-wait'], 3);
      const zoneLine = await host.must(['waxseal', 'record', '--domain', late, '--format', 'zone']);
      expect(recordOf(asked.domains, late).record.name).toBe(`late1._domainkey.${late}`);
      await internet.appendToZone('example.com', zoneLine);
      const added = await timed('one domain more: applied and proven', alone, 0);
      expect(added.changes.filter(({kind}) => kind === 'write').map(({target}) => target)).toEqual([
        `/etc/dkimkeys/${late}/late1.private`,
        '/etc/opendkim/KeyTable',
        '/etc/opendkim/SigningTable',
      ]);
      expectAdded(tables.keys, await rowsOf(host, 'KeyTable'), 1);
      expectAdded(tables.signing, await rowsOf(host, 'SigningTable'), 2);
      const withLate = await keysBelow(host, '/etc/dkimkeys');
      for (const [path, key] of inUse) expect(withLate.get(path), path).toBe(key);
      expect(withLate.size).toBe(inUse.size + 1);
      expect(verdict(await send(host, internet, {from: `bob@${late}`, by: 'smtp'}))).toBe(
        VALID(late, 'late1'),
      );

      // One leaves: it is signed no more, its record and its key stay for mail that is on its way.
      const gone = name(COUNT >> 1);
      const beforeRemoval = await fingerprint(host);
      const removed = await timed('one domain removed', ['remove', '--domain', gone, '--yes'], 0);
      expect(removed.checks.map(({id, status}) => `${id} ${status}`)).toEqual([
        'remove.unsigned pass',
        'live.kept pass',
      ]);
      expect(verdict(await send(host, internet, {from: `alice@${gone}`, by: 'smtp'}))).toBe('unsigned');
      expect(verdict(await send(host, internet, {from: `alice@${name(1)}`, by: 'smtp'}))).toBe(
        VALID(name(1), common),
      );
      expect(await keysBelow(host, '/etc/dkimkeys')).toEqual(withLate);
      const status = reportOf(await host.exec(['waxseal', 'status', '--domain', gone, '--json']));
      expect(status.domains.map(({state}) => state)).toEqual(['retiring']);
      const left = rows.filter(each => each !== row(COUNT >> 1));
      await host.write(LIST, `domain,selector\n${left.join('\n')}\n${late},late1\n`);
      const quiet = await timed(`${COUNT} domains of the new list, nothing to do`, setup, 0);
      expect(quiet).toMatchObject({changed: false, changes: []});

      // Back, one change after the other.
      await timed('undo of the removal', ['undo', '--yes'], 0);
      expect(
        differences(beforeRemoval, await fingerprint(host), {allowState: true, except: [/^\/root\//]}),
      ).toEqual([]);
      await timed('undo of the added domain', ['undo', '--yes'], 0);
      expect(differences(setUp, await fingerprint(host), {allowState: true, except: [/^\/root\//]})).toEqual(
        [],
      );
      await timed(`undo of ${COUNT} domains`, ['undo', '--yes'], 0);
      expect(
        differences(pristine, await fingerprint(host), {allowState: true, except: [/^\/root\//]}),
      ).toEqual([]);
      console.log(lines.join('\n'));
    }));

  test(`${SHARED} domains with one key: set up, signed, one removed, the last one removed`, () =>
    inWorld(release, async ({host, internet}) => {
      const domains = names(SHARED);
      await host.write('/root/domains.txt', `# made for the lab\n${domains.join('\n')}\n`);
      const setup = ['setup', '--domains-file', '/root/domains.txt', '--shared-key', '--yes', '--json'];
      const first = reportOf(
        (await measured(host, `${SHARED} domains, one key`, [...setup, '--no-wait'], 3)).outcome,
      );
      expect(new Set(first.domains.map(({record}) => record.value)).size).toBe(1);
      await host.must(['waxseal', 'record', '--format', 'zone', '--output', '/root/records.zone']);
      await internet.appendToZone('example.com', await host.read('/root/records.zone'));
      const done = reportOf(
        (await measured(host, `${SHARED} domains with one key set up`, setup, 0)).outcome,
      );
      const [selector = ''] = done.domains.map(each => each.selector);
      const signedAs = async (domain: string): Promise<string> =>
        verdict(await send(host, internet, {from: `alice@${domain}`, by: 'smtp'}));
      expect(await signedAs(name(SHARED))).toBe(VALID(name(SHARED), selector));
      const keys = await keysBelow(host, '/etc/dkimkeys');
      await measured(host, 'one of them removed', ['remove', '--domain', name(2), '--yes'], 0);
      expect(await keysBelow(host, '/etc/dkimkeys')).toEqual(keys);
      expect(await signedAs(name(2))).toBe('unsigned');
      expect(await signedAs(name(1))).toBe(VALID(name(1), selector));
      const unknown = await host.exec(['waxseal', 'remove', '--domain', 'nobody.example.com', '--yes']);
      expect(unknown.status).toBe(2);
      expect(unknown.stderr).toContain(name(1));
      // The last ones: the signer goes on, with nothing to sign, and mail goes out unsigned.
      const rest = domains.filter(each => each !== name(2)).flatMap(each => ['--domain', each]);
      await measured(host, 'all others removed', ['remove', ...rest, '--yes'], 0);
      expect(await signedAs(name(1))).toBe('unsigned');
      expect(await host.must(['systemctl', 'is-active', 'opendkim'])).toBe('active\n');
      expect(await keysBelow(host, '/etc/dkimkeys')).toEqual(keys);
    }));
});
