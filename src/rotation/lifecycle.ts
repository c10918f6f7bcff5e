/**
 * The life of a key as pure functions: which transition is allowed, on what evidence, and what comes next. The table is
 * in docs/explanation/key-life.md.
 */
import {type DnsName, type DomainName, keyRecordName, type Selector} from '../domain/names.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';
import type {KeyAlgorithm} from '../keys/index.ts';
import type {Evidence, KeyEntry, KeyState, RotationState} from './entry.ts';

/** `from>to` → the kinds of evidence that prove it. */
const ALLOWED: Readonly<Record<string, readonly Evidence['kind'][]>> = {
  'staged>pending': ['record-shown'],
  'pending>ready': ['servers-agree', 'resolver-agrees'],
  'ready>pending': ['record-lost'],
  'ready>active': ['signing-proven'],
  'active>retiring': ['superseded', 'signing-stopped'],
  'active>ready': ['undone'],
  'retiring>active': ['undone'],
  'retiring>revoked': ['revocation-seen'],
  // Its owner took the record out instead of emptying it: there is nothing left to be revoked.
  'retiring>removed': ['record-gone'],
  'revoked>removed': ['record-gone'],
  'staged>removed': ['abandoned'],
  'pending>removed': ['abandoned'],
  'ready>removed': ['abandoned'],
};

const DAY_MS = 86_400_000;
/** A message may stay in a queue for five days (the default of common mail servers) and longer elsewhere. */
const RETIRING_MS = 7 * DAY_MS;
const REVOKED_MS = 30 * DAY_MS;

/** A key before its first use: still on its way to sign. */
export const isComing = ({state}: Pick<KeyEntry, 'state'>): boolean =>
  state === 'staged' || state === 'pending' || state === 'ready';

/** Moves a key on. Problem `life.transition` where the table has no such step or the evidence does not prove it. */
export function transition(entry: KeyEntry, to: KeyState, evidence: Evidence, now: Date): Result<KeyEntry> {
  const from = entry.state;
  if (!(ALLOWED[`${from}>${to}`] ?? []).includes(evidence.kind) || isEmpty(evidence)) {
    return fail(
      problem(
        'life.transition',
        `${entryName(entry)} cannot go from ${from} to ${to} on ${evidence.kind}.`,
        'Look at waxseal status.',
      ),
    );
  }
  const at = now.toISOString();
  return ok({
    ...entry,
    state: to,
    ...(to === 'ready' && entry.publishedAt === undefined ? {publishedAt: at} : {}),
    ...(to === 'active' && from === 'ready' ? {activatedAt: at} : {}),
    log: [...entry.log, {at, from, to, evidence}],
  });
}

// "All of no servers agree" proves nothing.
const isEmpty = (evidence: Evidence): boolean =>
  ('servers' in evidence && evidence.servers.length === 0) ||
  ('checks' in evidence && evidence.checks.length === 0);

/** A key that enters the state file, with its first log line. */
export function newEntry(
  facts: Omit<KeyEntry, 'log' | 'createdAt' | 'state' | 'publishedAt' | 'activatedAt'>,
  evidence: Extract<Evidence, {kind: 'self-test' | 'adopted'}>,
  now: Date,
  /** When an adopted key was made, as far as that can be known; never later than now. */
  madeAt: Date = now,
): KeyEntry {
  const at = now.toISOString();
  const createdAt = (madeAt < now ? madeAt : now).toISOString();
  const state = evidence.kind === 'adopted' ? 'active' : 'staged';
  const seen = state === 'active' ? {publishedAt: createdAt, activatedAt: createdAt} : {};
  return {...facts, state, createdAt, ...seen, log: [{at, from: 'none', to: state, evidence}]};
}

/**
 * When real mail was last seen to be signed with it: the last live test, or what proved its switch, which states of
 * earlier versions have, too. undefined where waxseal never proved it.
 */
export function lastProven({provenAt, log}: Pick<KeyEntry, 'provenAt' | 'log'>): string | undefined {
  const switched = log.findLast(({evidence}) => evidence.kind === 'signing-proven')?.at;
  if (provenAt === undefined || switched === undefined) return provenAt ?? switched;
  return provenAt > switched ? provenAt : switched;
}

/** The owner name of its record: no two keys share it. */
export const entryName = ({domain, selector}: Pick<KeyEntry, 'domain' | 'selector'>): DnsName =>
  keyRecordName(selector, domain);

export const findEntry = (
  state: RotationState,
  domain: DomainName,
  selector: Selector,
): KeyEntry | undefined => state.keys.find(key => key.domain === domain && key.selector === selector);

/** As `findEntry`, for many questions to the same state. */
export function entryFinder({
  keys,
}: Pick<RotationState, 'keys'>): (key: Pick<KeyEntry, 'domain' | 'selector'>) => KeyEntry | undefined {
  const known = new Map(keys.map(key => [entryName(key), key]));
  return key => known.get(entryName(key));
}

export const activeEntry = (
  state: RotationState,
  domain: DomainName,
  algorithm: KeyAlgorithm,
): KeyEntry | undefined =>
  state.keys.find(key => key.domain === domain && key.algorithm === algorithm && key.state === 'active');

export const comingEntry = (
  state: RotationState,
  domain: DomainName,
  algorithm: KeyAlgorithm,
): KeyEntry | undefined =>
  state.keys.find(key => key.domain === domain && key.algorithm === algorithm && isComing(key));

/**
 * Adds a key. Problem `selector.taken` where the selector was ever used for the domain (one is never used again), and
 * `life.two-coming`, `life.two-active` where there is one in that place for the algorithm already.
 */
export function addEntry(state: RotationState, entry: KeyEntry): Result<RotationState> {
  if (findEntry(state, entry.domain, entry.selector) !== undefined) {
    return fail(
      problem(
        'selector.taken',
        `The selector ${entry.selector} of ${entry.domain} was used before.`,
        'Choose another with --selector; one is never used for a second key.',
      ),
    );
  }
  return checked({...state, keys: [...state.keys, entry]}, entry);
}

/** Puts a changed key in the place of the old one. Problems as {@link addEntry}; `life.unknown` where there is none. */
export function putEntry(state: RotationState, entry: KeyEntry): Result<RotationState> {
  if (findEntry(state, entry.domain, entry.selector) === undefined) {
    return fail(problem('life.unknown', `There is no key ${entryName(entry)}.`, 'Look at waxseal status.'));
  }
  const keys = state.keys.map(key =>
    key.domain === entry.domain && key.selector === entry.selector ? entry : key,
  );
  return checked({...state, keys}, entry);
}

/**
 * Makes a ready key the one that signs, and retires the one before it in the same breath: there is no moment in the
 * state file with two active keys for one domain and algorithm.
 */
export function activate(
  state: RotationState,
  domain: DomainName,
  selector: Selector,
  evidence: Extract<Evidence, {kind: 'signing-proven'}>,
  now: Date,
): Result<RotationState> {
  const entry = findEntry(state, domain, selector);
  if (entry === undefined) {
    return fail(
      problem('life.unknown', `There is no key ${selector}._domainkey.${domain}.`, 'Look at waxseal status.'),
    );
  }
  const next = transition(entry, 'active', evidence, now);
  if (!next.ok) return next;
  const old = activeEntry(state, domain, entry.algorithm);
  let after = state;
  if (old !== undefined) {
    const retired = transition(old, 'retiring', {kind: 'superseded', by: selector}, now);
    if (!retired.ok) return retired;
    const put = putEntry(state, retired.value);
    if (!put.ok) return put;
    after = put.value;
  }
  return putEntry(after, next.value);
}

function checked(state: RotationState, entry: KeyEntry): Result<RotationState> {
  const same = state.keys.filter(key => key.domain === entry.domain && key.algorithm === entry.algorithm);
  const two = (id: string, what: string, keys: readonly KeyEntry[]): Result<never> =>
    fail(
      problem(
        id,
        `${entry.domain} would have two ${entry.algorithm} keys ${what}: ${keys.map(key => key.selector).join(', ')}.`,
        'Finish or abandon the first one; look at waxseal status.',
      ),
    );
  const active = same.filter(key => key.state === 'active');
  if (active.length > 1) return two('life.two-active', 'that sign', active);
  const coming = same.filter(key => isComing(key));
  if (coming.length > 1) return two('life.two-coming', 'on their way', coming);
  return ok(state);
}

export interface NextStep {
  /** One sentence that names what to do, for every state. */
  readonly text: string;
  /** Not before this moment; absent where it can be done now. */
  readonly due?: Date;
}

/** What comes next for a key; there is always an answer but for `removed`, which is the end. */
export function nextStep(entry: KeyEntry, now: Date): NextStep {
  const after = (iso: string | undefined, ms: number): {readonly due?: Date} => {
    const due = new Date(Date.parse(iso ?? entry.createdAt) + ms);
    return due > now ? {due} : {};
  };
  switch (entry.state) {
    case 'staged':
      return {text: `Publish the record ${entry.record.name}, then run waxseal again.`};
    case 'pending':
      return {text: `Wait until every name server of ${entry.record.zone || '.'} has ${entry.record.name}.`};
    case 'ready':
      return {
        text: `Let ${entry.selector} sign: run waxseal again.`,
        ...after(entry.publishedAt, (entry.cacheSeconds ?? 0) * 1000),
      };
    case 'active':
      return {text: 'Signs. Nothing to do until the next rotation.'};
    case 'retiring':
      return {
        text: `Keep ${entry.record.name} published; then revoke it (empty p=).`,
        ...after(lastEntered(entry, 'retiring'), RETIRING_MS),
      };
    case 'revoked':
      return {
        text: `Take ${entry.record.name} out of the DNS.`,
        ...after(lastEntered(entry, 'revoked'), REVOKED_MS),
      };
    case 'removed':
      return {text: 'Nothing.'};
  }
}

/** When a key came into a state the last time; ISO 8601. */
export const lastEntered = (entry: KeyEntry, state: KeyState): string | undefined =>
  entry.log.findLast(line => line.to === state)?.at;
