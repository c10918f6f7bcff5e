/**
 * Name servers of three makers in one network namespace, and a validating resolver, all on loopback addresses:
 *
 *   10.54.0.1 nsd: root and org.     10.54.1.1 BIND     10.54.1.2 NSD     10.54.1.3 Knot     10.54.0.53 unbound
 *   10.54.0.54 unbound that hears TCP only
 *
 * Zones are given as text for each server, so that servers may disagree.
 */
import type {ChildProcess} from 'node:child_process';
import {chmod, mkdir, mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {build} from 'esbuild';
import type {DriverJob, DriverResult} from './dns-driver.ts';
import {
  describeOutcome,
  LONG_MS,
  must,
  type Outcome,
  run,
  startServer,
  stopServer,
  until,
} from './process.ts';

export const BIND = {name: 'ns1.servers.org', address: '10.54.1.1'} as const;
export const NSD = {name: 'ns2.servers.org', address: '10.54.1.2'} as const;
export const KNOT = {name: 'ns3.servers.org', address: '10.54.1.3'} as const;
export const ALL = [BIND, NSD, KNOT] as const;
export const RESOLVER = '10.54.0.53';
export const TCP_RESOLVER = '10.54.0.54';
const ROOT = '10.54.0.1';
/** An address at which nothing listens. */
export const NOBODY = {name: 'ns9.servers.org', address: '10.54.9.9'} as const;

export type Server = (typeof ALL)[number];

export interface LabZone {
  readonly apex: string;
  /** What each server has; those without an entry do not know the zone. */
  readonly content: ReadonlyMap<Server, string>;
  /** NS records at the registry; default: all that have content. */
  readonly delegatedTo?: readonly {readonly name: string}[];
  /** DNSKEY lines that the resolver trusts. */
  readonly anchors?: readonly string[];
  /** BIND takes dynamic updates. */
  readonly dynamic?: boolean;
}

export const SOA_MINIMUM = 30;

/** The head of a zone: SOA with that serial, NS records of those servers. */
export const head = (
  apex: string,
  serial: number,
  servers: readonly {readonly name: string}[],
): readonly string[] => [
  `$ORIGIN ${apex}.`,
  '$TTL 60',
  `@ IN SOA ${servers[0]?.name}. hostmaster.${apex}. ${serial} 3600 600 86400 ${SOA_MINIMUM}`,
  ...servers.map(server => `@ IN NS ${server.name}.`),
];

/** One character-string in quotes, every octet that is no plain letter escaped (RFC 1035 §5.1). */
export const quoted = (text: string | Uint8Array): string =>
  `"${[...Buffer.from(text)]
    .map(octet =>
      octet >= 0x20 && octet < 0x7f && octet !== 0x22 && octet !== 0x5c
        ? String.fromCharCode(octet)
        : `\\${String(octet).padStart(3, '0')}`,
    )
    .join('')}"`;

/** The text as strings of 255 octets. */
export function strings(text: string | Uint8Array): string {
  const octets = Buffer.from(text);
  const parts: string[] = [];
  for (let at = 0; at < Math.max(1, octets.length); at += 255)
    parts.push(quoted(octets.subarray(at, at + 255)));
  return parts.join(' ');
}

export class DnsNet {
  readonly namespace = `wxdns${process.pid}`;
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #more: string[] = [];

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Resolves when every server answers for what it has. */
  static async start(zones: readonly LabZone[]): Promise<DnsNet> {
    const net = new DnsNet(await mkdtemp(path.join(tmpdir(), 'waxseal-dns-')));
    try {
      await net.#start(zones);
    } catch (error) {
      await net.stop();
      throw error;
    }
    return net;
  }

  async stop(): Promise<void> {
    for (const child of this.#children) await stopServer(child);
    for (const namespace of [...this.#more, this.namespace]) await run(['ip', 'netns', 'del', namespace]);
    await rm(this.directory, {recursive: true, force: true});
  }

  run(argv: readonly string[], input?: string): Promise<Outcome> {
    return run(['nsenter', `--net=/run/netns/${this.namespace}`, '--', ...argv], {
      timeoutMs: LONG_MS,
      ...(input === undefined ? {} : {input}),
    });
  }

  /** @param where the namespace of the servers, or that of a host behind a firewall; `environment` of the driver. */
  async drive(
    job: DriverJob,
    where: {readonly behind?: string; readonly environment?: readonly string[]} = {},
  ): Promise<readonly DriverResult[]> {
    const namespace = where.behind ?? this.namespace;
    const environment = where.environment === undefined ? [] : ['env', ...where.environment];
    const driver = [process.execPath, path.join(this.directory, 'driver.mjs')];
    const outcome = await run(['nsenter', `--net=/run/netns/${namespace}`, '--', ...environment, ...driver], {
      timeoutMs: LONG_MS,
      input: JSON.stringify(job),
    });
    if (outcome.status !== 0) throw new Error(describeOutcome(outcome));
    return JSON.parse(outcome.stdout) as readonly DriverResult[];
  }

  /**
   * A host that reaches the resolver only: what goes to the name servers is dropped without a word, as firewalls do it.
   * Returns its namespace.
   */
  async firewalled(): Promise<string> {
    const inner = `${this.namespace}f`;
    const ip = (namespace: string, ...argv: readonly string[]): Promise<string> =>
      must(['ip', '-n', namespace, ...argv]);
    await must(['ip', 'netns', 'add', inner]);
    this.#more.push(inner);
    await ip(this.namespace, 'link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'in', 'netns', inner);
    await ip(this.namespace, 'addr', 'add', '10.54.8.1/24', 'dev', 'out');
    await ip(this.namespace, 'link', 'set', 'out', 'up');
    await ip(inner, 'addr', 'add', '10.54.8.2/24', 'dev', 'in');
    await ip(inner, 'link', 'set', 'in', 'up');
    await ip(inner, 'route', 'add', `${RESOLVER}/32`, 'via', '10.54.8.1');
    // A cable to a machine that is not there: the frames go out and nothing comes back.
    await ip(inner, 'link', 'add', 'hole', 'type', 'veth', 'peer', 'name', 'end');
    for (const end of ['hole', 'end']) await ip(inner, 'link', 'set', end, 'up');
    await ip(inner, 'route', 'add', '10.54.0.0/16', 'dev', 'hole', 'src', '10.54.8.2');
    for (const address of [ROOT, ...ALL.map(server => server.address)]) {
      await ip(
        inner,
        'neigh',
        'add',
        address,
        'lladdr',
        '02:00:00:00:00:01',
        'dev',
        'hole',
        'nud',
        'permanent',
      );
    }
    return inner;
  }

  async #start(zones: readonly LabZone[]): Promise<void> {
    const {namespace, directory} = this;
    // named and knotd keep their own user when root starts them with these options; the directory is for all of them.
    await chmod(directory, 0o755);
    await must(['ip', 'netns', 'add', namespace]);
    await must(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    for (const address of [
      ROOT,
      RESOLVER,
      TCP_RESOLVER,
      NOBODY.address,
      ...ALL.map(server => server.address),
    ]) {
      await must(['ip', '-n', namespace, 'addr', 'add', `${address}/32`, 'dev', 'lo']);
    }
    await this.#writeRegistry(zones);
    for (const server of ALL) {
      const own = zones.filter(zone => zone.content.has(server));
      await mkdir(path.join(directory, server.name));
      for (const zone of own) {
        await writeFile(
          path.join(directory, server.name, `${zone.apex}.zone`),
          zone.content.get(server) ?? '',
        );
      }
    }
    await this.#writeResolver(zones);
    await build({
      entryPoints: [path.join(import.meta.dirname, 'dns-driver.ts')],
      outfile: path.join(directory, 'driver.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      banner: {
        js: "import {createRequire} from 'node:module'; const require = createRequire(import.meta.url);",
      },
    });
    this.#launch('root', ['nsd', '-d', '-c', path.join(directory, 'root.conf')]);
    this.#launch('bind', ['named', '-f', '-c', await this.#bind(zones)]);
    this.#launch('nsd', ['nsd', '-d', '-c', await this.#nsd(zones)]);
    this.#launch('knot', ['knotd', '-c', await this.#knot(zones)]);
    this.#launch('unbound', ['unbound', '-d', '-c', path.join(directory, 'unbound.conf')]);
    this.#launch('tcp-only', ['unbound', '-d', '-c', path.join(directory, 'tcp-only.conf')]);
    for (const server of ALL) {
      await until(
        `servers.org at ${server.name}`,
        async () => (await this.#serial(server.address)) || undefined,
      );
    }
    await until('the resolver', async () => (await this.#serial(RESOLVER)) || undefined);
    await until('the other resolver', async () => (await this.#serial(TCP_RESOLVER, '+tcp')) || undefined);
  }

  async #serial(address: string, ...more: readonly string[]): Promise<string> {
    const argv = ['dig', ...more, '+short', '+time=1', '+tries=1', `@${address}`, 'servers.org', 'SOA'];
    const outcome = await this.run(argv);
    return outcome.status === 0 ? outcome.stdout.trim() : '';
  }

  #launch(name: string, argv: readonly string[]): void {
    const inside = ['nsenter', `--net=/run/netns/${this.namespace}`, '--', ...argv];
    this.#children.push(startServer(inside, path.join(this.directory, `${name}.log`)));
  }

  async #put(name: string, lines: readonly string[]): Promise<string> {
    const file = path.join(this.directory, name);
    await writeFile(file, `${lines.join('\n')}\n`);
    return file;
  }

  async #writeRegistry(zones: readonly LabZone[]): Promise<void> {
    const soa = (zone: string): string =>
      `${zone} 60 IN SOA a.servers.org. h.servers.org. 1 3600 600 86400 30`;
    const delegations = zones
      .filter(zone => zone.apex.split('.').length === 2)
      .flatMap(zone =>
        (zone.delegatedTo ?? [...zone.content.keys()]).map(
          server => `${zone.apex}. 60 IN NS ${server.name}.`,
        ),
      );
    await this.#put('root.zone', [
      soa('.'),
      '. 60 IN NS a.servers.org.',
      'org. 60 IN NS a.servers.org.',
      // Reverse names of documentation addresses are a zone of NSD's.
      `2.0.192.in-addr.arpa. 60 IN NS ${NSD.name}.`,
      `a.servers.org. 60 IN A ${ROOT}`,
      ...ALL.map(server => `${server.name}. 60 IN A ${server.address}`),
    ]);
    await this.#put('org.zone', [
      soa('org.'),
      'org. 60 IN NS a.servers.org.',
      `a.servers.org. 60 IN A ${ROOT}`,
      ...delegations,
      ...[...ALL, NOBODY].map(server => `${server.name}. 60 IN A ${server.address}`),
    ]);
    await this.#put('root.conf', [
      ...this.#nsdOptions('root', ROOT),
      ...['.', 'org'].flatMap(zone => [
        'zone:',
        `  name: "${zone}"`,
        `  zonefile: "${this.directory}/${zone === '.' ? 'root' : zone}.zone"`,
      ]),
    ]);
  }

  #nsdOptions(name: string, address: string): readonly string[] {
    return [
      'server:',
      `  ip-address: ${address}`,
      '  username: ""',
      '  chroot: ""',
      `  zonesdir: "${this.directory}"`,
      `  pidfile: "${this.directory}/${name}.pid"`,
      `  xfrdfile: "${this.directory}/${name}.xfrd"`,
      `  zonelistfile: "${this.directory}/${name}.list"`,
      // Two of them on one machine would share the file otherwise.
      '  database: ""',
      '  server-count: 1',
      'remote-control:',
      '  control-enable: no',
    ];
  }

  #zonesOf(server: Server, zones: readonly LabZone[]): readonly {zone: LabZone; file: string}[] {
    return zones
      .filter(zone => zone.content.has(server))
      .map(zone => ({zone, file: path.join(this.directory, server.name, `${zone.apex}.zone`)}));
  }

  #nsd(zones: readonly LabZone[]): Promise<string> {
    return this.#put('nsd.conf', [
      ...this.#nsdOptions('nsd', NSD.address),
      ...this.#zonesOf(NSD, zones).flatMap(({zone, file}) => [
        'zone:',
        `  name: "${zone.apex}"`,
        `  zonefile: "${file}"`,
      ]),
    ]);
  }

  #bind(zones: readonly LabZone[]): Promise<string> {
    return this.#put('named.conf', [
      'options {',
      `  directory "${this.directory}"; pid-file "${this.directory}/named.pid";`,
      `  session-keyfile "${this.directory}/named.session"; managed-keys-directory "${this.directory}";`,
      `  listen-on { ${BIND.address}; }; listen-on-v6 { none; };`,
      '  recursion no; dnssec-validation no; notify no; check-names primary ignore;',
      '};',
      'controls { };',
      ...this.#zonesOf(BIND, zones).map(
        ({zone, file}) =>
          `zone "${zone.apex}" { type primary; file "${file}";${zone.dynamic === true ? ' allow-update { any; };' : ''} };`,
      ),
    ]);
  }

  async #knot(zones: readonly LabZone[]): Promise<string> {
    await mkdir(path.join(this.directory, 'knot'));
    return this.#put('knot.conf', [
      'server:',
      `    rundir: "${this.directory}/knot"`,
      `    listen: ${KNOT.address}@53`,
      'log:',
      '  - target: stderr',
      '    any: info',
      'database:',
      `    storage: "${this.directory}/knot"`,
      'zone:',
      ...this.#zonesOf(KNOT, zones).flatMap(({zone, file}) => [
        `  - domain: ${zone.apex}`,
        `    file: "${file}"`,
        '    semantic-checks: off',
        '    journal-content: none',
      ]),
    ]);
  }

  async #writeResolver(zones: readonly LabZone[]): Promise<void> {
    const {directory} = this;
    await must([
      'openssl',
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=dns.servers.org',
      '-addext',
      'subjectAltName=DNS:dns.servers.org',
      '-keyout',
      path.join(directory, 'tls.key'),
      '-out',
      path.join(directory, 'tls.pem'),
    ]);
    await this.#put('root.hints', ['. 3600 NS a.servers.org.', `a.servers.org. 3600 A ${ROOT}`]);
    const common = [
      '  access-control: 0.0.0.0/0 allow',
      '  username: ""',
      '  chroot: ""',
      `  directory: "${directory}"`,
      '  use-syslog: no',
      '  do-ip6: no',
      '  root-hints: "root.hints"',
      '  module-config: "validator iterator"',
      '  local-zone: "2.0.192.in-addr.arpa." nodefault',
      '  qname-minimisation: no',
      ...zones.flatMap(zone => (zone.anchors ?? []).map(anchor => `  trust-anchor: "${anchor}"`)),
      'remote-control:',
      '  control-enable: no',
    ];
    await this.#put('unbound.conf', [
      'server:',
      `  interface: ${RESOLVER}`,
      `  interface: ${RESOLVER}@853`,
      `  tls-service-key: "${directory}/tls.key"`,
      `  tls-service-pem: "${directory}/tls.pem"`,
      `  pidfile: "${directory}/unbound.pid"`,
      ...common,
    ]);
    await this.#put('tcp-only.conf', [
      'server:',
      `  interface: ${TCP_RESOLVER}`,
      '  do-udp: no',
      '  tcp-upstream: yes',
      `  pidfile: "${directory}/tcp-only.pid"`,
      ...common,
    ]);
  }
}

/** The same zone on every server. */
export const onAll = (lines: readonly string[]): ReadonlyMap<Server, string> =>
  new Map(ALL.map(server => [server, `${lines.join('\n')}\n`]));

/** The zone in which the servers have their names; `more`: those that are named and not there. */
export const serversZone = (
  more: readonly {readonly name: string; readonly address: string}[] = [],
): LabZone => ({
  apex: 'servers.org',
  content: onAll([
    ...head('servers.org', 1, ALL),
    'a.servers.org. A 10.54.0.1',
    ...[...ALL, ...more].map(server => `${server.name}. A ${server.address}`),
  ]),
});
