/** Which tables OpenDKIM uses today, and the same in files that can be edited. */
import {type DomainName, parseDomain, parseSelector} from '../../../domain/names.ts';
import {type AbsolutePath, below, parseAbsolutePath} from '../../../domain/paths.ts';
import {fail, ok, type Problem, problem, type Result} from '../../../domain/result.ts';
import {visible, withoutPassword} from '../../../domain/text.ts';
import {entryOf, textOf} from '../../files.ts';
import type {OpenDkimHost} from '../host.ts';
import {isTrue, parseDataSet} from '../parse.ts';
import {keyLabel, keyTableRow, parseTable, type SigningKind} from './rows.ts';
import {fileStore, listText, NO_ROWS, storeOf, type TableStore} from './store.ts';

/** The one key of the `Domain`, `Selector`, `KeyFile` form that moves into the tables. */
export interface MovedKey {
  readonly domains: readonly DomainName[];
  readonly selector: string;
  readonly path: AbsolutePath;
  readonly subdomains: boolean;
}

export interface Tables {
  readonly keys: TableStore;
  readonly signing: TableStore;
  readonly moved: MovedKey | undefined;
  readonly remarks: readonly Problem[];
}

/** True where both tables are set already: somebody's working set-up, kept as it is as far as possible. */
export const hasTables = (host: OpenDkimHost): boolean =>
  host.opendkim.settings['keytable'] !== undefined && host.opendkim.settings['signingtable'] !== undefined;

/**
 * The tables to edit. Where rows are to be added, inline lists and the single-key form are turned into files that sign the
 * same; else each stays where it is.
 */
export function currentTables(host: OpenDkimHost, adds: boolean): Result<Tables> {
  const remarks: Problem[] = [];
  if (host.opendkim.settings['setuppolicyscript'] !== undefined) return fail(policyScript(host));
  const keys = currentTable(host, 'KeyTable', 'file', adds, remarks);
  if (!keys.ok) return keys;
  const signing = currentTable(host, 'SigningTable', 'refile', adds, remarks);
  if (!signing.ok) return signing;
  const moved = host.opendkim.settings['keytable'] === undefined ? singleKey(host) : ok(undefined);
  if (!moved.ok) return moved;
  if (moved.value !== undefined) remarks.push(movedRemark(moved.value));
  return ok({keys: keys.value, signing: signing.value, moved: moved.value, remarks});
}

/**
 * The form with Domain, Selector and KeyFile as tables: the names in Domain are its rows. Without rows none of the three is
 * worth anything. Nothing to edit where the form is not in use, or no row is wanted out.
 */
export function domainTable(host: OpenDkimHost, takes: boolean): Result<Tables> {
  const {domain, keytable} = host.opendkim.settings;
  const none = {keys: NO_ROWS, moved: undefined, remarks: []};
  if (domain === undefined || keytable !== undefined || !takes) return ok({...none, signing: NO_ROWS});
  const set = parseDataSet(domain);
  if (set.kind === 'unsupported') return fail(oddDomain(host, set.type));
  const store = storeOf(host, 'Domain', set);
  if (!store.ok) return store;
  const write: TableStore['write'] = (text, why) => {
    const written = store.value.write(text, why);
    return parseTable(text).length === 0 ? {...written, dropped: ['Domain']} : written;
  };
  return ok({...none, signing: {...store.value, write}});
}

const oddDomain = (host: OpenDkimHost, type: string): Problem =>
  problem(
    'opendkim.single-key',
    `Domain in ${host.opendkim.configFile} is kept in a ${visible(type)} source, which waxseal does not edit.`,
    'Take the domains out there by hand, then: systemctl restart opendkim.',
  );

function currentTable(
  host: OpenDkimHost,
  name: 'KeyTable' | 'SigningTable',
  fallback: SigningKind,
  adds: boolean,
  remarks: Problem[],
): Result<TableStore> {
  const value = host.opendkim.settings[name.toLowerCase()];
  const set = value === undefined ? undefined : parseDataSet(value);
  if (set?.kind === 'unsupported') return fail(foreignTable(name, set.type));
  if (set !== undefined && (set.kind !== 'list' || !adds)) return storeOf(host, name, set);
  const path = freePath(host, name, remarks);
  // An inline list is looked up like file:, not like refile: (daemons/opendkim.md#tables).
  const kind = set === undefined ? fallback : 'file';
  const text = (set?.entries ?? []).length === 0 ? ownText(host, path) : listText(set?.entries ?? []);
  return ok(fileStore(host, {path, kind, text}, {name, value: `${kind}:${path}`}));
}

/** Comments that stand in an unused file without rows are kept. */
const ownText = (host: OpenDkimHost, path: AbsolutePath): string => {
  const text = entryOf(host.snapshot, path).text ?? '';
  return parseTable(text).length === 0 ? text : '';
};

/**
 * The customary file, or one beside it where the customary one has rows although nothing refers to it: adopting those
 * could make mail fail, overwriting them would lose somebody's work.
 */
export function freePath(host: OpenDkimHost, name: string, remarks: Problem[]): AbsolutePath {
  const usual = below(host.layout.opendkim.tableDirectory, name);
  const entry = entryOf(host.snapshot, usual);
  if (entry.stat === undefined || (entry.text !== undefined && parseTable(entry.text).length === 0))
    return usual;
  const other = below(host.layout.opendkim.tableDirectory, `${name}.waxseal`);
  remarks.push(
    problem(
      'opendkim.unused-table',
      `${usual} has rows, but ${host.opendkim.configFile} does not use it; it stays as it is and ${other} is used.`,
      'Copy the rows that you need, and remove the file.',
    ),
  );
  return other;
}

function singleKey(host: OpenDkimHost): Result<MovedKey | undefined> {
  const {domain, selector, keyfile, subdomains} = host.opendkim.settings;
  if (domain === undefined || selector === undefined || keyfile === undefined) return ok(undefined);
  const set = parseDataSet(domain);
  const text = set.kind === 'file' ? textOf(host.snapshot, set.path) : ok('');
  if (!text.ok) return text;
  const names = set.kind === 'list' ? set.entries : parseTable(text.value).map(row => row.key);
  const path = parseAbsolutePath(keyfile);
  const domains = names.map(name => parseDomain(name));
  const bad = domains.find(parsed => !parsed.ok);
  if (
    set.kind === 'unsupported' ||
    set.kind === 'refile' ||
    bad !== undefined ||
    !path.ok ||
    domains.length === 0 ||
    !parseSelector(selector).ok
  ) {
    return fail(
      problem(
        'opendkim.single-key-odd',
        `The form Domain ${visible(withoutPassword(domain))}, Selector ${visible(selector)}, KeyFile ${visible(keyfile)} cannot be turned into tables that sign the same.`,
        'Write a KeyTable and a SigningTable for it by hand, then run again.',
      ),
    );
  }
  return ok({
    domains: domains.flatMap(parsed => (parsed.ok ? [parsed.value] : [])),
    selector,
    path: path.value,
    subdomains: isTrue(subdomains),
  });
}

/** The rows that sign as the single-key form did. */
export function movedRows(
  moved: MovedKey,
  keyPath: string,
): {readonly keys: readonly string[]; readonly signing: readonly string[]} {
  const label = (domain: DomainName): string =>
    keyLabel(domain, moved.selector as Parameters<typeof keyLabel>[1]);
  return {
    keys: moved.domains.map(domain => keyTableRow(label(domain), domain, moved.selector, keyPath)),
    signing: moved.domains.flatMap(domain => [
      `*@${domain} ${label(domain)}`,
      ...(moved.subdomains ? [`*@*.${domain} ${label(domain)}`] : []),
    ]),
  };
}

const movedRemark = (moved: MovedKey): Problem =>
  problem(
    'opendkim.single-key-moved',
    `${moved.domains.join(', ')} with selector ${visible(moved.selector)} moves from Domain, Selector and KeyFile into the tables and goes on signing.`,
    'OpenDKIM ignores those three as soon as there is a KeyTable.',
  );

/** Lua decides which keys sign; a row in a table would have no effect. */
export const policyScript = (host: {readonly opendkim: {readonly configFile: AbsolutePath}}): Problem =>
  problem(
    'opendkim.policy-script',
    `A Lua script (SetupPolicyScript in ${host.opendkim.configFile}) decides what is signed; waxseal does not edit it.`,
    'Add the domain there by hand, or replace the script by a SigningTable.',
  );

const foreignTable = (name: string, type: string): Problem =>
  problem(
    'opendkim.tables',
    `${name} of OpenDKIM is kept in a ${visible(type)} source, which waxseal does not edit.`,
    'Add the row there by hand, or use tables in files: KeyTable file:/etc/opendkim/KeyTable.',
  );
