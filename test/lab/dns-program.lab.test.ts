/**
 * The built program against BIND, NSD, Knot and unbound: what it shows and reports is what the DNS room knows. Needs a
 * build (`npm run build`, or WAXSEAL_DIST).
 */
import {mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {afterAll, beforeAll, expect, test} from 'vitest';
import {formatState, type KeyEntry, newEntry} from '../../src/rotation/index.ts';
import {CASES, VALUE} from './support/dns-cases.ts';
import {
  ALL,
  DnsNet,
  head,
  type LabZone,
  onAll,
  RESOLVER,
  serversZone,
  strings,
  TCP_RESOLVER,
} from './support/dns-net.ts';
import {signedZone} from './support/dns-signed.ts';
import type {Outcome} from './support/process.ts';

const PROGRAM = path.join(
  process.env['WAXSEAL_DIST'] || path.resolve(import.meta.dirname, '../../dist'),
  'waxseal.js',
);
const plain: readonly LabZone[] = [
  serversZone(),
  {
    apex: 'example.org',
    content: onAll([
      ...head('example.org', 1, ALL),
      `s1._domainkey.example.org. TXT ${strings(VALUE)}`,
      ...CASES.flatMap(each => each.lines),
    ]),
  },
  {
    apex: 'policy.org',
    content: onAll([
      ...head('policy.org', 1, ALL),
      `s1._domainkey.policy.org. TXT ${strings(VALUE)}`,
      '@ TXT "v=spf1 mx +all"',
      '@ MX 10 nowhere.policy.org.',
      '_dmarc TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.org"',
    ]),
  },
];

let net: DnsNet;

beforeAll(async () => {
  const sound = await signedZone('sound.org', [`s1._domainkey.sound.org. 60 TXT ${strings(VALUE)}`], {
    from: 'now-3600',
    to: 'now+1728000',
  });
  net = await DnsNet.start([...plain, sound]);
}, 120_000);

afterAll(() => net?.stop());

const waxseal = (argv: readonly string[], environment: readonly string[] = []): Promise<Outcome> =>
  net.run(['env', ...environment, process.execPath, PROGRAM, ...argv]);

test('--resolver over UDP, TCP and TLS, through the built program', async () => {
  const trusted = `NODE_EXTRA_CA_CERTS=${path.join(net.directory, 'tls.pem')}`;
  const check = async (resolver: string, environment: readonly string[] = []): Promise<number | null> => {
    const argv = ['check', '--dns', '--domain', 'example.org', '--selector', 's1', '--resolver', resolver];
    return (await waxseal(argv, environment)).status;
  };
  expect(await check(RESOLVER)).toBe(0);
  expect(await check(`udp:${RESOLVER}:53`)).toBe(0);
  expect(await check(`tcp:${RESOLVER}`)).toBe(0);
  expect(await check(`tls:${RESOLVER}`)).toBe(0);
  expect(await check(`tls:${RESOLVER}#dns.servers.org`, [trusted])).toBe(0);
  expect(await check(`tls:${RESOLVER}#dns.servers.org`)).toBe(4);
  expect(await check(`tls:${RESOLVER}#other.servers.org`, [trusted])).toBe(4);
  // Nobody hears UDP there.
  expect(await check(TCP_RESOLVER)).toBe(4);
  expect(await check(`tcp:${TCP_RESOLVER}`)).toBe(0);
  // The second is asked where the first does not answer.
  const both = ['--resolver', TCP_RESOLVER, '--resolver', `tls:${RESOLVER}`];
  const argv = ['check', '--dns', '--domain', 'example.org', '--selector', 's1', ...both];
  expect((await waxseal(argv)).status).toBe(0);
  const wrong = await waxseal(['status', '--resolver', 'dot:192.0.2.1']);
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('--resolver tls:192.0.2.53#dns')]);
});

interface Document {
  readonly checks: readonly {
    readonly id: string;
    readonly status: string;
    readonly title: string;
    readonly cause: string;
    readonly fix: string;
  }[];
  readonly advice: readonly {readonly id: string; readonly status: string; readonly evidence: string}[];
}

const documentOf = (outcome: Outcome): Document => JSON.parse(outcome.stdout) as Document;

/** Keys as an earlier run has left them in the state file: what ought to be published, and what was before. */
function keysOf(): readonly KeyEntry[] {
  const entry = (
    domain: string,
    selector: string,
    name: string,
    value: string,
    evidence: Parameters<typeof newEntry>[1],
  ): KeyEntry =>
    newEntry(
      {
        ...{domain, selector, algorithm: 'rsa', bits: 2048},
        record: {name, zone: 'example.org', relativeName: name.slice(0, -'.example.org'.length), value},
      } as unknown as Parameters<typeof newEntry>[0],
      evidence,
      new Date(),
    );
  return CASES.flatMap(({subject}) => {
    const [selector = '', domain = ''] = subject.name.split('._domainkey.');
    const former = [
      ...(subject.formerNames ?? []).map(name => [name, 'v=DKIM1; p=AAAA'] as const),
      ...(subject.formerValues ?? []).map(value => [`former._domainkey.${domain}`, value] as const),
    ];
    return [
      entry(domain, selector, subject.name, subject.expected, {kind: 'adopted', from: 'the lab'}),
      ...former.map(([name, value]) =>
        entry(domain, name.split('.')[0] ?? '', name, value, {kind: 'self-test', fingerprint: ''}),
      ),
    ];
  });
}

test('waxseal check --dns names every mistake by its id, from the keys of the state file', async () => {
  const root = await mkdtemp(path.join(tmpdir(), 'waxseal-state-'));
  try {
    const directory = path.join(root, 'var/lib/waxseal');
    await mkdir(directory, {recursive: true, mode: 0o700});
    await writeFile(path.join(directory, 'state.json'), formatState({keys: keysOf()}), {mode: 0o600});
    const outcome = await waxseal(['check', '--dns', '--root', root, '--resolver', RESOLVER, '--json']);
    expect(outcome.status, outcome.stderr).toBe(4);
    const {checks, advice} = documentOf(outcome);
    const told = new Map(checks.map(({title, id, status}) => [title, `${id} ${status}`]));
    const rows = CASES.map(({id, subject}) => `${id}: ${told.get(`Record ${subject.name}`)}`);
    expect(rows).toEqual(CASES.map(({id, works}) => `${id}: ${id} ${works === true ? 'warn' : 'fail'}`));
    expect(checks.every(({cause, fix}) => cause !== '' && fix !== '')).toBe(true);
    // Too many domains to read their policies, too.
    expect(advice).toEqual([]);
  } finally {
    await rm(root, {recursive: true, force: true});
  }
});

test('SPF, DMARC and MX come on top as advice, with their evidence and the stages ahead', async () => {
  const argv = ['check', '--dns', '--domain', 'policy.org', '--selector', 's1', '--resolver', RESOLVER];
  const outcome = await waxseal([...argv, '--json']);
  expect(outcome.status, outcome.stderr).toBe(0);
  const {advice} = documentOf(outcome);
  expect(advice.map(({id, status}) => `${id} ${status}`)).toEqual([
    'spf.everybody warn',
    'dmarc.none warn',
    'dmarc.reports-refused warn',
    'mx.no-address warn',
    'dmarc.stage-quarantine skip',
    'dmarc.stage-reject skip',
  ]);
  expect(advice.at(-1)?.evidence).toBe(
    '_dmarc.policy.org TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"',
  );
  const lines = (await waxseal(argv)).stdout;
  expect(lines).toContain('Advice beside DKIM:');
  expect(lines).toContain('v=spf1 mx +all');
});

test('behind a firewall that lets nothing but the resolver through: a warning that says so', async () => {
  const behind = await net.firewalled();
  const argv = [
    'check',
    '--dns',
    '--domain',
    'example.org',
    '--selector',
    's1',
    '--resolver',
    RESOLVER,
    '--json',
  ];
  const outcome = await net.run([
    'nsenter',
    `--net=/run/netns/${behind}`,
    process.execPath,
    PROGRAM,
    ...argv,
  ]);
  expect(outcome.status, outcome.stderr).toBe(0);
  console.log(`behind the firewall: ${(outcome.milliseconds / 1000).toFixed(1)} s`);
  expect(documentOf(outcome).checks).toMatchObject([{id: 'dns.port-blocked', status: 'warn'}]);
});
