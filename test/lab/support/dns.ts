/**
 * A small internet inside one network namespace, on loopback addresses only:
 *
 *   10.53.0.1  nsd: the root            10.53.1.1  BIND: primary of example.com and example.org
 *   10.53.0.2  nsd: com. org. net.      10.53.1.2  BIND: their secondary, which notices changes late
 *   10.53.0.53 unbound: the resolver of every host
 *
 * The secondary gets no NOTIFY and asks the primary every `LAG_SECONDS` only: that is what real propagation looks
 * like to someone who has just published a record.
 */
import type {ChildProcess} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import path from 'node:path';
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

export const PRIMARY = {name: 'ns1.example.com', addresses: ['10.53.1.1', 'fd53:1::1']} as const;
export const SECONDARY = {name: 'ns2.example.com', addresses: ['10.53.1.2', 'fd53:1::2']} as const;
export const RESOLVER = '10.53.0.53';

/** How long the secondary goes on without looking at the primary. BIND takes a random part of up to a quarter off. */
export const LAG_SECONDS = 12;

/** What a resolver may remember that a record is not there. Short, so that scenarios need not wait for it. */
const NEGATIVE_SECONDS = 3;

const ROOT = '10.53.0.1';
const TOP_LEVEL = '10.53.0.2';

const ADDRESSES = [
  ROOT,
  TOP_LEVEL,
  RESOLVER,
  ...PRIMARY.addresses,
  ...SECONDARY.addresses,
  // The mail host itself, and a client elsewhere.
  '10.53.2.1',
  '10.53.3.1',
];

export const ZONES = ['example.com', 'example.org'] as const;

/** A secret of this lab only; it guards a name server that nobody else can reach. */
const SECRET = 'bGFiLW9ubHktbm90LWEtc2VjcmV0LWF0LWFsbC0wMDE=';

/** What the owner of the zones gives the mail host: with it TXT records may be changed, and nothing else. */
export const UPDATE_KEY = {name: 'waxseal', secret: randomBytes(32).toString('base64')} as const;

export class Internet {
  readonly namespace: string;
  readonly #directory: string;
  readonly #servers = new Map<string, {argv: readonly string[]; child: ChildProcess}>();

  private constructor(namespace: string, directory: string) {
    this.namespace = namespace;
    this.#directory = directory;
  }

  /** Makes the network namespace and starts all servers; resolves when each of them answers. */
  static async start(namespace: string, directory: string): Promise<Internet> {
    const internet = new Internet(namespace, directory);
    try {
      await internet.#start();
    } catch (error) {
      await internet.stop();
      throw error;
    }
    return internet;
  }

  async #start(): Promise<void> {
    const namespace = this.namespace;
    const directory = this.#directory;
    await must(['ip', 'netns', 'add', namespace]);
    await must(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    for (const address of ADDRESSES) {
      const six = address.includes(':');
      await must([
        'ip',
        '-n',
        namespace,
        ...(six ? ['-6'] : []),
        'addr',
        'add',
        `${address}/${six ? 128 : 32}`,
        'dev',
        'lo',
        ...(six ? ['nodad'] : []),
      ]);
    }
    await mkdir(directory, {recursive: true});
    await this.#writeRootServer();
    await this.#writeNameServers();
    await this.#writeResolver();
    this.#launch('nsd', ['nsd', '-d', '-c', path.join(directory, 'nsd.conf')]);
    this.#launch('primary', ['named', '-f', '-c', path.join(directory, 'primary.conf')]);
    this.#launch('unbound', ['unbound', '-d', '-c', path.join(directory, 'unbound.conf')]);
    await this.#serves(PRIMARY.addresses);
    // A secondary that finds no primary on its first try waits long before the next.
    this.#launch('secondary', ['named', '-f', '-c', path.join(directory, 'secondary.conf')]);
    await this.#serves(SECONDARY.addresses);
    await until('the resolver', async () => {
      const answer = await this.query(RESOLVER, 'example.com', 'SOA');
      return answer.length > 0 ? true : undefined;
    });
  }

  /**
   * A firewall that lets DNS pass to and from the resolver only, from now on: what goes to another port 53 vanishes
   * without a word. Transfers between the servers vanish, too.
   */
  async blockPort53(): Promise<void> {
    const hole = ['hole', 'type', 'veth', 'peer', 'name', 'end'];
    const ip = (...argv: readonly string[]): Promise<string> => must(['ip', '-n', this.namespace, ...argv]);
    if ((await this.run(['ip', 'link', 'show', 'hole'])).status !== 0) {
      // A cable to a machine that is not there.
      await ip('link', 'add', ...hole);
      for (const end of ['hole', 'end']) await ip('link', 'set', end, 'up');
      const neighbours = ADDRESSES.filter(address => address !== RESOLVER);
      for (const address of neighbours) {
        const there = ['lladdr', '02:00:00:00:00:01', 'dev', 'hole', 'nud', 'permanent'];
        await ip('neigh', 'add', address, ...there);
      }
      await ip('route', 'add', 'default', 'dev', 'hole', 'src', '10.53.2.1', 'table', '100');
      await ip('-6', 'route', 'add', 'default', 'dev', 'hole', 'table', '100');
      // The kernel looks at local addresses before all else, unless it is told otherwise.
      for (const family of ['-4', '-6']) {
        await ip(family, 'rule', 'add', 'pref', '100', 'lookup', 'local');
        await ip(family, 'rule', 'del', 'pref', '0');
      }
    }
    await ip('rule', 'add', 'pref', '1', 'from', RESOLVER, 'lookup', 'local');
    await ip('rule', 'add', 'pref', '2', 'to', RESOLVER, 'lookup', 'local');
    for (const family of ['-4', '-6']) {
      for (const [pref, protocol] of ['udp', 'tcp'].entries()) {
        const matches = ['iif', 'lo', 'ipproto', protocol, 'dport', '53'];
        await ip(family, 'rule', 'add', 'pref', String(3 + pref), ...matches, 'lookup', '100');
      }
    }
  }

  async openPort53(): Promise<void> {
    for (const pref of ['1', '2', '3', '4']) {
      await must(['ip', '-n', this.namespace, 'rule', 'del', 'pref', pref]);
    }
    for (const pref of ['3', '4'])
      await must(['ip', '-n', this.namespace, '-6', 'rule', 'del', 'pref', pref]);
  }

  async stop(): Promise<void> {
    for (const {child} of this.#servers.values()) await stopServer(child);
    await run(['ip', 'netns', 'del', this.namespace]);
  }

  /** Runs a program of this machine inside the namespace. */
  run(argv: readonly string[], input?: string): Promise<Outcome> {
    return run(['nsenter', `--net=/run/netns/${this.namespace}`, '--', ...argv], {
      timeoutMs: LONG_MS,
      ...(input === undefined ? {} : {input}),
    });
  }

  /** Answer records as dig prints them, one a line; none where the name or the server is not there. */
  async query(server: string, name: string, type: string): Promise<readonly string[]> {
    const outcome = await this.run([
      'dig',
      '+short',
      '+norecurse',
      '+time=1',
      '+tries=1',
      ...(server === RESOLVER ? ['+recurse'] : []),
      `@${server}`,
      name,
      type,
    ]);
    return outcome.stdout.split('\n').filter(line => line !== '' && !line.startsWith(';'));
  }

  /** TXT records of a name at one server, their strings joined. */
  async text(server: string, name: string): Promise<readonly string[]> {
    const lines = await this.query(server, name, 'TXT');
    return lines.map(line => [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(part => part[1] ?? '').join(''));
  }

  async serial(server: string, zone: string): Promise<number> {
    const [soa = ''] = await this.query(server, zone, 'SOA');
    return Number(soa.split(' ')[2]);
  }

  /**
   * Adds a TXT record at the primary as its owner would. The secondary has just looked at the primary when this is
   * done, so it stays behind for nearly the whole lag: scenarios can count on it.
   */
  async publish(zone: string, name: string, strings: readonly string[]): Promise<void> {
    await this.refreshSecondary(zone);
    const quoted = strings.map(string => `"${string.replaceAll(/["\\]/g, '\\$&')}"`).join(' ');
    await this.update(zone, [`update add ${name}. 60 TXT ${quoted}`]);
  }

  async withdraw(zone: string, name: string): Promise<void> {
    await this.update(zone, [`update delete ${name}. TXT`]);
    await this.refreshSecondary(zone);
  }

  async update(zone: string, lines: readonly string[]): Promise<void> {
    const script = [
      `server ${PRIMARY.addresses[0]}`,
      `zone ${zone}.`,
      `key hmac-sha256:publisher ${SECRET}`,
      ...lines,
      'send',
      '',
    ].join('\n');
    const outcome = await this.run(['nsupdate'], script);
    if (outcome.status !== 0) throw new Error(`nsupdate: ${describeOutcome(outcome)}`);
  }

  /**
   * Adds records to the zone file itself, as an administrator pastes them: at the end, with a new serial; BIND's own
   * checker has to accept the file. Both servers have them when this is done, and the resolver remembers nothing.
   */
  async appendToZone(zone: string, records: string): Promise<void> {
    const file = path.join(this.#directory, `${zone}.primary`);
    const control = async (...words: readonly string[]): Promise<void> => {
      const configuration = path.join(this.#directory, 'rndc.conf');
      const outcome = await this.run(['rndc', '-s', PRIMARY.addresses[0], '-c', configuration, ...words]);
      if (outcome.status !== 0) throw new Error(`rndc ${words.join(' ')}: ${describeOutcome(outcome)}`);
    };
    await control('freeze', zone);
    const before = await readFile(file, 'utf8');
    const serial = await this.serial(PRIMARY.addresses[0], zone);
    const counted = before.replace(
      /(\bSOA\s+\S+\s+\S+\s+\(?\s*)\d+/,
      (_all, lead: string) => `${lead}${serial + 1}`,
    );
    await writeFile(file, `${counted.trimEnd()}\n${records.trimEnd()}\n`);
    const checked = await this.run(['named-checkzone', zone, file]);
    if (checked.status !== 0) throw new Error(`named-checkzone: ${describeOutcome(checked)}`);
    await control('thaw', zone);
    await until(`serial ${serial + 1} of ${zone} at the primary`, async () =>
      (await this.serial(PRIMARY.addresses[0], zone)) > serial ? true : undefined,
    );
    await this.refreshSecondary(zone);
    await this.restart('unbound');
  }

  /** Makes the secondary look at the primary now, for scenarios that are not about its lag. */
  async refreshSecondary(zone: string): Promise<void> {
    const primary = await this.serial(PRIMARY.addresses[0], zone);
    const configuration = path.join(this.#directory, 'rndc.conf');
    const outcome = await this.run(['rndc', '-c', configuration, 'refresh', zone]);
    if (outcome.status !== 0) throw new Error(`rndc refresh: ${describeOutcome(outcome)}`);
    await until(`serial ${primary} of ${zone} at the secondary`, async () =>
      (await this.serial(SECONDARY.addresses[0], zone)) >= primary ? true : undefined,
    );
  }

  /** Publishes everywhere at once and empties the resolver: for scenarios that begin with a visible record. */
  async publishEverywhere(zone: string, name: string, strings: readonly string[]): Promise<void> {
    await this.publish(zone, name, strings);
    await this.refreshSecondary(zone);
    await this.restart('unbound');
  }

  async stopServer(name: 'primary' | 'secondary' | 'unbound' | 'nsd'): Promise<void> {
    const server = this.#servers.get(name);
    if (server !== undefined) await stopServer(server.child);
  }

  async restart(name: 'primary' | 'secondary' | 'unbound' | 'nsd'): Promise<void> {
    await this.stopServer(name);
    const server = this.#servers.get(name);
    if (server !== undefined) this.#launch(name, server.argv);
    const address = {
      primary: PRIMARY.addresses[0],
      secondary: SECONDARY.addresses[0],
      unbound: RESOLVER,
      nsd: ROOT,
    }[name];
    const question = name === 'nsd' ? '.' : 'example.com';
    await until(`${name} again`, async () =>
      (await this.query(address, question, 'SOA')).length > 0 ? true : undefined,
    );
  }

  async #serves(addresses: readonly string[]): Promise<void> {
    for (const zone of ZONES) {
      for (const server of addresses) {
        await until(`${zone} at ${server}`, async () => {
          const soa = await this.query(server, zone, 'SOA');
          return soa.length > 0 ? true : undefined;
        });
      }
    }
  }

  #launch(name: string, argv: readonly string[]): void {
    const inside = ['nsenter', `--net=/run/netns/${this.namespace}`, '--', ...argv];
    const child = startServer(inside, path.join(this.#directory, `${name}.log`));
    this.#servers.set(name, {argv, child});
  }

  #put(name: string, lines: readonly string[]): Promise<void> {
    return writeFile(path.join(this.#directory, name), `${lines.join('\n')}\n`);
  }

  async #writeRootServer(): Promise<void> {
    const soa = (zone: string): string =>
      `${zone} 60 IN SOA a.root-servers.net. hostmaster.root-servers.net. 1 3600 600 86400 ${NEGATIVE_SECONDS}`;
    const delegations = ZONES.flatMap(zone => [
      `${zone}. 60 IN NS ${PRIMARY.name}.`,
      `${zone}. 60 IN NS ${SECONDARY.name}.`,
    ]);
    const glue = [PRIMARY, SECONDARY].flatMap(server => [
      `${server.name}. 60 IN A ${server.addresses[0]}`,
      `${server.name}. 60 IN AAAA ${server.addresses[1]}`,
    ]);
    await this.#put('root.zone', [
      soa('.'),
      '. 60 IN NS a.root-servers.net.',
      `a.root-servers.net. 60 IN A ${ROOT}`,
      ...['com.', 'org.', 'net.'].map(zone => `${zone} 60 IN NS a.gtld-servers.net.`),
      `a.gtld-servers.net. 60 IN A ${TOP_LEVEL}`,
    ]);
    for (const top of ['com', 'org', 'net']) {
      await this.#put(`${top}.zone`, [
        soa(`${top}.`),
        `${top}. 60 IN NS a.gtld-servers.net.`,
        ...(top === 'net'
          ? [
              `a.gtld-servers.net. 60 IN A ${TOP_LEVEL}`,
              'root-servers.net. 60 IN NS a.root-servers.net.',
              `a.root-servers.net. 60 IN A ${ROOT}`,
            ]
          : delegations.filter(line => line.includes(`.${top}. 60 IN NS`))),
        ...(top === 'com' ? glue : []),
      ]);
    }
    const zone = (name: string, file: string): string =>
      `zone:\n  name: "${name}"\n  zonefile: "${file}.zone"`;
    await this.#put('nsd.conf', [
      'server:',
      `  ip-address: ${ROOT}`,
      `  ip-address: ${TOP_LEVEL}`,
      '  username: ""',
      '  chroot: ""',
      `  zonesdir: "${this.#directory}"`,
      `  pidfile: "${this.#directory}/nsd.pid"`,
      // NSD 4.6 would write /var/lib/nsd/nsd.db, the same for every lab and for the machine's own.
      '  database: ""',
      `  xfrdfile: "${this.#directory}/xfrd.state"`,
      // Below /tmp otherwise, where it stays when the server is killed.
      `  xfrdir: "${this.#directory}"`,
      `  zonelistfile: "${this.#directory}/zone.list"`,
      '  server-count: 1',
      'remote-control:',
      '  control-enable: no',
      zone('.', 'root'),
      zone('com', 'com'),
      zone('org', 'org'),
      zone('net', 'net'),
    ]);
    await this.#put('root.hints', [`. 3600 NS a.root-servers.net.`, `a.root-servers.net. 3600 A ${ROOT}`]);
  }

  async #writeNameServers(): Promise<void> {
    for (const zone of ZONES) {
      await this.#put(`${zone}.primary`, [
        '$TTL 60',
        `@ IN SOA ${PRIMARY.name}. hostmaster.${zone}. 100 ${LAG_SECONDS} ${LAG_SECONDS} 86400 ${NEGATIVE_SECONDS}`,
        `@ IN NS ${PRIMARY.name}.`,
        `@ IN NS ${SECONDARY.name}.`,
        '@ IN MX 10 mail.example.com.',
        '@ IN TXT "v=spf1 mx -all"',
        '_dmarc IN TXT "v=DMARC1; p=none"',
        ...(zone === 'example.com'
          ? [
              'mail IN A 10.53.2.1',
              ...[PRIMARY, SECONDARY].flatMap(server => [
                `${server.name}. IN A ${server.addresses[0]}`,
                `${server.name}. IN AAAA ${server.addresses[1]}`,
              ]),
            ]
          : []),
      ]);
    }
    const key = (name: string, secret = SECRET): string =>
      `key "${name}" { algorithm hmac-sha256; secret "${secret}"; };`;
    const options = (addresses: readonly [string, string], name: string): readonly string[] => [
      key('publisher'),
      key('control'),
      key(UPDATE_KEY.name, UPDATE_KEY.secret),
      'options {',
      `  directory "${this.#directory}";`,
      `  pid-file "${this.#directory}/${name}.pid";`,
      `  session-keyfile "${this.#directory}/${name}.session";`,
      `  managed-keys-directory "${this.#directory}";`,
      `  listen-on { ${addresses[0]}; };`,
      `  listen-on-v6 { ${addresses[1]}; };`,
      `  query-source address ${addresses[0]};`,
      '  recursion no;',
      '  dnssec-validation no;',
      '  notify no;',
      '  allow-transfer { any; };',
      '};',
      `controls { inet ${addresses[0]} port 953 allow { any; } keys { "control"; }; };`,
    ];
    await this.#put('primary.conf', [
      ...options(PRIMARY.addresses, 'primary'),
      ...ZONES.map(
        zone =>
          `zone "${zone}" { type primary; file "${zone}.primary"; ` +
          `update-policy { grant publisher zonesub ANY; grant ${UPDATE_KEY.name} zonesub TXT; }; };`,
      ),
    ]);
    await this.#put('secondary.conf', [
      ...options(SECONDARY.addresses, 'secondary'),
      ...ZONES.map(
        zone =>
          `zone "${zone}" { type secondary; file "${zone}.secondary"; primaries { ${PRIMARY.addresses[0]}; }; ` +
          `allow-notify { none; }; min-refresh-time ${LAG_SECONDS}; max-refresh-time ${LAG_SECONDS}; };`,
      ),
    ]);
    await this.#put('rndc.conf', [
      key('control'),
      `options { default-server ${SECONDARY.addresses[0]}; default-key "control"; default-port 953; };`,
    ]);
    // named refuses a key file that others can read.
    await chmod(path.join(this.#directory, 'rndc.conf'), 0o600);
  }

  async #writeResolver(): Promise<void> {
    await this.#put('unbound.conf', [
      'server:',
      `  interface: ${RESOLVER}`,
      // By this a firewall can tell it from the mail host.
      `  outgoing-interface: ${RESOLVER}`,
      '  access-control: 0.0.0.0/0 allow',
      '  username: ""',
      '  chroot: ""',
      `  directory: "${this.#directory}"`,
      `  pidfile: "${this.#directory}/unbound.pid"`,
      '  use-syslog: no',
      '  do-ip6: yes',
      '  root-hints: "root.hints"',
      // No signed root here, so there is nothing to validate with.
      '  module-config: "iterator"',
      '  qname-minimisation: no',
      'remote-control:',
      '  control-enable: no',
    ]);
  }
}
