/** The candidate configuration rewritten for a second OpenDKIM that touches nothing of the first. Pure. */

import {isWithin} from '../domain/names.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import type {Candidate, CandidateTable} from '../services/candidate.ts';
import {parseConfigLines, splitLines} from '../services/opendkim/parse.ts';
import {keyRows, parseTable} from '../services/opendkim/tables.ts';

/** Syslog name of the throw-away signer: its lines in the journal do not mix with those of the live one. */
export const PREFLIGHT_NAME = 'waxseal-preflight';

export interface ThrowAway {
  readonly config: AbsolutePath;
  readonly socket: AbsolutePath;
  readonly pidFile: AbsolutePath;
  /** Files to write, configuration and tables. */
  readonly files: readonly {readonly path: AbsolutePath; readonly text: string}[];
  /** Private keys to copy: they are below the state directory, where the signer may not read. */
  readonly keys: readonly {readonly from: AbsolutePath; readonly to: AbsolutePath}[];
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
]);

/**
 * Plans the files of a throw-away signer in `directory`. Keys that are staged below `stateDirectory` are copied for
 * `domains` only: the others are not asked for, and OpenDKIM reads a key of the table when a message needs it
 * (FACTS 2.6).
 */
export function throwAway(
  candidate: Candidate,
  directory: AbsolutePath,
  stateDirectory: AbsolutePath,
  domains: ReadonlySet<string>,
): ThrowAway {
  const {table, keys} = keyTableOf(candidate.keyTable, directory, stateDirectory, domains);
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
  const pidFile = below(directory, 'opendkim.pid');
  const moved = new Map(tables.map(each => [each.live, each.path]));
  return {
    config,
    socket,
    pidFile,
    files: [
      {path: config, text: configOf(candidate.configText, moved, {socket, pidFile})},
      ...tables.map(({path, text}) => ({path, text})),
    ],
    keys,
  };
}

function configOf(
  text: string,
  moved: ReadonlyMap<AbsolutePath, AbsolutePath>,
  own: {readonly socket: AbsolutePath; readonly pidFile: AbsolutePath},
): string {
  // One line for one line, so that a number in an error message is that of the candidate.
  const kept = parseConfigLines(text).map(line => {
    if (line.name === '' || REPLACED.has(line.name.toLowerCase())) return '#\n';
    return `${line.name} ${movedValue(line.value, moved)}\n`;
  });
  const added = [
    `Socket local:${own.socket}`,
    `PidFile ${own.pidFile}`,
    'Background yes',
    'Syslog yes',
    `SyslogName ${PREFLIGHT_NAME}`,
    // Says why a message is not signed (FACTS 2.4).
    'LogWhy yes',
  ];
  return `${kept.join('')}${added.join('\n')}\n`;
}

/** `refile:/etc/opendkim/SigningTable` with the path of the copy, for every parameter that names a moved file. */
function movedValue(value: string, moved: ReadonlyMap<AbsolutePath, AbsolutePath>): string {
  const match = /^(file:|refile:)?(\/.*)$/.exec(value);
  const copy = match === null ? undefined : moved.get((match[2] ?? '') as AbsolutePath);
  return copy === undefined ? value : `${match?.[1] ?? ''}${copy}`;
}

function keyTableOf(
  table: CandidateTable,
  directory: AbsolutePath,
  stateDirectory: AbsolutePath,
  domains: ReadonlySet<string>,
): {readonly table: string; readonly keys: ThrowAway['keys']} {
  const lines = splitLines(table.text).map(line => line.raw);
  const keys: {from: AbsolutePath; to: AbsolutePath}[] = [];
  for (const row of keyRows(parseTable(table.text))) {
    if (!row.path.startsWith(`${stateDirectory}/`) || !isWanted(row.domain, domains)) continue;
    const to = below(directory, `key-${keys.length}`);
    keys.push({from: row.path as AbsolutePath, to});
    const raw = lines[row.line] ?? '';
    const at = raw.lastIndexOf(row.path);
    lines[row.line] = raw.slice(0, at) + to + raw.slice(at + row.path.length);
  }
  return {table: `${lines.join('\n')}\n`, keys};
}

const isWanted = (rowDomain: string, domains: ReadonlySet<string>): boolean =>
  domains.has(rowDomain) || [...domains].some(domain => isWithin(domain, rowDomain));
