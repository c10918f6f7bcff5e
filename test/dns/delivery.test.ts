import {expect, test} from 'vitest';
import {dmarcNames, dmarcOutcome, dmarcStages, walkTree} from '../../src/dns/dmarc.ts';
import {type Policies, readPolicies} from '../../src/dns/policy.ts';
import type {SpfVerdict} from '../../src/dns/spf.ts';
import {parseDomain} from '../../src/domain/names.ts';
import {type Table, tablePorts} from './table.ts';

const domain = (text: string) => {
  const parsed = parseDomain(text);
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return parsed.value;
};

const SOUND: Table = {
  'example.org TXT': ['v=spf1 mx -all'],
  'example.org MX': ['10 mail.example.org'],
  'mail.example.org A': ['203.0.113.25'],
  '25.113.0.203.in-addr.arpa PTR': ['mail.example.org'],
  '_dmarc.example.org TXT': ['v=DMARC1; p=reject; rua=mailto:d@reports.net'],
  'example.org._report._dmarc.reports.net TXT': ['v=DMARC1;'],
};

const read = (table: Table, address = '203.0.113.25'): Promise<Policies> =>
  readPolicies(tablePorts({...SOUND, ...table}), domain('example.org'), {
    addresses: [address],
    hostname: 'mail.example.org',
  });

const failing = ({findings}: Policies): readonly string[] =>
  findings.filter(each => each.status !== 'pass').map(each => each.id);

test('a host with everything in order passes, and each finding has its evidence', async () => {
  const {findings, host, stages} = await read({});
  expect(findings.map(({id, status}) => [id, status])).toEqual([
    ['spf.pass', 'pass'],
    ['dmarc.pass', 'pass'],
    ['dmarc.reports-allowed', 'pass'],
    ['ptr.sound', 'pass'],
  ]);
  expect(findings.every(each => each.evidence !== '')).toBe(true);
  expect(findings[0]?.evidence).toBe('v=spf1 mx -all; decided by mx > mail.example.org; 1 of 10 lookups');
  expect(host?.dmarc).toEqual([{dkimAligns: true, spfAligns: true, result: 'pass', disposition: 'reject'}]);
  expect(stages).toEqual([]);
});

test.each<[string, Table, readonly string[]]>([
  ['spf of another host', {'example.org TXT': ['v=spf1 ip4:198.51.100.1 -all']}, ['spf.fail']],
  ['no spf', {'example.org TXT': []}, ['spf.none']],
  ['spf in error', {'example.org TXT': ['v=spf1 oops -all']}, ['spf.permerror']],
  ['reports refused', {'example.org._report._dmarc.reports.net TXT': []}, ['dmarc.reports-refused']],
  ['no PTR', {'25.113.0.203.in-addr.arpa PTR': []}, ['ptr.missing']],
  [
    'a PTR that does not lead back',
    {'25.113.0.203.in-addr.arpa PTR': ['static-25.isp.net']},
    ['ptr.unconfirmed'],
  ],
  [
    'a PTR with another name',
    {'25.113.0.203.in-addr.arpa PTR': ['static-25.isp.net'], 'static-25.isp.net A': ['203.0.113.25']},
    ['ptr.other-name'],
  ],
  ['no MX', {'example.org MX': [], 'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all']}, ['mx.missing']],
  ['null MX', {'example.org MX': ['0 .'], 'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all']}, ['mx.null']],
  [
    'MX to nowhere',
    {'example.org MX': ['10 gone.example.org'], 'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all']},
    ['mx.no-address'],
  ],
  [
    'MX to another host',
    {
      'example.org MX': ['10 alias.example.org'],
      'alias.example.org A': ['203.0.113.1'],
      'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all'],
    },
    [],
  ],
  [
    'MX to an address',
    {'example.org MX': ['10 203.0.113.25'], 'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all']},
    ['mx.address'],
  ],
])('%s', async (_, table, ids) => {
  expect(failing(await read(table))).toEqual(ids);
});

test('an MX that is an alias', async () => {
  const table: Table = {
    'example.org MX': ['10 alias.example.org'],
    'example.org TXT': ['v=spf1 ip4:203.0.113.25 -all'],
    'alias.example.org CNAME': ['mail.example.org'],
  };
  const ports = tablePorts({...SOUND, ...table});
  const udp = ports.dns.udp.bind(ports.dns);
  const {encode, decode} = await import('dns-packet');
  const withAlias = {
    ...ports,
    dns: {
      ...ports.dns,
      udp: async (...[server, query, exchange]: Parameters<typeof udp>) => {
        const asked = decode(Buffer.from(query));
        const [question] = asked.questions ?? [];
        if (question?.name.toLowerCase() !== 'alias.example.org') return udp(server, query, exchange);
        return encode({
          type: 'response',
          id: asked.id ?? 0,
          flags: 0x8180,
          questions: [question],
          answers: [
            {type: 'CNAME', name: question.name, ttl: 60, data: 'mail.example.org'},
            {type: 'A', name: 'mail.example.org', ttl: 60, data: '203.0.113.25'},
          ],
        });
      },
    },
  };
  const {findings} = await readPolicies(withAlias, domain('example.org'), {addresses: ['203.0.113.25']});
  expect(findings.filter(each => each.status !== 'pass').map(each => each.id)).toEqual(['mx.alias']);
});

test('a private address is not judged', async () => {
  expect(failing(await read({}, '192.168.1.5'))).toEqual(['spf.fail', 'address.private']);
});

test('the way to a stricter policy keeps what is there', () => {
  const values = (record: string | undefined): readonly string[] =>
    dmarcStages(domain('example.org'), record).map(({stage, value}) => `${stage}: ${value}`);
  expect(values(undefined)).toEqual([
    'none: v=DMARC1; p=none; rua=mailto:postmaster@example.org',
    'quarantine: v=DMARC1; p=quarantine; rua=mailto:postmaster@example.org',
    'reject: v=DMARC1; p=reject; rua=mailto:postmaster@example.org',
  ]);
  expect(values('v=DMARC1; p=none; sp=reject; pct=50; rua=mailto:a@b.net')).toEqual([
    'quarantine: v=DMARC1; p=quarantine; sp=reject; rua=mailto:a@b.net',
    'reject: v=DMARC1; p=reject; sp=reject; rua=mailto:a@b.net',
  ]);
  expect(values('v=DMARC1; p=reject')).toEqual([]);
});

test('the organizational domain by the tree walk', async () => {
  const of = async (table: Table): Promise<string> =>
    (await walkTree(tablePorts(table), 'a.mail.example.co.uk', {})).organization;
  expect(await of({})).toBe('a.mail.example.co.uk');
  expect(await of({'_dmarc.example.co.uk TXT': ['v=DMARC1; p=none']})).toBe('example.co.uk');
  expect(
    await of({
      '_dmarc.co.uk TXT': ['v=DMARC1; p=none; psd=y'],
      '_dmarc.mail.example.co.uk TXT': ['v=DMARC1; p=none'],
    }),
  ).toBe('example.co.uk');
  expect(
    await of({
      '_dmarc.mail.example.co.uk TXT': ['v=DMARC1; p=none; psd=n'],
      '_dmarc.example.co.uk TXT': ['v=DMARC1; p=none'],
    }),
  ).toBe('mail.example.co.uk');
  expect(await of({'_dmarc.uk TXT': ['v=DMARC1; p=none; psd=y']})).toBe('co.uk');
  expect(
    await of({'_dmarc.example.co.uk TXT': ['v=DMARC1; p=none', 'v=DMARC1; p=reject']}),
    'several are none',
  ).toBe('a.mail.example.co.uk');
});

test('the walk takes eight lookups at most, the last of them at the top', () => {
  expect(dmarcNames('a.example.org')).toEqual(['_dmarc.a.example.org', '_dmarc.example.org', '_dmarc.org']);
  const deep = dmarcNames('j.i.h.g.f.e.d.c.b.a');
  expect(deep).toHaveLength(8);
  expect([deep[1], deep.at(-1)]).toEqual(['_dmarc.g.f.e.d.c.b.a', '_dmarc.a']);
});

const policyOf = (table: Table): Promise<Policies> =>
  readPolicies(tablePorts(table), domain('a.mail.example.org'), {addresses: ['203.0.113.25']});

test('the policy is that of the domain or of its organization, not one between them', async () => {
  const table: Table = {
    '_dmarc.mail.example.org TXT': ['v=DMARC1; p=none; rua=mailto:a@example.org'],
    '_dmarc.example.org TXT': ['v=DMARC1; p=reject; rua=mailto:a@example.org'],
  };
  const {dmarc, stages, host} = await policyOf(table);
  expect(dmarc).toMatchObject({foundAt: '_dmarc.example.org', remarks: []});
  expect(host?.dmarc[0]?.disposition).toBe('reject');
  expect(stages, 'nothing weaker than what counts already').toEqual([]);
  const own = {'_dmarc.a.mail.example.org TXT': ['v=DMARC1; p=quarantine; rua=mailto:a@example.org']};
  expect((await policyOf({...table, ...own})).dmarc.foundAt).toBe('_dmarc.a.mail.example.org');
  const suffix = {'_dmarc.org TXT': ['v=DMARC1; p=none; sp=quarantine; psd=y; rua=mailto:a@org.org']};
  expect((await policyOf(suffix)).host?.dmarc[0]?.disposition).toBe('quarantine');
});

test('a resolver that does not tell of the domain itself is not asked for those above', async () => {
  const ports = tablePorts({'_dmarc.a.mail.example.org TXT': 'servfail'});
  const {dmarc} = await readPolicies(ports, domain('a.mail.example.org'), {});
  expect(dmarc.remarks.map(({id}) => id)).toEqual(['dmarc.unknown']);
  expect(ports.asked.filter(each => each.startsWith('_dmarc.mail'))).toEqual([]);
});

test('below a record that counts for it, a domain gets only the stages that go further', async () => {
  const {stages} = await policyOf({
    '_dmarc.example.org TXT': ['v=DMARC1; p=reject; sp=quarantine; adkim=s; rua=mailto:a@example.org'],
  });
  expect(stages.map(({name, value}) => `${name} ${value}`)).toEqual([
    '_dmarc.a.mail.example.org v=DMARC1; p=reject; adkim=s; rua=mailto:a@example.org',
  ]);
});

test('t=y makes a policy the next weaker one, and the stages go on from there', () => {
  const record = 'v=DMARC1; p=reject; t=y; rua=mailto:a@b.net';
  expect(
    dmarcOutcome({
      ...{domain: domain('example.org'), record, inherited: false, organization: 'example.org'},
      ...{signingDomain: undefined, spf: undefined, senderDomain: 'example.org'},
    }).disposition,
  ).toBe('quarantine');
  expect(dmarcStages(domain('example.org'), record).map(({value}) => value)).toEqual([
    'v=DMARC1; p=reject; rua=mailto:a@b.net',
  ]);
});

test('addresses for reports that no name can have are named, and nobody is asked about them', async () => {
  const hosts = [`${'x'.repeat(64)}.net`, 'a..net', 'ex%mple.net', 'net', `${'abcdefgh.'.repeat(30)}net`];
  const record = `v=DMARC1; p=reject; rua=${hosts.map(host => `mailto:d@${host}`).join(',')},d@example.net`;
  const ports = tablePorts({...SOUND, '_dmarc.example.org TXT': [record]});
  const {dmarc} = await readPolicies(ports, domain('example.org'), {});
  expect(dmarc.remarks.map(({id}) => id)).toEqual(['dmarc.report-address']);
  expect(ports.asked.filter(each => each.includes('_report'))).toEqual([]);
});

test('alignment: relaxed within the organization, strict the very domain', () => {
  const spf = {result: 'pass'} as SpfVerdict;
  const outcome = (record: string, signingDomain: string | undefined, senderDomain: string) =>
    dmarcOutcome({
      domain: domain('news.example.org'),
      record,
      inherited: true,
      organization: 'example.org',
      signingDomain,
      spf,
      senderDomain,
    });
  const relaxed = 'v=DMARC1; p=reject; sp=quarantine';
  expect(outcome(relaxed, 'example.org', 'example.net')).toEqual({
    dkimAligns: true,
    spfAligns: false,
    result: 'pass',
    disposition: 'quarantine',
  });
  expect(outcome(`${relaxed}; adkim=s`, 'example.org', 'example.net')).toMatchObject({
    dkimAligns: false,
    result: 'fail',
  });
  expect(outcome(`${relaxed}; adkim=s`, 'news.example.org', 'example.net')).toMatchObject({dkimAligns: true});
  expect(outcome(`${relaxed}; aspf=s`, undefined, 'example.org')).toMatchObject({
    spfAligns: false,
    result: 'fail',
  });
  expect(outcome(relaxed, undefined, 'bounce.example.org')).toMatchObject({spfAligns: true, result: 'pass'});
  expect(outcome(relaxed, 'notexample.org', 'example.net')).toMatchObject({
    dkimAligns: false,
    result: 'fail',
  });
});
