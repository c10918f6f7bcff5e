/** One run of a rotation: what it has seen and done so far, and the lock under which each act is taken. */
import {isDeepStrictEqual} from 'node:util';
import type {PublishChoice} from '../../dns/publish/index.ts';
import {createSilence, type Silence} from '../../dns/silence.ts';
import {LockHeld, ToolError} from '../../domain/errors.ts';
import type {DnsName, DomainName} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import type {WorkEvent} from '../../flow/operations.ts';
import {
  type Due,
  due,
  type KeyEntry,
  noteTime,
  type RecordFacts,
  type RotationFacts,
  type RotationState,
  type SilentFacts,
} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from '../key-book.ts';
import {keysInUse, type SeenUses} from '../key-uses.ts';
import {inTurn} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';
import {gatherFacts, type QueueMemory, readTime} from './facts.ts';
import type {HookReport} from './hooks.ts';

export interface AdvanceOptions extends WorkOptions {
  /** Only these; undefined for all. */
  readonly domains: readonly DomainName[] | undefined;
  readonly dryRun: boolean;
  /** The run is the end of another change: it waits for a run that has come between, also at its beginning. */
  readonly waits?: boolean;
  /** Of a dry run: what would be written down before anything else. */
  readonly supposed?: (state: RotationState) => RotationState;
  /** A next key is published in advance, whatever rotation.conf says. */
  readonly standby?: boolean;
  readonly hookDirectory?: AbsolutePath;
  /** Enters and withdraws records instead of the program that is remembered; remembered from then on. */
  readonly publish?: PublishChoice;
  /** What becomes of the private key of a removed selector, instead of what rotation.conf says. */
  readonly disposal?: 'shred' | 'publish';
}

/** What the parts of a run share. */
export interface Run {
  readonly ports: Ports;
  readonly silence: Silence;
  readonly options: AdvanceOptions;
  readonly emit: (event: WorkEvent) => void;
  readonly signal: AbortSignal;
  readonly done: string[];
  readonly hooks: HookReport[];
  readonly failed: Problem[];
  readonly refused: Problem[];
  /** Steps that failed, and hooks that ran: neither is tried twice in one run. */
  readonly tried: Set<string>;
  /** What the servers said in this run, of records that nothing was done to since. */
  readonly seen: Map<DnsName, Seen>;
  readonly silent: Map<string, SilentFacts>;
  readonly queueMemory: QueueMemory;
  /** What key files of the host held, by what they were: no file is read twice in a run to tell who uses a key. */
  readonly seenUses: SeenUses;
}

export function createRun(
  ports: Ports,
  options: AdvanceOptions,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Run {
  const silence = createSilence(ports, signal);
  return {
    ...{ports: {...ports, dns: silence.dns}, silence, options, emit, signal},
    ...{done: [], hooks: [], failed: [], refused: [], tried: new Set(), seen: new Map(), silent: new Map()},
    ...{queueMemory: {}, seenUses: {keys: new Map()}},
  };
}

/** How old what the servers said of a record may be when a step rests on it. */
const FRESH_MS = 60_000;

/** What one round decided on. */
export interface Look {
  readonly state: RotationState;
  readonly facts: RotationFacts;
}

/** What the servers said of a record, and the key as it was then. */
interface Seen {
  readonly record: RecordFacts;
  readonly key: KeyEntry;
}

/** What is true while the lock is held for some steps. */
export interface Now extends Look {
  readonly steps: readonly Due[];
  readonly signal: AbortSignal;
}

export const isSame = (one: KeyEntry, other: KeyEntry): boolean => isDeepStrictEqual(one, other);

export const markOf = (step: Due): string =>
  `${step.act?.do ?? ''} ${step.selector}._domainkey.${step.domain}`;

export function isChosen(run: Run, domain: DomainName): boolean {
  return run.options.domains?.includes(domain) ?? true;
}

/** Work under the lock of the host. */
export async function turn<T>(
  run: Run,
  wait: boolean,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return await inTurn(run.ports, run.signal, wait, work);
}

/** The keys as they are written down now, and what the clock shows. */
export async function readState(run: Run): Promise<RotationState> {
  const state = await readKeys(run.ports);
  return {...state, time: noteTime(state.time, await readTime(run.ports))};
}

/** Every record is asked for once, and again when something was done to it or to its key. No lock is held. */
export async function lookAgain(run: Run): Promise<Look> {
  const {dryRun, supposed, disposal, standby} = run.options;
  const read = await readState(run);
  const state = dryRun && supposed !== undefined ? supposed(read) : read;
  for (const key of state.keys) {
    const seen = run.seen.get(key.record.name);
    if (seen !== undefined && !isSame(seen.key, key)) run.seen.delete(key.record.name);
  }
  const gathered = await gatherFacts(
    run.ports,
    {...run.options, seenUses: run.seenUses, queueMemory: run.queueMemory},
    state,
    key => isChosen(run, key.domain) && !run.seen.has(key.record.name),
    run.signal,
    run.silence,
  );
  const {records: found, silent = [], ...facts} = gathered;
  for (const key of state.keys) {
    const record = found.get(key.record.name);
    if (record !== undefined) run.seen.set(key.record.name, {record, key});
  }
  for (const server of silent) {
    const name = `${server.address} ${server.port}`;
    const before = run.silent.get(name)?.records ?? 0;
    run.silent.set(name, {...server, records: before + server.records});
  }
  const settings = {
    ...facts.settings,
    ...(disposal === undefined ? {} : {disposal}),
    ...(standby === true ? {standby} : {}),
  };
  const records = new Map([...run.seen].map(([name, {record}]) => [name, record]));
  const given = run.silent.size === 0 ? {} : {silent: [...run.silent.values()]};
  return {state, facts: {...facts, ...given, settings, records}};
}

/** Every record is asked for again in the next look. */
export function forget(run: Run): void {
  run.seen.clear();
  run.silent.clear();
}

/**
 * Takes the lock for one act. The keys are read again under it: a step is taken only where it is still due by a record
 * seen at most a minute ago, of a key that is as it was when it was seen. The others come again in the next round.
 */
export async function underLock(
  run: Run,
  look: Look,
  steps: readonly Due[],
  work: (now: Now) => Promise<void>,
): Promise<void> {
  await turn(run, true, async signal => {
    const state = await readState(run);
    const known = stillKnown(run, look, state, steps);
    // Giving a record up rests on who uses its key now, not a minute ago.
    const isEnd = steps.some(({act}) => act?.do === 'withdraw');
    const facts = isEnd ? {...known, ...(await usesNow(run, state, signal))} : known;
    const domains = new Set(steps.map(({domain}) => domain));
    const own = {...state, keys: state.keys.filter(({domain}) => domains.has(domain))};
    const marks = new Set(steps.map(markOf));
    const still = due(own, facts).filter(step => marks.has(markOf(step)));
    const left = new Set(still.map(markOf));
    for (const step of steps) if (!left.has(markOf(step))) run.tried.delete(markOf(step));
    if (still.length > 0) await work({state, facts, steps: still, signal});
  });
}

/** Who signs with which key now: files are read again where they have changed. */
export function usesNow(run: Run, state: RotationState, signal: AbortSignal): ReturnType<typeof keysInUse> {
  return keysInUse(run.ports, state, signal, {keys: run.seenUses.keys});
}

/** What a step may rest on now; what is too old is looked at again in the next round. */
function stillKnown(run: Run, look: Look, state: RotationState, steps: readonly Due[]): RotationFacts {
  const now = run.ports.clock.now();
  const domains = new Set(steps.map(({domain}) => domain));
  const records = new Map<DnsName, RecordFacts>();
  for (const key of state.keys.filter(({domain}) => domains.has(domain))) {
    const {name} = key.record;
    const seen = run.seen.get(name);
    if (seen === undefined) continue;
    const isFresh = now.getTime() - (seen.record.at ?? 0) <= FRESH_MS;
    if (isFresh && isSame(seen.key, key)) records.set(name, seen.record);
    else run.seen.delete(name);
  }
  return {...look.facts, now, records};
}

/** What fails is told, and not tried again in this run; the other steps go on. */
export async function attempt(run: Run, steps: readonly Due[], work: () => Promise<void>): Promise<void> {
  for (const step of steps) run.tried.add(markOf(step));
  try {
    await work();
  } catch (error) {
    run.failed.push(problemOf(run, error));
  }
}

/** What a step failed of; throws what ends the run. */
export function problemOf(run: Run, error: unknown): Problem {
  if (!(error instanceof ToolError) || error instanceof LockHeld || run.signal.aborted) throw error;
  return problem(error.id, error.message, error.hint);
}
