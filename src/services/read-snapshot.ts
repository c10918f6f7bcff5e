/** Reads what the planners look at: `Reads` of each daemon of the registry, all at one time. */
import {createHash} from 'node:crypto';
import {type AbsolutePath, below, nameOf, parentOf} from '../domain/paths.ts';
import type {GroupEntry, Ports, UserEntry} from '../system/ports.ts';
import type {HostFacts} from './facts.ts';
import {refusePlanted} from './planted.ts';
import {decode, eachOf, tryRead} from './reading.ts';
import {mtaOf, SIGNER} from './registry.ts';
import type {WantedKey} from './signer.ts';
import type {ConfigurationSnapshot, FileSnapshot} from './snapshot.ts';

type ReadPorts = Pick<Ports, 'files' | 'users' | 'commands'>;

const WIDTH = 32;
const MAX_KEY_OCTETS = 65_536;

/**
 * Reads what plans look at. `wanted` names domains whose key places are looked at besides those in use. Never throws for a
 * file that may not be read: it then has no text, and the planner says so. Throws HostError where somebody else than root
 * could have put a link in the way of a file that may be written.
 */
export async function readConfiguration(
  ports: ReadPorts,
  facts: HostFacts,
  wanted: readonly WantedKey[] = [],
): Promise<ConfigurationSnapshot> {
  const entries: Record<string, FileSnapshot> = {};
  const take = async (path: AbsolutePath, content: 'text' | 'secret'): Promise<void> => {
    if (!(path in entries)) entries[path] = await snapshotOf(ports, path, content);
  };
  const reads = [
    await SIGNER.reads(ports, facts, wanted),
    ...[await mtaOf(facts)?.reads(ports, facts, [SIGNER.kind])].flatMap(each => each ?? []),
  ];
  const all = <T>(pick: (each: (typeof reads)[number]) => Iterable<T>): readonly T[] => [
    ...new Set(reads.flatMap(each => [...pick(each)])),
  ];
  const texts = new Set(all(({texts}) => texts));
  for (const {configFile} of facts.rivals) if (configFile !== undefined) texts.add(configFile);
  for (const path of texts) {
    await refusePlanted(ports.files, path);
    await take(path, 'text');
  }
  const places = all(({places}) => places);
  for (const path of places) await take(path, 'text');
  const keys = all(({keys}) => keys);
  await eachOf(keys, WIDTH, path => take(path, 'secret'));
  for (const path of above([...places, ...keys].flatMap(path => entries[path]?.path ?? [])))
    await take(path, 'text');
  await markListed(ports, entries, new Set(keys));
  const movable = reads.find(each => each.movable !== undefined)?.movable;
  return {
    entries,
    ...(await accounts(
      ports,
      all(({users}) => users),
      all(({groups}) => groups),
      entries,
    )),
    ...(movable === undefined ? {} : {movable}),
  };
}

/** Keys that others may read by an access list, and texts that they may write: one look at all of them. */
async function markListed(
  {files}: ReadPorts,
  entries: Record<string, FileSnapshot>,
  keys: ReadonlySet<string>,
): Promise<void> {
  const asked = Object.entries(entries).flatMap(([name, {path, stat}]) => {
    const rights = keys.has(name) ? 0o060 : 0o020;
    return stat?.kind === 'file' && (stat.mode & rights) !== 0 ? [[name, path] as const] : [];
  });
  if (asked.length === 0) return;
  const lists = await files.accessLists(asked.map(([, path]) => path));
  for (const [name, path] of asked) {
    const entry = entries[name];
    const list = lists.get(path);
    const isListed = list === 'unread' || list?.named.some(({rights}) => (rights & 6) !== 0) === true;
    if (entry !== undefined && isListed) entries[name] = {...entry, isListed: true};
  }
}

/** Every directory above: a signer judges all of them (daemons/opendkim.md#key-files). */
function above(paths: readonly AbsolutePath[]): ReadonlySet<AbsolutePath> {
  const ways = new Set<AbsolutePath>();
  for (const path of paths) {
    for (let at = path; at !== '/'; ) {
      at = parentOf(at);
      if (ways.has(at)) break;
      ways.add(at);
    }
  }
  return ways;
}

async function snapshotOf(
  ports: ReadPorts,
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

async function besideReal(ports: ReadPorts, path: AbsolutePath): Promise<AbsolutePath> {
  if (path === '/') return path;
  const parent = parentOf(path);
  const real = (await ports.files.resolve(parent)) ?? (await besideReal(ports, parent));
  return below(real, nameOf(path));
}

async function accounts(
  ports: ReadPorts,
  named: readonly string[],
  namedGroups: readonly string[],
  entries: Readonly<Record<string, FileSnapshot>>,
): Promise<Omit<ConfigurationSnapshot, 'entries' | 'movable'>> {
  const users: Record<string, UserEntry> = {};
  const groups: Record<string, GroupEntry> = {};
  const userNames: Record<number, string> = {};
  const groupNames: Record<number, string> = {};
  const primaryNames: Record<number, readonly string[]> = {};
  for (const name of ['root', ...named]) {
    const entry = await ports.users.user(name);
    if (entry !== undefined) users[entry.name] = entry;
  }
  for (const name of ['root', ...namedGroups]) {
    const entry = await ports.users.group(name);
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
