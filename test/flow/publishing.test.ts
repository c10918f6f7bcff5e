import {describe, expect, it} from 'vitest';
import {fail, problem} from '../../src/domain/result.ts';
import type {Given} from '../../src/flow/given.ts';
import type {Operations} from '../../src/flow/operations.ts';
import {answer, asked, at, start, until} from '../support/drive.ts';

const batch = {interactive: false, yes: true, waitMs: 60_000} as const;
const given = {domains: 'example.org', publish: 'nsupdate key=/etc/bind/waxseal.key'};
const why = problem('publish.failed', 'nsupdate failed (exit 2): REFUSED.', 'Mend it.');
const failing: Partial<Operations> = {publish: async () => fail(why)};

describe('a program that enters the record', () => {
  it('runs between the key and the servers, and is in the command line', async () => {
    const {session, operations} = start(batch, given);
    expect(await session.done()).toMatchObject({exitCode: 0});
    const {calls} = operations;
    expect(calls.filter(call => ['stage', 'publish', 'watch', 'plan'].includes(call))).toEqual([
      'stage',
      'publish',
      'watch',
      'plan',
    ]);
    const texts = session.state().lines.map(({text}) => text);
    expect(texts).toContain('202611._domainkey.example.org: entered by nsupdate');
    expect(texts.at(-1)).toContain('--publish nsupdate --tsig-key /etc/bind/waxseal.key');
  });

  it('is not run where nobody asked for one', async () => {
    const {session, operations} = start(batch, {domains: 'example.org'});
    await session.done();
    expect(operations.calls).not.toContain('publish');
  });

  it('is not run in a dry run', async () => {
    const {session, operations} = start({...batch, dryRun: true}, given);
    await session.done();
    expect(operations.calls).not.toContain('publish');
  });

  it('is pending (exit 3) with its reason where it fails and the record is not there', async () => {
    const never = {rounds: [['absent', 'absent']] as const};
    const {session, operations} = start(batch, given, {...never, jobs: failing});
    const report = await session.done();
    expect(report).toMatchObject({
      exitCode: 3,
      result: 'pending',
      changed: false,
      error: {id: 'publish.failed'},
    });
    expect(operations.calls.filter(call => call === 'watch')).toHaveLength(1);
    expect(operations.calls).not.toContain('apply');
  });

  it('does not stand in the way where it fails and every server has the record', async () => {
    const there = {rounds: [['matching', 'matching']] as const};
    const report = await start(batch, given, {...there, jobs: failing}).session.done();
    expect(report).toMatchObject({exitCode: 0, error: null});
  });

  it('is believed only as far as the servers agree', async () => {
    const never = {rounds: [['matching', 'absent']] as const};
    const report = await start({...batch, waitMs: 0}, given, never).session.done();
    expect(report).toMatchObject({exitCode: 3, error: {id: 'record.pending'}});
  });
});

describe('with somebody there', () => {
  async function atTheRecord(jobs: Partial<Operations> = {}, flags: Given = given) {
    const started = start({}, flags, {jobs});
    const {session} = started;
    await at(session, 'host');
    session.send({type: 'continued'});
    for (const question of ['selector', 'key', 'settings']) {
      await asked(session, question);
      answer(session);
    }
    await at(session, 'record');
    return started;
  }

  it('shows who is at work, and asks the servers only afterwards', async () => {
    const {session, operations} = await atTheRecord();
    const gate = operations.hold('publish');
    session.send({type: 'continued'});
    await until(session, ({phase}) => phase.at === 'propagation' && phase.publishing === true);
    session.send({type: 'recheck'});
    expect(operations.calls).not.toContain('watch');
    gate.open();
    await at(session, 'plan');
    expect(operations.calls.filter(call => call === 'publish')).toHaveLength(1);
  });

  it('shows the record and the reason where it fails; Enter then waits for the person', async () => {
    const {session, operations} = await atTheRecord(failing);
    session.send({type: 'continued'});
    const state = await until(session, ({phase}) => phase.at === 'record' && phase.notice !== undefined);
    expect(state.phase.at === 'record' && state.phase.notice).toContain('REFUSED');
    session.send({type: 'continued'});
    await at(session, 'plan');
    expect(operations.calls.filter(call => call === 'watch')).toHaveLength(1);
  });

  it('is offered at the record: the answer comes back to it, and Enter runs the program', async () => {
    const {session, operations} = await atTheRecord({}, {domains: 'example.org'});
    session.send({type: 'edit', question: 'publish'});
    await asked(session, 'publish');
    session.send({type: 'back'});
    await at(session, 'record');
    session.send({type: 'edit', question: 'publish'});
    answer(session, 'nsupdat');
    const refused = await until(session, ({phase}) => phase.at === 'asking' && phase.problem !== undefined);
    expect(refused.phase).toMatchObject({aside: true, initial: 'nsupdat'});
    answer(session, 'nsupdate key=/etc/waxseal/update.key');
    await at(session, 'record');
    expect(operations.calls).not.toContain('publish');
    session.send({type: 'continued'});
    await at(session, 'plan');
    expect(operations.calls.filter(call => call === 'stage' || call === 'publish')).toEqual([
      'stage',
      'publish',
    ]);
    session.send({type: 'confirmed'});
    await session.done();
    expect(session.state().lines.at(-1)?.text).toContain(
      '--publish nsupdate --tsig-key /etc/waxseal/update.key',
    );
  });

  it('is run again where it is chosen again after it failed', async () => {
    let calls = 0;
    const {session} = await atTheRecord({
      publish: async () => {
        calls += 1;
        return fail(why);
      },
    });
    for (const wanted of [1, 2]) {
      session.send({type: 'continued'});
      await until(session, ({phase}) => phase.at === 'record' && phase.notice !== undefined);
      expect(calls).toBe(wanted);
      session.send({type: 'edit', question: 'publish'});
      answer(session);
      await until(session, ({phase}) => phase.at === 'record' && phase.notice === undefined);
    }
  });

  it('Back ends the program, and what it says then counts no more', async () => {
    const {session, operations} = await atTheRecord();
    operations.hold('publish');
    session.send({type: 'continued'});
    await until(session, ({phase}) => phase.at === 'propagation');
    session.send({type: 'back'});
    await at(session, 'record');
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(session.state().phase.at).toBe('record');
  });
});
