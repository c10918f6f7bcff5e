/** A host that may not reach port 53: nothing goes on by the resolver's word alone unless somebody says so. */
import {expect, test} from 'vitest';
import {commandLine} from '../../src/flow/command-line.ts';
import {buildReport} from '../../src/flow/ending.ts';
import {initialState, reduce} from '../../src/flow/reduce.ts';
import type {State} from '../../src/flow/state.ts';
import {surveyFacts} from '../../src/flow/survey-facts.ts';
import {meaningOf, promptText} from '../../src/views/plain/prompts.ts';
import {lastWords} from '../../src/views/tui/summary-text.ts';
import {mode} from '../support/drive.ts';
import {violations} from '../support/json-schema.ts';
import {reportSchema} from '../support/report-schema.ts';
import {sampleState} from '../support/sample-states.ts';

const at = '2026-11-21T10:02:00.000Z';
const blocked = sampleState('propagation-blocked');
const ended = {type: 'watch-ended', settled: true, at} as const;

test('without the choice it stays pending, whatever the resolver says', () => {
  const [next] = reduce(blocked, ended);
  expect(next.phase).toMatchObject({
    at: 'finished',
    report: {
      exitCode: 3,
      error: {id: 'record.resolver-only', hint: expect.stringContaining('--resolver-only')},
    },
  });
});

test('the choice is said aloud, asks anew, and then the plan is made', () => {
  const [chosen, effects] = reduce(blocked, {type: 'trust-resolver'});
  expect(effects).toMatchObject([{do: 'stop-watching'}, {do: 'watch', resolverOnly: true}]);
  expect(chosen.lines.at(-1)).toMatchObject({kind: 'warn', text: expect.stringContaining('is not known')});
  const [next, plan] = reduce(chosen, ended);
  expect([next.phase.at, plan]).toEqual(['planning', [{do: 'plan'}]]);
  expect(next.lines.at(-1)?.text).toBe('Known from the resolver only: example.org');
  expect(commandLine(next)).toContain('--resolver-only');
});

test('it is no choice where a name server answers, or the resolver has not the record', () => {
  for (const state of [sampleState('propagation'), withResolver('absent')]) {
    const [next, effects] = reduce(state, {type: 'trust-resolver'});
    expect([next === state, effects]).toEqual([true, []]);
    expect(promptText(state)).not.toContain('w:');
    expect(meaningOf(state, 'w')).toEqual({show: expect.any(String)});
  }
});

function withResolver(resolver: 'absent' | 'wrong'): State {
  const surveys = Object.entries(blocked.surveys).map(([name, survey]) => [name, {...survey, resolver}]);
  return {...blocked, surveys: Object.fromEntries(surveys)};
}

test('the flag makes the choice beforehand, but not for a resolver without the record', () => {
  expect(initialState(mode({resolverOnly: true})).resolverOnly).toBe(true);
  expect(reduce({...blocked, resolverOnly: true}, ended)[0].phase.at).toBe('planning');
  const [absent] = reduce({...withResolver('absent'), resolverOnly: true}, ended);
  expect(absent.phase).toMatchObject({at: 'finished', report: {exitCode: 3}});
});

test('plain: w is named and means it', () => {
  expect(promptText(blocked)).toContain("w: go on by the resolver's word only.");
  expect(meaningOf(blocked, 'w')).toEqual({send: {type: 'trust-resolver'}});
});

test('the weaker claim is in the report, in the summary, and in the facts', () => {
  const trusting = {...blocked, resolverOnly: true};
  const report = buildReport(trusting, 0);
  expect(violations(reportSchema, report)).toEqual([]);
  expect(report.checks).toMatchObject([{id: 'dns.resolver-only', status: 'warn'}]);
  expect(report.domains[0]).toMatchObject({
    publishedAt: null,
    dns: {agreed: false, settled: false, resolver: 'matching', weaker: {id: 'dns.port-blocked'}},
  });
  expect(lastWords(trusting, report)).toContain("Known by the resolver's word only:");
  expect(lastWords(blocked, buildReport(blocked, 3))).not.toContain("Known by the resolver's word only:");
  const [survey] = Object.values(blocked.surveys);
  const facts = survey === undefined ? [] : surveyFacts(survey, Date.parse(at));
  expect(facts.map(({key}) => key.split(' ')[0])).toEqual(['dns.port-blocked', 'dnssec']);
});

test('limits of caches count down and go when they are over', () => {
  const survey = Object.values(sampleState('propagation-caches').surveys)[0];
  if (survey === undefined) throw new Error('no survey');
  const said = (time: string): readonly string[] =>
    surveyFacts(survey, Date.parse(time)).flatMap(({key, text}) => (key.startsWith('cache') ? [text] : []));
  expect(said('2026-11-21T10:01:10Z')).toEqual([
    'The resolver of this host may still say "no such record" for 4 m 10 s.',
    'A resolver that asked before may still give the old record for 1 h.',
  ]);
  expect(said('2026-11-21T10:05:20Z')).toHaveLength(1);
  expect(said('2026-11-21T11:01:10Z')).toEqual([]);
});
