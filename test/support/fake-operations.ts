/**
 * Operations for tests of the flow and the views: a small imaginary host. Every job takes a turn of the event loop, can
 * be held until the test lets it go on, and can be replaced one by one. Calls are recorded in order.
 */

import type {RecordForms, ServerStatus, Survey, Zone} from '../../src/dns/survey.ts';
import {
  type DomainName,
  parseDnsName,
  parseDomain,
  parseSelector,
  type Selector,
} from '../../src/domain/names.ts';
import {absolute} from '../../src/domain/paths.ts';
import {ok, problem} from '../../src/domain/result.ts';
import {selectorFor} from '../../src/flow/answers.ts';
import type {
  ApplyResult,
  DomainFacts,
  LookResult,
  Operations,
  PlanReady,
  StagedDomain,
} from '../../src/flow/operations.ts';
import type {ChangeView, Plan, RunId} from '../../src/plan/plan.ts';
import type {Check, ProofReport} from '../../src/proof/proof.ts';
import type {HostFacts} from '../../src/services/facts.ts';
import type {OpenDkimFacts} from '../../src/services/opendkim/facts.ts';
import type {PostfixFacts} from '../../src/services/postfix/facts.ts';
import type {Clock} from '../../src/system/ports.ts';

function must<T>(result: {ok: true; value: T} | {ok: false; problem: {message: string}}): T {
  if (!result.ok) throw new TypeError(result.problem.message);
  return result.value;
}

export const domainOf = (text: string): DomainName => must(parseDomain(text));
export const selectorOf = (text: string): Selector => must(parseSelector(text));

/** A clock that stands at `2026-11-21T10:00:00Z` and goes on only by sleeping. */
export function fakeClock(start = '2026-11-21T10:00:00.000Z'): Clock {
  let now = Date.parse(start);
  return {
    now: () => new Date(now),
    async sleep(ms, signal) {
      signal?.throwIfAborted();
      await new Promise<void>(resolve => setImmediate(resolve));
      signal?.throwIfAborted();
      now += ms;
    },
  };
}

export const fakeFacts = (over: Partial<HostFacts> = {}): HostFacts => ({
  distribution: {id: 'debian', like: [], version: '13', prettyName: 'Debian GNU/Linux 13 (trixie)'},
  layout: undefined,
  serviceManager: 'systemd',
  hostname: 'mail.example.org',
  privileged: true,
  mta: {
    kind: 'postfix',
    program: 'Postfix',
    version: '3.10.5',
    configDirectory: absolute('/etc/postfix'),
    queueDirectory: absolute('/var/spool/postfix'),
    running: true,
    chrooted: true,
    chroot: {'smtp/inet': true},
    hostname: 'mail.example.org',
    mydomain: 'example.org',
    myorigin: 'example.org',
    mydestination: ['example.org', 'localhost'],
    virtualDomains: ['example.net'],
    relay: '',
    smtpdMilters: '',
    nonSmtpdMilters: '',
    milterDefaultAction: 'tempfail',
    internalMailFilterClasses: '',
    contentFilter: '',
    overrides: [],
    unit: 'postfix.service',
    mainCf: absolute('/etc/postfix/main.cf'),
  } as PostfixFacts,
  signer: {
    kind: 'opendkim',
    program: 'OpenDKIM',
    version: '2.11.0',
    attachment: undefined,
    configFile: absolute('/etc/opendkim.conf'),
    settings: {},
    keys: [],
    keySources: [],
    signedDomains: [],
    unit: 'opendkim.service',
    active: true,
    unitPidFile: '/run/opendkim/opendkim.pid',
    socketOverride: '',
    user: 'opendkim',
    group: 'opendkim',
  } as OpenDkimFacts,
  rivals: [],
  missingPackages: [],
  mailDomains: [domainOf('example.org'), domainOf('example.net')],
  blockers: [],
  remarks: [],
  ...over,
});

export const fakeZone = (domain: string): Zone => ({
  apex: must(parseDnsName(domain)),
  primary: must(parseDnsName(`ns1.${domain}`)),
  serial: 2026112101,
  negativeTtlSeconds: 300,
  servers: [
    {name: must(parseDnsName(`ns1.${domain}`)), address: '192.0.2.1', port: 53},
    {name: must(parseDnsName(`ns2.${domain}`)), address: '192.0.2.2', port: 53},
  ],
  remarks: [],
});

export function fakeRecord(domain: DomainName, selector: Selector): RecordForms {
  const absoluteName = must(parseDnsName(`${selector}._domainkey.${domain}`));
  const value = `v=DKIM1; h=sha256; k=rsa; p=${'MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A'.repeat(12)}IDAQAB`;
  const strings = [value.slice(0, 255), value.slice(255)];
  return {
    absoluteName,
    zone: must(parseDnsName(domain)),
    relativeName: `${selector}._domainkey`,
    value,
    strings,
    zoneFile: `${absoluteName}. 3600 IN TXT ${strings.map(part => `"${part}"`).join(' ')}`,
    zoneFileWrapped: `${absoluteName}. 3600 IN TXT (\n${strings.map(part => `  "${part}"`).join('\n')} )`,
    json: JSON.stringify({name: absoluteName, value}),
    nsupdate: `update add ${absoluteName}. 3600 TXT ${strings.map(part => `"${part}"`).join(' ')}\nsend`,
    provider: undefined,
  };
}

export const fakeStaged = (domain: DomainName, selector: Selector): StagedDomain => ({
  domain,
  selector,
  algorithm: 'rsa',
  bits: 2048,
  state: 'staged',
  stagedPath: absolute(`/var/lib/waxseal/keys/${domain}/${selector}.pem`),
  sha256: 'ab'.repeat(32),
  zone: fakeZone(domain),
  record: fakeRecord(domain, selector),
  remarks: [],
});

/** A survey in which each server has the given status; settled where all match. */
export function fakeSurvey(
  staged: StagedDomain,
  statuses: readonly ServerStatus[],
  at: string,
  nextAt?: string,
): Survey {
  const agreed = statuses.every(status => status === 'matching');
  return {
    name: staged.record.absoluteName,
    expected: staged.record.value,
    zone: staged.zone,
    servers: staged.zone.servers.map((server, index) => ({
      server,
      status: statuses[index] ?? 'absent',
      serial: staged.zone.serial,
      records: statuses[index] === 'matching' ? [staged.record.value] : [],
      mistake: undefined,
    })),
    at,
    agreed,
    resolver: agreed ? 'matching' : 'not-asked',
    settled: agreed,
    nextAt: agreed ? undefined : nextAt,
  };
}

export const check = (id: string, status: Check['status'], title = id): Check => ({
  id,
  title,
  status,
  evidence: status === 'pass' ? 'a=rsa-sha256 d=example.org' : 'no signature',
  cause: status === 'pass' ? '' : 'The signer did not answer.',
  fix: status === 'pass' ? '' : 'Look at journalctl -u opendkim.',
});

export const proof = (...checks: readonly Check[]): ProofReport => ({
  checks,
  passed: checks.some(each => each.status === 'pass') && !checks.some(each => each.status === 'fail'),
});

export const fakeChanges: readonly ChangeView[] = [
  {
    kind: 'write',
    target: '/etc/opendkim.conf',
    action: 'change',
    diff: '--- /etc/opendkim.conf\n+++ /etc/opendkim.conf\n@@ -1,2 +1,3 @@\n Syslog yes\n-#KeyTable\n+KeyTable file:/etc/opendkim/KeyTable\n+SigningTable refile:/etc/opendkim/SigningTable\n',
  },
  {kind: 'service', target: 'opendkim.service', action: 'restart', diff: ''},
];

export function fakePlan(staged: readonly StagedDomain[], steps: Plan['steps'] | 'usual' = 'usual'): Plan {
  const usual: Plan['steps'] = [
    ...staged.map(
      each =>
        ({
          kind: 'file',
          id: `file:/etc/dkimkeys/${each.domain}/${each.selector}.private`,
          why: 'The private key, readable only by the signer',
          path: absolute(`/etc/dkimkeys/${each.domain}/${each.selector}.private`),
          before: {state: 'absent'},
          after: {
            content: {from: 'secret', path: each.stagedPath, sha256: each.sha256},
            owner: {user: 'opendkim', group: 'opendkim'},
            mode: 0o600,
          },
        }) as const,
    ),
    {
      kind: 'check',
      id: 'check:postfix',
      why: 'Postfix accepts its configuration',
      argv: ['postfix', 'check'],
      timeoutMs: 10_000,
    },
  ];
  return {
    version: 1,
    id: '20261121T100000Z-0001' as RunId,
    purpose: 'setup',
    madeAt: '2026-11-21T10:00:00.000Z',
    title: `Sign for ${staged.map(each => each.domain).join(', ')}`,
    domains: staged.map(each => ({domain: each.domain, selector: each.selector})),
    steps: steps === 'usual' ? usual : steps,
  };
}

export const fakeReady = (staged: readonly StagedDomain[], over: Partial<PlanReady> = {}): PlanReady => ({
  plan: fakePlan(staged),
  changes: fakeChanges,
  preflight: proof(check('preflight.signs', 'pass', 'The new configuration signs')),
  proven: [],
  placed: [],
  endpoint: {kind: 'unix', path: absolute('/var/spool/postfix/opendkim/opendkim.sock')},
  remarks: [],
  ...over,
});

export interface Gate {
  /** Lets everything that waits here, and everything to come, go on. */
  open(): void;
}

export interface FakeOperations extends Operations {
  /** Names of the jobs in the order they were called. */
  readonly calls: readonly string[];
  /** Holds the next calls of a job until its gate is opened (an aborted signal ends them, too). */
  hold(job: keyof Operations): Gate;
}

export interface FakeOptions {
  readonly clock?: Clock;
  readonly look?: Partial<LookResult>;
  readonly facts?: Partial<HostFacts>;
  /** What the servers say, round by round; the last round repeats until the deadline. */
  readonly rounds?: readonly (readonly ServerStatus[])[];
  readonly takenSelectors?: readonly string[];
  readonly ready?: (staged: readonly StagedDomain[]) => PlanReady;
  readonly result?: Partial<ApplyResult>;
  /** Replaces single jobs. */
  readonly jobs?: Partial<Operations>;
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

const emptyProof: ProofReport = {checks: [], passed: false};

/** An imaginary host whose servers show the record in the third round and whose apply works. */
export function fakeOperations(options: FakeOptions = {}): FakeOperations {
  const clock = options.clock ?? fakeClock();
  const calls: string[] = [];
  const gates = new Map<string, Promise<void>>();
  const facts = fakeFacts(options.facts);

  async function begin(job: keyof Operations, signal?: AbortSignal): Promise<void> {
    calls.push(job);
    await turn();
    const gate = gates.get(job);
    if (gate !== undefined) {
      await (signal === undefined ? gate : Promise.race([gate, aborted(signal)]));
    }
    signal?.throwIfAborted();
  }

  const base: Operations = {
    async look(signal) {
      await begin('look', signal);
      return {facts, pending: undefined, unfinished: undefined, draft: undefined, ...options.look};
    },
    async recover(run, emit) {
      await begin('recover');
      emit({type: 'step-undone', step: `file:${run.id}`});
      return {applied: false, changed: true, proof: emptyProof, interrupted: false};
    },
    async install(found, emit, signal) {
      await begin('install', signal);
      emit({type: 'step-done', step: `package:${found.missingPackages.join('+')}`, index: 1, of: 1});
      return {...found, missingPackages: []};
    },
    async inspectDomain(domain, signal) {
      await begin('inspectDomain', signal);
      return ok<DomainFacts>({domain, zone: fakeZone(domain), provider: undefined});
    },
    suggestSelector() {
      calls.push('suggestSelector');
      return selectorOf('202611');
    },
    knownSelectors: () => new Map(),
    checkStart: async () => ({ok: true, value: true}),
    async checkSelector(domains, selector, signal) {
      await begin('checkSelector', signal);
      return options.takenSelectors?.includes(selector) === true
        ? {
            ok: false,
            problem: problem(
              'selector.taken',
              `The selector ${selector} is in use for ${domains[0]?.domain ?? ''}.`,
              'Choose another name.',
            ),
          }
        : ok(true as const);
    },
    async checkKey() {
      await begin('checkKey');
      return ok(true as const);
    },
    async stage(answers, domains, emit, signal) {
      await begin('stage', signal);
      const staged = domains.map(each =>
        fakeStaged(each.domain, selectorFor(answers, each.domain) ?? selectorOf('202611')),
      );
      for (const [index, each] of staged.entries()) {
        emit({domain: each.domain, done: index + 1, of: staged.length});
      }
      return ok(staged);
    },
    async discard() {
      await begin('discard');
    },
    async publish(_choice, staged, signal) {
      await begin('publish', signal);
      return ok(
        staged.map(each => ({
          domain: each.domain,
          outcome: 'published' as const,
          name: each.record.absoluteName,
        })),
      );
    },
    async watch(staged, {deadlineMs, onSurvey, signal}) {
      await begin('watch', signal);
      const rounds = options.rounds ?? [
        ['absent', 'absent'],
        ['matching', 'absent'],
        ['matching', 'matching'],
      ];
      const end = deadlineMs === undefined ? Number.POSITIVE_INFINITY : clock.now().getTime() + deadlineMs;
      for (let round = 0; ; round += 1) {
        const statuses = rounds[Math.min(round, rounds.length - 1)] ?? [];
        const at = clock.now();
        const surveys = staged.map(each =>
          fakeSurvey(each, statuses, at.toISOString(), new Date(at.getTime() + 5000).toISOString()),
        );
        for (const survey of surveys) onSurvey(survey);
        if (surveys.every(survey => survey.settled) || at.getTime() + 5000 > end) return surveys;
        await clock.sleep(5000, signal);
      }
    },
    async plan(_answers, staged, _facts, signal) {
      await begin('plan', signal);
      return ok((options.ready ?? fakeReady)(staged));
    },
    async apply(ready, _staged, emit, signal) {
      calls.push('apply');
      await turn();
      const done: ApplyResult = {
        applied: true,
        changed: ready.plan.steps.length > 0,
        proof: proof(check('proof.milter', 'pass', 'The signer signs over the milter protocol')),
        interrupted: false,
        ...options.result,
      };
      const of = ready.plan.steps.length;
      for (const [at, step] of ready.plan.steps.entries()) {
        const place = {step: step.why, index: at + 1, of};
        emit({type: 'step-started', ...place});
        await gates.get('apply');
        if (signal.aborted) return putBack(emit, step.id);
        emit({type: 'step-done', ...place});
      }
      emit({type: 'proof-started'});
      if (of === 0) await gates.get('apply');
      if (signal.aborted) return putBack(emit, 'proof');
      for (const each of done.proof.checks) emit({type: 'check', check: each});
      emit({type: 'proof-done'});
      if (done.failure !== undefined) {
        emit({type: 'rolling-back', because: done.failure.problem.message});
        emit({type: 'rolled-back', whole: done.failure.whole, remains: done.failure.remains});
      }
      return done;
    },
    async advise(_staged, signal) {
      await begin('advise', signal);
      return {
        lines: [
          {topic: 'spf', text: 'SPF: v=spf1 mx -all covers this host.'},
          {topic: 'rotation', text: 'Rotate the key before 2027-05-21: waxseal rotate.'},
          {topic: 'undo', text: 'To take it back: waxseal undo.'},
        ],
      };
    },
    async saveDraft() {
      calls.push('saveDraft');
    },
    async saveRecord() {
      await begin('saveRecord');
      return ok(true as const);
    },
    ...options.jobs,
  };

  return {
    ...base,
    calls,
    hold(job) {
      let resolve = (): void => undefined;
      const promise = new Promise<void>(done => {
        resolve = done;
      });
      gates.set(job, promise);
      return {open: () => resolve()};
    },
  };
}

function putBack(emit: Parameters<Operations['apply']>[2], step: string): ApplyResult {
  emit({type: 'rolling-back', because: 'You asked to stop.'});
  emit({type: 'step-undone', step});
  emit({type: 'rolled-back', whole: true, remains: []});
  return {applied: false, changed: false, proof: emptyProof, interrupted: true};
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), {once: true});
  });
