/** Which programs of a host are proposed, from real files under another root. */
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterEach, beforeEach, expect, test} from 'vitest';
import {parsePublish} from '../../src/dns/publish/index.ts';
import {absolute} from '../../src/domain/paths.ts';
import {findPublishers} from '../../src/jobs/publishers.ts';
import {type RotationState, withPublisher} from '../../src/rotation/index.ts';
import {createRealPorts} from '../../src/system/real/index.ts';
import {domainOf} from '../support/fake-operations.ts';

const SECRET = 'c2VjcmV0LW9mLXRoaXMtdGVzdA==';
const EMPTY: RotationState = {keys: []};
let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'waxseal-publishers-'));
});
afterEach(() => rm(root, {recursive: true, force: true}));

async function put(file: string, text: string): Promise<void> {
  const target = path.join(root, file);
  await mkdir(path.dirname(target), {recursive: true});
  await writeFile(target, text);
  await chmod(target, 0o600);
}

const found = async (state = EMPTY, environment: Record<string, string> = {}) => {
  const ports = createRealPorts({root: absolute(root)});
  const all = await findPublishers(ports, state, {environment});
  // Each can be taken as an answer as it stands, and no secret comes with it.
  for (const {publish} of all) expect(parsePublish(publish)).toMatchObject({ok: true});
  expect(JSON.stringify(all)).not.toContain(SECRET);
  return all.map(({publish, remembered}) => `${remembered ? 'again: ' : ''}${publish}`);
};

test('nsupdate with each key that is one for updates', async () => {
  await put('usr/bin/nsupdate', '');
  const key = `key "waxseal" {\n  algorithm hmac-sha256;\n  secret "${SECRET}";\n};\n`;
  await put('etc/bind/waxseal.key', key);
  await put('etc/waxseal/update.key', key);
  await put('etc/bind/rndc.key', key);
  await put('etc/bind/Kexample.org.+013+12345.key', 'example.org. IN DNSKEY 257 3 13 AAAA');
  await put('etc/bind/other.key', 'no statement');
  await put('etc/bind/named.conf', key);
  expect(await found()).toEqual([
    'nsupdate key=/etc/waxseal/update.key',
    'nsupdate key=/etc/bind/waxseal.key',
  ]);
  await rm(path.join(root, 'usr/bin/nsupdate'));
  expect(await found()).toEqual([]);
});

test('lexicon with the providers whose credentials are there', async () => {
  await put('etc/lexicon/lexicon_ovh.yml', `auth_token: ${SECRET}`);
  const environment = {LEXICON_GANDI_AUTH_TOKEN: SECRET, LEXICON_GANDI_API_PROTOCOL: 'rest', PATH: '/bin'};
  expect(await found(EMPTY, environment)).toEqual([]);
  await put('usr/bin/lexicon', '');
  expect(await found(EMPTY, environment)).toEqual(['lexicon:ovh config=/etc/lexicon', 'lexicon:gandi']);
});

test('the one that did it before comes first, and once', async () => {
  await put('usr/bin/nsupdate', '');
  await put('etc/bind/waxseal.key', `key waxseal { algorithm hmac-sha256; secret "${SECRET}"; };`);
  const choice = parsePublish('nsupdate key=/etc/bind/waxseal.key');
  const hook = parsePublish('hook:/usr/local/sbin/dns');
  if (!choice.ok || !hook.ok) throw new TypeError('choice');
  const one = withPublisher(EMPTY, [domainOf('example.org')], choice.value);
  const state = withPublisher(one, [domainOf('example.net')], hook.value);
  expect(await found(state)).toEqual([
    'again: nsupdate key=/etc/bind/waxseal.key',
    'again: hook:/usr/local/sbin/dns',
  ]);
});
