/**
 * A mail host in memory: a file tree, accounts, and the commands that waxseal asks. postconf(1) is answered from the
 * main.cf and master.cf in the tree, systemctl(1) from `units`. `carryOut` does what plan/ would do with steps, without
 * its care: enough to look again and to plan again.
 */
import {createHash} from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import {HostError} from '../../src/domain/errors.ts';
import {type AbsolutePath, parentOf} from '../../src/domain/paths.ts';
import {parseMasterCf} from '../../src/services/postfix/master.ts';
import {expand, parseMainCf, settingsOf} from '../../src/services/postfix/parse.ts';
import {type FileContent, type Owner, octetsOfText, type Step} from '../../src/services/step.ts';
import type {
  AccessList,
  Argv,
  CommandResult,
  Commands,
  CurrentProcess,
  Destruction,
  FileAttributes,
  FileStat,
  Files,
  GroupEntry,
  InspectedFile,
  Ports,
  UserEntry,
  Users,
} from '../../src/system/ports.ts';

type Node =
  | {readonly kind: 'file'; readonly content: Uint8Array; readonly attributes: FileAttributes}
  | {readonly kind: 'directory'; readonly attributes: FileAttributes}
  | {readonly kind: 'symlink'; readonly target: string};

const ROOT: FileAttributes = {mode: 0o755, uid: 0, gid: 0};

/** Files as a map. Directories on the way are made by themselves. Symlinks are followed by read and resolve. */
export class MemoryFiles implements Files {
  readonly nodes = new Map<string, Node>([['/', {kind: 'directory', attributes: ROOT}]]);

  put(at: string, content: string | Uint8Array, attributes: Partial<FileAttributes> = {}): void {
    this.#parents(at);
    const octets = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    this.nodes.set(at, {kind: 'file', content: octets, attributes: {...ROOT, mode: 0o644, ...attributes}});
  }

  directory(at: string, attributes: Partial<FileAttributes> = {}): void {
    this.#parents(at);
    this.nodes.set(at, {kind: 'directory', attributes: {...ROOT, ...attributes}});
  }

  symlink(at: string, target: string): void {
    this.#parents(at);
    this.nodes.set(at, {kind: 'symlink', target});
  }

  text(at: string): string {
    const node = this.nodes.get(this.#real(at) ?? at);
    if (node?.kind !== 'file') throw new TypeError(`${at} is not a file`);
    return new TextDecoder('utf-8', {ignoreBOM: true}).decode(node.content);
  }

  #parents(at: string): void {
    for (let up = path.posix.dirname(at); !this.nodes.has(up); up = path.posix.dirname(up)) {
      this.nodes.set(up, {kind: 'directory', attributes: ROOT});
    }
  }

  #real(at: string, depth = 0): string | undefined {
    let now = '/';
    for (const name of at.split('/').filter(part => part !== '')) {
      const next = path.posix.join(now, name);
      const node = this.nodes.get(next);
      if (node === undefined || depth > 20) return undefined;
      if (node.kind !== 'symlink') now = next;
      else {
        const real = this.#real(path.posix.resolve(now, node.target), depth + 1);
        if (real === undefined) return undefined;
        now = real;
      }
    }
    return now;
  }

  async stat(at: AbsolutePath): Promise<FileStat | undefined> {
    const parent = this.#real(path.posix.dirname(at));
    const node = this.nodes.get(parent === undefined ? at : path.posix.join(parent, path.posix.basename(at)));
    if (node === undefined) return undefined;
    const attributes = node.kind === 'symlink' ? {mode: 0o777, uid: 0, gid: 0} : node.attributes;
    const size = node.kind === 'file' ? node.content.length : 0;
    return {kind: node.kind, ...attributes, size, links: 1, device: 1, inode: 1, modifiedMs: 0};
  }

  async read(at: AbsolutePath): Promise<Uint8Array | undefined> {
    const node = this.nodes.get(this.#real(at) ?? '');
    if (node !== undefined && node.kind !== 'file') {
      throw new HostError({id: 'file.read', message: `${at} is not a file`, hint: ''});
    }
    return node?.content;
  }

  async inspect(
    at: AbsolutePath,
    {follow = false}: {readonly follow?: boolean} = {},
  ): Promise<InspectedFile | undefined> {
    const real = follow ? await this.resolve(at) : at;
    const stat = real === undefined ? undefined : await this.stat(real);
    if (real === undefined || stat === undefined) return undefined;
    if (stat.kind !== 'file')
      throw new HostError({id: 'file.kind', message: `${at} is not a file`, hint: ''});
    return {content: (await this.read(real)) ?? new Uint8Array(), stat};
  }

  async destroy(
    at: AbsolutePath,
    isExpected: (content: Uint8Array, stat: FileStat) => boolean,
  ): Promise<Destruction> {
    const stat = await this.stat(at);
    if (stat === undefined) return 'absent';
    if (stat.kind !== 'file') return 'not-a-file';
    const {content} = (await this.inspect(at)) ?? {content: new Uint8Array()};
    if (!isExpected(content, stat)) return 'unexpected';
    this.nodes.delete(at);
    return 'destroyed';
  }

  async list(at: AbsolutePath): Promise<readonly string[] | undefined> {
    const real = this.#real(at);
    if (real === undefined) return undefined;
    const prefix = real === '/' ? '/' : `${real}/`;
    const names = [...this.nodes.keys()].filter(key => key.startsWith(prefix) && key !== '/');
    return [...new Set(names.map(key => key.slice(prefix.length).split('/', 1)[0] ?? ''))].sort();
  }

  async resolve(at: AbsolutePath): Promise<AbsolutePath | undefined> {
    return this.#real(at) as AbsolutePath | undefined;
  }

  /** As setfacl(1) would: rights of others than owner and group, by path. */
  readonly lists = new Map<string, AccessList | 'unread'>();

  async accessLists(
    paths: readonly AbsolutePath[],
  ): Promise<ReadonlyMap<AbsolutePath, AccessList | 'unread'>> {
    const found = paths.flatMap(at => {
      const list = this.lists.get(at);
      return list === undefined ? [] : [[at, list] as const];
    });
    return new Map(found);
  }

  async readLink(at: AbsolutePath): Promise<string | undefined> {
    const node = this.nodes.get(at);
    return node?.kind === 'symlink' ? node.target : undefined;
  }

  async replace(at: AbsolutePath, content: Uint8Array, attributes: FileAttributes): Promise<void> {
    if (!this.nodes.has(parentOf(at)))
      throw new HostError({id: 'file.parent', message: `no ${parentOf(at)}`, hint: ''});
    this.nodes.set(at, {kind: 'file', content, attributes});
  }

  async create(at: AbsolutePath, content: Uint8Array, attributes: FileAttributes): Promise<void> {
    if (this.nodes.has(at)) throw new HostError({id: 'file.exists', message: `${at} exists`, hint: ''});
    await this.replace(at, content, attributes);
  }

  async makeDirectory(at: AbsolutePath, attributes: FileAttributes): Promise<void> {
    if (this.nodes.has(at)) throw new HostError({id: 'file.exists', message: `${at} exists`, hint: ''});
    if (!this.nodes.has(parentOf(at)))
      throw new HostError({id: 'file.parent', message: `no ${parentOf(at)}`, hint: ''});
    this.nodes.set(at, {kind: 'directory', attributes});
  }

  async checkChangeable(): Promise<void> {
    // Everything in memory can be changed.
  }

  async setAttributes(at: AbsolutePath, attributes: FileAttributes): Promise<void> {
    const node = this.nodes.get(at);
    if (node !== undefined && node.kind !== 'symlink') this.nodes.set(at, {...node, attributes});
  }

  async append(at: AbsolutePath, content: Uint8Array, attributes: FileAttributes): Promise<void> {
    const before = (await this.read(at)) ?? new Uint8Array();
    await this.replace(at, Buffer.concat([before, content]), attributes);
  }

  async remove(at: AbsolutePath): Promise<void> {
    this.nodes.delete(at);
  }

  async removeDirectory(at: AbsolutePath): Promise<void> {
    if (((await this.list(at)) ?? []).length > 0)
      throw new HostError({id: 'file.remove', message: `${at} is not empty`, hint: ''});
    this.nodes.delete(at);
  }
}

/** Accounts of a Debian mail host. */
export class MemoryUsers implements Users {
  readonly users: UserEntry[] = [
    {name: 'root', uid: 0, gid: 0},
    {name: 'mail', uid: 8, gid: 8},
    {name: 'opendkim', uid: 104, gid: 110},
    {name: 'postfix', uid: 105, gid: 111},
    {name: '_rspamd', uid: 106, gid: 112},
  ];
  readonly groups: GroupEntry[] = [
    {name: 'root', gid: 0, members: []},
    {name: 'mail', gid: 8, members: []},
    {name: 'opendkim', gid: 110, members: []},
    {name: 'postfix', gid: 111, members: []},
    {name: '_rspamd', gid: 112, members: []},
  ];

  /** As `adduser user group`. */
  join(user: string, group: string): void {
    const at = this.groups.findIndex(entry => entry.name === group);
    const entry = this.groups[at];
    if (entry !== undefined) this.groups[at] = {...entry, members: [...entry.members, user]};
  }

  user = async (name: string) => this.users.find(entry => entry.name === name);
  userById = async (uid: number) => this.users.find(entry => entry.uid === uid);
  group = async (name: string) => this.groups.find(entry => entry.name === name);
  groupById = async (gid: number) => this.groups.find(entry => entry.gid === gid);
  primaryMembers = async (gid: number) => this.users.filter(entry => entry.gid === gid);
}

const ended = (stdout: string, status = 0, stderr = ''): CommandResult => ({
  status,
  stdout,
  stderr,
  ended: 'exit',
});
const MISSING: CommandResult = {status: null, stdout: '', stderr: '', ended: 'missing'};

export interface FakeHost {
  readonly files: MemoryFiles;
  readonly users: MemoryUsers;
  readonly commands: Commands;
  readonly process: CurrentProcess;
  /** Every command that was run. */
  readonly calls: Argv[];
  /** Answers of `systemctl show`, by unit; a unit that is not here is `not-found`. */
  readonly units: Map<string, Record<string, string>>;
  /** Programs that are not installed. */
  readonly missing: Set<string>;
  postfixRuns: boolean;
}

/** A host of the given Debian release with nothing in its tree but what every host has. */
export function fakeHost(
  options: {readonly release?: 12 | 13; readonly privileged?: boolean} = {},
): FakeHost {
  const release = options.release ?? 13;
  const privileged = options.privileged ?? true;
  const files = new MemoryFiles();
  files.directory('/run/systemd/system');
  files.directory('/var/spool/postfix');
  files.directory('/etc/dkimkeys', {mode: 0o700, uid: 104, gid: 110});
  files.directory('/run/opendkim', {mode: 0o750, uid: 104, gid: 110});
  const calls: Argv[] = [];
  const host: FakeHost = {
    files,
    users: new MemoryUsers(),
    commands: {
      run: async argv => {
        calls.push(argv);
        return answer(host, argv);
      },
    },
    process: {pid: 4711, uid: privileged ? 0 : 1000, privileged},
    calls,
    units: new Map(release === 12 ? UNITS_12 : UNITS_13),
    missing: new Set(),
    postfixRuns: true,
  };
  return host;
}

const OPENDKIM_UNIT = {
  LoadState: 'loaded',
  ActiveState: 'active',
  PIDFile: '/run/opendkim/opendkim.pid',
  ExecStart:
    '{ path=/usr/sbin/opendkim ; argv[]=/usr/sbin/opendkim ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }',
  DropInPaths: '',
  User: '',
};

const UNITS_12: readonly (readonly [string, Record<string, string>])[] = [
  ['opendkim.service', OPENDKIM_UNIT],
  ['postfix.service', {LoadState: 'loaded', ActiveState: 'active', Type: 'oneshot'}],
  ['postfix@-.service', {LoadState: 'loaded', ActiveState: 'active', Type: 'forking'}],
];

const UNITS_13: readonly (readonly [string, Record<string, string>])[] = [
  ['opendkim.service', OPENDKIM_UNIT],
  ['postfix.service', {LoadState: 'loaded', ActiveState: 'active', Type: 'forking'}],
];

function answer(host: FakeHost, argv: Argv): CommandResult {
  const [program, ...rest] = argv;
  if (host.missing.has(program)) return MISSING;
  if (program === 'postconf') return postconf(host, rest);
  if (program === 'postfix') return ended('', rest[0] === 'status' && !host.postfixRuns ? 1 : 0);
  if (program === 'opendkim') return ended(rest[0] === '-V' ? 'opendkim: OpenDKIM Filter v2.11.0\n' : '');
  if (program === 'rspamadm') return ended('syntax OK\n');
  if (program === 'systemctl') return systemctl(host, rest);
  if (program === 'id') return ended('');
  if (program === 'setpriv') return asAccount(host, rest);
  return MISSING;
}

/** setpriv(1) with sha256sum(1), judged by modes alone. */
function asAccount(host: FakeHost, rest: readonly string[]): CommandResult {
  const option = (name: string): string =>
    rest.find(word => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? '';
  const uid = Number(option('reuid'));
  const gids = option('groups').split(',').map(Number);
  const [program, , at = ''] = rest.slice(rest.indexOf('--') + 1);
  const node = host.files.nodes.get(at);
  if (program !== 'sha256sum' || node?.kind !== 'file') return ended('', 1);
  const allows = (way: string, bit: number): boolean => {
    const step = host.files.nodes.get(way);
    if (step === undefined || step.kind === 'symlink') return false;
    const {mode, uid: owner, gid} = step.attributes;
    return uid === 0 || (mode & (owner === uid ? bit << 6 : gids.includes(gid) ? bit << 3 : bit)) !== 0;
  };
  let way = path.posix.dirname(at);
  for (; way !== '/' && allows(way, 1); way = path.posix.dirname(way));
  return way === '/' && allows(at, 4) ? ended(`${sha256(node.content)}  ${at}\n`) : ended('', 1);
}

function systemctl(host: FakeHost, rest: readonly string[]): CommandResult {
  const [verb, ...more] = rest;
  if (verb === 'restart' || verb === 'start') {
    const unit = host.units.get(more[0] ?? '');
    if (unit !== undefined) host.units.set(more[0] ?? '', {...unit, ActiveState: 'active'});
    return ended('', unit === undefined ? 5 : 0);
  }
  if (verb === 'stop') {
    host.units.set(more[0] ?? '', {...host.units.get(more[0] ?? ''), ActiveState: 'inactive'});
  }
  if (verb !== 'show') return ended('');
  const wanted = (more[more.indexOf('-p') + 1] ?? '').split(',');
  const paragraphs = more.slice(0, more.indexOf('-p')).map(unit => {
    const properties = host.units.get(unit) ?? {LoadState: 'not-found', ActiveState: 'inactive'};
    const rows = Object.entries({Id: unit, ...properties}).filter(([name]) => wanted.includes(name));
    return rows.map(([name, value]) => `${name}=${value}\n`).join('');
  });
  return ended(paragraphs.join('\n'));
}

const DEFAULTS: readonly (readonly [string, string])[] = [
  ['mail_version', '3.10.13'],
  ['config_directory', '/etc/postfix'],
  ['queue_directory', '/var/spool/postfix'],
  ['compatibility_level', '0'],
  ['mydestination', '$myhostname, localhost.$mydomain, localhost'],
  ['myorigin', '$myhostname'],
  ['virtual_alias_domains', '$virtual_alias_maps'],
  ['relay_domains', ''],
];

/** postconf(1): -n, -d NAME…, -x NAME…, -F and -P as far as they are asked. */
function postconf(host: FakeHost, rest: readonly string[]): CommandResult {
  const explicit = settingsOf(parseMainCf(host.files.text('/etc/postfix/main.cf')));
  const myhostname = explicit.get('myhostname') ?? host.files.text('/etc/hostname').trim();
  const settings = new Map([
    ...DEFAULTS,
    ['myhostname', myhostname] as const,
    ['mydomain', myhostname.split('.').slice(1).join('.')] as const,
    ...explicit,
  ]);
  const print = (rows: Iterable<readonly [string, string]>): CommandResult =>
    ended([...rows].map(([name, value]) => `${name} = ${value}`.trimEnd()).join('\n'));
  if (rest[0] === '-n') return print([...explicit].sort());
  if (rest[0] === '-d') {
    const asked = [...DEFAULTS, ['myhostname', host.files.text('/etc/hostname').trim()] as const];
    return print(asked.filter(([name]) => rest.includes(name)));
  }
  if (rest[0] === '-x') {
    return print(rest.slice(1).map(name => [name, expand(settings.get(name) ?? '', settings)] as const));
  }
  const services = masterFields(host.files.text('/etc/postfix/master.cf'));
  if (rest[0] === '-F') {
    return print(
      services.flatMap(one => [
        [`${one.name}/chroot`, one.chroot] as const,
        [`${one.name}/command`, one.command] as const,
      ]),
    );
  }
  if (rest[0] === '-P') {
    return print(
      parseMasterCf(host.files.text('/etc/postfix/master.cf')).flatMap(one =>
        one.options.map(option => [`${one.name}/${option.name}`, option.value] as const),
      ),
    );
  }
  return ended('', 1, 'postconf: fatal: not known to the test');
}

function masterFields(text: string): readonly {name: string; chroot: string; command: string}[] {
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    if (/^\s/.test(line)) lines.push(`${lines.pop() ?? ''} ${line.trim()}`);
    else lines.push(line);
  }
  return lines.map(line => {
    const fields = line.split(/\s+/);
    return {
      name: `${fields[0] ?? ''}/${fields[1] ?? ''}`,
      chroot: fields[4] ?? '-',
      command: fields.slice(7).join(' '),
    };
  });
}

const FIXTURES = path.join(import.meta.dirname, '..', 'fixtures', 'hosts');

/** What a host.json says: the head of its fixture. */
export interface Manifest {
  readonly shape: string;
  /** Where in the world such a host is found. */
  readonly seen: string;
  /** Id of the problem with which planning ends instead of a plan. */
  readonly refused?: string;
  /** Ids of what forbids going on before anything is planned, in order. */
  readonly blocked?: readonly string[];
  /** What is asked for beyond `example.com`. */
  readonly wanted?: {readonly rivals?: 'switch' | 'leave'; readonly socket?: 'unix'};
  /** Lines put below a file of the base. */
  readonly append?: Readonly<Record<string, readonly string[]>>;
  /** Pieces of a file of the base that read differently here: each [before, after] must be found. */
  readonly edit?: Readonly<Record<string, readonly (readonly [string, string])[]>>;
  /** Files of the base that are not here. */
  readonly without?: readonly string[];
  /** Programs that are not installed. */
  readonly missing?: readonly string[];
  /** Accounts that this host has besides, `name uid gid`. */
  readonly accounts?: readonly string[];
  readonly base?: string;
  readonly release?: 12 | 13;
  /** `user:group mode` by path; a path that ends with a slash is a directory. */
  readonly attributes?: Readonly<Record<string, string>>;
  readonly symlinks?: Readonly<Record<string, string>>;
  readonly members?: Readonly<Record<string, string>>;
  readonly units?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Every fixture below test/fixtures/hosts. */
export const fixtureNames = (): readonly string[] =>
  fs
    .readdirSync(FIXTURES, {withFileTypes: true})
    .filter(entry => entry.isDirectory())
    .map(entry => entry.name)
    .sort();

/**
 * A host from a fixture: the files of its base, its own above them, then what its host.json says of owners, symlinks,
 * group members and units.
 */
export function fixtureHost(name: string): FakeHost & {readonly manifest: Manifest} {
  const chain: {manifest: Manifest; folder: string}[] = [];
  for (let at: string | undefined = name; at !== undefined; at = chain[0]?.manifest.base) {
    const folder = path.join(FIXTURES, at);
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'host.json'), 'utf8')) as Manifest;
    chain.unshift({manifest, folder});
  }
  const release = chain.map(link => link.manifest.release).findLast(one => one !== undefined);
  const host = fakeHost({...(release === undefined ? {} : {release})});
  for (const {manifest, folder} of chain) {
    loadTree(host, folder);
    dress(host, manifest);
  }
  const manifest = chain.at(-1)?.manifest;
  if (manifest === undefined) throw new TypeError(`no fixture ${name}`);
  return Object.assign(host, {manifest});
}

/** A private key, the same for the same name: Ed25519 in PKCS#8 (RFC 8410 §7). */
export function testKey(name: string): string {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  const seed = createHash('sha256').update(name).digest();
  const der = Buffer.concat([prefix, seed]);
  return `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`;
}

/** The trees of the fixtures have names where there is a private key. */
function realKey(octets: Uint8Array): Uint8Array {
  const [, name] =
    /^-+BEGIN PRIVATE KEY-+\nnot a key, only its place in a test: (.+)\n/.exec(String(octets)) ?? [];
  return name === undefined ? octets : Buffer.from(testKey(name));
}

function loadTree(host: FakeHost, folder: string): void {
  for (const entry of fs.readdirSync(folder, {recursive: true, withFileTypes: true})) {
    const full = path.join(entry.parentPath, entry.name);
    const at = `/${path.relative(folder, full)}`;
    if (entry.isFile() && at !== '/host.json' && at !== '/README.md')
      host.files.put(at, realKey(fs.readFileSync(full)));
  }
}

function dress(host: FakeHost, manifest: Manifest): void {
  for (const account of manifest.accounts ?? []) {
    const [name = '', uid = '', gid = ''] = account.split(' ');
    host.users.users.push({name, uid: Number(uid), gid: Number(gid)});
    if (!host.users.groups.some(group => group.gid === Number(gid)))
      host.users.groups.push({name, gid: Number(gid), members: []});
  }
  for (const at of manifest.without ?? []) {
    if (!host.files.nodes.delete(at)) throw new TypeError(`${at} is not in the base`);
  }
  for (const [at, edits] of Object.entries(manifest.edit ?? {})) {
    let text = host.files.text(at);
    for (const [before, after] of edits) {
      if (!text.includes(before)) throw new TypeError(`${at} has no ${before}`);
      text = text.replace(before, () => after);
    }
    host.files.put(at, text);
  }
  for (const [at, lines] of Object.entries(manifest.append ?? {})) {
    const before = host.files.nodes.has(at) ? host.files.text(at) : '';
    host.files.put(at, before + lines.map(line => `${line}\n`).join(''));
  }
  for (const program of manifest.missing ?? []) host.missing.add(program);
  for (const [at, text] of Object.entries(manifest.attributes ?? {})) {
    const [, user = '', group = '', mode = ''] = /^([^\s:]+):(\S+) ([0-7]+)$/.exec(text) ?? [];
    const attributes = {...ids(host, {user, group}), mode: Number.parseInt(mode, 8)};
    if (at.endsWith('/')) host.files.directory(at.slice(0, -1), attributes);
    else {
      const node = host.files.nodes.get(at);
      if (node?.kind !== 'file') throw new TypeError(`no file ${at}`);
      host.files.put(at, node.content, attributes);
    }
  }
  for (const [at, target] of Object.entries(manifest.symlinks ?? {})) host.files.symlink(at, target);
  for (const [user, group] of Object.entries(manifest.members ?? {})) host.users.join(user, group);
  for (const [unit, properties] of Object.entries(manifest.units ?? {})) {
    host.units.set(unit, {...host.units.get(unit), ...properties});
  }
}

function ids(host: FakeHost, owner: Owner): {uid: number; gid: number} {
  const number = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN);
  const uid = host.users.users.find(entry => entry.name === owner.user)?.uid ?? number(owner.user);
  const gid = host.users.groups.find(entry => entry.name === owner.group)?.gid ?? number(owner.group);
  if (Number.isNaN(uid) || Number.isNaN(gid)) throw new TypeError(`no ${owner.user}:${owner.group}`);
  return {uid, gid};
}

/** Does what the steps say, in order. Throws where a step does not fit the tree. */
export async function carryOut(host: FakeHost, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (step.kind === 'directory') {
      const attributes = {...ids(host, step.owner), mode: step.mode};
      if (step.before.state === 'absent') await host.files.makeDirectory(step.path, attributes);
      else await host.files.setAttributes(step.path, attributes);
    } else if (step.kind === 'file') {
      const content = await contentOf(host, step.after.content);
      await host.files.replace(step.path, content, {...ids(host, step.after.owner), mode: step.after.mode});
    } else if (step.kind === 'remove') {
      await host.files.remove(step.path);
    } else if (step.kind === 'service' || step.kind === 'check') {
      const result = await host.commands.run(step.argv);
      if (result.status !== 0) throw new TypeError(`${step.argv.join(' ')} failed`);
    }
  }
}

/** The host as plan/ wants it: a clock that moves by sleeping only, a lock that is always free. */
export function planPorts(host: FakeHost): Ports {
  let now = Date.UTC(2026, 10, 21);
  let draws = 0;
  const unused = (): never => {
    throw new TypeError('not part of this test');
  };
  return {
    files: host.files,
    commands: host.commands,
    users: host.users,
    process: host.process,
    clock: {
      now: () => new Date(now),
      sleep: async ms => {
        now += ms;
      },
    },
    random: {
      bytes: length => {
        draws += 1;
        return new Uint8Array(length).fill(draws);
      },
    },
    locks: {acquire: async () => ({release: async () => undefined})},
    keys: {generate: unused},
    sockets: {connect: unused},
    dns: {udp: unused, tcp: unused, hostResolvers: unused},
  };
}

/** The whole host but waxseal's own directory: kind, content as hex hash, mode, owner, link target; and its units. */
export function fingerprint(host: FakeHost): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [at, node] of host.files.nodes) {
    if (at.startsWith('/var/lib/waxseal')) continue;
    if (node.kind === 'symlink') found.set(at, `-> ${node.target}`);
    else {
      const {mode, uid, gid} = node.attributes;
      const content = node.kind === 'file' ? sha256(node.content) : 'directory';
      found.set(at, `${mode.toString(8)} ${uid}:${gid} ${content}`);
    }
  }
  for (const [unit, {ActiveState}] of host.units)
    found.set(unit, ActiveState === 'active' ? 'runs' : 'does not run');
  return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)));
}

async function contentOf(host: FakeHost, content: FileContent): Promise<Uint8Array> {
  if (content.from === 'text') return octetsOfText(content);
  const octets = await host.files.read(content.path);
  if (octets === undefined) throw new TypeError(`no ${content.path}`);
  if (sha256(octets) !== content.sha256) throw new TypeError(`${content.path} is another key`);
  return octets;
}

/** Hex. */
export const sha256 = (octets: Uint8Array | string): string =>
  createHash('sha256').update(octets).digest('hex');
