/** What is true of a record that is right: DNSSEC, aliases and cuts, other ways to the resolver, a firewall in between. */
import path from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import type {Policies} from '../../src/dns/policy.ts';
import type {Survey} from '../../src/dns/survey.ts';
import {VALUE} from './support/dns-cases.ts';
import type {DriverJob, DriverResult} from './support/dns-driver.ts';
import {
  ALL,
  BIND,
  DnsNet,
  head,
  KNOT,
  type LabZone,
  NSD,
  onAll,
  RESOLVER,
  type Server,
  serversZone,
  strings,
} from './support/dns-net.ts';
import {signedZone} from './support/dns-signed.ts';

const s1 = (apex: string): string => `s1._domainkey.${apex}`;
const record = (name: string): string => `${name}. 60 TXT ${strings(VALUE)}`;
const plain: readonly LabZone[] = [
  serversZone(),
  {
    apex: 'example.org',
    content: onAll([
      ...head('example.org', 1, ALL),
      record(s1('example.org')),
      `_domainkey.dname.example.org. DNAME keys.example.org.`,
      record('s1.keys.example.org'),
      `${s1('alias.example.org')}. CNAME org1.target.org.`,
      `_domainkey.cut.example.org. NS ${KNOT.name}.`,
      // Nothing is at _domainkey itself: an empty non-terminal, which some servers answer with NXDOMAIN.
      record('s1._domainkey.deep.down.example.org'),
    ]),
  },
  {
    apex: 'policy.org',
    content: onAll([
      ...head('policy.org', 1, ALL),
      '@ TXT "v=spf1 include:_spf.target.org mx -all"',
      '@ MX 10 mail.policy.org.',
      'mail A 192.0.2.25',
      '_dmarc TXT "v=DMARC1; p=quarantine; rua=mailto:dmarc@target.org,mailto:dmarc@example.org"',
    ]),
  },
  {
    apex: '2.0.192.in-addr.arpa',
    content: new Map<Server, string>([
      [
        NSD,
        `${[...head('2.0.192.in-addr.arpa', 1, [NSD]), '25 PTR mail.policy.org.', '26 PTR other.policy.org.'].join('\n')}\n`,
      ],
    ]),
  },
  {
    apex: 'target.org',
    content: new Map<Server, string>([
      [
        NSD,
        `${[...head('target.org', 9, [NSD, KNOT]), record('org1.target.org'), '_spf TXT "v=spf1 exists:%{i}.allow.%{d} -all"', '192.0.2.77.allow._spf A 127.0.0.2', 'policy.org._report._dmarc TXT "v=DMARC1;"'].join('\n')}\n`,
      ],
      [
        KNOT,
        `${[...head('target.org', 8, [NSD, KNOT]), '_spf TXT "v=spf1 exists:%{i}.allow.%{d} -all"', '192.0.2.77.allow._spf A 127.0.0.2', 'policy.org._report._dmarc TXT "v=DMARC1;"'].join('\n')}\n`,
      ],
    ]),
  },
  {
    apex: '_domainkey.cut.example.org',
    content: new Map([
      [
        KNOT,
        `${[...head('_domainkey.cut.example.org', 3, [KNOT]), record(s1('cut.example.org'))].join('\n')}\n`,
      ],
    ]),
  },
];

let net: DnsNet;

beforeAll(async () => {
  const day = 86_400;
  const signed = await Promise.all([
    signedZone('sound.org', [record(s1('sound.org'))], {from: 'now-3600', to: `now+${20 * day}`}),
    signedZone('soon.org', [record(s1('soon.org'))], {from: 'now-3600', to: `now+${day}`}),
    signedZone('expired.org', [record(s1('expired.org'))], {from: `now-${9 * day}`, to: `now-${day}`}),
    signedZone('bogus.org', [record(s1('bogus.org'))], {
      from: 'now-3600',
      to: `now+${20 * day}`,
      spoil: zone => zone.replace(/v=DKIM1(\\?;) k=rsa(\\?;) h/, 'v=DKIM1$1k=rsa$2  h'),
    }),
  ]);
  net = await DnsNet.start([...plain, ...signed]);
}, 120_000);

afterAll(() => net?.stop());

const surveyIn = (result: DriverResult | undefined): Survey => {
  if (result?.ok !== true || result.survey === undefined) throw new Error(JSON.stringify(result));
  return result.survey;
};

async function survey(name: string, more: Partial<DriverJob> = {}, where = {}): Promise<Survey> {
  const job: DriverJob = {kind: 'survey', resolver: RESOLVER, subjects: [{name, expected: VALUE}], ...more};
  return surveyIn((await net.drive(job, where))[0]);
}

test('DNSSEC as the resolver tells it: validated, insecure, bogus, expired, about to expire', async () => {
  const seen = async (apex: string): Promise<Survey> => survey(s1(apex), {askResolver: true});
  const sound = await seen('sound.org');
  expect(sound).toMatchObject({
    agreed: true,
    settled: true,
    resolver: 'matching',
    dnssec: {status: 'validated'},
  });
  expect(sound.dnssec?.mistake).toBeUndefined();
  const left = Date.parse(sound.dnssec?.expiresAt ?? '') - Date.now();
  expect(Math.round(left / 86_400_000)).toBe(20);
  expect((await seen('example.org')).dnssec).toEqual({status: 'insecure'});
  expect(await seen('soon.org')).toMatchObject({
    settled: true,
    dnssec: {status: 'validated', mistake: {id: 'dns.signature-expiring'}},
  });
  const bogus = {agreed: true, settled: false, resolver: 'failed'};
  expect(await seen('bogus.org')).toMatchObject({
    ...bogus,
    dnssec: {status: 'bogus', mistake: {id: 'dns.dnssec-bogus'}},
  });
  expect(await seen('expired.org')).toMatchObject({
    ...bogus,
    dnssec: {status: 'bogus', mistake: {id: 'dns.signature-expired'}},
    zone: {remarks: [{id: 'dns.zone-bogus'}]},
  });
});

test('a DNAME at _domainkey is followed and named', async () => {
  const seen = await survey(s1('dname.example.org'));
  expect(seen.agreed).toBe(true);
  expect(seen.servers.map(({alias, dname}) => [alias, dname])).toEqual(
    Array(3).fill(['s1.keys.example.org', '_domainkey.dname.example.org']),
  );
});

test('a CNAME: the servers of the target are rows of their own, and the one that lags is named', async () => {
  const seen = await survey(s1('alias.example.org'));
  expect(seen.agreed).toBe(false);
  expect(
    seen.targets?.map(({name, zone, servers}) => [name, zone.apex, servers.map(each => each.status)]),
  ).toEqual([['org1.target.org', 'target.org', ['matching', 'absent']]]);
  expect(seen.targets?.[0]?.servers.map(({serial}) => serial)).toEqual([9, 8]);
});

test('a _domainkey zone of its own, and a name below empty ones', async () => {
  const cut = await survey(s1('cut.example.org'));
  expect([cut.zone.apex, cut.agreed]).toEqual(['_domainkey.cut.example.org', true]);
  expect(cut.servers.map(each => each.server.name)).toEqual([KNOT.name]);
  const deep = await survey(s1('deep.down.example.org'));
  expect([deep.zone.apex, deep.agreed]).toEqual(['example.org', true]);
});

test('the resolver over TCP and over TLS; a certificate that is asked for has to be valid', async () => {
  const name = s1('sound.org');
  const asked = async (resolver: string, environment: readonly string[] = []): Promise<string> => {
    const job: DriverJob = {kind: 'survey', resolver, subjects: [{name, expected: VALUE}], askResolver: true};
    const [result] = await net.drive(job, {environment});
    return result?.ok === true ? (result.survey?.resolver ?? '') : (result?.problem.id ?? '');
  };
  const trusted = [`NODE_EXTRA_CA_CERTS=${path.join(net.directory, 'tls.pem')}`];
  expect(await asked(`tcp:${RESOLVER}`)).toBe('matching');
  expect(await asked(`tls:${RESOLVER}`)).toBe('matching');
  expect(await asked(`tls:${RESOLVER}#dns.servers.org`, trusted)).toBe('matching');
  expect(await asked(`tls:${RESOLVER}#dns.servers.org`)).toBe('dns.no-resolver');
  expect(await asked(`tls:${RESOLVER}#other.servers.org`, trusted)).toBe('dns.no-resolver');
});

test('a host that may not reach port 53 asks its resolver, and says what that is worth', async () => {
  const behind = await net.firewalled();
  const seen = await survey(s1('example.org'), {}, {behind});
  expect(seen).toMatchObject({
    agreed: false,
    settled: false,
    resolver: 'matching',
    weaker: {id: 'dns.port-blocked'},
  });
  expect(seen.servers.map(each => each.status)).toEqual(['timeout', 'timeout', 'timeout']);
  expect(seen.zone.remarks.map(remark => remark.id)).toEqual(['dns.zone-unverified']);
});

test('a watch over a record that is everywhere settles in its first rounds, serials included', async () => {
  const before = await survey(s1('example.org'));
  const added = [BIND, NSD, KNOT].map(each => each.name);
  expect(before.servers.map(each => each.server.name)).toEqual(added);
  const begun = Date.now();
  const settled = surveyIn(
    (
      await net.drive({
        kind: 'watch',
        resolver: RESOLVER,
        subjects: [{name: s1('example.org'), expected: VALUE}],
        deadlineMs: 20_000,
      })
    )[0],
  );
  expect(settled).toMatchObject({agreed: true, settled: true, dnssec: {status: 'insecure'}});
  expect(settled.servers.map(each => each.serial)).toEqual([1, 1, 1]);
  // Its rounds begin within the first seconds; what is not settled by then goes on to the deadline.
  expect(Date.now() - begun).toBeLessThan(15_000);
});

test('SPF, DMARC, reports, MX and PTR of a host, from real zones through a real resolver', async () => {
  const findingsOf = async (address: string): Promise<readonly string[]> => {
    const subjects = [{name: 'policy.org', expected: ''}];
    const [result] = await net.drive({kind: 'policies', resolver: RESOLVER, subjects, addresses: [address]});
    if (result?.ok !== true) throw new Error(JSON.stringify(result));
    const {findings} = result.policies as Policies;
    expect(findings.every(each => each.evidence !== '')).toBe(true);
    return findings.map(({id}) => id);
  };
  const reports = ['dmarc.reports-allowed', 'dmarc.reports-refused'];
  expect(await findingsOf('192.0.2.25')).toEqual(['spf.pass', 'dmarc.pass', ...reports, 'ptr.sound']);
  expect(await findingsOf('192.0.2.26')).toEqual([
    'spf.fail',
    'dmarc.one-leg',
    ...reports,
    'ptr.unconfirmed',
  ]);
  // By a macro in the included record.
  expect(await findingsOf('192.0.2.77')).toEqual(['spf.pass', 'dmarc.pass', ...reports, 'ptr.missing']);
});
