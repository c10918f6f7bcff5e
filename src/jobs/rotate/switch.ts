/** The switch to new keys: planned, applied and proven as any other change. */
import {createGate} from '../../dns/many/gate.ts';
import {command} from '../../domain/command.ts';
import {ChangeFailed, HostError, type ToolError} from '../../domain/errors.ts';
import type {DomainName, Selector} from '../../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {listed} from '../../domain/text.ts';
import type {Answers} from '../../flow/answers.ts';
import type {PlanReady, StagedDomain, WorkEvent} from '../../flow/operations.ts';
import {type ApplyOutcome, applyPlan, makePlan} from '../../plan/index.ts';
import type {Plan} from '../../plan/plan.ts';
import type {ProofReport} from '../../proof/proof.ts';
import {type KeyEntry, type RotationState, revokedValue} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import {readConfiguration} from '../../services/read-snapshot.ts';
import {planChange} from '../../services/signing.ts';
import type {Step} from '../../services/step.ts';
import type {Ports} from '../../system/ports.ts';
import {beforeChange, keptBy, milterReadiness, proveLive} from '../change.ts';
import {readKeys, recordActive} from '../key-book.ts';
import type {WorkOptions} from '../options.ts';
import {changeFor, type StagedChange, tried} from '../planning.ts';
import {asProven} from '../proven.ts';
import {applyUnproven, leftOf} from '../run-change.ts';
import {stagedAgain} from '../setup/look.ts';

/** What a person may have said about a switch; nothing is said by default. */
export type SwitchAnswers = Pick<Answers, 'socket' | 'canonicalization' | 'trustedHosts' | 'subdomains'>;

/** A switch as it will be carried out, and what a temporary signer needs to try it. */
export interface PlannedSwitch {
  /** All of it, as it is shown: keys put in place, tables, what the signer is told. */
  readonly plan: Plan;
  readonly change: StagedChange;
}

/**
 * Plans the switch of staged keys; every row that signs with the keys before them is part of it. Problem
 * `rotate.rows-kept` where a row cannot be moved: the old key must stay what signs then.
 */
export async function planSwitch(
  ports: Ports,
  staged: readonly StagedDomain[],
  answers: SwitchAnswers,
  signal: AbortSignal,
): Promise<Result<PlannedSwitch>> {
  const replaces = replacedBy(staged, await readKeys(ports));
  // Rows for subdomains that are there get the new key; new ones are not a rotation's business.
  const change = await changeFor(
    ports,
    staged,
    {...answers, subdomains: answers.subdomains ?? false},
    signal,
    replaces,
  );
  if (!change.ok) return change;
  const {steps, keptRows} = change.value;
  if (keptRows.length > 0) return fail(rowsKept(staged, keptRows));
  const plan = makePlan({
    purpose: 'rotate',
    title: `New keys for ${staged.map(({domain, selector}) => `${domain} (${selector})`).join(', ')}`,
    domains: staged.map(({domain, selector}) => ({domain, selector})),
    steps,
    ...ports,
  });
  return ok({plan, change: change.value});
}

/** The selectors that sign now for the domains of new keys, each of the same algorithm. */
function replacedBy(
  staged: readonly StagedDomain[],
  {keys}: RotationState,
): ReadonlyMap<DomainName, Selector> {
  const nameOf = ({domain, algorithm}: Pick<KeyEntry, 'domain' | 'algorithm'>) => `${algorithm} ${domain}`;
  const active = new Map(
    keys.filter(key => key.state === 'active').map(key => [nameOf(key), key.selector] as const),
  );
  return new Map(
    staged.flatMap(each => {
      const old = active.get(nameOf(each));
      return old === undefined || old === each.selector ? [] : [[each.domain, old] as const];
    }),
  );
}

const rowsKept = (staged: readonly StagedDomain[], rows: readonly string[]): Problem =>
  problem(
    'rotate.rows-kept',
    `Mail would still be signed with the old key of ${listed(staged.map(({domain}) => domain))}: ${listed(rows)}. The old key stays active.`,
    `Remove these rows or give them another key, then run: ${command('waxseal', 'rotate', '--domain', staged[0]?.domain ?? '')}`,
  );

export interface SwitchOutcome {
  /** Of the tables; where the keys could not even be put in place, of that. */
  readonly outcome: ApplyOutcome;
  /** The run that switched: what an undo of it names; its steps are all that was shown. */
  readonly run: Plan;
  readonly proof: ProofReport | undefined;
}

/**
 * Carries a planned switch out: new keys put in place, tables replaced, the signer made to take them over, the new
 * selectors proven on the socket and by real messages against the authoritative servers. Where there is nothing to
 * change it is proven all the same: a run before this one may have switched and not have written it down.
 */
export async function carryOutSwitch(
  ports: Ports,
  options: WorkOptions,
  {
    plan: whole,
    endpoint,
    proven,
    placed: placeIds,
  }: Pick<PlanReady, 'plan' | 'endpoint' | 'proven' | 'placed'>,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<SwitchOutcome> {
  const ids = new Set(placeIds);
  const isPlaced = ({id}: Step): boolean => ids.has(id);
  const part = (title: string, steps: readonly Step[]): Plan =>
    makePlan({
      purpose: 'rotate',
      title,
      domains: whole.domains,
      steps,
      ...ports,
    });
  const places = part(`Private keys in place: ${namesOf(staged)}`, whole.steps.filter(isPlaced));
  const tables = part(
    whole.title,
    whole.steps.filter(step => !isPlaced(step)),
  );
  const run = {...tables, steps: whole.steps};
  const preflight = (): Promise<Result<true>> => asProven(ports, whole, proven);
  // Before the first of both: putting keys in place may change directories of others, too.
  const kept = keptBy(await beforeChange(ports, whole, signal), whole);
  // A change of its own that nothing takes back: a signer reads keys for each message, and a session that was open meanwhile
  // may need one even after tables have been put back. A key that no table names harms nobody.
  const placed = await applyUnproven(
    ports,
    {...places, domains: []},
    {preflight, ready: milterReadiness(ports)},
    counted(emit, 0, whole),
    signal,
  );
  if (placed.result !== 'applied' && placed.result !== 'nothing') {
    return {outcome: placed, run, proof: undefined};
  }
  const proof = (): Promise<ProofReport> => proveLive(ports, options, endpoint, staged, emit, signal, kept);
  const outcome = await applyPlan(
    ports,
    tables,
    {preflight, proof, ready: milterReadiness(ports)},
    counted(emit, places.steps.length, whole),
    signal,
  );
  if (outcome.result !== 'nothing') {
    return {outcome, run, proof: outcome.result === 'applied' ? outcome.proof : undefined};
  }
  emit({type: 'proof-started'});
  const report = await proof();
  emit({type: 'proof-done'});
  return {outcome, run, proof: report};
}

const namesOf = (staged: readonly StagedDomain[]): string =>
  staged.map(({record}) => record.absoluteName).join(', ');

/** Two changes are told as the one that was shown. */
const counted =
  (emit: (event: WorkEvent) => void, before: number, whole: Plan) =>
  (event: WorkEvent): void =>
    event.type === 'step-started' || event.type === 'step-done'
      ? emit({...event, index: before + event.index, of: whole.steps.length})
      : emit(event);

/**
 * The same for keys that the scheduler found ready (see `takeUp`), tried in a temporary signer first, and only then
 * written down, together with the keys before them. Throws a ToolError where it did not work; everything is as it was then.
 */
export async function switchKeys(
  ports: Ports,
  options: WorkOptions,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const planned = await planSwitch(ports, staged, {}, signal);
  if (!planned.ok) throw new HostError(planned.problem);
  const ready = await tried(ports, planned.value.plan, planned.value.change, staged, signal);
  if (!ready.ok) throw new HostError(ready.problem);
  const {outcome, proof, run} = await carryOutSwitch(ports, options, ready.value, staged, emit, signal);
  if (proof === undefined) throw errorOf(outcome);
  if (!proof.passed) {
    const wrong = proof.checks.find(({status}) => status === 'fail');
    throw new ChangeFailed(
      problem(
        'rotate.unproven',
        `The new key does not sign: ${wrong?.cause ?? 'nothing was proven'}`,
        wrong?.fix ?? '',
      ),
    );
  }
  await recordActive(ports, run, proof.checks);
}

const errorOf = (outcome: ApplyOutcome): ToolError =>
  'error' in outcome
    ? outcome.error
    : new ChangeFailed(problem('rotate.failed', 'The keys were not switched.', 'Run it again.'));

/** Keys that are looked up side by side. */
const AT_ONCE = 16;

/** What a switch needs to know of keys that are ready; asks the DNS, changes nothing. */
export async function takeUp(
  ports: Ports,
  options: WorkOptions,
  keys: readonly KeyEntry[],
  signal: AbortSignal,
): Promise<readonly StagedDomain[]> {
  const gate = createGate(AT_ONCE);
  const staged = await Promise.all(
    keys.map(key => gate.run(() => stagedAgain(ports, options, key, AbortSignal.any([signal])))),
  );
  return staged.map((each, at) => {
    if (each !== undefined) return each;
    const key = keys[at];
    throw new HostError(
      problem(
        'key.missing',
        `The private key of ${key?.record.name} is not under the state directory any more.`,
        `Start again with another --selector: ${command('waxseal', 'rotate', '--domain', key?.domain ?? '')}`,
      ),
    );
  });
}

/** Takes the rows of keys that are gone out of the key table; nothing refers to them any more. */
export async function dropRows(
  ports: Ports,
  keys: readonly KeyEntry[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const facts = await lookAtHost(ports, signal);
  const change = planChange(facts, await readConfiguration(ports, facts), {forget: keys});
  if (!change.ok) throw new HostError(change.problem);
  const plan = makePlan({
    purpose: 'rotate',
    title: `Removed keys out of the table: ${keys.map(({record}) => record.name).join(', ')}`,
    domains: [],
    steps: change.value.steps,
    ...ports,
  });
  leftOf(await applyUnproven(ports, plan, {ready: milterReadiness(ports)}, emit, signal));
}

export const revokedRecord = (key: KeyEntry): KeyEntry['record'] => ({
  ...key.record,
  value: revokedValue(key),
});
