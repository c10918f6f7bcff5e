/** The one runner: performs effects, feeds their results back as events, one event at a time. */
import {type ExitCode, RollbackIncomplete, ToolError} from '../domain/errors.ts';
import {type DomainName, parseSelector, type Selector} from '../domain/names.ts';
import {ok, type Problem, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Clock} from '../system/ports.ts';
import type {Answers, QuestionId} from './answers.ts';
import {finish} from './ending.ts';
import type {Given} from './given.ts';
import type {DomainFacts, Operations, WorkEvent} from './operations.ts';
import {publishesItself} from './publisher-name.ts';
import {nextSelector} from './questions.ts';
import {initialState, reduce} from './reduce.ts';
import type {Report} from './report.ts';
import {startExitCode} from './setup-rule.ts';
import type {Effect, Event, Mode, Session, State} from './state.ts';
import {isEnough} from './survey-facts.ts';

type Of<D extends Effect['do']> = Extract<Effect, {do: D}>;
type Send = (event: Event) => void;
type Surveyed = Extract<Event, {type: 'surveyed'}>['surveys'][number];

/** What effects may use. */
interface Workshop {
  readonly operations: Operations;
  readonly clock: Clock;
  readonly state: () => State;
  readonly send: Send;
  /** Looking, checking, making keys, planning, advising: given up when the run ends. */
  readonly signal: AbortSignal;
}

/** How many domains are asked about at the same time. */
const AT_ONCE = 8;
/** How many names are tried before the first one is proposed after all. */
const NAMES_TRIED = 6;

/**
 * Starts a run: looks at the host at once, then follows the flow until it is finished.
 * `done()` resolves with the report once nothing runs any more; it rejects only where the key of a dry run could not be
 * thrown away.
 */
export function startSession(operations: Operations, mode: Mode, given: Given, clock: Clock): Session {
  let state = initialState(mode, given);
  let processing = false;
  let watching = new AbortController();
  let drafts = Promise.resolve();
  const quick = new AbortController();
  const change = new AbortController();
  const events: Event[] = [];
  const listeners = new Set<(state: State) => void>();
  const jobs = new Set<Promise<void>>();
  let resolveDone = (_report: Report): void => undefined;
  let rejectDone = (_error: unknown): void => undefined;
  const done = new Promise<Report>((resolve, reject) => {
    resolveDone = resolve;
    rejectDone = reject;
  });
  // A failure is told to whoever waits; nobody waiting is no reason to end the process in the middle of a change.
  done.catch(() => undefined);

  const shop: Workshop = {operations, clock, state: () => state, send, signal: quick.signal};

  function send(event: Event): void {
    events.push(event);
    if (processing) return;
    processing = true;
    try {
      for (let next = events.shift(); next !== undefined; next = events.shift()) handle(next);
    } finally {
      processing = false;
    }
  }

  function handle(event: Event): void {
    const [next, effects] = safely(state, event);
    const same = next === state;
    state = next;
    if (!same) for (const listener of [...listeners]) notify(listener);
    for (const effect of effects) perform(effect);
  }

  // A view that breaks must not break the change that is running: it hears no more, and the run goes on.
  function notify(listener: (state: State) => void): void {
    try {
      listener(state);
    } catch {
      listeners.delete(listener);
    }
  }

  function keep(job: Promise<void>): void {
    jobs.add(job);
    void job.finally(() => jobs.delete(job)).catch(() => undefined);
  }

  function perform(effect: Effect): void {
    switch (effect.do) {
      case 'watch': {
        watching = new AbortController();
        keep(watch(shop, effect, watching.signal));
        return;
      }
      case 'publish': {
        watching = new AbortController();
        keep(publish(shop, effect, watching.signal));
        return;
      }
      case 'stop-watching':
        watching.abort();
        return;
      case 'abort':
        change.abort();
        return;
      case 'apply':
        keep(reporting(send, change.signal, () => apply(shop, effect, change.signal)));
        return;
      case 'install':
        keep(reporting(send, change.signal, () => install(shop, effect, change.signal)));
        return;
      case 'finish':
        void end(effect.report);
        return;
      case 'discard':
        keep(operations.discard(effect.staged));
        return;
      case 'save-draft':
        // One after the other, so that the last answers stay. The draft is a convenience: where it cannot be written
        // the run works all the same.
        drafts = drafts.then(() => operations.saveDraft(effect.answers)).catch(() => undefined);
        keep(drafts);
        return;
      default:
        keep(reporting(send, quick.signal, () => work(shop, effect)));
    }
  }

  async function end(report: Report): Promise<void> {
    quick.abort();
    watching.abort();
    // After a fault in the flow a change may still be running: it is put back before the process ends.
    change.abort();
    const ended = await Promise.allSettled(jobs);
    const broken = ended.find(each => each.status === 'rejected');
    if (broken === undefined) resolveDone(report);
    else rejectDone(broken.reason);
  }

  perform({do: 'look'});
  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    send,
    done: () => done,
  };
}

/** The next state; a fault in the flow itself ends the run in an orderly way. */
function safely(state: State, event: Event): ReturnType<typeof reduce> {
  try {
    return reduce(state, event);
  } catch (error) {
    const failure = failureOf(error);
    return finish(state, failure.exitCode, failure.problem);
  }
}

/** Runs a job; what it throws becomes an event. */
async function reporting(send: Send, signal: AbortSignal, job: () => Promise<void>): Promise<void> {
  try {
    await job();
  } catch (error) {
    const aborted = signal.aborted && !(error instanceof ToolError);
    send({type: 'failed', ...(aborted ? INTERRUPTED : failureOf(error))});
  }
}

interface Failure {
  readonly problem: Problem;
  readonly exitCode: ExitCode;
}

const INTERRUPTED: Failure = {problem: problem('interrupted', 'Ended by the user.', ''), exitCode: 130};

/** An error as the report shows it: a ToolError keeps its exit code, anything else is a fault in waxseal. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ToolError) {
    const remains = error instanceof RollbackIncomplete ? error.remains : [];
    const hint = [error.hint, ...(remains.length === 0 ? [] : [`Remains: ${remains.join('; ')}`])];
    return {
      problem: problem(error.id, visible(error.message), visible(hint.join(' ').trim())),
      exitCode: error.exitCode,
    };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    problem: problem('fault', `A fault in waxseal: ${visible(text)}`, 'Please report it with this line.'),
    exitCode: 1,
  };
}

type QuickEffect = Of<'look' | 'recover' | 'check-answer' | 'stage' | 'save-record' | 'plan' | 'advise'>;

async function work(shop: Workshop, effect: QuickEffect): Promise<void> {
  const {operations, send, signal} = shop;
  switch (effect.do) {
    case 'look':
      return send({type: 'looked', look: await operations.look(signal)});
    case 'recover':
      return send({type: 'recovered', result: await operations.recover(effect.run, emitTo(send))});
    case 'check-answer':
      return checkAnswer(shop, effect);
    case 'stage':
      return stage(shop, effect);
    case 'save-record':
      return saveRecord(shop, effect);
    case 'plan':
      return plan(shop);
    case 'advise':
      return send({type: 'advised', advice: await advice(shop)});
  }
}

function advice({operations, state, signal}: Workshop): ReturnType<Operations['advise']> {
  const {staged, answers} = state();
  return operations.advise(staged, signal, !publishesItself(answers));
}

const emitTo =
  (send: Send) =>
  (event: WorkEvent): void =>
    send({type: 'worked', event});

async function apply({operations, clock, state, send}: Workshop, effect: Of<'apply'>, signal: AbortSignal) {
  const result = await operations.apply(effect.ready, state().staged, emitTo(send), signal);
  send({type: 'applied', result, at: clock.now().toISOString()});
}

async function install({operations, send}: Workshop, effect: Of<'install'>, signal: AbortSignal) {
  send({type: 'installed', facts: await operations.install(effect.facts, emitTo(send), signal)});
}

async function checkAnswer(shop: Workshop, effect: Of<'check-answer'>): Promise<void> {
  const {send} = shop;
  const {question, answers} = effect;
  const refused = (why: Problem): void => send({type: 'answer-refused', question, problem: why});
  if (question === 'domains') return checkDomains(shop, answers, refused);
  const checked = await checkAlone(shop, question, answers);
  return checked.ok ? send({type: 'answer-checked', question}) : refused(checked.problem);
}

async function checkAlone({operations, state, signal}: Workshop, question: QuestionId, answers: Answers) {
  const {facts, domainFacts, given} = state();
  if (question === 'selector' && answers.selector !== undefined) {
    const {selector, selectors} = answers;
    const common = domainFacts.filter(({domain}) => selectors?.has(domain) !== true);
    const domains = common.map(({domain}) => domain);
    const start = await operations.checkStart(domains, () => selector, signal);
    return start.ok ? await operations.checkSelector(common, selector, signal, given.key) : start;
  }
  if (question === 'key' && answers.key !== undefined && facts !== undefined) {
    return operations.checkKey(answers.key, facts);
  }
  return {ok: true, value: true} as const;
}

async function checkDomains(
  shop: Workshop,
  answers: Answers,
  refused: (why: Problem) => void,
): Promise<void> {
  const domains = answers.domains ?? [];
  const own = answers.selectors ?? new Map<DomainName, Selector>();
  const named = parseSelector(shop.state().given.selector ?? '');
  const wished = (domain: DomainName) => own.get(domain) ?? (named.ok ? named.value : undefined);
  const start = await shop.operations.checkStart(domains, wished, shop.signal);
  if (!start.ok) return refused(start.problem);
  const domainFacts: DomainFacts[] = [];
  for (let from = 0; from < domains.length; from += AT_ONCE) {
    const batch = await Promise.all(
      domains.slice(from, from + AT_ONCE).map(domain => shop.operations.inspectDomain(domain, shop.signal)),
    );
    for (const found of batch) {
      if (!found.ok) return refused(found.problem);
      domainFacts.push(found.value);
    }
  }
  const free = await checkOwn(shop, domainFacts, own);
  if (!free.ok) return refused(free.problem);
  const common = domainFacts.filter(({domain}) => !own.has(domain));
  if (common.length === 0) return shop.send({type: 'answer-checked', question: 'domains', domainFacts});
  const suggestedSelector = await freeSelector(shop, common);
  // Who names a selector wants it for every domain; who does not, wants no second key for those that have one.
  const keptSelectors =
    shop.state().given.selector === undefined
      ? new Map(
          [...shop.operations.knownSelectors(common.map(({domain}) => domain))].filter(
            ([, selector]) => selector !== suggestedSelector,
          ),
        )
      : new Map<DomainName, Selector>();
  shop.send({type: 'answer-checked', question: 'domains', domainFacts, suggestedSelector, keptSelectors});
}

/** Whether each domain with a selector of its own may have it: one question for each selector. */
async function checkOwn(
  {operations, signal, state}: Workshop,
  domains: readonly DomainFacts[],
  own: ReadonlyMap<DomainName, Selector>,
): Promise<Result<true>> {
  const bySelector = new Map<Selector, DomainFacts[]>();
  for (const facts of domains) {
    const selector = own.get(facts.domain);
    if (selector === undefined) continue;
    const same = bySelector.get(selector);
    if (same === undefined) bySelector.set(selector, [facts]);
    else same.push(facts);
  }
  for (const [selector, those] of bySelector) {
    const checked = await operations.checkSelector(those, selector, signal, state().given.key);
    if (!checked.ok) return checked;
  }
  return ok(true);
}

/** The first proposed name that is not in use in the DNS; where that cannot be found out, the first one. */
async function freeSelector({operations, signal}: Workshop, domains: readonly DomainFacts[]) {
  const first = operations.suggestSelector(domains.map(each => each.domain));
  const known = operations.knownSelectors(domains.map(each => each.domain));
  let candidate = first;
  for (let tried = 0; tried < NAMES_TRIED; tried += 1) {
    // A domain that keeps its own does not need the common one.
    const needing = domains.filter(({domain}) => (known.get(domain) ?? candidate) === candidate);
    const checked = await operations.checkSelector(needing, candidate, signal);
    if (checked.ok) return candidate;
    const next = checked.problem.id === 'selector.taken' ? nextSelector(candidate) : undefined;
    if (next === undefined) return first;
    candidate = next;
  }
  return candidate;
}

async function stage({operations, state, send, signal}: Workshop, effect: Of<'stage'>): Promise<void> {
  const {answers, keep, replaces} = effect;
  const emit = (progress: Extract<Event, {type: 'stage-progress'}>['progress']): void =>
    send({type: 'stage-progress', progress});
  const made = await operations.stage(answers, state().domainFacts, emit, signal, {keep, replaces});
  // The run may have ended while the last key of a dry run was made: it must not stay.
  if (made.ok && !keep && state().phase.at === 'finished') return operations.discard(made.value);
  send(
    made.ok
      ? {type: 'staged', staged: made.value}
      : {type: 'failed', problem: made.problem, exitCode: unstagedCode(made.problem, answers)},
  );
}

/** Why there is no key: another answer would help, or the host has to be mended first. No change of it has begun. */
function unstagedCode({id}: Pick<Problem, 'id'>, answers: Answers): ExitCode {
  const start = startExitCode({id});
  if (start !== undefined) return start;
  const byAnswer = id.startsWith('selector.') || id === 'key.exists' || id === 'key.missing';
  return byAnswer || (answers.key?.source === 'import' && id.startsWith('key.')) ? 2 : 5;
}

async function saveRecord({operations, send}: Workshop, effect: Of<'save-record'>): Promise<void> {
  const text = await operations.saveRecord(effect.path, effect.text).then(
    saved => (saved.ok ? `Record saved: ${effect.path}` : `${saved.problem.message} ${saved.problem.hint}`),
    (error: unknown) => failureOf(error).problem.message,
  );
  send({type: 'noticed', text: visible(text)});
}

async function plan({operations, state, send, signal}: Workshop): Promise<void> {
  const {answers, staged, facts} = state();
  if (facts === undefined) throw new TypeError('planned before the look');
  const ready = await operations.plan(answers, staged, facts, signal);
  send(
    ready.ok
      ? {type: 'planned', ready: ready.value}
      : {type: 'failed', problem: ready.problem, exitCode: startExitCode(ready.problem) ?? 5},
  );
}

const unlessAborted =
  (signal: AbortSignal, send: Send): Send =>
  event => {
    if (!signal.aborted) send(event);
  };

/** A program at work is ended when nobody waits for it any more; then nothing is said. */
async function publish(
  {operations, send}: Workshop,
  {choice, staged}: Of<'publish'>,
  signal: AbortSignal,
): Promise<void> {
  const say = unlessAborted(signal, send);
  try {
    const done = await operations.publish(choice, staged, signal);
    say(done.ok ? {type: 'published', records: done.value} : {type: 'publish-failed', problem: done.problem});
  } catch (error) {
    say({type: 'failed', ...failureOf(error)});
  }
}

/** Asks the servers until they agree, the deadline is over, or nobody listens any more (then nothing is said). */
async function watch(
  {operations, clock, send}: Workshop,
  effect: Of<'watch'>,
  signal: AbortSignal,
): Promise<void> {
  const {staged, deadlineMs, resolverOnly} = effect;
  const started = clock.now();
  const deadlineAt =
    deadlineMs === undefined ? undefined : new Date(started.getTime() + deadlineMs).toISOString();
  const say = unlessAborted(signal, send);
  const byName = new Map<string, (typeof staged)[number]>(
    staged.map(each => [each.record.absoluteName, each]),
  );
  const {add, flush} = together<Surveyed>(surveys => say({type: 'surveyed', surveys}));
  say({type: 'watch-started', at: started.toISOString(), deadlineAt});
  try {
    const surveys = await operations.watch(staged, {
      deadlineMs,
      resolverOnly,
      signal,
      onSurvey(survey) {
        const domain = byName.get(survey.name)?.domain;
        if (domain !== undefined) add({domain, survey});
      },
    });
    for (const [at, survey] of surveys.entries()) {
      const domain = staged[at]?.domain;
      if (domain !== undefined) add({domain, survey});
    }
    flush();
    const settled = surveys.length === staged.length && surveys.every(each => isEnough(each, resolverOnly));
    say({type: 'watch-ended', settled, at: clock.now().toISOString()});
  } catch (error) {
    say({type: 'failed', ...failureOf(error)});
  }
}

/** Collects what comes in during one turn of the event loop; thousands of domains would else be as many states. */
function together<T>(deliver: (items: readonly T[]) => void): {add(item: T): void; flush(): void} {
  let waiting: T[] = [];
  const flush = (): void => {
    const items = waiting;
    waiting = [];
    if (items.length > 0) deliver(items);
  };
  return {
    add(item) {
      if (waiting.push(item) === 1) setImmediate(flush);
    },
    flush,
  };
}
