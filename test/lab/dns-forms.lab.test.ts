/**
 * The forms of a record as the real programs read them: named-checkzone, nsupdate, opendkim-genzone beside its own, and
 * botocore, which is what the command line of AWS is made of. Needs bind9, bind9-dnsutils, opendkim-tools, python3-botocore.
 */
import {execFile, spawnSync} from 'node:child_process';
import {createPublicKey, generateKeyPairSync} from 'node:crypto';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {formatKeyRecord} from '../../src/dkim/index.ts';
import {FORMATS} from '../../src/dns/formats/index.ts';
import {recordForms} from '../../src/dns/forms.ts';
import {dnsName, NAME, VALUE} from '../dns/world.ts';
import {readZoneFile} from '../dns/zone-file.ts';
import {fc} from '../support/fast-check.ts';

const run = promisify(execFile);
const apex = dnsName('example.org');
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'waxseal-forms-'));
});

afterAll(() => rm(directory, {recursive: true, force: true}));

const HEAD = `example.org. 60 IN SOA ns1.example.org. h.example.org. 1 60 60 60 60
example.org. 60 IN NS ns1.example.org.
ns1.example.org. 60 IN A 192.0.2.1
`;

/** Loads the zone with the record in it and returns the record's value as named would serve it. */
async function servedValue(record: string): Promise<string> {
  const file = path.join(directory, 'zone');
  await writeFile(file, `${HEAD}${record}\n`);
  const {stdout} = await run('named-checkzone', ['-q', '-D', '-o', '-', 'example.org', file]);
  const line = stdout.split('\n').find(each => each.startsWith(NAME)) ?? '';
  const [read] = readZoneFile(line.replace(/\t/g, ' '));
  return Buffer.concat(read?.strings ?? []).toString();
}

test.each([VALUE, `${VALUE}${VALUE}`.slice(0, 764), 'v=DKIM1; n=a "quote" and a \\ backslash; p=', ''])(
  'named-checkzone reads %j back from both zone file forms',
  async value => {
    const forms = recordForms({apex, name: NAME, value});
    expect(await servedValue(forms.zoneFile)).toBe(value);
    expect(await servedValue(forms.zoneFileWrapped)).toBe(value);
  },
);

test('nsd-checkzone takes both zone file forms, too', async () => {
  const {zoneFile, zoneFileWrapped} = recordForms({apex, name: NAME, value: `${VALUE}${VALUE}`});
  const file = path.join(directory, 'example.org');
  for (const form of [zoneFile, zoneFileWrapped]) {
    await writeFile(file, `${HEAD}${form}\n`);
    expect((await run('nsd-checkzone', ['example.org', file])).stdout).toContain('is ok');
  }
  // One string of more than 255 octets is what it refuses.
  await writeFile(file, `${HEAD}${zoneFile.replaceAll('" "', '')}\n`);
  await expect(run('nsd-checkzone', ['example.org', file])).rejects.toThrow('nsd-checkzone');
});

test('named-checkzone reads the form of opendkim-genzone', async () => {
  const genzone = FORMATS.find(({id}) => id === 'genzone');
  const text = genzone?.render(recordForms({apex, name: NAME, value: VALUE})) ?? '';
  expect(await servedValue(`$ORIGIN example.org.\n${text}`)).toBe(VALUE);
});

/** Tags with their values, whatever stands between them. */
const tagsOf = (value: string): readonly string[] =>
  value.split(';').flatMap(tag => (tag.trim() === '' ? [] : [tag.trim()]));

test('opendkim-genzone itself says the same of the same key, in the same place', async () => {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  const pem = privateKey.export({type: 'pkcs8', format: 'pem'}).toString();
  const file = path.join(directory, 'key.private');
  await writeFile(file, pem, {mode: 0o600});
  const table = path.join(directory, 'KeyTable');
  await writeFile(table, `one example.org:202611:${file}\n`);
  const {stdout} = await run('opendkim-genzone', ['-D', '-d', 'example.org', `file:${table}`]);
  const value = formatKeyRecord({
    algorithm: 'rsa',
    publicKey: createPublicKey(pem),
    testMode: false,
    noSubdomains: false,
  });
  const ours = FORMATS.find(({id}) => id === 'genzone')?.render(recordForms({apex, name: NAME, value})) ?? '';
  const theirs = await servedValue(`$ORIGIN example.org.\n${stdout}`);
  const read = await servedValue(`$ORIGIN example.org.\n${ours}`);
  expect(read).toBe(value);
  expect(tagsOf(theirs)).toHaveLength(3);
  expect(tagsOf(read)).toEqual(expect.arrayContaining([...tagsOf(theirs)]));
});

interface Route53Request {
  readonly errors: string;
  readonly action: readonly string[];
  readonly name: readonly string[];
  readonly type: readonly string[];
  readonly ttl: readonly string[];
  readonly value: readonly string[];
}

function asRoute53(batch: string): Route53Request {
  const script = path.join(import.meta.dirname, 'support/route53.py');
  const {stdout, stderr, status} = spawnSync('/usr/bin/python3', [script], {input: batch, encoding: 'utf8'});
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as Route53Request;
}

test.each([VALUE, `${VALUE}${VALUE}`.slice(0, 764), 'v=DKIM1; n=a "quote" and a \\ backslash; p='])(
  'botocore takes the change batch for Route 53 with %j',
  value => {
    const forms = recordForms({apex, name: NAME, value});
    const batch = FORMATS.find(({id}) => id === 'route53')?.render(forms) ?? '';
    const {errors, value: sent, ...rest} = asRoute53(batch);
    expect(errors).toBe('');
    expect(rest).toEqual({action: ['UPSERT'], name: [`${NAME}.`], type: ['TXT'], ttl: ['3600']});
    const [quoted = ''] = sent;
    const strings = [...quoted.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text);
    for (const string of strings) expect(Buffer.byteLength(string)).toBeLessThanOrEqual(255 * 4);
    const unescaped = strings
      .join('')
      .replace(/\\([0-7]{3}|.)/g, (_all, code: string) =>
        code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : code,
      );
    expect(unescaped).toBe(value);
  },
);

test('botocore refuses a batch that is none', () => {
  expect(asRoute53('{"Changes": [{"Action": "UPSERT"}]}').errors).toContain('ResourceRecordSet');
});

test('named-checkzone reads any value back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({unit: 'grapheme', maxLength: 600}), async value => {
      const forms = recordForms({apex, name: NAME, value});
      expect(await servedValue(forms.zoneFile)).toBe(value);
    }),
    {numRuns: 40},
  );
}, 60_000);

test('nsupdate takes the script', async () => {
  const {nsupdate} = recordForms({apex, name: NAME, value: VALUE});
  const file = path.join(directory, 'update');
  // Shown instead of sent: the syntax is read, no server is asked.
  await writeFile(file, nsupdate.replace(/^send$/m, 'show'));
  const {stdout, stderr} = await run('nsupdate', [file]);
  expect(stderr).toBe('');
  expect(stdout).toContain(`${NAME}.`);
  expect(stdout.replace(/" "/g, '')).toContain(VALUE);
});
