/** The state file as the flow's work needs it: which keys are on their way, which sign, and each step with its evidence. */

import type {Survey} from '../dns/survey.ts';
import {HostError, UsageError} from '../domain/errors.ts';
import type {DomainName, DomainSelector, Selector} from '../domain/names.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import type {Result} from '../domain/result.ts';
import type {StagedDomain} from '../flow/operations.ts';
import {isResolverWord} from '../flow/survey-facts.ts';
import {dropStagedKey} from '../keys/index.ts';
import type {Plan} from '../plan/plan.ts';
import type {Check} from '../proof/proof.ts';
import {
  activate,
  comingEntry,
  type Evidence,
  entryFinder,
  entryName,
  findEntry,
  type KeyEntry,
  type KeyState,
  loadState,
  putEntry,
  type RotationState,
  type ServerWord,
  saveState,
  transition,
} from '../rotation/index.ts';
import {lookAtHost} from '../services/look.ts';
import {secretPlaces} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';

/** Reads the state; throws HostError where the file is damaged or of a newer waxseal: it is never overwritten then. */
export async function readKeys(ports: Pick<Ports, 'files'>): Promise<RotationState> {
  const state = await loadState(ports.files);
  if (!state.ok) throw new HostError(state.problem);
  return state.value;
}

/**
 * Notes that a live test passed for these keys; those that waxseal has no note of are left out, and notes that are damaged
 * are left alone. The lock is the caller's.
 */
export async function noteProven(
  ports: Pick<Ports, 'files' | 'clock'>,
  proven: readonly DomainSelector[],
): Promise<void> {
  const loaded = await loadState(ports.files);
  if (!loaded.ok) return;
  const state = loaded.value;
  const names = new Set(proven.map(entryName));
  const provenAt = ports.clock.now().toISOString();
  const keys = state.keys.map(key => (names.has(entryName(key)) ? {...key, provenAt} : key));
  if (keys.some((key, at) => key !== state.keys[at])) await saveState(ports.files, {...state, keys});
}

/** The value, or a UsageError with the problem. */
export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new UsageError(result.problem);
  return result.value;
}

/**
 * Changes the keys of many domains. Every rule of the state is about the keys of one domain: each change sees the keys of
 * its own domain only, so that ten thousand changes do not walk ten thousand keys each. The order is kept; a new key
 * comes last.
 */
export function changeEach<T extends {readonly domain: DomainName}>(
  state: RotationState,
  items: readonly T[],
  change: (own: RotationState, item: T) => RotationState,
): RotationState {
  const before = keysByDomain(state);
  const after = new Map<DomainName, readonly KeyEntry[]>();
  for (const item of items) {
    const keys = after.get(item.domain) ?? before.get(item.domain) ?? [];
    const own = {...state, keys};
    const changed = change(own, item);
    if (changed !== own) after.set(item.domain, changed.keys);
  }
  if (after.size === 0) return state;
  const kept = state.keys.map(
    key => after.get(key.domain)?.find(({selector}) => selector === key.selector) ?? key,
  );
  const added = [...after].flatMap(([domain, keys]) => {
    const known = new Set(before.get(domain)?.map(({selector}) => selector));
    return keys.filter(({selector}) => !known.has(selector));
  });
  return {...state, keys: [...kept, ...added]};
}

export function keysByDomain({keys}: RotationState): ReadonlyMap<DomainName, readonly KeyEntry[]> {
  const found = new Map<DomainName, KeyEntry[]>();
  for (const key of keys) {
    const same = found.get(key.domain);
    if (same === undefined) found.set(key.domain, [key]);
    else same.push(key);
  }
  return found;
}

/** Changes keys as `changeEach` does and keeps the result once: the state is not written ten thousand times. */
export async function changeKeys<T extends {readonly domain: DomainName}>(
  ports: Pick<Ports, 'files'>,
  items: readonly T[],
  change: (own: RotationState, item: T) => RotationState,
): Promise<void> {
  if (items.length === 0) return;
  const before = await readKeys(ports);
  const state = changeEach(before, items, change);
  if (state !== before) await saveState(ports.files, state);
}

/** Moves several keys to a state, those that are not there yet. */
export async function moveKeys(
  ports: Pick<Ports, 'files' | 'clock'>,
  keys: readonly {readonly domain: DomainName; readonly selector: Selector}[],
  to: KeyState,
  evidence: Evidence,
): Promise<void> {
  await changeKeys(ports, keys, (own, key) => moved(own, key, to, evidence, ports.clock.now()));
}

function moved(
  state: RotationState,
  key: {readonly domain: DomainName; readonly selector: Selector},
  to: KeyState,
  evidence: Evidence,
  at: Date,
): RotationState {
  const entry = findEntry(state, key.domain, key.selector);
  if (entry === undefined || entry.state === to) return state;
  return must(putEntry(state, must(transition(entry, to, evidence, at))));
}

const wordsOf = (survey: Survey): readonly ServerWord[] =>
  survey.servers
    .filter(({status}) => status === 'matching')
    .map(({server, serial}) => ({address: server.address, ...(serial === undefined ? {} : {serial})}));

type SurveyedKey = Pick<StagedDomain, 'domain' | 'selector' | 'record'>;

/** Writes down what surveys prove, once for all of them: all servers have the record, or one has lost it again. */
export async function recordSurveys(
  ports: Pick<Ports, 'files' | 'clock'>,
  surveyed: readonly (readonly [key: SurveyedKey, survey: Survey])[],
  /** Whether a resolver that has the record counts where no name server can be asked. */
  options: {readonly resolverOnly?: boolean} = {},
): Promise<void> {
  const at = ports.clock.now();
  const items = surveyed.map(([key, survey]) => ({domain: key.domain, key, survey}));
  await changeKeys(ports, items, (own, {key, survey}) =>
    afterSurvey(own, key, survey, at, options.resolverOnly === true),
  );
}

function afterSurvey(
  state: RotationState,
  key: SurveyedKey,
  survey: Survey,
  at: Date,
  resolverOnly: boolean,
): RotationState {
  const entry = findEntry(state, key.domain, key.selector);
  if (entry?.state === 'active' && survey.agreed && entry.record.value !== key.record.value) {
    // A key that signs may get another record (a note, no t=y any more); what the servers have is what counts.
    return must(putEntry(state, {...entry, record: recordOf(key)}));
  }
  if (entry?.state === 'pending' && survey.agreed) {
    return moved(state, key, 'ready', {kind: 'servers-agree', servers: wordsOf(survey)}, at);
  }
  if (entry?.state === 'pending' && resolverOnly && isResolverWord(survey)) {
    return moved(state, key, 'ready', {kind: 'resolver-agrees', because: survey.weaker?.id ?? ''}, at);
  }
  const without = survey.servers.filter(({status}) => status === 'absent');
  if (entry?.state === 'ready' && !survey.agreed && without.length > 0) {
    const servers = without.map(({server}) => ({address: server.address}));
    return moved(state, key, 'pending', {kind: 'record-lost', servers}, at);
  }
  return state;
}

export const recordOf = ({record}: Pick<StagedDomain, 'record'>): KeyEntry['record'] => ({
  name: record.absoluteName,
  zone: record.zone,
  relativeName: record.relativeName,
  value: record.value,
});

/** After an apply that was proven: the keys of the plan sign now, and where the signer reads them. */
export async function recordActive(ports: Ports, plan: Plan, checks: readonly Check[]): Promise<void> {
  const passed = checks.filter(({status}) => status === 'pass').map(({id}) => id);
  const evidence = {kind: 'signing-proven', run: plan.id, checks: passed} as const;
  const find = entryFinder(await readKeys(ports));
  const isReady = (key: Plan['domains'][number]): boolean => find(key)?.state === 'ready';
  const paths = await pathsInUse(ports, plan, find);
  await changeKeys(ports, plan.domains.filter(isReady), (own, {domain, selector}) => {
    const next = must(activate(own, domain, selector, evidence, ports.clock.now()));
    const active = findEntry(next, domain, selector);
    const keyPath = active === undefined ? undefined : paths(active);
    return active === undefined || keyPath === undefined ? next : must(putEntry(next, {...active, keyPath}));
  });
}

/** Where the plan has put a key; of one that an earlier run put in place, where the signer reads it now. */
async function pathsInUse(
  ports: Ports,
  {domains, steps}: Plan,
  find: ReturnType<typeof entryFinder>,
): Promise<(key: KeyEntry) => AbsolutePath | undefined> {
  const places = secretPlaces(steps);
  const placed = (key: KeyEntry | undefined): AbsolutePath | undefined =>
    key?.stagedPath === undefined ? undefined : places.get(key.stagedPath);
  const isAllPlaced = domains.every(key => placed(find(key)) !== undefined);
  const signer = isAllPlaced ? undefined : (await lookAtHost(ports)).signer;
  const known = new Map(
    signer?.keys.toReversed().map(({domain, selector, path}) => [`${selector} ${domain}`, path]),
  );
  return key => {
    const path = parseAbsolutePath(known.get(`${key.selector} ${key.domain}`) ?? '');
    return placed(key) ?? (path.ok ? path.value : undefined);
  };
}

/**
 * After an undo: the keys of that run do not sign any more, and the ones before them do again, as do those that the run
 * had stopped. A key that signed waits to sign again, unless a newer one is on its way already: then it retires, since
 * mail that it signed may be under way.
 */
export async function recordUndone(ports: Pick<Ports, 'files' | 'clock'>, run: string): Promise<void> {
  const {keys} = await readKeys(ports);
  const now = ports.clock.now();
  await changeKeys(ports, keys, (own, entry) => afterUndo(own, entry, run, now));
}

function afterUndo(state: RotationState, entry: KeyEntry, run: string, now: Date): RotationState {
  if (wasStoppedBy(entry, run)) {
    return must(putEntry(state, must(transition(entry, 'active', {kind: 'undone', run}, now))));
  }
  const last = entry.log.findLast(({to}) => to === 'active');
  if (entry.state !== 'active' || last?.evidence.kind !== 'signing-proven' || last.evidence.run !== run) {
    return state;
  }
  const next =
    comingEntry(state, entry.domain, entry.algorithm) === undefined
      ? transition(entry, 'ready', {kind: 'undone', run}, now)
      : transition(entry, 'retiring', {kind: 'signing-stopped', run}, now);
  const {keyPath: _gone, ...rest} = must(next);
  const without = must(putEntry(state, rest));
  const before = without.keys.find(
    each =>
      each.domain === entry.domain &&
      each.algorithm === entry.algorithm &&
      wasReplacedBy(each, entry.selector),
  );
  return before === undefined
    ? without
    : must(putEntry(without, must(transition(before, 'active', {kind: 'undone', run}, now))));
}

function wasStoppedBy({state, log}: KeyEntry, run: string): boolean {
  const last = log.at(-1)?.evidence;
  return state === 'retiring' && last?.kind === 'signing-stopped' && last.run === run;
}

function wasReplacedBy(entry: KeyEntry, selector: Selector): boolean {
  const last = entry.log.at(-1);
  return entry.state === 'retiring' && last?.evidence.kind === 'superseded' && last.evidence.by === selector;
}

/** After a removal: the keys sign no more, and their records stay for mail that is under way. */
export const recordStopped = (
  ports: Pick<Ports, 'files' | 'clock'>,
  keys: readonly {readonly domain: DomainName; readonly selector: Selector}[],
  run: string,
): Promise<void> => moveKeys(ports, keys, 'retiring', {kind: 'signing-stopped', run});

/** Gives keys up that were on their way; what was kept of them is removed after the state does not name it any more. */
export async function abandonKeys(
  ports: Pick<Ports, 'files' | 'clock'>,
  keys: readonly KeyEntry[],
  why: string,
): Promise<void> {
  const now = ports.clock.now();
  await changeKeys(ports, keys, (own, key) => {
    const next = moved(own, key, 'removed', {kind: 'abandoned', why}, now);
    const {stagedPath: _gone, ...rest} = findEntry(next, key.domain, key.selector) ?? key;
    return must(putEntry(next, rest));
  });
  for (const {stagedPath} of keys) if (stagedPath !== undefined) await dropStagedKey(ports.files, stagedPath);
}
