/** Has records entered, emptied and deleted, by the program in charge or by the hooks. */
import {nameOfPublisher, type PublishChoice} from '../../dns/publish/index.ts';
import {fail, type Result} from '../../domain/result.ts';
import {
  type Due,
  entryFinder,
  findEntry,
  type KeyEntry,
  type RotationFacts,
  type RotationState,
} from '../../rotation/index.ts';
import {readKeys} from '../key-book.ts';
import {enterRecord, revoking, withdrawRecord} from '../publishing.ts';
import {HOOK_DIRECTORY, type HookEvent, runHooks} from './hooks.ts';
import {isSame, type Look, problemOf, type Run, turn, usesNow} from './run.ts';
import {revokedRecord} from './switch.ts';
import {isOver, publisherFor, WISHED, type Wish, wishOf} from './wishes.ts';

/** True where somebody changed a record: then it is worth looking again. */
export async function askOthers(run: Run, {state, facts}: Look, all: readonly Due[]): Promise<boolean> {
  return (await publishRecords(run, state, facts, all)) || (await remindHooks(run, state, facts, all));
}

/** True where a record was entered or withdrawn: then it is worth looking again. */
async function publishRecords(
  run: Run,
  state: RotationState,
  facts: RotationFacts,
  all: readonly Due[],
): Promise<boolean> {
  let isDone = false;
  const find = entryFinder(state);
  for (const step of all) {
    const key = find(step);
    const wish = key === undefined ? undefined : wishOf(key, step, facts);
    if (key === undefined || wish === undefined) continue;
    const choice = publisherFor(state, run.options, key.domain);
    if (choice === undefined) continue;
    isDone = (await publishOne(run, choice, key, wish)) || isDone;
  }
  return isDone;
}

async function publishOne(run: Run, choice: PublishChoice, key: KeyEntry, wish: Wish): Promise<boolean> {
  const {name, value} = key.record;
  const mark = `publisher ${wish} ${name}`;
  if (run.tried.has(mark)) return false;
  run.tried.add(mark);
  const wanted = {domain: key.domain, selector: key.selector, name, value};
  const record = wish === 'revoke' ? revoking(wanted, key.algorithm) : wanted;
  const change = (signal: AbortSignal): Promise<Result<unknown>> =>
    (wish === 'withdraw' ? withdrawRecord : enterRecord)(run.ports, run.options, choice, record, signal);
  const made = await whileSame(run, key, wish !== 'enter', change).catch((error: unknown) =>
    fail(problemOf(run, error)),
  );
  // Somebody has changed the key: it is looked at again, and what it needs now may be something else.
  if (made === undefined) return true;
  if (!made.ok) {
    run.refused.push(made.problem);
    return false;
  }
  run.done.push(`${WISHED[wish]} by ${nameOfPublisher(choice)}: ${name}.`);
  return true;
}

/** What a person would be asked for in the DNS, hooks are asked for first; again in each run until it is seen. */
async function remindHooks(
  run: Run,
  state: RotationState,
  facts: RotationFacts,
  all: readonly Due[],
): Promise<boolean> {
  let ran = false;
  const find = entryFinder(state);
  for (const step of all) {
    const key = find(step);
    if (key === undefined || step.waitsFor !== 'person' || facts.inUse.has(key.record.name)) continue;
    const seen = facts.records.get(key.record.name)?.seen;
    if (isOver(key, seen)) continue;
    if (key.state === 'pending') {
      ran = (await callHook(run, 'publish', key, key.record.value)) || ran;
    } else if (key.state === 'retiring' && key.withdrawal !== undefined) {
      ran = (await callHook(run, 'retire', key, revokedRecord(key).value)) || ran;
    } else if (key.state === 'revoked') {
      const event = seen === 'key' ? 'retire' : 'remove';
      ran = (await callHook(run, event, key, revokedRecord(key).value)) || ran;
    }
  }
  return ran;
}

/** True where a hook ran well: then it is worth looking again. */
async function callHook(run: Run, event: HookEvent, key: KeyEntry, value: string): Promise<boolean> {
  const mark = `hook ${event} ${key.record.name}`;
  if (run.tried.has(mark)) return false;
  run.tried.add(mark);
  return (
    (await whileSame(run, key, event === 'retire' || event === 'remove', signal =>
      runHook(run, event, key, value, signal),
    )) ?? true
  );
}

/** The caller holds the lock. */
export async function runHook(
  run: Run,
  event: HookEvent,
  key: KeyEntry,
  value: string,
  signal: AbortSignal,
): Promise<boolean> {
  const folder = run.options.hookDirectory ?? HOOK_DIRECTORY;
  const reports = await runHooks(run.ports, folder, event, key, value, signal);
  run.hooks.push(...reports);
  return reports.some(({ok}) => ok);
}

/** Has a program run while the lock is held; undefined where the key is not as it was, or is used again. */
async function whileSame<T>(
  run: Run,
  key: KeyEntry,
  givesUp: boolean,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  return await turn(run, true, async signal => {
    const state = await readKeys(run.ports);
    const now = findEntry(state, key.domain, key.selector);
    if (now === undefined || !isSame(now, key)) return undefined;
    if (givesUp && (await usesNow(run, state, signal)).inUse.has(key.record.name)) return undefined;
    return await work(signal);
  });
}
