/**
 * Whether dkimpy-milter signs one message (daemons/dkimpy.md#decisions): connect(), get_identities_sign() and eom() of
 * dkimpy_milter/__init__.py, 1.2.3. Its lists of internal hosts and macros decide only what it verifies.
 */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {Decision, Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {KeyState} from '../key-look.ts';
import type {SignedBy, SigningAnswer, SigningQuestion, SigningRow} from '../signer.ts';
import {isTrue, listOf, type Row, type Setting, type Unread} from './config.ts';

export const PROGRAM = 'dkimpy-milter';

export type TableName = 'SigningTable' | 'KeyTable' | 'KeyTableEd25519';

export interface Model {
  readonly settings: ReadonlyMap<string, Setting>;
  /** Absent where not set. */
  readonly tables: ReadonlyMap<TableName, readonly Row[] | Unread>;
  readonly keyState: (path: AbsolutePath) => KeyState;
}

type Algorithm = 'rsa' | 'ed25519';

/** A signature that a row asks for. */
interface Wish {
  readonly algorithm: Algorithm;
  readonly row: SigningRow;
}

/** Thrown where the answer is known: nothing after it is asked. */
class Ended extends Error {
  readonly outcome: 'unsigned' | 'unknown';
  readonly decision: Decision;
  constructor(outcome: 'unsigned' | 'unknown', decision: Decision) {
    super(outcome);
    this.outcome = outcome;
    this.decision = decision;
  }
}

const BY_DEFAULT: Source = {by: 'default', program: PROGRAM};

const decided = ({name, value, source}: Setting, says: string): Decision => ({
  ...{name, value: visible(value), source},
  says: visible(says),
});

const unset = (name: string): Setting => ({name, value: '', source: BY_DEFAULT});

const WHOEVER = 'Its mail is signed whoever sends it: only MacroListVerify leaves clients out.';

/** Pure; the work grows with the rows of the tables. */
export function wouldSign(model: Model, question: SigningQuestion): SigningAnswer {
  try {
    const verified = verifiesOnly(model, question);
    if (verified !== undefined) return {outcome: 'unsigned', by: [], decisions: [verified]};
    const {wishes, domain, decision} = wished(model, question.from);
    const by = wishes.map(wish => made(model, wish, domain));
    return {outcome: 'signed', by, decisions: [decision]};
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    return {outcome: error.outcome, by: [], decisions: [error.decision]};
  }
}

/** Mode v, or a client that MacroListVerify names: nothing else keeps mail from being signed. */
function verifiesOnly({settings}: Model, {macros}: SigningQuestion): Decision | undefined {
  const mode = settings.get('Mode');
  if (mode?.value === 'v') return decided(mode, `${PROGRAM} only verifies here, so it signs nothing.`);
  const setting = settings.get('MacroListVerify');
  if (setting === undefined) return undefined;
  const list = listOf(setting);
  if ('why' in list) throw new Ended('unknown', decided(setting, `MacroListVerify ${list.why}.`));
  for (const entry of list) {
    const [name = '', ...values] = entry.split('|');
    const value = macros.get(`{${name}}`);
    if (value === undefined || !(values.length === 0 ? value !== '' : values.includes(value))) continue;
    // It is asked as the client connects: what the MTA sends later is not there yet.
    if (!AT_CONNECT.has(name))
      throw new Ended(
        'unknown',
        decided(setting, `waxseal can't tell whether the macro ${name} is there when a client connects.`),
      );
    return decided(setting, `The client has ${name} ${value}, so ${PROGRAM} only verifies its mail.`);
  }
  return undefined;
}

const AT_CONNECT: ReadonlySet<string> = new Set(['daemon_name', 'daemon_addr']);

interface Wished {
  readonly wishes: readonly Wish[];
  /** d= of every signature. */
  readonly domain: string;
  readonly decision: Decision;
}

function wished(model: Model, from: string): Wished {
  const at = from.lastIndexOf('@');
  const domain = from.slice(at + 1).toLowerCase();
  if (at < 1 || domain === '') {
    throw new Ended('unsigned', decided(unset('From'), `"${from}" is no address, so it isn't signed.`));
  }
  const signing = model.settings.get('SigningTable');
  return signing === undefined ? byDomain(model, domain) : byTable(model, signing, from, domain);
}

function byDomain({settings}: Model, from: string): Wished {
  const setting = settings.get('Domain') ?? unset('Domain');
  const list = setting.value === '' ? [] : listOf(setting);
  if ('why' in list) throw new Ended('unknown', decided(setting, `Domain ${list.why}.`));
  const above = isTrue(settings.get('SubDomains')) ? list.find(each => from.endsWith(`.${each}`)) : undefined;
  const domain = above ?? from;
  if (!list.includes(domain)) {
    throw new Ended('unsigned', decided(setting, `${from} isn't in Domain, so its mail isn't signed.`));
  }
  const wishes = keysOfDomain(settings, domain);
  const decision = decided(setting, `${from} is in Domain. ${WHOEVER}`);
  if (wishes.length > 0) return {wishes, domain, decision};
  throw new Ended('unsigned', decided(unset('KeyFile'), 'No key is set, so nothing is signed.'));
}

const SINGLE: readonly (readonly [Algorithm, string, string, string])[] = [
  ['rsa', 'KeyFile', 'Selector', 'KeyTable'],
  ['ed25519', 'KeyFileEd25519', 'SelectorEd25519', 'KeyTableEd25519'],
];

/** A key table takes the place of the single key, also where no signing table names a row of it. */
function keysOfDomain(settings: Model['settings'], domain: string): readonly Wish[] {
  return SINGLE.flatMap(([algorithm, file, label, table]): readonly Wish[] => {
    const [key, selector] = [settings.get(file), settings.get(label)];
    if (key === undefined || settings.has(table)) return [];
    if (selector === undefined)
      throw new Ended('unknown', decided(key, `${label} isn't set: what ${PROGRAM} does then isn't known.`));
    const row = {pattern: visible(domain), domain, selector: selector.value, keyPath: pathOf(key.value)};
    return [{algorithm, row: {...row, source: key.source}}];
  });
}

const pathOf = (text: string): AbsolutePath | undefined => {
  const path = parseAbsolutePath(text);
  return path.ok ? path.value : undefined;
};

function byTable(model: Model, setting: Setting, from: string, fromDomain: string): Wished {
  const odd = ['KeyFile', 'KeyFileEd25519', 'Domain', 'SubDomains']
    .flatMap(name => model.settings.get(name) ?? [])
    .at(0);
  if (odd !== undefined)
    throw new Ended(
      'unknown',
      decided(odd, `waxseal can't tell what ${PROGRAM} does with ${odd.name} beside SigningTable.`),
    );
  const signing = opened(model, 'SigningTable', setting);
  const row = signing.find(({key}) => matches(key, from));
  if (row === undefined) {
    throw new Ended('unsigned', decided(setting, `No row of SigningTable is for ${from}.`));
  }
  const wishes = wishesOf(model, row);
  // The last table has the last word about d=, for both.
  const named = wishes.at(-1)?.row.domain;
  const says = `This row is for ${from}. ${WHOEVER}`;
  const decision = decided({name: row.key, value: row.values.join(':'), source: row.source}, says);
  if (wishes.length > 0) return {wishes, domain: named ?? fromDomain, decision};
  throw new Ended('unsigned', decided(unset('KeyTable'), 'No key table is set, so nothing is signed.'));
}

function opened({tables}: Model, name: TableName, setting: Setting): readonly Row[] {
  const table = tables.get(name) ?? {why: "isn't read"};
  if ('why' in table) throw new Ended('unknown', decided(setting, `${name} ${table.why}.`));
  return table;
}

/** `%` is for everybody; of a row with one `*` only what follows it counts, and one that ends with it is for nobody. */
function matches(pattern: string, from: string): boolean {
  const [before, after, more] = pattern.split('*');
  if (pattern === '%') return true;
  if (after === undefined) return before === from;
  return more === undefined && after !== '' && from.endsWith(after);
}

const TABLES: readonly (readonly [Algorithm, TableName])[] = [
  ['rsa', 'KeyTable'],
  ['ed25519', 'KeyTableEd25519'],
];

function wishesOf(model: Model, {key: pattern, values, source}: Row): readonly Wish[] {
  const row = {name: pattern, value: values.join(':'), source};
  const [name = '', ...more] = values;
  if (more.length > 0) {
    throw new Ended('unknown', decided(row, "waxseal doesn't read rows that name an identity (i=)."));
  }
  return TABLES.flatMap(([algorithm, table]): readonly Wish[] => {
    const setting = model.settings.get(table);
    if (setting === undefined) return [];
    const found = opened(model, table, setting).find(({key}) => key === name);
    if (found === undefined)
      throw new Ended('unknown', decided(row, `${table} has no row ${name}: it isn't known what happens.`));
    const [domain = '', selector = '', path = '', ...rest] = found.values;
    if (rest.length > 0 || pathOf(path) === undefined) {
      const at = {name, value: found.values.slice(0, 2).join(':'), source: found.source};
      throw new Ended(
        'unknown',
        decided(at, `${PROGRAM} takes domain:selector:path in ${table}, the path from the root.`),
      );
    }
    const signed = domain === '%' ? undefined : domain.toLowerCase();
    const of = {pattern: visible(pattern), domain: signed, selector, keyPath: pathOf(path), source};
    return [{algorithm, row: of}];
  });
}

/** RSA is made first: where that fails, no signature is added at all. */
function made({keyState}: Model, {algorithm, row}: Wish, domain: string): SignedBy {
  const {keyPath, source, selector} = row;
  const at = {name: row.pattern, value: keyPath ?? '', source};
  if (keyPath === undefined) throw new Ended('unknown', decided(at, 'The path of the key is not absolute.'));
  const state = keyState(keyPath);
  if (state.access !== 'ok') {
    const says =
      state.access === 'failed'
        ? `The key ${keyPath} ${state.why}: ${PROGRAM} doesn't start without it.`
        : `The key ${keyPath}: ${state.why}.`;
    throw new Ended('unknown', decided(at, says));
  }
  const holds = state.material?.algorithm;
  if (holds !== algorithm) {
    const isNoPem = algorithm === 'rsa' && holds !== 'other';
    throw new Ended(
      isNoPem ? 'unsigned' : 'unknown',
      decided(
        at,
        `${keyPath} holds no key of ${algorithm === 'rsa' ? 'RSA as PEM' : 'Ed25519 as its seed'}.`,
      ),
    );
  }
  return {domain, selector: selector.toLowerCase(), keyPath, row};
}

/** Every row that makes it sign, as far as the tables can be read. */
export function rowsOf(model: Model): readonly SigningRow[] {
  const {settings, tables} = model;
  const attempt = (find: () => readonly Wish[]): readonly SigningRow[] => {
    try {
      return find().map(({row}) => row);
    } catch (error) {
      if (!(error instanceof Ended)) throw error;
      return [];
    }
  };
  const signing = settings.has('SigningTable') ? (tables.get('SigningTable') ?? []) : undefined;
  if (signing !== undefined) {
    return 'why' in signing ? [] : signing.flatMap(row => attempt(() => wishesOf(model, row)));
  }
  const domain = settings.get('Domain');
  const list = domain === undefined ? [] : listOf(domain);
  return 'why' in list ? [] : list.flatMap(each => attempt(() => keysOfDomain(settings, each)));
}
