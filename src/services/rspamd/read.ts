/** Reads what rspamd decides by. Nothing is changed; keys in Redis or a vault are not asked for. */
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../../domain/paths.ts';
import type {Decision, Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {Ports} from '../../system/ports.ts';
import {asIdentity, identitiesOf} from '../account.ts';
import {type Account, createKeyLook, type KeyState} from '../key-look.ts';
import {eachOf, readText} from '../reading.ts';
import type {SignerView} from '../signer.ts';
import {showUnits} from '../systemd.ts';
import {wouldSign} from './decide.ts';
import {dumpArgv, dumpConfiguration, isObject, type JsonObject, type Merged} from './dump.ts';
import {milterEndpoints} from './endpoints.ts';
import {parseSuffixes} from './esld.ts';
import {idleSettings} from './idle.ts';
import {keyMaterial} from './key-material.ts';
import {createNetworks, mapFile, type Networks, readMap, textsOf} from './maps.ts';
import {
  type Block,
  blockOf,
  createSettings,
  type MapName,
  type Model,
  type Setting,
  type Settings,
  shown,
} from './model.ts';
import {
  CONFIG_DIRECTORY,
  createPlaces,
  DUMPED,
  includeFiles,
  type Part,
  type PlaceOf,
  readParts,
  signingFiles,
} from './places.ts';
import {namedKeys, rowsOf} from './rows.ts';

type ReadPorts = Pick<Ports, 'files' | 'commands' | 'users'>;

const PROGRAM = 'rspamd';
const UNIT = 'rspamd.service';
const USER = '_rspamd';

/** The rspamd of this host; none where it is not installed. */
export async function rspamdSigners(
  ports: ReadPorts,
  serviceManager: 'systemd' | 'openrc' | 'sysv',
  signal?: AbortSignal,
): Promise<readonly SignerView[]> {
  const main = below(CONFIG_DIRECTORY, 'rspamd.conf');
  if ((await readText(ports.files, main)).text === undefined) return [];
  const [shownUnit = {}] =
    serviceManager === 'systemd'
      ? await showUnits(ports.commands, [UNIT], ['ActiveState', 'User'], signal)
      : [];
  const user = shownUnit['User'] === undefined || shownUnit['User'] === '' ? USER : shownUnit['User'];
  const merged = await dumpAs(ports, user, signal);
  const common = {
    ...{kind: 'rspamd', program: PROGRAM, unit: UNIT},
    isRunning: shownUnit['ActiveState'] === 'active',
  } as const;
  if ('why' in merged) return [unreadable(common, merged.why)];
  const {model, parts} = await readModel(ports, merged, user);
  const placeOfSocket = createPlaces(await readParts(ports.files, includeFiles('worker-proxy.inc')));
  const source = placeOfSocket('bind_socket') ?? DUMPED;
  return [
    {
      ...common,
      endpoints: milterEndpoints(merged.workers).map(endpoint => ({endpoint, source})),
      rows: await rowsOf(ports.files, model),
      unread: unreadOf(model),
      clients: [...textsOf(merged.options['local_addrs']), ...textsOf(model.settings('sign_networks').value)],
      idle: idleSettings(model, parts),
      wouldSign: question => wouldSign(model, question),
    },
  ];
}

type Common = Pick<SignerView, 'kind' | 'program' | 'unit' | 'isRunning'>;

/** Where it listens by default is known even so; what it signs is not. */
function unreadable(common: Common, why: string): SignerView {
  const source: Source = {by: 'default', program: PROGRAM};
  const decision: Decision = {
    name: 'dkim_signing',
    value: '',
    source: DUMPED,
    says: `waxseal can't tell what rspamd signs: ${why}.`,
  };
  return {
    ...common,
    endpoints: [{endpoint: {kind: 'tcp', host: 'localhost', port: 11_332}, source}],
    rows: [],
    unread: [decision],
    idle: [],
    wouldSign: () => ({outcome: 'unknown', by: [], decisions: [decision]}),
  };
}

/** As root it would leave files of root's in rspamd's own directory (daemons/rspamd.md#files). */
async function dumpAs(
  ports: ReadPorts,
  user: string,
  signal: AbortSignal | undefined,
): Promise<Merged | {readonly why: string}> {
  const found = await identitiesOf(ports, {user, unitUser: user});
  if ('unknown' in found) return {why: `there is no ${found.unknown}`};
  return await dumpConfiguration(ports.commands, asIdentity(found.work, dumpArgv()), signal);
}

const MAPS: readonly MapName[] = ['selector_map', 'path_map', 'signing_table', 'key_table'];

async function readModel(
  ports: ReadPorts,
  merged: Merged,
  user: string,
): Promise<{readonly model: Model; readonly parts: readonly Part[]}> {
  const {files} = ports;
  const parts = await readParts(files, signingFiles(), 'dkim_signing');
  const placeOf = createPlaces(parts);
  const signing = merged.signing ?? {};
  const settings = createSettings(signing, placeOf, PROGRAM);
  const maps: [MapName, {readonly setting: Setting; readonly map: Awaited<ReturnType<typeof readMap>>}][] =
    [];
  for (const name of MAPS) {
    const setting = settings(name);
    if (setting.value !== undefined) maps.push([name, {setting, map: await readMap(files, setting.value)}]);
  }
  const model: Omit<Model, 'keyState'> = {
    program: PROGRAM,
    settings,
    refusal: refusalOf(merged, settings),
    blocks: blocksOf(signing, placeOf),
    maps: new Map(maps),
    localNetworks: await networks(files, merged.options['local_addrs']),
    signNetworks: await networks(files, settings('sign_networks').value),
    suffixes: parseSuffixes(await suffixText(files, merged.options)),
  };
  return {model: {...model, keyState: await keyStates(ports, model, user)}, parts};
}

function refusalOf({signing}: Merged, settings: Settings): Model['refusal'] {
  const enabled = settings('enabled');
  const off = (says: string): Model['refusal'] => ({
    outcome: 'unsigned',
    decision: {name: enabled.name, value: shown(enabled.value), source: enabled.source, says},
  });
  if (signing === undefined) return off('rspamd has no module dkim_signing, so it signs nothing.');
  const {value} = enabled;
  // Only these words of a text switch it on (rspamd_config_is_module_enabled).
  const isEnabled =
    value === undefined ||
    (typeof value === 'string' ? /^(?:y|yes|true|on|1)$/i.test(value) : value !== false);
  return isEnabled ? undefined : off("rspamd's signing is switched off.");
}

function blocksOf({domain}: JsonObject, placeOf: PlaceOf): ReadonlyMap<string, Block> {
  if (domain === undefined || !isObject(domain)) return new Map();
  const fallback = placeOf('domain') ?? DUMPED;
  return new Map(
    Object.entries(domain).map(([name, value]) => [name, blockOf(name, value, placeOf, fallback)]),
  );
}

/** A list, or the name of a file; undefined where that can't be read. */
async function networks(
  files: ReadPorts['files'],
  value: JsonObject[string] | undefined,
): Promise<Networks | undefined> {
  const texts = textsOf(value);
  const [only = ''] = texts;
  if (Array.isArray(value) || value === undefined) return createNetworks(texts);
  const path = mapFile(only);
  if (path === undefined) return /:\/\//.test(only) ? undefined : createNetworks([]);
  const {text} = await readText(files, path);
  return text === undefined
    ? undefined
    : createNetworks(text.split('\n').map(line => (line.split('#', 1)[0] ?? '').trim()));
}

const SUFFIX_LISTS = [
  '/usr/share/publicsuffix/effective_tld_names.dat',
  '/usr/share/rspamd/effective_tld_names.dat',
].map(absolute);

async function suffixText(files: ReadPorts['files'], {url_tld: named}: JsonObject): Promise<string> {
  const path = parseAbsolutePath(typeof named === 'string' ? named : '');
  for (const each of path.ok ? [path.value, ...SUFFIX_LISTS] : SUFFIX_LISTS) {
    const {text} = await readText(files, each);
    if (text !== undefined) return text;
  }
  return '';
}

/** How many key files are read at a time. */
const WIDTH = 32;
const MISSING: KeyState = {access: 'failed', why: 'is missing'};

async function keyStates(
  ports: ReadPorts,
  model: Omit<Model, 'keyState'>,
  user: string,
): Promise<Model['keyState']> {
  const entry = await ports.users.user(user);
  const account: Account | undefined =
    entry === undefined ? undefined : {name: entry.name, uid: entry.uid, gid: entry.gid};
  const look = createKeyLook(ports, account, keyMaterial);
  const paths = [...new Set(await namedKeys(ports.files, model))];
  const states = await eachOf(paths, WIDTH, async path => await look.file(path));
  const known = new Map<AbsolutePath, KeyState>(paths.map((path, at) => [path, states[at] ?? MISSING]));
  return path => known.get(path) ?? MISSING;
}

/** What the answers may depend on and waxseal does not read. */
function unreadOf({settings, maps, localNetworks, signNetworks}: Model): readonly Decision[] {
  const found: Decision[] = [];
  const tell = ({name, value, source}: Setting, says: string): void => {
    found.push({name, value: shown(value), source, says});
  };
  for (const [name, says] of UNREAD) {
    const setting = settings(name);
    if (setting.value !== undefined && setting.value !== false) tell(setting, says);
  }
  for (const {setting, map} of maps.values()) {
    if (map.rows === undefined) tell(setting, `${setting.name} ${visible(map.why)}.`);
  }
  if (signNetworks === undefined) tell(settings('sign_networks'), "waxseal can't read sign_networks.");
  if (localNetworks === undefined) {
    found.push({
      ...{name: 'local_addrs', value: '', source: DUMPED},
      says: "waxseal can't read the list of local addresses (options.local_addrs).",
    });
  }
  return found;
}

const UNREAD: readonly (readonly [string, string])[] = [
  ['use_redis', "Keys are kept in Redis, which waxseal doesn't read."],
  ['use_vault', "Keys are kept in a vault, which waxseal doesn't read."],
  ['sign_condition', "waxseal doesn't read the function that decides what is signed."],
  ['use_domain_custom', "waxseal doesn't read the function that chooses the domain."],
];
