/**
 * `waxseal rotate --advance` and `waxseal status` with many keys that sign, against name servers on this machine, and
 * against a resolver that never answers. As root, with nsd and unbound: in network and mount namespaces of their own.
 *
 *   npm run bench:advance [KEYS ...]     default: 1000 10000; each number once with one zone for all and once with a zone each
 *
 * What counts is the ratio of the lines to each other: ten times the keys should take about ten times as long.
 */
import {type ChildProcess, spawn, spawnSync} from 'node:child_process';
import {generateKeyPairSync} from 'node:crypto';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {loadavg, tmpdir} from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {setTimeout as sleep} from 'node:timers/promises';
import {formatKeyRecord} from '../../../src/dkim/index.ts';
import {recordForms} from '../../../src/dns/forms.ts';
import {
  type DnsName,
  type DomainName,
  keyRecordName,
  parseDomain,
  parseSelector,
} from '../../../src/domain/names.ts';
import type {Result} from '../../../src/domain/result.ts';
import {formatState, type KeyEntry, newEntry} from '../../../src/rotation/index.ts';

const counts = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1000, 10_000];
const SERVERS = ['10.57.1.1', '10.57.1.2'];
const RESOLVER = '10.57.0.53';
const SILENT = '10.57.0.99';

function must(...argv: readonly [string, ...string[]]): void {
  const [program, ...rest] = argv;
  const {status, stderr} = spawnSync(program, rest, {encoding: 'utf8'});
  if (status !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}

const take = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(result.problem.message);
  return result.value;
};

const selector = take(parseSelector('202611'));
const values = Array.from({length: 20}, () =>
  formatKeyRecord({
    algorithm: 'rsa',
    publicKey: generateKeyPairSync('rsa', {modulusLength: 2048}).publicKey,
    testMode: false,
    noSubdomains: false,
  }),
);

interface Layout {
  readonly keys: number;
  /** One zone for each domain; otherwise all domains are names within one. */
  readonly each: boolean;
}

const domainOf = (at: number): DomainName => take(parseDomain(`d${at}.bench`));
const apexOf = ({each}: Layout, at: number): DnsName => (each ? domainOf(at) : 'bench') as string as DnsName;
const recordValue = (at: number): string => values[at % values.length] ?? '';

function entryOf(layout: Layout, at: number): KeyEntry {
  const domain = domainOf(at);
  const name = keyRecordName(selector, domain);
  const zone = apexOf(layout, at);
  return newEntry(
    {
      ...{domain, selector, algorithm: 'rsa', bits: 2048},
      record: {name, zone, relativeName: name.slice(0, -zone.length - 1), value: recordValue(at)},
    },
    {kind: 'adopted', from: 'the bench'},
    new Date(),
  );
}

const head = (apex: string): string =>
  `${apex}. 300 IN SOA ns1.bench. h.bench. 1 3600 600 86400 60\n${['ns1', 'ns2'].map(name => `${apex}. 300 IN NS ${name}.bench.\n`).join('')}`;

class World {
  readonly #directory = mkdtempSync(path.join(tmpdir(), 'waxseal-bench-advance-'));
  readonly #namespace: string;
  readonly #children: ChildProcess[] = [];
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#namespace = `wxadv${process.pid}${layout.each ? 'e' : 'o'}${layout.keys}`.slice(0, 30);
  }

  within = (...argv: readonly string[]): readonly [string, ...string[]] => [
    'nsenter',
    `--net=/run/netns/${this.#namespace}`,
    '--',
    ...argv,
  ];

  #launch(...argv: readonly string[]): void {
    const [program, ...rest] = this.within(...argv);
    this.#children.push(spawn(program, rest, {stdio: 'ignore'}));
  }

  #write(name: string, text: string): string {
    const file = path.join(this.#directory, name);
    writeFileSync(file, text);
    return file;
  }

  async open(): Promise<void> {
    const {keys, each} = this.#layout;
    const entries = Array.from({length: keys}, (_, at) => entryOf(this.#layout, at));
    this.#write('state.json', formatState({keys: entries}));
    mkdirSync(path.join(this.#directory, 'zones'));
    const records = entries.map(({record}) => {
      const {zoneFile} = recordForms({apex: record.zone, name: record.name, value: record.value});
      return each ? `${head(record.zone)}${zoneFile}\n` : `${zoneFile}\n`;
    });
    if (each) {
      for (const [at, text] of records.entries()) this.#write(`zones/${domainOf(at)}`, text);
    }
    const addresses = ['ns1', 'ns2'].map((name, at) => `${name}.bench. 300 IN A ${SERVERS[at]}\n`).join('');
    const delegations = entries.map(({domain}) =>
      ['ns1', 'ns2'].map(name => `${domain}. 300 IN NS ${name}.bench.\n`).join(''),
    );
    this.#write('zones/bench', [head('bench'), addresses, ...(each ? delegations : records)].join(''));
    const zones = ['bench', ...(each ? entries.map(({domain}) => domain as string) : [])]
      .map(zone => `zone:\n  name: "${zone}"\n  zonefile: "${this.#directory}/zones/${zone}"\n`)
      .join('');
    must('ip', 'netns', 'add', this.#namespace);
    must('ip', '-n', this.#namespace, 'link', 'set', 'lo', 'up');
    for (const address of [...SERVERS, RESOLVER, SILENT])
      must('ip', '-n', this.#namespace, 'addr', 'add', `${address}/32`, 'dev', 'lo');
    for (const [at, address] of SERVERS.entries()) {
      const file = this.#write(
        `nsd${at}.conf`,
        `server:\n  ip-address: ${address}\n  username: ""\n  chroot: ""\n  zonesdir: "${this.#directory}"\n  pidfile: ""\n  database: ""\n  xfrdfile: "${this.#directory}/xfrd${at}"\n  zonelistfile: "${this.#directory}/list${at}"\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n${zones}`,
      );
      this.#launch('nsd', '-d', '-c', file);
    }
    const file = this.#write(
      'unbound.conf',
      `server:\n  interface: ${RESOLVER}\n  access-control: 0.0.0.0/0 allow\n  do-not-query-localhost: no\n  username: ""\n  chroot: ""\n  pidfile: ""\n  use-syslog: no\n  module-config: "iterator"\n  do-ip6: no\n  num-queries-per-thread: 2048\n  outgoing-range: 4096\nremote-control:\n  control-enable: no\nstub-zone:\n  name: "bench"\n${SERVERS.map(address => `  stub-addr: ${address}\n`).join('')}`,
    );
    this.#launch('unbound', '-d', '-c', file);
    // Takes what is sent to it and never answers; a closed port would say so.
    this.#launch(
      process.execPath,
      '-e',
      `require('node:dgram').createSocket('udp4').bind(53, ${JSON.stringify(SILENT)})`,
    );
    for (const server of [...SERVERS, RESOLVER]) await this.#answers(server);
  }

  async #answers(server: string): Promise<void> {
    const [program, ...rest] = this.within(
      ...['dig', '+short', '+time=1', '+tries=1', `@${server}`],
      keyRecordName(selector, domainOf(this.#layout.keys - 1)),
      'TXT',
    );
    for (let left = 300; !spawnSync(program, rest, {encoding: 'utf8'}).stdout.startsWith('"v='); left--) {
      if (left === 0) throw new Error(`${server} does not serve the zones`);
      await sleep(200);
    }
  }

  /** The built program on a host that has only the state; its time, processor time and peak memory. */
  async run(node: readonly string[], ...argv: readonly string[]): Promise<Measured> {
    const output = path.join(this.#directory, 'out');
    const [program, ...rest] = this.within(
      ...['unshare', '--mount', 'sh', '-c'],
      `mount -t tmpfs none /var/lib && mount -t tmpfs none /run && mkdir -m 711 /var/lib/waxseal && install -m 600 ${this.#directory}/state.json /var/lib/waxseal/state.json && exec "$0" "$@" >${output} 2>&1`,
      ...[process.execPath, ...node, path.resolve('dist/waxseal.js'), ...argv, '--no-input'],
    );
    const begun = performance.now();
    const child = spawn(program, rest, {stdio: ['ignore', 'ignore', 'inherit']});
    let peakMb = 0;
    let cpuSeconds = 0;
    const look = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
        const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        cpuSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
      } catch {
        // It has just ended.
      }
    }, 20);
    const status = await new Promise<number | null>(resolve => child.once('close', resolve));
    clearInterval(look);
    const lines = readFileSync(output, 'utf8').trimEnd().split('\n');
    return {seconds: (performance.now() - begun) / 1000, cpuSeconds, peakMb, status, lines};
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill('SIGKILL');
    await sleep(200);
    spawnSync('ip', ['netns', 'del', this.#namespace]);
    rmSync(this.#directory, {recursive: true, force: true});
  }
}

interface Measured {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly status: number | null;
  readonly lines: readonly string[];
}

const COMMANDS: readonly (readonly string[])[] = [
  ['status'],
  ['status', '--json'],
  ['rotate', '--advance', '--resolver', RESOLVER],
  ['rotate', '--advance', '--resolver', SILENT],
];

const profile = (process.env['WAXSEAL_BENCH_NODE'] ?? '').split(' ').filter(Boolean);
const only = process.env['WAXSEAL_BENCH_ONLY'];
console.log('| | keys | time | processor time | peak | exit |\n| --- | ---: | ---: | ---: | ---: | ---: |');
for (const each of [false, true]) {
  for (const keys of counts) {
    const world = new World({keys, each});
    try {
      await world.open();
      for (const argv of COMMANDS) {
        const what = `${argv.join(' ')}, ${each ? 'a zone each' : 'one zone'}`;
        if (only !== undefined && !what.includes(only)) continue;
        const {seconds, cpuSeconds, peakMb, status, lines} = await world.run(profile, ...argv);
        console.log(
          `| ${what} | ${keys} | ${seconds.toFixed(1)} s | ${cpuSeconds.toFixed(1)} s | ${peakMb.toFixed(0)} MB | ${status} |`,
        );
        if (only !== undefined) console.log(lines.slice(0, 6).join('\n').slice(0, 1500));
      }
    } finally {
      await world.close();
    }
  }
}
console.log(
  `load at the end: ${loadavg()
    .map(each => each.toFixed(1))
    .join(' ')}`,
);
