/** The forms of a record as the real named-checkzone and nsupdate read them. Needs bind9 and bind9-dnsutils. */
import {execFile} from 'node:child_process';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {promisify} from 'node:util';
import fc from 'fast-check';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {FORMATS} from '../../src/dns/formats/index.ts';
import {recordForms} from '../../src/dns/forms.ts';
import {dnsName, NAME, VALUE} from '../dns/world.ts';
import {readZoneFile} from '../dns/zone-file.ts';

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

test('named-checkzone reads the form of opendkim-genzone', async () => {
  const genzone = FORMATS.find(({id}) => id === 'genzone');
  const text = genzone?.render(recordForms({apex, name: NAME, value: VALUE})) ?? '';
  expect(await servedValue(`$ORIGIN example.org.\n${text}`)).toBe(VALUE);
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
