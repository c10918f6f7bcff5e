/**
 * Data sets as opendkim-db.c opens and asks them: comma-separated lists, flat files, and flat files of patterns.
 * What is kept elsewhere (a database, LDAP, a script) is said to be unread.
 */

import {matchesWildcard} from '../../../domain/scan.ts';
import type {Source} from '../../../domain/source.ts';
import {entriesOf} from '../parse.ts';
import {parseListTable, parseTable, type TableRow} from '../tables/rows.ts';

export type SetKind = 'list' | 'file' | 'refile';

export interface SetRow extends TableRow {
  readonly source: Source;
}

/** `unread`: a row comes first whose pattern waxseal does not evaluate, so the answer is not known. */
export type Found = SetRow | 'unread' | undefined;

/** The questions that OpenDKIM asks a data set (dkimf_db_get, dkimf_db_rewalk). Each costs what it finds. */
export interface DataSet {
  readonly kind: SetKind;
  readonly rows: readonly SetRow[];
  first(text: string): Found;
  /** Every row for this text, in order; ends at `unread`. */
  all(text: string): readonly (SetRow | 'unread')[];
}

/** Letters beyond ASCII keep their case: OpenDKIM runs in the C locale. */
export const lowerCase = (text: string): string => text.replace(/[A-Z]+/g, part => part.toLowerCase());

/** Rows of a list or of a file's text. A list is of one line, so all of its rows are there. */
export function rowsOf(kind: SetKind, text: string, sourceOf: (line: number) => Source): readonly SetRow[] {
  const rows = kind === 'list' ? parseListTable(entriesOf(text)) : parseTable(text, kind);
  return rows.map(row => ({...row, source: sourceOf(row.line)}));
}

/** @param ignoresCase DKIMF_DB_FLAG_ICASE of opendkim.c: every set but KeyTable, MTA and MacroList */
export function createDataSet(kind: SetKind, rows: readonly SetRow[], ignoresCase: boolean): DataSet {
  const fold = ignoresCase ? lowerCase : (text: string): string => text;
  const byKey = new Map<string, number[]>();
  const odd: {readonly at: number; readonly pattern: string; readonly isUnread: boolean}[] = [];
  for (const [at, row] of rows.entries()) {
    const key = fold(row.key);
    const isUnread = kind === 'refile' && OPERATORS.test(key);
    if (isUnread || (kind === 'refile' && key.includes('*') && !CUSTOMARY.test(key))) {
      odd.push({at, pattern: key, isUnread});
      continue;
    }
    const same = byKey.get(key);
    if (same === undefined) byKey.set(key, [at]);
    else same.push(at);
  }
  const matches = (asked: string): readonly number[] => {
    const text = fold(asked);
    const found = (kind === 'refile' ? patternsFor(text) : [text]).flatMap(key => byKey.get(key) ?? []);
    for (const {at, pattern, isUnread} of odd) if (isUnread || matchesWildcard(pattern, text)) found.push(at);
    return found.sort((one, other) => one - other);
  };
  const unread = new Set(odd.filter(row => row.isUnread).map(({at}) => at));
  const named = (at: number): readonly (SetRow | 'unread')[] =>
    unread.has(at) ? ['unread'] : rows.slice(at, at + 1);
  return {
    kind,
    rows,
    first: text => matches(text).flatMap(named)[0],
    all: text => {
      const found = matches(text).flatMap(named);
      const stop = found.indexOf('unread');
      return stop < 0 ? found : found.slice(0, stop + 1);
    },
  };
}

/** dkimf_mkregexp takes `*`, `+` and `.` for themselves; these stay operators of a POSIX regular expression. */
const OPERATORS = /[?^$|(){}[\]\\]/;
const CUSTOMARY = /^(?:\*|\*@(?:\*\.)?[^*@]+)$/;

/** The customary patterns that match a text, and the text itself. */
function patternsFor(text: string): readonly string[] {
  const host = text.slice(text.lastIndexOf('@') + 1);
  const names = [text, '*', `*@${host}`];
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1))
    names.push(`*@*${host.slice(dot)}`);
  return text.includes('@') ? names : [text, '*'];
}
