/** Opens what a setting names, as dkimf_db_open does. */
import type {AbsolutePath} from '../../../domain/paths.ts';
import {visible} from '../../../domain/text.ts';
import type {ReadResult} from '../../reading.ts';
import {parseDataSet} from '../parse.ts';
import {createDataSet, type DataSet, rowsOf} from './data-set.ts';
import type {SetName} from './model.ts';
import type {Setting} from './settings.ts';

/**
 * `refused`: OpenDKIM does not start with it. `unread`: it does, but waxseal cannot read it. `why` follows the name of
 * the setting in a sentence: `names /x, which is missing`.
 */
export type Opened =
  | {readonly kind: 'set'; readonly set: DataSet}
  | {readonly kind: 'unread' | 'refused'; readonly why: string};

/** The text of a file, or why there is none. */
export type TextOf = (path: AbsolutePath) => Promise<ReadResult>;

const KNOWN_TYPE = /^(?:csl|file|refile|db|dsn|ldap|ldapi|ldaps|lua)$/i;
/** Sets that are made into an array (dkimf_db_mkarray), which patterns cannot be; MacroList refuses them by name. */
const NO_PATTERNS: ReadonlySet<SetName> = new Set(['MTA', 'MacroList', 'SenderHeaders']);
const EXACT_CASE: ReadonlySet<SetName> = new Set(['KeyTable', 'MTA', 'MacroList']);

export async function openSet(
  name: SetName,
  {value, source}: Pick<Setting, 'value' | 'source'>,
  textOf: TextOf,
): Promise<Opened> {
  const type = typeOf(value);
  if (type !== undefined && !KNOWN_TYPE.test(type)) {
    return {kind: 'refused', why: `begins with "${visible(type)}:", which is no type of a data set`};
  }
  const named = parseDataSet(value);
  if (named.kind === 'unsupported' || (type === undefined && value.endsWith('.db'))) {
    const kept = visible(named.kind === 'unsupported' ? named.type : 'db');
    return {kind: 'unread', why: `is kept in a ${kept} source, which waxseal doesn't read`};
  }
  if (named.kind === 'refile' && NO_PATTERNS.has(name)) return {kind: 'refused', why: "can't be a refile"};
  const fold = !EXACT_CASE.has(name);
  if (named.kind === 'list') {
    const rows = rowsOf('list', value.replace(/^csl:/i, ''), () => source);
    return {kind: 'set', set: createDataSet('list', rows, fold)};
  }
  const {kind, path} = named;
  const read = await textOf(path);
  if (read.text === undefined) {
    return {kind: read.isMissing ? 'refused' : 'unread', why: `names ${visible(path)}, which ${read.why}`};
  }
  const rows = rowsOf(kind, read.text, line => ({by: 'file', path, line: line + 1}));
  return {kind: 'set', set: createDataSet(kind, rows, fold)};
}

/** The text before the first colon, unless a comma comes before it. */
function typeOf(value: string): string | undefined {
  const colon = value.indexOf(':');
  const comma = value.indexOf(',');
  return colon < 0 || (comma >= 0 && comma < colon) ? undefined : value.slice(0, colon);
}
