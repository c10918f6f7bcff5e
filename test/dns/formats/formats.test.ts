/** Every format is read back by a parser of its own language, and must give exactly the value, cut as DNS wants it. */
import {execFile} from 'node:child_process';
import {generateKeyPairSync, type KeyObject} from 'node:crypto';
import {promisify} from 'node:util';
import {createContext, runInContext} from 'node:vm';
import hcl from '@cdktf/hcl2json';
import {describe, expect, test} from 'vitest';
import {parse as parseYaml} from 'yaml';
import {formatKeyRecord} from '../../../src/dkim/index.ts';
import {delegation, FORMATS} from '../../../src/dns/formats/index.ts';
import {recordForms} from '../../../src/dns/forms.ts';
import type {RecordForms} from '../../../src/dns/survey.ts';
import {fc} from '../../support/fast-check.ts';
import {dnsName} from '../world.ts';
import {readZoneFile} from '../zone-file.ts';

const run = promisify(execFile);
const apex = dnsName('example.org');
const name = dnsName('202611._domainkey.mail.example.org');

const publicKeys: readonly (readonly [string, 'rsa' | 'ed25519', () => KeyObject])[] = [
  ...[2048, 3072, 4096].map(
    bits =>
      [`RSA ${bits}`, 'rsa', () => generateKeyPairSync('rsa', {modulusLength: bits}).publicKey] as const,
  ),
  ['Ed25519', 'ed25519', () => generateKeyPairSync('ed25519').publicKey],
];

const values: readonly (readonly [string, string])[] = [
  ...publicKeys.map(
    ([title, algorithm, make]) =>
      [
        title,
        formatKeyRecord({
          algorithm,
          publicKey: make(),
          testMode: true,
          noSubdomains: true,
          note: `it's \${x} %{y}`,
        }),
      ] as const,
  ),
  ['quotes and backslashes', 'v=DKIM1; n=a "quote" and a \\ backslash; p='],
  ['nothing', ''],
];

const rendered = (id: string, forms: RecordForms): string => {
  const format = FORMATS.find(each => each.id === id);
  if (format === undefined) throw new TypeError(id);
  return format.render(forms);
};

/** Strings between quotes as Route 53 reads them: escapes in octal. */
const readOctal = (text: string): readonly string[] =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, inner = '']) =>
    Buffer.from(
      inner.replace(/\\([0-7]{3}|.)/g, (_all, code: string) =>
        code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : code,
      ),
      'latin1',
    ).toString(),
  );

const readZone = (text: string): readonly {name: string; strings: readonly string[]}[] =>
  readZoneFile(text).map(record => ({
    name: record.owner,
    strings: record.strings.map(each => Buffer.from(each).toString()),
  }));

/** The one block of a kind in a file of HCL. */
async function readHcl(text: string, block: string, kind: string): Promise<Record<string, unknown>> {
  const parsed: Record<string, Record<string, Record<string, Record<string, unknown>[]>>> = await hcl.parse(
    'record.tf',
    text,
  );
  const found = Object.values(parsed[block]?.[kind] ?? {}).flat();
  expect(found).toHaveLength(1);
  return found[0] ?? {};
}

/** The one string of a list. The parser leaves the doubled signs of a literal as they are; Terraform makes one of them. */
function literal(list: unknown): string {
  expect(list).toHaveLength(1);
  const [text] = Array.isArray(list) ? list : [];
  return String(text).replace(/([$%])\1(?=\{)/g, '$1');
}

/** Short pieces, no escape cut in two. */
const split = (text: string): readonly string[] => text.match(/(?:\\\d{3}|\\.|[^\\]){1,60}/g) ?? [''];

/** What each format says: owner, TTL where it has one, and the strings or the whole value. */
const READERS: Readonly<
  Record<string, (text: string) => Promise<{name: string; ttl: number; strings: readonly string[]}>>
> = {
  async route53(text) {
    const batch = JSON.parse(text);
    expect(batch.Changes).toHaveLength(1);
    const {Action, ResourceRecordSet: set} = batch.Changes[0];
    expect([Action, set.Type, set.ResourceRecords.length]).toEqual(['UPSERT', 'TXT', 1]);
    return {name: set.Name, ttl: set.TTL, strings: readOctal(set.ResourceRecords[0].Value)};
  },
  async terraform(text) {
    const zone = await readHcl(text, 'data', 'aws_route53_zone');
    expect(zone['name']).toBe('example.org.');
    const record = await readHcl(text, 'resource', 'aws_route53_record');
    expect(record['zone_id']).toBe(`\${data.aws_route53_zone.dkim_example_org.zone_id}`);
    const strings = readOctal(`"${literal(record['records'])}"`);
    return {name: String(record['name']), ttl: Number(record['ttl']), strings};
  },
  async 'terraform-dns'(text) {
    const record = await readHcl(text, 'resource', 'dns_txt_record_set');
    // The provider's parser of records cuts what is longer than a string may be, and so does this one by `split`.
    const whole = literal(record['txt']);
    const strings = split(whole).flatMap(part => readZone(`x.example. 1 IN TXT "${part}"`)[0]?.strings ?? []);
    return {name: `${record['name']}.${record['zone']}`, ttl: Number(record['ttl']), strings};
  },
  async octodns(text) {
    const [[owner, record] = ['', undefined]] = Object.entries<Record<string, unknown>>(parseYaml(text));
    const value = String(record?.['value']);
    expect(record?.['type']).toBe('TXT');
    // octoDNS refuses a bare semicolon.
    expect(value).not.toMatch(/(?<!\\);/);
    return {
      name: `${owner}.example.org.`,
      ttl: Number(record?.['ttl']),
      strings: [value.replaceAll('\\;', ';')],
    };
  },
  async dnscontrol(text) {
    const seen: {zone: string; name: string; value: string; ttl: number}[] = [];
    const context = createContext({
      TTL: (ttl: number) => ttl,
      TXT: (owner: string, value: string, ttl: number) => ({owner, value, ttl}),
      D_EXTEND: (zone: string, ...records: {owner: string; value: string; ttl: number}[]) => {
        for (const each of records) seen.push({zone, name: each.owner, value: each.value, ttl: each.ttl});
      },
    });
    // The language of dnscontrol's interpreter (ES5) had no trailing comma in calls; its own formatter leaves them out.
    runInContext(text, context);
    expect(seen).toHaveLength(1);
    const [one] = seen;
    return {name: `${one?.name}.${one?.zone}.`, ttl: one?.ttl ?? 0, strings: [one?.value ?? '']};
  },
  async powerdns(text) {
    const [set] = JSON.parse(text).rrsets;
    expect([set.type, set.changetype, set.records.length]).toEqual(['TXT', 'REPLACE', 1]);
    const [read] = readZone(`${set.name} ${set.ttl} IN TXT ${set.records[0].content}`);
    return {name: set.name, ttl: set.ttl, strings: read?.strings ?? []};
  },
  async pdnsutil(text) {
    // The shell itself takes the words apart.
    const {stdout} = await run('sh', ['-c', `pdnsutil() { printf '%s\\0' "$@"; }; ${text}`]);
    const [verb, zone, owner, type, ttl, content, ...rest] = stdout.split('\0');
    expect([verb, zone, type, rest]).toEqual(['replace-rrset', 'example.org', 'TXT', ['']]);
    const [read] = readZone(`${owner}.${zone}. ${ttl} IN TXT ${content}`);
    return {name: `${owner}.${zone}.`, ttl: Number(ttl), strings: read?.strings ?? []};
  },
  async genzone(text) {
    const [comment = '', ...lines] = text.split('\n');
    expect(comment).toMatch(/^;/);
    const [read] = readZone(lines.join('\n').replace(/^(\S+)\tIN/, '$1.example.org. 3600 IN'));
    return {name: read?.name ?? '', ttl: 3600, strings: read?.strings ?? []};
  },
};

/** Those whose program wants the value whole and cuts it itself. */
const CUT_BY_PROGRAM: readonly string[] = ['octodns', 'dnscontrol', 'terraform-dns'];

/** Readers that start a process or a large parser for each value. */
const SLOW: Readonly<Record<string, number>> = {terraform: 20, 'terraform-dns': 20, pdnsutil: 20};

test('every format has a reader', () => {
  expect(FORMATS.map(({id}) => id).toSorted()).toEqual(Object.keys(READERS).toSorted());
});

describe.each(FORMATS.map(({id}) => id))('%s', id => {
  test.each(values)('carries %s unharmed', async (_title, value) => {
    const read = await READERS[id]?.(rendered(id, recordForms({apex, name, value})));
    expect(read?.strings.join('')).toBe(value);
    expect(read?.name).toBe(`${name}.`);
    expect(read?.ttl).toBe(3600);
    if (!CUT_BY_PROGRAM.includes(id)) {
      for (const string of read?.strings ?? []) expect(Buffer.byteLength(string)).toBeLessThanOrEqual(255);
    }
  });

  test('carries any printable value', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({unit: 'grapheme-ascii', maxLength: 600}), async value => {
        const read = await READERS[id]?.(rendered(id, recordForms({apex, name, value})));
        expect(read?.strings.join('')).toBe(value);
      }),
      {numRuns: SLOW[id] ?? 200},
    );
  });
});

describe('delegation', () => {
  const forms = recordForms({apex, name, value: 'v=DKIM1; p=AAAA'});
  const of = (kind: 'cname' | 'dname' | 'ns', ...targets: readonly string[]) =>
    delegation(kind, forms, targets.map(dnsName));

  test('cname: an alias for the selector, the key at its end', () => {
    const text = of('cname', 'keys.example.net');
    expect(text).toMatchObject({ok: true});
    const lines = text.ok ? text.value.split('\n').filter(line => !line.startsWith(';')) : [];
    expect(lines).toEqual([
      '202611._domainkey.mail.example.org. 3600 IN CNAME 202611.mail.example.org.keys.example.net.',
      '202611.mail.example.org.keys.example.net. 3600 IN TXT "v=DKIM1; p=AAAA"',
    ]);
  });

  test('dname: the end of the alias is where the substitution leads (RFC 6672 section 2.2)', () => {
    const text = of('dname', 'keys.example.net');
    const lines = text.ok ? text.value.split('\n').filter(line => !line.startsWith(';')) : [];
    const [owner = '', , , , target = ''] = (lines[0] ?? '').split(' ');
    expect(`${name}.`.replace(owner, target)).toBe((lines[1] ?? '').split(' ')[0]);
  });

  test('ns: one record a server', () => {
    const text = of('ns', 'ns1.example.net', 'ns2.example.net');
    expect(text.ok && text.value.match(/IN NS/g)).toHaveLength(2);
  });

  test('needs a target, and none below itself', () => {
    expect(of('cname')).toMatchObject({ok: false, problem: {id: 'format.target'}});
    expect(of('dname', 'x._domainkey.mail.example.org')).toMatchObject({
      ok: false,
      problem: {id: 'format.target-within'},
    });
  });
});
