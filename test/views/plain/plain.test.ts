import {describe, expect, it} from 'vitest';
import {absolute} from '../../../src/domain/paths.ts';
import {fail, problem} from '../../../src/domain/result.ts';
import type {StagedDomain} from '../../../src/flow/operations.ts';
import {blockText, endText, lineText} from '../../../src/views/plain/lines.ts';
import {Conversation} from '../../support/conversation.ts';
import {at, start, toPlan} from '../../support/drive.ts';
import {
  check,
  domainOf,
  fakeFacts,
  fakePlan,
  fakeReady,
  fakeStaged,
  proof,
  selectorOf,
} from '../../support/fake-operations.ts';

/** Anything that moves a cursor, colours, or erases; a carriage return alone redraws a line. */
const noTerminalCodes = /^[^\x00-\x09\x0b-\x1f\x7f-\x9f]*$/;

const ENTER = '';
const pending = {
  staged: [fakeStaged(domainOf('example.org'), selectorOf('202611'))],
  answers: {domains: [domainOf('example.org')], selector: selectorOf('202611')},
  since: '2026-11-20T09:00:00.000Z',
};

async function toTheRecord(talk: Conversation): Promise<void> {
  await talk.types('Enter: go on', ENTER);
  await talk.types('Which domain', ENTER);
  await talk.types('key be called', ENTER);
  await talk.types('kind of key', ENTER);
  await talk.types('recommended settings', ENTER);
  await talk.sees('it is published');
}

describe('a whole session, line by line', () => {
  it('reads as one text', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await talk.types('Enter: go on', ENTER);
    await talk.types('Which domain', '?');
    await talk.types('part after the @', 'postmaster@example.org');
    await talk.types('it is an address', 'example.org');
    await talk.types('key be called', 'b');
    await talk.types('Which domain', '1');
    await talk.types('key be called', ENTER);
    await talk.types('kind of key', '4');
    await talk.types('one algorithm for all', '1');
    await talk.types('recommended settings', '2');
    await talk.types('subdomains', ENTER);
    await talk.types('other hosts', '10.9.9.0/24');
    await talk.types('reach the signer', ENTER);
    await talk.types('tolerated', ENTER);
    await talk.types('being tested', ENTER);
    await talk.types('note in the record', 'ask hostmaster');
    await talk.types('Who enters the record', ENTER);
    await talk.types('it is published', 's /root/record.txt');
    await talk.types('Record saved', '2');
    await talk.types('IN TXT', ENTER);
    await talk.types('Type yes to apply', 'y');
    await talk.types('Type one of the letters', 'yes');
    const {report, screen, errors} = await talk.ends();
    expect(report.exitCode).toBe(0);
    expect(errors).toBe('');
    expect(screen).toMatch(noTerminalCodes);
    await expect(screen).toMatchFileSnapshot('../../../snapshots/views/plain/session.txt');
  });

  it('prints each record unboxed on one line of its own', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await toTheRecord(talk);
    const {record} = session.state().staged[0] as StagedDomain;
    talk.hangUp();
    const {screen, report} = await talk.ends();
    const lines = screen.split('\n');
    expect(lines).toContain(record.zoneFile);
    expect(lines).toContain(record.value);
    expect(lines).toContain(record.relativeName);
    expect(report.exitCode).toBe(3);
  });
});

describe('keys', () => {
  it('leave after a question, and stay after a no', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await talk.types('Enter: go on', 'q');
    await talk.types('Leave? Nothing was changed.', 'n');
    await talk.types('Enter: go on', 'q');
    await talk.types('Leave?', 'y');
    const {report, errors} = await talk.ends();
    expect(report.exitCode).toBe(130);
    expect(errors).toBe('Ended by the user. Nothing was changed.\n');
  });

  it('say what is kept where the record is waited for', async () => {
    const {session, operations} = start();
    const gate = operations.hold('watch');
    const talk = new Conversation(session);
    await toTheRecord(talk);
    await talk.types('it is published', ENTER);
    await talk.types('Asking the servers', 'x');
    await talk.types('one of the letters', 'q');
    await talk.types('The key is kept; go on later with: waxseal setup', 'y');
    gate.open();
    const {report, errors} = await talk.ends();
    expect(report.exitCode).toBe(3);
    expect(errors).toContain('pending: The record is not yet on every authoritative server');
  });

  it('typed ahead never agree to a plan', async () => {
    const {session, operations} = start();
    const talk = new Conversation(session);
    await toTheRecord(talk);
    const gate = operations.hold('plan');
    await talk.types('it is published', ENTER);
    await at(session, 'planning');
    talk.pastes('yes\nyes\n');
    await new Promise(resolve => setTimeout(resolve, 30));
    gate.open();
    await talk.sees('Type yes to apply');
    await new Promise(resolve => setTimeout(resolve, 30));
    expect(session.state().phase.at).toBe('plan');
    await talk.types('', 'n');
    expect((await talk.ends()).report.exitCode).toBe(9);
  });

  it('after a refused answer Enter takes what was proposed, not the refused answer again', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await talk.types('Enter: go on', '');
    await talk.types('Enter: 1.', 'postmaster@example.org');
    await talk.sees('is not a mail domain');
    await talk.types('Enter: 1.', '');
    await talk.sees('What shall the key be called?');
    expect(session.state().answers.domains).toEqual(['example.org']);
    talk.hangUp();
    await talk.ends();
  });

  it('pasted at once answer one question each', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await talk.sees('Enter: go on');
    talk.pastes('\nexample.net\ns1\n2\n1\n');
    await talk.sees('it is published');
    expect(session.state().answers).toMatchObject({
      domains: ['example.net'],
      selector: 's1',
      key: {source: 'generate', spec: {algorithm: 'rsa', bits: 3072}},
    });
    talk.hangUp();
    await talk.ends();
  });

  it('stop a running change with q', async () => {
    const {session, operations} = start();
    const gate = operations.hold('apply');
    await toPlan({session, operations});
    const talk = new Conversation(session);
    await talk.types('Type yes to apply', 'yes');
    await at(session, 'applying');
    await talk.types('', 'q');
    await talk.sees('Stopping');
    gate.open();
    const {report, screen} = await talk.ends();
    expect(report).toMatchObject({exitCode: 130, changed: false});
    expect(screen).toContain('ok: Everything was put back\n');
  });

  it('take a lone dash for nothing where a text was proposed', async () => {
    const {session} = start({}, {}, {look: {draft: {settings: 'change', note: 'old note'}}});
    const talk = new Conversation(session);
    await talk.types('Enter: go on', ENTER);
    for (const words of [
      'domain',
      'called',
      'kind',
      'recommended',
      'subdomains',
      'other hosts',
      'signer',
      'tolerated',
      'tested',
    ]) {
      await talk.types(words, ENTER);
    }
    await talk.types('Enter: old note. -: none.', '-');
    await talk.types('enters the record', ENTER);
    await talk.sees('it is published');
    expect(session.state().answers.note).toBe('');
    talk.hangUp();
    await talk.ends();
  });
});

describe('offers', () => {
  it('resume, or begin anew', async () => {
    const {session} = start({}, {}, {look: {pending}});
    const talk = new Conversation(session);
    await talk.types('A setup of example.org waits for the DNS since 2026-11-20', 'n');
    await talk.types('Which domain', 'b');
    await talk.types('Enter: go on. q: leave.', 'b');
    await talk.types('Leave?', 'y');
    await talk.ends();
    const again = start({}, {}, {look: {pending}});
    const second = new Conversation(again.session);
    await second.types('A setup of example.org', ENTER);
    await second.types('Type yes to apply', 'yes');
    expect((await second.ends()).report.exitCode).toBe(0);
  });

  it('put back what was cut short', async () => {
    const unfinished = {id: 'r1', title: 'Sign for example.org', startedAt: '2026-11-20T09:00:00.000Z'};
    const {session} = start({}, {}, {look: {unfinished}});
    const talk = new Conversation(session);
    await talk.types('put back before anything else', 'n');
    expect((await talk.ends()).report.exitCode).toBe(9);
  });

  it('end where the host cannot be used, all obstacles named', async () => {
    const blockers = [
      problem('a.b', 'This needs root.', 'sudo waxseal'),
      problem('c.d', 'No mail server.', ''),
    ];
    const {session} = start({}, {}, {facts: {blockers}});
    const talk = new Conversation(session);
    await talk.types('cannot work on this host yet', ENTER);
    const {screen, errors, report} = await talk.ends();
    expect(screen).toContain('error: This needs root.\nhint: sudo waxseal\nerror: No mail server.\n');
    expect(errors).toContain('error: This needs root.\nhint: sudo waxseal\n');
    expect(report.exitCode).toBe(5);
  });

  it('refuse a plan whose trial failed, and run the live test where nothing is to be changed', async () => {
    const broken = start(
      {},
      {},
      {
        ready: keys => fakeReady(keys, {preflight: proof(check('preflight.signs', 'fail'))}),
      },
    );
    await toPlan(broken);
    const talk = new Conversation(broken.session);
    await talk.types('error: The new configuration does not sign', 'n');
    expect((await talk.ends()).report.exitCode).toBe(5);
    const right = start({}, {}, {ready: keys => fakeReady(keys, {plan: fakePlan(keys, []), changes: []})});
    await toPlan(right);
    const second = new Conversation(right.session);
    await second.types('This host is right already', ENTER);
    expect((await second.ends()).report).toMatchObject({exitCode: 0, changed: false});
  });

  it('end a dry run at the plan', async () => {
    const dry = start({dryRun: true});
    const talk = new Conversation(dry.session);
    await talk.types('Enter: go on', ENTER);
    for (const words of ['domain', 'called', 'kind', 'recommended']) await talk.types(words, ENTER);
    await talk.types('A dry run ends here', ENTER);
    const {report, screen} = await talk.ends();
    expect(report).toMatchObject({exitCode: 0, changed: false});
    expect(screen).toContain('+KeyTable file:/etc/opendkim/KeyTable\n');
  });
});

describe('an ended input', () => {
  it('leaves a question', async () => {
    const {session} = start();
    const talk = new Conversation(session);
    await talk.sees('Enter: go on');
    talk.hangUp();
    expect((await talk.ends()).report.exitCode).toBe(130);
  });

  it('does not stop a running change', async () => {
    const started = start();
    const gate = started.operations.hold('apply');
    await toPlan(started);
    const talk = new Conversation(started.session);
    await talk.types('Type yes to apply', 'yes');
    await at(started.session, 'applying');
    talk.hangUp();
    await new Promise(resolve => setTimeout(resolve, 20));
    gate.open();
    expect((await talk.ends()).report.exitCode).toBe(0);
  });
});

describe('a terminal that hangs up', () => {
  it('fails reading and does not stop a running change', async () => {
    const started = start();
    const gate = started.operations.hold('apply');
    await toPlan(started);
    const talk = new Conversation(started.session);
    await talk.types('Type yes to apply', 'yes');
    await at(started.session, 'applying');
    talk.breaks();
    await new Promise(resolve => setTimeout(resolve, 20));
    gate.open();
    expect((await talk.ends()).report.exitCode).toBe(0);
  });
});

describe('without a terminal', () => {
  const batch = {interactive: false, yes: true, waitMs: 60_000} as const;

  it('prints progress and reads nothing', async () => {
    const {session} = start(batch, {domains: 'example.org'});
    const {screen, errors, report} = await new Conversation(session, {interactive: false}).ends();
    expect(report.exitCode).toBe(0);
    expect(errors).toBe('');
    expect(screen).not.toContain('> ');
    await expect(screen).toMatchFileSnapshot('../../../snapshots/views/plain/flags.txt');
  });

  it('says the error and the hint on standard error, and with --quiet nothing else', async () => {
    const {session} = start(batch, {});
    const {screen, errors} = await new Conversation(session, {interactive: false, quiet: true}).ends();
    expect(screen).toBe('');
    expect(errors).toBe(
      'error: Without a terminal this needs an answer: Which domain shall be signed?\nhint: Give --domain DOMAIN.\n',
    );
  });

  it('shows a failed check with its cause and what to do', async () => {
    const {session} = start(
      batch,
      {domains: 'example.org'},
      {
        result: {
          applied: false,
          changed: false,
          proof: proof(check('proof.milter', 'fail', 'The signer signs')),
          failure: {
            problem: problem('proof.failed', 'The live test failed.', 'See above.'),
            whole: true,
            remains: [],
          },
        },
      },
    );
    const {screen, errors, report} = await new Conversation(session, {interactive: false}).ends();
    expect(report.exitCode).toBe(6);
    expect(screen).toContain(
      'error: The signer signs (no signature)\ncause: The signer did not answer.\nhint: Look at journalctl -u opendkim.\n',
    );
    expect(screen).toContain('ok: Everything was put back\n');
    expect(errors).toBe('error: The live test failed.\nhint: See above.\n');
  });
});

describe('the plan', () => {
  it('takes an answer back by its number, and comes to the plan again', async () => {
    const started = start();
    await toPlan(started);
    const talk = new Conversation(started.session);
    await talk.types('c: change an answer.', 'c');
    await talk.types('  2. What shall the key be called? 202611\n', 'c 9');
    await talk.types('Type c and a number', 'c 2');
    await talk.types('key be called', 'x1');
    await talk.types('it is published', ENTER);
    await talk.types('Type yes to apply', 'n');
    const {report} = await talk.ends();
    expect(report).toMatchObject({exitCode: 9, changed: false, domains: [{selector: 'x1'}]});
  });
});

describe('another signer', () => {
  it('is named with both choices, and Enter alone decides nothing', async () => {
    const otherSigners = [
      {
        kind: 'rspamd',
        program: 'rspamd',
        evidence: 'smtpd_milters has inet:localhost:11332',
        signs: 'yes',
        configFile: absolute('/etc/rspamd/local.d/dkim_signing.conf'),
        unit: 'rspamd.service',
      },
    ] as const;
    const {session} = start({}, {}, {facts: {rivals: otherSigners}});
    const talk = new Conversation(session);
    await talk.types('Enter: go on', ENTER);
    await talk.types('1. Switch it off (no more signatures of rspamd)', ENTER);
    await talk.types('rspamd signs it already', '2');
    await talk.sees('Which domain');
    expect(session.state().answers).toEqual({otherSigner: 'leave'});
    talk.hangUp();
    const {screen} = await talk.ends();
    expect(screen).toContain('2. Leave it (two signatures go out)\nAnswer with a number. Enter: none.');
    expect(screen).toContain('warning: Another signer: rspamd');
  });
});

describe('foreign text', () => {
  it('cannot reach the terminal', async () => {
    const evil = '\x1b[2J\x07\u202eevil';
    const facts = fakeFacts({
      hostname: evil,
      remarks: [problem('x.y', evil, evil)],
      rivals: [{kind: 'rspamd', program: 'rspamd', evidence: evil, signs: 'perhaps'}],
    });
    const {session} = start(
      {},
      {},
      {
        facts,
        jobs: {inspectDomain: async () => fail(problem('domain.absent', evil, evil))},
        ready: keys =>
          fakeReady(keys, {changes: [{kind: 'write', target: evil, action: 'change', diff: `+${evil}\n`}]}),
      },
    );
    const talk = new Conversation(session);
    await talk.types('Enter: go on', ENTER);
    await talk.types('Another program signs here', ENTER);
    await talk.types('Which domain', ENTER);
    await talk.sees('error: ');
    talk.hangUp();
    const {screen, errors} = await talk.ends();
    expect(screen + errors).toMatch(noTerminalCodes);
    expect(screen).toContain('\\x1b[2J');
    expect(blockText(`+${evil}\n`)).toMatch(noTerminalCodes);
  });
});

describe('lines', () => {
  it('carry a word for each status', () => {
    expect(lineText({kind: 'ok', text: 'done'})).toBe('ok: done\n');
    expect(lineText({kind: 'warn', text: 'odd'})).toBe('warning: odd\n');
    expect(lineText({kind: 'record', text: 'v=DKIM1'})).toBe('v=DKIM1\n');
    const report = {error: null, exitCode: 0} as Parameters<typeof endText>[0];
    expect(endText(report)).toBe('');
    expect(blockText('')).toBe('');
    expect(blockText('\ta')).toBe('    a\n');
  });
});
