/** What is said while many keys are made, and when that is cut short. */
import {expect, it} from 'vitest';
import {ok} from '../../src/domain/result.ts';
import type {Operations} from '../../src/flow/operations.ts';
import {at, start, until} from '../support/drive.ts';
import {domainOf, fakeStaged, selectorOf} from '../support/fake-operations.ts';

const names = (count: number) => Array.from({length: count}, (_, index) => domainOf(`d${index}.example.org`));
const domains = (count: number) => ({domains: names(count).join(','), selector: '202611'});

/** Says that `done` keys are ready, and then waits for the end or goes on. */
const staging =
  (done: number, goesOn: boolean): Operations['stage'] =>
  async (_answers, facts, emit, signal) => {
    for (const [index, {domain}] of facts.slice(0, done).entries()) {
      emit({domain, done: index + 1, of: facts.length});
    }
    if (!goesOn) {
      await new Promise((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), {once: true}),
      );
    }
    return ok(facts.map(({domain}) => fakeStaged(domain, selectorOf('202611'))));
  };

const linesOf = (count: number, jobs: Partial<Operations>, over = {}) =>
  start({interactive: false, yes: true, waitMs: 0, ...over}, domains(count), {jobs});

it('tells every tenth part of many keys as a line, and nothing of a few', async () => {
  const many = linesOf(250, {stage: staging(250, true)});
  await many.session.done();
  const lines = many.session.state().lines.map(({text}) => text);
  expect(lines.filter(text => text.startsWith('Keys ready'))).toEqual(
    Array.from({length: 10}, (_, index) => `Keys ready: ${25 * (index + 1)} of 250`),
  );
  const few = linesOf(19, {stage: staging(19, true)});
  await few.session.done();
  expect(few.session.state().lines.filter(({text}) => text.startsWith('Keys ready'))).toEqual([]);
});

it.each([
  [37, /^The 37 keys that are made are kept; go on with: waxseal setup --domain d0\.example\.org /],
  [1, /^The key that is made is kept; go on with: waxseal setup /],
  [0, /^$/],
])('says after a signal that %i keys are kept', async (done, hint) => {
  const {session} = linesOf(50, {stage: staging(done, false)});
  await at(session, 'making-key');
  if (done > 0) {
    await until(session, ({phase}) => phase.at === 'making-key' && phase.progress?.done === done);
  }
  session.send({type: 'interrupted', signal: 'SIGINT'});
  const report = await session.done();
  expect(report).toMatchObject({exitCode: 130, changed: false, error: {id: 'interrupted'}});
  expect(report.error?.hint).toMatch(hint);
});

it('does not promise keys of a dry run', async () => {
  const {session} = linesOf(50, {stage: staging(9, false)}, {dryRun: true});
  await until(session, ({phase}) => phase.at === 'making-key' && phase.progress?.done === 9);
  session.send({type: 'interrupted', signal: 'SIGTERM'});
  expect((await session.done()).error?.hint).toBe('');
});
