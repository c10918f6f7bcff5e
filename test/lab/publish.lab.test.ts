/**
 * Publishing for real: BIND and Knot by dynamic update with TSIG, PowerDNS by update and by its API through lexicon, a
 * hook; each verified on the servers as a setup does it. Needs bind9, knot, pdns-server, lexicon and their tools.
 */
import type {ChildProcess} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {chmod, mkdir, mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';
import {afterAll, beforeAll, describe, expect, test} from 'vitest';
import {FORMATS} from '../../src/dns/formats/index.ts';
import {recordForms} from '../../src/dns/forms.ts';
import {dnsName} from '../dns/world.ts';
import {describeOutcome, must, type Outcome, run, startServer, stopServer, until} from './support/process.ts';
import type {PublishJob, PublishOutcome} from './support/publish-driver.ts';

const namespace = `wxpub${process.pid}`;
const BIND = '10.55.1.1';
const KNOT = '10.55.1.2';
const PDNS = '10.55.1.3';
const RESOLVER = '10.55.0.53';
const ZONES = {'bind.test': BIND, 'knot.test': KNOT, 'pdns.example.net': PDNS, 'cust.test': BIND} as const;
const SECRET = randomBytes(32).toString('base64');
const API_KEY = randomBytes(12).toString('hex');
const children: ChildProcess[] = [];
let directory: string;
let bindKey: string;
let knotKey: string;

const inside = (argv: readonly string[]): readonly string[] => [
  'nsenter',
  `--net=/run/netns/${namespace}`,
  '--',
  ...argv,
];
const within = (argv: readonly string[], input?: string): Promise<Outcome> =>
  run(inside(argv), {timeoutMs: 60_000, ...(input === undefined ? {} : {input})});

async function put(name: string, lines: readonly string[], mode = 0o644): Promise<string> {
  const file = path.join(directory, name);
  await writeFile(file, `${lines.join('\n')}\n`);
  await chmod(file, mode);
  return file;
}

const zoneLines = (apex: string, address: string, ...more: readonly string[]): readonly string[] => [
  `${apex}. 60 IN SOA ns.${apex}. hostmaster.${apex}. 1 3600 600 86400 30`,
  `${apex}. 60 IN NS ns.${apex}.`,
  `ns.${apex}. 60 IN A ${address}`,
  ...more,
];

function launch(name: string, argv: readonly string[]): void {
  children.push(startServer(inside(argv), path.join(directory, `${name}.log`)));
}

async function startBind(): Promise<void> {
  const zone = await put('bind.test.zone', zoneLines('bind.test', BIND));
  const alias = '_domainkey.cust.test. 60 IN DNAME cust.keys.bind.test.';
  const custom = await put('cust.test.zone', zoneLines('cust.test', BIND, alias));
  const file = await put('named.conf', [
    `options { directory "${directory}"; listen-on { ${BIND}; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; };`,
    'controls { };',
    `key "waxseal" { algorithm hmac-sha256; secret "${SECRET}"; };`,
    `zone "bind.test" { type primary; file "${zone}"; update-policy { grant waxseal zonesub TXT; }; };`,
    `zone "cust.test" { type primary; file "${custom}"; };`,
  ]);
  launch('named', ['named', '-f', '-c', file]);
}

async function startKnot(): Promise<void> {
  const zone = await put('knot.test.zone', zoneLines('knot.test', KNOT));
  await mkdir(path.join(directory, 'knot'));
  const file = await put('knot.conf', [
    `server:\n  listen: ${KNOT}@53\n  rundir: ${directory}/knot`,
    `database:\n  storage: ${directory}/knot`,
    `key:\n  - id: waxseal\n    algorithm: hmac-sha256\n    secret: ${SECRET}`,
    'acl:\n  - id: update\n    key: waxseal\n    action: update',
    `zone:\n  - domain: knot.test\n    file: ${zone}\n    acl: update`,
  ]);
  launch('knot', ['knotd', '-c', file]);
}

async function startPowerdns(): Promise<void> {
  const database = path.join(directory, 'pdns.sqlite3');
  const schema = await readFile('/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql', 'utf8');
  await must(['sqlite3', database, schema]);
  const file = await put('pdns.conf', [
    'launch=gsqlite3',
    `gsqlite3-database=${database}`,
    `local-address=${PDNS}`,
    `socket-dir=${directory}`,
    'dnsupdate=yes',
    'allow-dnsupdate-from=10.55.0.0/16',
    'api=yes',
    `api-key=${API_KEY}`,
    `webserver-address=${PDNS}`,
    'webserver-allow-from=10.55.0.0/16',
    'security-poll-suffix=',
    'guardian=no',
    'daemon=no',
    // Answers are kept for twenty seconds by default.
    'cache-ttl=0',
    'query-cache-ttl=0',
    'negquery-cache-ttl=0',
  ]);
  expect(path.basename(file)).toBe('pdns.conf');
  const zone = await put('pdns.zone', zoneLines('pdns.example.net', PDNS));
  const util = (...argv: readonly string[]) =>
    must(inside(['pdnsutil', `--config-dir=${directory}`, ...argv]));
  await util('load-zone', 'pdns.example.net', zone);
  await util('import-tsig-key', 'waxseal', 'hmac-sha256', SECRET);
  await util('set-meta', 'pdns.example.net', 'TSIG-ALLOW-DNSUPDATE', 'waxseal');
  launch('pdns', ['pdns_server', `--config-dir=${directory}`]);
}

async function startResolver(): Promise<void> {
  const file = await put('unbound.conf', [
    'server:',
    `  interface: ${RESOLVER}`,
    '  access-control: 0.0.0.0/0 allow',
    '  do-not-query-localhost: no',
    '  username: ""',
    '  chroot: ""',
    '  pidfile: ""',
    '  use-syslog: no',
    '  module-config: "iterator"',
    '  local-zone: "test." nodefault',
    '  do-ip6: no',
    'remote-control:\n  control-enable: no',
    ...Object.entries(ZONES).flatMap(([zone, address]) => [
      'stub-zone:',
      `  name: "${zone}"`,
      `  stub-addr: ${address}`,
    ]),
  ]);
  launch('unbound', ['unbound', '-d', '-c', file]);
}

const answers = async (server: string, zone: string): Promise<boolean> => {
  const outcome = await within(['dig', '+short', '+time=1', '+tries=1', `@${server}`, zone, 'SOA']);
  return outcome.status === 0 && outcome.stdout.trim() !== '';
};

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'waxseal-publish-'));
  await chmod(directory, 0o755);
  await must(['ip', 'netns', 'add', namespace]);
  await must(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
  for (const address of [BIND, KNOT, PDNS, RESOLVER]) {
    await must(['ip', '-n', namespace, 'addr', 'add', `${address}/32`, 'dev', 'lo']);
  }
  await Promise.all([startBind(), startKnot(), startPowerdns(), startResolver()]);
  bindKey = await put('tsig.key', [`key "waxseal" { algorithm hmac-sha256; secret "${SECRET}"; };`], 0o600);
  knotKey = await put('tsig.knot', [`hmac-sha256:waxseal:${SECRET}`], 0o600);
  await build({
    entryPoints: [path.join(import.meta.dirname, 'support/publish-driver.ts')],
    outfile: path.join(directory, 'driver.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: {
      js: "import {createRequire} from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
  for (const [zone, address] of Object.entries(ZONES)) {
    for (const server of [address, RESOLVER]) {
      await until(`${zone} at ${server}`, async () => ((await answers(server, zone)) ? true : undefined));
    }
  }
}, 60_000);

afterAll(async () => {
  for (const child of children) await stopServer(child);
  await run(['ip', 'netns', 'del', namespace]);
  await rm(directory, {recursive: true, force: true});
});

async function drive(
  job: Partial<PublishJob> & Pick<PublishJob, 'domain' | 'publish'>,
  environment: readonly string[] = [],
): Promise<PublishOutcome> {
  const outcome = await within(
    ['env', ...environment, process.execPath, path.join(directory, 'driver.mjs')],
    JSON.stringify({action: 'add', selector: '202611', resolver: RESOLVER, ...job}),
  );
  if (outcome.status !== 0) throw new Error(describeOutcome(outcome));
  // No output of waxseal has a secret in it, whatever the program printed.
  expect(outcome.stdout + outcome.stderr).not.toContain(SECRET);
  expect(outcome.stdout + outcome.stderr).not.toContain(API_KEY);
  return JSON.parse(outcome.stdout) as PublishOutcome;
}

/** The record comes, stays what it is when published again, is replaced by another key, and goes. */
async function life(domain: string, publish: string, environment: readonly string[] = []): Promise<void> {
  const first = await drive({domain, publish}, environment);
  expect(first).toMatchObject({said: `published 202611._domainkey.${domain}`, statuses: ['matching']});
  const {publicKey} = first;
  const again = await drive({domain, publish, publicKey}, environment);
  expect(again).toMatchObject({said: `there 202611._domainkey.${domain}`, statuses: ['matching']});
  const other = await drive({domain, publish, bits: 4096}, environment);
  expect(other).toMatchObject({said: `published 202611._domainkey.${domain}`, statuses: ['matching']});
  const gone = await drive({domain, publish, publicKey: other.publicKey, action: 'remove'}, environment);
  expect(gone).toMatchObject({said: `removed 202611._domainkey.${domain}`, statuses: ['absent']});
}

describe('dynamic update', () => {
  test('nsupdate to BIND', () => life('bind.test', `nsupdate key=${bindKey}`));
  test('knsupdate to BIND', () => life('bind.test', `knsupdate key=${knotKey}`));
  test('nsupdate to Knot', () => life('knot.test', `nsupdate key=${bindKey}`));
  test('knsupdate to Knot', () => life('knot.test', `knsupdate key=${knotKey}`));
  test('nsupdate to PowerDNS', () => life('pdns.example.net', `nsupdate key=${bindKey}`));
  test('knsupdate to PowerDNS', () => life('pdns.example.net', `knsupdate key=${knotKey}`));

  test('refused without the key, and said so; the record is absent', async () => {
    for (const [domain, program] of [
      ['bind.test', 'nsupdate'],
      ['knot.test', 'knsupdate'],
      ['pdns.example.net', 'nsupdate'],
    ] as const) {
      const refused = await drive({domain, publish: program});
      expect(refused.said).toMatch(/^failed publish\.failed .*(REFUSED|NOTAUTH)/);
      expect(refused.statuses).toEqual(['absent']);
    }
  });

  test('to a server that is not there ends by itself', async () => {
    const silent = await drive({
      domain: 'bind.test',
      publish: `knsupdate key=${knotKey} server=${BIND}:5399`,
    });
    expect(silent.said).toMatch(/^failed publish\./);
  });

  test('follows a DNAME: published once, the key is changed in the other zone', async () => {
    const done = await drive({domain: 'cust.test', publish: `nsupdate key=${bindKey}`});
    expect(done).toMatchObject({said: 'published 202611.cust.keys.bind.test', statuses: ['matching']});
    const next = await drive({domain: 'cust.test', selector: '202705', publish: `nsupdate key=${bindKey}`});
    expect(next).toMatchObject({said: 'published 202705.cust.keys.bind.test', statuses: ['matching']});
  });
});

describe('lexicon', () => {
  test('to the API of PowerDNS, the credentials in the environment', () =>
    life('pdns.example.net', 'lexicon:powerdns', [
      `LEXICON_POWERDNS_AUTH_TOKEN=${API_KEY}`,
      `LEXICON_POWERDNS_PDNS_SERVER=http://${PDNS}:8081`,
      'LEXICON_POWERDNS_PDNS_SERVER_ID=localhost',
    ]));

  test('the credentials in a file', async () => {
    const config = path.join(directory, 'lexicon');
    await mkdir(config);
    const file = path.join(config, 'lexicon_powerdns.yml');
    await writeFile(
      file,
      `auth_token: ${API_KEY}\npdns_server: http://${PDNS}:8081\npdns_server_id: localhost\n`,
    );
    await chmod(file, 0o644);
    const refused = await drive({domain: 'pdns.example.net', publish: `lexicon:powerdns config=${config}`});
    expect(refused.said).toMatch(/^failed publish\.config-readable /);
    await chmod(file, 0o600);
    await life('pdns.example.net', `lexicon:powerdns config=${config}`);
  });

  test('wrong credentials are a reason, not a secret told', async () => {
    const wrong = await drive({domain: 'pdns.example.net', publish: 'lexicon:powerdns'}, [
      'LEXICON_POWERDNS_AUTH_TOKEN=wrong-token-0815',
      `LEXICON_POWERDNS_PDNS_SERVER=http://${PDNS}:8081`,
    ]);
    expect(wrong.said).toMatch(/^failed publish\.failed .*lexicon failed \(exit 1\)/);
    expect(wrong.said).not.toContain('wrong-token-0815');
  });
});

describe('a hook', () => {
  test('that works is as good as any other way', async () => {
    const file = await put(
      'hook',
      [
        '#!/bin/sh -e',
        `{ echo "server ${BIND}"; echo "zone $WAXSEAL_ZONE."`,
        'if [ "$1" = add ]; then echo "update delete $WAXSEAL_RECORD_NAME. TXT"',
        'echo "update add $WAXSEAL_RECORD_NAME. $WAXSEAL_RECORD_TTL TXT $WAXSEAL_RECORD_STRINGS"',
        'else echo "update delete $WAXSEAL_RECORD_NAME. TXT $WAXSEAL_RECORD_STRINGS"; fi',
        `echo send; } | nsupdate -k ${bindKey}`,
      ],
      0o700,
    );
    // waxseal runs no program of a directory that others can write, as /tmp; this one is only below it.
    await life('bind.test', `hook:${file}`);
  });

  test('that says it worked and did nothing is not believed', async () => {
    const file = await put('liar', ['#!/bin/sh', 'echo done'], 0o700);
    const lied = await drive({domain: 'bind.test', publish: `hook:${file}`});
    expect(lied).toMatchObject({said: 'published 202611._domainkey.bind.test', statuses: ['absent']});
  });
});

describe('the forms for PowerDNS do what they say', () => {
  const name = dnsName('forms._domainkey.pdns.example.net');
  const forms = recordForms({
    apex: dnsName('pdns.example.net'),
    name,
    value: `v=DKIM1; n=it's; p=${'Ab9+'.repeat(180)}`,
  });
  const rendered = (id: string): string => FORMATS.find(each => each.id === id)?.render(forms) ?? '';
  const served = async (): Promise<string> => {
    const {stdout} = await within(['dig', '+short', '+tcp', `@${PDNS}`, name, 'TXT']);
    return stdout.trim().replaceAll('" "', '').slice(1, -1);
  };

  test('the body of a PATCH', async () => {
    const url = `http://${PDNS}:8081/api/v1/servers/localhost/zones/pdns.example.net.`;
    const file = await put('patch.json', [rendered('powerdns')]);
    const curl = [
      'curl',
      '-sS',
      '-f',
      '-X',
      'PATCH',
      '-H',
      `X-API-Key: ${API_KEY}`,
      '--data',
      `@${file}`,
      url,
    ];
    expect(await within(curl)).toMatchObject({status: 0});
    expect(await served()).toBe(forms.value);
  });

  test('the command line', async () => {
    const command = rendered('pdnsutil').replace(/^pdnsutil/, `pdnsutil --config-dir=${directory}`);
    expect(await within(['sh', '-c', command])).toMatchObject({status: 0});
    expect(await served()).toBe(forms.value);
  });
});
