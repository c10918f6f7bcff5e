/** Opens what a setting names, as dkimf_db_open does. */
import type {AbsolutePath} from '../../../domain/paths.ts';
import {visible, withoutPassword} from '../../../domain/text.ts';
import {parseDataSet} from '../parse.ts';
import {createDataSet, type DataSet, rowsOf} from './data-set.ts';
import type {SetName} from './model.ts';
import type {Setting} from './settings.ts';

/** `refused`: OpenDKIM does not start with it. `unread`: it does, but waxseal cannot read it. */
export type Opened =
  | {readonly kind: 'set'; readonly set: DataSet}
  | {readonly kind: 'unread' | 'refused'; readonly says: string};

/** The text of a file, or why there is none. */
export type TextOf = (
  path: AbsolutePath,
) => Promise<{readonly text: string} | {readonly text: undefined; readonly isMissing: boolean}>;

const KNOWN_TYPE = /^(?:csl|file|refile|db|dsn|ldap|ldapi|ldaps|lua)$/i;
/** Sets that are made into an array (dkimf_db_mkarray), which patterns cannot be; MacroList refuses them by name. */
const NO_PATTERNS: ReadonlySet<SetName> = new Set(['MTA', 'MacroList', 'SenderHeaders']);
const EXACT_CASE: ReadonlySet<SetName> = new Set(['KeyTable', 'MTA', 'MacroList']);

export async function openSet(name: SetName, setting: Setting, textOf: TextOf): Promise<Opened> {
  const type = typeOf(setting.value);
  if (type !== undefined && !KNOWN_TYPE.test(type)) {
    const says = `${name} begins with "${visible(type)}:", which is no data set type, so OpenDKIM doesn't start.`;
    return {kind: 'refused', says};
  }
  const named = parseDataSet(setting.value);
  if (named.kind === 'unsupported' || (type === undefined && setting.value.endsWith('.db'))) {
    return {kind: 'unread', says: `waxseal can't read ${name} ${visible(withoutPassword(setting.value))}.`};
  }
  if (named.kind === 'refile' && NO_PATTERNS.has(name)) {
    return {kind: 'refused', says: `${name} can't be a refile, so OpenDKIM doesn't start.`};
  }
  if (named.kind === 'list') {
    const rows = rowsOf('list', setting.value.replace(/^csl:/i, ''), () => setting.source);
    return {kind: 'set', set: createDataSet('list', rows, !EXACT_CASE.has(name))};
  }
  const {kind, path} = named;
  const read = await textOf(path);
  if (read.text === undefined) {
    return read.isMissing
      ? {kind: 'refused', says: `${name} ${path} is missing, so OpenDKIM doesn't start.`}
      : {kind: 'unread', says: `waxseal can't read ${name} ${path}.`};
  }
  const rows = rowsOf(kind, read.text, line => ({by: 'file', path, line: line + 1}));
  return {kind: 'set', set: createDataSet(kind, rows, !EXACT_CASE.has(name))};
}

/** The text before the first colon, unless a comma comes before it. */
function typeOf(value: string): string | undefined {
  const colon = value.indexOf(':');
  const comma = value.indexOf(',');
  return colon < 0 || (comma >= 0 && comma < colon) ? undefined : value.slice(0, colon);
}
