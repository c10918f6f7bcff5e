/** The real work behind the flow, made from the ports. */

import type {Survey} from '../../dns/survey.ts';
import {watchRecord} from '../../dns/watch.ts';
import {HostError, ToolError} from '../../domain/errors.ts';
import {fail, ok, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {isRunId, listRuns} from '../../plan/index.ts';
import {dropDraft, EMPTY_STATE, type RotationState} from '../../rotation/index.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {Ports} from '../../system/ports.ts';
import type {Operations, StagedDomain} from '../operations.ts';
import {advise} from './advising.ts';
import {applySetup, installMissing, planSetup, recoverUnfinished} from './carrying-out.ts';
import {moveKey, readKeys, recordActive, recordSurvey} from './key-book.ts';
import {inspectDomain, keepDraft, look} from './looking.ts';
import type {WorkOptions} from './options.ts';
import {checkKey, checkSelector, discard, stage, suggestSelector} from './staging.ts';

export type {WorkOptions} from './options.ts';

/**
 * The operations of one run. They remember what the look found, since a selector is proposed without looking again.
 * The caller holds the lock of the host.
 */
export function createOperations(ports: Ports, options: WorkOptions): Operations {
  let facts: HostFacts | undefined;
  let keys: RotationState = EMPTY_STATE;
  const known = (): HostFacts => {
    if (facts === undefined) throw new TypeError('the host was not looked at');
    return facts;
  };
  return {
    async look(signal) {
      const found = await look(ports, options, signal);
      facts = found.facts;
      if (ports.process.privileged) keys = await readKeys(ports);
      return found;
    },
    async recover(run, emit) {
      const summary = (await listRuns(ports)).find(each => isRunId(run.id) && each.run === run.id);
      if (summary === undefined) {
        throw new HostError(
          problem('run.unknown', `There is no run ${visible(run.id)}.`, 'Run waxseal again.'),
        );
      }
      return await recoverUnfinished(ports, summary, emit);
    },
    async install(before, emit, signal) {
      facts = await installMissing(ports, before, emit, signal);
      return facts;
    },
    inspectDomain: (domain, signal) => inspectDomain(ports, options, domain, signal),
    suggestSelector: domains => suggestSelector(ports, keys, known(), domains),
    checkSelector: (domains, selector, signal) => checkSelector(ports, known(), domains, selector, signal),
    checkKey: (key, host) => checkKey(ports, key, host),
    stage: (answers, domains, emit, signal, how) => stage(ports, answers, domains, emit, signal, how),
    discard: staged => discard(ports, staged),
    watch: (staged, how) => watchAll(ports, options, staged, how),
    plan: (answers, staged, _facts, signal) => planSetup(ports, answers, staged, signal),
    async apply(ready, staged, emit, signal) {
      const result = await applySetup(ports, options, ready, staged, emit, signal);
      if (result.applied) {
        await recordActive(ports, ready.plan, result.proof.checks);
        await dropDraft(ports.files);
      }
      return result;
    },
    advise: (staged, signal) => advise(ports, options, staged, signal),
    saveDraft: answers => keepDraft(ports, answers),
    async saveRecord(path, text) {
      try {
        await ports.files.create(path, new TextEncoder().encode(text), {mode: 0o644, uid: 0, gid: 0});
        return ok(true);
      } catch (error) {
        if (error instanceof ToolError) return fail(problem(error.id, error.message, error.hint));
        throw error;
      }
    },
  };
}

/** Watches every domain at the same time, and writes down what is proven. */
async function watchAll(
  ports: Ports,
  options: WorkOptions,
  staged: readonly StagedDomain[],
  how: Parameters<Operations['watch']>[1],
): Promise<readonly Survey[]> {
  for (const key of staged) await moveIfStaged(ports, key);
  const surveys = await Promise.all(
    staged.map(({record, zone}) =>
      watchRecord(
        ports,
        {name: record.absoluteName, expected: record.value, zone},
        {
          deadlineMs: how.deadlineMs,
          onSurvey: how.onSurvey,
          resolvers: options.resolvers,
          signal: how.signal,
        },
      ),
    ),
  );
  for (const [index, survey] of surveys.entries()) {
    const key = staged[index];
    if (key !== undefined) await recordSurvey(ports, key, survey);
  }
  return surveys;
}

async function moveIfStaged(ports: Ports, key: StagedDomain): Promise<void> {
  if (key.state === 'staged') await moveKey(ports, key, 'pending', {kind: 'record-shown'});
}
