/**
 * What a command costs as the domains grow: files looked at, programs started, queries, connections. Counts and not
 * times, so that a busy machine changes nothing.
 */
import {expect, test} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {describeContent} from '../../src/keys/index.ts';
import type {DnsServer, Ports} from '../../src/system/ports.ts';
import {openWorld, pemOf, type World} from '../demo/world.ts';

const [KEY_TABLE, SIGNING_TABLE] = [
  absolute('/etc/opendkim/KeyTable'),
  absolute('/etc/opendkim/SigningTable'),
];
const PEM = Buffer.from(pemOf({algorithm: 'rsa', bits: 2048}));
const RECORD = `v=DKIM1; k=rsa; p=${describeContent(PEM)?.publicKey}`;

interface Cost {
  readonly files: number;
  readonly programs: readonly string[];
  /** Different ones: how often workers side by side ask for the same before one of them knows it is a matter of luck. */
  readonly queries: ReadonlySet<string>;
  readonly connections: number;
}

/** As `target`, and tells `saw` of the arguments of each call of these methods. */
const spied = <T extends object>(
  target: T,
  names: readonly (keyof T)[],
  saw: (...given: readonly unknown[]) => void,
): T =>
  new Proxy(target, {
    get: (of, name) => {
      const member = Reflect.get(of, name) as unknown;
      if (typeof member !== 'function') return member;
      return (...given: readonly unknown[]): unknown => {
        if (names.some(each => each === name)) saw(...given);
        return Reflect.apply(member, of, given) as unknown;
      };
    },
  });

const FILES = ['stat', 'read', 'inspect', 'list', 'resolve', 'readLink'] as const;
/** Looked at again and again for as long as a daemon is awaited: its processes, the directory of a temporary one's socket. */
const AWAITED = /^\/proc\/|\/preflight-[^/]+\/run\//;

async function costOf(world: World, argv: readonly string[]): Promise<Cost> {
  const cost = {files: 0, programs: [] as string[], queries: new Set<string>(), connections: 0};
  const through = (host: Ports): Ports => ({
    ...host,
    files: spied(host.files, FILES, path => {
      if (!AWAITED.test(String(path))) cost.files += 1;
    }),
    commands: spied(host.commands, ['run'], program => {
      const text = String(program).replace(/preflight-[^/,]*/g, 'preflight');
      if (!text.endsWith(',MainPID')) cost.programs.push(text);
    }),
    dns: spied(host.dns, ['udp', 'tcp'], (server, query) => {
      // Without the identifier, and without the case of letters, which is random.
      const question = Buffer.from(query as Uint8Array).toString('latin1', 12);
      cost.queries.add(`${(server as DnsServer).address} ${question.toLowerCase()}`);
    }),
    sockets: spied(host.sockets, ['connect'], () => (cost.connections += 1)),
  });
  const run = await world.run(argv, {through});
  expect(run.exitCode, `${run.out}\n${run.err}`).toBe(0);
  return cost;
}

/** Adds domains as an administrator does by hand, each with a key file of its own, until there are so many. */
async function growTo({sandbox}: World, count: number, have: number): Promise<void> {
  const {files, commands, users} = sandbox.ports;
  const account = await users.user('opendkim');
  if (account === undefined) throw new TypeError('no account');
  const names = Array.from({length: count - have}, (_, at) => `d${have + at}.example.org`);
  const put = async (path: typeof KEY_TABLE, rows: readonly string[]): Promise<void> => {
    const found = await files.inspect(path);
    if (found === undefined) throw new TypeError(`no ${path}`);
    const {mode, uid, gid} = found.stat;
    const text = `${rows.join('')}${Buffer.from(found.content).toString()}`;
    await files.replace(path, Buffer.from(text), {mode, uid, gid});
  };
  const owner = {mode: 0o600, uid: account.uid, gid: account.gid};
  for (const name of names) {
    await files.replace(absolute(`/etc/dkimkeys/${name}`), PEM, owner);
    sandbox.dns.publish(`s1._domainkey.${name}`, RECORD);
  }
  await put(
    KEY_TABLE,
    names.map(name => `${name} ${name}:s1:/etc/dkimkeys/${name}\n`),
  );
  await put(
    SIGNING_TABLE,
    names.map(name => `*@${name} ${name}\n`),
  );
  await commands.run(['systemctl', 'reload', 'opendkim']);
}

const COMMANDS: readonly (readonly string[])[] = [
  ['check'],
  ['status'],
  ['status', '--json'],
  ['explain', 'a@d1.example.org'],
  ['record', '--domain', 'd1.example.org'],
];
/** Of one more domain: its key is opened, and judged with the way to it. */
const FILES_A_DOMAIN = 5;
/** Its record at each address of the zone's servers, twice at the resolver (once with DNSSEC), and its NS records there. */
const QUERIES_A_DOMAIN = 3 + 2 + 1;

test('what a look costs grows by a few files and queries a domain, and by no program', async () => {
  // The secondary has what is published at once: what is seen must not be a matter of time.
  const world = await openWorld({lagMs: 0});
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const costs: (readonly Cost[])[] = [];
  let have = 1;
  for (const count of [5, 25, 110, 130]) {
    await growTo(world, count, have);
    have = count;
    const all: Cost[] = [];
    for (const argv of count > 25 ? COMMANDS.slice(0, 1) : COMMANDS) all.push(await costOf(world, argv));
    costs.push(all);
  }
  const [few = [], more = [], [many] = [], [most] = []] = costs;
  for (const [at, argv] of COMMANDS.entries()) {
    const [small, large] = [few[at], more[at]];
    if (small === undefined || large === undefined) throw new TypeError('not run');
    const name = argv.join(' ');
    expect(small.programs, name).toEqual([...new Set(small.programs)]);
    expect(large.programs.toSorted(), name).toEqual(small.programs.toSorted());
    expect((large.files - small.files) / 20, name).toBeLessThanOrEqual(FILES_A_DOMAIN);
    if (at > 0) {
      expect([small.queries.size, large.queries.size], name).toEqual([0, 0]);
      expect(large.connections, name).toBe(small.connections);
    }
  }
  if (many === undefined || most === undefined) throw new TypeError('not run');
  expect(most.programs.toSorted()).toEqual(many.programs.toSorted());
  // So many domains are tried on the signer's socket, however many there are.
  expect(most.connections).toBe(many.connections);
  expect((most.files - many.files) / 20).toBeLessThanOrEqual(FILES_A_DOMAIN);
  expect((most.queries.size - many.queries.size) / 20).toBeLessThanOrEqual(QUERIES_A_DOMAIN);
});
