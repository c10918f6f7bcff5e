/** The rows of one configuration in the manner of OpenDKIM; dkimpy-milter has the same, with more parameters. */
import type {AbsolutePath} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {privateFingerprint} from '../keys/index.ts';
import {type Definition, definitions, includesOf, parseDataSet} from '../services/opendkim/parse.ts';
import {labelOf, parseListTable, parseTable, type TableRow} from '../services/opendkim/tables.ts';
import {eachOf} from '../services/reading.ts';
import {type KeyReader, unknown} from './key-files.ts';
import type {RowKey, SignerRow} from './key-uses.ts';
import {type ReadText, readText} from './texts.ts';

/** A table whose rows are known, or why they are not. */
interface Table {
  readonly file: string;
  /** For a list in the configuration itself: the line of its parameter. */
  readonly line: number | undefined;
  readonly rows: readonly TableRow[] | undefined;
  readonly why: string;
}

interface Source {
  readonly files: ReadText;
  readonly keys: KeyReader;
  readonly signer: string;
}

const TABLES = ['keytable', 'keytableed25519'] as const;
const SINGLE = ['keyfile', 'keyfileed25519'] as const;
/** A script may sign with any key of the table. */
const SCRIPTS = ['setuppolicyscript', 'screenpolicyscript'] as const;

/**
 * Every row that signs by this configuration: of a key table those that a row of the signing table names, or the single
 * key. A key that no row names is no use: it waits for mail that is under way.
 */
export async function openDkimRows(source: Source, config: AbsolutePath): Promise<readonly SignerRow[]> {
  const {texts, broken} = await withIncludes(source, config);
  const all = definitions(config, path => texts.get(path));
  const last = (name: string): Definition | undefined => all.findLast(each => each.name === name);
  const rows = [...broken];
  const tables = TABLES.flatMap(name => last(name) ?? []);
  const signing = await tableOf(source, last('signingtable'));
  const isScripted = SCRIPTS.some(name => last(name) !== undefined);
  for (const definition of tables) {
    rows.push(...(await rowsOfTable(source, definition, signing, isScripted)));
  }
  for (const name of SINGLE) {
    const definition = last(name);
    // A key table takes the place of the single key.
    if (definition === undefined || last(name.replace('file', 'table')) !== undefined) continue;
    const domain = (last('domain')?.value ?? '').toLowerCase();
    const selector = last('selector')?.value;
    for (const key of await keysOf(source, definition.value)) {
      rows.push({
        signer: source.signer,
        ...placeOf(definition),
        what: 'KeyFile',
        ...(/^[a-z0-9.-]+$/.test(domain) ? {domain} : {}),
        ...(selector === undefined ? {} : {selector}),
        key,
      });
    }
  }
  return rows;
}

/** Files that belong to the configuration: itself and what it includes. */
export async function configurationTexts(
  files: ReadText,
  config: AbsolutePath,
): Promise<ReadonlyMap<AbsolutePath, string>> {
  return (await withIncludes({files, signer: ''}, config)).texts;
}

async function withIncludes(
  {files, signer}: Pick<Source, 'files' | 'signer'>,
  config: AbsolutePath,
): Promise<{readonly texts: ReadonlyMap<AbsolutePath, string>; readonly broken: readonly SignerRow[]}> {
  const texts = new Map<AbsolutePath, string>();
  const broken: SignerRow[] = [];
  const queue = [config];
  const asked = new Set<AbsolutePath>();
  for (const path of queue) {
    if (asked.has(path)) continue;
    asked.add(path);
    const read = await readText(files, path);
    if (read.text === undefined) {
      // Without a configuration nothing signs; one that is included and missing is a fault to be looked at.
      if (path === config && read.isMissing) continue;
      broken.push({signer, file: visible(path), what: 'the configuration', key: unknown(read.why)});
      continue;
    }
    texts.set(path, read.text);
    queue.push(...includesOf(read.text));
  }
  return {texts, broken};
}

async function tableOf({files}: Source, definition: Definition | undefined): Promise<Table | undefined> {
  if (definition === undefined) return undefined;
  const set = parseDataSet(definition.value);
  if (set.kind === 'list') {
    return {...placeOf(definition), rows: parseListTable(set.entries), why: ''};
  }
  if (set.kind === 'unsupported') {
    return {
      ...placeOf(definition),
      rows: undefined,
      why: `is kept in a ${visible(set.type)} source, which waxseal does not read`,
    };
  }
  const read = await readText(files, set.path);
  const file = visible(set.path);
  return read.text === undefined
    ? {...placeOf(definition), rows: undefined, why: `names ${file}, which ${read.why}`}
    : {file, line: undefined, rows: parseTable(read.text), why: ''};
}

const placeOf = ({file, line}: Definition): {readonly file: string; readonly line: number} => ({
  file: visible(file),
  line: line + 1,
});

async function rowsOfTable(
  source: Source,
  definition: Definition,
  signing: Table | undefined,
  isScripted: boolean,
): Promise<readonly SignerRow[]> {
  const {signer} = source;
  const table = await tableOf(source, definition);
  if (table?.rows === undefined) {
    return [{signer, ...placeOf(definition), what: 'KeyTable', key: unknown(table?.why ?? '')}];
  }
  const users = isScripted ? undefined : usersByLabel(signing);
  const found = await eachOf(table.rows, WIDTH, async (row): Promise<readonly SignerRow[]> => {
    const user = users === undefined ? undefined : (users.get(row.key.toLowerCase()) ?? users.get('%'));
    if (users !== undefined && user === undefined) return [];
    const fields = /^([^:]*):([^:]*):(.+)$/s.exec(row.value);
    const [, domain = '', selector = '', path = ''] = fields ?? [];
    const keys = fields === null ? [unknown('has no domain:selector:path')] : await keysOf(source, path);
    const own = {file: table.file, line: table.line ?? row.line + 1, what: visible(row.key)};
    return keys.map(key => ({
      signer,
      // The row that signs is the one to change; what cannot be read stands in the key table.
      ...(key.known ? (user ?? own) : own),
      ...(/^[A-Za-z0-9._-]+\.[A-Za-z0-9-]+$/.test(domain) ? {domain: domain.toLowerCase()} : {}),
      selector: visible(selector),
      key,
    }));
  });
  return found.flat();
}

/** How many key files are read at a time. */
const WIDTH = 32;

type User = Pick<SignerRow, 'file' | 'line' | 'what'>;

/** The first row of the signing table for each label, lower case; undefined where any key may sign. */
function usersByLabel(signing: Table | undefined): ReadonlyMap<string, User> | undefined {
  if (signing?.rows === undefined) return undefined;
  const users = new Map<string, User>();
  for (const row of signing.rows) {
    const label = labelOf(row.value).toLowerCase();
    // "%" stands for the domain of the sender, so it may be any.
    const mark = label.includes('%') ? '%' : label;
    if (mark === '' || users.has(mark)) continue;
    users.set(mark, {
      file: signing.file,
      line: signing.line ?? row.line + 1,
      what: visible(`${row.key} ${row.value}`),
    });
  }
  return users;
}

/** A path, or the key itself: PEM, or base64 of DER (opendkim.conf(5), KeyTable). */
async function keysOf({keys}: Source, text: string): Promise<readonly RowKey[]> {
  if (text.startsWith('/')) {
    const found = await keys.read(text, /%/);
    return found.length === 0 ? [unknown('stands for no file that is there')] : found;
  }
  if (/^\.{1,2}\//.test(text)) return [unknown('has a relative path')];
  const fingerprint =
    privateFingerprint(Buffer.from(text, 'utf8')) ?? privateFingerprint(Buffer.from(text, 'base64'));
  return [fingerprint === undefined ? unknown('holds no key that can be read') : {known: true, fingerprint}];
}
