/** Whose mail is signed: InternalHosts (daemons/opendkim.md#internal-hosts). */
import type {AbsolutePath} from '../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {textOf} from '../files.ts';
import type {CandidateTable} from './candidate.ts';
import {coversHost} from './decide/hosts.ts';
import type {Setting} from './edit.ts';
import type {OpenDkimHost} from './host.ts';
import {parseDataSet} from './parse.ts';
import {freePath, hasTables} from './tables/current.ts';
import {appendRows} from './tables/edit.ts';
import {parseTable} from './tables/rows.ts';

export interface HostsPlan {
  /** The file to write; undefined where no file changes. */
  readonly file: {readonly path: AbsolutePath; readonly text: string} | undefined;
  readonly settings: readonly Setting[];
  readonly table: CandidateTable;
  readonly remarks: readonly Problem[];
}

/** A given list replaces OpenDKIM's default, so these are always needed. */
const LOOPBACK = ['127.0.0.1', '::1'];

/** Makes the host itself and `trusted` internal. A set-up with tables but without a list keeps the default list. */
export function planHosts(host: OpenDkimHost, trusted: readonly string[]): Result<HostsPlan> {
  const bad = trusted.find(entry => !/^!?[\w.:/[\]*-]+$/.test(entry));
  if (bad !== undefined) {
    return fail(
      problem(
        'trusted-host.syntax',
        `${JSON.stringify(bad)} is not a host, a network or a .domain.`,
        'Write 192.0.2.7, 192.0.2.0/24, 2001:db8::/32, host.example.org or .example.org.',
      ),
    );
  }
  const value = host.opendkim.settings['internalhosts'];
  if (value === undefined) return ok(withoutList(host, trusted));
  const set = parseDataSet(value);
  if (set.kind === 'unsupported') return ok(foreign(value));
  if (set.kind === 'list') return ok(inlineList(value, set.entries, trusted));
  const text = textOf(host.snapshot, set.path);
  if (!text.ok) return text;
  const missing = missingFrom(
    parseTable(text.value).map(row => row.key),
    trusted,
  );
  const next = appendRows(text.value, missing);
  return ok({
    file: next === text.value ? undefined : {path: set.path, text: next},
    settings: [],
    table: {path: set.path, kind: set.kind, text: next},
    remarks: [],
  });
}

function withoutList(host: OpenDkimHost, trusted: readonly string[]): HostsPlan {
  if (hasTables(host) && trusted.length === 0) {
    const table: CandidateTable = {path: undefined, kind: 'list', text: LOOPBACK.join(',')};
    return {file: undefined, settings: [], table, remarks: []};
  }
  const remarks: Problem[] = [];
  const path = freePath(host, 'TrustedHosts', remarks);
  const own = host.snapshot.entries[path]?.text ?? '';
  const base = parseTable(own).length === 0 ? own : '';
  const text = appendRows(base, [...LOOPBACK, 'localhost', ...trusted]);
  return {
    file: {path, text},
    settings: [{name: 'InternalHosts', value: `file:${path}`}],
    table: {path, kind: 'file', text},
    remarks,
  };
}

function inlineList(value: string, entries: readonly string[], trusted: readonly string[]): HostsPlan {
  const next = [value, ...missingFrom(entries, trusted)].join(', ');
  return {
    file: undefined,
    settings: next === value ? [] : [{name: 'InternalHosts', value: next}],
    table: {path: undefined, kind: 'list', text: next},
    remarks: [],
  };
}

const missingFrom = (entries: readonly string[], trusted: readonly string[]): readonly string[] =>
  [...LOOPBACK, ...trusted].filter(wanted => !coversHost(entries, wanted));

const foreign = (value: string): HostsPlan => ({
  file: undefined,
  settings: [],
  table: {path: undefined, kind: 'list', text: value},
  remarks: [
    problem(
      'opendkim.internal-hosts',
      'InternalHosts is kept in a source that waxseal does not read; it stays as it is.',
      'It must contain 127.0.0.1 and ::1, or mail of this host stays unsigned.',
    ),
  ],
});
