/** Everything the pure planner needs to know of files and users, read at one time. */
import {createHash} from 'node:crypto';
import {socketDirectory} from '../domain/endpoint.ts';
import {type AbsolutePath, below, nameOf, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import type {Result} from '../domain/result.ts';
import type {FileStat, GroupEntry, Ports, UserEntry} from '../system/ports.ts';
import type {DomainSelector, HostFacts} from './facts.ts';
import {type MovableKey, readMovableKey} from './opendkim/movable-key.ts';
import {includesOf, parseDataSet} from './opendkim/parse.ts';
import {parseSocket} from './opendkim/socket.ts';
import {refusePlanted} from './planted.ts';
import {milterEndpoints} from './postfix/edit.ts';
import {decode, eachOf, tryRead, tryReadText} from './reading.ts';

export interface FileSnapshot {
  /** Symlinks resolved; where nothing is there, the parent resolved. */
  readonly path: AbsolutePath;
  readonly stat: FileStat | undefined;
  /** Content of a configuration file; undefined for keys, directories and files that are no text. */
  readonly text: string | undefined;
  /** Present where `text` has one character an octet. */
  readonly encoding?: 'latin1';
  /** Hex SHA-256 of the content; '' for directories and where nothing is there. */
  readonly sha256: string;
}

export interface ConfigurationSnapshot {
  /** By the path as it is named in the configuration. */
  readonly entries: Readonly<Record<string, FileSnapshot>>;
  /** The accounts that matter, by name; missing ones are left out. */
  readonly users: Readonly<Record<string, UserEntry>>;
  readonly groups: Readonly<Record<string, GroupEntry>>;
  /** Names of the owners of the files above, by id. */
  readonly userNames: Readonly<Record<number, string>>;
  readonly groupNames: Readonly<Record<number, string>>;
  /** Names of the users whose primary group it is, by id of the groups of the files above. */
  readonly primaryNames?: Readonly<Record<number, readonly string[]>>;
  /** Whether the key of the single-key form may be copied; absent where that form is not in use. */
  readonly movable?: Result<MovableKey>;
}

type Reads = Pick<Ports, 'files' | 'users' | 'commands'>;

/** Where the keys of a domain lie; one for several domains lies in a folder that is no domain's name. */
export const keyFolder = (keyDirectory: AbsolutePath, domain: string, shared: boolean): AbsolutePath =>
  below(keyDirectory, shared ? 'shared' : domain);

const WIDTH = 32;
const MAX_KEY_OCTETS = 65_536;

/**
 * Reads what planSigning and planRemoval look at: configuration files with their Includes and tables, key files (only
 * their hashes), directories, accounts. `wanted` names domains whose key places are looked at besides those in use.
 * Never throws for a file that may not be read: it then has no text, and the planner says so. Throws HostError where
 * somebody else than root could have put a link in the way of a file that may be written.
 */
export async function readConfiguration(
  ports: Reads,
  facts: HostFacts,
  wanted: readonly (DomainSelector & {readonly shared?: boolean})[] = [],
): Promise<ConfigurationSnapshot> {
  const entries: Record<string, FileSnapshot> = {};
  const take = async (path: AbsolutePath, content: 'text' | 'secret'): Promise<void> => {
    if (!(path in entries)) entries[path] = await snapshotOf(ports, path, content);
  };
  for (const path of await configurationFiles(ports, facts)) {
    await refusePlanted(ports.files, path);
    await take(path, 'text');
  }
  for (const path of directories(facts)) await take(path, 'text');
  for (const path of milterSockets(facts, entries)) await take(path, 'text');
  await eachOf([...keyPlaces(facts, wanted)], WIDTH, ([path, content]) => take(path, content));
  for (const path of waysToKeys(facts, entries)) await take(path, 'text');
  const movable = await movableKey(ports, facts);
  return {
    entries,
    ...(await accounts(ports, facts, entries)),
    ...(movable === undefined ? {} : {movable}),
  };
}

async function movableKey(
  ports: Reads,
  {signer: opendkim, layout}: HostFacts,
): Promise<Result<MovableKey> | undefined> {
  const {keytable, keyfile} = opendkim?.settings ?? {};
  if (opendkim === undefined || layout === undefined || keytable !== undefined || keyfile === undefined)
    return undefined;
  const path = parseAbsolutePath(keyfile);
  return path.ok
    ? await readMovableKey(ports, opendkim, path.value, layout.opendkim.keyDirectory)
    : undefined;
}

async function snapshotOf(
  ports: Reads,
  path: AbsolutePath,
  content: 'text' | 'secret',
): Promise<FileSnapshot> {
  const real = (await ports.files.resolve(path)) ?? (await besideReal(ports, path));
  const stat = await ports.files.stat(real);
  const octets =
    stat?.kind === 'file' && (content === 'text' || stat.size <= MAX_KEY_OCTETS)
      ? await tryRead(ports.files, real)
      : undefined;
  const decoded = octets === undefined || content === 'secret' ? undefined : decode(octets);
  return {
    path: real,
    stat,
    text: decoded?.text,
    ...(decoded?.encoding === undefined ? {} : {encoding: decoded.encoding}),
    sha256: octets === undefined ? '' : createHash('sha256').update(octets).digest('hex'),
  };
}

async function besideReal(ports: Reads, path: AbsolutePath): Promise<AbsolutePath> {
  if (path === '/') return path;
  const parent = parentOf(path);
  const real = (await ports.files.resolve(parent)) ?? (await besideReal(ports, parent));
  return below(real, nameOf(path));
}

/** opendkim.conf with its Includes, the tables it names, the tables we would make, main.cf. */
async function configurationFiles(ports: Reads, facts: HostFacts): Promise<ReadonlySet<AbsolutePath>> {
  const files = new Set<AbsolutePath>();
  const config = facts.signer?.configFile ?? facts.layout?.opendkim.configFile;
  if (config !== undefined) for (const path of await withIncludes(ports, config)) files.add(path);
  for (const name of ['keytable', 'signingtable', 'internalhosts', 'domain']) {
    const value = facts.signer?.settings[name];
    const set = value === undefined ? undefined : parseDataSet(value);
    if (set !== undefined && 'path' in set) files.add(set.path);
  }
  const tables = facts.layout?.opendkim.tableDirectory;
  for (const name of ['KeyTable', 'SigningTable', 'TrustedHosts']) {
    if (tables === undefined) continue;
    files.add(below(tables, name));
    files.add(below(tables, `${name}.waxseal`));
  }
  if (facts.mta !== undefined) {
    files.add(facts.mta.mainCf);
    files.add(below(facts.mta.configDirectory, 'master.cf'));
  }
  for (const signer of facts.rivals) if (signer.configFile !== undefined) files.add(signer.configFile);
  return files;
}

async function withIncludes(ports: Reads, config: AbsolutePath): Promise<readonly AbsolutePath[]> {
  const found = [config];
  for (const path of found) {
    const text = await tryReadText(ports.files, path);
    for (const inner of includesOf(text ?? '')) if (!found.includes(inner)) found.push(inner);
  }
  return found;
}

/** Unix sockets that the milter lists name: an entry for OpenDKIM whose socket is not there leads nowhere. */
function milterSockets(
  facts: HostFacts,
  entries: Readonly<Record<string, FileSnapshot>>,
): readonly AbsolutePath[] {
  const {mta: postfix} = facts;
  const text = postfix === undefined ? undefined : entries[postfix.mainCf]?.text;
  if (postfix === undefined || text === undefined) return [];
  return milterEndpoints(text, postfix).flatMap(endpoint =>
    endpoint.kind === 'unix' ? [endpoint.path] : [],
  );
}

function directories(facts: HostFacts): readonly AbsolutePath[] {
  const layout = facts.layout?.opendkim;
  const found = layout === undefined ? [] : [layout.tableDirectory, layout.keyDirectory];
  if (facts.mta !== undefined) found.push(below(facts.mta.queueDirectory, 'opendkim'));
  for (const socket of [facts.signer?.settings['socket'], facts.signer?.socketOverride]) {
    const directory = socketDirectory(parseSocket(socket ?? ''));
    if (directory !== undefined) found.push(directory);
  }
  return found;
}

function keyPlaces(
  facts: HostFacts,
  wanted: readonly (DomainSelector & {readonly shared?: boolean})[],
): ReadonlyMap<AbsolutePath, 'text' | 'secret'> {
  const found = new Map<AbsolutePath, 'text' | 'secret'>();
  for (const key of facts.signer?.keys ?? []) {
    const path = parseAbsolutePath(key.path);
    if (path.ok) found.set(path.value, 'secret');
  }
  const keyDirectory = facts.layout?.opendkim.keyDirectory;
  const domains: readonly {domain: string; selector: string; shared?: boolean}[] = [
    ...wanted,
    // A single key that root reads moves into tables; its new place is looked at as well.
    ...(facts.signer?.keys.filter(key => key.label === '') ?? []),
  ];
  for (const {domain, selector, shared = false} of domains) {
    if (keyDirectory === undefined || !isFileName(domain) || !isFileName(selector)) continue;
    const folder = keyFolder(keyDirectory, domain, shared);
    found.set(folder, 'text');
    found.set(below(folder, `${selector}.private`), 'secret');
  }
  return found;
}

/** Every directory above a key: OpenDKIM judges all of them (daemons/opendkim.md#key-files). */
function waysToKeys(
  facts: HostFacts,
  entries: Readonly<Record<string, FileSnapshot>>,
): ReadonlySet<AbsolutePath> {
  const ways = new Set<AbsolutePath>();
  const keyDirectory = facts.layout?.opendkim.keyDirectory;
  const isKey = (named: string): boolean => named.endsWith('.private') || known.has(named);
  const known = new Set<string>([
    ...(facts.signer?.keys ?? []).map(key => key.path),
    ...(keyDirectory === undefined ? [] : [keyDirectory]),
  ]);
  for (const [named, entry] of Object.entries(entries)) {
    if (!isKey(named)) continue;
    for (let at = entry.path; at !== '/'; ) {
      at = parentOf(at);
      if (ways.has(at)) break;
      ways.add(at);
    }
  }
  return ways;
}

const isFileName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text);

async function accounts(
  ports: Reads,
  facts: HostFacts,
  entries: Readonly<Record<string, FileSnapshot>>,
): Promise<Omit<ConfigurationSnapshot, 'entries' | 'movable'>> {
  const users: Record<string, UserEntry> = {};
  const groups: Record<string, GroupEntry> = {};
  const userNames: Record<number, string> = {};
  const groupNames: Record<number, string> = {};
  const primaryNames: Record<number, readonly string[]> = {};
  const layout = facts.layout;
  for (const name of ['root', layout?.opendkim.user, layout?.postfix.user, facts.signer?.user]) {
    const entry = name === undefined ? undefined : await ports.users.user(name);
    if (entry !== undefined) users[entry.name] = entry;
  }
  for (const name of ['root', layout?.opendkim.group, layout?.postfix.group, facts.signer?.group]) {
    const entry = name === undefined ? undefined : await ports.users.group(name);
    if (entry !== undefined) groups[entry.name] = entry;
  }
  const stats = Object.values(entries).flatMap(entry => entry.stat ?? []);
  for (const uid of new Set(stats.map(stat => stat.uid))) {
    const entry = await ports.users.userById(uid);
    if (entry !== undefined) userNames[uid] = entry.name;
  }
  for (const gid of new Set(stats.map(stat => stat.gid))) {
    primaryNames[gid] = (await ports.users.primaryMembers(gid)).map(member => member.name);
    const entry = await ports.users.groupById(gid);
    if (entry === undefined) continue;
    groupNames[gid] = entry.name;
    groups[entry.name] = entry;
  }
  return {users, groups, userNames, groupNames, primaryNames};
}
