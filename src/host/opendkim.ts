/** The rows of one configuration in the manner of OpenDKIM; dkimpy-milter has the same, with more parameters. */
import type {Source} from '../domain/source.ts';
import {visible} from '../domain/text.ts';
import {privateFingerprint} from '../keys/index.ts';
import type {SetRow} from '../services/opendkim/decide/data-set.ts';
import {configurationTexts, type Instance} from '../services/opendkim/decide/instances.ts';
import {openSet} from '../services/opendkim/decide/open-set.ts';
import {effectiveSettings, type Setting} from '../services/opendkim/decide/settings.ts';
import {labelOf} from '../services/opendkim/tables.ts';
import {eachOf} from '../services/reading.ts';
import {type KeyReader, unknown} from './key-files.ts';
import type {RowKey, SignerRow} from './key-uses.ts';
import {type ReadText, readText} from './texts.ts';

interface Looks {
  readonly files: ReadText;
  readonly keys: KeyReader;
  readonly signer: string;
}

const TABLES = ['KeyTable', 'KeyTableEd25519'] as const;
const SINGLE = ['KeyFile', 'KeyFileEd25519'] as const;
/** A script may sign with any key of the table. */
const SCRIPTS = ['SetupPolicyScript', 'ScreenPolicyScript'] as const;

/**
 * Every row that signs by this configuration: of a key table those that a row of the signing table names, or the single
 * key. A key that no row names is no use: it waits for mail that is under way.
 */
export async function openDkimRows(
  looks: Looks,
  {config, options, started}: Pick<Instance, 'config' | 'options' | 'started'>,
): Promise<readonly SignerRow[]> {
  const {signer, files} = looks;
  const texts = await configurationTexts(files, config);
  const settings = effectiveSettings(config, path => texts.get(path)?.text, options, started);
  const rows: SignerRow[] = [];
  for (const [path, read] of texts) {
    // Without a configuration nothing signs; one that is included and missing is a fault to be looked at.
    if (read.text !== undefined || (path === config && read.isMissing)) continue;
    rows.push({signer, file: visible(path), what: 'the configuration', key: unknown(read.why)});
  }
  const isScripted = SCRIPTS.some(name => settings(name) !== undefined);
  const signing = settings('SigningTable');
  const users = isScripted || signing === undefined ? undefined : await usersByLabel(looks, signing);
  for (const name of TABLES) {
    const setting = settings(name);
    if (setting !== undefined) rows.push(...(await rowsOfTable(looks, setting, users)));
  }
  for (const name of SINGLE) {
    const setting = settings(name);
    // A key table takes the place of the single key.
    if (setting === undefined || settings(name.replace('File', 'Table')) !== undefined) continue;
    const domain = (settings('Domain')?.value ?? '').toLowerCase();
    const selector = settings('Selector')?.value;
    for (const key of await keysOf(looks, setting.value)) {
      rows.push({
        signer,
        ...placeOf(setting.source),
        what: 'KeyFile',
        ...(/^[a-z0-9.-]+$/.test(domain) ? {domain} : {}),
        ...(selector === undefined ? {} : {selector}),
        key,
      });
    }
  }
  return rows;
}

const placeOf = (source: Source): Pick<SignerRow, 'file' | 'line'> =>
  source.by === 'file'
    ? {file: visible(source.path), line: source.line}
    : {file: visible(source.by === 'command' ? source.argv.join(' ') : source.program)};

async function rowsOfTable(
  looks: Looks,
  setting: Setting,
  users: ReadonlyMap<string, User> | undefined,
): Promise<readonly SignerRow[]> {
  const {signer, files} = looks;
  const opened = await openSet('KeyTable', setting, path => readText(files, path));
  if (opened.kind !== 'set') {
    return [{signer, ...placeOf(setting.source), what: 'KeyTable', key: unknown(opened.why)}];
  }
  const found = await eachOf(opened.set.rows, WIDTH, async (row): Promise<readonly SignerRow[]> => {
    const user = users === undefined ? undefined : (users.get(row.key.toLowerCase()) ?? users.get('%'));
    if (users !== undefined && user === undefined) return [];
    const fields = /^([^:]*):([^:]*):(.+)$/s.exec(row.value);
    const [, domain = '', selector = '', path = ''] = fields ?? [];
    const keys = fields === null ? [unknown('has no domain:selector:path')] : await keysOf(looks, path);
    const own = {...placeOf(row.source), what: visible(row.key)};
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
async function usersByLabel(
  {files}: Looks,
  signing: Setting,
): Promise<ReadonlyMap<string, User> | undefined> {
  const opened = await openSet('SigningTable', signing, path => readText(files, path));
  if (opened.kind !== 'set') return undefined;
  const users = new Map<string, User>();
  for (const row of opened.set.rows) {
    const label = labelOf(row.value).toLowerCase();
    // "%" stands for the domain of the sender, so it may be any.
    const mark = label.includes('%') ? '%' : label;
    if (mark !== '' && !users.has(mark)) users.set(mark, userOf(row));
  }
  return users;
}

const userOf = ({source, key, value}: SetRow): User => ({
  ...placeOf(source),
  what: visible(`${key} ${value}`),
});

/** A path, or the key itself: PEM, or base64 of DER (opendkim.conf(5), KeyTable). */
async function keysOf({keys}: Looks, text: string): Promise<readonly RowKey[]> {
  if (text.startsWith('/')) {
    const found = await keys.read(text, /%/);
    return found.length === 0 ? [unknown('stands for no file that is there')] : found;
  }
  if (/^\.{1,2}\//.test(text)) return [unknown('has a relative path')];
  const fingerprint =
    privateFingerprint(Buffer.from(text, 'utf8')) ?? privateFingerprint(Buffer.from(text, 'base64'));
  return [fingerprint === undefined ? unknown('holds no key that can be read') : {known: true, fingerprint}];
}
