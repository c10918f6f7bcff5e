import {expect, it} from 'vitest';
import {problem} from '../../src/domain/result.ts';
import type {QuestionId} from '../../src/flow/answers.ts';
import type {ApplyResult} from '../../src/flow/operations.ts';
import {QUESTION_ORDER} from '../../src/flow/questions.ts';
import {initialState, reduce} from '../../src/flow/reduce.ts';
import type {Event, Mode, State} from '../../src/flow/state.ts';
import {where} from '../../src/flow/where.ts';
import {mode} from '../support/drive.ts';
import {
  check,
  domainOf,
  fakeFacts,
  fakePlan,
  fakeReady,
  fakeStaged,
  fakeSurvey,
  fakeZone,
  proof,
  selectorOf,
} from '../support/fake-operations.ts';
import {fc} from '../support/fast-check.ts';
import {violations} from '../support/json-schema.ts';
import {reportSchema} from '../support/report-schema.ts';

const staged = [fakeStaged(domainOf('example.org'), selectorOf('202611'))];
const [key] = staged;
if (key === undefined) throw new Error('no key');
const why = problem('x.y', 'Something is wrong.', 'Mend it.');
const run = {id: 'r1', title: 'Sign', startedAt: '2026-11-20T09:00:00.000Z'};
const pending = {staged, answers: {domains: [key.domain]}, since: '2026-11-20T09:00:00.000Z'};
const result = (over: Partial<ApplyResult>): ApplyResult => ({
  applied: true,
  changed: true,
  proof: proof(check('proof.milter', 'pass')),
  interrupted: false,
  ...over,
});

/** Events as a person and as effects may send them, also where they do not fit. */
const events: readonly Event[] = [
  ...QUESTION_ORDER.flatMap((question: QuestionId): Event[] => [
    {type: 'answered', question, text: ANSWERS()[question] ?? ''},
    {type: 'answered', question, text: '?!'},
    {type: 'edit', question},
    {type: 'answer-refused', question, problem: why},
    {
      type: 'answer-checked',
      question,
      domainFacts: [{domain: domainOf('example.org'), zone: fakeZone('example.org'), provider: undefined}],
      suggestedSelector: selectorOf('202611'),
    },
  ]),
  {type: 'continued'},
  {type: 'back'},
  {type: 'leave'},
  {type: 'stay'},
  {type: 'form-chosen', form: 'json'},
  {type: 'save-record', path: key.stagedPath},
  {type: 'noticed', text: 'Copied'},
  {type: 'confirmed'},
  {type: 'declined'},
  {type: 'recheck'},
  {type: 'interrupted', signal: 'SIGINT'},
  {type: 'interrupted', signal: 'SIGHUP'},
  {type: 'looked', look: {facts: fakeFacts(), pending: undefined, unfinished: undefined, draft: undefined}},
  {type: 'looked', look: {facts: fakeFacts(), pending, unfinished: undefined, draft: {settings: 'change'}}},
  {type: 'looked', look: {facts: fakeFacts(), pending: undefined, unfinished: run, draft: undefined}},
  {
    type: 'looked',
    look: {
      facts: fakeFacts({missingPackages: ['opendkim']}),
      pending: undefined,
      unfinished: undefined,
      draft: undefined,
    },
  },
  {type: 'recovered', result: result({applied: false})},
  {type: 'installed', facts: fakeFacts()},
  {type: 'stage-progress', progress: {domain: key.domain, done: 1, of: 1}},
  {type: 'staged', staged},
  {
    type: 'surveyed',
    surveys: [
      {domain: key.domain, survey: fakeSurvey(key, ['matching', 'absent'], '2026-11-21T10:00:00.000Z')},
    ],
  },
  {
    type: 'surveyed',
    surveys: [
      {domain: key.domain, survey: fakeSurvey(key, ['matching', 'matching'], '2026-11-21T10:00:09.000Z')},
    ],
  },
  {type: 'watch-started', at: '2026-11-21T10:00:00.000Z', deadlineAt: undefined},
  {
    type: 'published',
    records: [{domain: key.domain, outcome: 'published', name: key.record.absoluteName}],
  },
  {type: 'publish-failed', problem: why},
  {type: 'watch-ended', settled: true, at: '2026-11-21T10:00:09.000Z'},
  {type: 'watch-ended', settled: false, at: '2026-11-21T10:00:09.000Z'},
  {type: 'planned', ready: fakeReady(staged)},
  {type: 'planned', ready: fakeReady(staged, {plan: fakePlan(staged, []), changes: []})},
  {type: 'planned', ready: fakeReady(staged, {preflight: proof(check('preflight.signs', 'fail'))})},
  {type: 'worked', event: {type: 'step-started', step: 'a', index: 1, of: 2}},
  {type: 'worked', event: {type: 'step-done', step: 'a', index: 1, of: 2}},
  {type: 'worked', event: {type: 'proof-started'}},
  {type: 'worked', event: {type: 'rolling-back', because: 'it failed'}},
  {type: 'worked', event: {type: 'rolled-back', whole: true, remains: []}},
  {type: 'applied', result: result({}), at: '2026-11-21T10:01:00.000Z'},
  {type: 'applied', result: result({applied: false, failure: {problem: why, whole: true, remains: []}})},
  {type: 'applied', result: result({applied: false, failure: {problem: why, whole: false, remains: ['/x']}})},
  {type: 'applied', result: result({applied: false, changed: false, interrupted: true})},
  {type: 'advised', advice: {lines: []}},
  {type: 'failed', problem: why, exitCode: 5},
  {type: 'failed', problem: why, exitCode: 7},
];

function ANSWERS(): Readonly<Partial<Record<QuestionId, string>>> {
  return {
    install: 'yes',
    domains: 'example.org',
    selector: '202611',
    key: 'rsa:2048',
    settings: 'recommended',
    subdomains: 'yes',
    socket: 'auto',
    canonicalization: 'relaxed/simple',
    testMode: 'no',
    publish: 'nsupdate',
  };
}

// Random events alone hardly ever reach an apply: most of the time the event that leads on is taken.
function onward(state: State): readonly Event[] {
  const {phase} = state;
  const by = (...types: readonly Event['type'][]) => events.filter(event => types.includes(event.type));
  switch (phase.at) {
    case 'looking':
      return by('looked');
    case 'host':
    case 'record':
      return by('continued');
    case 'recovering':
      return by('recovered');
    case 'installing':
      return by('installed');
    case 'asking':
      return by(phase.checking ? 'answer-checked' : 'answered').filter(
        event => 'question' in event && event.question === phase.question,
      );
    case 'making-key':
      return by('staged');
    case 'propagation':
      return by('surveyed', 'watch-ended');
    case 'planning':
      return by('planned');
    case 'plan':
      return by('confirmed', 'continued');
    case 'applying':
    case 'testing':
    case 'rolling-back':
      return by('worked', 'applied', 'advised');
    case 'leaving':
      return by('stay', 'leave');
    case 'finished':
      return [];
  }
}

interface Host {
  readonly touched: boolean;
  readonly packages: boolean;
  readonly recovered: boolean;
}

/** What these events mean for an imaginary host, told apart from how the flow keeps it. */
function hostAfter(host: Host, state: State, event: Event): Host {
  const phase = state.phase.at === 'leaving' ? state.phase.from : state.phase;
  const changing = ['applying', 'testing', 'rolling-back'].includes(phase.at) && state.result === undefined;
  const working = changing || ['testing', 'recovering', 'installing'].includes(phase.at);
  switch (event.type) {
    case 'worked':
      return working && event.event.type === 'step-started' ? {...host, touched: true} : host;
    case 'installed':
      return phase.at === 'installing' ? {...host, packages: true, touched: false} : host;
    case 'recovered':
      return phase.at === 'recovering' ? {...host, recovered: true, touched: false} : host;
    case 'applied': {
      if (!changing) return host;
      const {failure, applied, changed} = event.result;
      if (failure !== undefined) return {...host, touched: !failure.whole};
      return {...host, touched: applied && (changed || host.touched)};
    }
    case 'failed':
      if (phase.at === 'finished' || state.result?.applied === true) return host;
      if (event.exitCode !== 7 || isShownAtQuestion(state)) return host;
      return {...host, touched: true};
    default:
      return host;
  }
}

const isShownAtQuestion = (state: State): boolean => {
  const phase = state.phase.at === 'leaving' ? state.phase.from : state.phase;
  return phase.at === 'asking' && phase.checking && state.mode.interactive;
};

const modes: fc.Arbitrary<Mode> = fc
  .record({interactive: fc.boolean(), yes: fc.boolean(), dryRun: fc.boolean()})
  .map(over => mode({...over, ...(over.interactive ? {} : {waitMs: 60_000})}));

const choices = fc.array(fc.record({onward: fc.integer({min: 0, max: 14}), pick: fc.nat()}), {
  minLength: 25,
  maxLength: 90,
});

it('never throws, never applies without agreement, settled servers and a passed trial, never applies twice', () => {
  let reached = 0;
  fc.assert(
    fc.property(modes, fc.boolean(), choices, (runMode, withDomain, picks) => {
      let state = initialState(runMode, withDomain ? {domains: 'example.org'} : {});
      const trace: string[] = [];
      let applies = 0;
      let finishes = 0;
      let host: Host = {touched: false, packages: false, recovered: false};
      for (const {onward: towards, pick} of picks) {
        const fitting = towards === 0 ? [] : onward(state);
        const pool = fitting.length > 0 ? fitting : events;
        const event = pool[pick % pool.length];
        if (event === undefined) continue;
        const before = state;
        const [next, effects] = reduce(before, event);
        host = hostAfter(host, before, event);
        state = next;
        trace.push(`${JSON.stringify(event).slice(0, 60)} -> ${state.phase.at} ${state.changed}`);
        where(state);
        for (const effect of effects) {
          if (effect.do === 'finish') finishes += 1;
          if (effect.do !== 'apply') continue;
          applies += 1;
          reached += 1;
          const agreed =
            event.type === 'confirmed' ||
            (event.type === 'continued' && effect.ready.plan.steps.length === 0) ||
            (!runMode.interactive && (runMode.yes || effect.ready.plan.steps.length === 0));
          expect(agreed).toBe(true);
          expect(runMode.dryRun).toBe(false);
          expect(before.staged.length).toBeGreaterThan(0);
          expect(before.staged.every(each => before.surveys[each.domain]?.settled === true)).toBe(true);
          expect(effect.ready.preflight.checks.some(each => each.status === 'fail')).toBe(false);
        }
      }
      expect(applies).toBeLessThanOrEqual(1);
      expect(finishes).toBe(state.phase.at === 'finished' ? 1 : 0);
      if (state.phase.at !== 'finished') return;
      const {report} = state.phase;
      expect(violations(reportSchema, JSON.parse(JSON.stringify(report)))).toEqual([]);
      expect(report.changed, trace.join('\n')).toBe(host.packages || host.recovered || host.touched);
      expect(report.exitCode === 0).toBe(report.error === null);
    }),
    {numRuns: 3000, seed: 20261121},
  );
  // The property is worth nothing where no run gets that far.
  expect(reached).toBeGreaterThan(50);
});
