/** Reads opendkim.conf(5) and the data set notation of opendkim(8). Text in, data out. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {type RawLine, splitLines} from '../lines.ts';

export interface ConfigLine extends RawLine {
  /** Parameter name as written; '' where the line sets nothing. */
  readonly name: string;
  readonly value: string;
  /** The parameter that a commented sample (`#Domain example.com`) shows; '' otherwise. */
  readonly sample: string;
}

const SETTING = /^[ \t]*([^\s#]+)(?:[ \t]+([^#]*))?/;
// Debian writes samples without a blank after the hash; prose begins with "# ".
const SAMPLE = /^#([A-Za-z][A-Za-z0-9-]*)[ \t]+[^\s#]/;

/** Every line of an opendkim.conf, in order; joining raw and end gives the text again. */
export function parseConfigLines(text: string): readonly ConfigLine[] {
  return splitLines(text).map(({raw, end}) => {
    const setting = SETTING.exec(raw);
    return {
      raw,
      end,
      name: setting?.[1] ?? '',
      value: (setting?.[2] ?? '').trim(),
      sample: setting === null ? (SAMPLE.exec(raw)?.[1] ?? '') : '',
    };
  });
}

/** One setting in force or overridden, with the place where it stands. */
export interface Definition {
  /** Lower case: names are case-insensitive (daemons/opendkim.md#configuration-file). */
  readonly name: string;
  readonly value: string;
  readonly file: AbsolutePath;
  readonly line: number;
}

const MAX_INCLUDE_DEPTH = 5;

/**
 * All settings of a configuration in the order in which OpenDKIM reads them, `Include` followed to five levels
 * (opendkim.conf(5)); the last of a name wins. `textOf` gives the text of a file, undefined where it is missing.
 */
export function definitions(
  file: AbsolutePath,
  textOf: (path: AbsolutePath) => string | undefined,
  depth = 0,
): readonly Definition[] {
  const text = textOf(file);
  if (text === undefined || depth > MAX_INCLUDE_DEPTH) return [];
  const found: Definition[] = [];
  for (const [line, {name, value}] of parseConfigLines(text).entries()) {
    if (name === '') continue;
    const included = name.toLowerCase() === 'include' ? parseAbsolutePath(value) : undefined;
    if (included?.ok === true) {
      for (const inner of definitions(included.value, textOf, depth + 1)) found.push(inner);
    } else {
      found.push({name: name.toLowerCase(), value, file, line});
    }
  }
  return found;
}

/** Files that a configuration names with `Include`. */
export const includesOf = (text: string): readonly AbsolutePath[] =>
  parseConfigLines(text).flatMap(line => {
    const path = line.name.toLowerCase() === 'include' ? parseAbsolutePath(line.value) : undefined;
    return path?.ok === true ? [path.value] : [];
  });

/** Effective values by lower-case name: the last definition wins (daemons/opendkim.md#configuration-file). */
export function effective(all: readonly Definition[]): Readonly<Record<string, string>> {
  return Object.fromEntries(all.map(definition => [definition.name, definition.value]));
}

export type DataSet =
  | {readonly kind: 'file' | 'refile'; readonly path: AbsolutePath}
  | {readonly kind: 'list'; readonly entries: readonly string[]}
  /** A database, a script or a relative path: `type` is its prefix. */
  | {readonly kind: 'unsupported'; readonly type: string};

const FOREIGN = /^(db|dsn|ldap|ldaps|ldapi|lua|memcache|repute|erlang|mdb|socket):/i;

/** Parses the data set notation of opendkim(8), "DATA SETS". */
export function parseDataSet(value: string): DataSet {
  const file = /^(file|refile):(.*)$/i.exec(value);
  if (file !== null)
    return fileSet((file[1] ?? '').toLowerCase() === 'refile' ? 'refile' : 'file', file[2] ?? '');
  const foreign = FOREIGN.exec(value);
  if (foreign !== null) return {kind: 'unsupported', type: (foreign[1] ?? '').toLowerCase()};
  if (value.startsWith('/')) return fileSet('file', value);
  if (value.startsWith('./') || value.startsWith('../')) return {kind: 'unsupported', type: 'relative path'};
  return {kind: 'list', entries: entriesOf(value.replace(/^csl:/i, ''))};
}

/** Entries of a comma-separated list. */
export const entriesOf = (list: string): readonly string[] =>
  list
    .split(',')
    .map(entry => entry.trim())
    .filter(entry => entry !== '');

function fileSet(kind: 'file' | 'refile', text: string): DataSet {
  const path = parseAbsolutePath(text.trim());
  return path.ok ? {kind, path: path.value} : {kind: 'unsupported', type: 'relative path'};
}

/** Boolean values of opendkim.conf(5): only the first octet counts. */
export const isTrue = (value: string | undefined): boolean => /^[tTyY1]/.test(value ?? '');
