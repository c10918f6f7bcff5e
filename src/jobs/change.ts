/** Plan, preflight, apply and proof: the part of the work that touches the host. */
import type {KeyLookup} from '../dkim/index.ts';
import {createAuthoritativeLookup, createKeyLookup} from '../dns/key-lookup.ts';
import {command} from '../domain/command.ts';
import {sameEndpoint} from '../domain/endpoint.ts';
import {HostError, Interrupted, type ToolError} from '../domain/errors.ts';
import {fail, type Problem, problem, type Result} from '../domain/result.ts';
import {listed} from '../domain/text.ts';
import type {Answers} from '../flow/answers.ts';
import type {ApplyResult, PlanReady, StagedDomain, WorkEvent} from '../flow/operations.ts';
import {lookAtHostPicture} from '../host/index.ts';
import {probeMilter} from '../milter/client.ts';
import {
  type ApplyOutcome,
  applyPlan,
  basicReadiness,
  makePlan,
  NOT_A_MILTER,
  type Ready,
  recoverRun,
} from '../plan/index.ts';
import type {Plan} from '../plan/plan.ts';
import {journalLines} from '../proof/journal.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {type HostFacts, milterEndpoint} from '../services/facts.ts';
import {type HostLook, look, lookAtHost} from '../services/look.ts';
import {SIGNER} from '../services/registry.ts';
import {packageSteps} from '../services/signing.ts';
import {watchful, whyStopped} from '../services/stopped.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {type Kept, keptCheck, type SignedBefore, type SigningHost, signedBefore} from './kept.ts';
import {liveTest} from './live-test.ts';
import type {WorkOptions} from './options.ts';
import {changeFor, tried} from './planning.ts';
import {asProven} from './proven.ts';
import {applyUnproven, leftOf} from './run-change.ts';

const NO_PROOF: ProofReport = {checks: [], passed: false};

/** Key records from the authoritative servers of the staged domains, everything else from the resolver. */
export const publishedKeys = (
  ports: Ports,
  staged: readonly StagedDomain[],
  options: WorkOptions,
): KeyLookup =>
  createAuthoritativeLookup(
    ports,
    staged.map(({zone}) => zone),
    createKeyLookup(ports, {resolvers: options.resolvers}),
  );

/**
 * Looks at the host once more (hours may have gone by at the propagation screen), plans, and proves the candidate
 * configuration in a temporary signer.
 */
export async function planSetup(
  ports: Ports,
  answers: Answers,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Result<PlanReady>> {
  const change = await changeFor(ports, staged, {...answers, subdomains: answers.subdomains ?? true}, signal);
  if (!change.ok) return change;
  const {facts, steps, endpoint} = change.value;
  const rival = steps.length === 0 ? undefined : await rivalOnPort(ports, facts, endpoint);
  if (rival !== undefined) return fail(rival);
  const plan = makePlan({
    purpose: 'setup',
    title: `DKIM for ${listed(staged.map(({domain}) => domain))}`,
    domains: staged.map(({domain, selector}) => ({domain, selector})),
    steps,
    ...ports,
  });
  return await tried(ports, plan, change.value, staged, signal);
}

/**
 * A TCP port that somebody else has taken already: the signer would start and die (daemons/opendkim.md#socket).
 * Where it itself listens there today, the port is its own.
 */
export async function rivalOnPort(
  ports: Pick<Ports, 'sockets'>,
  facts: HostFacts,
  endpoint: SocketEndpoint,
): Promise<Problem | undefined> {
  const {signer} = facts;
  const today = milterEndpoint(signer);
  if (endpoint.kind !== 'tcp' || (signer?.active === true && sameEndpoint(today, endpoint))) return undefined;
  try {
    (await ports.sockets.connect(endpoint, 2000)).destroy();
  } catch {
    return undefined;
  }
  return problem(
    'socket.port-taken',
    `Another program listens on port ${endpoint.port} already.`,
    `See who listens there: ss -ltnp 'sport = :${endpoint.port}'; or use a socket file: --socket unix`,
  );
}

/** The host as a comparison needs it. */
async function signingHost(ports: Ports, host: HostLook, signal: AbortSignal): Promise<SigningHost> {
  return {picture: await lookAtHostPicture(ports, host, {signal}), others: host.facts.rivals};
}

/**
 * What is signed now, for the comparison after `plan`: taken before its first step. undefined where the plan changes
 * nothing. HostError where the signer is meant to run and does not.
 */
export async function beforeChange(
  ports: Ports,
  {steps, domains}: Pick<Plan, 'steps' | 'domains'>,
  signal: AbortSignal,
): Promise<SignedBefore | undefined> {
  if (steps.length === 0) return undefined;
  const host = await look(ports, signal);
  const {facts} = host;
  const {signer} = facts;
  const refuseStopped = async (): Promise<void> => {
    const stopped = signer === undefined ? undefined : await whyStopped(ports, signer.unit, signal);
    if (stopped !== undefined) throw new HostError(stopped);
  };
  // It would be waited for once a domain; and one that was stopped meanwhile would not take the change.
  await refuseStopped();
  const names = domains.map(({domain}) => domain);
  const before = await signedBefore(
    watching(ports, facts),
    await signingHost(ports, host, signal),
    names,
    signal,
  );
  await refuseStopped();
  return before;
}

/** Where the signer's process is stopped, its answer is not awaited. */
const watching = (ports: Ports, {signer}: HostFacts): Ports =>
  watchful(ports, signer === undefined ? undefined : {unit: signer.unit, logTag: SIGNER.words.logTag});

/** The check `live.kept` of the host as it is now; undefined where nothing was signed `before`. */
export async function comparedNow(
  ports: Ports,
  {before, meant}: Kept,
  signal: AbortSignal,
  given?: HostLook,
): Promise<Check | undefined> {
  const host = given ?? (await look(ports, signal));
  const after = await signingHost(ports, host, signal);
  return await keptCheck(watching(ports, host.facts), {before, after, meant, words: SIGNER.words}, signal);
}

/**
 * Undoes a run, and compares the signatures of all senders before and after. An undo is never undone: a loss is a check
 * that failed, `live.kept`. The domains of the run may change as they will.
 */
export async function undoAndCompare<T extends {readonly result: string}>(
  ports: Ports,
  domains: readonly string[],
  undo: () => Promise<T>,
  signal: AbortSignal,
): Promise<{readonly outcome: T; readonly check: Check | undefined}> {
  const was = await look(ports, signal);
  const host = await signingHost(ports, was, signal);
  const before = await signedBefore(watching(ports, was.facts), host, domains, signal);
  const outcome = await undo();
  if (outcome.result !== 'undone') return {outcome, check: undefined};
  const now = await look(ports, signal);
  if (milterEndpoint(now.facts.signer) === undefined) return {outcome, check: undefined};
  const meant = domains.map(domain => ({domain, selector: undefined}));
  // Another signer that the run had switched off signs again: nothing to compare.
  const check = await comparedNow(ports, {before: {...before, others: []}, meant}, signal, now);
  return {outcome, check};
}

/** What is compared after `plan`: its own domains sign with its selectors, all others as before. */
export const keptBy = (before: SignedBefore | undefined, plan: Pick<Plan, 'domains'>): Kept | undefined =>
  before === undefined ? undefined : {before, meant: plan.domains};

/** The live test of the host as it is now, each check told when it is known. */
export async function proveLive(
  ports: Ports,
  options: WorkOptions,
  endpoint: SocketEndpoint,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
  kept?: Kept,
): Promise<ProofReport> {
  const host = await look(ports, signal);
  return await liveTest(
    ports,
    {
      facts: host.facts,
      endpoint,
      domains: staged,
      lookup: publishedKeys(ports, staged, options),
      ...(kept === undefined ? {} : {kept: () => comparedNow(ports, kept, signal, host)}),
    },
    check => emit({type: 'check', check}),
    signal,
  );
}

/** Applies and proves. Whatever goes wrong, the host is put back and the result says why. */
export async function applySetup(
  ports: Ports,
  options: WorkOptions,
  ready: PlanReady,
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<ApplyResult> {
  const before = await beforeChange(ports, ready.plan, signal);
  const kept = keptBy(before, ready.plan);
  const prove = (): Promise<ProofReport> =>
    proveLive(ports, options, ready.endpoint, staged, emit, signal, kept);
  const outcome = await applyPlan(
    ports,
    ready.plan,
    {
      preflight: () => asProven(ports, ready.plan, ready.proven),
      proof: prove,
      ready: milterReadiness(ports),
    },
    emit,
    signal,
  );
  if (outcome.result !== 'nothing') return resultOf(outcome);
  // Nothing to change is no proof: the host is tested all the same.
  emit({type: 'proof-started'});
  const proof = await prove();
  emit({type: 'proof-done'});
  return proof.passed ? {applied: true, changed: false, proof, interrupted: false} : unproven(proof);
}

/** Nothing had to be changed, and the host does not sign as it should. */
export const unproven = (proof: ProofReport = NO_PROOF): ApplyResult => ({
  applied: false,
  changed: false,
  proof,
  interrupted: false,
  failure: {problem: failedProof(proof), whole: true, remains: []},
});

function failedProof(proof: ProofReport): Problem {
  const wrong = proof.checks.find(({status}) => status === 'fail');
  return problem(
    wrong?.id ?? 'proof.failed',
    wrong === undefined ? 'The live test proved nothing.' : `${wrong.title}: ${wrong.cause}`,
    wrong?.fix ?? '',
  );
}

/**
 * A signer is ready when its unit is active and it answers as a milter, not merely takes connections
 * (daemons/postfix.md#strangers-on-the-socket).
 */
export function milterReadiness(ports: Ports): Ready {
  const basic = basicReadiness(ports);
  const since = ports.clock.now();
  return async step => {
    const {endpoint} = step.ready;
    const why =
      (await basic(step)) ??
      (endpoint === undefined
        ? undefined
        : await answersAsMilter(watchful(ports, {unit: step.unit, logTag: SIGNER.words.logTag}), endpoint));
    return why === undefined || endpoint === undefined ? why : await withLastWords(ports, why, since);
  };
}

/**
 * The problem with what the signer said last: systemd only knows that it ended
 * (daemons/opendkim.md#start-and-restart).
 */
async function withLastWords(ports: Ports, why: Problem, since: Date): Promise<Problem> {
  const lines = await journalLines(ports, SIGNER.words.logTag, since);
  const words = lines.findLast(line => /unable|error|fail|refus|denied|in use|must be|no such/i.test(line));
  return words === undefined ? why : problem(why.id, `${why.message} It said: ${words}`, why.hint);
}

async function answersAsMilter(ports: Ports, endpoint: SocketEndpoint): Promise<Problem | undefined> {
  const outcome = await probeMilter(
    ports,
    endpoint,
    {
      client: {host: 'localhost', address: '127.0.0.1', port: 25},
      helo: 'localhost',
      serverName: 'localhost',
      queueId: 'READINESS',
      from: '',
      recipients: ['postmaster@localhost'],
      headers: [{name: 'Subject', value: 'readiness'}],
      body: new TextEncoder().encode('\r\n'),
    },
    // Polled until the service step gives up; a busy daemon is not a dead one, and a dead one hangs up.
    {connectTimeoutMs: 30_000, replyTimeoutMs: 60_000, totalTimeoutMs: 120_000},
  );
  if (outcome.ended === 'answered') return undefined;
  if (outcome.ended === 'broken' && outcome.stuck !== undefined) return outcome.stuck;
  const {program, logTag} = SIGNER.words;
  const isWrong =
    outcome.ended === 'broken' && (outcome.cause === 'protocol' || outcome.cause === 'not-a-milter');
  return isWrong
    ? problem(
        NOT_A_MILTER,
        `What listens on ${program}'s socket isn't ${program}: ${outcome.detail}.`,
        endpoint.kind === 'unix'
          ? `See who listens there: ${command('ss', '-lxp', 'src', endpoint.path)}`
          : `See who listens there: ${command('ss', '-ltnp', 'sport', '=', `:${endpoint.port}`)}`,
      )
    : problem(
        'service.no-milter',
        `${program} doesn't answer: ${outcome.detail}.`,
        `journalctl -t ${logTag}`,
      );
}

/** Installs what is missing as a run of its own, and looks again. */
export async function installMissing(
  ports: Ports,
  facts: HostFacts,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<HostFacts> {
  const plan = makePlan({
    purpose: 'install',
    title: `Packages: ${facts.missingPackages.join(' ')}`,
    domains: [],
    steps: packageSteps(facts),
    ...ports,
  });
  leftOf(await applyUnproven(ports, plan, {ready: basicReadiness(ports)}, emit, signal));
  return await lookAtHost(ports, signal);
}

/** Takes back what a run changed that was cut off. */
export async function recoverUnfinished(
  ports: Ports,
  run: Parameters<typeof recoverRun>[1],
  emit: (event: WorkEvent) => void,
): Promise<ApplyResult> {
  const outcome = await recoverRun(ports, run, {ready: basicReadiness(ports)}, emit);
  if (outcome.result === 'incomplete') return resultOf(outcome);
  if (outcome.result === 'finished')
    return {applied: true, changed: true, proof: NO_PROOF, interrupted: false};
  return {applied: false, changed: false, proof: NO_PROOF, interrupted: false};
}

const problemOf = (error: ToolError): Problem => problem(error.id, error.message, error.hint);

/** The outcome of an apply as the flow takes it. */
export function resultOf(outcome: Exclude<ApplyOutcome, {result: 'nothing'}>): ApplyResult {
  if (outcome.result === 'applied') {
    return {applied: true, changed: true, proof: outcome.proof, interrupted: false};
  }
  const proof = ('proof' in outcome ? outcome.proof : undefined) ?? NO_PROOF;
  const whole = outcome.result !== 'incomplete';
  return {
    applied: false,
    changed: !whole,
    proof,
    interrupted: outcome.error instanceof Interrupted,
    failure: {
      problem: problemOf(outcome.error),
      whole,
      remains: outcome.result === 'incomplete' ? outcome.error.remains : [],
      ...(outcome.result === 'refused' && outcome.stale.length > 0
        ? {differences: outcome.stale.map(({path, diff}) => (diff === '' ? `${path}: not shown` : diff))}
        : {}),
    },
  };
}
