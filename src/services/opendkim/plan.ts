/** OpenDKIM's side of a change: keys, tables, opendkim.conf, and that it takes them over. */
import {below} from '../../domain/paths.ts';
import {ok, type Problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {directoryStep, entryOf, ROOT} from '../files.ts';
import type {SignerChange, SigningIntent, WantedDomain} from '../intent.ts';
import type {Reach} from '../mta.ts';
import type {DirectoryStep, FileStep} from '../step.ts';
import type {CandidateTable} from './candidate.ts';
import {chooseSocket} from './choose-socket.ts';
import {basicSettings, canonicalizationSetting, editConfig, SINGLE_KEY, tableStep} from './config.ts';
import type {OpenDkimHost} from './host.ts';
import {planHosts} from './hosts.ts';
import {createKeyFinder, sharedKeyRemarks} from './keys-in-rows.ts';
import {isTrue} from './parse.ts';
import {keyMayStay, planKeys, safeDirectory, secretStep} from './plan-keys.ts';
import {rowRemarks} from './row-remarks.ts';
import {parseSocket} from './socket.ts';
import {mayReload, startSteps} from './start.ts';
import {
  currentTables,
  domainTable,
  hasTables,
  type MovedKey,
  movedRows,
  type Tables,
} from './tables/current.ts';
import {appendRows, editSigningTable, keptRows, type SeveralSignatures, withoutRows} from './tables/edit.ts';
import {type KeyRow, keyRows, parseTable, type TableRow} from './tables/rows.ts';
import type {TableStore} from './tables/store.ts';
import {openDkimTrial} from './trial.ts';

/** One plan for set-up, rotation, removal and forgetting; no steps where OpenDKIM is right already. */
export function planOpenDkim(host: OpenDkimHost, reach: Reach, intent: SigningIntent): Result<SignerChange> {
  const {sign = []} = intent;
  if (sign.length > 0) return planSign(host, reach, intent, sign);
  return planTake(host, intent);
}

function planSign(
  host: OpenDkimHost,
  reach: Reach,
  {stop = [], forget = [], settings: wanted = {}}: SigningIntent,
  sign: readonly WantedDomain[],
): Result<SignerChange> {
  const socket = chooseSocket(host, reach, wanted.socket ?? 'auto');
  if (!socket.ok) return socket;
  const tables = currentTables(host, true);
  if (!tables.ok) return tables;
  const hosts = planHosts(host, wanted.trustedHosts ?? []);
  if (!hosts.ok) return hosts;
  const canonicalization = canonicalizationSetting(host, wanted.canonicalization ?? '');
  if (!canonicalization.ok) return canonicalization;
  const movedKey = moveSingleKey(host, tables.value.moved);
  if (!movedKey.ok) return movedKey;
  const moved = movedKey.value;
  const keyStart = appendRows(tables.value.keys.text, moved.rows.keys);
  const keys = planKeys(host, keyStart, sign, moved.hashes);
  if (!keys.ok) return keys;

  // The final texts: what is written, what the trial proves and what the remarks are about.
  const allKeyText = appendRows(keyStart, keys.value.rows);
  const allKeys = keyRows(parseTable(allKeyText));
  const find = createKeyFinder(host, allKeys);
  const wantedRows = sign.map((want, at) => ({
    domain: want.domain,
    label: keys.value.labels[at] ?? '',
    ...(want.replaces === undefined ? {} : {replaces: find(want.domain, want.replaces).labels}),
  }));
  const several = severalSignatures(host, tables.value.signing.kind, allKeys);
  const {keys: keyText, signing: signingText} = withoutRows(
    allKeyText,
    editSigningTable(
      appendRows(tables.value.signing.text, moved.rows.signing),
      tables.value.signing.kind,
      wantedRows,
      wanted.subdomains ?? false,
      several,
    ),
    stop,
    forget,
  );
  const keyTable = tables.value.keys.write(keyText, 'Name the private keys');
  const signingTable = tables.value.signing.write(signingText, 'Say which mail is signed with which key');
  const settings = [
    ...socket.value.settings,
    ...basicSettings(host),
    ...canonicalization.value,
    ...keyTable.settings,
    ...signingTable.settings,
    ...hosts.value.settings,
  ];
  const config = editConfig(host, settings, tables.value.moved === undefined ? [] : SINGLE_KEY);
  if (!config.ok) return config;

  const hostsFile = hosts.value.file;
  const secrets = [...moved.files, ...keys.value.files];
  const files: FileStep[] = [
    ...keyTable.files,
    ...signingTable.files,
    ...(hostsFile === undefined
      ? []
      : tableStep(host, hostsFile.path, hostsFile.text, 'Say whose mail is signed')),
    ...config.value.steps,
  ];
  const place = [
    ...directories(host, [...secrets, ...files], secrets.length > 0),
    ...moved.directories,
    ...unique(keys.value.directories, moved.directories),
    ...socket.value.directories,
    ...secrets,
  ];
  const isRight = place.length + files.length === 0 && host.opendkim.active;
  const keepsRunning =
    tables.value.moved === undefined && socket.value.directories.length === 0 && mayReload(host, settings);
  const rows = parseTable(signingText);
  return ok({
    place,
    switch: isRight
      ? []
      : [...files, ...startSteps(host, socket.value.endpoint, keepsRunning ? 'reload' : 'restart')],
    attachment: {by: 'milter', endpoint: socket.value.endpoint},
    former: (host.opendkim.formerSockets ?? []).flatMap(text => parseSocket(text) ?? []),
    trial: openDkimTrial(
      {
        configText: config.value.flat,
        config: config.value.files,
        keyTable: finalTable(host, {...pathAndKind(tables.value.keys), text: keyText}),
        signingTable: finalTable(host, {...pathAndKind(tables.value.signing), text: signingText}),
        trustedHosts: finalTable(host, hosts.value.table),
        keys: keys.value.placed,
      },
      host.opendkim,
    ),
    keptRows: keptRows(rows, wantedRows, several !== undefined).map(row =>
      placeOfRow(tables.value.signing, row),
    ),
    remarks: [
      ...socket.value.remarks,
      ...tables.value.remarks,
      ...hosts.value.remarks,
      ...rowRemarks(rows, wantedRows, {kind: tables.value.signing.kind, several: several !== undefined}),
      ...sharedKeyRemarks(tables.value.keys.path ?? host.opendkim.configFile, find, sign),
    ],
  });
}

const pathAndKind = ({path, kind}: TableStore): Pick<CandidateTable, 'path' | 'kind'> => ({path, kind});

/** Takes rows out and adds none. A key row that is only forgotten does no harm until OpenDKIM next reads the table. */
function planTake(host: OpenDkimHost, {stop = [], forget = []}: SigningIntent): Result<SignerChange> {
  const isSingle = !hasTables(host);
  const tables = isSingle ? domainTable(host, stop.length > 0) : currentTables(host, false);
  if (!tables.ok) return tables;
  const {keys, signing, remarks} = tables.value;
  const next = withoutRows(keys.text, signing.text, stop, forget);
  const whyKeys = stop.length > 0 ? 'Take their keys out of use' : 'Take keys that are gone out of the table';
  const written = [signing.write(next.signing, NO_MORE), keys.write(next.keys, whyKeys)];
  const together = isSingle ? SINGLE_KEY : ['KeyTable', 'SigningTable'];
  return taken(host, written, together, stop.length > 0, remarks);
}

const NO_MORE = 'Sign mail of these domains no more';

/** @param together parameters of which one is worth nothing without the others */
function taken(
  host: OpenDkimHost,
  written: readonly ReturnType<TableStore['write']>[],
  together: readonly string[],
  isRead: boolean,
  remarks: readonly Problem[],
): Result<SignerChange> {
  const settings = written.flatMap(each => each.settings);
  const isDropped = written.some(({dropped}) => dropped.length > 0);
  if (isDropped && !isRead) return ok(nothing(host.opendkim.attachment));
  const config =
    settings.length === 0 && !isDropped
      ? ok({steps: []})
      : editConfig(host, isDropped ? [] : settings, isDropped ? together : [], NO_MORE);
  if (!config.ok) return config;
  const files = [...written.flatMap(each => each.files), ...config.value.steps];
  // The other domains go on being signed meanwhile.
  const action = !isDropped && mayReload(host, settings) ? 'reload' : 'restart';
  const {attachment} = host.opendkim;
  const endpoint = attachment?.by === 'milter' ? attachment.endpoint : undefined;
  const start = files.length > 0 && isRead ? startSteps(host, endpoint, action) : [];
  return ok({...nothing(host.opendkim.attachment), switch: [...files, ...start], remarks});
}

export const nothing = (attachment: SignerChange['attachment']): SignerChange => ({
  place: [],
  switch: [],
  attachment,
  former: [],
  trial: undefined,
  keptRows: [],
  remarks: [],
});

/** A table of the candidate, with where its file is and how that is encoded. */
function finalTable(host: OpenDkimHost, table: CandidateTable): CandidateTable {
  if (table.path === undefined) return table;
  const {path, kind, text} = table;
  const {path: realPath, encoding} = entryOf(host.snapshot, path);
  return {path, kind, text, realPath, ...(encoding === undefined ? {} : {encoding})};
}

/** `/etc/opendkim/SigningTable:4: * KEY`: a row that stays, at its place in the file of today. */
function placeOfRow({path, text}: Pick<TableStore, 'path' | 'text'>, {key, value}: TableRow): string {
  const today = parseTable(text).find(row => row.key === key && row.value === value);
  return `${path}${today === undefined ? '' : `:${today.line + 1}`}: ${visible(`${key} ${value}`)}`;
}

/** MultipleSignatures counts for patterns; other tables give one row for a pattern (daemons/opendkim.md#several-signatures). */
function severalSignatures(
  host: OpenDkimHost,
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

interface MovedPlan {
  readonly rows: Rows;
  readonly hashes: ReadonlyMap<string, string>;
  readonly files: readonly FileStep[];
  readonly directories: readonly DirectoryStep[];
}

const NOT_MOVED: MovedPlan = {
  rows: {keys: [], signing: []},
  hashes: new Map(),
  files: [],
  directories: [],
};

/**
 * KeyFile is read by root at start, a key in a KeyTable by OpenDKIM's own user for each message (daemons/opendkim.md#key-files): a key in an
 * odd place is copied, the original stays. One that this user may not read is never copied for it.
 */
function moveSingleKey(host: OpenDkimHost, moved: MovedKey | undefined): Result<MovedPlan> {
  if (moved === undefined) return ok(NOT_MOVED);
  if (keyMayStay(host, moved.path)) {
    return ok({...NOT_MOVED, rows: movedRows(moved, moved.path)});
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
  host: OpenDkimHost,
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
