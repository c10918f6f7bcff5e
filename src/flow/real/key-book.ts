/** The state file as the flow's work needs it: which keys are on their way, which sign, and each step with its evidence. */

import type {Survey} from '../../dns/survey.ts';
import {UsageError} from '../../domain/errors.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import type {Result} from '../../domain/result.ts';
import type {Plan} from '../../plan/plan.ts';
import type {Check} from '../../proof/proof.ts';
import {
  activate,
  comingEntry,
  type Evidence,
  findEntry,
  type KeyEntry,
  type KeyState,
  loadState,
  putEntry,
  type RotationState,
  type ServerWord,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import type {StagedDomain} from '../operations.ts';
import {isResolverWord} from '../survey-facts.ts';

/** Reads the state; throws UsageError where the file is damaged or of a newer waxseal: it is never overwritten then. */
export async function readKeys(ports: Pick<Ports, 'files'>): Promise<RotationState> {
  return must(await loadState(ports.files));
}

export function must<T>(result: Result<T>): T {
  if (!result.ok) throw new UsageError(result.problem);
  return result.value;
}

export const isComing = ({state}: Pick<KeyEntry, 'state'>): boolean =>
  state === 'staged' || state === 'pending' || state === 'ready';

/** Changes one key and keeps the result. */
export const moveKey = (
  ports: Pick<Ports, 'files' | 'clock'>,
  key: {readonly domain: DomainName; readonly selector: Selector},
  to: KeyState,
  evidence: Evidence,
): Promise<void> => moveKeys(ports, [key], to, evidence);

/** Changes several keys and keeps the result once: the state of ten thousand domains is not written ten thousand times. */
export async function moveKeys(
  ports: Pick<Ports, 'files' | 'clock'>,
  keys: readonly {readonly domain: DomainName; readonly selector: Selector}[],
  to: KeyState,
  evidence: Evidence,
): Promise<void> {
  if (keys.length === 0) return;
  const before = await readKeys(ports);
  const state = keys.reduce((now, key) => moved(now, key, to, evidence, ports.clock.now()), before);
  if (state !== before) await saveState(ports.files, state);
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
  if (surveyed.length === 0) return;
  const before = await readKeys(ports);
  const at = ports.clock.now();
  const state = surveyed.reduce(
    (now, [key, survey]) => afterSurvey(now, key, survey, at, options.resolverOnly === true),
    before,
  );
  if (state !== before) await saveState(ports.files, state);
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

/**
 * After an apply that was proven: the keys of the plan sign now, and where the signer reads them.
 *
 * @param known path of a key that this plan did not put there, since an earlier run had done it already
 */
export async function recordActive(
  ports: Pick<Ports, 'files' | 'clock'>,
  plan: Plan,
  checks: readonly Check[],
  known?: (domain: DomainName, selector: Selector) => AbsolutePath | undefined,
): Promise<void> {
  const before = await readKeys(ports);
  let state = before;
  const passed = checks.filter(({status}) => status === 'pass').map(({id}) => id);
  for (const {domain, selector} of plan.domains) {
    const entry = findEntry(state, domain, selector);
    if (entry?.state !== 'ready') continue;
    const evidence = {kind: 'signing-proven', run: plan.id, checks: passed} as const;
    state = must(activate(state, domain, selector, evidence, ports.clock.now()));
    const active = findEntry(state, domain, selector);
    const keyPath = keyPathIn(plan, entry) ?? known?.(domain, selector);
    if (active !== undefined && keyPath !== undefined) state = must(putEntry(state, {...active, keyPath}));
  }
  if (state !== before) await saveState(ports.files, state);
}

const keyPathIn = (plan: Plan, entry: KeyEntry): KeyEntry['keyPath'] => {
  const step = plan.steps.find(
    each =>
      each.kind === 'file' &&
      each.after.content.from === 'secret' &&
      each.after.content.path === entry.stagedPath,
  );
  return step?.kind === 'file' ? step.path : undefined;
};

/**
 * After an undo: the keys of that run do not sign any more, and the ones before them do again, as do those that the run
 * had stopped. A key that signed waits to sign again, unless a newer one is on its way already: then it retires, since
 * mail that it signed may be under way.
 */
export async function recordUndone(ports: Pick<Ports, 'files' | 'clock'>, run: string): Promise<void> {
  let state = await readKeys(ports);
  const now = ports.clock.now();
  for (const entry of state.keys) {
    if (wasStoppedBy(entry, run)) {
      state = must(putEntry(state, must(transition(entry, 'active', {kind: 'undone', run}, now))));
      continue;
    }
    const last = entry.log.findLast(({to}) => to === 'active');
    if (entry.state !== 'active' || last?.evidence.kind !== 'signing-proven' || last.evidence.run !== run)
      continue;
    const next =
      comingEntry(state, entry.domain, entry.algorithm) === undefined
        ? transition(entry, 'ready', {kind: 'undone', run}, now)
        : transition(entry, 'retiring', {kind: 'signing-stopped', run}, now);
    const {keyPath: _gone, ...rest} = must(next);
    state = must(putEntry(state, rest));
    const before = state.keys.find(
      each =>
        each.domain === entry.domain &&
        each.algorithm === entry.algorithm &&
        wasReplacedBy(each, entry.selector),
    );
    if (before !== undefined) {
      state = must(putEntry(state, must(transition(before, 'active', {kind: 'undone', run}, now))));
    }
  }
  await saveState(ports.files, state);
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
  if (keys.length === 0) return;
  const now = ports.clock.now();
  let state = await readKeys(ports);
  for (const key of keys) {
    state = moved(state, key, 'removed', {kind: 'abandoned', why}, now);
    const {stagedPath: _gone, ...rest} = findEntry(state, key.domain, key.selector) ?? key;
    state = must(putEntry(state, rest));
  }
  await saveState(ports.files, state);
  for (const {stagedPath} of keys) if (stagedPath !== undefined) await ports.files.remove(stagedPath);
}
