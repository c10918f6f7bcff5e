import {describe, expect, it} from 'vitest';
import {fail, ok, problem} from '../../src/domain/result.ts';
import type {ApplyResult, PendingSetup} from '../../src/flow/operations.ts';
import type {Phase, State} from '../../src/flow/state.ts';
import {SCREENS} from '../../src/flow/state.ts';
import {where} from '../../src/flow/where.ts';
import {answer, asked, at, start, toPlan, toRecord, until} from '../support/drive.ts';
import {
  check,
  domainOf,
  fakeFacts,
  fakePlan,
  fakeReady,
  fakeStaged,
  proof,
  selectorOf,
} from '../support/fake-operations.ts';

const staged = fakeStaged(domainOf('example.org'), selectorOf('202611'));

const pending: PendingSetup = {
  staged: [staged],
  answers: {
    domains: [staged.domain],
    selector: staged.selector,
    key: {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}},
    settings: 'recommended',
  },
  since: '2026-11-20T09:00:00.000Z',
};

const unfinished = {id: 'r1', title: 'Sign for example.org', startedAt: '2026-11-20T09:00:00.000Z'};

const failing: ApplyResult = {
  applied: false,
  changed: false,
  proof: proof(check('proof.milter', 'fail')),
  failure: {
    problem: problem('service.restart', 'opendkim did not start.', 'journalctl -u opendkim'),
    whole: true,
    remains: [],
  },
  interrupted: false,
};

describe('the main job', () => {
  it('goes from the look to the summary and counts its steps', async () => {
    const started = start();
    const {session, operations} = started;
    const places: string[] = [];
    session.subscribe(state => {
      const {screen, index, of} = where(state);
      const place = `${index}/${of} ${screen}`;
      if (places.at(-1) !== place) places.push(place);
    });
    const atPlan = await toPlan(started);
    expect(atPlan.changed).toBe('nothing');
    session.send({type: 'confirmed'});
    const report = await session.done();
    expect(places).toEqual(SCREENS.map((screen, index) => `${index + 1}/10 ${screen}`));
    expect(report).toMatchObject({result: 'ok', exitCode: 0, changed: true, error: null});
    expect(report.domains).toMatchObject([
      {
        domain: 'example.org',
        state: 'active',
        keyPath: '/etc/dkimkeys/example.org/202611.private',
        publishedAt: '2026-11-21T10:00:10.000Z',
        activatedAt: '2026-11-21T10:00:10.000Z',
      },
    ]);
    expect(operations.calls.filter(call => call === 'apply')).toHaveLength(1);
    expect(session.state().lines.at(-1)?.text).toBe(
      'The same without questions: waxseal setup --domain example.org --selector 202611 --yes',
    );
  });

  it('sets several domains up in one go', async () => {
    const {session} = start();
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
    answer(session, 'example.org, example.net');
    for (const question of ['selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    const record = await at(session, 'record');
    expect(record.staged.map(each => each.domain)).toEqual(['example.org', 'example.net']);
    session.send({type: 'continued'});
    await at(session, 'plan');
    session.send({type: 'confirmed'});
    const report = await session.done();
    expect(report.domains.map(each => [each.domain, each.state])).toEqual([
      ['example.org', 'active'],
      ['example.net', 'active'],
    ]);
  });

  it('asks every setting where they are to be changed, and puts each into the command line', async () => {
    const {session} = start();
    await at(session, 'host');
    session.send({type: 'continued'});
    const answers: readonly (readonly [string, string])[] = [
      ['domains', 'example.org'],
      ['selector', 's1'],
      ['key', 'rsa:3072'],
      ['settings', 'change'],
      ['subdomains', 'no'],
      ['trustedHosts', '10.0.0.0/8'],
      ['socket', 'inet:8891'],
      ['canonicalization', 'relaxed/relaxed'],
      ['testMode', 'yes'],
      ['note', "ask the hostmaster's office"],
      ['publish', 'hook:/usr/local/sbin/dns hook'],
    ];
    for (const [question, text] of answers) {
      await asked(session, question);
      answer(session, text);
    }
    await at(session, 'record');
    session.send({type: 'continued'});
    await at(session, 'plan');
    session.send({type: 'confirmed'});
    await session.done();
    expect(session.state().lines.at(-1)?.text).toBe(
      "The same without questions: waxseal setup --domain example.org --selector s1 --bits 3072 --no-subdomains --trusted-hosts 10.0.0.0/8 --socket inet:8891 --canonicalization relaxed/relaxed --test-mode --note 'ask the hostmaster'\\''s office' --publish 'hook:/usr/local/sbin/dns hook' --yes",
    );
  });

  it('only tests where the host is right already, and says that nothing changed', async () => {
    const started = start({}, {}, {ready: keys => fakeReady(keys, {plan: fakePlan(keys, []), changes: []})});
    await toPlan(started);
    started.session.send({type: 'continued'});
    const report = await started.session.done();
    expect(report).toMatchObject({result: 'ok', exitCode: 0, changed: false, changes: []});
    expect(report.checks.map(each => each.id)).toContain('proof.milter');
  });

  it('takes flags as answers and does not ask them', async () => {
    const {session} = start({}, {domains: 'example.com', canonicalization: 'relaxed/relaxed'});
    await at(session, 'host');
    session.send({type: 'continued'});
    const state = await asked(session, 'selector');
    expect(state.answers.domains).toEqual(['example.com']);
    for (const question of ['selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    const record = await at(session, 'record');
    expect(record.answers).toMatchObject({settings: 'recommended', canonicalization: 'relaxed/relaxed'});
  });

  it('shows a bad flag at its question', async () => {
    const {session} = start({}, {domains: 'postmaster@example.org'});
    await at(session, 'host');
    session.send({type: 'continued'});
    const {phase} = await asked(session, 'domains');
    expect(phase).toMatchObject({initial: 'postmaster@example.org', problem: {id: 'domain.syntax'}});
  });

  it('proposes the answers of a draft', async () => {
    const {session} = start({}, {}, {look: {draft: {domains: [domainOf('example.com')]}}});
    await at(session, 'host');
    session.send({type: 'continued'});
    expect((await asked(session, 'domains')).phase).toMatchObject({initial: 'example.com'});
  });

  it('installs what is missing after a yes, and says so to the end', async () => {
    const {session, operations} = start({}, {}, {facts: {missingPackages: ['opendkim']}});
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'install');
    answer(session, 'yes');
    const state = await asked(session, 'domains');
    expect(state.changed).toBe('packages');
    expect(operations.calls).toContain('install');
    session.send({type: 'leave'});
    session.send({type: 'leave'});
    const report = await session.done();
    expect(report).toMatchObject({exitCode: 130, changed: true});
    expect(report.changes).toEqual([{kind: 'package', target: 'opendkim', action: 'install', diff: ''}]);
    expect(report.error?.message).toContain('Packages installed: opendkim.');
  });
});

describe('back and forth', () => {
  it('walks every question back with its answer kept, then to what was found, and asks to leave before that', async () => {
    const started = start();
    const {session} = started;
    await toRecord(started);
    for (const [question, text] of [
      ['settings', 'recommended'],
      ['key', 'rsa:2048'],
      ['selector', '202611'],
      ['domains', 'example.org'],
    ]) {
      session.send({type: 'back'});
      expect(session.state().phase).toMatchObject({at: 'asking', question, initial: text});
    }
    session.send({type: 'back'});
    expect(session.state().phase).toEqual({at: 'host', offer: 'none'});
    session.send({type: 'back'});
    expect(session.state().phase).toMatchObject({at: 'leaving', from: {at: 'host'}});
    session.send({type: 'stay'});
    session.send({type: 'continued'});
    for (const question of ['domains', 'selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    await at(session, 'record');
    // The answers are the same, so the keys are.
    expect(started.operations.calls.filter(call => call === 'stage')).toHaveLength(1);
  });

  it('walks over questions that do not apply', async () => {
    const {session} = start({}, {}, {facts: {missingPackages: ['opendkim']}});
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'install');
    answer(session, 'yes');
    await asked(session, 'domains');
    session.send({type: 'back'});
    expect(session.state().phase).toEqual({at: 'host', offer: 'none'});
  });

  it('proposes another selector for another domain, and makes another key', async () => {
    const started = start({}, {}, {takenSelectors: []});
    const {session, operations} = started;
    await toRecord(started);
    for (let times = 0; times < 4; times += 1) session.send({type: 'back'});
    answer(session, 'example.net');
    const state = await asked(session, 'selector');
    expect(state.drafts.selector).toBeUndefined();
    for (const question of ['selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    const record = await at(session, 'record');
    expect(record.staged.map(each => each.domain)).toEqual(['example.net']);
    expect(operations.calls.filter(call => call === 'stage')).toHaveLength(2);
  });

  it('looks again at what depends on an answer that is edited from the plan', async () => {
    const started = start();
    const {session} = started;
    await toPlan(started);
    session.send({type: 'edit', question: 'domains'});
    expect(session.state().phase).toMatchObject({at: 'asking', question: 'domains', initial: 'example.org'});
    answer(session, 'example.net');
    const state = await asked(session, 'selector');
    expect(state.accepted).toEqual(['domains', 'key', 'settings']);
    answer(session);
    expect((await at(session, 'record')).staged[0]?.domain).toBe('example.net');
  });

  it('takes single settings back when the recommended ones are wanted after all', async () => {
    const {session} = start();
    await at(session, 'host');
    session.send({type: 'continued'});
    for (const [question, text] of [
      ['domains', 'example.org'],
      ['selector', 's1'],
      ['key', 'rsa:2048'],
      ['settings', 'change'],
      ['subdomains', 'no'],
    ] as const) {
      await asked(session, question);
      answer(session, text);
    }
    session.send({type: 'back'});
    session.send({type: 'back'});
    await asked(session, 'settings');
    answer(session, 'recommended');
    const record = await at(session, 'record');
    expect(record.answers).not.toHaveProperty('subdomains');
  });

  it('goes from the plan to the record, from propagation to the record, and on again', async () => {
    const started = start();
    const {session} = started;
    await toPlan(started);
    session.send({type: 'back'});
    await at(session, 'record');
    session.send({type: 'continued'});
    session.send({type: 'back'});
    expect(session.state().phase.at).toBe('record');
    session.send({type: 'continued'});
    session.send({type: 'recheck'});
    await at(session, 'plan');
  });

  it('does not go back once the change has begun', async () => {
    const started = start();
    const {session, operations} = started;
    const gate = operations.hold('apply');
    await toPlan(started);
    session.send({type: 'confirmed'});
    await until(session, state => state.changed === 'changing');
    session.send({type: 'back'});
    session.send({type: 'confirmed'});
    session.send({type: 'edit', question: 'domains'});
    expect(session.state().phase.at).toBe('applying');
    gate.open();
    expect((await session.done()).exitCode).toBe(0);
    expect(operations.calls.filter(call => call === 'apply')).toHaveLength(1);
  });

  it('writes a draft after each answer, but not in a dry run', async () => {
    const wet = start();
    await toRecord(wet);
    expect(wet.operations.calls.filter(call => call === 'saveDraft')).toHaveLength(4);
    const dry = start({dryRun: true});
    await at(dry.session, 'host');
    dry.session.send({type: 'continued'});
    await asked(dry.session, 'domains');
    answer(dry.session);
    await asked(dry.session, 'selector');
    expect(dry.operations.calls).not.toContain('saveDraft');
  });
});

describe('refusals', () => {
  it('by the parser stay at the question, with what was typed', async () => {
    const {session} = start();
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
    answer(session, 'nodots');
    expect(session.state().phase).toMatchObject({initial: 'nodots', problem: {id: 'domain.syntax'}});
  });

  it('by the DNS stay at the question', async () => {
    const {session} = start(
      {},
      {},
      {
        jobs: {
          inspectDomain: async () =>
            fail(problem('domain.absent', 'example.org is not in the DNS.', 'Check it.')),
        },
      },
    );
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
    answer(session);
    await until(session, ({phase}) => phase.at === 'asking' && phase.problem?.id === 'domain.absent');
  });

  it('of a proposed selector propose the next one', async () => {
    const {session} = start({}, {}, {takenSelectors: ['202611', '202611a']});
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
    answer(session);
    expect((await asked(session, 'selector')).phase).toMatchObject({initial: '202611b'});
    answer(session, '202611');
    const {phase} = await until(
      session,
      each => each.phase.at === 'asking' && each.phase.problem !== undefined,
    );
    expect(phase).toMatchObject({problem: {id: 'selector.taken'}});
  });

  it('of a candidate that does not sign end without a change', async () => {
    const ready = (keys: State['staged']) =>
      fakeReady(keys, {preflight: proof(check('preflight.signs', 'fail'))});
    const started = start({}, {}, {ready});
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    const report = await started.session.done();
    expect(report).toMatchObject({exitCode: 5, changed: false, error: {id: 'preflight.failed'}});
    expect(started.operations.calls).not.toContain('apply');
  });

  it('of the plan by the user are exit 9', async () => {
    const started = start();
    await toPlan(started);
    started.session.send({type: 'declined'});
    expect(await started.session.done()).toMatchObject({exitCode: 9, changed: false, result: 'failed'});
  });

  it('of packages are exit 9', async () => {
    const {session} = start({}, {}, {facts: {missingPackages: ['opendkim']}});
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'install');
    answer(session, 'no');
    expect(await session.done()).toMatchObject({exitCode: 9, error: {id: 'package.missing'}});
  });

  it('of the host are exit 5', async () => {
    const blockers = [problem('host.not-root', 'This needs root.', 'Run it with sudo.')];
    const {session} = start({}, {}, {facts: {blockers}});
    expect((await at(session, 'host')).phase).toEqual({at: 'host', offer: 'blocked'});
    session.send({type: 'continued'});
    expect(await session.done()).toMatchObject({exitCode: 5, error: {id: 'host.not-root'}});
  });

  it('of a plan or a key that cannot be made are exit 5, and a fault is exit 1', async () => {
    const why = problem('opendkim.foreign', 'opendkim.conf has a Lua script.', 'Set it up by hand.');
    const noPlan = start({}, {}, {jobs: {plan: async () => fail(why)}});
    await toRecord(noPlan);
    noPlan.session.send({type: 'continued'});
    expect(await noPlan.session.done()).toMatchObject({exitCode: 5, error: why});
    const noKey = start(
      {interactive: false, yes: true},
      {domains: 'example.org'},
      {jobs: {stage: async () => fail(why)}},
    );
    expect(await noKey.session.done()).toMatchObject({exitCode: 5, changed: false});
    const fault = start(
      {interactive: false},
      {domains: 'example.org'},
      {
        jobs: {
          look: async () => {
            throw new TypeError('x is undefined');
          },
        },
      },
    );
    expect(await fault.session.done()).toMatchObject({exitCode: 1, error: {id: 'fault'}});
  });

  it.each([
    ['selector.taken', {}, 2],
    ['key.exists', {}, 2],
    ['key.self-test', {}, 5],
    ['key.self-test', {key: 'file:/root/dkim.pem'}, 2],
    ['key.unreadable', {key: 'file:/root/dkim.pem'}, 2],
    ['state.unsafe', {key: 'file:/root/dkim.pem'}, 5],
  ])(
    'of a key by %s with %j are exit %i: another answer helps, or the host must be mended',
    async (id, flags, exitCode) => {
      const {session} = start(
        {interactive: false, yes: true},
        {domains: 'example.org', ...flags},
        {jobs: {stage: async () => fail(problem(id, 'No key.', 'Mend it.'))}},
      );
      expect(await session.done()).toMatchObject({exitCode, changed: false, changes: [], error: {id}});
    },
  );

  it('of the change itself put everything back and are exit 6, or 7 with what remains', async () => {
    const whole = start({}, {}, {result: failing});
    await toPlan(whole);
    whole.session.send({type: 'confirmed'});
    expect(await whole.session.done()).toMatchObject({
      exitCode: 6,
      changed: false,
      changes: [],
      error: {id: 'service.restart'},
    });
    expect(whole.session.state().changed).toBe('put-back');

    const remains = ['/etc/opendkim.conf'];
    const notWhole = {...failing, failure: {problem: problem('x', 'Failed.', 'See.'), whole: false, remains}};
    const broken = start({}, {}, {result: notWhole});
    await toPlan(broken);
    broken.session.send({type: 'confirmed'});
    const report = await broken.session.done();
    expect(report).toMatchObject({exitCode: 7, changed: true});
    expect(report.error?.hint).toContain('/etc/opendkim.conf');
  });

  it('of the live test with nothing to change are exit 4', async () => {
    const started = start(
      {},
      {},
      {
        result: failing,
        ready: keys => fakeReady(keys, {plan: fakePlan(keys, []), changes: []}),
      },
    );
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    expect(await started.session.done()).toMatchObject({exitCode: 4, result: 'problems', changed: false});
  });

  it('of the advice spoil nothing', async () => {
    const started = start(
      {},
      {},
      {
        jobs: {
          advise: async () => {
            throw new Error('no resolver');
          },
        },
      },
    );
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    expect(await started.session.done()).toMatchObject({exitCode: 0, changed: true});
  });
});

describe('what an earlier run left', () => {
  it('is resumed at propagation', async () => {
    const {session, operations} = start({}, {}, {look: {pending}});
    expect((await at(session, 'host')).phase).toEqual({at: 'host', offer: 'resume'});
    session.send({type: 'continued'});
    expect(session.state().phase.at).toBe('propagation');
    await at(session, 'plan');
    session.send({type: 'confirmed'});
    expect(await session.done()).toMatchObject({exitCode: 0});
    expect(operations.calls).not.toContain('stage');
  });

  it('goes back to the offer, not into questions', async () => {
    const {session, operations} = start({}, {}, {look: {pending}, rounds: [['absent', 'absent']]});
    operations.hold('watch');
    await at(session, 'host');
    session.send({type: 'continued'});
    session.send({type: 'back'});
    expect(session.state().phase.at).toBe('record');
    session.send({type: 'back'});
    expect(session.state().phase).toEqual({at: 'host', offer: 'resume'});
  });

  it('can be left alone for a new setup', async () => {
    const {session} = start({}, {}, {look: {pending}});
    await at(session, 'host');
    session.send({type: 'declined'});
    const state = await asked(session, 'domains');
    expect(state.staged).toEqual([]);
    expect(state.phase).toMatchObject({initial: 'example.org'});
    answer(session);
    expect((await asked(session, 'selector')).drafts.selector).toBeUndefined();
  });

  it('is not resumed where the flags ask for something else', async () => {
    const {session} = start({}, {domains: 'example.net'}, {look: {pending}});
    expect((await at(session, 'host')).phase).toEqual({at: 'host', offer: 'none'});
  });

  it('is put back first where a change was cut short, then the host is looked at again', async () => {
    let looks = 0;
    const look = async () => {
      looks += 1;
      return {
        facts: fakeFacts(),
        pending: undefined,
        unfinished: looks === 1 ? unfinished : undefined,
        draft: undefined,
      };
    };
    const {session, operations} = start({}, {}, {jobs: {look}});
    expect((await at(session, 'host')).phase).toEqual({at: 'host', offer: 'recover'});
    session.send({type: 'continued'});
    await until(session, ({phase}) => phase.at === 'host' && phase.offer === 'none');
    expect(operations.calls).toContain('recover');
    session.send({type: 'leave'});
    session.send({type: 'leave'});
    expect(await session.done()).toMatchObject({exitCode: 130, changed: true});
  });

  it('ends with 7 where a cut-short change cannot be brought to an end, with 9 where it is declined', async () => {
    const stuck = start({}, {}, {look: {unfinished}});
    await at(stuck.session, 'host');
    stuck.session.send({type: 'continued'});
    expect(await stuck.session.done()).toMatchObject({exitCode: 7, error: {id: 'run.unfinished'}});
    const declined = start({}, {}, {look: {unfinished}});
    await at(declined.session, 'host');
    declined.session.send({type: 'declined'});
    expect(await declined.session.done()).toMatchObject({exitCode: 9});
    const failed = start(
      {},
      {},
      {
        look: {unfinished},
        jobs: {
          recover: async () => ({
            ...failing,
            failure: {problem: problem('x', 'x.', ''), whole: false, remains: []},
          }),
        },
      },
    );
    await at(failed.session, 'host');
    failed.session.send({type: 'continued'});
    expect(await failed.session.done()).toMatchObject({exitCode: 7, changed: true});
  });
});

describe('the record screen', () => {
  it('has forms, saves to a file and says what came of it', async () => {
    const started = start();
    const {session} = started;
    await toRecord(started);
    session.send({type: 'form-chosen', form: 'zone-file'});
    expect(session.state().phase).toMatchObject({form: 'zone-file'});
    session.send({type: 'save-record', path: staged.stagedPath});
    await until(session, ({phase}) => phase.at === 'record' && phase.notice !== undefined);
    expect(session.state().phase).toMatchObject({notice: `Record saved: ${staged.stagedPath}`});
    session.send({type: 'noticed', text: 'Copied'});
    expect(session.state().phase).toMatchObject({notice: 'Copied'});
  });

  it('shows why a record could not be saved', async () => {
    const saveRecord = async () => fail(problem('file.exists', 'The file exists.', 'Name another.'));
    const started = start({}, {}, {jobs: {saveRecord}});
    await toRecord(started);
    started.session.send({type: 'save-record', path: staged.stagedPath});
    await until(
      started.session,
      ({phase}) => phase.at === 'record' && phase.notice === 'The file exists. Name another.',
    );
  });
});

/** Brings a wizard to a phase; work that would pass by is held. */
const ways: Readonly<Record<string, (started: ReturnType<typeof start>) => Promise<unknown>>> = {
  async looking({session, operations}) {
    operations.hold('look');
    await at(session, 'looking');
  },
  host: ({session}) => at(session, 'host'),
  async asking({session}) {
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
  },
  async checking({session, operations}) {
    operations.hold('inspectDomain');
    await at(session, 'host');
    session.send({type: 'continued'});
    answer(session, 'example.org');
    await until(session, ({phase}) => phase.at === 'asking' && phase.checking);
  },
  async 'making-key'({session, operations}) {
    operations.hold('stage');
    await at(session, 'host');
    session.send({type: 'continued'});
    for (const question of ['domains', 'selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    await at(session, 'making-key');
  },
  record: toRecord,
  async propagation(started) {
    started.operations.hold('watch');
    await toRecord(started);
    started.session.send({type: 'continued'});
  },
  async planning(started) {
    started.operations.hold('plan');
    await toRecord(started);
    started.session.send({type: 'continued'});
    await at(started.session, 'planning');
  },
  plan: toPlan,
};

describe('leaving', () => {
  for (const [name, go] of Object.entries(ways)) {
    const kept = name === 'record' || name === 'propagation';
    it(`asks at ${name}, stays after a no, and ends with ${kept ? '3' : '130'} after the second time`, async () => {
      const started = start();
      const {session, operations} = started;
      await go(started);
      const before = session.state().phase;
      session.send({type: 'leave'});
      expect(session.state().phase).toMatchObject({at: 'leaving', from: before});
      session.send({type: 'stay'});
      expect(session.state().phase).toEqual(before);
      session.send({type: 'leave'});
      session.send({type: 'interrupted', signal: 'SIGINT'});
      const report = await session.done();
      expect(report).toMatchObject({
        exitCode: kept ? 3 : 130,
        changed: false,
        result: kept ? 'pending' : 'failed',
      });
      if (kept) expect(report.error?.hint).toContain('waxseal setup --domain example.org --selector 202611');
      expect(operations.calls).not.toContain('apply');
    });

    for (const signal of ['SIGTERM', 'SIGHUP'] as const) {
      it(`ends at ${name} by ${signal} at once with 143`, async () => {
        const started = start();
        await go(started);
        started.session.send({type: 'interrupted', signal});
        const report = await started.session.done();
        expect(report).toMatchObject({exitCode: 143, changed: false});
        expect(started.session.state().staged.length > 0).toBe(
          report.error?.hint.includes('The key is kept') === true,
        );
      });
    }
  }

  it('lets work that ends meanwhile go on below the question', async () => {
    const started = start();
    const {session, operations} = started;
    const gate = operations.hold('stage');
    await at(session, 'host');
    session.send({type: 'continued'});
    for (const question of ['domains', 'selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    await at(session, 'making-key');
    session.send({type: 'leave'});
    gate.open();
    await until(session, ({phase}) => phase.at === 'leaving' && phase.from.at === 'record');
    session.send({type: 'confirmed'});
    expect(session.state().phase.at).toBe('leaving');
    session.send({type: 'stay'});
    expect(session.state().phase.at).toBe('record');
  });
});

describe('stopping a running change', () => {
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 143],
  ] as const) {
    for (const empty of [false, true]) {
      it(`by ${signal} ${empty ? 'in the live test' : 'in a step'} puts everything back and is ${exitCode}`, async () => {
        const started = start(
          {},
          {},
          empty ? {ready: keys => fakeReady(keys, {plan: fakePlan(keys, [])})} : {},
        );
        const {session, operations} = started;
        const gate = operations.hold('apply');
        await toPlan(started);
        session.send({type: 'confirmed'});
        await until(session, state => (empty ? state.work.length > 0 : state.changed === 'changing'));
        session.send({type: 'interrupted', signal});
        session.send({type: 'interrupted', signal: 'SIGINT'});
        session.send({type: 'leave'});
        expect(session.state().phase.at).toBe(empty ? 'testing' : 'applying');
        gate.open();
        const report = await session.done();
        expect(report).toMatchObject({exitCode, changed: false});
        expect(session.state().changed).toBe(empty ? 'nothing' : 'put-back');
      });
    }
  }

  it('is too late once the proof is passed: the job is done', async () => {
    const started = start();
    const {session, operations} = started;
    operations.hold('advise');
    await toPlan(started);
    session.send({type: 'confirmed'});
    await until(session, state => state.result !== undefined);
    session.send({type: 'interrupted', signal: 'SIGTERM'});
    expect(await session.done()).toMatchObject({exitCode: 0, changed: true});
  });

  it('while packages are installed ends after their roll-back', async () => {
    const {session, operations} = start({}, {}, {facts: {missingPackages: ['opendkim']}});
    operations.hold('install');
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'install');
    answer(session, 'yes');
    await at(session, 'installing');
    session.send({type: 'leave'});
    expect(await session.done()).toMatchObject({exitCode: 130, changed: false});
  });
});

describe('the runner', () => {
  it('goes on where a view breaks, and tells the others', async () => {
    const started = start();
    const phases: Phase['at'][] = [];
    started.session.subscribe(() => {
      throw new Error('the view broke');
    });
    started.session.subscribe(state => phases.push(state.phase.at));
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    expect((await started.session.done()).exitCode).toBe(0);
    expect(phases.at(-1)).toBe('finished');
  });

  it('throws the key of a dry run away, even one that was made too late', async () => {
    const dry = start({interactive: false, dryRun: true}, {domains: 'example.org'});
    expect(await dry.session.done()).toMatchObject({exitCode: 0, changed: false, domains: [{keyPath: null}]});
    expect(dry.operations.calls).toContain('discard');
    expect(dry.operations.calls).not.toContain('watch');
    let kept: boolean | undefined;
    const late = start(
      {interactive: false, dryRun: true},
      {domains: 'example.org'},
      {
        jobs: {
          async stage(_answers, _domains, _emit, signal, options) {
            kept = options.keep;
            await new Promise(resolve => signal.addEventListener('abort', resolve));
            return ok([staged]);
          },
        },
      },
    );
    await at(late.session, 'making-key');
    late.session.send({type: 'interrupted', signal: 'SIGTERM'});
    expect(await late.session.done()).toMatchObject({exitCode: 143});
    expect(late.operations.calls).toContain('discard');
    expect(kept).toBe(false);
  });
});
