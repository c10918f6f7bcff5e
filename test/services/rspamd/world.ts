/** A host in memory whose rspamd is asked by what `rspamadm configdump` printed on a real one. */
import {generateKeyPairSync} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type {JsonObject} from '../../../src/services/rspamd/dump.ts';
import {rspamdSigners} from '../../../src/services/rspamd/read.ts';
import type {SignerView} from '../../../src/services/signer.ts';
import {type FakeHost, fakeHost} from '../../support/fake-host.ts';

const FIXTURES = path.join(import.meta.dirname, '..', '..', 'fixtures', 'rspamd');

export const fixture = (name: string): string => fs.readFileSync(path.join(FIXTURES, name), 'utf8');

/** `base`, and with it what each further line of configuration makes of the section, by version and line. */
export const DECISIONS = JSON.parse(fixture('decisions.json')) as {
  readonly base: string;
  readonly dumps: Readonly<Record<string, Readonly<Record<string, JsonObject>>>>;
};

export const RSA = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: {type: 'pkcs8', format: 'pem'},
  publicKeyEncoding: {type: 'spki', format: 'pem'},
}).privateKey;

/** Owned by the account of rspamd. */
export const OWN = {mode: 0o600, uid: 106, gid: 112};

export const LOCAL = '/etc/rspamd/local.d/dkim_signing.conf';
export const KEYS = '/var/lib/rspamd/dkim';

export interface World {
  /** The section `dkim_signing` of the merged configuration. */
  readonly signing: JsonObject;
  readonly files?: Readonly<Record<string, string>>;
  readonly change?: (host: FakeHost) => void;
  /** What rspamadm prints in place of JSON, and its exit status. */
  readonly broken?: {readonly stderr: string; readonly status: number};
}

export async function rspamdOf({signing, files = {}, change, broken}: World): Promise<SignerView> {
  const host = fakeHost();
  host.units.set('rspamd.service', {LoadState: 'loaded', ActiveState: 'active', User: '_rspamd'});
  host.files.put('/etc/rspamd/rspamd.conf', '');
  host.files.put(
    '/usr/share/publicsuffix/effective_tld_names.dat',
    '// list\ncom\norg\nuk\nco.uk\n*.ck\n!www.ck\n',
  );
  host.files.directory(KEYS, {mode: 0o750, uid: 106, gid: 112});
  for (const name of ['example.com.rs1.key', 'other.com.rs1.key'])
    host.files.put(`${KEYS}/${name}`, RSA, OWN);
  for (const [at, text] of Object.entries(files)) host.files.put(at, text);
  change?.(host);
  const all = JSON.parse(fixture('configdump-3.12.1.json')) as JsonObject;
  const printed = JSON.stringify({...all, dkim_signing: signing});
  const commands = {
    run: async (argv: Parameters<FakeHost['commands']['run']>[0]) =>
      argv.includes('configdump')
        ? {
            status: broken?.status ?? 0,
            stdout: broken === undefined ? printed : '',
            stderr: broken?.stderr ?? 'address resolution for fuzzy1.rspamd.com failed\n',
            ended: 'exit' as const,
          }
        : await host.commands.run(argv),
  };
  const [view] = await rspamdSigners({...host, commands}, 'systemd');
  if (view === undefined) throw new TypeError('no rspamd');
  return view;
}
