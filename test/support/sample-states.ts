/** A state for every screen, with content as a person meets it: long names, long records, mistakes. */

import {recordForms} from '../../src/dns/forms.ts';
import type {ServerStatus, ServerView, Survey} from '../../src/dns/survey.ts';
import {parseDnsName} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import {problem} from '../../src/domain/result.ts';
import {buildReport} from '../../src/flow/ending.ts';
import type {PlanReady, StagedDomain, WorkEvent} from '../../src/flow/operations.ts';
import {initialState} from '../../src/flow/reduce.ts';
import type {Phase, State} from '../../src/flow/state.ts';
import type {ChangeView} from '../../src/plan/plan.ts';
import {mode} from './drive.ts';
import {
  check,
  domainOf,
  fakeChanges,
  fakeFacts,
  fakePlan,
  fakeReady,
  fakeStaged,
  fakeSurvey,
  fakeZone,
  proof,
  selectorOf,
} from './fake-operations.ts';

const DOMAIN = domainOf('example.org');
const SELECTOR = selectorOf('202611');

const dnsName = (text: string) => {
  const parsed = parseDnsName(text);
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return parsed.value;
};

export const sampleStaged: StagedDomain = {
  ...fakeStaged(DOMAIN, SELECTOR),
  record: {
    ...recordForms({
      apex: dnsName('example.org'),
      name: dnsName('202611._domainkey.example.org'),
      value: `v=DKIM1; k=rsa; p=${'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA'.repeat(8)}QIDAQAB`,
    }),
    provider: {
      name: 'Hetzner',
      fields: {name: '202611._domainkey', value: `"${'v=DKIM1; k=rsa; p=MIIB'}..."`},
      advice: ['Open the zone, choose "Add record", type TXT.', 'Put the value in without quotes.'],
    },
  },
};

export const stateAt = (phase: Phase, over: Partial<State> = {}): State => ({
  ...initialState(mode()),
  facts: fakeFacts(),
  phase,
  ...over,
});

const answered: Partial<State> = {
  answers: {
    domains: [DOMAIN],
    selector: SELECTOR,
    key: {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}},
    settings: 'recommended',
  },
  accepted: ['domains', 'selector', 'key', 'settings'],
  staged: [sampleStaged],
};

const asking = (
  question: Extract<Phase, {at: 'asking'}>['question'],
  initial: string,
  over: Partial<Extract<Phase, {at: 'asking'}>> = {},
): Phase => ({at: 'asking', question, initial, problem: undefined, checking: false, ...over});

const view = (
  name: string,
  address: string,
  status: ServerStatus,
  over: Partial<ServerView> = {},
): ServerView => ({
  server: {name: dnsName(name), address, port: 53},
  status,
  serial: 2026112103,
  records: [],
  mistake: undefined,
  ...over,
});

const survey = (servers: readonly ServerView[], over: Partial<Survey> = {}): Survey => ({
  name: sampleStaged.record.absoluteName,
  expected: sampleStaged.record.value,
  zone: fakeZone('example.org'),
  servers,
  at: '2026-11-21T10:01:00Z',
  agreed: false,
  resolver: 'not-asked',
  settled: false,
  nextAt: '2026-11-21T10:01:20Z',
  ...over,
});

const doubledName = problem(
  'record.name-doubled',
  'The record stands at 202611._domainkey.example.org.example.org: the panel added the domain by itself.',
  'Enter only 202611._domainkey as the name.',
);

const waiting: Phase = {
  at: 'propagation',
  startedAt: '2026-11-21T10:00:00Z',
  deadlineAt: undefined,
};

const NS: readonly ServerView[] = [
  view('ns1.example.org', '192.0.2.1', 'matching'),
  view('ns2.example.org', '192.0.2.2', 'matching'),
];

/** A server for each word there is, and what is said of those that have to be mended. */
const troubles = survey([
  view('ns1.example.org', '192.0.2.1', 'asking', {serial: undefined}),
  view('ns2.example.org', '192.0.2.2', 'matching', {
    mistake: problem(
      'dns.test-mode',
      'The record says that you are testing (t=y): receivers may treat signed mail as unsigned.',
      'Publish it without t=y once the tests are over.',
    ),
  }),
  view('ns3.example.org', '192.0.2.3', 'several', {
    mistake: problem(
      'dns.two-keys',
      'Two keys are at 202611._domainkey.example.org: receivers take either of them, or none.',
      'Delete the TXT record that is not the one shown.',
    ),
  }),
  view('ns4.example.org', '192.0.2.4', 'refused', {
    serial: undefined,
    mistake: problem(
      'dns.server-refused',
      'ns4.example.org (192.0.2.4) refuses to answer for the zone.',
      'Mend the server, or remove it from the NS records.',
    ),
  }),
  view('ns5.example.org', '192.0.2.5', 'lame', {serial: undefined}),
  view('ns6.example.org', '2001:db8::6', 'unreachable', {serial: undefined}),
]);

/** Everywhere, but caches still hold what was there before. */
const cached = survey(NS, {
  agreed: true,
  resolver: 'absent',
  caches: [
    {kind: 'negative', where: 'resolver', until: '2026-11-21T10:05:20Z'},
    {kind: 'old', where: 'anywhere', until: '2026-11-21T11:01:10Z'},
  ],
  dnssec: {
    status: 'validated',
    expiresAt: '2026-11-23T10:00:00.000Z',
    mistake: problem(
      'dns.signature-expiring',
      'The DNSSEC signature of the record ends at 2026-11-23 10:00 UTC, in less than 3 days.',
      'Check that the zone is signed anew by itself: after that time no validating receiver reads the key.',
    ),
  },
});

const keysZone = {...fakeZone('keys.example.net'), serial: 7};
const aliased = survey(
  NS.map(each => ({
    ...each,
    status: 'absent' as const,
    alias: dnsName('202611._domainkey.keys.example.net'),
    dname: dnsName('_domainkey.example.org'),
  })),
  {
    zone: {
      ...fakeZone('example.org'),
      remarks: [
        problem(
          'dns.delegation-differs',
          'The registry names ns1.example.org, ns3.example.org; the zone names ns1.example.org, ns2.example.org.',
          'Set the same name servers at the registrar and in the zone.',
        ),
      ],
    },
    targets: [
      {
        name: dnsName('202611._domainkey.keys.example.net'),
        zone: keysZone,
        servers: [
          view('ns1.example.net', '198.51.100.1', 'matching', {serial: 9}),
          view('ns2.example.net', '198.51.100.2', 'absent', {serial: 8}),
        ],
      },
    ],
  },
);

const bogus = survey(NS, {
  agreed: true,
  resolver: 'failed',
  dnssec: {
    status: 'bogus',
    mistake: problem(
      'dns.dnssec-bogus',
      'DNSSEC is broken for 202611._domainkey.example.org: the resolver refuses what the servers say (SERVFAIL).',
      'Compare the DS record at the registrar with the keys of the zone.',
    ),
  },
});

const blocked = survey(
  NS.map(each => ({...each, status: 'timeout' as const, serial: undefined})),
  {
    resolver: 'matching',
    dnssec: {status: 'insecure'},
    weaker: problem(
      'dns.port-blocked',
      'No name server of example.org can be reached from this host, though its resolver can look the zone up: port 53 outward is blocked. The resolver has the record; whether every server does is not known from here.',
      'Allow UDP and TCP port 53 outward, or look from another host: dig +norecurse @SERVER TXT NAME for each server.',
    ),
  },
);

const changes: readonly ChangeView[] = [
  {
    kind: 'write',
    target: '/etc/dkimkeys/example.org/202611.private',
    action: 'create (private key, not shown)',
    diff: '',
  },
  {
    kind: 'write',
    target: '/etc/opendkim.conf',
    action: 'change',
    diff: [
      '--- /etc/opendkim.conf',
      '+++ /etc/opendkim.conf',
      '@@ -8,9 +8,12 @@',
      ' Syslog			yes',
      ' SyslogSuccess		yes',
      '-#Domain			example.com',
      '-#Selector		2020',
      '-Socket			local:/run/opendkim/opendkim.sock',
      '+KeyTable		file:/etc/opendkim/KeyTable',
      '+SigningTable		refile:/etc/opendkim/SigningTable',
      '+ExternalIgnoreList	refile:/etc/opendkim/TrustedHosts',
      '+InternalHosts		refile:/etc/opendkim/TrustedHosts',
      '+Socket			local:/var/spool/postfix/opendkim/opendkim.sock',
      ' PidFile			/run/opendkim/opendkim.pid',
      '',
    ].join('\n'),
  },
  {
    kind: 'write',
    target: '/etc/opendkim/SigningTable',
    action: 'create',
    diff: '--- /dev/null\n+++ /etc/opendkim/SigningTable\n@@ -0,0 +1 @@\n+*@example.org 202611._domainkey.example.org\n',
  },
  {
    kind: 'write',
    target: '/etc/postfix/main.cf',
    action: 'change',
    diff: [
      '--- /etc/postfix/main.cf',
      '+++ /etc/postfix/main.cf',
      '@@ -40,3 +40,6 @@',
      ' recipient_delimiter = +',
      ' inet_interfaces = all',
      '+smtpd_milters = inet:127.0.0.1:11332, unix:opendkim/opendkim.sock, inet:a-long-name.internal.example.org:8891',
      '+non_smtpd_milters = unix:opendkim/opendkim.sock',
      '+milter_default_action = accept',
      '',
    ].join('\n'),
  },
  {kind: 'service', target: 'opendkim.service', action: 'restart', diff: ''},
  {kind: 'service', target: 'postfix.service', action: 'reload', diff: ''},
];

const preflight = proof(
  check('preflight.config', 'pass', 'OpenDKIM reads the configuration'),
  check('preflight.signs', 'pass', 'A trial message is signed and verifies'),
);

const ready = fakeReady([sampleStaged], {changes, preflight});

const steps = (plan = fakePlan([sampleStaged])) => plan.steps;

const worked: readonly WorkEvent[] = [
  {type: 'step-started', step: steps()[0]?.id ?? '', index: 1, of: 2},
  {type: 'step-done', step: steps()[0]?.id ?? '', index: 1, of: 2},
  {type: 'step-started', step: steps()[1]?.id ?? '', index: 2, of: 2},
];

const tested: readonly WorkEvent[] = [
  ...worked,
  {type: 'step-done', step: steps()[1]?.id ?? '', index: 2, of: 2},
  {type: 'proof-started'},
  {type: 'check', check: check('proof.milter', 'pass', 'The signer signs what Postfix hands it')},
  {
    type: 'check',
    check: check('proof.sendmail', 'fail', 'A message by sendmail carries one valid signature'),
  },
];

const planned: Partial<State> = {...answered, ready};

const done: State = stateAt(
  {at: 'testing'},
  {
    ...planned,
    changed: 'changed',
    appliedAt: '2026-11-21T10:05:00Z',
    result: {applied: true, changed: true, proof: proof(), interrupted: false},
    advice: {
      lines: [
        {topic: 'spf', text: 'SPF: "v=spf1 mx -all" covers this host.'},
        {
          topic: 'dmarc',
          text: 'DMARC: there is no record. Begin with: _dmarc.example.org. TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.org"',
        },
        {topic: 'rotation', text: 'Rotate the key before 2027-05-21: waxseal rotate'},
        {topic: 'undo', text: 'To take all of it back: waxseal undo'},
      ],
    },
  },
);

const failure = {
  problem: problem(
    'opendkim.restart-failed',
    'opendkim.service did not come up: the unit ended with status 78.',
    'journalctl -u opendkim shows why.',
  ),
  whole: true,
  remains: [],
};
const failed: State = stateAt(
  {at: 'rolling-back', because: failure.problem.message},
  {
    ...planned,
    changed: 'put-back',
    result: {applied: false, changed: false, proof: proof(), interrupted: false, failure},
  },
);

const finished = (state: State, exitCode: 0 | 3 | 6): State => ({
  ...state,
  phase: {
    at: 'finished',
    report: buildReport(state, exitCode, exitCode === 6 ? failure.problem : undefined),
  },
});

const plan = stateAt({at: 'plan'}, planned);
const pending = {
  staged: [sampleStaged],
  answers: answered.answers ?? {},
  since: '2026-11-20T17:12:00Z',
};

/** By the name of the snapshot. */
/** A thousand domains: 613 are everywhere, seven are wrong, the last has not been asked about. */
const THOUSAND: readonly StagedDomain[] = Array.from({length: 1000}, (_, index) =>
  fakeStaged(domainOf(`d${String(index + 1).padStart(4, '0')}.example.org`), SELECTOR),
);
const thousand: Partial<State> = {
  ...answered,
  staged: THOUSAND,
  surveys: Object.fromEntries(
    THOUSAND.slice(0, -1).map((each, index) => {
      const statuses: readonly ServerStatus[] =
        index < 613
          ? ['matching', 'matching']
          : index % 55 === 0
            ? ['wrong', 'absent']
            : ['matching', 'absent'];
      return [each.domain, fakeSurvey(each, statuses, '2026-11-21T10:01:00Z', '2026-11-21T10:01:05Z')];
    }),
  ),
};
const thousandRows = (row: (each: StagedDomain) => string): string =>
  THOUSAND.map(each => `+${row(each)}\n`).join('');
const thousandReady: PlanReady = fakeReady(THOUSAND, {
  changes: [
    ...THOUSAND.map(
      ({domain}): ChangeView => ({
        kind: 'mkdir',
        target: `/etc/dkimkeys/${domain}`,
        action: 'create, opendkim:opendkim 0700',
        diff: '',
      }),
    ),
    ...THOUSAND.map(
      ({domain, selector}): ChangeView => ({
        kind: 'write',
        target: `/etc/dkimkeys/${domain}/${selector}.private`,
        action: 'create, opendkim:opendkim 0600',
        diff: '+ private key, SHA-256 abababababababab…, not shown\n',
      }),
    ),
    {
      kind: 'write',
      target: '/etc/opendkim/KeyTable',
      action: 'create, root:root 0644',
      diff: `--- /etc/opendkim/KeyTable\n+++ /etc/opendkim/KeyTable\n@@ -0,0 +1,1000 @@\n${thousandRows(({domain, selector}) => `${selector}._domainkey.${domain} ${domain}:${selector}:/etc/dkimkeys/${domain}/${selector}.private`)}`,
    },
    ...fakeChanges,
  ],
});

export const SAMPLES: Readonly<Record<string, State>> = {
  looking: {...stateAt({at: 'looking'}), facts: undefined},
  host: stateAt(
    {at: 'host', offer: 'none'},
    {
      facts: fakeFacts({
        remarks: [
          problem(
            'postfix.content-filter',
            'Postfix hands mail to a content filter (smtp-amavis), which could change it after signing.',
            'Sign after the filter, or let the filter sign.',
          ),
        ],
      }),
    },
  ),
  'host-resume': stateAt({at: 'host', offer: 'resume'}, {pending}),
  'host-recover': stateAt(
    {at: 'host', offer: 'recover'},
    {
      unfinished: {
        id: '20261120T171200Z-3f9a',
        title: 'Sign for example.org',
        startedAt: '2026-11-20T17:12:00Z',
      },
    },
  ),
  'host-blocked': stateAt(
    {at: 'host', offer: 'blocked'},
    {
      facts: fakeFacts({
        mta: undefined,
        blockers: [
          problem('host.not-root', 'waxseal must be run by root to change this host.', 'Run: sudo waxseal'),
          problem(
            'host.no-mta',
            'No mail server was found on this host. waxseal works with Postfix.',
            'Install Postfix, and set it up to send mail: apt-get install postfix',
          ),
        ],
      }),
    },
  ),
  install: stateAt(asking('install', 'no'), {
    facts: fakeFacts({signer: undefined, missingPackages: ['opendkim', 'opendkim-tools']}),
  }),
  installing: stateAt(
    {at: 'installing'},
    {
      work: [{type: 'step-started', step: 'package:opendkim,opendkim-tools', index: 1, of: 1}],
      changed: 'changing',
    },
  ),
  recovering: stateAt({at: 'recovering'}, {work: [{type: 'step-undone', step: 'file:/etc/opendkim.conf'}]}),
  'other-signer': stateAt(asking('otherSigner', ''), {
    facts: fakeFacts({
      rivals: [
        {
          kind: 'rspamd',
          program: 'rspamd',
          evidence: 'smtpd_milters has inet:localhost:11332',
          signs: 'yes',
          configFile: absolute('/etc/rspamd/local.d/dkim_signing.conf'),
          unit: 'rspamd.service',
        },
      ],
    }),
  }),
  'other-signer-unknown': stateAt(asking('otherSigner', ''), {
    facts: fakeFacts({
      rivals: [
        {
          kind: 'dkimproxy',
          program: 'dkimproxy',
          evidence: 'content_filter is dksign:[127.0.0.1]:10027',
          signs: 'yes',
        },
      ],
    }),
  }),
  domain: stateAt(asking('domains', 'example.org')),
  'domain-typed': stateAt(asking('domains', 'bücher.example')),
  'domain-refused': stateAt(
    asking('domains', 'user@example.org', {
      problem: problem(
        'domain.syntax',
        '"user@example.org" is not a mail domain: it is an address.',
        'Give only the part after the @: example.org.',
      ),
    }),
  ),
  selector: stateAt(asking('selector', '202611'), {
    answers: {domains: [DOMAIN]},
    suggestedSelector: SELECTOR,
  }),
  'selector-checking': stateAt(asking('selector', '202611', {checking: true}), {
    answers: {domains: [DOMAIN]},
  }),
  key: stateAt(asking('key', 'rsa:2048')),
  settings: stateAt(asking('settings', 'recommended')),
  socket: stateAt(asking('socket', 'auto')),
  note: stateAt(asking('note', '')),
  'making-key': stateAt(
    {at: 'making-key', progress: {domain: DOMAIN, done: 1, of: 3}},
    {answers: answered.answers ?? {}},
  ),
  'making-keys': stateAt(
    {at: 'making-key', progress: {domain: DOMAIN, done: 437, of: 1000}},
    {answers: answered.answers ?? {}},
  ),
  record: stateAt({at: 'record', form: 'plain', notice: undefined}, answered),
  'record-notice': stateAt({at: 'record', form: 'zone-file', notice: 'Saved to /root/dkim.txt.'}, answered),
  propagation: stateAt(waiting, {
    ...answered,
    surveys: {
      [DOMAIN]: survey([
        view('ns1.example.org', '192.0.2.1', 'matching'),
        view('ns1.example.org', '2001:db8::1', 'matching'),
        view('ns2.example.org', '192.0.2.2', 'absent', {serial: 2026112102}),
        view(
          'a-rather-long-name.secondary.provider.example',
          '2001:db8:1234:5678:9abc:def0:1234:5678',
          'timeout',
          {
            serial: undefined,
          },
        ),
      ]),
    },
  }),
  'propagation-first': stateAt({...waiting, startedAt: ''}, answered),
  'propagation-mistake': stateAt(
    {...waiting, deadlineAt: '2026-11-21T10:10:00Z'},
    {
      ...answered,
      surveys: {
        [DOMAIN]: survey([
          view('ns1.example.org', '192.0.2.1', 'wrong', {mistake: doubledName}),
          view('ns2.example.org', '192.0.2.2', 'absent', {mistake: doubledName}),
        ]),
      },
    },
  ),
  'propagation-many': stateAt(waiting, {
    ...answered,
    surveys: {
      [DOMAIN]: survey(
        Array.from({length: 26}, (_, index) =>
          view(`ns${index + 1}.example.org`, `192.0.2.${index + 1}`, index < 20 ? 'matching' : 'absent'),
        ),
      ),
    },
  }),
  'propagation-thousand': stateAt(waiting, thousand),
  'plan-thousand': stateAt({at: 'plan'}, {...thousand, ready: thousandReady}),
  'propagation-troubles': stateAt(waiting, {...answered, surveys: {[DOMAIN]: troubles}}),
  'propagation-caches': stateAt(waiting, {...answered, surveys: {[DOMAIN]: cached}}),
  'propagation-alias': stateAt(waiting, {...answered, surveys: {[DOMAIN]: aliased}}),
  'propagation-bogus': stateAt(waiting, {...answered, surveys: {[DOMAIN]: bogus}}),
  'propagation-blocked': stateAt(waiting, {...answered, surveys: {[DOMAIN]: blocked}}),
  'summary-resolver-only': {
    ...finished({...done, surveys: {[DOMAIN]: blocked}, resolverOnly: true}, 0),
  },
  planning: stateAt({at: 'planning'}, answered),
  plan,
  'plan-nothing': stateAt(
    {at: 'plan'},
    {
      ...answered,
      ready: fakeReady([sampleStaged], {plan: fakePlan([sampleStaged], []), changes: [], preflight: proof()}),
    },
  ),
  applying: stateAt(
    {at: 'applying', index: 2, of: 2, step: 'check:postfix'},
    {...planned, work: worked, changed: 'changing'},
  ),
  testing: stateAt({at: 'testing'}, {...planned, work: tested, changed: 'changing'}),
  'rolling-back': stateAt(
    {at: 'rolling-back', because: failure.problem.message},
    {
      ...planned,
      work: [
        ...worked,
        {type: 'step-failed', step: steps()[1]?.id ?? '', message: failure.problem.message},
        {type: 'rolling-back', because: failure.problem.message},
        {type: 'step-undone', step: steps()[0]?.id ?? ''},
      ],
      changed: 'changing',
    },
  ),
  summary: finished(done, 0),
  'summary-sandbox': finished({...done, mode: {...done.mode, sandbox: true}}, 0),
  'summary-failed': finished(failed, 6),
  leaving: stateAt({at: 'leaving', from: {at: 'plan'}}, planned),
};

// The plan may only be applied where every server was seen to agree.
const agreed = survey([view('ns1.example.org', '192.0.2.1', 'matching')], {
  agreed: true,
  settled: true,
  resolver: 'matching',
});
export const sampleState = (name: string): State => {
  const state = SAMPLES[name];
  if (state === undefined) throw new TypeError(`no sample ${name}`);
  const isBefore = ['record', 'propagation'].includes(state.phase.at) || state.staged.length === 0;
  return isBefore || state.resolverOnly ? state : {...state, surveys: {[DOMAIN]: agreed}};
};
