/** Does whatever is due and needs nobody: `waxseal rotate --advance`. Each step is written down before the next begins. */
import {refuseDamagedNotes} from '../../doctor/notes.ts';
import {LockHeld} from '../../domain/errors.ts';
import {type Problem, problem} from '../../domain/result.ts';
import type {WorkEvent} from '../../flow/operations.ts';
import {findUnfinished} from '../../plan/index.ts';
import {
  type Due,
  due,
  entryFinder,
  findEntry,
  putEntry,
  type RotationFacts,
  type RotationState,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {recoverUnfinished} from '../change.ts';
import {disposeKeys} from '../dispose.ts';
import {FailedStep} from '../failed-step.ts';
import {changeKeys, must, readKeys} from '../key-book.ts';
import {rememberPublisher} from '../publishing.ts';
import {withTtls} from './facts.ts';
import type {HookReport} from './hooks.ts';
import {NOTES, noteSteps} from './notes.ts';
import {askOthers, runHook} from './publish-records.ts';
import {
  type AdvanceOptions,
  attempt,
  createRun,
  forget,
  isChosen,
  type Look,
  lookAgain,
  markOf,
  type Now,
  type Run,
  readState,
  turn,
  underLock,
} from './run.ts';
import {stageAll} from './stage-next.ts';
import {switchKeys, takeUp} from './switch.ts';

export interface AdvanceResult {
  /** What was done, in order; a sentence each. */
  readonly done: readonly string[];
  /** What comes next for each key, after it. */
  readonly due: readonly Due[];
  /** The keys that it was decided on. */
  readonly state: RotationState;
  readonly facts: RotationFacts;
  readonly hooks: readonly HookReport[];
  /** Records that the program in charge did not enter or withdraw: a person has to. */
  readonly refused: readonly Problem[];
  /** Steps that were tried and did not work; what was begun was put back. */
  readonly failed: readonly Problem[];
  /** Another run holds the lock, so the rest was left; what was done stays done. */
  readonly held?: Problem;
  readonly changed: boolean;
}

/** Rounds that act, at most: whatever else may be wrong, a run ends. */
const ROUNDS = 200;
/** Keys that begin to sign by one change; a host has one reload for so many. */
const SWITCHED = 500;

/**
 * One run. The DNS is looked at without the lock of the host; each act takes it for itself, and rests on a look that is at
 * most a minute old and on a key that nobody has changed since (docs/explanation/rotation.md, "Two runs at once").
 * Rejects with a ToolError only where nothing at all can be done; LockHeld where another run
 * is at work.
 */
export async function advance(
  ports: Ports,
  options: AdvanceOptions,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<AdvanceResult> {
  const run = createRun(ports, options, emit, signal);
  if (options.dryRun) await refuseDamagedNotes(ports);
  else await begin(run);
  return await toTheEnd(run);
}

/** What comes before the first look: a run that was cut off is put back, and the time is noted. */
async function begin(run: Run): Promise<void> {
  await turn(run, run.options.waits === true, async () => {
    await refuseDamagedNotes(run.ports);
    for (const unfinished of await findUnfinished(run.ports)) {
      const back = await recoverUnfinished(run.ports, unfinished, run.emit);
      if (back.failure !== undefined) throw new FailedStep(back.failure.problem);
      run.done.push(
        back.applied
          ? `Run ${unfinished.run} was cut off after it had destroyed or published a key; that stays.`
          : `Put back the run ${unfinished.run}, which was cut off.`,
      );
    }
    await rememberChoice(run);
    const state = await readState(run);
    if (state.keys.length > 0) await saveState(run.ports.files, state);
  });
}

async function rememberChoice(run: Run): Promise<void> {
  const {publish} = run.options;
  if (publish === undefined) return;
  const {keys} = await readKeys(run.ports);
  const domains = [...new Set(keys.map(({domain}) => domain))].filter(domain => isChosen(run, domain));
  await rememberPublisher(run.ports, domains, publish);
}

async function toTheEnd(run: Run): Promise<AdvanceResult> {
  const {dryRun} = run.options;
  for (let round = 0; ; round += 1) {
    run.signal.throwIfAborted();
    const look = await lookAgain(run);
    const all = due(look.state, look.facts).filter(step => isChosen(run, step.domain));
    const next = all.filter(step => step.act !== undefined && !run.tried.has(markOf(step)));
    let held: Problem | undefined;
    if (!dryRun) {
      try {
        if (next.length > 0 && round < ROUNDS) {
          await perform(run, look, next);
          continue;
        }
        if (await askOthers(run, look, all)) {
          forget(run);
          continue;
        }
      } catch (error) {
        // Another run came between two acts, and stays: what is left is its business, or the next run's.
        if (!(error instanceof LockHeld) || (run.done.length === 0 && run.hooks.length === 0)) throw error;
        held = problem(error.id, error.message, error.hint);
      }
    }
    return {
      ...{done: run.done, due: all, state: look.state, facts: look.facts, hooks: run.hooks},
      ...{refused: run.refused, failed: run.failed, changed: run.done.length > 0},
      ...(held === undefined ? {} : {held}),
    };
  }
}

/** Steps that are only notes are taken together; all switches are one change; the others go one after the other. */
async function perform(run: Run, look: Look, next: readonly Due[]): Promise<void> {
  const notes = next.filter(({act}) => act !== undefined && NOTES.has(act.do));
  if (notes.length > 0) return await underLock(run, look, notes, now => noteSteps(run, now));
  const switches = next.filter(({act}) => act?.do === 'switch');
  if (switches.length > 0) {
    const some = switches.slice(0, SWITCHED);
    await attempt(run, some, () => switchOver(run, look, some));
    return;
  }
  await stageAll(
    run,
    look,
    next.filter(({act}) => act?.do === 'stage'),
  );
  const ends = next.filter(({act}) => act?.do === 'destroy');
  if (ends.length > 0) {
    await attempt(run, ends, () => underLock(run, look, ends, now => destroyKeys(run, now)));
  }
}

async function switchOver(run: Run, look: Look, switches: readonly Due[]): Promise<void> {
  const coming = switches.flatMap(({domain, selector}) => findEntry(look.state, domain, selector) ?? []);
  const staged = await takeUp(run.ports, run.options, coming, run.signal);
  await underLock(run, look, switches, async ({state, facts, steps, signal}) => {
    const find = entryFinder(state);
    const keys = steps.flatMap(step => find(step) ?? []);
    await saveState(run.ports.files, withTtls(state, facts));
    const names = new Set(keys.map(({record}) => record.name));
    const chosen = staged.filter(({record}) => names.has(record.absoluteName));
    await switchKeys(run.ports, run.options, chosen, run.emit, signal);
    run.seenUses.look = undefined;
    forget(run);
    for (const step of steps) run.done.push(step.text);
    for (const key of keys) await runHook(run, 'activate', key, key.record.value, signal);
  });
}

/** Private keys of selectors that are gone, all in one change; each is asked about once more before it. */
async function destroyKeys(run: Run, {state, facts, steps, signal}: Now): Promise<void> {
  const find = entryFinder(state);
  const wanted = steps.flatMap(step => {
    const key = find(step);
    const {act, text} = step;
    return key === undefined || act?.do !== 'destroy' ? [] : [{key, evidence: act.evidence, text}];
  });
  const {publishDirectory} = facts.settings;
  const ended = await disposeKeys(run.ports, wanted, publishDirectory, run.emit, signal);
  const gone = ended.flatMap(each => ('refused' in each ? [] : [{...each, domain: each.key.domain}]));
  await changeKeys(run.ports, gone, (own, {key, evidence}) => {
    const {
      stagedPath: _staged,
      keyPath: _path,
      ...rest
    } = must(transition(key, 'removed', evidence, facts.now));
    return must(putEntry(own, rest));
  });
  run.done.push(...gone.map(({said}) => said));
  run.failed.push(...ended.flatMap(each => ('refused' in each ? [each.refused] : [])));
}
