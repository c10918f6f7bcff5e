/** Does whatever is due and needs nobody: `waxseal rotate --advance`. Each step is written down before the next begins. */
import {isDeepStrictEqual} from 'node:util';
import {nameOfPublisher, type PublishChoice} from '../../dns/publish/index.ts';
import {createSilence, type Silence} from '../../dns/silence.ts';
import {refuseDamagedNotes} from '../../doctor/notes.ts';
import {LockHeld, ToolError} from '../../domain/errors.ts';
import type {DnsName, DomainName} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {fail, type Problem, problem, type Result} from '../../domain/result.ts';
import type {WorkEvent} from '../../flow/operations.ts';
import {findUnfinished} from '../../plan/index.ts';
import {
  type Act,
  type Due,
  due,
  entryFinder,
  findEntry,
  isComing,
  type KeyEntry,
  noteTime,
  publisherOf,
  putEntry,
  type RecordFacts,
  type RotationFacts,
  type RotationState,
  type SilentFacts,
  saveState,
  transition,
} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import {recoverUnfinished} from '../change.ts';
import {disposeKeys} from '../dispose.ts';
import {FailedStep} from '../failed-step.ts';
import {changeEach, must, readKeys} from '../key-book.ts';
import {keysInUse, type SeenUses} from '../key-uses.ts';
import {inTurn} from '../lock-turns.ts';
import type {WorkOptions} from '../options.ts';
import {enterRecord, rememberPublisher, revoking, withdrawRecord} from '../publishing.ts';
import {gatherFacts, type QueueMemory, readTime} from './facts.ts';
import {HOOK_DIRECTORY, type HookEvent, type HookReport, runHooks} from './hooks.ts';
import {groupsOf, makeKeys, type NextKey, prepareKeys} from './stage.ts';
import {revokedRecord, switchKeys, takeUp} from './switch.ts';

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
/** How old what the servers said of a record may be when a step rests on it. */
const FRESH_MS = 60_000;

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
  const silence = createSilence(ports, signal);
  const run = new Run({...ports, dns: silence.dns}, silence, options, emit, signal);
  if (options.dryRun) await refuseDamagedNotes(ports);
  else await run.begin();
  return await run.toTheEnd();
}

/** What one round decided on. */
interface Look {
  readonly state: RotationState;
  readonly facts: RotationFacts;
}

/** What the servers said of a record, and the key as it was then. */
interface Seen {
  readonly record: RecordFacts;
  readonly key: KeyEntry;
}

/** One run with what it has done so far. */
class Run {
  readonly #ports: Ports;
  readonly #silence: Silence;
  readonly #options: AdvanceOptions;
  readonly #emit: (event: WorkEvent) => void;
  readonly #signal: AbortSignal;
  readonly #done: string[] = [];
  readonly #hooks: HookReport[] = [];
  readonly #failed: Problem[] = [];
  readonly #refused: Problem[] = [];
  /** Steps that failed, and hooks that ran: neither is tried twice in one run. */
  readonly #tried = new Set<string>();
  /** What the servers said in this run, of records that nothing was done to since. */
  readonly #seen = new Map<DnsName, Seen>();
  readonly #silent = new Map<string, SilentFacts>();
  /** What key files of the host held, by what they were: no file is read twice in a run to tell who uses a key. */
  readonly #queueMemory: QueueMemory = {};
  readonly #seenUses: SeenUses = {keys: new Map()};

  constructor(
    ports: Ports,
    silence: Silence,
    options: AdvanceOptions,
    emit: (event: WorkEvent) => void,
    signal: AbortSignal,
  ) {
    this.#ports = ports;
    this.#silence = silence;
    this.#options = options;
    this.#emit = emit;
    this.#signal = signal;
  }

  /** What comes before the first look: a run that was cut off is put back, and the time is noted. */
  async begin(): Promise<void> {
    await this.#turn(this.#options.waits === true, async () => {
      await refuseDamagedNotes(this.#ports);
      for (const unfinished of await findUnfinished(this.#ports)) {
        const back = await recoverUnfinished(this.#ports, unfinished, this.#emit);
        if (back.failure !== undefined) throw new FailedStep(back.failure.problem);
        this.#done.push(
          back.applied
            ? `Run ${unfinished.run} was cut off after it had destroyed or published a key; that stays.`
            : `Put back the run ${unfinished.run}, which was cut off.`,
        );
      }
      await this.#remember();
      const state = await this.#read();
      if (state.keys.length > 0) await saveState(this.#ports.files, state);
    });
  }

  async #turn<T>(wait: boolean, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return await inTurn(this.#ports, this.#signal, wait, work);
  }

  async #remember(): Promise<void> {
    const {publish} = this.#options;
    if (publish === undefined) return;
    const {keys} = await readKeys(this.#ports);
    const domains = [...new Set(keys.map(({domain}) => domain))].filter(domain => this.#isChosen(domain));
    await rememberPublisher(this.#ports, domains, publish);
  }

  async toTheEnd(): Promise<AdvanceResult> {
    const {dryRun} = this.#options;
    for (let round = 0; ; round += 1) {
      this.#signal.throwIfAborted();
      const look = await this.#look();
      const all = due(look.state, look.facts).filter(step => this.#isChosen(step.domain));
      const next = all.filter(step => step.act !== undefined && !this.#tried.has(markOf(step)));
      let held: Problem | undefined;
      if (!dryRun) {
        try {
          if (next.length > 0 && round < ROUNDS) {
            await this.#perform(look, next);
            continue;
          }
          if (await this.#askOthers(look, all)) {
            this.#forget();
            continue;
          }
        } catch (error) {
          // Another run came between two acts, and stays: what is left is its business, or the next run's.
          if (!(error instanceof LockHeld) || (this.#done.length === 0 && this.#hooks.length === 0))
            throw error;
          held = problem(error.id, error.message, error.hint);
        }
      }
      return {
        ...{done: this.#done, due: all, state: look.state, facts: look.facts, hooks: this.#hooks},
        ...{refused: this.#refused, failed: this.#failed, changed: this.#done.length > 0},
        ...(held === undefined ? {} : {held}),
      };
    }
  }

  /** True where somebody changed a record: then it is worth looking again. */
  async #askOthers({state, facts}: Look, all: readonly Due[]): Promise<boolean> {
    return (await this.#publishRecords(state, facts, all)) || (await this.#remindHooks(state, facts, all));
  }

  #isChosen(domain: DomainName): boolean {
    return this.#options.domains?.includes(domain) ?? true;
  }

  /** The keys as they are written down now, and what the clock shows. */
  async #read(): Promise<RotationState> {
    const state = await readKeys(this.#ports);
    return {...state, time: noteTime(state.time, await readTime(this.#ports))};
  }

  /** Every record is asked for once, and again when something was done to it or to its key. No lock is held. */
  async #look(): Promise<Look> {
    const {dryRun, supposed, disposal, standby} = this.#options;
    const read = await this.#read();
    const state = dryRun && supposed !== undefined ? supposed(read) : read;
    for (const key of state.keys) {
      const seen = this.#seen.get(key.record.name);
      if (seen !== undefined && !isSame(seen.key, key)) this.#seen.delete(key.record.name);
    }
    const gathered = await gatherFacts(
      this.#ports,
      {...this.#options, seenUses: this.#seenUses, queueMemory: this.#queueMemory},
      state,
      key => this.#isChosen(key.domain) && !this.#seen.has(key.record.name),
      this.#signal,
      this.#silence,
    );
    const {records: found, silent = [], ...facts} = gathered;
    for (const key of state.keys) {
      const record = found.get(key.record.name);
      if (record !== undefined) this.#seen.set(key.record.name, {record, key});
    }
    for (const server of silent) {
      const name = `${server.address} ${server.port}`;
      const before = this.#silent.get(name)?.records ?? 0;
      this.#silent.set(name, {...server, records: before + server.records});
    }
    const settings = {
      ...facts.settings,
      ...(disposal === undefined ? {} : {disposal}),
      ...(standby === true ? {standby} : {}),
    };
    const records = new Map([...this.#seen].map(([name, {record}]) => [name, record]));
    const given = this.#silent.size === 0 ? {} : {silent: [...this.#silent.values()]};
    return {state, facts: {...facts, ...given, settings, records}};
  }

  #forget(): void {
    this.#seen.clear();
    this.#silent.clear();
  }

  /** Steps that are only notes are taken together; all switches are one change; the others go one after the other. */
  async #perform(look: Look, next: readonly Due[]): Promise<void> {
    const notes = next.filter(({act}) => act !== undefined && NOTES.has(act.do));
    if (notes.length > 0) return await this.#inTurn(look, notes, now => this.#note(now));
    const switches = next.filter(({act}) => act?.do === 'switch');
    if (switches.length > 0) {
      const some = switches.slice(0, SWITCHED);
      await this.#attempt(some, () => this.#switch(look, some));
      return;
    }
    await this.#stageAll(
      look,
      next.filter(({act}) => act?.do === 'stage'),
    );
    const ends = next.filter(({act}) => act?.do === 'destroy');
    if (ends.length > 0) {
      await this.#attempt(ends, () => this.#inTurn(look, ends, now => this.#destroy(now)));
    }
  }

  /**
   * Takes the lock for one act. The keys are read again under it: a step is taken only where it is still due by a record
   * seen at most a minute ago, of a key that is as it was when it was seen. The others come again in the next round.
   */
  async #inTurn(look: Look, steps: readonly Due[], work: (now: Now) => Promise<void>): Promise<void> {
    await this.#turn(true, async signal => {
      const state = await this.#read();
      const known = this.#stillKnown(look, state, steps);
      // Giving a record up rests on who uses its key now, not a minute ago.
      const isEnd = steps.some(({act}) => act?.do === 'withdraw');
      const facts = isEnd ? {...known, inUse: await this.#inUse(state, signal)} : known;
      const domains = new Set(steps.map(({domain}) => domain));
      const own = {...state, keys: state.keys.filter(({domain}) => domains.has(domain))};
      const marks = new Set(steps.map(markOf));
      const still = due(own, facts).filter(step => marks.has(markOf(step)));
      const left = new Set(still.map(markOf));
      for (const step of steps) if (!left.has(markOf(step))) this.#tried.delete(markOf(step));
      if (still.length > 0) await work({state, facts, steps: still, signal});
    });
  }

  #inUse(state: RotationState, signal: AbortSignal): Promise<RotationFacts['inUse']> {
    return keysInUse(this.#ports, state, signal, {keys: this.#seenUses.keys});
  }

  /** What a step may rest on now; what is too old is looked at again in the next round. */
  #stillKnown(look: Look, state: RotationState, steps: readonly Due[]): RotationFacts {
    const now = this.#ports.clock.now();
    const domains = new Set(steps.map(({domain}) => domain));
    const records = new Map<DnsName, RecordFacts>();
    for (const key of state.keys.filter(({domain}) => domains.has(domain))) {
      const {name} = key.record;
      const seen = this.#seen.get(name);
      if (seen === undefined) continue;
      const isFresh = now.getTime() - (seen.record.at ?? 0) <= FRESH_MS;
      if (isFresh && isSame(seen.key, key)) records.set(name, seen.record);
      else this.#seen.delete(name);
    }
    return {...look.facts, now, records};
  }

  /** What fails is told, and not tried again in this run; the other steps go on. */
  async #attempt(steps: readonly Due[], work: () => Promise<void>): Promise<void> {
    for (const step of steps) this.#tried.add(markOf(step));
    try {
      await work();
    } catch (error) {
      this.#failed.push(this.#problemOf(error));
    }
  }

  /** What a step failed of; throws what ends the run. */
  #problemOf(error: unknown): Problem {
    if (!(error instanceof ToolError) || error instanceof LockHeld || this.#signal.aborted) throw error;
    return problem(error.id, error.message, error.hint);
  }

  async #note({state, facts, steps}: Now): Promise<void> {
    const after = changeEach(state, steps, (own, step) => {
      const {act} = step;
      const key = findEntry(own, step.domain, step.selector);
      if (key === undefined || act === undefined) return own;
      const next = noted(key, act, facts);
      const seen = this.#seen.get(key.record.name);
      if (act.do !== 'note' && act.do !== 'note-use') {
        this.#done.push(step.text);
        this.#seen.delete(key.record.name);
      } else if (seen !== undefined) {
        this.#seen.set(key.record.name, {...seen, key: next});
      }
      this.#tried.delete(markOf(step));
      return must(putEntry(own, next));
    });
    await saveState(this.#ports.files, after);
  }

  async #switch(look: Look, switches: readonly Due[]): Promise<void> {
    const coming = switches.flatMap(({domain, selector}) => findEntry(look.state, domain, selector) ?? []);
    const staged = await takeUp(this.#ports, this.#options, coming, this.#signal);
    await this.#inTurn(look, switches, async ({state, facts, steps, signal}) => {
      const find = entryFinder(state);
      const keys = steps.flatMap(step => find(step) ?? []);
      // The TTL of the record that retires is known best while its key still signs.
      const old = state.keys.filter(each => each.state === 'active' && facts.records.has(each.record.name));
      const after = changeEach(state, old, (own, each) => {
        const ttlSeconds = facts.records.get(each.record.name)?.ttlSeconds;
        return ttlSeconds === undefined ? own : must(putEntry(own, {...each, ttlSeconds}));
      });
      await saveState(this.#ports.files, after);
      const names = new Set(keys.map(({record}) => record.name));
      const chosen = staged.filter(({record}) => names.has(record.absoluteName));
      await switchKeys(this.#ports, this.#options, chosen, this.#emit, signal);
      this.#seenUses.look = undefined;
      this.#forget();
      for (const step of steps) this.#done.push(step.text);
      for (const key of keys) await this.#runHook('activate', key, key.record.value, signal);
    });
  }

  /** Private keys of selectors that are gone, all in one change; each is asked about once more before it. */
  async #destroy({state, facts, steps, signal}: Now): Promise<void> {
    const find = entryFinder(state);
    const wanted = steps.flatMap(step => {
      const key = find(step);
      const {act, text} = step;
      return key === undefined || act?.do !== 'destroy' ? [] : [{key, evidence: act.evidence, text}];
    });
    const {publishDirectory} = facts.settings;
    const ended = await disposeKeys(this.#ports, wanted, publishDirectory, this.#emit, signal);
    const gone = ended.flatMap(each => ('refused' in each ? [] : [{...each, domain: each.key.domain}]));
    const after = changeEach(await readKeys(this.#ports), gone, (own, {key, evidence}) => {
      const {
        stagedPath: _staged,
        keyPath: _path,
        ...rest
      } = must(transition(key, 'removed', evidence, facts.now));
      return must(putEntry(own, rest));
    });
    await saveState(this.#ports.files, after);
    this.#done.push(...gone.map(({said}) => said));
    this.#failed.push(...ended.flatMap(each => ('refused' in each ? [each.refused] : [])));
  }

  /** The next keys: in groups, so that the state is not written once for each; one by one where a group fails. */
  async #stageAll(look: Look, steps: readonly Due[]): Promise<void> {
    if (steps.length === 0) return;
    const host = await lookAtHost(this.#ports, this.#signal);
    const find = entryFinder(look.state);
    const items = steps.flatMap(step => {
      const old = find(step);
      return old === undefined ? [] : [{step, old}];
    });
    for (const group of groupsOf(items)) {
      this.#signal.throwIfAborted();
      if (group.length > 1 && (await this.#stageTogether(look, host, group))) continue;
      for (const item of group) {
        this.#signal.throwIfAborted();
        await this.#attempt([item.step], () => this.#stage(look, host, [item]));
      }
    }
  }

  /** False where one of them stands in the way of the others. */
  async #stageTogether(look: Look, host: HostFacts, group: readonly Item[]): Promise<boolean> {
    for (const {step} of group) this.#tried.add(markOf(step));
    try {
      await this.#stage(look, host, group);
      return true;
    } catch (error) {
      this.#problemOf(error);
      return false;
    }
  }

  async #stage(look: Look, host: HostFacts, group: readonly Item[]): Promise<void> {
    const olds = group.map(({old}) => old);
    const prepared = await prepareKeys(this.#ports, this.#options, host, look.state, olds, this.#signal);
    const byName = new Map(prepared.map(next => [next.old.record.name, next]));
    await this.#inTurn(
      look,
      group.map(({step}) => step),
      async ({state, steps, signal}) => {
        const find = entryFinder(state);
        const next = steps.flatMap(step => byName.get(find(step)?.record.name ?? ('' as DnsName)) ?? []);
        await makeKeys(this.#ports, next, signal);
        const standby = steps.filter(({act}) => act?.do === 'stage' && act.standby);
        if (standby.length > 0) await this.#standBy(next, standby);
        for (const step of steps) this.#done.push(step.text);
      },
    );
  }

  async #standBy(made: readonly NextKey[], steps: readonly Due[]): Promise<void> {
    const domains = new Set(steps.map(({domain}) => domain));
    const items = made.flatMap(({old: {domain}, selector}) =>
      domains.has(domain) ? [{domain, selector}] : [],
    );
    const state = changeEach(await readKeys(this.#ports), items, (own, {domain, selector}) => {
      const key = findEntry(own, domain, selector);
      return key === undefined ? own : must(putEntry(own, {...key, standby: true}));
    });
    await saveState(this.#ports.files, state);
  }

  /** True where a record was entered or withdrawn: then it is worth looking again. */
  async #publishRecords(state: RotationState, facts: RotationFacts, all: readonly Due[]): Promise<boolean> {
    let isDone = false;
    const find = entryFinder(state);
    for (const step of all) {
      const key = find(step);
      const wish = key === undefined ? undefined : wishOf(key, step, facts);
      if (key === undefined || wish === undefined) continue;
      const choice = publisherFor(state, this.#options, key.domain);
      if (choice === undefined) continue;
      isDone = (await this.#publishOne(choice, key, wish)) || isDone;
    }
    return isDone;
  }

  async #publishOne(choice: PublishChoice, key: KeyEntry, wish: Wish): Promise<boolean> {
    const {name, value} = key.record;
    const mark = `publisher ${wish} ${name}`;
    if (this.#tried.has(mark)) return false;
    this.#tried.add(mark);
    const wanted = {domain: key.domain, selector: key.selector, name, value};
    const record = wish === 'revoke' ? revoking(wanted, key.algorithm) : wanted;
    const change = (signal: AbortSignal): Promise<Result<unknown>> =>
      (wish === 'withdraw' ? withdrawRecord : enterRecord)(
        this.#ports,
        this.#options,
        choice,
        record,
        signal,
      );
    const made = await this.#whileSame(key, wish !== 'enter', change).catch((error: unknown) =>
      fail(this.#problemOf(error)),
    );
    // Somebody has changed the key: it is looked at again, and what it needs now may be something else.
    if (made === undefined) return true;
    if (!made.ok) {
      this.#refused.push(made.problem);
      return false;
    }
    this.#done.push(`${WISHED[wish]} by ${nameOfPublisher(choice)}: ${name}.`);
    return true;
  }

  /** What a person would be asked for in the DNS, hooks are asked for first; again in each run until it is seen. */
  async #remindHooks(state: RotationState, facts: RotationFacts, all: readonly Due[]): Promise<boolean> {
    let ran = false;
    const find = entryFinder(state);
    for (const step of all) {
      const key = find(step);
      if (key === undefined || step.waitsFor !== 'person' || facts.inUse.has(key.record.name)) continue;
      const seen = facts.records.get(key.record.name)?.seen;
      if (key.state === 'pending') {
        ran = (await this.#hook('publish', key, key.record.value)) || ran;
      } else if (key.state === 'retiring' && key.withdrawal !== undefined) {
        ran = (await this.#hook('retire', key, revokedRecord(key).value)) || ran;
      } else if (key.state === 'revoked') {
        const event = seen === 'key' ? 'retire' : 'remove';
        ran = (await this.#hook(event, key, revokedRecord(key).value)) || ran;
      }
    }
    return ran;
  }

  /** True where a hook ran well: then it is worth looking again. */
  async #hook(event: HookEvent, key: KeyEntry, value: string): Promise<boolean> {
    const mark = `hook ${event} ${key.record.name}`;
    if (this.#tried.has(mark)) return false;
    this.#tried.add(mark);
    return (
      (await this.#whileSame(key, event === 'retire' || event === 'remove', signal =>
        this.#runHook(event, key, value, signal),
      )) ?? true
    );
  }

  /** The caller holds the lock. */
  async #runHook(event: HookEvent, key: KeyEntry, value: string, signal: AbortSignal): Promise<boolean> {
    const folder = this.#options.hookDirectory ?? HOOK_DIRECTORY;
    const reports = await runHooks(this.#ports, folder, event, key, value, signal);
    this.#hooks.push(...reports);
    return reports.some(({ok}) => ok);
  }

  /** Has a program run while the lock is held; undefined where the key is not as it was, or is used again. */
  async #whileSame<T>(
    key: KeyEntry,
    givesUp: boolean,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | undefined> {
    return await this.#turn(true, async signal => {
      const state = await readKeys(this.#ports);
      const now = findEntry(state, key.domain, key.selector);
      if (now === undefined || !isSame(now, key)) return undefined;
      if (givesUp && (await this.#inUse(state, signal)).has(key.record.name)) return undefined;
      return await work(signal);
    });
  }
}

/** What is true while the lock is held for some steps. */
interface Now extends Look {
  readonly steps: readonly Due[];
  readonly signal: AbortSignal;
}

interface Item {
  readonly step: Due;
  readonly old: KeyEntry;
}

const isSame = (one: KeyEntry, other: KeyEntry): boolean => isDeepStrictEqual(one, other);

/** Acts that only the state file knows of. */
const NOTES: ReadonlySet<Act['do']> = new Set(['move', 'note', 'note-use', 'publish', 'withdraw']);

/** The key after such an act. */
function noted(key: KeyEntry, act: Act, {now, records}: RotationFacts): KeyEntry {
  switch (act.do) {
    case 'move': {
      const moved = must(transition(key, act.to, act.evidence, now));
      const record = act.to === 'ready' ? records.get(key.record.name) : undefined;
      return record === undefined ? moved : {...moved, cacheSeconds: record.negativeSeconds};
    }
    case 'publish':
      return must(transition(key, 'pending', {kind: 'record-shown'}, now));
    case 'withdraw': {
      const queued = act.oldestQueuedAt === undefined ? {} : {oldestQueuedAt: act.oldestQueuedAt};
      return {...key, withdrawal: {at: now.toISOString(), because: act.because, ...queued}};
    }
    case 'note': {
      const {clearSince: _old, ...rest} = key;
      return act.clearSince === undefined ? rest : {...rest, clearSince: act.clearSince};
    }
    case 'note-use': {
      const {clearSince: _old, ...rest} = key;
      return {...rest, usedAt: act.at};
    }
    case 'stage':
    case 'switch':
    case 'destroy':
      return key;
  }
}

/** What is to become of a record in the DNS: there as it is, emptied, or gone. */
export type Wish = 'enter' | 'revoke' | 'withdraw';

const WISHED: Readonly<Record<Wish, string>> = {
  enter: 'Entered',
  revoke: 'Emptied (p=)',
  withdraw: 'Deleted',
};

/** What a person would be asked to do in the DNS; undefined where nothing is asked. */
export function wishOf(key: KeyEntry, step: Due, {records, inUse}: RotationFacts): Wish | undefined {
  if (step.waitsFor !== 'person') return undefined;
  const seen = records.get(key.record.name)?.seen;
  // The record of a key that still signs is never emptied or deleted; one that is gone is put back.
  if (inUse.has(key.record.name)) return seen === 'absent' ? 'enter' : undefined;
  switch (key.state) {
    case 'pending':
      return 'enter';
    // Gone, or emptied, although mail is signed with it.
    case 'active':
      return seen === 'absent' || seen === 'revoked' ? 'enter' : undefined;
    case 'retiring':
      return key.withdrawal === undefined ? undefined : 'revoke';
    case 'revoked':
      return seen === 'key' ? 'revoke' : 'withdraw';
    default:
      return undefined;
  }
}

/** Who keeps the records of a domain: the one that is given now, or the one that is remembered; undefined: a person. */
export function publisherFor(
  state: RotationState,
  {publish}: Pick<AdvanceOptions, 'publish'>,
  domain: DomainName,
): PublishChoice | undefined {
  const choice = publish ?? publisherOf(state, domain);
  return choice?.by === 'manual' ? undefined : choice;
}

const markOf = (step: Due): string => `${step.act?.do ?? ''} ${step.selector}._domainkey.${step.domain}`;

/** Marks the keys that sign for the domains as leaked; a key that stands by takes over at once. */
export async function markLeaked(
  ports: Pick<Ports, 'files' | 'clock'>,
  domains: readonly DomainName[],
): Promise<void> {
  await saveState(ports.files, withLeak(await readKeys(ports), domains, ports.clock.now()));
}

/** The state with those keys marked. */
export function withLeak(before: RotationState, domains: readonly DomainName[], now: Date): RotationState {
  let state = before;
  const leakedAt = now.toISOString();
  for (const key of before.keys.filter(each => domains.includes(each.domain))) {
    if (key.state === 'active' && key.leakedAt === undefined)
      state = must(putEntry(state, {...key, leakedAt}));
    if (isComing(key) && key.standby === true) {
      const {standby: _no, ...rest} = key;
      state = must(putEntry(state, rest));
    }
  }
  return state;
}
