/** Guards of the reducer that the runner's own guards would hide: each is tried alone. */
import {describe, expect, it} from 'vitest';
import {AFTER_SANDBOX, leaveNow, leaveQuestion} from '../../src/flow/ending.ts';
import {initialState, reduce} from '../../src/flow/reduce.ts';
import type {Event, State} from '../../src/flow/state.ts';
import {where} from '../../src/flow/where.ts';
import {mode} from '../support/drive.ts';
import {
  domainOf,
  fakeFacts,
  fakeReady,
  fakeStaged,
  fakeSurvey,
  selectorOf,
} from '../support/fake-operations.ts';

const key = fakeStaged(domainOf('example.org'), selectorOf('202611'));
const other = fakeStaged(domainOf('example.net'), selectorOf('202611'));
const time = '2026-11-21T10:00:00.000Z';
const settled = fakeSurvey(key, ['matching', 'matching'], time);

const stateAt = (phase: State['phase'], over: Partial<State> = {}): State => ({
  ...initialState(mode()),
  facts: fakeFacts(),
  staged: [key, other],
  phase,
  ...over,
});

const propagation = {at: 'propagation', startedAt: time, deadlineAt: undefined} as const;
const ended: Event = {type: 'watch-ended', settled: true, at: time};

describe('a key never signs before its record is visible everywhere', () => {
  it('whatever the end of the watch says', () => {
    const half = stateAt(propagation, {surveys: {'example.org': settled}});
    expect(reduce(half, ended)[0].phase).toMatchObject({at: 'finished', report: {exitCode: 3}});
    const both = {'example.org': settled, 'example.net': fakeSurvey(other, ['matching', 'matching'], time)};
    expect(reduce(stateAt(propagation, {surveys: both}), ended)[0].phase.at).toBe('planning');
    expect(reduce(stateAt(propagation, {surveys: both}), {...ended, settled: false})[0].phase.at).toBe(
      'finished',
    );
  });

  it('whatever led to the plan', () => {
    const plan = stateAt({at: 'plan'}, {ready: fakeReady([key, other]), surveys: {'example.org': settled}});
    const [next, effects] = reduce(plan, {type: 'confirmed'});
    expect(effects.map(effect => effect.do)).toEqual(['finish']);
    expect(next.phase).toMatchObject({
      at: 'finished',
      report: {error: {id: 'record.pending'}, changed: false},
    });
  });
});

describe('an event that does not fit', () => {
  it('changes nothing at all', () => {
    const plan = stateAt({at: 'plan'}, {ready: fakeReady([key, other])});
    for (const event of [
      {type: 'answered', question: 'domains', text: 'x.org'},
      {type: 'continued'},
      {type: 'recheck'},
      {type: 'stay'},
      {type: 'staged', staged: [key]},
      {
        type: 'applied',
        result: {applied: true, changed: true, proof: {checks: [], passed: true}, interrupted: false},
      },
      {type: 'worked', event: {type: 'proof-started'}},
    ] as const satisfies readonly Event[]) {
      expect(reduce(plan, event)).toEqual([plan, []]);
      expect(reduce(plan, event)[0]).toBe(plan);
    }
  });

  it('never takes an answer for another question than the one that is shown', () => {
    const asking = stateAt({at: 'asking', question: 'key', initial: '', problem: undefined, checking: false});
    expect(reduce(asking, {type: 'answered', question: 'domains', text: 'x.org'})[0]).toBe(asking);
  });
});

describe('words', () => {
  it('of the leave question say what is kept', () => {
    expect(leaveQuestion(initialState(mode())).text).toBe('Nothing was changed.');
    expect(leaveQuestion(stateAt({at: 'plan'})).text).toContain(
      'The key is kept; go on later with: waxseal setup',
    );
  });

  it('after a sandbox that is left name no command that would meet the real host', () => {
    const over = {mode: mode({sandbox: true})};
    for (const phase of [{at: 'plan'}, propagation] as const) {
      const here = stateAt(phase, over);
      expect(leaveQuestion(here).text).toContain('The sandbox is thrown away, and its key with it.');
      const [left] = leaveNow(here, 130);
      const report = left.phase.at === 'finished' ? left.phase.report : undefined;
      expect(report?.error?.hint).toBe(AFTER_SANDBOX);
      expect(report?.domains.map(({nextStep}) => nextStep)).toEqual([AFTER_SANDBOX, AFTER_SANDBOX]);
      expect(JSON.stringify(report)).not.toContain('kept');
    }
  });

  it('of a place are those below a leave question, too, and fewer in a dry run', () => {
    expect(where(stateAt({at: 'leaving', from: propagation}))).toEqual({
      screen: 'propagation',
      index: 6,
      of: 10,
    });
    const dry = {...stateAt({at: 'plan'}), mode: mode({dryRun: true})};
    expect(where(dry)).toEqual({screen: 'plan', index: 5, of: 6});
  });
});
