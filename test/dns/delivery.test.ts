import {expect, test} from 'vitest';
import {dmarcOutcome, dmarcStages, organizationalDomain} from '../../src/dns/dmarc.ts';
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
  const of = (table: Table): Promise<string> =>
    organizationalDomain(tablePorts(table), 'a.mail.example.co.uk', {});
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
