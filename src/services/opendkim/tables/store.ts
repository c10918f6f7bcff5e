/** The rows of a table apart from where they are kept: in a file, or in opendkim.conf itself. */
import type {AbsolutePath} from '../../../domain/paths.ts';
import {ok, type Result} from '../../../domain/result.ts';
import {textOf} from '../../files.ts';
import type {FileStep} from '../../step.ts';
import {tableStep} from '../config.ts';
import type {Setting} from '../edit.ts';
import type {OpenDkimHost} from '../host.ts';
import type {DataSet} from '../parse.ts';
import {parseListTable, parseTable, type SigningKind} from './rows.ts';

/** What makes a store hold other rows. */
export interface Written {
  readonly files: readonly FileStep[];
  readonly settings: readonly Setting[];
  /** Parameters that are set no more: one without a value is an error to OpenDKIM. */
  readonly dropped: readonly string[];
}

export interface TableStore {
  /** Undefined where the rows stand in opendkim.conf. */
  readonly path: AbsolutePath | undefined;
  readonly kind: SigningKind;
  /** One row a line, comments included. */
  readonly text: string;
  write(text: string, why: string): Written;
}

export const NO_ROWS: TableStore = {
  path: undefined,
  kind: 'file',
  text: '',
  write: () => ({files: [], settings: [], dropped: []}),
};

/** A file; `setting` where nothing refers to it yet. */
export const fileStore = (
  host: OpenDkimHost,
  {path, kind, text}: {readonly path: AbsolutePath; readonly kind: SigningKind; readonly text: string},
  setting?: Setting,
): TableStore & {readonly path: AbsolutePath} => ({
  path,
  kind,
  text,
  write: (next, why) => ({
    files: setting === undefined && next === text ? [] : tableStep(host, path, next, why),
    settings: setting === undefined ? [] : [setting],
    dropped: [],
  }),
});

/** A list in opendkim.conf: `key=value, key=value`, or names alone. It is looked up like file: (daemons/opendkim.md#tables). */
export function inlineStore(name: string, value: string, entries: readonly string[]): TableStore {
  const text = listText(entries);
  const prefix = /^csl:/i.exec(value)?.[0] ?? '';
  return {
    path: undefined,
    kind: 'file',
    text,
    write: next => {
      if (next === text) return {files: [], settings: [], dropped: []};
      const rows = parseTable(next).map(row => (row.value === '' ? row.key : `${row.key}=${row.value}`));
      return rows.length === 0
        ? {files: [], settings: [], dropped: [name]}
        : {files: [], settings: [{name, value: prefix + rows.join(', ')}], dropped: []};
    },
  };
}

export const listText = (entries: readonly string[]): string =>
  parseListTable(entries)
    .map(row => `${row.key}${row.value === '' ? '' : ` ${row.value}`}\n`)
    .join('');

export function storeOf(
  host: OpenDkimHost,
  name: string,
  set: Exclude<DataSet, {kind: 'unsupported'}>,
): Result<TableStore> {
  const value = host.opendkim.settings[name.toLowerCase()] ?? '';
  if (set.kind === 'list') return ok(inlineStore(name, value, set.entries));
  const text = textOf(host.snapshot, set.path);
  return text.ok ? ok(fileStore(host, {path: set.path, kind: set.kind, text: text.value})) : text;
}
