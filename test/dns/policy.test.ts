import {expect, test} from 'vitest';
import {demoZones} from '../../src/demo/dns.ts';
import {type Policies, readPolicies} from '../../src/dns/policy.ts';
import {parseDomain} from '../../src/domain/names.ts';
import {world} from './world.ts';

async function policies(
  domain: string,
  texts: Readonly<Record<string, readonly string[]>>,
): Promise<Policies> {
  const records = Object.entries(texts).flatMap(([name, values]) =>
    values.map(value => ({name, ttl: 60, type: 'TXT' as const, data: [value]})),
  );
  await using net = await world({
    zones: demoZones.map(zone =>
      zone.apex === 'example.org'
        ? {...zone, records: [...zone.records.filter(record => record.type !== 'TXT'), ...records]}
        : zone,
    ),
  });
  const parsed = parseDomain(domain);
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return await readPolicies(net.ports, parsed.value, {});
}

const ids = (remarks: readonly {readonly id: string}[]): readonly string[] =>
  remarks.map(remark => remark.id);

test('a domain with neither gets a DMARC record proposed that turns nothing away', async () => {
  const {spf, dmarc} = await policies('example.org', {});
  expect([spf.record, ids(spf.remarks)]).toEqual([undefined, ['spf.missing']]);
  expect(dmarc).toMatchObject({
    record: undefined,
    proposal: {name: '_dmarc.example.org', value: 'v=DMARC1; p=none; rua=mailto:postmaster@example.org'},
  });
  expect(ids(dmarc.remarks)).toEqual(['dmarc.missing']);
});

test('sound records are read without a remark', async () => {
  const spf = 'v=spf1 mx include:_spf.example.net -all';
  const dmarc = 'v=DMARC1; p=reject; rua=mailto:d@example.org';
  const read = await policies('example.org', {
    'example.org': [spf, 'verification=1', 'v=spf10 -all'],
    '_dmarc.example.org': [dmarc],
  });
  expect(read.spf).toEqual({record: spf, remarks: []});
  expect(read.dmarc).toEqual({
    record: dmarc,
    foundAt: '_dmarc.example.org',
    proposal: undefined,
    remarks: [],
  });
});

test('a subdomain comes under the record of the domain above, and its sp=', async () => {
  const {dmarc} = await policies('mail.example.org', {
    '_dmarc.example.org': ['v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org'],
  });
  expect(dmarc.foundAt).toBe('_dmarc.example.org');
  expect(ids(dmarc.remarks)).toEqual(['dmarc.none']);
});

test.each([
  ['spf.several', {'example.org': ['v=spf1 -all', 'v=spf1 mx -all']}],
  ['spf.everybody', {'example.org': ['v=spf1 +all']}],
  ['spf.no-end', {'example.org': ['v=spf1 mx']}],
  ['spf.no-end', {'example.org': ['v=spf1 mx ?all']}],
  ['spf.lookups', {'example.org': [`v=spf1 ${'include:a.example.net '.repeat(11)}-all`]}],
  [
    'spf.lookups',
    {
      'example.org': ['v=spf1 include:a.example.org -all'],
      'a.example.org': [`v=spf1 ${'a:b.example.net '.repeat(10)}-all`],
    },
  ],
  ['spf.ptr', {'example.org': ['v=spf1 ptr -all']}],
  ['dmarc.several', {'_dmarc.example.org': ['v=DMARC1; p=none', 'v=DMARC1; p=reject']}],
  ['dmarc.none', {'_dmarc.example.org': ['v=DMARC1; p=none; rua=mailto:a@example.org']}],
  ['dmarc.policy', {'_dmarc.example.org': ['v=DMARC1; p=rejct; rua=mailto:a@example.org']}],
  ['dmarc.policy', {'_dmarc.example.org': ['v=DMARC1; rua=mailto:a@example.org']}],
  ['dmarc.test-mode', {'_dmarc.example.org': ['v=DMARC1; p=reject; t=y; rua=mailto:a@example.org']}],
  ['dmarc.report-address', {'_dmarc.example.org': ['v=DMARC1; p=reject; rua=a@example.org']}],
  ['dmarc.no-reports', {'_dmarc.example.org': ['v=DMARC1; p=reject']}],
  ['dmarc.strict', {'_dmarc.example.org': ['v=DMARC1; p=reject; adkim=s; rua=mailto:a@example.org']}],
])('%s is remarked', async (id, texts: Record<string, string[]>) => {
  const {spf, dmarc} = await policies('example.org', texts);
  expect(ids(id.startsWith('spf') ? spf.remarks : dmarc.remarks)).toEqual([id]);
});

test('a resolver that does not answer is a remark, not an error', async () => {
  await using net = await world({misbehave: () => 'refuse'});
  const domain = parseDomain('example.org');
  if (!domain.ok) throw new TypeError(domain.problem.message);
  const {spf, dmarc} = await readPolicies(net.ports, domain.value, {});
  expect([ids(spf.remarks), ids(dmarc.remarks), dmarc.proposal]).toEqual([
    ['spf.unknown'],
    ['dmarc.unknown'],
    undefined,
  ]);
});
