/** Reads what an OpenDKIM decides by. Nothing is changed, and nothing but regular files is ever opened. */
import {meantNetwork} from '../../../dns/address.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../../domain/paths.ts';
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Layout} from '../../../layouts/layout.ts';
import type {Ports} from '../../../system/ports.ts';
import type {HostFacts} from '../../facts.ts';
import {filledPaths} from '../../filled-paths.ts';
import {type Account, createKeyLook, type KeyLook, type KeyState} from '../../key-look.ts';
import {eachOf, readText} from '../../reading.ts';
import type {SignerView, SigningRow} from '../../signer.ts';
import {showUnits} from '../../systemd.ts';
import type {OpenDkimFacts} from '../facts.ts';
import {parseSocket} from '../socket.ts';
import {fillIn, isPath, keyFields, signingFields} from '../tables/rows.ts';
import {createDataSet, rowsOf, type SetRow} from './data-set.ts';
import {wouldSign} from './decide.ts';
import {
  configurationTexts,
  type Instance,
  lying,
  otherInstances,
  runningInstances,
  UNIT_START,
  unitInstance,
} from './instances.ts';
import {keyMaterial} from './key-material.ts';
import {type Model, type NamedSet, SETS, type SetName} from './model.ts';
import {openSet} from './open-set.ts';
import {refusalOf} from './refusal.ts';
import {signingRow} from './requests.ts';
import {effectiveSettings, type Setting, type Settings, shownValue} from './settings.ts';

type LookPorts = Pick<Ports, 'files' | 'users'>;
type ReadPorts = LookPorts & Pick<Ports, 'commands'>;
type Known = Pick<OpenDkimFacts, 'configFile' | 'unit' | 'version' | 'active' | 'unitUser' | 'unitGroup'>;

/** What is known of the host before: of its facts, the parts that matter here. */
export interface KnownHost {
  readonly signer: Known | undefined;
  readonly layout: {readonly opendkim: Pick<Layout['opendkim'], 'configFile' | 'unit'>} | undefined;
  readonly serviceManager: HostFacts['serviceManager'];
}

/** Every OpenDKIM of the host that signs or could: each running process, the known unit, and what lies beside it. */
export async function openDkimSigners(
  ports: ReadPorts,
  host: KnownHost,
  signal?: AbortSignal,
): Promise<readonly SignerView[]> {
  const views: SignerView[] = [];
  for (const instance of await instancesOf(ports, host, signal))
    views.push(await readSigner(ports, host, instance));
  return views;
}

async function instancesOf(
  ports: ReadPorts,
  {signer: opendkim, layout, serviceManager}: KnownHost,
  signal: AbortSignal | undefined,
): Promise<readonly Instance[]> {
  const {files, commands} = ports;
  const config = opendkim?.configFile ?? layout?.opendkim.configFile;
  if (config === undefined) return [];
  const byDefault = layout?.opendkim.configFile ?? config;
  const running = await runningInstances(files, byDefault);
  const unit = opendkim?.unit ?? layout?.opendkim.unit ?? '';
  const found = [...running];
  // Outside of systemd the known one belongs to no unit, and its configuration tells which it is.
  const isKnown = running.some(each => each.unit === unit || (each.unit === '' && each.config === config));
  if (opendkim !== undefined && !isKnown) {
    const [shown = {}] =
      serviceManager === 'systemd' ? await showUnits(commands, [unit], UNIT_START, signal) : [];
    const known = (await unitInstance(files, unit, shown, byDefault)) ?? lying(config, unit);
    found.unshift({...known, isRunning: opendkim.active});
  }
  return [...found, ...(await otherInstances(files, found))];
}

async function readSigner(ports: ReadPorts, host: KnownHost, instance: Instance): Promise<SignerView> {
  const {model, unread, keys} = await readModel(ports, host.signer, instance);
  const socket = model.settings('Socket');
  const endpoint = socket === undefined ? undefined : parseSocket(socket.value);
  return {
    kind: 'opendkim',
    program: 'OpenDKIM',
    unit: instance.unit,
    isRunning: instance.isRunning,
    endpoints: socket === undefined || endpoint === undefined ? [] : [{endpoint, source: socket.source}],
    rows: signingRows(model),
    keys,
    ...macrosAskedFor(model),
    clients: (['InternalHosts', 'PeerList'] as const).flatMap(name =>
      (model.sets.get(name)?.set?.rows ?? []).map(({key}) => key),
    ),
    unread,
    idle: idleNetworks(model),
    wouldSign: question => wouldSign(model, question),
  };
}

/** DKIMF_EOHMACROS and what MacroList names (mlfi_negotiate). */
function macrosAskedFor({sets}: Model): Pick<SignerView, 'asksFor'> {
  const names = sets.get('MacroList')?.set?.rows.map(row => row.key) ?? [];
  return names.length === 0 ? {} : {asksFor: ['i', '{daemon_name}', '{auth_type}', ...names]};
}

/** Networks that no client is ever looked up by: OpenDKIM masks the address of the client, and compares texts. */
const idleNetworks = ({sets}: Model): readonly Decision[] =>
  (['InternalHosts', 'PeerList'] as const).flatMap(name =>
    (sets.get(name)?.set?.rows ?? []).flatMap(({key, source}) => {
      const network = meantNetwork(key.replace(/^!/, ''));
      if (network === undefined) return [];
      const says = `OpenDKIM finds no client by ${visible(key)}: the network is written ${network}.`;
      return [{name, value: visible(key), source, says}];
    }),
  );

type KeyFacts = NonNullable<SignerView['keys']>;

/** What is in the memory of an OpenDKIM after its start. */
export interface ReadModel {
  readonly model: Model;
  readonly unread: readonly Decision[];
  /** Key files that the daemon can read, by path. */
  readonly keys: KeyFacts;
  /** Keys are read for each message: what they are by now. */
  lookAtKeys(): Promise<Model['keyState']>;
}

/** @param opendkim the one that is known, if any; `instance` may be another */
export async function readModel(
  ports: LookPorts,
  opendkim: Known | undefined,
  instance: Instance,
): Promise<ReadModel> {
  const {files} = ports;
  const texts = await configurationTexts(files, instance.config);
  const textOf = (path: AbsolutePath): string | undefined => texts.get(path)?.text;
  const settings = effectiveSettings(instance.config, textOf, instance.options, instance.started);
  const program = `OpenDKIM ${opendkim?.version ?? ''}`.trim();
  const unread: Decision[] = [];
  let refusal = refusedText(texts, instance.config);
  const sets = new Map<SetName, NamedSet>();
  const read = async (path: AbsolutePath) => await readText(files, path);
  for (const name of SETS) {
    const setting = settings(name);
    if (setting === undefined || (name === 'Domain' && settings('KeyTable') !== undefined)) continue;
    const opened = await openSet(name, setting, read);
    if (opened.kind === 'set') {
      sets.set(name, {setting, set: opened.set});
      continue;
    }
    sets.set(name, {setting, set: undefined, why: opened.why});
    if (opened.kind === 'unread') unread.push(decisionOf(setting, `${name} ${opened.why}.`));
    else refusal ??= decisionOf(setting, `OpenDKIM doesn't start: ${name} ${opened.why}.`);
  }
  if (!sets.has('InternalHosts')) sets.set('InternalHosts', defaultHosts(program));
  for (const name of ['SetupPolicyScript', 'FinalPolicyScript']) {
    const script = settings(name);
    if (script !== undefined) unread.push(decisionOf(script, `waxseal does not read the script ${name}.`));
  }
  const account = await accountOf(ports, opendkim, instance, settings);
  // A process that starts as root opens KeyFile as root.
  const reader = instance.unit === opendkim?.unit && opendkim.unitUser !== undefined ? 'account' : 'root';
  const look = async (): Promise<Keys> =>
    await keyStates(ports, createKeyLook(ports, account, keyMaterial), settings, sets, reader);
  const {keyState, keys} = await look();
  const keyFile = settings('KeyFile');
  refusal ??= refusalOf(settings, sets, keyFile === undefined ? undefined : keyState(keyFile.value));
  return {
    model: {program, settings, refusal, sets, keyState},
    unread,
    keys,
    lookAtKeys: async () => (await look()).keyState,
  };
}

/** A configuration, or one that it includes, which is missing ends OpenDKIM; one that waxseal cannot read is a guess. */
function refusedText(
  texts: Awaited<ReturnType<typeof configurationTexts>>,
  config: AbsolutePath,
): Decision | undefined {
  for (const [path, read] of texts) {
    if (read.text !== undefined) continue;
    const source = {by: 'file', path, line: 1} as const;
    const name = path === config ? 'opendkim.conf' : 'Include';
    const says = read.isMissing
      ? `${visible(path)} is missing, so OpenDKIM doesn't start.`
      : `waxseal can't read ${visible(path)}.`;
    return {name, value: visible(path), source, says};
  }
  return undefined;
}

const decisionOf = (of: Setting, says: string): Decision => ({
  name: of.name,
  value: shownValue(of),
  source: of.source,
  says,
});

/** DEFINTERNAL of opendkim.h. */
function defaultHosts(program: string): NamedSet {
  const value = '127.0.0.1,::1';
  const source = {by: 'default', program} as const;
  const rows = rowsOf('list', value, () => source);
  return {setting: {name: 'InternalHosts', value, source}, set: createDataSet('list', rows, true)};
}

/** The account that opens keys: that of the process, else of the unit, else UserID; root where none is set. */
async function accountOf(
  {users}: LookPorts,
  opendkim: Known | undefined,
  {ids, unit}: Instance,
  settings: Settings,
): Promise<Account | undefined> {
  if (ids !== undefined) {
    const {uid, gid} = ids;
    return {name: (await users.userById(uid))?.name ?? String(uid), uid, gid};
  }
  const isKnown = opendkim !== undefined && unit === opendkim.unit;
  const [user = '', group = ''] = (settings('UserID')?.value ?? '').split(':');
  const name = (isKnown ? opendkim.unitUser : undefined) ?? (user === '' ? 'root' : user);
  const entry = await users.user(name);
  if (entry === undefined) return undefined;
  const wanted = (isKnown && opendkim.unitUser !== undefined ? opendkim.unitGroup : undefined) ?? group;
  const gid = wanted === '' ? entry.gid : (await users.group(wanted))?.gid;
  return {name, uid: entry.uid, gid: gid ?? entry.gid};
}

/** How many key files are read at a time. */
const WIDTH = 32;

async function keyStates(
  {files}: LookPorts,
  look: KeyLook,
  settings: Settings,
  sets: ReadonlyMap<SetName, NamedSet>,
  reader: 'account' | 'root',
): Promise<Keys> {
  const single = settings('KeyFile');
  if (single !== undefined && !sets.has('KeyTable')) {
    const state = await look.file(single.value, reader);
    return {keyState: () => state, keys: factsIn([[single.value, state]])};
  }
  const locations = new Set<string>();
  for (const row of sets.get('KeyTable')?.set?.rows ?? []) {
    const fields = keyFields(row.value);
    if (fields === undefined || !isPath(fields.location)) continue;
    const {domain, location} = fields;
    if (domain !== '%') locations.add(fillIn(location, domain));
    else if (!location.includes('%')) locations.add(location);
    else for (const path of await filled(files, location)) locations.add(path);
  }
  const all = [...locations];
  const states = await eachOf(all, WIDTH, async location => await look.file(location));
  const known = new Map(all.map((location, at) => [plain(location), states[at] ?? MISSING]));
  const keyState = (location: string): KeyState => {
    if (isPath(location)) return known.get(plain(location)) ?? MISSING;
    return {access: 'ok', unsafe: undefined, material: keyMaterial(Buffer.from(location, 'utf8'))};
  };
  return {keyState, keys: factsIn(known)};
}

interface Keys extends Pick<Model, 'keyState'> {
  readonly keys: KeyFacts;
}

/** Of a file that the daemon can't read the picture finds out by itself what it holds. */
const factsIn = (states: Iterable<readonly [string, KeyState]>): KeyFacts =>
  new Map(
    [...states].flatMap(([location, state]) => {
      const path = parseAbsolutePath(location);
      const fact = state.access === 'ok' ? state.fact : undefined;
      return path.ok && fact !== undefined ? [[path.value, fact] as const] : [];
    }),
  );

const plain = (location: string): string => {
  const path = parseAbsolutePath(location);
  return path.ok ? path.value : location;
};

async function filled(files: ReadPorts['files'], location: string): Promise<readonly string[]> {
  const path = parseAbsolutePath(location);
  return path.ok ? await filledPaths(files, path.value, /%/) : [location];
}

const MISSING: KeyState = {access: 'failed', why: 'is missing'};

/** Every row that makes OpenDKIM sign, in order: of the signing table, or of Domain. */
function signingRows({sets, settings}: Model): readonly SigningRow[] {
  const keys = sets.get('KeyTable')?.set;
  const rowOf = (row: SetRow): readonly SigningRow[] => {
    const {label} = signingFields(row.value);
    const key = label === '%' ? undefined : keys?.first(label);
    const fields = key === undefined || key === 'unread' ? undefined : keyFields(key.value);
    return [signingRow(row, fields ?? {domain: '%', selector: '', location: ''})];
  };
  const table = sets.get('SigningTable')?.set;
  if (table !== undefined) return table.rows.flatMap(rowOf);
  const location = settings('KeyFile')?.value ?? '';
  const selector = settings('Selector')?.value ?? '';
  return (sets.get('Domain')?.set?.rows ?? []).map(row =>
    signingRow(row, {domain: row.key.includes('*') ? '%' : row.key, selector, location}),
  );
}
