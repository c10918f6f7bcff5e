/** Reads what the ways of mail depend on. Few commands, none of which talks to a daemon. */
import {type AbsolutePath, below, parseAbsolutePath} from '../../../domain/paths.ts';
import type {Ports} from '../../../system/ports.ts';
import type {Entrance} from '../../mta.ts';
import {tryReadText} from '../../reading.ts';
import {parsePostconf, words} from '../parse.ts';
import {accessTables} from './clients.ts';
import {BUILT_IN} from './defaults.ts';
import {entrancesOf} from './entrances.ts';
import {isSmtpd} from './rows.ts';
import {type PostfixConfiguration, type ReadConfiguration, readConfiguration} from './settings.ts';
import {indexedPathOf, type TableWord, tableWords, textPathOf} from './tables.ts';

export interface WaysContext {
  readonly ports: {
    readonly files: Pick<Ports['files'], 'read'>;
    readonly commands: Ports['commands'];
    readonly users: Pick<Ports['users'], 'user' | 'groupById'>;
  };
  readonly signal: AbortSignal | undefined;
}

/**
 * Every way in, of every instance that multi_instance_directories names and that is enabled. What cannot be read makes
 * an entrance uncertain; nothing is thrown for it.
 *
 * @param directory of the instance that was asked for, as `postconf -h config_directory` names it
 */
export async function readWays(context: WaysContext, directory: AbsolutePath): Promise<readonly Entrance[]> {
  const [defaults, texts] = await Promise.all([askDefaults(context), readTexts(context, directory)]);
  const base = {instance: '', directory, ...texts, defaults, groups: [], tables: new Map<string, string>()};
  const main = readConfiguration(base);
  const others = await readOthers(context, main, defaults);
  const name = others.length === 0 ? '' : main.main.value('multi_instance_name').trim() || '-';
  const all = await Promise.all(
    [{...base, instance: name}, ...others].map(async configuration => {
      const read = readConfiguration(configuration);
      const [groups, tables] = await Promise.all([
        groupsOf(context, read.main.value('mail_owner').trim()),
        readTables(context, read),
      ]);
      return entrancesOf({...configuration, groups, tables});
    }),
  );
  return all.flat();
}

async function askDefaults({ports, signal}: WaysContext): Promise<ReadonlyMap<string, string>> {
  const options = signal === undefined ? {} : {signal};
  const {stdout} = await ports.commands.run(['postconf', '-d', ...Object.keys(BUILT_IN).sort()], options);
  return parsePostconf(stdout);
}

async function readTexts(
  {ports}: WaysContext,
  directory: AbsolutePath,
): Promise<Pick<PostfixConfiguration, 'mainCf' | 'masterCf'>> {
  const [mainCf, masterCf] = await Promise.all(
    ['main.cf', 'master.cf'].map(name => tryReadText(ports.files, below(directory, name))),
  );
  return {mainCf, masterCf};
}

/** Instances that `postfix start` starts beside this one (MULTI_INSTANCE_README). */
async function readOthers(
  context: WaysContext,
  {main}: ReadConfiguration,
  defaults: ReadonlyMap<string, string>,
): Promise<readonly PostfixConfiguration[]> {
  const directories = words(main.value('multi_instance_directories')).flatMap(text => {
    const path = parseAbsolutePath(text);
    return path.ok ? [path.value] : [];
  });
  const found = await Promise.all(
    directories.map(async directory => {
      const texts = await readTexts(context, directory);
      const base = {directory, ...texts, defaults, groups: [], tables: new Map<string, string>()};
      const {main: other} = readConfiguration({instance: '', ...base});
      const isEnabled = texts.mainCf === undefined || other.value('multi_instance_enable').trim() === 'yes';
      const instance = other.value('multi_instance_name').trim() || directory;
      return isEnabled ? [{instance, ...base}] : [];
    }),
  );
  return found.flat();
}

/** Of the account that smtpd and cleanup run as: what initgroups(3) gives a process that starts now. */
async function groupsOf({ports, signal}: WaysContext, user: string): Promise<readonly string[]> {
  const entry = user === '' ? undefined : await ports.users.user(user);
  if (entry === undefined) return [];
  const options = signal === undefined ? {} : {signal};
  const {status, stdout} = await ports.commands.run(['id', '-Gn', '--', entry.name], options);
  const named = status === 0 ? words(stdout) : [];
  if (named.length > 0) return named;
  const own = await ports.users.groupById(entry.gid);
  return own === undefined ? [] : [own.name];
}

/** Parameters that name tables, by the program that reads them. */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  smtpd: ['smtpd_milter_maps'],
  cleanup: [
    'sender_canonical_maps',
    'canonical_maps',
    'header_checks',
    'mime_header_checks',
    'nested_header_checks',
    'body_checks',
    'milter_header_checks',
  ],
  smtp: ['smtp_header_checks', 'smtp_mime_header_checks', 'smtp_nested_header_checks', 'smtp_body_checks'],
};

async function readTables(
  context: WaysContext,
  read: ReadConfiguration,
): Promise<ReadonlyMap<string, string | undefined>> {
  const named = read.rows.flatMap(row =>
    (TABLES[row.command] ?? []).flatMap(name => tableWords(read.of(row).value(name))),
  );
  // Indexes may be large, and are no place for FILTER.
  const access = read.rows
    .filter(isSmtpd)
    .flatMap(row => accessTables(read.of(row)).map(({word}) => word))
    .filter(word => textPathOf(word) !== undefined);
  const asked = new Map([...named, ...access].map(word => [word.text, word]));
  const origin = parseAbsolutePath(read.main.value('myorigin'));
  const tables = await Promise.all(
    [...asked].map(async ([text, word]) => [text, await readTable(context, word)] as const),
  );
  return new Map([
    ...tables,
    ...(origin.ok
      ? [[read.main.value('myorigin'), await tryReadText(context.ports.files, origin.value)] as const]
      : []),
  ]);
}

/** Rows of a text that Postfix reads itself; of an index as postmap(1) lists it, which may be older than the text beside it. */
async function readTable({ports, signal}: WaysContext, word: TableWord): Promise<string | undefined> {
  const path = textPathOf(word);
  if (path !== undefined) return await tryReadText(ports.files, path);
  const index = indexedPathOf(word);
  if (index === undefined) return undefined;
  const options = signal === undefined ? {} : {signal};
  const {status, stdout} = await ports.commands.run(['postmap', '-s', `${word.type}:${index}`], options);
  return status === 0 && stdout.length < CUT_AT ? stdout : undefined;
}

/** Output of a command is cut there: then rows are missing. */
const CUT_AT = 4 * 1024 * 1024;
