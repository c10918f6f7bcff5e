/** The candidate configuration rewritten for a second OpenDKIM that touches nothing of the first. Pure. */
import {type AbsolutePath, below, parseAbsolutePath} from '../../domain/paths.ts';
import type {SignerAccount} from '../account.ts';
import {splitLines} from '../lines.ts';
import {type Step, secretPlaces} from '../step.ts';
import type {StagedFile, Trial, TrialSetup} from '../trial.ts';
import {type Candidate, type CandidateTable, provenFiles} from './candidate.ts';
import {editConfig} from './config.ts';
import {OPENDKIM} from './hints.ts';
import type {OpenDkimHost} from './host.ts';
import {parseConfigLines} from './parse.ts';
import {keyRows, parseTable} from './tables/rows.ts';

const LOG_TAG = 'waxseal-preflight';
const CONFIG = 'opendkim.conf';

/** Parameters that the second signer gets its own value of, or must not have (lower case). */
const REPLACED: ReadonlySet<string> = new Set([
  'socket',
  'pidfile',
  'background',
  'autorestart',
  'autorestartcount',
  'autorestartrate',
  'syslog',
  'syslogname',
  'syslogsuccess',
  'logwhy',
  'statistics',
  'temporarydirectory',
]);

/** The trial of `candidate`. */
export interface OpenDkimTrial extends Trial {
  readonly candidate: Candidate;
}

export const openDkimTrial = (candidate: Candidate, account: SignerAccount): OpenDkimTrial => ({
  candidate,
  program: OPENDKIM.program,
  logTag: LOG_TAG,
  account,
  mark: CONFIG,
  setup: (directory, wanted) => setup(candidate, directory, wanted),
  keyPlaces: (wanted, steps) => finalPlaces(candidate, wanted, steps),
  proven: () => provenFiles(candidate),
  hints: {
    account:
      'systemctl show opendkim -p User,Group,SupplementaryGroups; opendkim.conf may name another with UserID.',
    start:
      'Nothing on this host has changed. Fix what is named in opendkim.conf or in the tables, then run waxseal again.',
  },
});

/** The configuration that the host has now: its tables and keys are read where they are. */
export function currentTrial(host: OpenDkimHost): Trial | undefined {
  const config = editConfig(host, [], []);
  if (!config.ok) return undefined;
  const left: CandidateTable = {path: undefined, kind: 'list', text: ''};
  const tables = {keyTable: left, signingTable: left, trustedHosts: left};
  const candidate = {configText: config.value.flat, config: config.value.files, ...tables, keys: []};
  return openDkimTrial(candidate, host.opendkim);
}

/**
 * Plans the files of a temporary OpenDKIM in `directory`. A row gets a copy of its key
 * only where it is the row of a key in `staged` and names the place where the plan puts that key; every other row keeps
 * its path, and is read as the signer's user or not at all.
 */
function setup(candidate: Candidate, directory: AbsolutePath, staged: readonly StagedFile[]): TrialSetup {
  const {text, keys} = keyTableOf(candidate, directory, staged);
  const tables = [
    {name: 'KeyTable', table: {...candidate.keyTable, text}},
    {name: 'SigningTable', table: candidate.signingTable},
    {name: 'TrustedHosts', table: candidate.trustedHosts},
  ].flatMap(({name, table}) =>
    table.path === undefined
      ? []
      : [{live: table.path, path: below(directory, name), octets: octetsOf(table)}],
  );
  const config = below(directory, CONFIG);
  const socket = below(directory, 'run', 'milter.sock');
  const moved = new Map(tables.map(each => [each.live, each.path]));
  return {
    // -n names the line of a syntax error; the daemon itself tells it only to syslog.
    check: ['opendkim', '-n', '-x', config],
    start: ['opendkim', '-f', '-x', config, '-p', `local:${socket}`],
    socket,
    files: [
      {path: config, octets: Buffer.from(configOf(candidate.configText, moved, socket))},
      ...tables.map(({path, octets}) => ({path, octets})),
    ],
    keys,
  };
}

function configOf(
  text: string,
  moved: ReadonlyMap<AbsolutePath, AbsolutePath>,
  socket: AbsolutePath,
): string {
  // One line for one line, so that a number in an error message is that of the candidate.
  const kept = parseConfigLines(text).map(line => {
    if (line.name === '' || REPLACED.has(line.name.toLowerCase())) return '#\n';
    return `${line.name} ${movedValue(line.value, moved)}\n`;
  });
  const added = [
    `Socket local:${socket}`,
    'Background no',
    'Syslog yes',
    `SyslogName ${LOG_TAG}`,
    // Says why a message is not signed (daemons/opendkim.md#internal-hosts).
    'LogWhy yes',
  ];
  return `${kept.join('')}${added.join('\n')}\n`;
}

/** `refile:/etc/opendkim/SigningTable` with the path of the copy, for every parameter that names a moved file. */
function movedValue(value: string, moved: ReadonlyMap<AbsolutePath, AbsolutePath>): string {
  const match = /^(file:|refile:)?(\/.*)$/i.exec(value);
  const named = match === null ? undefined : parseAbsolutePath(match[2] ?? '');
  const copy = named?.ok === true ? moved.get(named.value) : undefined;
  return copy === undefined ? value : `${match?.[1] ?? ''}${copy}`;
}

const octetsOf = ({text, encoding}: CandidateTable): Uint8Array => Buffer.from(text, encoding ?? 'utf8');

function keyTableOf(
  {keyTable, keys: inPlan}: Candidate,
  directory: AbsolutePath,
  staged: readonly StagedFile[],
): {readonly text: string; readonly keys: TrialSetup['keys']} {
  const lines = splitLines(keyTable.text);
  const places = new Map<string, string>(inPlan.map(({path, sha256}) => [path, sha256]));
  const known = new Map(staged.map(each => [nameOf(each), each]));
  const changed = new Map<number, string>();
  const keys: {from: AbsolutePath; sha256: string; to: AbsolutePath}[] = [];
  for (const row of keyRows(parseTable(keyTable.text))) {
    const path = parseAbsolutePath(row.path.replaceAll('%', row.domain));
    const key = known.get(nameOf(row));
    if (!path.ok || key === undefined || places.get(path.value) !== key.sha256) continue;
    const to = below(directory, `key-${keys.length}`);
    keys.push({from: key.stagedPath, sha256: key.sha256, to});
    const raw = lines[row.line]?.raw ?? '';
    const at = raw.lastIndexOf(row.path);
    changed.set(row.line, raw.slice(0, at) + to + raw.slice(at + row.path.length));
  }
  const text = lines.map(({raw, end}, at) => (changed.get(at) ?? raw) + end).join('');
  return {text, keys};
}

const nameOf = ({domain, selector}: {readonly domain: string; readonly selector: string}): string =>
  JSON.stringify([domain.toLowerCase(), selector.toLowerCase()]);

/** Where the key of each domain is when the plan is done. */
function finalPlaces(
  candidate: Candidate,
  wanted: readonly StagedFile[],
  steps: readonly Step[],
): readonly AbsolutePath[] {
  const rows = keyRows(parseTable(candidate.keyTable.text));
  const places = secretPlaces(steps);
  const bySelector = new Map(
    rows
      .toReversed()
      .map(row => [`${row.domain.toLowerCase()} ${row.selector.toLowerCase()}`, row.path] as const),
  );
  return wanted.flatMap(({domain, selector, stagedPath}) => {
    const named = parseAbsolutePath(bySelector.get(`${domain} ${selector}`) ?? '');
    if (!named.ok) return [];
    const placed = named.value === stagedPath ? places.get(stagedPath) : named.value;
    return placed ?? [];
  });
}
