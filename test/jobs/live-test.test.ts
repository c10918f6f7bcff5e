import {afterEach, beforeEach, describe, expect, test} from 'vitest';
import type {KeyLookup} from '../../src/dkim/index.ts';
import {absolute} from '../../src/domain/paths.ts';
import {type LiveTestInput, liveTest} from '../../src/jobs/live-test.ts';
import type {Check, ProofReport} from '../../src/proof/proof.ts';
import type {HostFacts} from '../../src/services/facts.ts';
import type {PostfixFacts} from '../../src/services/postfix/facts.ts';
import type {Clock} from '../../src/system/ports.ts';
import {createSockets} from '../../src/system/real/index.ts';
import {type Listening, serve} from '../milter/serving.ts';
import {domainOf, makeKey, publishing, selectorOf} from '../proof/keys.ts';
import {scratchHost} from '../proof/scratch.ts';
import {signingMilter} from '../support/signing-milter.ts';
import {workingClock, workingTime} from '../support/working-time.ts';
import {FakePostfix, type Signing} from './fake-postfix.ts';

const domain = domainOf('example.com');
const selector = selectorOf('202611');
const {key, record} = makeKey();
const lookup = publishing(domain, selector, record);
const signer: Signing = {domain, selector, key};

const facts: HostFacts = {
  distribution: {id: 'debian', like: [], version: '13', prettyName: 'Debian'},
  layout: undefined,
  serviceManager: 'systemd',
  hostname: 'mail.example.com',
  privileged: true,
  mta: {
    kind: 'postfix',
    program: 'Postfix',
    version: '3.10.13',
    configDirectory: absolute('/etc/postfix'),
    queueDirectory: absolute('/var/spool/postfix'),
    running: true,
    chrooted: true,
    chroot: {'smtp/inet': true},
    hostname: 'mail.example.com',
    mydomain: 'example.com',
    myorigin: 'example.com',
    mydestination: [],
    virtualDomains: [],
    relay: '',
    smtpdMilters: '',
    nonSmtpdMilters: '',
    milterDefaultAction: '',
    internalMailFilterClasses: '',
    contentFilter: '',
    overrides: [],
    unit: 'postfix.service',
    mainCf: absolute('/etc/postfix/main.cf'),
  } as PostfixFacts,
  signer: undefined,
  rivals: [],
  missingPackages: [],
  mailDomains: [],
  blockers: [],
  remarks: [],
};

let postfix: FakePostfix;
let host: ReturnType<typeof scratchHost>;
let milter: Listening;

beforeEach(async () => {
  postfix = new FakePostfix();
  await postfix.start();
  postfix.signers = () => [signer];
  host = scratchHost(postfix.programs);
  milter = await serve(
    signingMilter({
      keysFor: from => (from === domain ? [{domain, selector, key}] : []),
      now: () => 1_795_230_486,
    }),
  );
});

afterEach(async () => {
  await milter.stop();
  await postfix.stop();
  host.remove();
});

/** Time in which this process can work runs a hundred times as fast where something is waited for by polling. */
const fast: Clock = workingClock(workingTime(), 100);

const run = (
  more: Partial<LiveTestInput> = {},
  options: {onCheck?: (check: Check) => void; signal?: AbortSignal; clock?: Clock} = {},
): Promise<ProofReport> =>
  liveTest(
    {
      ...host.ports,
      // Unix sockets of the tests are real paths, not below the scratch root.
      sockets: createSockets(),
      ...(options.clock === undefined ? {} : {clock: options.clock}),
    },
    {
      facts,
      endpoint: milter.endpoint,
      domains: [{domain, selector}],
      lookup,
      smtp: postfix.endpoint,
      ...more,
    },
    options.onCheck,
    options.signal,
  );

const one = (report: ProofReport, id: string): Check => {
  const check = report.checks.find(each => each.id === id);
  if (check === undefined) throw new Error(`no check ${id}`);
  return check;
};

test('everything signs: four checks pass, in order, and the queue is empty', async () => {
  const seen: string[] = [];
  const report = await run({}, {onCheck: check => seen.push(check.id)});
  expect(report.checks.map(check => [check.id, check.status])).toEqual([
    ['live.milter', 'pass'],
    ['live.socket-access', 'pass'],
    ['live.sendmail', 'pass'],
    ['live.smtp', 'pass'],
  ]);
  expect(report.passed).toBe(true);
  expect(seen).toEqual(report.checks.map(check => check.id));
  expect(postfix.queue.size).toBe(0);
  expect(postfix.taken).toHaveLength(2);
});

test('the message cannot leave and asks for no notice', async () => {
  await run();
  expect(postfix.sendmailCalls).toHaveLength(1);
  const call = postfix.sendmailCalls[0] ?? [];
  expect(call.slice(0, 5)).toEqual(['/usr/sbin/sendmail', '-i', '-Nnever', '-f', 'postmaster@example.com']);
  expect(call[5]).toMatch(/^waxseal-[0-9a-f]{16}@\[255\.255\.255\.255\]$/);
  expect(postfix.smtpCommands.slice(0, 2)).toEqual([
    'EHLO [127.0.0.1]',
    'MAIL FROM:<postmaster@example.com>',
  ]);
  expect(postfix.smtpCommands[2]).toMatch(
    /^RCPT TO:<waxseal-[0-9a-f]{16}@\[255\.255\.255\.255\]> NOTIFY=NEVER$/,
  );
  expect(postfix.smtpCommands.slice(3)).toEqual(['DATA', 'QUIT']);
  const asked = host.commands.calls.find(([name]) => name === 'runuser');
  expect(asked?.slice(0, 6)).toEqual(['runuser', '-u', 'postfix', '--', 'test', '-w']);
});

test('a server without DSN is not asked for it', async () => {
  postfix.dsn = false;
  await run();
  expect(postfix.smtpCommands[2]).toMatch(/\]>$/);
});

describe('the way from Postfix to the signer', () => {
  test('the signer itself does not sign: no message is sent', async () => {
    const other = domainOf('example.net');
    const report = await run({domains: [{domain: other, selector}]});
    expect(report.passed).toBe(false);
    expect(report.checks.map(check => check.status)).toEqual(['fail', 'pass', 'skip', 'skip']);
    expect(postfix.taken).toEqual([]);
  });

  test("the signer's own words are in the evidence", async () => {
    postfix.journal.push({
      identifier: 'opendkim',
      text: "no signing table match for 'postmaster@example.net'",
    });
    const report = await run({domains: [{domain: domainOf('example.net'), selector}]});
    expect(one(report, 'live.milter').evidence).toContain('no signing table match');
  });

  test('user postfix may not use the socket', async () => {
    postfix.accessStatus = 1;
    const report = await run();
    expect(one(report, 'live.socket-access')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('group of Postfix'),
    });
    expect(one(report, 'live.sendmail').status).toBe('skip');
    expect(postfix.taken).toEqual([]);
  });

  test('a TCP socket has no permissions to look at', async () => {
    await milter.stop();
    milter = await serve(
      signingMilter({keysFor: () => [{domain, selector, key}], now: () => 1_795_230_486}),
      undefined,
      'tcp',
    );
    const report = await run();
    expect(one(report, 'live.socket-access').status).toBe('skip');
    expect(report.passed).toBe(true);
  });
});

describe('beside another signer that was left', () => {
  const other = makeKey();
  const others = [{kind: 'rspamd', program: 'rspamd', evidence: 'runs', signs: 'yes'}] as const;
  const both: KeyLookup = async name =>
    String(name) === 'rs1._domainkey.example.com'
      ? {status: 'found', records: [other.record]}
      : await lookup(name);
  const rspamd = {domain, selector: selectorOf('rs1'), key: other.key};
  const known = {facts: {...facts, rivals: others}, lookup: both};

  test('two good signatures pass, in either order, and the evidence says what receivers do', async () => {
    for (const signers of [
      [signer, rspamd],
      [rspamd, signer],
    ]) {
      postfix.signers = () => signers;
      const report = await run(known);
      expect(report.passed).toBe(true);
      for (const id of ['live.sendmail', 'live.smtp']) {
        expect(one(report, id)).toMatchObject({status: 'pass'});
        expect(one(report, id).evidence).toMatch(
          /^2 signatures: ours, d=example\.com s=202611,.*verified.*; beside it d=example\.com s=rs1, which verifies, too \(for the same domain\) \(rspamd\); receivers check each by itself/,
        );
      }
    }
  });

  test('one whose record is not published is a warning, no failure', async () => {
    postfix.signers = () => [rspamd, signer];
    const report = await run({...known, lookup});
    expect(report.passed).toBe(true);
    expect(one(report, 'live.smtp').status).toBe('warn');
    expect(one(report, 'live.smtp').evidence).toMatch(/beside it d=example\.com s=rs1: .*rspamd/);
    expect(one(report, 'live.smtp').fix).toContain('--other-signer switch');
  });

  test.each([
    ['only the other has signed', () => [rspamd], /only, not with s=202611/],
    ['ours is there twice', () => [signer, rspamd, signer], /3 signatures/],
    ['ours is broken', () => [{...signer, key: other.key}, rspamd], /d=example\.com s=202611: /],
  ])('%s: that is a failure all the same', async (_, signers, evidence) => {
    postfix.signers = signers;
    const report = await run(known);
    expect(report.passed).toBe(false);
    expect(one(report, 'live.smtp')).toMatchObject({status: 'fail'});
    expect(one(report, 'live.smtp').evidence).toMatch(evidence);
  });

  test('where its signing is off, a second signature is a failure', async () => {
    postfix.signers = () => [signer, rspamd];
    const off = {...facts, rivals: [{...others[0], signs: 'no' as const}]};
    const report = await run({...known, facts: off});
    expect(one(report, 'live.smtp')).toMatchObject({status: 'fail'});
    expect(one(report, 'live.smtp').cause).toMatch(/More than one signer/);
  });
});

describe('a message that goes wrong', () => {
  test.each([
    [
      'unsigned although a milter is asked',
      (fake: FakePostfix) => {
        fake.signers = () => [];
      },
      /does not sign this message/,
    ],
    [
      'two signatures',
      (fake: FakePostfix) => {
        fake.signers = () => [signer, signer];
      },
      /More than one signer/,
    ],
    [
      'another selector',
      (fake: FakePostfix) => {
        fake.signers = () => [{...signer, selector: 'old'}];
      },
      /another key/,
    ],
    [
      'changed after signing',
      (fake: FakePostfix) => {
        fake.spoil = message => Buffer.concat([message, Buffer.from('A disclaimer\r\n')]);
      },
      /body was changed/,
      /appended at octet \d+ of the canonical body, beginning with "A disclaimer"/,
    ],
    [
      'a signed field changed after signing',
      (fake: FakePostfix) => {
        fake.spoil = message =>
          Buffer.from(message.toString().replace('DKIM signing test', '[x] DKIM signing test'));
      },
      /signed field was changed after/,
      /subject was signed as "[^"[]*DKIM signing test/,
    ],
  ])('%s', async (_, mischief, cause, evidence = /./) => {
    mischief(postfix);
    const report = await run();
    for (const id of ['live.sendmail', 'live.smtp']) {
      expect(one(report, id).status, id).toBe('fail');
      expect(one(report, id).cause).toMatch(cause);
      expect(one(report, id).evidence).toMatch(evidence);
    }
    expect(report.passed).toBe(false);
    expect(postfix.queue.size).toBe(0);
  });

  test('only mail of programs is unsigned: non_smtpd_milters is empty', async () => {
    postfix.settings['non_smtpd_milters'] = '';
    postfix.signers = way => (way === 'smtp' ? [signer] : []);
    const report = await run();
    expect(one(report, 'live.sendmail')).toMatchObject({
      status: 'fail',
      evidence: 'unsigned; non_smtpd_milters is empty',
      fix: "postconf -e 'non_smtpd_milters = $smtpd_milters'",
    });
    expect(one(report, 'live.smtp').status).toBe('pass');
  });

  test('only SMTP is unsigned: an override in master.cf', async () => {
    postfix.overrides['smtp/inet/smtpd_milters'] = 'inet:localhost:783';
    postfix.signers = way => (way === 'smtp' ? [] : [signer]);
    const report = await run();
    expect(one(report, 'live.sendmail').status).toBe('pass');
    expect(one(report, 'live.smtp')).toMatchObject({
      status: 'fail',
      evidence: 'unsigned; master.cf: smtp/inet -o smtpd_milters=inet:localhost:783',
      cause: 'An -o line of master.cf replaces smtpd_milters for this service.',
    });
  });

  test('port 25 asks no milter by choice: what the plan leaves alone is no reason to put everything back', async () => {
    postfix.overrides['smtp/inet/smtpd_milters'] = '';
    postfix.signers = way => (way === 'smtp' ? [] : [signer]);
    const report = await run();
    expect(one(report, 'live.sendmail').status).toBe('pass');
    expect(one(report, 'live.smtp')).toMatchObject({
      status: 'warn',
      evidence: 'unsigned; master.cf: smtp/inet -o smtpd_milters=',
      cause: 'By its line in master.cf this service asks no milter: mail that comes in there is not signed.',
    });
  });

  test('a service that passes the milters by', async () => {
    postfix.overrides['smtp/inet/receive_override_options'] = 'no_header_body_checks,no_milters';
    postfix.signers = way => (way === 'smtp' ? [] : [signer]);
    expect(one(await run(), 'live.smtp').evidence).toContain('no_milters');
  });

  test('Postfix asks no milter about any mail', async () => {
    postfix.settings['receive_override_options'] = 'no_address_mappings, no_milters';
    postfix.signers = () => [];
    const report = await run();
    for (const id of ['live.sendmail', 'live.smtp'])
      expect(one(report, id).evidence).toBe('unsigned; main.cf: receive_override_options with no_milters');
  });

  test('a table gives this host other milters', async () => {
    postfix.settings['smtpd_milter_maps'] = 'cidr:/etc/postfix/milters hash:/etc/postfix/more';
    postfix.tables['cidr:/etc/postfix/milters'] = {};
    postfix.tables['hash:/etc/postfix/more'] = {'127.0.0.1': 'DISABLE'};
    postfix.signers = way => (way === 'smtp' ? [] : [signer]);
    expect(one(await run(), 'live.smtp')).toMatchObject({
      status: 'fail',
      evidence: 'unsigned; smtpd_milter_maps has for 127.0.0.1: DISABLE',
    });
  });

  test('Postfix lets mail pass because it cannot use the milter', async () => {
    postfix.signers = () => [];
    for (const identifier of ['postfix/smtpd', 'postfix/cleanup']) {
      postfix.journal.push({
        identifier,
        text: 'warning: connect to Milter service unix:opendkim/opendkim.sock: Permission denied',
      });
    }
    const report = await run();
    for (const id of ['live.sendmail', 'live.smtp']) {
      expect(one(report, id).evidence).toContain('opendkim.sock: Permission denied');
      expect(one(report, id).cause).toContain('milter_default_action = accept');
    }
  });

  test('tempfail: SMTP says 451, the other message stays in maildrop; both are gone afterwards', async () => {
    postfix.refusal = '451 4.7.1 Service unavailable - try again later';
    const report = await run({}, {clock: fast});
    expect(one(report, 'live.smtp')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('temporary failure'),
    });
    expect(one(report, 'live.smtp').evidence).toContain(
      'message is answered with 451 4.7.1 Service unavailable',
    );
    expect(one(report, 'live.sendmail').evidence).toContain('stays in maildrop');
    expect(one(report, 'live.sendmail').evidence).toContain('milter-reject: END-OF-MESSAGE');
    expect(postfix.queue.size).toBe(0);
  });

  test('550: the signer refuses for good', async () => {
    postfix.refusal = '550 5.7.0 DKIM signing error';
    const report = await run({}, {clock: fast});
    expect(one(report, 'live.smtp').cause).toContain('too small');
  });

  test('the milter cannot be reached and mail is refused meanwhile', async () => {
    postfix.replies['MAIL'] = '451 4.7.1 Service unavailable - try again later';
    const check = one(await run(), 'live.smtp');
    expect(check).toMatchObject({status: 'fail', cause: expect.stringContaining('milter_default_action')});
    expect(check.evidence).toContain('MAIL is answered with 451');
  });

  test('421 in the greeting (milter_default_action = shutdown)', async () => {
    postfix.replies['greeting'] = '421 4.7.0 mail.example.com Service unavailable - try again later';
    expect(one(await run(), 'live.smtp')).toMatchObject({
      status: 'fail',
      evidence: expect.stringMatching(/^greeting .* 421/),
    });
  });

  test.each([
    ['RCPT', '554 5.7.1 <postmaster@example.com>: Sender address rejected'],
    ['MAIL', '530 5.7.0 Must issue a STARTTLS command first'],
  ])('%s refused by policy: a warning, not a failure', async (step, reply) => {
    postfix.replies[step] = reply;
    const report = await run();
    expect(one(report, 'live.smtp')).toMatchObject({
      status: 'warn',
      evidence: expect.stringContaining(reply.slice(4)),
    });
    expect(report.passed).toBe(true);
  });

  test.each([
    ['EHLO', 'hang-up', /at EHLO/],
    ['greeting', 'HTTP/1.1 400 Bad Request', /no SMTP reply: HTTP/],
  ])('%s: %s is no SMTP', async (step, reply, evidence) => {
    postfix.replies[step] = reply;
    const check = one(await run(), 'live.smtp');
    expect(check.status).toBe('fail');
    expect(check.evidence).toMatch(evidence);
  });

  test('nobody listens on port 25', async () => {
    const gone = {kind: 'tcp', host: '127.0.0.1', port: 1} as const;
    expect(one(await run({smtp: gone}), 'live.smtp')).toMatchObject({
      status: 'fail',
      cause: expect.stringContaining('does not answer'),
    });
    postfix.settings['inet_interfaces'] = '192.0.2.7';
    expect(one(await run({smtp: gone}), 'live.smtp')).toMatchObject({status: 'skip'});
  });

  test('sendmail refuses', async () => {
    postfix.replies['sendmail'] = 'sendmail: fatal: postmaster(0): Service unavailable';
    const check = one(await run(), 'live.sendmail');
    expect(check.evidence).toBe(
      'sendmail ended with status 75: sendmail: fatal: postmaster(0): Service unavailable',
    );
  });

  test('a message that cannot be removed is told', async () => {
    postfix.removes = false;
    const report = await run();
    expect(one(report, 'live.sendmail')).toMatchObject({
      status: 'warn',
      cause: expect.stringContaining('could not be removed'),
    });
  });
});

test('where the queue is too long to be listed, the journal tells the queue id', async () => {
  postfix.listsQueue = false;
  const report = await run({}, {clock: fast});
  expect(one(report, 'live.sendmail').status).toBe('pass');
  expect(postfix.queue.size).toBe(0);
});

test('a message that vanishes is a failure', async () => {
  postfix.listsQueue = false;
  const check = postfix.programs['postcat'];
  expect(check).toBeDefined();
  host.remove();
  host = scratchHost({...postfix.programs, postcat: () => ({status: 1})});
  const report = await run({}, {clock: fast});
  expect(one(report, 'live.sendmail')).toMatchObject({
    status: 'fail',
    evidence: expect.stringContaining('not in the queue'),
  });
});

describe('where the message could leave the host nothing is sent', () => {
  const cases: readonly [string, (fake: FakePostfix) => void, RegExp][] = [
    [
      'relayhost',
      fake => Object.assign(fake.settings, {relayhost: '[smtp.example.org]:587'}),
      /relayhost sends it to \[smtp/,
    ],
    [
      'default_transport',
      fake => Object.assign(fake.settings, {default_transport: 'smtp:[10.0.0.1]'}),
      /default_transport is/,
    ],
    [
      'a wildcard transport',
      fake => {
        fake.settings['transport_maps'] = 'hash:/etc/postfix/transport';
        fake.tables['hash:/etc/postfix/transport'] = {'*': 'smtp:[10.0.0.1]'};
      },
      /transport_maps has an entry for it: \* → smtp/,
    ],
    [
      'a table that cannot be read',
      fake => Object.assign(fake.settings, {transport_maps: 'ldap:/etc/x'}),
      /cannot be read \(ldap:\/etc\/x\)/,
    ],
    [
      'a catch-all alias',
      fake => {
        fake.settings['virtual_alias_maps'] = 'hash:/a, hash:/b';
        fake.tables['hash:/a'] = {};
        fake.tables['hash:/b'] = {'@[255.255.255.255]': 'root'};
      },
      /virtual_alias_maps/,
    ],
    [
      'a relay by sender',
      fake => {
        fake.settings['sender_dependent_relayhost_maps'] = 'hash:/s';
        fake.tables['hash:/s'] = {'@example.com': '[smtp.example.org]'};
      },
      /sender_dependent_relayhost_maps/,
    ],
    [
      'a copy',
      fake => Object.assign(fake.settings, {always_bcc: 'archive@example.org'}),
      /always_bcc sends a copy/,
    ],
    [
      'a fallback relay of one service',
      fake => Object.assign(fake.overrides, {'smtp/unix/smtp_fallback_relay': '[10.0.0.1]'}),
      /smtp_fallback_relay/,
    ],
    [
      'a content filter',
      fake => Object.assign(fake.settings, {content_filter: 'smtp-amavis:[127.0.0.1]:10024'}),
      /content_filter hands it/,
    ],
    ['IPv6 only', fake => Object.assign(fake.settings, {inet_protocols: 'ipv6'}), /inet_protocols is ipv6/],
  ];
  test.each(cases)('%s', async (_, arrange, evidence) => {
    arrange(postfix);
    const report = await run();
    for (const id of ['live.sendmail', 'live.smtp']) {
      expect(one(report, id).status, id).toBe('warn');
      expect(one(report, id).evidence).toMatch(evidence);
    }
    expect(report.passed).toBe(true);
    expect(postfix.taken).toEqual([]);
    expect(postfix.smtpCommands).toEqual([]);
  });

  test('a content filter of SMTP only leaves sendmail to be tested', async () => {
    postfix.overrides['smtp/inet/content_filter'] = 'scan:[127.0.0.1]:10025';
    const report = await run();
    expect(one(report, 'live.sendmail').status).toBe('pass');
    expect(one(report, 'live.smtp').status).toBe('warn');
  });

  test('tables that know nothing of it do no harm', async () => {
    postfix.settings['transport_maps'] = 'hash:/etc/postfix/transport';
    postfix.tables['hash:/etc/postfix/transport'] = {'example.org': 'smtp:[10.0.0.1]'};
    expect(one(await run(), 'live.smtp').status).toBe('pass');
  });
});

test('an abort removes what was sent', async () => {
  const control = new AbortController();
  const reason = new Error('asked to stop');
  host.remove();
  host = scratchHost({
    ...postfix.programs,
    postcat: () => {
      control.abort(reason);
      return {status: 1};
    },
  });
  await expect(run({}, {signal: control.signal})).rejects.toBe(reason);
  expect(postfix.taken).toHaveLength(1);
  expect(postfix.queue.size).toBe(0);
});

test('of many domains twenty are asked and three are mailed', async () => {
  await milter.stop();
  milter = await serve(
    signingMilter({keysFor: from => [{domain: domainOf(from), selector, key}], now: () => 1_795_230_486}),
  );
  postfix.signers = () => [];
  const domains = Array.from({length: 40}, (_, index) => ({domain: domainOf(`d${index}.example`), selector}));
  const everywhere: LiveTestInput['lookup'] = () => Promise.resolve({status: 'found', records: [record]});
  const report = await run({domains, lookup: everywhere});
  expect(one(report, 'live.milter').evidence).toMatch(/^20 of 40 domains looked at; 20 pass: d0\.example/);
  expect(postfix.taken).toHaveLength(6);
  expect(one(report, 'live.sendmail').evidence).toMatch(
    /^3 of 40 domains looked at; 3 fail: d0\.example: unsigned/,
  );
});
