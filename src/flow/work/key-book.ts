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
export async function moveKey(
  ports: Pick<Ports, 'files' | 'clock'>,
  key: {readonly domain: DomainName; readonly selector: Selector},
  to: KeyState,
  evidence: Evidence,
): Promise<void> {
  const state = await readKeys(ports);
  const entry = findEntry(state, key.domain, key.selector);
  if (entry === undefined || entry.state === to) return;
  const moved = must(transition(entry, to, evidence, ports.clock.now()));
  await saveState(ports.files, must(putEntry(state, moved)));
}

const wordsOf = (survey: Survey): readonly ServerWord[] =>
  survey.servers
    .filter(({status}) => status === 'matching')
    .map(({server, serial}) => ({address: server.address, ...(serial === undefined ? {} : {serial})}));

/** Writes down what a survey proves: all servers have the record, or one has lost it again. */
export async function recordSurvey(
  ports: Pick<Ports, 'files' | 'clock'>,
  key: Pick<StagedDomain, 'domain' | 'selector' | 'record'>,
  survey: Survey,
): Promise<void> {
  const state = await readKeys(ports);
  const entry = findEntry(state, key.domain, key.selector);
  const servers = wordsOf(survey);
  if (entry?.state === 'active' && survey.agreed && entry.record.value !== key.record.value) {
    // A key that signs may get another record (a note, no t=y any more); what the servers have is what counts.
    await saveState(ports.files, must(putEntry(state, {...entry, record: recordOf(key)})));
  }
  if (entry?.state === 'pending' && survey.agreed) {
    await moveKey(ports, key, 'ready', {kind: 'servers-agree', servers});
  }
  if (entry?.state === 'ready' && !survey.agreed && survey.servers.some(({status}) => status === 'absent')) {
    const without = survey.servers.filter(({status}) => status === 'absent');
    const words = without.map(({server}) => ({address: server.address}));
    await moveKey(ports, key, 'pending', {kind: 'record-lost', servers: words});
  }
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

/** After an undo: the keys of that run do not sign any more, and the ones before them do again. */
export async function recordUndone(ports: Pick<Ports, 'files' | 'clock'>, run: string): Promise<void> {
  let state = await readKeys(ports);
  const now = ports.clock.now();
  for (const entry of state.keys) {
    const last = entry.log.findLast(({to}) => to === 'active');
    if (entry.state !== 'active' || last?.evidence.kind !== 'signing-proven' || last.evidence.run !== run)
      continue;
    const {keyPath: _gone, ...rest} = must(transition(entry, 'ready', {kind: 'undone', run}, now));
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

function wasReplacedBy(entry: KeyEntry, selector: Selector): boolean {
  const last = entry.log.at(-1);
  return entry.state === 'retiring' && last?.evidence.kind === 'superseded' && last.evidence.by === selector;
}

/** After a removal: the keys sign no more, and their records stay for mail that is under way. */
export async function recordStopped(
  ports: Pick<Ports, 'files' | 'clock'>,
  keys: readonly {readonly domain: DomainName; readonly selector: Selector}[],
  run: string,
): Promise<void> {
  for (const key of keys) await moveKey(ports, key, 'retiring', {kind: 'signing-stopped', run});
}
