/** What lies where a table or a key should be, on a real file system: never opened, never waited for. */
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {expect, it, onTestFinished} from 'vitest';
import {absolute} from '../../../src/domain/paths.ts';
import {openDkimSigners} from '../../../src/services/opendkim/decide/read.ts';
import type {SignerView} from '../../../src/services/signer.ts';
import {createRealPorts} from '../../../src/system/real/index.ts';
import {ask, last} from './decide-world.ts';

async function signerIn(
  conf: string,
  fifos: readonly string[],
  links: Readonly<Record<string, string>> = {},
) {
  const root = mkdtempSync(path.join(tmpdir(), 'waxseal-decide-'));
  onTestFinished(() => rmSync(root, {recursive: true, force: true}));
  mkdirSync(path.join(root, 'etc/opendkim'), {recursive: true});
  writeFileSync(path.join(root, 'etc/passwd'), `root:x:0:0::/root:/bin/sh\n`);
  writeFileSync(path.join(root, 'etc/opendkim.conf'), conf);
  for (const name of fifos) execFileSync('mkfifo', [path.join(root, 'etc/opendkim', name)]);
  for (const [name, target] of Object.entries(links))
    symlinkSync(target, path.join(root, 'etc/opendkim', name));
  const known = {
    signer: {
      configFile: absolute('/etc/opendkim.conf'),
      ...{unit: 'opendkim.service', version: '2.11.0', active: true},
    },
    layout: undefined,
    serviceManager: 'sysv' as const,
  };
  const [signer] = await openDkimSigners(createRealPorts({root: absolute(root)}), known);
  return signer as SignerView;
}

it('a pipe in place of a table makes the answer unknown', async () => {
  const signer = await signerIn('KeyTable /etc/opendkim/k\nSigningTable refile:/etc/opendkim/s\n', [
    'k',
    's',
  ]);
  expect(signer.unread.map(({name}) => name)).toEqual(['SigningTable', 'KeyTable']);
  expect(ask(signer).outcome).toBe('unknown');
});

it('a pipe in place of a key, of a configuration or of the end of a link is not opened', async () => {
  const table = 'SigningTable csl:example.com=k\nKeyTable csl:k=example.com:s:/etc/opendkim/key\n';
  const byKey = ask(await signerIn(table, ['key']));
  expect([byKey.outcome, last(byKey)]).toEqual([
    'refused',
    'The key /etc/opendkim/key is not a regular file, so OpenDKIM refuses the mail.',
  ]);
  expect(ask(await signerIn(table, ['pipe'], {key: 'pipe'})).outcome).toBe('refused');
  const included = ask(await signerIn(`Include /etc/opendkim/more\n${table}`, ['more']));
  expect([included.outcome, last(included)]).toEqual(['unknown', "waxseal can't read /etc/opendkim/more."]);
});

it('links that lead in a circle are a table that is missing', async () => {
  const conf = 'KeyTable csl:k=example.com:s:/k\nSigningTable refile:/etc/opendkim/s\n';
  const answer = ask(await signerIn(conf, [], {s: 'again', again: 's'}));
  expect(answer.outcome).toBe('unknown');
});
