/** Strict parser of the state file: unknown shapes are refused with the path of the field, never guessed. */
import {parsePublish} from '../dns/publish/index.ts';
import {command} from '../domain/command.ts';
import {
  type DnsName,
  isWithin,
  parseDnsName,
  parseDomain,
  parseSelector,
  relativeTo,
} from '../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {STATE_FILE} from '../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {
  type Evidence,
  type ForeignKey,
  KEY_STATES,
  type KeyEntry,
  type KeyState,
  type PublishedRecord,
  type Publisher,
  type RotationState,
  SCHEMA_VERSION,
  type ServerWord,
  type Told,
  type Transition,
  type Withdrawal,
} from './entry.ts';
import {entryName} from './lifecycle.ts';
import type {TimeTrace} from './time.ts';

/** Thrown and caught in this file only: it carries where the text is wrong out of the nested readers. */
class Mismatch extends Error {}

/**
 * Reads the state file. It is refused whole where anything in it is not as it was written: a key must not
 * be guessed.
 */
export function parseState(text: string): Result<RotationState> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return damaged('it is not JSON');
  }
  try {
    const top = new Item(value, '');
    const version = top.number('schemaVersion');
    if (version > SCHEMA_VERSION) {
      return fail(
        problem(
          'state.newer',
          `${STATE_FILE} was written by a newer waxseal (schema ${version}).`,
          'Install that version again; this one leaves the file alone.',
        ),
      );
    }
    if (version !== SCHEMA_VERSION) throw new Mismatch('schemaVersion is not known');
    const keys = top.list('keys', entry);
    unlikeEachOther(keys.map(entryName));
    return ok({
      keys,
      ...top.maybe('time', name => timeTrace(top.item(name))),
      ...top.maybe('elsewhere', name => top.list(name, foreignKey)),
      ...top.maybe('publishers', name => top.list(name, publisher)),
      // What was told as a whole, by versions before this one, is told once more.
      ...(top.isList('told') ? {told: top.list('told', told)} : {}),
    });
  } catch (error) {
    if (error instanceof Mismatch) return damaged(error.message);
    throw error;
  }
}

function unlikeEachOther(names: readonly DnsName[]): void {
  const seen = new Set<string>();
  const twice = names.find(name => seen.size === seen.add(name).size);
  if (twice !== undefined) throw new Mismatch(`${twice} is there twice`);
}

/**
 * Why a state could not be read back once it is written; undefined where it can. Key by key, so that ten thousand are not
 * in memory once more.
 * @param rest the file as it would be without its keys
 */
export function whyUnreadable({keys}: Pick<RotationState, 'keys'>, rest: string): Problem | undefined {
  const read = parseState(rest);
  if (!read.ok) return read.problem;
  try {
    unlikeEachOther(
      keys.map((key, index) => entryName(entry(new Item(JSON.parse(JSON.stringify(key)), `keys[${index}]`)))),
    );
    return undefined;
  } catch (error) {
    if (error instanceof Mismatch) return damaged(error.message).problem;
    throw error;
  }
}

const damaged = (why: string): Extract<Result<never>, {ok: false}> =>
  fail(
    problem(
      'state.damaged',
      `${STATE_FILE} is damaged: ${visible(why)}.`,
      `Put back a copy of it. Without one, waxseal finds the keys that sign again, but not how far rotations are: ${command('mv', STATE_FILE, `${STATE_FILE}.damaged`)}`,
    ),
  );

/** An object of the file and where it stands; each reader throws a Mismatch where a field is not as it is to be. */
class Item {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #at: string;

  constructor(value: unknown, at: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new Mismatch(`${at === '' ? 'the file' : at} is not an object`);
    }
    this.#fields = Object.fromEntries(Object.entries(value));
    this.#at = at;
  }

  where(name: string): string {
    return this.#at === '' ? name : `${this.#at}.${name}`;
  }

  #field<T>(name: string, what: string, isRight: (value: unknown) => value is T): T {
    const value = this.#fields[name];
    if (!isRight(value)) throw new Mismatch(`${this.where(name)} is not ${what}`);
    return value;
  }

  readonly text = (name: string): string => this.#field(name, 'a text', value => typeof value === 'string');
  readonly texts = (name: string): readonly string[] => this.#field(name, 'a list of texts', areTexts);
  readonly number = (name: string): number => this.#field(name, 'a number', isCount);
  readonly integer = (name: string): number => this.#field(name, 'a number', isInteger);
  readonly time = (name: string): string => this.#field(name, 'a time', isTime);
  readonly path = (name: string): AbsolutePath => this.parsed(name, parseAbsolutePath);
  readonly state = (name: string): KeyState => this.oneOf(name, KEY_STATES);
  readonly item = (name: string): Item => new Item(this.#fields[name], this.where(name));
  readonly isTrue = (name: string): boolean => this.#fields[name] === true;
  readonly isList = (name: string): boolean => Array.isArray(this.#fields[name]);

  list<T>(name: string, read: (item: Item) => T): readonly T[] {
    return this.#field(name, 'a list', value => Array.isArray(value)).map((value, index) =>
      read(new Item(value, `${this.where(name)}[${index}]`)),
    );
  }

  parsed<T>(name: string, parse: (text: string) => Result<T>): T {
    const result = parse(this.text(name));
    if (!result.ok) throw new Mismatch(`${this.where(name)}: ${result.problem.message}`);
    return result.value;
  }

  oneOf<T extends string>(name: string, words: readonly T[]): T {
    const text = this.text(name);
    const word = words.find(candidate => candidate === text);
    if (word === undefined) throw new Mismatch(`${this.where(name)} is ${JSON.stringify(text)}`);
    return word;
  }

  /** The field under its name, where it is there: keeps "absent" apart from a value. */
  maybe<K extends string, T>(name: K, read: (name: K) => T): {readonly [key in K]?: T} {
    const found: {[key in K]?: T} = {};
    if (this.#fields[name] !== undefined) found[name] = read(name);
    return found;
  }
}

const areTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(item => typeof item === 'string');
const isInteger = (value: unknown): value is number => Number.isSafeInteger(value);
const isCount = (value: unknown): value is number => isInteger(value) && value >= 0;
const isTime = (value: unknown): value is string =>
  typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(value) && !Number.isNaN(Date.parse(value));

const publisher = (item: Item): Publisher => ({
  domain: item.parsed('domain', parseDomain),
  publish: item.parsed('publish', parsePublish),
});

function entry(item: Item): KeyEntry {
  const log = item.list('log', transition);
  const state = item.state('state');
  if (log.at(-1)?.to !== state) throw new Mismatch(`${item.where('state')} is not where its log ends`);
  return {
    ...nameOf(item),
    bits: item.number('bits'),
    state,
    record: published(item.item('record')),
    ...item.maybe('stagedPath', item.path),
    ...item.maybe('keyPath', item.path),
    ...item.maybe('cacheSeconds', item.number),
    createdAt: item.time('createdAt'),
    ...item.maybe('publishedAt', item.time),
    ...item.maybe('activatedAt', item.time),
    ...item.maybe('provenAt', item.time),
    ...item.maybe('ttlSeconds', item.number),
    ...(item.isTrue('standby') ? {standby: true} : {}),
    ...item.maybe('leakedAt', item.time),
    ...item.maybe('clearSince', item.time),
    ...item.maybe('usedAt', item.time),
    ...item.maybe('withdrawal', name => withdrawal(item.item(name))),
    log,
  };
}

const nameOf = (item: Item): Pick<KeyEntry, 'domain' | 'selector' | 'algorithm'> => ({
  domain: item.parsed('domain', parseDomain),
  selector: item.parsed('selector', parseSelector),
  algorithm: item.oneOf('algorithm', ['rsa', 'ed25519']),
});

const published = (item: Item): PublishedRecord => ({
  name: item.parsed('name', parseDnsName),
  zone: item.parsed('zone', parseDnsName),
  relativeName: item.text('relativeName'),
  value: item.text('value'),
});

const withdrawal = (item: Item): Withdrawal => ({
  at: item.time('at'),
  because: item.oneOf('because', ['not-needed', 'leaked']),
  ...item.maybe('oldestQueuedAt', item.time),
});

const timeTrace = (item: Item): TimeTrace => ({
  at: item.time('at'),
  ...item.maybe('boot', item.text),
  ...item.maybe('uptimeMs', item.number),
  jumps: item.list('jumps', jump => ({at: jump.time('at'), ms: jump.integer('ms')})),
});

const told = (item: Item): Told => ({
  about: item.text('about'),
  digest: item.text('digest'),
  at: item.time('at'),
});

/** The keys of an export; problem `import.damaged` where it cannot be used. */
export function parseForeignKeys(items: readonly unknown[]): Result<readonly ForeignKey[]> {
  try {
    const keys = items.map((item, index) => foreignKey(new Item(item, `keys[${index}]`)));
    unlikeEachOther(keys.map(({record}) => record.name));
    return ok(keys);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    return fail(
      problem(
        'import.damaged',
        `This is no export of waxseal: ${visible(error.message)}.`,
        'Make a new one: waxseal export',
      ),
    );
  }
}

/**
 * A key of another host, as the state file and an export have it. Its record is at the name of the key and nowhere else:
 * a program may be asked to enter it there.
 */
function foreignKey(item: Item): ForeignKey {
  const name = nameOf(item);
  const record = published(item.item('record'));
  const mustBe = (field: 'name' | 'zone' | 'relativeName', isRight: boolean): void => {
    if (!isRight) throw new Mismatch(`${item.where('record')}.${field} is ${record[field]}`);
  };
  mustBe('name', record.name === entryName(name));
  mustBe('zone', isWithin(record.name, record.zone));
  mustBe('relativeName', record.relativeName === relativeTo(record.name, record.zone));
  return {host: item.text('host'), ...name, state: item.state('state'), record};
}

const transition = (item: Item): Transition => ({
  at: item.time('at'),
  from: item.oneOf('from', [...KEY_STATES, 'none']),
  to: item.state('to'),
  evidence: evidence(item.item('evidence')),
});

function evidence(item: Item): Evidence {
  const kind = item.text('kind');
  switch (kind) {
    case 'self-test':
      return {kind, fingerprint: item.text('fingerprint')};
    case 'adopted':
      return {kind, from: item.text('from')};
    case 'record-shown':
      return {kind};
    case 'servers-agree':
    case 'record-lost':
      return {kind, servers: item.list('servers', server)};
    case 'resolver-agrees':
      return {kind, because: item.text('because')};
    case 'signing-proven':
      return {kind, run: item.text('run'), checks: item.texts('checks')};
    case 'superseded':
      return {kind, by: item.parsed('by', parseSelector)};
    case 'signing-stopped':
    case 'undone':
      return {kind, run: item.text('run')};
    case 'revocation-seen':
      return {kind, servers: item.list('servers', server), ...item.maybe('oldestQueuedAt', item.time)};
    case 'record-gone':
      return {
        kind,
        servers: item.list('servers', server),
        key: item.oneOf('key', ['shredded', 'published', 'kept', 'missing']),
      };
    case 'abandoned':
      return {kind, why: item.text('why')};
    default:
      throw new Mismatch(`${item.where('kind')} is ${JSON.stringify(kind)}`);
  }
}

const server = (item: Item): ServerWord => ({
  address: item.text('address'),
  ...item.maybe('serial', item.number),
});
