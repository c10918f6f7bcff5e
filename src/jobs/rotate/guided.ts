/**
 * The guided rotation: the flow of the main job with the scheduler of `rotate --advance` in it. It says when a key may
 * sign, and the same switch lets it.
 */
import {isDeepStrictEqual} from 'node:util';
import {givingUpSilent} from '../../dns/silence.ts';
import type {Survey} from '../../dns/survey.ts';
import {PendingError} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem, type Result} from '../../domain/result.ts';
import type {Answers} from '../../flow/answers.ts';
import type {ApplyResult, Operations, PlanReady, StagedDomain, WorkEvent} from '../../flow/operations.ts';
import {NOTHING_TO_PROVE} from '../../proof/proof.ts';
import {
  type Due,
  due,
  entryFinder,
  entryName,
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
import {changeKeys, must, readKeys} from '../key-book.ts';
import {CHANGE_HELD_MS, createTurns, type Turns} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';
import {tried} from '../planning.ts';
import {checkStaged} from '../setup/enter.ts';
import {bookActive, createOperations, refused} from '../setup/operations.ts';
import {gatherFacts, readTime, withTtls} from './facts.ts';
import {HOOK_DIRECTORY, type HookEvent, type HookReport, runHooks} from './hooks.ts';
import {carryOutSwitch, planSwitch} from './switch.ts';

export interface RotationOptions extends WorkOptions {
  readonly hookDirectory?: AbsolutePath;
  /** What a hook of the administrator said. */
  readonly onHook?: (report: HookReport) => void;
}

type How = Parameters<Operations['watch']>[1];

/** How often a wait is shown anew where nobody counts it down. */
const SHOWN_MS = 10_000;

/** The operations of `waxseal rotate`; the lock of the host is taken for each act (docs/explanation/rotation.md). */
export function createRotation(given: Ports, options: RotationOptions): Operations {
  const ports = givingUpSilent(given);
  const turns = createTurns(ports, 'rotate');
  const base = createOperations(ports, {...options, newSelector: true}, turns);
  const rotation: Rotation = {ports, options, turns};
  const asked = new Set<string>();
  return {
    ...base,
    async watch(staged, how) {
      await turns.take(how.signal, () => noLongerStandby(ports, staged));
      await publishHooks(rotation, staged, asked, how.signal);
      return await watchUntilDue(rotation, base, staged, how);
    },
    plan: (answers, staged, _facts, signal) =>
      turns.take(signal, async own => {
        const kept = await checkStaged(ports, staged);
        return kept.ok ? await planRotation(ports, answers, staged, own) : kept;
      }),
    apply: (ready, staged, emit, signal) => applyRotation(rotation, ready, staged, emit, signal),
  };
}

/** One guided rotation: what it may use, and its turns with the lock. */
interface Rotation {
  readonly ports: Ports;
  readonly options: RotationOptions;
  readonly turns: Turns;
}

/**
 * Watches until every server has every record, and then until the scheduler lets the keys sign: until nobody can
 * remember any more that nothing was there. Ends early, not settled, where that moment lies behind the deadline.
 */
async function watchUntilDue(
  rotation: Rotation,
  base: Operations,
  staged: readonly StagedDomain[],
  how: How,
): Promise<readonly Survey[]> {
  const {ports} = rotation;
  const {clock} = ports;
  const until =
    how.deadlineMs === undefined ? Number.POSITIVE_INFINITY : clock.now().getTime() + how.deadlineMs;
  for (;;) {
    const left = Math.max(0, until - clock.now().getTime());
    const deadlineMs = Number.isFinite(left) ? left : undefined;
    const surveys = await base.watch(staged, {...how, deadlineMs, onSurvey: held(how.onSurvey)});
    if (surveys.some(({settled}) => !settled)) return surveys;
    const {waits} = await waitsOf(rotation, staged, how.signal);
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

interface Judged {
  /** What the scheduler says of each key; undefined for one that signs already. */
  readonly waits: readonly (Due | undefined)[];
  /** The keys that it was decided on. */
  readonly entries: readonly (KeyEntry | undefined)[];
  /** When the servers had answered. */
  readonly at: Date;
}

/** What the scheduler says of the keys. The DNS is asked without the lock; what is learned of time and TTL is written down. */
async function waitsOf(
  {ports, options, turns}: Rotation,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Judged> {
  const domains = new Set(staged.map(({domain}) => domain));
  const isOurs = (key: KeyEntry): boolean => domains.has(key.domain);
  const facts = await gatherFacts(ports, options, await readKeys(ports), isOurs, signal);
  const after = await turns.take(signal, async () => {
    const before = await readKeys(ports);
    const state = {...before, time: noteTime(before.time, await readTime(ports))};
    const noted = withTtls(state, facts);
    await saveState(ports.files, noted);
    return noted;
  });
  const own = {...after, keys: after.keys.filter(isOurs)};
  const [find, steps] = [entryFinder(own), new Map(due(own, facts).map(step => [entryName(step), step]))];
  const entries = staged.map(key => find(key));
  const waits = entries.map(entry =>
    entry === undefined || entry.state === 'active' ? undefined : steps.get(entryName(entry)),
  );
  return {waits, entries, at: facts.now};
}

/** Who asks for a rotation wants the key that stands by to sign now. */
async function noLongerStandby(ports: Ports, staged: readonly StagedDomain[]): Promise<void> {
  await changeKeys(ports, staged, (own, {domain, selector}) => {
    const entry = findEntry(own, domain, selector);
    if (entry?.standby !== true || !isComing(entry)) return own;
    const {standby: _no, ...rest} = entry;
    return must(putEntry(own, rest));
  });
}

/** The programs of the administrator are asked for each record once in a run, as `--advance` does. */
async function publishHooks(
  {ports, options, turns}: Rotation,
  staged: readonly StagedDomain[],
  asked: Set<string>,
  signal: AbortSignal,
): Promise<void> {
  for (const {domain, selector, record} of staged) {
    if (asked.has(record.absoluteName)) continue;
    asked.add(record.absoluteName);
    await turns.take(signal, async own => {
      const entry = findEntry(await readKeys(ports), domain, selector);
      if (entry?.state !== 'staged' && entry?.state !== 'pending') return;
      await hook(ports, options, 'publish', entry, own);
    });
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
  return await tried(ports, planned.value.plan, planned.value.change, staged, signal);
}

/** How old what the servers said may be when the switch rests on it. */
const FRESH_MS = 60_000;

/**
 * The plan may have been looked at for hours: whether the keys may sign is asked once more before anything is touched,
 * and again where another run had the lock meanwhile for long, or changed one of the keys.
 */
async function applyRotation(
  rotation: Rotation,
  ready: PlanReady,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<ApplyResult> {
  const {ports, turns} = rotation;
  for (;;) {
    const judged = await waitsOf(rotation, staged, signal);
    refuseEarly(judged);
    const result = await turns.take(
      signal,
      async own => {
        const kept = await checkStaged(ports, staged);
        if (!kept.ok) return refused(kept.problem);
        const find = entryFinder(await readKeys(ports));
        const isFresh = ports.clock.now().getTime() - judged.at.getTime() <= FRESH_MS;
        const isSame = isDeepStrictEqual(
          staged.map(key => find(key)),
          judged.entries,
        );
        return isFresh && isSame ? await switchGuided(rotation, ready, staged, emit, own) : undefined;
      },
      {boundMs: CHANGE_HELD_MS},
    );
    if (result !== undefined) return result;
  }
}

function refuseEarly({waits}: Judged): void {
  for (const step of waits) {
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
}

/** The caller holds the lock. */
async function switchGuided(
  {ports, options}: Rotation,
  ready: PlanReady,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<ApplyResult> {
  const {outcome, proof, run} = await carryOutSwitch(ports, options, ready, staged, emit, signal);
  if (outcome.result === 'nothing' && proof?.passed !== true) return unproven(proof);
  if (outcome.result !== 'nothing' && outcome.result !== 'applied') return resultOf(outcome);
  const result: ApplyResult = {
    applied: true,
    changed: ready.plan.steps.length > 0,
    proof: proof ?? NOTHING_TO_PROVE,
    interrupted: false,
  };
  const before = await readKeys(ports);
  const booked = await bookActive(ports, run, result, emit);
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
