/** What has to change on the host so that staged keys sign, and its trial before anything is touched. */
import type {KeyLookup} from '../dkim/index.ts';
import type {DomainName, Selector} from '../domain/names.ts';
import {STATE_DIRECTORY} from '../domain/places.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import type {Answers} from '../flow/answers.ts';
import type {PlanReady, StagedDomain} from '../flow/operations.ts';
import {changeViews} from '../plan/index.ts';
import type {Plan} from '../plan/plan.ts';
import {NOTHING_TO_PROVE, type ProofReport} from '../proof/proof.ts';
import type {HostFacts} from '../services/facts.ts';
import {lookAtHost} from '../services/look.ts';
import {readConfiguration} from '../services/read-snapshot.ts';
import {hintsFor, mtaOf} from '../services/registry.ts';
import {planSigning, type SigningChange} from '../services/signing.ts';
import type {Ports} from '../system/ports.ts';
import {preflight} from './trial.ts';

/** What a person may have said about the signer; `subdomains`: rows for them, where there are none yet. */
export type SigningAnswers = Pick<Answers, 'socket' | 'canonicalization' | 'trustedHosts' | 'otherSigner'> & {
  readonly subdomains: boolean;
};

export interface StagedChange extends SigningChange {
  /** The host as it is now: hours may have gone by since it was looked at first. */
  readonly facts: HostFacts;
}

/**
 * Looks at the host anew and says what lets the staged keys sign there. `replaces`: the selectors of the keys that retire
 * by it; every row of them moves.
 */
export async function changeFor(
  ports: Ports,
  staged: readonly StagedDomain[],
  answers: SigningAnswers,
  signal: AbortSignal,
  replaces: ReadonlyMap<DomainName, Selector> = new Map(),
): Promise<Result<StagedChange>> {
  const facts = await lookAtHost(ports, signal);
  const [blocker] = facts.blockers;
  if (blocker !== undefined) return fail(blocker);
  const snapshot = await readConfiguration(ports, facts, staged);
  const change = planSigning(facts, snapshot, {
    sign: staged.map(({domain, selector, stagedPath, sha256}) => {
      const old = replaces.get(domain);
      return {domain, selector, key: {stagedPath, sha256}, ...(old === undefined ? {} : {replaces: old})};
    }),
    settings: {
      socket: answers.socket ?? 'auto',
      canonicalization: answers.canonicalization ?? '',
      trustedHosts: answers.trustedHosts ?? [],
      subdomains: answers.subdomains,
    },
    ...(answers.otherSigner === undefined ? {} : {rivals: answers.otherSigner}),
  });
  return change.ok ? ok({...change.value, facts}) : change;
}

/** The plan with the proof that its candidate configuration signs, tried in a temporary signer. */
export async function tried(
  ports: Ports,
  plan: Plan,
  {
    facts,
    trial,
    endpoint,
    remarks,
    place,
  }: Omit<StagedChange, 'attachment' | 'switch' | 'steps' | 'keptRows'>,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Result<PlanReady>> {
  const proven: ProofReport =
    plan.steps.length === 0
      ? NOTHING_TO_PROVE
      : await preflight(ports, {
          trial,
          stateDirectory: STATE_DIRECTORY,
          domains: staged,
          steps: plan.steps,
          lookup: wantedKeys(staged),
          hints: hintsFor(mtaOf(facts)),
          signal,
        });
  const wrong = failedPreflight(proven);
  if (wrong !== undefined) return fail(wrong);
  return ok({
    plan,
    changes: changeViews(plan),
    preflight: proven,
    proven: trial.proven(),
    placed: place.map(({id}) => id),
    endpoint,
    remarks,
  });
}

/** What will be published; for a preflight before anything is. */
const wantedKeys =
  (staged: readonly StagedDomain[]): KeyLookup =>
  async name => {
    const record = staged.find(each => each.record.absoluteName === name)?.record;
    return record === undefined ? {status: 'absent'} : {status: 'found', records: [record.value]};
  };

/** Why the trial of a candidate configuration failed; undefined where it did not. */
function failedPreflight({checks}: ProofReport): Problem | undefined {
  const wrong = checks.find(({status}) => status === 'fail');
  return wrong === undefined
    ? undefined
    : problem(
        wrong.id,
        `The new configuration does not sign: ${wrong.cause || wrong.evidence}`,
        wrong.fix || 'Nothing was changed. Mend the cause and run waxseal again.',
      );
}
