/**
 * `waxseal check --dns` over many domains, against name servers on this machine, beside a loop of opendkim-testkey and
 * of dig in the same run. As root, with nsd and unbound: in a network namespace of its own.
 *
 *   npm run bench:dns [DOMAINS] [OF THEM FOR THE LOOPS]     default: 10000, and all of them
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {formatKeyRecord} from '../../../src/dkim/index.ts';
import {recordForms} from '../../../src/dns/forms.ts';
import type {DnsName} from '../../../src/domain/names.ts';

const domains = Number(process.argv[2] ?? 10_000);
const SAMPLE = Math.min(domains, Number(process.argv[3] ?? domains));
const namespace = `wxbench${process.pid}`;
const directory = mkdtempSync(path.join(tmpdir(), 'waxseal-bench-dns-'));
const SERVERS = ['10.56.1.1', '10.56.1.2'];
const RESOLVER = '10.56.0.53';
const children: ChildProcess[] = [];

function must(...argv: readonly [string, ...string[]]): string {
  const [program, ...rest] = argv;
  const {status, stdout, stderr} = spawnSync(program, rest, {encoding: 'utf8'});
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
  return stdout;
}

const within = (...argv: readonly string[]): readonly [string, ...string[]] => [
  'nsenter',
  `--net=/run/netns/${namespace}`,
  '--',
  ...argv,
];

function launch(...argv: readonly string[]): void {
  const [program, ...rest] = within(...argv);
  children.push(spawn(program, rest, {stdio: 'ignore'}));
}

const nameOf = (number: number): string => `d${number}.bench`;

/** One zone a domain, all in one file for both servers; half of the keys are RSA 2048, as in life most are. */
function writeZones(): void {
  const values = Array.from({length: 20}, () =>
    formatKeyRecord({
      algorithm: 'rsa',
      publicKey: generateKeyPairSync('rsa', {modulusLength: 2048}).publicKey,
      testMode: false,
      noSubdomains: false,
    }),
  );
  mkdirSync(path.join(directory, 'zones'));
  for (let number = 0; number < domains; number++) {
    const apex = nameOf(number) as DnsName;
    const value = values[number % values.length] ?? '';
    const {zoneFile} = recordForms({apex, name: `202611._domainkey.${apex}` as DnsName, value});
    writeFileSync(
      path.join(directory, 'zones', `${apex}`),
      `${apex}. 300 IN SOA ns1.bench. h.bench. 1 3600 600 86400 60\n${apex}. 300 IN NS ns1.bench.\n${apex}. 300 IN NS ns2.bench.\n${zoneFile}\n`,
    );
  }
  writeFileSync(
    path.join(directory, 'zones', 'bench'),
    [
      'bench. 300 IN SOA ns1.bench. h.bench. 1 3600 600 86400 60',
      ...['ns1', 'ns2'].flatMap((name, at) => [
        `bench. 300 IN NS ${name}.bench.`,
        `${name}.bench. 300 IN A ${SERVERS[at]}`,
      ]),
      '',
    ].join('\n'),
  );
  writeFileSync(
    path.join(directory, 'domains'),
    Array.from({length: domains}, (_, number) => `${nameOf(number)},202611\n`).join(''),
  );
}

function startServers(): void {
  must('ip', 'netns', 'add', namespace);
  must('ip', '-n', namespace, 'link', 'set', 'lo', 'up');
  for (const address of [...SERVERS, RESOLVER])
    must('ip', '-n', namespace, 'addr', 'add', `${address}/32`, 'dev', 'lo');
  const zones = ['bench', ...Array.from({length: domains}, (_, number) => nameOf(number))]
    .map(zone => `zone:\n  name: "${zone}"\n  zonefile: "${directory}/zones/${zone}"\n`)
    .join('');
  for (const [at, address] of SERVERS.entries()) {
    const file = path.join(directory, `nsd${at}.conf`);
    writeFileSync(
      file,
      `server:\n  ip-address: ${address}\n  username: ""\n  chroot: ""\n  zonesdir: "${directory}"\n  pidfile: ""\n  database: ""\n  xfrdfile: "${directory}/xfrd${at}"\n  zonelistfile: "${directory}/list${at}"\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n${zones}`,
    );
    launch('nsd', '-d', '-c', file);
  }
  const file = path.join(directory, 'unbound.conf');
  writeFileSync(
    file,
    `server:\n  interface: ${RESOLVER}\n  access-control: 0.0.0.0/0 allow\n  do-not-query-localhost: no\n  username: ""\n  chroot: ""\n  pidfile: ""\n  use-syslog: no\n  module-config: "iterator"\n  do-ip6: no\n  num-queries-per-thread: 2048\n  outgoing-range: 4096\nremote-control:\n  control-enable: no\nstub-zone:\n  name: "bench"\n${SERVERS.map(address => `  stub-addr: ${address}\n`).join('')}`,
  );
  launch('unbound', '-d', '-c', file);
}

async function ready(): Promise<void> {
  for (const server of [...SERVERS, RESOLVER]) {
    for (let left = 300; ; left--) {
      const [program, ...rest] = within(
        'dig',
        '+short',
        '+time=1',
        '+tries=1',
        `@${server}`,
        nameOf(domains - 1),
        'SOA',
      );
      if (spawnSync(program, rest, {encoding: 'utf8'}).stdout.startsWith('ns1')) break;
      if (left === 0) throw new Error(`${server} does not serve the zones`);
      await sleep(200);
    }
  }
}

interface Run {
  readonly seconds: number;
  readonly peakMb: number;
  readonly said: string;
}

/** The built program, its peak memory as the kernel counts it. */
async function waxseal(...more: readonly string[]): Promise<Run> {
  const output = path.join(directory, 'out');
  const bundle = path.resolve('dist/waxseal.js');
  const [program, ...rest] = within(
    'sh',
    '-c',
    `exec "$0" "$@" >${output}`,
    process.execPath,
    bundle,
    ...['check', '--dns', '--domains-file', path.join(directory, 'domains'), '--resolver', RESOLVER],
    '--no-input',
    ...more,
  );
  const begun = performance.now();
  const child = spawn(program, rest, {stdio: ['ignore', 'ignore', 'inherit']});
  let peakMb = 0;
  const look = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has just ended.
    }
  }, 20);
  const code = await new Promise<number | null>(resolve => child.once('close', resolve));
  clearInterval(look);
  const text = readFileSync(output, 'utf8').trimEnd();
  const lines = text.split('\n');
  if (code !== 0) throw new Error(`waxseal ended with ${code}: ${lines.slice(-3).join('\n')}`);
  const seconds = (performance.now() - begun) / 1000;
  if (!more.includes('--json')) return {seconds, peakMb, said: lines.at(-1) ?? ''};
  const {checks} = JSON.parse(text) as {readonly checks: readonly {readonly status: string}[]};
  const right = checks.filter(({status}) => status === 'pass').length;
  return {seconds, peakMb, said: `one document of ${checks.length} checks, ${right} pass`};
}

/** Seconds for one domain after the other, as a script would ask. */
function loop(...argv: readonly string[]): number {
  const words = argv.map(word => (word === 'DOMAIN' ? '"$d"' : word)).join(' ');
  const [program, ...rest] = within(
    'sh',
    '-c',
    `cut -d, -f1 ${directory}/domains | head -n ${SAMPLE} | while read -r d; do ${words} </dev/null >/dev/null 2>&1; done; true`,
  );
  const begun = performance.now();
  spawnSync(program, rest);
  return (performance.now() - begun) / 1000;
}

/** One line of the table. */
function row(what: string, count: number, seconds: number, peakMb?: number): readonly string[] {
  const rate = Math.round(count / seconds).toLocaleString('en-US');
  const peak = peakMb === undefined ? '–' : `${peakMb.toFixed(0)} MB`;
  return [what, count.toLocaleString('en-US'), `${seconds.toFixed(1)} s`, rate, peak];
}

try {
  writeZones();
  startServers();
  await ready();
  // opendkim-testkey asks the resolver of its configuration only.
  const conf = path.join(directory, 'opendkim.conf');
  writeFileSync(conf, `Nameservers ${RESOLVER}\n`);
  const first = await waxseal();
  const second = await waxseal();
  const document = await waxseal('--json');
  const testkey = loop('opendkim-testkey', '-x', conf, '-d', 'DOMAIN', '-s', '202611');
  const record = '"202611._domainkey.$d"';
  const both = SERVERS.flatMap(server => [`@${server}`, record, 'TXT']);
  const dig = loop('dig', '+short', ...both);
  const table = [
    ['', 'domains', 'time', 'domains a second', 'peak'],
    ['---', '---:', '---:', '---:', '---:'],
    row('waxseal check --dns, both servers, first run', domains, first.seconds, first.peakMb),
    row('waxseal check --dns, both servers, second run', domains, second.seconds, second.peakMb),
    row('waxseal check --dns --json, both servers', domains, document.seconds, document.peakMb),
    row('opendkim-testkey in a loop, resolver only', SAMPLE, testkey),
    row('dig in a loop, both servers', SAMPLE, dig),
  ];
  for (const cells of table) console.log(`| ${cells.join(' | ')} |`);
  console.log(`${first.said}; ${document.said}`);
} finally {
  for (const child of children) child.kill('SIGKILL');
  await sleep(200);
  spawnSync('ip', ['netns', 'del', namespace]);
  rmSync(directory, {recursive: true, force: true});
}
