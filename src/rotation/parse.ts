/** Strict parser of the state file: unknown shapes are refused with the path of the field, never guessed. */
import {parsePublish} from '../dns/publish/index.ts';
import {command} from '../domain/command.ts';
import {
  isWithin,
  keyRecordName,
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
    const top = object(value, 'the file');
    const version = number(top, 'schemaVersion', '');
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
    const keys = list(top, 'keys', '').map((item, index) => entry(item, `keys[${index}]`));
    const names = keys.map(key => `${key.selector}._domainkey.${key.domain}`);
    const seen = new Set<string>();
    const twice = names.find(name => seen.size === seen.add(name).size);
    if (twice !== undefined) throw new Mismatch(`${twice} is there twice`);
    return ok({
      keys,
      ...optional(top, 'time', () => timeTrace(object(top['time'], 'time'))),
      ...optional(top, 'elsewhere', () =>
        list(top, 'elsewhere', '').map((item, index) => foreignKey(item, `elsewhere[${index}]`)),
      ),
      ...optional(top, 'publishers', () =>
        list(top, 'publishers', '').map((item, index) => publisher(item, `publishers[${index}]`)),
      ),
      // What was told as a whole, by versions before this one, is told once more.
      ...(Array.isArray(top['told'])
        ? {told: list(top, 'told', '').map((item, index) => told(item, `told[${index}]`))}
        : {}),
    });
  } catch (error) {
    if (error instanceof Mismatch) return damaged(error.message);
    throw error;
  }
}

/**
 * Why a state could not be read back once it is written; undefined where it can. Key by key, so that ten thousand are not
 * in memory once more.
 * @param rest the file as it would be without its keys
 */
export function whyUnreadable({keys}: Pick<RotationState, 'keys'>, rest: string): Problem | undefined {
  const read = parseState(rest);
  if (!read.ok) return read.problem;
  const seen = new Set<string>();
  try {
    for (const [index, key] of keys.entries()) {
      const {selector, domain} = entry(JSON.parse(JSON.stringify(key)), `keys[${index}]`);
      const name = keyRecordName(selector, domain);
      if (seen.size === seen.add(name).size) throw new Mismatch(`${name} is there twice`);
    }
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

type Fields = Readonly<Record<string, unknown>>;

function object(value: unknown, at: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Mismatch(`${at} is not an object`);
  }
  return Object.fromEntries(Object.entries(value));
}

function string(fields: Fields, name: string, at: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new Mismatch(`${at}.${name} is not a text`);
  return value;
}

function number(fields: Fields, name: string, at: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new Mismatch(`${at}.${name} is not a number`);
  }
  return value;
}

function list(fields: Fields, name: string, at: string): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new Mismatch(`${at}.${name} is not a list`);
  return value;
}

function strings(fields: Fields, name: string, at: string): readonly string[] {
  return list(fields, name, at).map((item, index) => {
    if (typeof item !== 'string') throw new Mismatch(`${at}.${name}[${index}] is not a text`);
    return item;
  });
}

function branded<T>(result: Result<T>, at: string): T {
  if (!result.ok) throw new Mismatch(`${at}: ${result.problem.message}`);
  return result.value;
}

function time(fields: Fields, name: string, at: string): string {
  const text = string(fields, name, at);
  if (!/^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/.test(text) || Number.isNaN(Date.parse(text))) {
    throw new Mismatch(`${at}.${name} is not a time`);
  }
  return text;
}

function oneOf<T extends string>(words: readonly T[], text: string, at: string): T {
  const word = words.find(candidate => candidate === text);
  if (word === undefined) throw new Mismatch(`${at} is ${JSON.stringify(text)}`);
  return word;
}

/** The field under its name, where it is there: keeps "absent" apart from a value. */
const optional = <K extends string, T>(fields: Fields, name: K, read: () => T): {readonly [key in K]?: T} => {
  if (fields[name] === undefined) return {};
  const found: {[key in K]?: T} = {};
  found[name] = read();
  return found;
};

function publisher(value: unknown, at: string): Publisher {
  const fields = object(value, at);
  return {
    domain: branded(parseDomain(string(fields, 'domain', at)), `${at}.domain`),
    publish: branded(parsePublish(string(fields, 'publish', at)), `${at}.publish`),
  };
}

function entry(value: unknown, at: string): KeyEntry {
  const fields = object(value, at);
  const path = (name: string): AbsolutePath =>
    branded(parseAbsolutePath(string(fields, name, at)), `${at}.${name}`);
  const log = list(fields, 'log', at).map((item, index) => transition(item, `${at}.log[${index}]`));
  const state = keyState(string(fields, 'state', at), `${at}.state`);
  if (log.at(-1)?.to !== state) throw new Mismatch(`${at}.state is not where its log ends`);
  return {
    domain: branded(parseDomain(string(fields, 'domain', at)), `${at}.domain`),
    selector: branded(parseSelector(string(fields, 'selector', at)), `${at}.selector`),
    algorithm: oneOf(['rsa', 'ed25519'], string(fields, 'algorithm', at), `${at}.algorithm`),
    bits: number(fields, 'bits', at),
    state,
    record: published(fields, at),
    ...optional(fields, 'stagedPath', () => path('stagedPath')),
    ...optional(fields, 'keyPath', () => path('keyPath')),
    ...optional(fields, 'cacheSeconds', () => number(fields, 'cacheSeconds', at)),
    createdAt: time(fields, 'createdAt', at),
    ...optional(fields, 'publishedAt', () => time(fields, 'publishedAt', at)),
    ...optional(fields, 'activatedAt', () => time(fields, 'activatedAt', at)),
    ...optional(fields, 'ttlSeconds', () => number(fields, 'ttlSeconds', at)),
    ...(fields['standby'] === true ? {standby: true} : {}),
    ...optional(fields, 'leakedAt', () => time(fields, 'leakedAt', at)),
    ...optional(fields, 'clearSince', () => time(fields, 'clearSince', at)),
    ...optional(fields, 'usedAt', () => time(fields, 'usedAt', at)),
    ...optional(fields, 'withdrawal', () =>
      withdrawal(object(fields['withdrawal'], `${at}.withdrawal`), `${at}.withdrawal`),
    ),
    log,
  };
}

function published(fields: Fields, at: string): PublishedRecord {
  const record = object(fields['record'], `${at}.record`);
  return {
    name: branded(parseDnsName(string(record, 'name', at)), `${at}.record.name`),
    zone: branded(parseDnsName(string(record, 'zone', at)), `${at}.record.zone`),
    relativeName: string(record, 'relativeName', `${at}.record`),
    value: string(record, 'value', `${at}.record`),
  };
}

const withdrawal = (fields: Fields, at: string): Withdrawal => ({
  at: time(fields, 'at', at),
  because: oneOf(['not-needed', 'leaked'], string(fields, 'because', at), `${at}.because`),
  ...optional(fields, 'oldestQueuedAt', () => time(fields, 'oldestQueuedAt', at)),
});

const timeTrace = (fields: Fields): TimeTrace => ({
  at: time(fields, 'at', 'time'),
  ...optional(fields, 'boot', () => string(fields, 'boot', 'time')),
  ...optional(fields, 'uptimeMs', () => number(fields, 'uptimeMs', 'time')),
  jumps: list(fields, 'jumps', 'time').map((item, index) => {
    const jump = object(item, `time.jumps[${index}]`);
    const {ms} = jump;
    if (typeof ms !== 'number' || !Number.isSafeInteger(ms)) throw new Mismatch('time.jumps is no number');
    return {at: time(jump, 'at', 'time.jumps'), ms};
  }),
});

function told(value: unknown, at: string): Told {
  const fields = object(value, at);
  return {
    about: string(fields, 'about', at),
    digest: string(fields, 'digest', at),
    at: time(fields, 'at', at),
  };
}

/** The keys of an export; problem `import.damaged` where it cannot be used. */
export function parseForeignKeys(items: readonly unknown[]): Result<readonly ForeignKey[]> {
  try {
    const keys = items.map((item, index) => foreignKey(item, `keys[${index}]`));
    const names = keys.map(({record}) => record.name);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    if (twice !== undefined) throw new Mismatch(`${twice} is there twice`);
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
export function foreignKey(value: unknown, at: string): ForeignKey {
  const fields = object(value, at);
  const domain = branded(parseDomain(string(fields, 'domain', at)), `${at}.domain`);
  const selector = branded(parseSelector(string(fields, 'selector', at)), `${at}.selector`);
  const record = published(fields, at);
  const {name, zone, relativeName} = record;
  if (name !== keyRecordName(selector, domain)) throw new Mismatch(`${at}.record.name is ${name}`);
  if (!isWithin(name, zone)) throw new Mismatch(`${at}.record.zone is ${zone}`);
  if (relativeName !== relativeTo(name, zone)) {
    throw new Mismatch(`${at}.record.relativeName is ${relativeName}`);
  }
  return {
    host: string(fields, 'host', at),
    domain,
    selector,
    algorithm: oneOf(['rsa', 'ed25519'], string(fields, 'algorithm', at), `${at}.algorithm`),
    state: keyState(string(fields, 'state', at), `${at}.state`),
    record,
  };
}

const keyState = (text: string, at: string): KeyState => oneOf(KEY_STATES, text, at);

function transition(value: unknown, at: string): Transition {
  const fields = object(value, at);
  const from = string(fields, 'from', at);
  return {
    at: time(fields, 'at', at),
    from: from === 'none' ? from : keyState(from, `${at}.from`),
    to: keyState(string(fields, 'to', at), `${at}.to`),
    evidence: evidence(fields['evidence'], `${at}.evidence`),
  };
}

function evidence(value: unknown, at: string): Evidence {
  const fields = object(value, at);
  const text = (name: string): string => string(fields, name, at);
  const servers = (): readonly ServerWord[] =>
    list(fields, 'servers', at).map((item, index) => server(item, `${at}.servers[${index}]`));
  const kind = text('kind');
  switch (kind) {
    case 'self-test':
      return {kind, fingerprint: text('fingerprint')};
    case 'adopted':
      return {kind, from: text('from')};
    case 'record-shown':
      return {kind};
    case 'servers-agree':
    case 'record-lost':
      return {kind, servers: servers()};
    case 'resolver-agrees':
      return {kind, because: text('because')};
    case 'signing-proven':
      return {kind, run: text('run'), checks: strings(fields, 'checks', at)};
    case 'superseded':
      return {kind, by: branded(parseSelector(text('by')), `${at}.by`)};
    case 'signing-stopped':
    case 'undone':
      return {kind, run: text('run')};
    case 'revocation-seen':
      return {
        kind,
        servers: servers(),
        ...optional(fields, 'oldestQueuedAt', () => time(fields, 'oldestQueuedAt', at)),
      };
    case 'record-gone':
      return {
        kind,
        servers: servers(),
        key: oneOf(['shredded', 'published', 'kept', 'missing'], text('key'), `${at}.key`),
      };
    case 'abandoned':
      return {kind, why: text('why')};
    default:
      throw new Mismatch(`${at}.kind is ${JSON.stringify(kind)}`);
  }
}

function server(value: unknown, at: string): ServerWord {
  const fields = object(value, at);
  return {
    address: string(fields, 'address', at),
    ...optional(fields, 'serial', () => number(fields, 'serial', at)),
  };
}
