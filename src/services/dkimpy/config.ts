/** Reads dkimpy-milter.conf(5) and the data sets that it names, as dkimpy_milter/config.py does. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import {type ReadText, readText} from '../reading.ts';

export interface Setting {
  /** Names are taken exactly as they are documented: `domain` sets nothing. */
  readonly name: string;
  readonly value: string;
  readonly source: Source;
}

/** The last of a name wins; a comment begins at any `#`. A name without a value sets nothing. */
export function parseSettings(text: string, path: AbsolutePath): ReadonlyMap<string, Setting> {
  const found = new Map<string, Setting>();
  for (const [at, line] of text.split('\n').entries()) {
    const [, name, value = ''] = /^(\S+)\s+(\S.*)$/.exec((line.split('#', 1)[0] ?? '').trim()) ?? [];
    if (name !== undefined) found.set(name, {name, value, source: {by: 'file', path, line: at + 1}});
  }
  return found;
}

/** A boolean: only the first letter counts. */
export const isTrue = (setting: Setting | undefined): boolean => /^[tTyY1]/.test(setting?.value ?? '');

export interface Row {
  readonly key: string;
  /** What stands between colons. */
  readonly values: readonly string[];
  readonly source: Source;
}

/** Why it cannot be told what is in a set; it follows the name of the setting in a sentence. */
export interface Unread {
  readonly why: string;
}

/** Entries of a list: with commas, or with blanks where the line has some. A list that is kept in a file is unread. */
export function listOf({value}: Setting): readonly string[] | Unread {
  if (/^(?:\/|file:|refile:)/.test(value)) return {why: "is kept in a file, which waxseal doesn't read"};
  const text = value.replace(/^csl:/, '');
  return (/\s/.test(value) ? text.split(/\s+/) : text.split(',')).map(entry =>
    entry.trim().replace(/^,|,$/g, ''),
  );
}

/** Rows of a table: lines of exactly two words. A key that comes again changes its first row. */
export async function tableOf(files: ReadText, {value}: Setting): Promise<readonly Row[] | Unread> {
  const path = parseAbsolutePath(value.replace(/^(?:file|refile):/, ''));
  if (!path.ok) return {why: 'names no file'};
  const read = await readText(files, path.value);
  if (read.text === undefined) return {why: `names ${visible(path.value)}, which ${read.why}`};
  const rows = new Map<string, Row>();
  for (const [at, line] of read.text.split('\n').entries()) {
    if (line.startsWith('#')) continue;
    const [key, values, ...more] = line.split(/\s+/).filter(word => word !== '');
    if (key === undefined) continue;
    // A single word makes the file a list.
    if (values === undefined) return {why: `names ${visible(path.value)}, where line ${at + 1} is no row`};
    if (more.length > 0) continue;
    rows.set(key, {key, values: values.split(':'), source: {by: 'file', path: path.value, line: at + 1}});
  }
  return [...rows.values()];
}
