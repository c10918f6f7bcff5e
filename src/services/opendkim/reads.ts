/** What a plan of OpenDKIM looks at: its configuration, the tables it names and would make, keys, directories, accounts. */
import {socketDirectory} from '../../domain/endpoint.ts';
import {type AbsolutePath, below, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import type {Result} from '../../domain/result.ts';
import type {Ports} from '../../system/ports.ts';
import type {HostFacts} from '../facts.ts';
import type {WantedKey} from '../signer.ts';
import type {MovableKey, Reads} from '../snapshot.ts';
import {configurationTexts} from './decide/instances.ts';
import {openDkimOf} from './facts.ts';
import {readMovableKey} from './movable-key.ts';
import {parseDataSet} from './parse.ts';
import {keyFolder} from './plan-keys.ts';
import {parseSocket} from './socket.ts';

type ReadPorts = Pick<Ports, 'files' | 'users' | 'commands'>;

export async function openDkimReads(
  ports: ReadPorts,
  facts: HostFacts,
  wanted: readonly WantedKey[],
): Promise<Reads> {
  const {layout} = facts;
  const opendkim = openDkimOf(facts);
  const movable = await movableKey(ports, facts);
  const places = layout === undefined ? [] : [layout.opendkim.tableDirectory, layout.opendkim.keyDirectory];
  for (const socket of [opendkim?.settings['socket'], opendkim?.socketOverride]) {
    places.push(...[socketDirectory(parseSocket(socket ?? ''))].flatMap(path => path ?? []));
  }
  const keys = (opendkim?.keys ?? []).flatMap(({path}) => pathsOf(path));
  // A single key that root reads moves into tables; its new place is looked at as well.
  const single = (opendkim?.keys ?? []).filter(key => key.label === '');
  for (const {domain, selector, shared = false} of [...wanted, ...single] as readonly NamedKey[]) {
    if (layout === undefined || !isFileName(domain) || !isFileName(selector)) continue;
    const folder = keyFolder(layout.opendkim.keyDirectory, domain, shared);
    places.push(folder);
    keys.push(below(folder, `${selector}.private`));
  }
  return {
    texts: await texts(ports, facts),
    places,
    keys,
    users: [layout?.opendkim.user, opendkim?.user].flatMap(name => name ?? []),
    groups: [layout?.opendkim.group, opendkim?.group].flatMap(name => name ?? []),
    ...(movable === undefined ? {} : {movable}),
  };
}

interface NamedKey {
  readonly domain: string;
  readonly selector: string;
  readonly shared?: boolean;
}

const pathsOf = (text: string): readonly AbsolutePath[] => {
  const path = parseAbsolutePath(text);
  return path.ok ? [path.value] : [];
};

const isFileName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text);

async function texts(ports: ReadPorts, facts: HostFacts): Promise<ReadonlySet<AbsolutePath>> {
  const opendkim = openDkimOf(facts);
  const config = opendkim?.configFile ?? facts.layout?.opendkim.configFile;
  const files = new Set(config === undefined ? [] : (await configurationTexts(ports.files, config)).keys());
  for (const name of ['keytable', 'signingtable', 'internalhosts', 'domain']) {
    const set = parseDataSet(opendkim?.settings[name] ?? '');
    if ('path' in set) files.add(set.path);
  }
  const tables = facts.layout?.opendkim.tableDirectory;
  for (const name of ['KeyTable', 'SigningTable', 'TrustedHosts']) {
    if (tables !== undefined) files.add(below(tables, name)).add(below(tables, `${name}.waxseal`));
  }
  return files;
}

async function movableKey(ports: ReadPorts, facts: HostFacts): Promise<Result<MovableKey> | undefined> {
  const opendkim = openDkimOf(facts);
  const {keytable, keyfile = ''} = opendkim?.settings ?? {};
  const [path] = pathsOf(keyfile);
  const {layout} = facts;
  return opendkim === undefined || layout === undefined || keytable !== undefined || path === undefined
    ? undefined
    : await readMovableKey(ports, opendkim, path, layout.opendkim.keyDirectory);
}

/** Directories where a rotation writes: tables and private keys. */
export function openDkimPlaces(facts: Pick<HostFacts, 'signer'>): readonly AbsolutePath[] {
  const opendkim = openDkimOf(facts);
  const tables = ['keytable', 'signingtable'].flatMap(name => {
    const set = parseDataSet(opendkim?.settings[name] ?? '');
    return 'path' in set ? [parentOf(set.path)] : [];
  });
  return [...tables, ...(opendkim?.keys ?? []).flatMap(({path}) => pathsOf(path)).map(parentOf)];
}

/** Parameters of opendkim.conf(5) that may name a file which decides whose mail is signed, or how. */
const DECIDING = [
  'keytable',
  'signingtable',
  'internalhosts',
  'externalignorelist',
  'exemptdomains',
  'peerlist',
  'domain',
] as const;

export function openDkimDecidingFiles(facts: HostFacts): readonly AbsolutePath[] {
  const opendkim = openDkimOf(facts);
  if (opendkim === undefined) return [];
  const files = DECIDING.flatMap(name => {
    const set = parseDataSet(opendkim.settings[name] ?? '');
    return set.kind === 'file' || set.kind === 'refile' ? [set.path] : [];
  });
  return [...new Set([opendkim.configFile, ...files])];
}
