/** Which keys a configuration signs with, and the row that uses each; dkimpy-milter has the same, with more parameters. */
import type {Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import {type ReadText, readText} from '../reading.ts';
import type {SetRow} from './decide/data-set.ts';
import {configurationTexts, type Instance} from './decide/instances.ts';
import {openSet} from './decide/open-set.ts';
import {effectiveSettings, type Setting} from './decide/settings.ts';
import {keyFields, labelOf} from './tables/rows.ts';

/** Where something stands, and what stands there, made harmless. */
export interface UsePlace {
  readonly file: string;
  readonly line?: number;
  readonly what: string;
}

export interface UsedKey {
  readonly place: UsePlace;
  /** The row that makes it sign, where that is another one. */
  readonly user?: UsePlace;
  /** As written; '' where none is. */
  readonly domain: string;
  readonly selector?: string;
  /** A path, perhaps with `%`, or the key itself (then it must never be shown); or why it cannot be told. */
  readonly key: {readonly location: string} | {readonly why: string};
}

const TABLES = ['KeyTable', 'KeyTableEd25519'] as const;
const SINGLE = ['KeyFile', 'KeyFileEd25519'] as const;
/** A script may sign with any key of the table. */
const SCRIPTS = ['SetupPolicyScript', 'ScreenPolicyScript'] as const;

/**
 * Every key that signs by this configuration: of a key table those that a row of the signing table names, or the single
 * key. A key that no row names is no use: it waits for mail that is under way.
 */
export async function usedKeys(
  files: ReadText,
  {config, options, started}: Pick<Instance, 'config' | 'options' | 'started'>,
): Promise<readonly UsedKey[]> {
  const texts = await configurationTexts(files, config);
  const settings = effectiveSettings(config, path => texts.get(path)?.text, options, started);
  const found: UsedKey[] = [];
  for (const [path, read] of texts) {
    // Without a configuration nothing signs; one that is included and missing is a fault to be looked at.
    if (read.text !== undefined || (path === config && read.isMissing)) continue;
    found.push({place: {file: visible(path), what: 'the configuration'}, domain: '', key: {why: read.why}});
  }
  const isScripted = SCRIPTS.some(name => settings(name) !== undefined);
  const signing = settings('SigningTable');
  const users = isScripted || signing === undefined ? undefined : await usersByLabel(files, signing);
  for (const name of TABLES) {
    const setting = settings(name);
    if (setting !== undefined) found.push(...(await keysOfTable(files, setting, users)));
  }
  for (const name of SINGLE) {
    const setting = settings(name);
    // A key table takes the place of the single key.
    if (setting === undefined || settings(name.replace('File', 'Table')) !== undefined) continue;
    const selector = settings('Selector')?.value;
    found.push({
      place: placeOf(setting.source, 'KeyFile'),
      domain: settings('Domain')?.value ?? '',
      ...(selector === undefined ? {} : {selector}),
      key: {location: setting.value},
    });
  }
  return found;
}

const placeOf = (source: Source, what: string): UsePlace =>
  source.by === 'file'
    ? {file: visible(source.path), line: source.line, what}
    : {file: visible(source.by === 'command' ? source.argv.join(' ') : source.program), what};

async function keysOfTable(
  files: ReadText,
  setting: Setting,
  users: ReadonlyMap<string, UsePlace> | undefined,
): Promise<readonly UsedKey[]> {
  const opened = await openSet('KeyTable', setting, path => readText(files, path));
  if (opened.kind !== 'set') {
    return [{place: placeOf(setting.source, 'KeyTable'), domain: '', key: {why: opened.why}}];
  }
  return opened.set.rows.flatMap((row): UsedKey | readonly UsedKey[] => {
    const user = users === undefined ? undefined : (users.get(row.key.toLowerCase()) ?? users.get('%'));
    if (users !== undefined && user === undefined) return [];
    const {domain, selector, location} = keyFields(row.value) ?? {
      domain: '',
      selector: '',
      location: undefined,
    };
    return {
      place: placeOf(row.source, visible(row.key)),
      ...(user === undefined ? {} : {user}),
      ...{domain, selector},
      key: location === undefined ? {why: 'has no domain:selector:path'} : {location},
    };
  });
}

/** The first row of the signing table for each label, lower case; undefined where any key may sign. */
async function usersByLabel(
  files: ReadText,
  signing: Setting,
): Promise<ReadonlyMap<string, UsePlace> | undefined> {
  const opened = await openSet('SigningTable', signing, path => readText(files, path));
  if (opened.kind !== 'set') return undefined;
  const users = new Map<string, UsePlace>();
  for (const row of opened.set.rows) {
    const label = labelOf(row.value).toLowerCase();
    // "%" stands for the domain of the sender, so it may be any.
    const mark = label.includes('%') ? '%' : label;
    if (mark !== '' && !users.has(mark)) users.set(mark, userOf(row));
  }
  return users;
}

const userOf = ({source, key, value}: SetRow): UsePlace => placeOf(source, visible(`${key} ${value}`));
