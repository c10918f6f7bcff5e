import {describe, expect, it} from 'vitest';
import {ChangeFailed, HostError, LockHeld, RollbackIncomplete} from '../../src/domain/errors.ts';
import {problem} from '../../src/domain/result.ts';
import type {PendingSetup} from '../../src/flow/operations.ts';
import {start} from '../support/drive.ts';
import {domainOf, fakePlan, fakeReady, fakeStaged, selectorOf} from '../support/fake-operations.ts';

const batch = {interactive: false, yes: true, waitMs: 60_000} as const;
const given = {domains: 'example.org'};
const unfinished = {id: 'r1', title: 'Sign for example.org', startedAt: '2026-11-20T09:00:00.000Z'};
const staged = fakeStaged(domainOf('example.org'), selectorOf('202610'));
const pending: PendingSetup = {
  staged: [staged],
  answers: {domains: [staged.domain], selector: staged.selector, settings: 'recommended'},
  since: '2026-11-20T09:00:00.000Z',
};

describe('without a terminal', () => {
  it('does the whole job with defaults', async () => {
    const {session, operations} = start(batch, given);
    expect(await session.done()).toMatchObject({exitCode: 0, changed: true, result: 'ok'});
    expect(operations.calls.filter(call => call === 'saveDraft')).toHaveLength(1);
    expect(session.state().answers).toMatchObject({selector: '202611', key: {source: 'generate'}});
  });

  it('ends with 2 and the flag where the domain is missing, even where one was found', async () => {
    const {session, operations} = start(batch);
    const report = await session.done();
    expect(report).toMatchObject({exitCode: 2, changed: false, error: {id: 'answer.missing'}});
    expect(report.error?.hint).toContain('--domain DOMAIN');
    expect(operations.calls).toEqual(['look']);
  });

  it.each([
    ['selector', {selector: '../x'}, '--selector'],
    ['key', {key: 'rsa:1024'}, '--bits'],
    ['key', {key: 'ed25519'}, '--algorithm'],
    ['socket', {socket: 'tcp'}, '--socket'],
    ['note', {note: 'a;b'}, '--note'],
    ['trusted hosts', {trustedHosts: '0.0.0.0/0'}, '--trusted-hosts'],
  ])('ends with 2 and the flag where the %s is wrong', async (_name, wrong, flag) => {
    const report = await start(batch, {...given, ...wrong}).session.done();
    expect(report).toMatchObject({exitCode: 2, changed: false, result: 'failed'});
    expect(report.error?.hint).toContain(flag);
  });

  it('ends with 2 where a named selector is taken, and takes the next where it was only proposed', async () => {
    const taken = {takenSelectors: ['202611']};
    const named = await start(batch, {...given, selector: 'x1'}, {takenSelectors: ['x1']}).session.done();
    expect(named).toMatchObject({exitCode: 2, error: {id: 'selector.taken'}});
    const proposed = await start(batch, given, taken).session.done();
    expect(proposed).toMatchObject({exitCode: 0, domains: [{selector: '202611a'}]});
  });

  it('ends with 2 and --yes where nobody agreed, with the key kept and nothing changed', async () => {
    const {session, operations} = start({...batch, yes: false}, given);
    const report = await session.done();
    expect(report).toMatchObject({exitCode: 2, changed: false, domains: [{state: 'ready'}]});
    expect(report.error?.hint).toContain('--yes');
    expect(operations.calls).not.toContain('apply');
  });

  it('needs no agreement where there is nothing to change', async () => {
    const ready = (keys: Parameters<typeof fakeReady>[0]) =>
      fakeReady(keys, {plan: fakePlan(keys, []), changes: []});
    expect(await start({...batch, yes: false}, given, {ready}).session.done()).toMatchObject({
      exitCode: 0,
      changed: false,
    });
  });

  it('ends with 3 where the record is not everywhere in time, after one round with --no-wait', async () => {
    const rounds = [['matching', 'absent']] as const;
    const late = start(batch, given, {rounds});
    const report = await late.session.done();
    expect(report).toMatchObject({
      exitCode: 3,
      result: 'pending',
      changed: false,
      domains: [{state: 'pending'}],
    });
    expect(report.domains[0]?.servers.map(server => server.status)).toEqual(['matching', 'absent']);
    expect(report.error?.hint).toContain(
      'waxseal setup --domain example.org --selector 202611 --wait 1m --yes',
    );
    const once = start({...batch, waitMs: 0}, given, {rounds});
    expect(await once.session.done()).toMatchObject({exitCode: 3});
    expect(once.session.state().lines.filter(line => line.text.includes('1 of 2 servers'))).toHaveLength(1);
  });

  it('does not believe a watch that calls itself settled without a survey that is', async () => {
    const report = await start(batch, given, {jobs: {watch: async () => []}}).session.done();
    expect(report).toMatchObject({exitCode: 3});
  });

  it('finishes with the same command what an earlier run began', async () => {
    const {session, operations} = start(batch, given, {look: {pending}});
    expect(await session.done()).toMatchObject({
      exitCode: 0,
      domains: [{selector: '202610', state: 'active'}],
    });
    expect(operations.calls).not.toContain('stage');
  });

  it('takes over settings that make no other record, and begins anew where a flag asks for another', async () => {
    const plan = start(batch, {...given, canonicalization: 'relaxed/relaxed'}, {look: {pending}});
    await plan.session.done();
    expect(plan.operations.calls).not.toContain('stage');
    expect(plan.session.state().answers.canonicalization).toBe('relaxed/relaxed');
    for (const other of [{domains: 'example.net'}, {...given, selector: 'x1'}, {...given, testMode: 'yes'}]) {
      const {session, operations} = start(batch, other, {look: {pending}});
      expect(await session.done()).toMatchObject({exitCode: 0});
      expect(operations.calls).toContain('stage');
    }
    const wrong = start(batch, {...given, key: 'x'}, {look: {pending}});
    expect(await wrong.session.done()).toMatchObject({exitCode: 2});
  });

  it('ends with 5 and --install where packages are missing, and installs them where it may', async () => {
    const facts = {missingPackages: ['opendkim', 'opendkim-tools']};
    const without = await start(batch, given, {facts}).session.done();
    expect(without).toMatchObject({exitCode: 5, error: {id: 'package.missing'}});
    expect(without.error?.hint).toContain('--install');
    const unagreed = await start({...batch, yes: false}, {...given, install: 'yes'}, {facts}).session.done();
    expect(unagreed).toMatchObject({exitCode: 2, changed: false});
    const agreed = await start(batch, {...given, install: 'yes'}, {facts}).session.done();
    expect(agreed).toMatchObject({exitCode: 0});
    expect(agreed.changes.map(each => each.kind)).toEqual(['package', 'package', 'write', 'service']);
    const dry = start({...batch, dryRun: true}, {...given, install: 'yes'}, {facts});
    expect(await dry.session.done()).toMatchObject({
      exitCode: 0,
      changed: false,
      changes: [{kind: 'package'}, {}],
    });
    expect(dry.operations.calls).not.toContain('install');
  });

  it('puts a cut-short change back first with --yes, else ends with 2, in a dry run with 5', async () => {
    expect(await start({...batch, yes: false}, given, {look: {unfinished}}).session.done()).toMatchObject({
      exitCode: 2,
    });
    expect(await start({...batch, dryRun: true}, given, {look: {unfinished}}).session.done()).toMatchObject({
      exitCode: 5,
    });
    const {session, operations} = start(batch, given, {look: {unfinished}});
    expect(await session.done()).toMatchObject({exitCode: 7});
    expect(operations.calls).toEqual(['look', 'recover', 'look']);
  });

  it('shows the changes of a dry run, leaves no key and applies nothing', async () => {
    const {session, operations} = start({...batch, dryRun: true}, given);
    const report = await session.done();
    expect(report).toMatchObject({exitCode: 0, changed: false, result: 'ok'});
    expect(report.changes).toHaveLength(2);
    for (const job of ['apply', 'watch', 'saveDraft'] as const) expect(operations.calls).not.toContain(job);
    expect(operations.calls.at(-1)).toBe('discard');
    expect(session.state().lines.some(line => line.kind === 'record')).toBe(false);
  });

  it('does not throw the key of a kept setup away in a dry run', async () => {
    const {session, operations} = start({...batch, dryRun: true}, given, {look: {pending}});
    expect(await session.done()).toMatchObject({exitCode: 0, domains: [{keyPath: staged.stagedPath}]});
    expect(operations.calls).not.toContain('discard');
  });

  it('is ended by a signal while it waits, with the key kept', async () => {
    for (const [signal, exitCode] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      const {session, operations} = start(batch, given);
      operations.hold('watch');
      await new Promise<void>(resolve => {
        session.subscribe(state => state.phase.at === 'propagation' && resolve());
      });
      session.send({type: 'interrupted', signal});
      const report = await session.done();
      expect(report).toMatchObject({exitCode, changed: false, domains: [{domain: 'example.org'}]});
      expect(report.error?.hint).toContain('The key is kept');
    }
  });

  it.each([
    [new LockHeld(problem('lock.held', 'Process 77 holds the lock.', 'Wait for it.')), 8, false],
    [new HostError(problem('file.denied', 'No.', '')), 5, false],
    [new ChangeFailed(problem('step', 'It failed.', '')), 6, false],
    [new RollbackIncomplete(problem('undo', 'It failed.', ''), ['/etc/x']), 7, true],
    [new TypeError('oops'), 1, false],
  ])('keeps the exit code of %o', async (error, exitCode, changed) => {
    const report = await start(batch, given, {
      jobs: {
        apply: async () => {
          throw error;
        },
      },
    }).session.done();
    expect(report).toMatchObject({exitCode, changed, result: 'failed'});
    if (exitCode === 7) expect(report.error?.hint).toContain('/etc/x');
  });

  it('says that the host was changed where a fault came after the first step', async () => {
    const report = await start(batch, given, {
      jobs: {
        apply: async (_ready, _staged, emit) => {
          emit({type: 'step-started', step: 'x', index: 1, of: 2});
          throw new TypeError('oops');
        },
      },
    }).session.done();
    expect(report).toMatchObject({exitCode: 1, changed: true});
  });
});

describe('what is said about the servers', () => {
  it('is a line when something changes, or after 30 s of silence', async () => {
    const rounds = [
      ...Array.from({length: 9}, () => ['absent', 'absent'] as const),
      ['matching', 'matching'] as const,
    ];
    const {session} = start(batch, given, {rounds});
    await session.done();
    const lines = session.state().lines.filter(line => line.text.includes('servers have it'));
    expect(lines.map(line => [line.kind, line.text.slice(0, 70)])).toEqual([
      ['info', expect.stringContaining('0 of 2')],
      ['info', expect.stringContaining('0 of 2')],
      ['ok', expect.stringContaining('2 of 2')],
    ]);
  });
});
