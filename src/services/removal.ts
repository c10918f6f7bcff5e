/** Stops signing for domains: rows leave the tables, keys stay where they are. */
import type {DomainName} from '../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {DomainSelector, HostFacts} from './facts.ts';
import {type KnownHost, textOf, textStep} from './files.ts';
import type {Setting} from './opendkim/edit.ts';
import {parseDataSet} from './opendkim/parse.ts';
import {currentTables, hasTables, type Table, type Tables} from './opendkim/plan-tables.ts';
import {editConfig, mayReload, SINGLE_KEY, startSteps} from './opendkim/steps.ts';
import {
  domainOfPattern,
  type KeyRow,
  keyRows,
  labelOf,
  parseTable,
  removeLines,
  type TableRow,
} from './opendkim/tables.ts';
import {milterEndpoint} from './signer.ts';
import {noMta, unsupported} from './signing.ts';
import type {ConfigurationSnapshot} from './snapshot.ts';
import type {FileStep, Step} from './step.ts';

export interface RemovalChange {
  /** In order; empty where no table names the domains. */
  readonly steps: readonly Step[];
  readonly remarks: readonly Problem[];
}

/**
 * Plans that mail of `domains` is no longer signed. Takes out the signing rows whose key signs as one of the domains
 * and those that stand for one, then the key rows that nothing refers to any more. Private keys are left in place:
 * mail under way still needs their records.
 */
export function planRemoval(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  domains: readonly DomainName[],
): Result<RemovalChange> {
  const {layout, signer: opendkim, mta: postfix} = facts;
  if (layout === undefined) return fail(unsupported(facts));
  if (postfix === undefined) return fail(noMta(facts));
  if (opendkim === undefined) return ok({steps: [], remarks: []});
  const host: KnownHost = {facts, snapshot, layout, opendkim, postfix};
  const wanted = new Set<string>(domains);
  if (!hasTables(host)) return withoutTables(host, wanted);
  const tables = currentTables(host);
  if (!tables.ok) return tables;
  const next = withoutDomains(tables.value.keys.text, tables.value.signing.text, wanted);
  const files = [
    ...changed(
      host,
      'SigningTable',
      tables.value.signing,
      next.signing,
      'Sign mail of these domains no more',
    ),
    ...changed(host, 'KeyTable', tables.value.keys, next.keys, 'Take their keys out of use'),
  ];
  const inline = inlineSettings(host, tables.value, next);
  const config = inline.length === 0 ? ok({steps: []}) : editInline(host, inline);
  if (!config.ok) return config;
  return ok(
    restarted(host, [...files, ...config.value.steps], tables.value.remarks, config.value.steps.length === 0),
  );
}

/**
 * Plans that the key table forgets keys that are gone: rows that nothing refers to. OpenDKIM takes it over with its next
 * reload; until then such a row does no harm. No steps where the tables are not in files, or no row is left.
 */
export function planForget(
  facts: HostFacts,
  snapshot: ConfigurationSnapshot,
  keys: readonly DomainSelector[],
): Result<readonly FileStep[]> {
  const {layout, signer: opendkim, mta: postfix} = facts;
  if (layout === undefined || opendkim === undefined || postfix === undefined) return ok([]);
  const host: KnownHost = {facts, snapshot, layout, opendkim, postfix};
  if (!hasTables(host)) return ok([]);
  const tables = currentTables(host);
  if (!tables.ok) return tables;
  const gone = new Set(keys.map(({domain, selector}) => `${selector} ${domain}`));
  const {keys: text} = withoutRows(tables.value.keys.text, tables.value.signing.text, {
    isKey: row => gone.has(`${row.selector.toLowerCase()} ${row.domain.toLowerCase()}`),
    isSigning: () => false,
  });
  return ok(changed(host, 'KeyTable', tables.value.keys, text, 'Take keys that are gone out of the table'));
}

function restarted(
  host: KnownHost,
  files: readonly FileStep[],
  remarks: readonly Problem[],
  tablesOnly = false,
): RemovalChange {
  const endpoint = milterEndpoint(host.opendkim);
  // The other domains go on being signed meanwhile.
  const action = tablesOnly && mayReload(host, []) ? 'reload' : 'restart';
  return {steps: files.length === 0 ? [] : [...files, ...startSteps(host, endpoint, action)], remarks};
}

type TableName = 'KeyTable' | 'SigningTable';

const isInline = (host: KnownHost, name: TableName): boolean =>
  parseDataSet(host.opendkim.settings[name.toLowerCase()] ?? '').kind === 'list';

const changed = (
  host: KnownHost,
  name: TableName,
  table: Table,
  text: string,
  why: string,
): readonly FileStep[] => (isInline(host, name) ? [] : textStep(host.snapshot, table.path, text, why));

/** Inline lists stay inline; what is left of each where that is less than before. */
function inlineSettings(
  host: KnownHost,
  tables: Tables,
  next: {readonly keys: string; readonly signing: string},
): readonly Setting[] {
  const list = (name: TableName, before: string, after: string): readonly Setting[] => {
    if (!isInline(host, name) || before === after) return [];
    const prefix = /^csl:/i.exec(host.opendkim.settings[name.toLowerCase()] ?? '')?.[0] ?? '';
    const entries = parseTable(after).map(row => `${row.key}=${row.value}`);
    return [{name, value: entries.length === 0 ? '' : prefix + entries.join(', ')}];
  };
  return [
    ...list('KeyTable', tables.keys.text, next.keys),
    ...list('SigningTable', tables.signing.text, next.signing),
  ];
}

/** A parameter without a value is an error to OpenDKIM, and one table needs the other: empty ones go together. */
function editInline(
  host: KnownHost,
  settings: readonly Setting[],
): Result<{readonly steps: readonly FileStep[]}> {
  const why = 'Sign mail of these domains no more';
  const empty = settings.some(setting => setting.value === '');
  return empty
    ? editConfig(host, [], ['KeyTable', 'SigningTable'], why)
    : editConfig(host, settings, [], why);
}

/** The form with Domain, Selector and KeyFile: names leave Domain; with the last one all three are commented out. */
function withoutTables(host: KnownHost, domains: ReadonlySet<string>): Result<RemovalChange> {
  const {domain, keytable} = host.opendkim.settings;
  const set = domain === undefined || keytable !== undefined ? undefined : parseDataSet(domain);
  if (set === undefined) return ok({steps: [], remarks: []});
  const why = 'Sign mail of these domains no more';
  const isDoomed = (name: string): boolean => domains.has(name.toLowerCase());
  if (set.kind === 'list') {
    const kept = set.entries.filter(name => !isDoomed(name));
    if (kept.length === set.entries.length) return ok({steps: [], remarks: []});
    const prefix = /^csl:/i.exec(domain ?? '')?.[0] ?? '';
    const config =
      kept.length === 0
        ? editConfig(host, [], SINGLE_KEY, why)
        : editConfig(host, [{name: 'Domain', value: prefix + kept.join(', ')}], [], why);
    return config.ok ? ok(restarted(host, config.value.steps, [])) : config;
  }
  if (set.kind === 'unsupported') return fail(oddDomain(host, set.type));
  const text = textOf(host.snapshot, set.path);
  if (!text.ok) return text;
  const rows = parseTable(text.value);
  const doomed = rows.filter(row => isDoomed(row.key));
  if (doomed.length === 0) return ok({steps: [], remarks: []});
  const next = removeLines(text.value, new Set(doomed.map(row => row.line)));
  const files = textStep(host.snapshot, set.path, next, why);
  const config = doomed.length < rows.length ? ok({steps: []}) : editConfig(host, [], SINGLE_KEY, why);
  return config.ok ? ok(restarted(host, [...files, ...config.value.steps], [])) : config;
}

const oddDomain = (host: KnownHost, type: string): Problem =>
  problem(
    'opendkim.single-key',
    `Domain in ${host.opendkim.configFile} is kept in a ${visible(type)} source, which waxseal does not edit.`,
    'Take the domains out there by hand, then: systemctl restart opendkim.',
  );

function withoutDomains(keyText: string, signingText: string, domains: ReadonlySet<string>): Texts {
  const doomed = new Set(
    keyRows(parseTable(keyText))
      .filter(row => domains.has(row.domain.toLowerCase()))
      .map(row => row.label),
  );
  return withoutRows(keyText, signingText, {
    isKey: row => doomed.has(row.label),
    isSigning: row => doomed.has(labelOf(row.value)) || domains.has(domainOfPattern(row.key)),
  });
}

interface Texts {
  readonly keys: string;
  readonly signing: string;
}

/** Takes signing rows out, and those key rows that nothing refers to then. */
function withoutRows(
  keyText: string,
  signingText: string,
  {isKey, isSigning}: {isKey(row: KeyRow): boolean; isSigning(row: TableRow): boolean},
): Texts {
  const signing = parseTable(signingText);
  const used = new Set(signing.filter(row => !isSigning(row)).map(row => labelOf(row.value)));
  const linesOf = (rows: readonly {readonly line: number}[]): ReadonlySet<number> =>
    new Set(rows.map(({line}) => line));
  return {
    signing: removeLines(signingText, linesOf(signing.filter(isSigning))),
    keys: removeLines(
      keyText,
      linesOf(keyRows(parseTable(keyText)).filter(row => isKey(row) && !used.has(row.label))),
    ),
  };
}
