/** The real work behind the flow, made from the ports. */

import {givingUpSilent} from '../../dns/silence.ts';
import type {Survey} from '../../dns/survey.ts';
import {watchRecord} from '../../dns/watch.ts';
import {HostError, ToolError} from '../../domain/errors.ts';
import {STATE_DIRECTORY} from '../../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {selectorFor} from '../../flow/answers.ts';
import type {ApplyResult, Operations, StagedDomain, WorkEvent} from '../../flow/operations.ts';
import {QUESTIONS} from '../../flow/questions.ts';
import {makeStateDirectory} from '../../keys/index.ts';
import {isRunId, isUnfinished, listRuns} from '../../plan/index.ts';
import type {Plan} from '../../plan/plan.ts';
import type {Check} from '../../proof/proof.ts';
import {
  dropDraft,
  EMPTY_STATE,
  entryFinder,
  formerRecords,
  type RotationState,
} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {Ports} from '../../system/ports.ts';
import {applySetup, installMissing, planSetup, recoverUnfinished} from '../change.ts';
import {moveKeys, readKeys, recordActive, recordSurveys} from '../key-book.ts';
import {CHANGE_HELD_MS, createTurns, type Turns} from '../lock-turns.ts';
import {createNamedFiles} from '../named-files.ts';
import type {WorkOptions} from '../options.ts';
import {publishAll, rememberPublisher} from '../publishing.ts';
import {advise} from './advise.ts';
import {checkKey, importedKey} from './choose-key.ts';
import {checkStaged} from './enter.ts';
import {inspectDomain, keepDraft, look} from './look.ts';
import {
  checkSelector,
  checkStart as checkSetupStart,
  keysLeft,
  knownSelectors,
  type LeftKeys,
  type PublishedRecords,
  suggestSelector,
} from './selector.ts';
import {discard, stage} from './stage.ts';

/**
 * The operations of one run. They remember what the look found, since a selector is proposed without looking again.
 * The lock of the host is taken for each act, never while the DNS or a person is waited for; what an act rests on is
 * looked at again under it.
 */
export function createOperations(
  given: Ports,
  options: WorkOptions,
  turns: Turns = createTurns(given, 'setup'),
): Operations {
  const ports = givingUpSilent(given);
  let facts: HostFacts | undefined;
  let keys: RotationState = EMPTY_STATE;
  let left: LeftKeys | undefined;
  const published: PublishedRecords = new Map();
  const known = (): HostFacts => {
    if (facts === undefined) throw new TypeError('the host was not looked at');
    return facts;
  };
  const named = options.namedFiles ?? createNamedFiles(ports.files, {uid: 0, gid: 0});
  // The draft is saved while keys are made: who of them comes first must not matter.
  let home: Promise<void> | undefined;
  const makeHome = (): Promise<void> => {
    home ??= makeStateDirectory(ports.files, STATE_DIRECTORY);
    return home;
  };
  const checkStart: Operations['checkStart'] = async (domains, wished, signal) =>
    options.newSelector === true
      ? ok(true as const)
      : await checkSetupStart(ports, options, domains, wished, signal);
  // Asked once more before anything is written: what is kept of a set-up asks no questions.
  const checkStartOf = (staged: readonly StagedDomain[], signal: AbortSignal): Promise<Result<true>> => {
    const selectors = new Map(staged.map(({domain, selector}) => [domain, selector]));
    return checkStart([...selectors.keys()], domain => selectors.get(domain), signal);
  };
  return {
    async look(signal) {
      const found = await look(ports, options, signal, turns);
      facts = found.facts;
      if (ports.process.privileged) {
        keys = await readKeys(ports);
        left = await keysLeft(ports, found.draft);
      }
      return found;
    },
    async recover(run, emit) {
      return await turns.take(
        new AbortController().signal,
        async () => {
          const summary = (await listRuns(ports)).find(each => isRunId(run.id) && each.run === run.id);
          if (summary === undefined) {
            throw new HostError(
              problem('run.unknown', `There is no run ${visible(run.id)}.`, 'Run waxseal again.'),
            );
          }
          return isUnfinished(summary) ? await recoverUnfinished(ports, summary, emit) : PUT_BACK;
        },
        CHANGE,
      );
    },
    async install(before, emit, signal) {
      const {publishers = []} = before;
      const found = await turns.take(signal, own => installMissing(ports, before, emit, own), CHANGE);
      facts = {...found, publishers};
      return facts;
    },
    inspectDomain: (domain, signal) => inspectDomain(ports, options, domain, signal),
    suggestSelector: domains => suggestSelector(ports, keys, known(), domains, options, left),
    knownSelectors: domains => knownSelectors(keys, domains, options),
    async checkSelector(domains, selector, signal, key) {
      const choice = key === undefined ? undefined : QUESTIONS.key.parse(key, {}, known());
      const imported =
        choice?.ok === true && choice.value.source === 'import'
          ? await importedKey(named, choice.value.path)
          : undefined;
      return await checkSelector(ports, known(), domains, selector, signal, {
        ...{resolvers: options.resolvers, imported, published},
      });
    },
    checkStart,
    checkKey: (key, host) => checkKey(named, key, host),
    async stage(answers, domains, emit, signal, how) {
      const names = domains.map(({domain}) => domain);
      const start = await checkStart(names, domain => selectorFor(answers, domain), signal);
      if (!start.ok) return start;
      await makeHome();
      const others = ports.process.privileged ? {known: keys, turns, published} : {turns, published};
      return await stage(ports, named, answers, domains, emit, signal, {...how, ...others});
    },
    async discard(staged) {
      home = undefined;
      await discard(ports, staged, turns);
    },
    async publish(choice, staged, signal) {
      const done = await publishAll(ports, options, choice, staged, signal, turns);
      const domains = staged.map(({domain}) => domain);
      if (done.ok) await turns.take(signal, () => rememberPublisher(ports, domains, choice));
      return done;
    },
    watch: (staged, how) => watchAll(ports, options, staged, how, turns),
    async plan(answers, staged, _facts, signal) {
      const start = await checkStartOf(staged, signal);
      if (!start.ok) return start;
      return await turns.take(signal, async own => {
        const kept = await checkStaged(ports, staged);
        return kept.ok ? await planSetup(ports, answers, staged, own) : kept;
      });
    },
    apply: (ready, staged, emit, signal) =>
      turns.take(
        signal,
        async own => {
          const kept = await checkStaged(ports, staged);
          if (!kept.ok) return refused(kept.problem);
          const result = await applySetup(ports, options, ready, staged, emit, own);
          return result.applied ? await bookActive(ports, ready.plan, result, emit) : result;
        },
        CHANGE,
      ),
    advise: (staged, signal, isByHand) => advise(ports, options, known(), staged, signal, isByHand),
    async saveDraft(answers) {
      if (!ports.process.privileged) return;
      await makeHome();
      await keepDraft(ports, options, answers);
    },
    async saveRecord(path, text) {
      try {
        await named.save(path, text);
        return ok(true);
      } catch (error) {
        if (error instanceof ToolError) return fail(problem(error.id, error.message, error.hint));
        throw error;
      }
    },
  };
}

const CHANGE = {boundMs: CHANGE_HELD_MS};

/** Another run has put back what was cut off. */
const PUT_BACK: ApplyResult = {
  applied: false,
  changed: false,
  proof: {checks: [], passed: false},
  interrupted: false,
};

/** Nothing was begun. */
export const refused = (why: Problem): ApplyResult => ({
  ...PUT_BACK,
  failure: {problem: why, whole: true, remains: []},
});

/**
 * Writes down that the keys sign. The change stands and is proven: a note that cannot be written (a full disk) is said,
 * but is no failure of it. The next run of the same command finds nothing to change, proves the host again and makes up
 * for the note.
 */
export async function bookActive(
  ports: Ports,
  plan: Plan,
  result: ApplyResult,
  emit: (event: WorkEvent) => void,
): Promise<ApplyResult> {
  try {
    await recordActive(ports, plan, result.proof.checks);
    await dropDraft(ports.files);
    return result;
  } catch (error) {
    const check: Check = {
      id: 'state.written',
      title: 'waxseal has written down what it did',
      status: 'warn',
      evidence: visible(error instanceof Error ? error.message : String(error)),
      cause: 'The host is set up and signs, but the state file does not say so.',
      fix: 'Mend the cause, then run the same command again; it changes nothing and writes it down.',
    };
    emit({type: 'check', check});
    return {...result, proof: {...result.proof, checks: [...result.proof.checks, check]}};
  }
}

/** Watches every domain at the same time, and writes down what is proven. */
async function watchAll(
  ports: Ports,
  options: WorkOptions,
  staged: readonly StagedDomain[],
  how: Parameters<Operations['watch']>[1],
  turns: Turns,
): Promise<readonly Survey[]> {
  const known = await turns.take(how.signal, async () => {
    // Looked at anew: a record that was shown before may have come further since.
    const find = entryFinder(await readKeys(ports));
    const shown = staged.filter(key => find(key)?.state === 'staged');
    await moveKeys(ports, shown, 'pending', {kind: 'record-shown'});
    return await readKeys(ports);
  });
  const resolverOnly = how.resolverOnly === true;
  const surveys = await Promise.all(
    staged.map(({domain, selector, record, zone}) =>
      watchRecord(
        ports,
        {
          ...{name: record.absoluteName, expected: record.value, zone},
          ...formerRecords(known, {domain, selector}),
        },
        {
          deadlineMs: how.deadlineMs,
          onSurvey: how.onSurvey,
          resolvers: options.resolvers,
          resolverOnly,
          signal: how.signal,
        },
      ),
    ),
  );
  const found = surveys.flatMap((survey, index) => {
    const key = staged[index];
    return key === undefined ? [] : [[key, survey] as const];
  });
  await turns.take(how.signal, () => recordSurveys(ports, found, {resolverOnly}));
  return surveys;
}
