import {ChangeFailed, HostError, Interrupted, RollbackIncomplete, ToolError} from '../domain/errors.ts';
import {type Problem, problem, type Result} from '../domain/result.ts';
import type {ProofReport} from '../proof/proof.ts';
import {isFinal, type Step} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {carryOut, carryOutNew, makesSomethingNew} from './carry-out.ts';
import {refuseUnchangeable} from './changeable.ts';
import {carryOutFinal, keyPathOf, type LeftStep, settleFinal} from './final.ts';
import {
  beginJournal,
  entriesOf,
  type Journal,
  type RunMark,
  readJournal,
  releaseReserve,
  statusOf,
} from './journal.ts';
import {attributesOf} from './observe.ts';
import type {ApplyEvent, Plan, RunId} from './plan.ts';
import {dropBackups, type PutBack, putBack} from './put-back.ts';
import {isUnfinished, listRuns, pruneRuns} from './runs.ts';
import type {Ready} from './service-state.ts';
import {findStale, hasPath, type StaleStep} from './staleness.ts';

export interface ApplyHooks {
  /** Proves the candidate configuration aside, before anything live is touched. */
  preflight?(): Promise<Result<unknown>>;
  /** Proves the live host after the last step. A report that has not passed takes everything back. */
  proof(): Promise<ProofReport>;
  /** Whether a service is as its step wants it, looked at once; it is asked again and again. */
  readonly ready: Ready;
}

export type ApplyOutcome =
  | {
      readonly result: 'applied';
      readonly run: RunId;
      readonly proof: ProofReport;
      /** Irreversible steps that found another file than they were made for, and left it. */
      readonly left?: readonly LeftStep[];
    }
  /** The plan is empty, or this very plan has been applied already. */
  | {readonly result: 'nothing'}
  /** Nothing was touched. `stale` says what has changed since the plan was made. */
  | {readonly result: 'refused'; readonly error: ToolError; readonly stale: readonly StaleStep[]}
  /** Everything was put back: ChangeFailed (exit 6) or Interrupted (130, 143). */
  | {
      readonly result: 'rolled-back';
      readonly run: RunId;
      readonly error: ToolError;
      readonly proof?: ProofReport;
      /** Where edits are kept that somebody else made meanwhile. */
      readonly kept: readonly string[];
    }
  /** Not everything could be put back (exit 7); `error.remains` names what. */
  | {
      readonly result: 'incomplete';
      readonly run: RunId;
      readonly error: RollbackIncomplete;
      readonly proof?: ProofReport;
      readonly kept: readonly string[];
    };

/**
 * Carries out a plan, proves it, and takes everything back where a step, the proof or `signal` says no. The invariant
 * is in docs/explanation/safety.md. Resolves for everything that a person can act on; rejects only for faults of the
 * program, after putting back what could be put back. The caller holds the lock of the host.
 */
export async function applyPlan(
  ports: Ports,
  plan: Plan,
  hooks: ApplyHooks,
  emit: (event: ApplyEvent) => void,
  signal: AbortSignal,
): Promise<ApplyOutcome> {
  if (plan.steps.length === 0) return {result: 'nothing'};
  const closed = await orRefused(signal, () => gate(ports, plan, hooks, signal));
  if (closed !== undefined) return closed;
  await pruneRuns(ports);
  const journal = await orRefused(signal, () => beginJournal(ports, plan));
  return 'result' in journal ? journal : await run(ports, plan, journal, hooks, emit, signal);
}

type Refused = Extract<ApplyOutcome, {result: 'refused'}>;

/** Before the first change every error that a person can act on is a refusal. */
async function orRefused<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | Refused> {
  try {
    return await work();
  } catch (error) {
    const known = asToolError(error, signal);
    if (known === undefined) throw error;
    return {result: 'refused', error: known, stale: []};
  }
}

/** Everything that can be known before the first change; `undefined` where nothing speaks against it. */
async function gate(
  ports: Ports,
  plan: Plan,
  hooks: ApplyHooks,
  signal: AbortSignal,
): Promise<Extract<ApplyOutcome, {result: 'refused' | 'nothing'}> | undefined> {
  signal.throwIfAborted();
  if (!ports.process.privileged) {
    throw new HostError(
      problem('host.not-root', 'Changing a mail host needs root.', 'Run it again with sudo.'),
    );
  }
  const unfinished = (await listRuns(ports)).find(isUnfinished);
  if (unfinished !== undefined) throw unfinishedError(unfinished.run);
  const status = statusOf(await readJournal(ports, plan.id));
  if (status === 'applied') return {result: 'nothing'};
  if (status !== undefined) throw usedError(plan.id);
  if (!plan.steps.some(step => step.kind === 'package')) await knowOwners(ports, plan);
  const stale = await findStale(ports, plan);
  if (stale.length > 0) return {result: 'refused', error: staleError(stale), stale};
  await refuseUnchangeable(ports.files, [
    ...plan.steps.filter(hasPath),
    ...plan.steps
      .filter(isFinal)
      .map(({kind, path}) => ({path, before: {state: kind === 'dispose' ? 'present' : 'absent'}}) as const),
  ]);
  const ready = await hooks.preflight?.();
  signal.throwIfAborted();
  if (ready?.ok === false) throw new ChangeFailed(ready.problem);
  return undefined;
}

/** Without a package that could bring them, every owner must be there before the first change. */
async function knowOwners(ports: Ports, plan: Plan): Promise<void> {
  for (const step of plan.steps) {
    if (step.kind === 'file') await attributesOf(ports.users, step.after.owner, step.after.mode);
    if (step.kind === 'directory') await attributesOf(ports.users, step.owner, step.mode);
  }
}

async function run(
  ports: Ports,
  plan: Plan,
  journal: Journal,
  hooks: ApplyHooks,
  emit: (event: ApplyEvent) => void,
  signal: AbortSignal,
): Promise<ApplyOutcome> {
  let proof: ProofReport | undefined;
  let current = '';
  try {
    const of = plan.steps.length;
    const work = {ports, journal, ready: hooks.ready, signal};
    let index = 0;
    const around = {
      started(step: Step): void {
        signal.throwIfAborted();
        index += 1;
        current = step.id;
        emit({type: 'step-started', step: step.id, index, of});
      },
      done(step: Step): void {
        emit({type: 'step-done', step: step.id, index, of});
        current = '';
      },
    };
    const finals = plan.steps.filter(isFinal);
    for (const group of groupsOf(plan.steps.filter(step => !isFinal(step)))) {
      const fresh = group.filter(makesSomethingNew);
      if (fresh.length > 1) {
        await carryOutNew(work, fresh, around);
        continue;
      }
      for (const step of group) {
        around.started(step);
        await carryOut(work, step);
        around.done(step);
      }
    }
    signal.throwIfAborted();
    emit({type: 'proof-started'});
    proof = await hooks.proof();
    signal.throwIfAborted();
    if (!proof.passed) throw new ChangeFailed(proofProblem(proof));
    const left: LeftStep[] = [];
    const held = new Set<string>();
    for (const step of finals) {
      if (step.kind === 'dispose' && held.has(step.fingerprint)) continue;
      around.started(step);
      const one = await carryOutFinal(ports, journal, step);
      if (one === undefined) around.done(step);
      else left.push(one);
      // A key that was to be published and is not stays where it is.
      if (one !== undefined && step.kind === 'reveal') held.add(step.fingerprint);
    }
    current = '';
    await journal.write({run: 'applied'});
    await releaseReserve(ports, plan.id);
    emit({type: 'proof-done'});
    return {result: 'applied', run: plan.id, proof, ...(finals.length === 0 ? {} : {left})};
  } catch (error) {
    const known = asToolError(error, signal);
    const message = known?.message ?? 'A fault in waxseal.';
    if (current !== '') {
      emit({type: 'step-failed', step: current, message});
      // The disk may be what failed; the journal then ends at the last intent, which is enough to go back.
      await journal.write({mark: 'failed', step: current, message}).catch(() => undefined);
    }
    emit({type: 'rolling-back', because: message});
    const back = await takeBack(ports, journal, hooks.ready, emit, 'rolled-back');
    if (known === undefined) throw error;
    if (back.passed !== undefined && proof !== undefined) return stopped(ports, plan, journal, proof, known);
    const shown = proof === undefined ? {} : {proof};
    return back.whole
      ? {result: 'rolled-back', run: plan.id, error: putBackError(known), kept: back.kept, ...shown}
      : {
          result: 'incomplete',
          run: plan.id,
          error: incompleteError(plan.id, known, back),
          kept: back.kept,
          ...shown,
        };
  }
}

/** A run that was stopped behind its point of no return: what had happened stays, and the rest is left. */
async function stopped(
  ports: Ports,
  plan: Plan,
  journal: Journal,
  proof: ProofReport,
  because: ToolError,
): Promise<ApplyOutcome> {
  const passed = new Set(
    entriesOf(await readJournal(ports, journal.run))
      .filter(({undo, done}) => undo.kind === 'final' && done)
      .map(({step}) => step),
  );
  const left = plan.steps
    .filter(isFinal)
    .filter(step => !passed.has(step.id))
    .map(step => ({step: step.id, path: keyPathOf(step), why: `was left: ${because.message}`}));
  return {result: 'applied', run: plan.id, proof, left};
}

/** Steps in a row that only add are one group; every other step is one of its own. */
function groupsOf(steps: readonly Step[]): readonly (readonly Step[])[] {
  const groups: Step[][] = [];
  for (const step of steps) {
    const last = groups.at(-1);
    if (makesSomethingNew(step) && last?.every(makesSomethingNew) === true) last.push(step);
    else groups.push([step]);
  }
  return groups;
}

/**
 * Takes back what the journal of a run tells, and closes it with `end` where that worked whole. A run that has destroyed or
 * published a key is closed as applied instead: behind that point nothing is taken back.
 */
export async function takeBack(
  ports: Ports,
  journal: Journal,
  ready: Ready,
  emit: (event: ApplyEvent) => void,
  end: Extract<RunMark, 'rolled-back' | 'undone'>,
): Promise<PutBack> {
  await releaseReserve(ports, journal.run);
  const back = await putBackWhatIsTold(ports, journal, ready, emit);
  const mark = back.passed === undefined ? end : 'applied';
  const closed = back.whole ? await close(ports, journal, mark, back) : back;
  emit({type: 'rolled-back', whole: closed.whole, remains: closed.remains});
  return closed;
}

async function putBackWhatIsTold(
  ports: Ports,
  journal: Journal,
  ready: Ready,
  emit: (event: ApplyEvent) => void,
): Promise<PutBack> {
  try {
    const entries = entriesOf(await readJournal(ports, journal.run));
    const passed = await settleFinal(ports, journal, entries);
    // Behind the point of no return the proof has passed: the rest of the run stays as it was proven.
    if (passed.length > 0) return {whole: true, remains: [], kept: [], passed};
    return await putBack({ports, journal, ready, emit}, entries);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // Without its journal nothing is known; what it says on the disk is for the next start.
    return {whole: false, remains: [error.message], kept: []};
  }
}

async function close(ports: Ports, journal: Journal, end: RunMark, back: PutBack): Promise<PutBack> {
  try {
    await journal.write({run: end});
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    // The host is back, but the next start would not know it and look again: harmless, and said.
    return {...back, whole: false, remains: [`${error.message} The host itself is as it was.`]};
  }
  // Only tidiness: a copy that cannot be removed is readable for root alone.
  await dropBackups(ports, journal).catch(() => undefined);
  return back;
}

/** The error as a person can act on it; `undefined` for a fault of the program. */
function asToolError(error: unknown, signal: AbortSignal): ToolError | undefined {
  if (error instanceof ToolError) return error;
  if (!signal.aborted) return undefined;
  const {reason} = signal;
  if (reason instanceof ToolError) return reason;
  return new Interrupted(problem('run.interrupted', 'You stopped the run.', 'Run waxseal again to go on.'));
}

function putBackError(because: ToolError): ToolError {
  const message = `${because.message} Everything was put back.`;
  const told = problem(because.id, message, because.hint);
  return because instanceof Interrupted
    ? new Interrupted(told, because.exitCode)
    : new ChangeFailed(told, {cause: because});
}

export const incompleteError = (run: RunId, because: ToolError, back: PutBack): RollbackIncomplete =>
  new RollbackIncomplete(
    problem(
      'rollback.incomplete',
      `${because.message} Not everything could be put back.`,
      `Do what is named, then run waxseal again: it finishes the rest of run ${run}.`,
    ),
    back.remains,
    {cause: because},
  );

export const unfinishedError = (run: RunId): HostError =>
  new HostError(
    problem(
      'run.unfinished',
      `Run ${run} was cut off before its end.`,
      'Run waxseal undo: it puts back what that run changed.',
    ),
  );

const usedError = (run: RunId): HostError =>
  new HostError(
    problem('plan.used', `The plan ${run} was tried already.`, 'Run waxseal again; it makes a new plan.'),
  );

function staleError(stale: readonly StaleStep[]): ChangeFailed {
  const names = stale.map(step => `${step.path}: ${step.change}`).join(' ');
  return new ChangeFailed(
    problem(
      'plan.stale',
      `The host has changed since the plan was made; nothing was touched. ${names}`,
      'Run waxseal again; it makes a new plan.',
    ),
  );
}

function proofProblem(proof: ProofReport): Problem {
  const failed = proof.checks.find(check => check.status === 'fail');
  const because =
    failed === undefined ? 'No check passed' : `${failed.title}: ${failed.cause || failed.evidence}`;
  return problem(
    'proof.failed',
    `The live test did not pass. ${because}.`.replace(/\.\.$/, '.'),
    failed?.fix ?? '',
  );
}
