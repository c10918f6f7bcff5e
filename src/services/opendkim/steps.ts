/** The part of the plan that makes OpenDKIM sign: keys, tables, opendkim.conf, restart. */
import {type AbsolutePath, below} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {SocketEndpoint} from '../../system/ports.ts';
import type {Candidate, CandidateFile, CandidateTable} from '../candidate.ts';
import {directoryStep, entryOf, type KnownHost, ownerOf, ROOT, textOf, textStep} from '../files.ts';
import {COMMAND_MS} from '../limits.ts';
import {serviceStep} from '../manager.ts';
import type {CheckStep, DirectoryStep, FileStep, ServiceStep, Step} from '../step.ts';
import type {Wanted} from '../wanted.ts';
import {chooseSocket} from './choose-socket.ts';
import {commentOut, type Setting, setParameters, withoutIncludes} from './edit.ts';
import {planHosts} from './hosts.ts';
import {createKeyFinder, sharedKeyRemarks} from './keys-in-rows.ts';
import {definitions, includesOf, isTrue} from './parse.ts';
import {keyMayStay, planKeys, safeDirectory, secretStep} from './plan-keys.ts';
import {currentTables, type MovedKey, movedRows, type Table, type Tables} from './plan-tables.ts';
import {rowRemarks} from './row-remarks.ts';
import {
  appendRows,
  editSigningTable,
  type KeyRow,
  keptRows,
  keyRows,
  parseTable,
  type SeveralSignatures,
  type TableRow,
} from './tables.ts';

export interface OpenDkimChange {
  readonly steps: readonly Step[];
  readonly endpoint: SocketEndpoint;
  readonly endpointBefore: SocketEndpoint | undefined;
  readonly candidate: Candidate;
  /** Rows that a rotation cannot move, `file:line: row`: they would sign with the replaced key afterwards, too. */
  readonly keptRows: readonly string[];
  readonly remarks: readonly Problem[];
}

/** Plans OpenDKIM's side; no steps where it is right and running. */
export function planOpenDkim(host: KnownHost, wanted: Wanted): Result<OpenDkimChange> {
  const socket = chooseSocket(host, wanted.socket);
  if (!socket.ok) return socket;
  const tables = currentTables(host);
  if (!tables.ok) return tables;
  const hosts = planHosts(host, wanted.trustedHosts);
  if (!hosts.ok) return hosts;
  const canonicalization = canonicalizationSetting(host, wanted.canonicalization);
  if (!canonicalization.ok) return canonicalization;
  const movedKey = moveSingleKey(host, tables.value.moved);
  if (!movedKey.ok) return movedKey;
  const moved = movedKey.value;
  const movedInto = moved.rows === undefined ? tables.value : withRows(tables.value, moved.rows);
  const keys = planKeys(host, movedInto.keys.text, wanted.domains, moved.hashes);
  if (!keys.ok) return keys;

  // The final texts: what is written, what the preflight proves and what the remarks are about.
  const keyText = appendRows(movedInto.keys.text, keys.value.rows);
  const allKeys = keyRows(parseTable(keyText));
  const find = createKeyFinder(host, allKeys);
  const wantedRows = wanted.domains.map((want, at) => ({
    domain: want.domain,
    label: keys.value.labels[at] ?? '',
    ...(want.replaces === undefined ? {} : {replaces: find(want.domain, want.replaces).labels}),
  }));
  const several = severalSignatures(host, movedInto.signing.kind, allKeys);
  const signingText = editSigningTable(
    movedInto.signing.text,
    movedInto.signing.kind,
    wantedRows,
    wanted.subdomains,
    several,
  );
  const settings = [
    ...socket.value.settings,
    ...basicSettings(host),
    ...canonicalization.value,
    ...tables.value.settings,
    ...hosts.value.settings,
  ];
  const config = editConfig(host, settings, tables.value.moved === undefined ? [] : SINGLE_KEY);
  if (!config.ok) return config;

  const hostsFile = hosts.value.file;
  const files: FileStep[] = [
    ...moved.files,
    ...keys.value.files,
    ...tableStep(host, tables.value.keys.path, keyText, 'Name the private keys'),
    ...tableStep(host, tables.value.signing.path, signingText, 'Say which mail is signed with which key'),
    ...(hostsFile === undefined
      ? []
      : tableStep(host, hostsFile.path, hostsFile.text, 'Say whose mail is signed')),
    ...config.value.steps,
  ];
  const changes: Step[] = [
    ...directories(host, files, keys.value.files.length + moved.files.length > 0),
    ...moved.directories,
    ...unique(keys.value.directories, moved.directories),
    ...socket.value.directories,
    ...files,
  ];
  const needsStart = changes.length > 0 || !host.opendkim.active;
  const keepsRunning =
    moved.files.length === 0 &&
    tables.value.moved === undefined &&
    socket.value.directories.length === 0 &&
    mayReload(host, settings);
  return ok({
    steps: needsStart
      ? [...changes, ...startSteps(host, socket.value.endpoint, keepsRunning ? 'reload' : 'restart')]
      : [],
    endpoint: socket.value.endpoint,
    endpointBefore: socket.value.before,
    candidate: {
      configText: config.value.flat,
      config: config.value.files,
      keyTable: finalTable(host, {...tables.value.keys, text: keyText}),
      signingTable: finalTable(host, {...tables.value.signing, text: signingText}),
      trustedHosts: finalTable(host, hosts.value.table),
      keys: keys.value.placed,
    },
    keptRows: keptRows(parseTable(signingText), wantedRows, several !== undefined).map(row =>
      placeOfRow(tables.value.signing, row),
    ),
    remarks: [
      ...socket.value.remarks,
      ...tables.value.remarks,
      ...hosts.value.remarks,
      ...rowRemarks(parseTable(signingText), wantedRows, several !== undefined),
      ...sharedKeyRemarks(tables.value.keys.path, find, wanted.domains),
    ],
  });
}

/** A table of the candidate, with where its file is and how that is encoded. */
function finalTable(host: KnownHost, table: CandidateTable): CandidateTable {
  if (table.path === undefined) return table;
  const {path, kind, text} = table;
  const {path: realPath, encoding} = entryOf(host.snapshot, path);
  return {path, kind, text, realPath, ...(encoding === undefined ? {} : {encoding})};
}

/** `/etc/opendkim/SigningTable:4: * KEY`: a row that stays, at its place in the file of today. */
function placeOfRow({path, text}: Pick<Table, 'path' | 'text'>, {key, value}: TableRow): string {
  const today = parseTable(text).find(row => row.key === key && row.value === value);
  return `${path}${today === undefined ? '' : `:${today.line + 1}`}: ${visible(`${key} ${value}`)}`;
}

/**
 * MultipleSignatures counts for patterns; other tables give one row for a pattern
 * (daemons/opendkim.md#several-signatures).
 */
function severalSignatures(
  host: KnownHost,
  kind: Tables['signing']['kind'],
  rows: readonly KeyRow[],
): SeveralSignatures | undefined {
  if (kind !== 'refile' || !isTrue(host.opendkim.settings['multiplesignatures'])) return undefined;
  return {domainOf: new Map(rows.map(row => [row.label, row.domain.toLowerCase()]))};
}

interface Rows {
  readonly keys: readonly string[];
  readonly signing: readonly string[];
}

const withRows = (tables: Tables, rows: Rows): Pick<Tables, 'keys' | 'signing'> => ({
  keys: {...tables.keys, text: appendRows(tables.keys.text, rows.keys)},
  signing: {...tables.signing, text: appendRows(tables.signing.text, rows.signing)},
});

interface MovedPlan {
  readonly rows?: Rows;
  /** Hash of the key by its new place. */
  readonly hashes: ReadonlyMap<string, string>;
  readonly files: readonly FileStep[];
  readonly directories: readonly DirectoryStep[];
}

/**
 * KeyFile is read by root at start, a key in a KeyTable by OpenDKIM's own user for each message
 * (daemons/opendkim.md#key-files): a key in an odd place is copied, the original stays. One that this user may not
 * read is never copied for it.
 */
function moveSingleKey(host: KnownHost, moved: MovedKey | undefined): Result<MovedPlan> {
  if (moved === undefined) return ok({hashes: new Map(), files: [], directories: []});
  if (keyMayStay(host, moved.path)) {
    return ok({rows: movedRows(moved, moved.path), hashes: new Map(), files: [], directories: []});
  }
  const source = host.snapshot.movable;
  if (source === undefined) throw new TypeError(`${moved.path} was not looked at`);
  if (!source.ok) return source;
  const {sha256} = source.value;
  const domain = moved.domains[0] ?? '';
  const directory = below(host.layout.opendkim.keyDirectory, domain);
  const path = below(directory, `${moved.selector}.private`);
  const target = entryOf(host.snapshot, path);
  const same = target.stat !== undefined && target.sha256 === sha256 && keyMayStay(host, path);
  const why = `Copy the private key of ${domain} to the directory of OpenDKIM's keys`;
  return ok({
    rows: movedRows(moved, path),
    hashes: new Map([[path, sha256]]),
    files: same ? [] : [secretStep(host, target, {from: 'secret', ...source.value}, why)],
    directories: same ? [] : safeDirectory(host, directory, `Make the key directory of ${domain}`),
  });
}

const unique = (steps: readonly DirectoryStep[], but: readonly DirectoryStep[]): readonly DirectoryStep[] => {
  const seen = new Set(but.map(step => step.id));
  return steps.filter(step => !seen.has(step.id) && seen.add(step.id));
};

/** Directories that must be there before the files: tables, keys. */
function directories(
  host: KnownHost,
  files: readonly FileStep[],
  withKeys: boolean,
): readonly DirectoryStep[] {
  const {tableDirectory, keyDirectory} = host.layout.opendkim;
  const steps: DirectoryStep[] = [];
  const needsTables = files.some(step =>
    step.path.startsWith(`${entryOf(host.snapshot, tableDirectory).path}/`),
  );
  if (needsTables && entryOf(host.snapshot, tableDirectory).stat === undefined) {
    steps.push(
      ...directoryStep(host.snapshot, tableDirectory, ROOT, 0o755, 'Make the directory of the tables'),
    );
  }
  if (withKeys) steps.push(...safeDirectory(host, keyDirectory, 'Make the directory of the private keys'));
  return steps;
}

/**
 * A table that OpenDKIM's user may not read works only until the next reload (daemons/opendkim.md#tables): it is
 * given to its group.
 */
function tableStep(host: KnownHost, path: AbsolutePath, text: string, why: string): readonly FileStep[] {
  const steps = textStep(host.snapshot, path, text, why);
  const stat = entryOf(host.snapshot, path).stat;
  if (stat === undefined || readable(host, stat)) return steps;
  const owner = {user: ownerOf(host.snapshot, stat).user, group: host.layout.opendkim.group};
  return steps.map(step => ({...step, after: {...step.after, owner, mode: (stat.mode & 0o700) | 0o040}}));
}

function readable(
  host: KnownHost,
  stat: {readonly uid: number; readonly gid: number; readonly mode: number},
): boolean {
  const user = host.snapshot.users[host.opendkim.user];
  if (stat.uid === user?.uid) return (stat.mode & 0o400) !== 0;
  return stat.gid === user?.gid ? (stat.mode & 0o040) !== 0 : (stat.mode & 0o004) !== 0;
}

/** What must hold for any signing: mode, user, the unit's PID file. Set only where it does not hold. */
function basicSettings(host: KnownHost): readonly Setting[] {
  const {settings, unitPidFile, user} = host.opendkim;
  const wanted: Setting[] = [];
  if (settings['mode'] !== undefined && !settings['mode'].includes('s'))
    wanted.push({name: 'Mode', value: 'sv'});
  // A daemon that systemd starts as its user cannot change to another.
  if (settings['userid'] === undefined && host.opendkim.unitUser === undefined)
    wanted.push({name: 'UserID', value: user});
  if (host.facts.serviceManager === 'systemd' && unitPidFile !== '') {
    // With another PID file or in the foreground systemctl restart hangs for 90 s and kills the daemon
    // (daemons/opendkim.md#start-and-restart).
    if (runPath(settings['pidfile'] ?? '') !== runPath(unitPidFile))
      wanted.push({name: 'PidFile', value: unitPidFile});
    if (settings['background'] !== undefined && !isTrue(settings['background'])) {
      wanted.push({name: 'Background', value: 'yes'});
    }
  }
  if (Object.keys(settings).length === 0) {
    wanted.push({name: 'Syslog', value: 'yes'}, {name: 'OversignHeaders', value: 'From'});
  }
  return wanted;
}

const runPath = (path: string): string => path.replace(/^\/var\/run\//, '/run/');

function canonicalizationSetting(host: KnownHost, wanted: string): Result<readonly Setting[]> {
  if (wanted === '') return ok([]);
  if (!/^(simple|relaxed)(\/(simple|relaxed))?$/.test(wanted)) {
    return fail(
      problem(
        'canonicalization.syntax',
        `${JSON.stringify(wanted)} is not a canonicalization.`,
        'Write relaxed/relaxed, relaxed/simple, simple/relaxed or simple/simple.',
      ),
    );
  }
  const now = host.opendkim.settings['canonicalization'] ?? 'simple';
  return ok(bothParts(now) === bothParts(wanted) ? [] : [{name: 'Canonicalization', value: wanted}]);
}

/** `relaxed` alone means relaxed/simple (daemons/opendkim.md#tables). */
const bothParts = (value: string): string => {
  const [header = 'simple', body = 'simple'] = value.toLowerCase().split('/');
  return `${header}/${body}`;
};

/** The form for one key; OpenDKIM ignores it as soon as there is a KeyTable. */
export const SINGLE_KEY = ['Domain', 'Selector', 'KeyFile'] as const;

interface ConfigChange {
  readonly steps: readonly FileStep[];
  /** opendkim.conf and every file that it includes, as they will be. */
  readonly files: readonly CandidateFile[];
  /** The same in one text. */
  readonly flat: string;
}

/**
 * Each setting is changed in the file where it is in force, be it an included one; new ones go into the main file. Lines
 * of the `dropped` parameters are commented out wherever they stand.
 */
export function editConfig(
  host: KnownHost,
  settings: readonly Setting[],
  dropped: readonly string[],
  why = 'Set up OpenDKIM',
): Result<ConfigChange> {
  const {configFile} = host.opendkim;
  const known = (path: AbsolutePath): string | undefined => host.snapshot.entries[path]?.text;
  const main = textOf(host.snapshot, configFile);
  if (!main.ok) return main;
  const all = definitions(configFile, known);
  const places = new Map(all.map(definition => [definition.name, definition.file]));
  const texts = new Map<AbsolutePath, string>();
  const steps: FileStep[] = [];
  for (const file of withIncludes(configFile, known)) {
    const text = known(file) ?? '';
    const own = settings.filter(setting => (places.get(setting.name.toLowerCase()) ?? configFile) === file);
    const single = dropped.length === 0 ? text : commentOut(text, dropped);
    const next = own.length === 0 ? single : setParameters(single, own);
    texts.set(file, next);
    if (next !== text) steps.push(...textStep(host.snapshot, file, next, why));
  }
  return ok({
    steps,
    files: [...texts].map(([path, text]) => {
      const {path: realPath, encoding} = entryOf(host.snapshot, path);
      return {realPath, text, ...(encoding === undefined ? {} : {encoding})};
    }),
    flat: withoutIncludes(texts.get(configFile) ?? '', path => texts.get(path as AbsolutePath)),
  });
}

/** The main file and what it includes, each once; an Include of a file that is not there is none. */
function withIncludes(
  main: AbsolutePath,
  known: (path: AbsolutePath) => string | undefined,
): readonly AbsolutePath[] {
  const found = [main];
  for (const path of found) {
    for (const inner of includesOf(known(path) ?? '')) {
      if (!found.includes(inner) && known(inner) !== undefined) found.push(inner);
    }
  }
  return found;
}

/** What a running OpenDKIM does not take over by SIGUSR1 (opendkim(8), daemons/opendkim.md#reload). */
const FIXED_AT_START = new Set([
  'socket',
  'userid',
  'umask',
  'pidfile',
  'background',
  'autorestart',
  'mode',
  'milterdebug',
  'querycache',
]);

/**
 * Whether a running OpenDKIM can take the change over without ending. While it restarts, mail passes unsigned or is
 * refused, of all domains that it signs already. It reads its files again as its own user, so it must be able to.
 */
export function mayReload(host: KnownHost, settings: readonly Setting[]): boolean {
  const {opendkim, snapshot, facts} = host;
  const stat = entryOf(snapshot, opendkim.configFile).stat;
  return (
    opendkim.active &&
    facts.serviceManager === 'systemd' &&
    opendkim.settings['keyfile'] === undefined &&
    stat !== undefined &&
    readable(host, stat) &&
    settings.every(({name}) => !FIXED_AT_START.has(name.toLowerCase()))
  );
}

/** Checks the configuration, has OpenDKIM take it over and waits until it answers. */
export const startSteps = (
  host: KnownHost,
  endpoint: SocketEndpoint | undefined,
  action: ServiceStep['action'] = 'restart',
): readonly Step[] => [check(host), action === 'reload' ? reload(host, endpoint) : restart(host, endpoint)];

const check = (host: KnownHost): CheckStep => ({
  kind: 'check',
  id: 'check:opendkim',
  why: 'Let OpenDKIM check its configuration',
  argv: ['opendkim', '-n', '-x', host.opendkim.configFile],
  timeoutMs: COMMAND_MS,
});

/** For a unit that has no reload of its own systemd restarts it; whether the change is in force is for the live test. */
const reload = ({facts, opendkim}: KnownHost, endpoint: SocketEndpoint | undefined): ServiceStep =>
  serviceStep(facts.serviceManager, {
    ...request(opendkim, endpoint),
    why: 'Let the running OpenDKIM take over the new configuration',
    action: 'reload',
    verb: 'reload-or-restart',
  });

const restart = ({facts, opendkim}: KnownHost, endpoint: SocketEndpoint | undefined): ServiceStep =>
  serviceStep(facts.serviceManager, {
    ...request(opendkim, endpoint),
    why: opendkim.active ? 'Restart OpenDKIM with the new configuration' : 'Start OpenDKIM',
    action: 'restart',
  });

const request = ({unit, active}: KnownHost['opendkim'], endpoint: SocketEndpoint | undefined) => ({
  unit,
  endpoint,
  // systemctl may say yes although the daemon dies 100 ms later (daemons/opendkim.md#start-and-restart).
  steadyMs: 2000,
  wasActive: active,
});
