/** The candidate configuration rewritten for a second OpenDKIM that touches nothing of the first. Pure. */
import {type AbsolutePath, below, parseAbsolutePath} from '../domain/paths.ts';
import type {Candidate, CandidateTable} from '../services/candidate.ts';
import type {DomainSelector} from '../services/facts.ts';
import {parseConfigLines, splitLines} from '../services/opendkim/parse.ts';
import {keyRows, parseTable} from '../services/opendkim/tables.ts';

/** Syslog name of the temporary OpenDKIM: its lines in the journal do not mix with those of the live one. */
export const PREFLIGHT_NAME = 'waxseal-preflight';

/** A key that the plan itself staged: only these are ever copied. */
export interface StagedFile extends DomainSelector {
  readonly stagedPath: AbsolutePath;
  /** Hex SHA-256 of the file. */
  readonly sha256: string;
}

export interface ThrowAway {
  readonly config: AbsolutePath;
  readonly socket: AbsolutePath;
  /** Files to write, configuration and tables. */
  readonly files: readonly {readonly path: AbsolutePath; readonly text: string}[];
  /** Private keys to copy, from the list of the plan: the signer's user may not read where they are staged. */
  readonly keys: readonly {readonly from: AbsolutePath; readonly sha256: string; readonly to: AbsolutePath}[];
}

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

/**
 * Plans the files of a temporary OpenDKIM in `directory`. A row gets a copy of its key only where domain, selector and
 * path are those of a key in `staged`; every other row keeps its path, and is read as the signer's user or not at all.
 */
export function throwAway(
  candidate: Candidate,
  directory: AbsolutePath,
  staged: readonly StagedFile[],
): ThrowAway {
  const {table, keys} = keyTableOf(candidate.keyTable, directory, staged);
  const tables = [
    {name: 'KeyTable', table: candidate.keyTable, text: table},
    {name: 'SigningTable', table: candidate.signingTable, text: candidate.signingTable.text},
    {name: 'TrustedHosts', table: candidate.trustedHosts, text: candidate.trustedHosts.text},
  ].flatMap(each =>
    each.table.path === undefined
      ? []
      : [{live: each.table.path, path: below(directory, each.name), text: each.text}],
  );
  const config = below(directory, 'opendkim.conf');
  const socket = below(directory, 'run', 'milter.sock');
  const moved = new Map(tables.map(each => [each.live, each.path]));
  return {
    config,
    socket,
    files: [
      {path: config, text: configOf(candidate.configText, moved, socket)},
      ...tables.map(({path, text}) => ({path, text})),
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
    `SyslogName ${PREFLIGHT_NAME}`,
    // Says why a message is not signed (FACTS 2.4).
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

function keyTableOf(
  table: CandidateTable,
  directory: AbsolutePath,
  staged: readonly StagedFile[],
): {readonly table: string; readonly keys: ThrowAway['keys']} {
  const lines = splitLines(table.text).map(line => line.raw);
  const known = new Map(staged.map(each => [placeOf(each, each.stagedPath), each]));
  const keys: {from: AbsolutePath; sha256: string; to: AbsolutePath}[] = [];
  for (const row of keyRows(parseTable(table.text))) {
    const path = parseAbsolutePath(row.path);
    const key = path.ok ? known.get(placeOf(row, path.value)) : undefined;
    if (key === undefined) continue;
    const to = below(directory, `key-${keys.length}`);
    keys.push({from: key.stagedPath, sha256: key.sha256, to});
    const raw = lines[row.line] ?? '';
    const at = raw.lastIndexOf(row.path);
    lines[row.line] = raw.slice(0, at) + to + raw.slice(at + row.path.length);
  }
  return {table: `${lines.join('\n')}\n`, keys};
}

const placeOf = (of: {readonly domain: string; readonly selector: string}, path: AbsolutePath): string =>
  JSON.stringify([of.domain.toLowerCase(), of.selector.toLowerCase(), path]);
