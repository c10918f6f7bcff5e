/**
 * The guided rotation: the flow of the main job with the scheduler of `rotate --advance` in it. It says when a key may
 * sign, and the same switch lets it.
 */
import type {Survey} from '../../dns/survey.ts';
import {PendingError} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem, type Result} from '../../domain/result.ts';
import type {Answers} from '../../flow/answers.ts';
import type {ApplyResult, Operations, PlanReady, StagedDomain, WorkEvent} from '../../flow/operations.ts';
import {
  type Due,
  due,
  findEntry,
  isComing,
  type KeyEntry,
  noteTime,
  putEntry,
  type RotationState,
  saveState,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {resultOf, unproven} from '../change.ts';
import {must, readKeys} from '../key-book.ts';
import type {WorkOptions} from '../options.ts';
import {tried} from '../planning.ts';
import {bookActive, createOperations} from '../setup/operations.ts';
import {gatherFacts, readTime} from './facts.ts';
import {HOOK_DIRECTORY, type HookEvent, type HookReport, runHooks} from './hooks.ts';
import {carryOutSwitch, placeNow, planSwitch} from './switch.ts';

export interface RotationOptions extends WorkOptions {
  readonly hookDirectory?: AbsolutePath;
  /** What a hook of the administrator said. */
  readonly onHook?: (report: HookReport) => void;
}

type How = Parameters<Operations['watch']>[1];

/** How often a wait is shown anew where nobody counts it down. */
const SHOWN_MS = 10_000;

/** The operations of `waxseal rotate`; the caller holds the lock of the host. */
export function createRotation(ports: Ports, options: RotationOptions): Operations {
  const base = createOperations(ports, {...options, newSelector: true});
  const asked = new Set<string>();
  return {
    ...base,
    async watch(staged, how) {
      await noLongerStandby(ports, staged);
      await publishHooks(ports, options, staged, asked, how.signal);
      return await watchUntilDue(ports, options, base, staged, how);
    },
    plan: (answers, staged, _facts, signal) => planRotation(ports, answers, staged, signal),
    apply: (ready, staged, emit, signal) => applyRotation(ports, options, ready, staged, emit, signal),
  };
}

/**
 * Watches until every server has every record, and then until the scheduler lets the keys sign: until nobody can
 * remember any more that nothing was there. Ends early, not settled, where that moment lies behind the deadline.
 */
async function watchUntilDue(
  ports: Ports,
  options: RotationOptions,
  base: Operations,
  staged: readonly StagedDomain[],
  how: How,
): Promise<readonly Survey[]> {
  const {clock} = ports;
  const until =
    how.deadlineMs === undefined ? Number.POSITIVE_INFINITY : clock.now().getTime() + how.deadlineMs;
  for (;;) {
    const left = Math.max(0, until - clock.now().getTime());
    const deadlineMs = Number.isFinite(left) ? left : undefined;
    const surveys = await base.watch(staged, {...how, deadlineMs, onSurvey: held(how.onSurvey)});
    if (surveys.some(({settled}) => !settled)) return surveys;
    const waits = await waitsOf(ports, options, staged, how.signal);
    if (waits.some(each => each?.act?.do === 'move')) continue;
    const notBefore = latest(waits);
    if (notBefore === undefined) return last(surveys, waits, how);
    if (notBefore.getTime() > until) return withWait(ports, surveys, notBefore, how, true);
    while (clock.now() < notBefore) {
      withWait(ports, surveys, notBefore, how, false);
      await clock.sleep(Math.min(SHOWN_MS, notBefore.getTime() - clock.now().getTime()), how.signal);
    }
  }
}

/** What the servers have is not all yet: whether the key may sign is said by the scheduler, after this. */
const held =
  (onSurvey: How['onSurvey']) =>
  (survey: Survey): void =>
    onSurvey({...survey, settled: false});

/** Shows the surveys as they are in the end; not settled where the scheduler waits for something that is no time. */
function last(
  surveys: readonly Survey[],
  waits: readonly (Due | undefined)[],
  {onSurvey}: How,
): readonly Survey[] {
  return surveys.map((survey, index) => {
    const step = waits[index];
    const ended = {...survey, settled: step === undefined || step.act?.do === 'switch'};
    onSurvey(ended);
    return ended;
  });
}

function withWait(
  {clock}: Pick<Ports, 'clock'>,
  surveys: readonly Survey[],
  notBefore: Date,
  {onSurvey}: How,
  isLast: boolean,
): readonly Survey[] {
  const at = clock.now().toISOString();
  const next = isLast ? undefined : notBefore.toISOString();
  const shown = surveys.map(survey => ({
    ...survey,
    at,
    settled: false,
    nextAt: next,
    notBefore: notBefore.toISOString(),
  }));
  for (const survey of shown) onSurvey(survey);
  return shown;
}

const latest = (waits: readonly (Due | undefined)[]): Date | undefined =>
  waits.flatMap(step => step?.notBefore ?? []).toSorted((one, other) => other.getTime() - one.getTime())[0];

/** What the scheduler says of each key; undefined for one that signs already. Writes down what it learns of time and TTL. */
async function waitsOf(
  ports: Ports,
  options: WorkOptions,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<readonly (Due | undefined)[]> {
  const before = await readKeys(ports);
  const state = {...before, time: noteTime(before.time, await readTime(ports))};
  const domains = new Set(staged.map(({domain}) => domain));
  const facts = await gatherFacts(ports, options, state, key => domains.has(key.domain), signal);
  let after: RotationState = state;
  // The TTL of the record that retires is known best while its key still signs.
  for (const key of state.keys.filter(each => each.state === 'active')) {
    const ttlSeconds = facts.records.get(key.record.name)?.ttlSeconds;
    if (ttlSeconds !== undefined) after = must(putEntry(after, {...key, ttlSeconds}));
  }
  await saveState(ports.files, after);
  const all = due(after, facts);
  return staged.map(({domain, selector}) => {
    const entry = findEntry(after, domain, selector);
    return entry === undefined || entry.state === 'active'
      ? undefined
      : all.find(step => step.domain === domain && step.selector === selector);
  });
}

/** Who asks for a rotation wants the key that stands by to sign now. */
async function noLongerStandby(ports: Ports, staged: readonly StagedDomain[]): Promise<void> {
  const before = await readKeys(ports);
  let state = before;
  for (const {domain, selector} of staged) {
    const entry = findEntry(state, domain, selector);
    if (entry?.standby !== true || !isComing(entry)) continue;
    const {standby: _no, ...rest} = entry;
    state = must(putEntry(state, rest));
  }
  if (state !== before) await saveState(ports.files, state);
}

/** The programs of the administrator are asked for each record once in a run, as `--advance` does. */
async function publishHooks(
  ports: Ports,
  options: RotationOptions,
  staged: readonly StagedDomain[],
  asked: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  const state = await readKeys(ports);
  for (const {domain, selector} of staged) {
    const entry = findEntry(state, domain, selector);
    if ((entry?.state !== 'staged' && entry?.state !== 'pending') || asked.has(entry.record.name)) continue;
    asked.add(entry.record.name);
    await hook(ports, options, 'publish', entry, signal);
  }
}

async function hook(
  ports: Ports,
  options: RotationOptions,
  event: HookEvent,
  entry: KeyEntry,
  signal?: AbortSignal,
): Promise<void> {
  const directory = options.hookDirectory ?? HOOK_DIRECTORY;
  for (const report of await runHooks(ports, directory, event, entry, entry.record.value, signal)) {
    options.onHook?.(report);
  }
}

async function planRotation(
  ports: Ports,
  answers: Answers,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Result<PlanReady>> {
  const planned = await planSwitch(ports, staged, answers, signal);
  if (!planned.ok) return planned;
  return await tried(ports, planned.value.plan, planned.value, staged, signal);
}

/** The plan may have been looked at for hours: whether the keys may sign is asked once more before anything is touched. */
async function applyRotation(
  ports: Ports,
  options: RotationOptions,
  ready: PlanReady,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<ApplyResult> {
  for (const step of await waitsOf(ports, options, staged, signal)) {
    if (step !== undefined && step.act?.do !== 'switch') {
      throw new PendingError(
        problem(
          'rotate.not-yet',
          `${step.selector}._domainkey.${step.domain} may not sign now: ${step.text}`,
          `Nothing was changed. Go on later with: waxseal rotate --domain ${step.domain}`,
        ),
      );
    }
  }
  const switched = await carryOutSwitch(ports, options, ready, staged, emit, signal);
  const {outcome, proof, run} = switched;
  if (outcome.result === 'nothing' && proof?.passed !== true) return unproven(proof);
  if (outcome.result !== 'nothing' && outcome.result !== 'applied') return resultOf(outcome);
  const result: ApplyResult = {
    applied: true,
    changed: ready.plan.steps.length > 0,
    proof: proof ?? {checks: [], passed: true},
    interrupted: false,
  };
  const before = await readKeys(ports);
  const booked = await bookActive(ports, run, result, emit, await placeNow(ports, switched));
  await activateHooks(ports, options, before, staged);
  return booked;
}

async function activateHooks(
  ports: Ports,
  options: RotationOptions,
  before: RotationState,
  staged: readonly StagedDomain[],
): Promise<void> {
  const after = await readKeys(ports);
  for (const {domain, selector} of staged) {
    const entry = findEntry(after, domain, selector);
    const isNew = findEntry(before, domain, selector)?.state !== 'active';
    if (entry?.state === 'active' && isNew) await hook(ports, options, 'activate', entry);
  }
}
