/** Does whatever is due and needs nobody: `waxseal rotate --advance`. Each step is written down before the next begins. */
import {nameOfPublisher, type PublishChoice} from '../../dns/publish/index.ts';
import {ToolError} from '../../domain/errors.ts';
import type {DnsName, DomainName} from '../../domain/names.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import type {RowKey} from '../../host/index.ts';
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
  saveState,
  transition,
} from '../../rotation/index.ts';
import {lookAtHost} from '../../services/look.ts';
import type {Ports} from '../../system/ports.ts';
import type {WorkEvent} from '../operations.ts';
import {recoverUnfinished} from './carrying-out.ts';
import {disposeKeys} from './disposal.ts';
import {FailedStep} from './failed-step.ts';
import {changeEach, must, readKeys} from './key-book.ts';
import {inspectDomain} from './looking.ts';
import {createNamedFiles} from './named-files.ts';
import type {WorkOptions} from './options.ts';
import {enterRecord, rememberPublisher, revoking, withdrawRecord} from './publishing.ts';
import {gatherFacts, readTime} from './rotation-facts.ts';
import {HOOK_DIRECTORY, type HookEvent, type HookReport, runHooks} from './rotation-hooks.ts';
import {revokedRecord, switchKeys} from './rotation-switch.ts';
import {checkSelector, stage, suggestSelector} from './staging.ts';

export interface AdvanceOptions extends WorkOptions {
  /** Only these; undefined for all. */
  readonly domains: readonly DomainName[] | undefined;
  readonly dryRun: boolean;
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
  readonly changed: boolean;
}

const ROUNDS = 40;
/** How long what the servers said of a record counts within a run. */
const RECORDS_MS = 60_000;

/** One run; the caller holds the lock. Rejects with a ToolError only where nothing at all can be done. */
export async function advance(
  ports: Ports,
  options: AdvanceOptions,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<AdvanceResult> {
  const run = new Run(ports, options, emit, signal);
  if (!options.dryRun) {
    await run.recover();
    await run.remember();
  }
  return await run.toTheEnd();
}

/** One run with what it has done so far. */
class Run {
  readonly #ports: Ports;
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
  readonly #records = new Map<DnsName, RecordFacts>();
  #recordsAt = Number.NEGATIVE_INFINITY;
  /** What key files of the host held, by what they were: no file is read twice in a run to tell who uses a key. */
  readonly #seenKeys = new Map<string, RowKey>();

  constructor(ports: Ports, options: AdvanceOptions, emit: (event: WorkEvent) => void, signal: AbortSignal) {
    this.#ports = ports;
    this.#options = options;
    this.#emit = emit;
    this.#signal = signal;
  }

  async recover(): Promise<void> {
    for (const unfinished of await findUnfinished(this.#ports)) {
      const back = await recoverUnfinished(this.#ports, unfinished, this.#emit);
      if (back.failure !== undefined) throw new FailedStep(back.failure.problem);
      this.#done.push(
        back.applied
          ? `Run ${unfinished.run} was cut off after it had destroyed or published a key; that stays.`
          : `Put back the run ${unfinished.run}, which was cut off.`,
      );
    }
  }

  async remember(): Promise<void> {
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
      const state = await this.#noteTime();
      const facts = await this.#facts(state);
      const all = due(state, facts).filter(step => this.#isChosen(step.domain));
      const next = all.filter(step => step.act !== undefined && !this.#tried.has(markOf(step)));
      if (dryRun || next.length === 0 || round >= ROUNDS) {
        if (!dryRun && (await this.#askOthers(state, facts, all))) {
          this.#records.clear();
          continue;
        }
        return {
          done: this.#done,
          due: all,
          state,
          facts,
          hooks: this.#hooks,
          refused: this.#refused,
          failed: this.#failed,
          changed: this.#done.length > 0,
        };
      }
      await this.#perform(state, facts, next);
    }
  }

  /** True where somebody changed a record: then it is worth looking again. */
  async #askOthers(state: RotationState, facts: RotationFacts, all: readonly Due[]): Promise<boolean> {
    return (await this.#publishRecords(state, facts, all)) || (await this.#remindHooks(state, facts, all));
  }

  #isChosen(domain: DomainName): boolean {
    return this.#options.domains?.includes(domain) ?? true;
  }

  async #noteTime(): Promise<RotationState> {
    const {dryRun, supposed} = this.#options;
    const state = await readKeys(this.#ports);
    const time = noteTime(state.time, await readTime(this.#ports));
    const next = {...state, time};
    if (dryRun) return supposed === undefined ? next : supposed(next);
    if (state.keys.length > 0) await saveState(this.#ports.files, next);
    return next;
  }

  /** Every record is asked for once, and again when something was done to it or some time has gone by. */
  async #facts(state: RotationState): Promise<RotationFacts> {
    const {disposal, standby} = this.#options;
    if (this.#ports.clock.now().getTime() - this.#recordsAt > RECORDS_MS) this.#records.clear();
    const facts = await gatherFacts(
      this.#ports,
      {...this.#options, seenKeys: this.#seenKeys},
      state,
      key => this.#isChosen(key.domain) && !this.#records.has(key.record.name),
      this.#signal,
    );
    if (this.#records.size === 0) this.#recordsAt = facts.now.getTime();
    for (const [name, record] of facts.records) this.#records.set(name, record);
    const settings = {
      ...facts.settings,
      ...(disposal === undefined ? {} : {disposal}),
      ...(standby === true ? {standby} : {}),
    };
    return {...facts, settings, records: new Map(this.#records)};
  }

  /** Steps that are only notes are taken together; all switches are one change; the others go one after the other. */
  async #perform(state: RotationState, facts: RotationFacts, next: readonly Due[]): Promise<void> {
    const notes = next.filter(({act}) => act !== undefined && NOTES.has(act.do));
    if (notes.length > 0) return await this.#note(state, facts, notes);
    const switches = next.filter(({act}) => act?.do === 'switch');
    if (switches.length > 0) {
      return await this.#attempt(switches, () => this.#switch(state, facts, switches));
    }
    const ends = next.filter(({act}) => act?.do === 'destroy');
    if (ends.length > 0) {
      await this.#attempt(ends, () => this.#destroy(state, facts, ends));
    }
    for (const step of next) {
      this.#signal.throwIfAborted();
      if (step.act?.do !== 'destroy') await this.#attempt([step], () => this.#one(state, step));
    }
  }

  /** What fails is told, and not tried again in this run; the other steps go on. */
  async #attempt(steps: readonly Due[], work: () => Promise<void>): Promise<void> {
    for (const step of steps) this.#tried.add(markOf(step));
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ToolError) || this.#signal.aborted) throw error;
      this.#failed.push(problem(error.id, error.message, error.hint));
    }
  }

  async #note(state: RotationState, facts: RotationFacts, steps: readonly Due[]): Promise<void> {
    const after = changeEach(state, steps, (own, step) => {
      const {act} = step;
      const key = findEntry(own, step.domain, step.selector);
      if (key === undefined || act === undefined) return own;
      if (act.do !== 'note' && act.do !== 'note-use') {
        this.#done.push(step.text);
        this.#records.delete(key.record.name);
      }
      this.#tried.delete(markOf(step));
      return must(putEntry(own, noted(key, act, facts)));
    });
    await saveState(this.#ports.files, after);
  }

  async #switch(state: RotationState, facts: RotationFacts, steps: readonly Due[]): Promise<void> {
    const keys = steps.flatMap(({domain, selector}) => findEntry(state, domain, selector) ?? []);
    // The TTL of the record that retires is known best while its key still signs.
    let after = state;
    for (const old of state.keys.filter(each => each.state === 'active')) {
      const ttlSeconds = facts.records.get(old.record.name)?.ttlSeconds;
      if (ttlSeconds !== undefined) after = must(putEntry(after, {...old, ttlSeconds}));
    }
    await saveState(this.#ports.files, after);
    await switchKeys(this.#ports, this.#options, keys, this.#emit, this.#signal);
    this.#records.clear();
    for (const step of steps) this.#done.push(step.text);
    for (const key of keys) await this.#hook('activate', key, key.record.value);
  }

  /** Private keys of selectors that are gone, all in one change; each is asked about once more before it. */
  async #destroy(state: RotationState, facts: RotationFacts, steps: readonly Due[]): Promise<void> {
    const wanted = steps.flatMap(({domain, selector, act, text}) => {
      const key = findEntry(state, domain, selector);
      return key === undefined || act?.do !== 'destroy' ? [] : [{key, evidence: act.evidence, text}];
    });
    const {publishDirectory} = facts.settings;
    const ended = await disposeKeys(this.#ports, wanted, publishDirectory, this.#emit, this.#signal);
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

  async #one(state: RotationState, step: Due): Promise<void> {
    const {act} = step;
    const key = findEntry(state, step.domain, step.selector);
    if (act === undefined || key === undefined) return;
    switch (act.do) {
      case 'stage':
        await this.#stage(key, act.standby);
        break;
      case 'destroy':
      case 'note-use':
      case 'move':
      case 'note':
      case 'publish':
      case 'withdraw':
      case 'switch':
        return;
    }
    this.#done.push(step.text);
  }

  /** The next key of a domain: the same algorithm, never weaker, with what the old record says of subdomains. */
  async #stage(old: KeyEntry, standby: boolean): Promise<void> {
    const facts = await lookAtHost(this.#ports, this.#signal);
    const state = await readKeys(this.#ports);
    const domain = must(await inspectDomain(this.#ports, this.#options, old.domain, this.#signal));
    const elsewhere = (state.elsewhere ?? []).filter(each => each.domain === old.domain);
    const taken = new Set<string>(elsewhere.map(({selector}) => selector));
    let known = state;
    for (;;) {
      const selector = suggestSelector(this.#ports, known, facts, [old.domain], {
        ...this.#options,
        newSelector: true,
      });
      const free = taken.has(selector)
        ? undefined
        : await checkSelector(this.#ports, facts, [domain], selector, this.#signal);
      if (free?.ok === true) {
        const key =
          old.algorithm === 'ed25519'
            ? ({source: 'generate', spec: {algorithm: 'ed25519'}} as const)
            : ({
                source: 'generate',
                spec: {algorithm: 'rsa', bits: old.bits >= 4096 ? 4096 : old.bits >= 3072 ? 3072 : 2048},
              } as const);
        const subdomains = !/(^|;)\s*t\s*=[^;]*\bs\b/.test(old.record.value);
        const staged = await stage(
          this.#ports,
          createNamedFiles(this.#ports.files, {uid: 0, gid: 0}),
          {domains: [old.domain], selector, key, subdomains},
          [domain],
          () => {},
          this.#signal,
          {keep: true, replaces: []},
        );
        must(staged);
        if (standby) await this.#change(old.domain, selector, each => ({...each, standby: true}));
        return;
      }
      if (free !== undefined && free.problem.id !== 'selector.taken') throw new FailedStep(free.problem);
      // A name that somebody else has: only for the next proposal it counts as ours.
      known = {...known, keys: [...known.keys, {...old, selector}]};
    }
  }

  async #change(
    domain: DomainName,
    selector: KeyEntry['selector'],
    how: (key: KeyEntry) => KeyEntry,
  ): Promise<void> {
    const state = await readKeys(this.#ports);
    const key = findEntry(state, domain, selector);
    if (key !== undefined) await saveState(this.#ports.files, must(putEntry(state, how(key))));
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
    const make = wish === 'withdraw' ? withdrawRecord : enterRecord;
    const made = await make(this.#ports, this.#options, choice, record, this.#signal);
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
    const reports = await runHooks(
      this.#ports,
      this.#options.hookDirectory ?? HOOK_DIRECTORY,
      event,
      key,
      value,
      this.#signal,
    );
    this.#hooks.push(...reports);
    return reports.some(({ok}) => ok);
  }
}

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
    if (isComing(key.state) && key.standby === true) {
      const {standby: _no, ...rest} = key;
      state = must(putEntry(state, rest));
    }
  }
  return state;
}
