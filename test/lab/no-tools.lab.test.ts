/**
 * A host that has none of the tools for access lists, extended attributes and SELinux, and files that have such labels
 * all the same: they stay through set-up and undo.
 */
import path from 'node:path';
import {describe, expect, test} from 'vitest';
import {differences, fingerprint} from './support/fingerprint.ts';
import {must} from './support/process.ts';
import {releases} from './support/release.ts';
import {makeReady, waxsealJson} from './support/waxseal.ts';
import {inWorld} from './support/world.ts';

const TOOLS = [
  'getfacl',
  'setfacl',
  'getfattr',
  'setfattr',
  'getenforce',
  'restorecon',
  'semanage',
  'chattr',
];
const LABELLED = ['/etc/opendkim.conf', '/etc/postfix/main.cf'];

describe.each(releases)('$name', release => {
  test('without the tools of SELinux, access lists and attributes: set up and undone, labels kept', () =>
    inWorld(release, async ({host, internet}) => {
      const there = await host.exec(['bash', '-c', `type -P ${TOOLS.join(' ')}; true`]);
      for (const tool of there.stdout.split('\n').filter(Boolean)) await host.must(['rm', tool]);
      expect((await host.exec(['bash', '-c', `type -P ${TOOLS.join(' ')}`])).stdout).toBe('');
      const places = LABELLED.map(file => path.join(host.root, file));
      for (const at of places) {
        await must(['setfacl', '-m', 'u:4711:r', at]);
        await must(['setfattr', '-n', 'trusted.note', '-v', 'kept', at]);
      }
      const labels = (): Promise<readonly string[]> =>
        Promise.all(
          places.map(async at =>
            [
              await must(['getfacl', '--numeric', '--absolute-names', '--omit-header', at]),
              await must(['getfattr', '-d', '-m', 'trusted.note', '--absolute-names', at]),
            ].join(''),
          ),
        );
      const before = await fingerprint(host);
      const labelled = await labels();
      for (const text of labelled) expect(text).toMatch(/user:4711:r[\s\S]*trusted\.note="kept"/);
      await makeReady(host, internet);
      const report = await waxsealJson(host, ['setup', '--domain', 'example.com', '--yes', '--no-wait'], 0);
      expect(report.changes.map(({target}) => target)).toEqual(expect.arrayContaining(LABELLED));
      expect(await labels()).toEqual(labelled);
      // What it says can't be read here: it counts as somebody's right.
      const table = path.join(host.root, '/etc/opendkim/KeyTable');
      await must(['setfacl', '-m', 'u:4711:rw', table]);
      const found = await waxsealJson(host, ['check', '--no-input'], 0);
      expect(found.checks.find(({id}) => id === 'host.account-writes')).toMatchObject({
        evidence: expect.stringMatching(
          /KeyTable can be written by an account that can't be told without getfacl/,
        ),
        fix: 'chmod go-w /etc/opendkim/KeyTable',
      });
      await must(['setfacl', '-b', table]);
      await waxsealJson(host, ['undo', '--yes'], 0);
      expect(await labels()).toEqual(labelled);
      expect(differences(before, await fingerprint(host), {allowState: true})).toEqual([]);
    }));
});
