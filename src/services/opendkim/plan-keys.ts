/** Where private keys go, and which rows name them. A key that is there is never overwritten. */
import {type AbsolutePath, below, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {beforeOf, directoryStep, entryOf} from '../files.ts';
import type {WantedDomain} from '../intent.ts';
import type {FileSnapshot} from '../snapshot.ts';
import type {DirectoryStep, FileStep, Owner, SecretContent} from '../step.ts';
import type {CandidateKey} from './candidate.ts';
import type {OpenDkimHost} from './host.ts';
import {isAlone, unsafeWay} from './safe-keys.ts';
import {type KeyRow, keyLabel, keyRows, keyTableRow, parseTable} from './tables/rows.ts';

export interface KeyPlan {
  readonly directories: readonly DirectoryStep[];
  readonly files: readonly FileStep[];
  /** Every wanted key that is not in its place yet, by the place that its row names. */
  readonly placed: readonly CandidateKey[];
  /** New key table rows. */
  readonly rows: readonly string[];
  /** Label that signs for each wanted domain, in their order. */
  readonly labels: readonly string[];
}

/** Where the keys of a domain lie; one for several domains lies in a folder that is no domain's name. */
export const keyFolder = (keyDirectory: AbsolutePath, domain: string, shared: boolean): AbsolutePath =>
  below(keyDirectory, shared ? 'shared' : domain);

const KEY_MODE = 0o600;
const DIRECTORY_MODE = 0o700;

const keyOwner = (host: OpenDkimHost): Owner => ({
  user: host.opendkim.user,
  group: host.layout.opendkim.group,
});

/**
 * Plans the keys of all wanted domains against the rows of `keyTable`. `moving` has the hashes of keys that the same
 * plan copies, by their new place.
 */
export function planKeys(
  host: OpenDkimHost,
  keyTable: string,
  wanted: readonly WantedDomain[],
  moving: ReadonlyMap<string, string> = new Map(),
): Result<KeyPlan> {
  const existing = keyRows(parseTable(keyTable));
  const byKey = new Map(
    existing.toReversed().map(row => [`${row.domain.toLowerCase()}:${row.selector.toLowerCase()}`, row]),
  );
  const byLabel = new Map(existing.map(row => [row.label, row]));
  const directories: DirectoryStep[] = [];
  const files: FileStep[] = [];
  const inPlan: CandidateKey[] = [];
  const rows: string[] = [];
  const labels: string[] = [];
  const seen = new Set<string>();
  const placed = new Map<string, string>();
  for (const want of wanted) {
    if (seen.has(want.domain)) return fail(twice(want));
    seen.add(want.domain);
    const row = byKey.get(`${want.domain}:${want.selector}`);
    const place = placeOf(host, want, row);
    if (!place.ok) return place;
    const entry = entryOf(host.snapshot, place.value);
    const present = moving.get(place.value) ?? (entry.stat === undefined ? undefined : entry.sha256);
    if (present !== undefined && present !== want.key.sha256) return fail(keyExists(want, place.value));
    const label = row?.label ?? keyLabel(want.domain, want.selector);
    if (row === undefined && byLabel.has(label)) return fail(labelTaken(host, label));
    labels.push(label);
    const unfit = !moving.has(place.value) && (entry.stat === undefined || !keyFits(host, entry));
    const other = placed.get(place.value);
    if (other !== undefined && other !== want.key.sha256) return fail(keyExists(want, place.value));
    if (unfit && other === undefined) {
      directories.push(...domainDirectory(host, want));
      files.push(keyStep(host, want, entry));
    }
    if ((unfit || moving.has(place.value)) && other === undefined) {
      inPlan.push({path: place.value, from: want.key.stagedPath, sha256: want.key.sha256});
    }
    placed.set(place.value, want.key.sha256);
    if (row === undefined) rows.push(keyTableRow(label, want.domain, want.selector, place.value));
  }
  const unsafe = unsafePlace(host, [...placed.keys()], directories);
  if (unsafe !== undefined) return fail(unsafe);
  return ok({directories, files, placed: inPlan, rows, labels});
}

/** The first place whose directories OpenDKIM would not trust, after what the plan itself puts right. */
function unsafePlace(
  host: OpenDkimHost,
  places: readonly string[],
  directories: readonly DirectoryStep[],
): Problem | undefined {
  const {keyDirectory} = host.layout.opendkim;
  const own = safeDirectory(host, keyDirectory, '');
  const mended = new Set<string>([...directories, ...own].map(step => step.path));
  const folders = new Set(
    places.map(place => entryOf(host.snapshot, place as AbsolutePath).path).map(parentOf),
  );
  for (const folder of folders) {
    const unsafe = unsafeWay(host, folder, mended);
    if (unsafe !== undefined) return unsafe;
  }
  return undefined;
}

function placeOf(host: OpenDkimHost, want: WantedDomain, row: KeyRow | undefined): Result<AbsolutePath> {
  const folder = keyFolder(host.layout.opendkim.keyDirectory, want.domain, want.shared === true);
  const usual = below(folder, `${want.selector}.private`);
  if (row === undefined) return ok(usual);
  const path = parseAbsolutePath(row.path.replaceAll('%', want.domain));
  if (!path.ok) return fail(keyExists(want, undefined));
  const missing = entryOf(host.snapshot, path.value).stat === undefined;
  return missing && path.value !== usual ? fail(keyExists(want, path.value)) : path;
}

/** Owner and mode with which OpenDKIM takes a key named in a KeyTable (daemons/opendkim.md#key-files). */
export function keyFits(host: OpenDkimHost, entry: FileSnapshot): boolean {
  const {stat} = entry;
  const user = host.snapshot.users[host.opendkim.user];
  const group = host.snapshot.groups[host.layout.opendkim.group];
  if (stat === undefined || stat.kind !== 'file' || entry.isListed === true) return false;
  if ((stat.mode & 0o007) !== 0) return false;
  const alone = isAlone(host, stat.gid);
  const groupReads = stat.gid === group?.gid && (stat.mode & 0o040) !== 0;
  if ((stat.mode & 0o060) !== 0 && !(stat.gid === group?.gid && alone)) return false;
  return stat.uid === user?.uid ? (stat.mode & 0o400) !== 0 : stat.uid === 0 && groupReads;
}

/** True where a key in use by the single-key form can stay where it is: in the key directory, readable, safe. */
export function keyMayStay(host: OpenDkimHost, path: AbsolutePath): boolean {
  const entry = entryOf(host.snapshot, path);
  return (
    path.startsWith(`${host.layout.opendkim.keyDirectory}/`) &&
    keyFits(host, entry) &&
    unsafeWay(host, parentOf(entry.path), new Set()) === undefined
  );
}

function domainDirectory(host: OpenDkimHost, want: WantedDomain): readonly DirectoryStep[] {
  const shared = want.shared === true;
  return safeDirectory(
    host,
    keyFolder(host.layout.opendkim.keyDirectory, want.domain, shared),
    `Make the key directory of ${shared ? 'several domains' : want.domain}`,
  );
}

/** A directory that OpenDKIM can enter and that nobody else can write; an existing one that is so stays as it is. */
export function safeDirectory(host: OpenDkimHost, path: AbsolutePath, why: string): readonly DirectoryStep[] {
  const stat = entryOf(host.snapshot, path).stat;
  const user = host.snapshot.users[host.opendkim.user];
  const group = host.snapshot.groups[host.layout.opendkim.group];
  if (stat?.kind === 'directory' && (stat.mode & 0o022) === 0) {
    if (stat.uid === user?.uid && (stat.mode & 0o100) !== 0) return [];
    const enters = stat.gid === group?.gid ? (stat.mode & 0o010) !== 0 : (stat.mode & 0o001) !== 0;
    if (stat.uid === 0 && enters) return [];
  }
  return directoryStep(host.snapshot, path, keyOwner(host), DIRECTORY_MODE, why);
}

function keyStep(host: OpenDkimHost, want: WantedDomain, entry: FileSnapshot): FileStep {
  const fresh = entry.stat === undefined;
  return secretStep(
    host,
    entry,
    {from: 'secret', path: want.key.stagedPath, sha256: want.key.sha256},
    fresh
      ? `Put the private key of ${want.domain} in place`
      : `Let OpenDKIM alone read the private key of ${want.domain}`,
  );
}

export const secretStep = (
  host: OpenDkimHost,
  entry: FileSnapshot,
  content: SecretContent,
  why: string,
): FileStep => ({
  kind: 'file',
  id: `file:${entry.path}`,
  why,
  path: entry.path,
  before: beforeOf(entry),
  after: {
    content,
    owner: keyOwner(host),
    mode: KEY_MODE,
  },
});

const keyExists = (want: WantedDomain, path: AbsolutePath | undefined): Problem =>
  problem(
    'key.exists',
    `Another key for ${want.domain} with selector ${want.selector} is there already${path === undefined ? '' : `: ${path}`}.`,
    'Choose another selector; a key is never overwritten and a selector never used again.',
  );

const twice = (want: WantedDomain): Problem =>
  problem('domain.twice', `${want.domain} is named twice.`, 'Name each domain once.');

const labelTaken = (host: OpenDkimHost, label: string): Problem =>
  problem(
    'key.label-taken',
    `The key table of ${host.opendkim.configFile} has a row "${label}" that belongs to another domain or selector.`,
    'Rename that row and the rows of the signing table that refer to it, or choose another selector.',
  );
