/** A second signer is named, and nothing is planned before somebody has said what becomes of it. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import type {PendingSetup} from '../../src/flow/operations.ts';
import {QUESTIONS} from '../../src/flow/questions.ts';
import type {Rival} from '../../src/services/facts.ts';
import {goOnSigning} from '../../src/services/switch-over.ts';
import {answer, asked, at, start} from '../support/drive.ts';
import {domainOf, fakeFacts, fakeStaged, selectorOf} from '../support/fake-operations.ts';

const batch = {interactive: false, yes: true, waitMs: 60_000} as const;
const given = {domains: 'example.org'};
const rspamd: Rival = {
  kind: 'rspamd',
  program: 'rspamd',
  evidence: 'smtpd_milters has inet:localhost:11332',
  signs: 'yes',
  configFile: absolute('/etc/rspamd/local.d/dkim_signing.conf'),
  unit: 'rspamd.service',
};
const dkimproxy: Rival = {
  kind: 'dkimproxy',
  program: 'dkimproxy',
  evidence: 'content_filter is dksign',
  signs: 'yes',
};
const withSigners = (...rivals: readonly Rival[]) => ({facts: {rivals}});
const staged = fakeStaged(domainOf('example.org'), selectorOf('202610'));
const pending: PendingSetup = {
  staged: [staged],
  answers: {domains: [staged.domain], selector: staged.selector, settings: 'recommended'},
  since: '2026-11-20T09:00:00.000Z',
};

it('is said with the plan where it is left: two signatures, what receivers do, and whose key needs care', () => {
  const [sure] = goOnSigning({rivals: [rspamd]});
  expect(sure?.message).toMatch(/^rspamd \(.*11332\) goes on signing: .* two signatures\.$/);
  expect(sure?.hint).toMatch(/Receivers check each by itself.*enough for DMARC.*rotate it, too/);
  const [unsure] = goOnSigning({rivals: [{...rspamd, signs: 'perhaps'}]});
  expect(unsure?.message).toContain('may sign, too');
  expect(goOnSigning({rivals: [{...rspamd, signs: 'no'}]})).toEqual([]);
});

describe('without a terminal', () => {
  it('ends with 2, the name of the signer and the flag, before a key is made', async () => {
    const {session, operations} = start(batch, given, withSigners(rspamd));
    const report = await session.done();
    expect(report).toMatchObject({exitCode: 2, changed: false, domains: [], error: {id: 'answer.missing'}});
    expect(report.error?.message).toContain('rspamd signs it already');
    expect(report.error?.hint).toContain('--other-signer switch|leave');
    expect(operations.calls).toEqual(['look']);
  });

  it.each(['switch', 'leave'] as const)('takes %s from the flag and prints it again', async choice => {
    const {session} = start(batch, {...given, otherSigner: choice}, withSigners(rspamd));
    expect(await session.done()).toMatchObject({exitCode: 0});
    expect(session.state().answers.otherSigner).toBe(choice);
    expect(session.state().lines.at(-1)?.text).toContain(`waxseal setup --other-signer ${choice} --domain`);
  });

  it('leaves a signer that only may sign, and says so', async () => {
    const {session} = start(batch, given, withSigners({...rspamd, signs: 'perhaps'}));
    expect(await session.done()).toMatchObject({exitCode: 0});
    expect(session.state().answers.otherSigner).toBe('leave');
    expect(session.state().lines.some(({text}) => text.startsWith('Another signer: rspamd'))).toBe(true);
  });

  it('does not mind the flag where nobody else signs', async () => {
    for (const signs of ['no'] as const) {
      const {session} = start(batch, {...given, otherSigner: 'switch'}, withSigners({...rspamd, signs}));
      expect(await session.done()).toMatchObject({exitCode: 0});
      expect(session.state().answers.otherSigner).toBeUndefined();
    }
  });

  it('refuses to switch off what it cannot, and says why', async () => {
    for (const [signer, why] of [
      [dkimproxy, /dkimproxy is not known well enough/],
      [{...rspamd, unit: undefined}, /no running service/],
      [{...rspamd, configFile: undefined}, /was not found/],
    ] as const) {
      const told = {...signer} as Rival;
      const {session} = start(batch, {...given, otherSigner: 'switch'}, withSigners(told));
      const report = await session.done();
      expect(report).toMatchObject({exitCode: 2, error: {id: 'other-signer.unknown'}});
      expect(report.error?.message).toMatch(why);
      expect(report.error?.hint).toContain('--other-signer leave');
    }
  });

  it('asks for it in a setup that was kept from before the signer came', async () => {
    const options = {...withSigners(rspamd), look: {pending}};
    expect(await start(batch, given, options).session.done()).toMatchObject({
      exitCode: 2,
      error: {id: 'answer.missing'},
    });
    const {session, operations} = start(batch, {...given, otherSigner: 'leave'}, options);
    expect(await session.done()).toMatchObject({exitCode: 0, domains: [{selector: '202610'}]});
    expect(operations.calls).not.toContain('stage');
  });

  it('is no business of a rotation', async () => {
    const {session} = start({...batch, command: 'rotate'}, given, withSigners(rspamd));
    expect(await session.done()).toMatchObject({exitCode: 0});
    const kept = {...withSigners(rspamd), look: {pending}};
    expect(await start({...batch, command: 'rotate'}, given, kept).session.done()).toMatchObject({
      exitCode: 0,
    });
  });

  it('takes the answer of the kept setup', async () => {
    const kept = {...pending, answers: {...pending.answers, otherSigner: 'switch' as const}};
    const {session} = start(batch, given, {...withSigners(rspamd), look: {pending: kept}});
    expect(await session.done()).toMatchObject({exitCode: 0});
    expect(session.state().answers.otherSigner).toBe('switch');
  });
});

describe('in the wizard', () => {
  it('is the first question, and has no answer by itself', async () => {
    const {session} = start({}, {}, withSigners(rspamd));
    await at(session, 'host');
    session.send({type: 'continued'});
    const {phase} = await asked(session, 'otherSigner');
    expect(phase).toMatchObject({initial: '', problem: undefined});
    answer(session, '');
    expect(session.state().phase).toMatchObject({
      question: 'otherSigner',
      problem: {id: 'other-signer.syntax'},
    });
    answer(session, 'leave');
    await asked(session, 'domains');
    expect(session.state().answers).toEqual({otherSigner: 'leave'});
    session.send({type: 'back'});
    expect((await asked(session, 'otherSigner')).phase).toMatchObject({initial: 'leave'});
  });

  it('is not asked where nobody else signs', async () => {
    const {session} = start({}, {}, withSigners({...rspamd, signs: 'no'}));
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'domains');
  });

  it('names each signer, and shows the choice that is not possible with the reason', () => {
    const both = fakeFacts({rivals: [rspamd, dkimproxy]});
    const [off, leave] = QUESTIONS.otherSigner.choices?.({}, both) ?? [];
    expect(off?.hint).toBe('no more signatures of rspamd and dkimproxy');
    expect(off?.disabled).toMatch(/dkimproxy/);
    expect(leave?.disabled).toBeUndefined();
    const one = fakeFacts({rivals: [rspamd]});
    expect(QUESTIONS.otherSigner.choices?.({}, one)?.[0]?.disabled).toBeUndefined();
  });

  it('is the one question of a kept setup from before the signer came; the key stays', async () => {
    const {session, operations} = start({}, {}, {...withSigners(rspamd), look: {pending}});
    await at(session, 'host');
    session.send({type: 'continued'});
    await asked(session, 'otherSigner');
    session.send({type: 'back'});
    expect(session.state().phase).toMatchObject({at: 'host', offer: 'resume'});
    session.send({type: 'continued'});
    await asked(session, 'otherSigner');
    answer(session, 'switch');
    await at(session, 'plan');
    expect(operations.calls).not.toContain('stage');
    expect(session.state().answers).toEqual({...pending.answers, otherSigner: 'switch'});
  });
});
