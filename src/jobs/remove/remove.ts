/** Stops signing for domains; their records stay until no mail needs them any more. */
import {isDeepStrictEqual} from 'node:util';
import {proveUnsigned} from '../../doctor/removal.ts';
import {HostError, UsageError} from '../../domain/errors.ts';
import type {DomainName} from '../../domain/names.ts';
import {problem} from '../../domain/result.ts';
import {listed, visible} from '../../domain/text.ts';
import {type ApplyHooks, changeViews, makePlan} from '../../plan/index.ts';
import type {ChangeView, Plan} from '../../plan/plan.ts';
import {withCheck} from '../../proof/finding.ts';
import {type Check, NOTHING_TO_PROVE} from '../../proof/proof.ts';
import {isComing, type KeyEntry, type RotationState} from '../../rotation/index.ts';
import {type HostFacts, milterEndpoint} from '../../services/facts.ts';
import {lookAtHost} from '../../services/look.ts';
import {readConfiguration} from '../../services/read-snapshot.ts';
import {SIGNER} from '../../services/registry.ts';
import {planChange} from '../../services/signing.ts';
import {watchful} from '../../services/stopped.ts';
import type {Ports} from '../../system/ports.ts';
import {beforeChange, comparedNow, milterReadiness} from '../change.ts';
import {readKeys, recordStopped} from '../key-book.ts';
import {type Dialog, runChange, type Shown} from '../run-change.ts';
import {type RecordOptions, recordLines} from './records.ts';

export type Removal =
  | Shown
  | {
      /** `nothing`: none of them signs here; `given-up`: keys on their way were dropped, and no file had to change. */
      readonly result: 'nothing' | 'given-up' | 'removed';
      readonly changes: readonly ChangeView[];
      readonly checks: readonly Check[];
      /** True where other domains are signed here still. */
      readonly othersSign: boolean;
    };

interface PlannedRemoval {
  readonly facts: HostFacts;
  readonly plan: Plan;
  /** Keys that sign now. */
  readonly keys: readonly KeyEntry[];
  readonly coming: readonly KeyEntry[];
  /** What is done beyond the files of this host. */
  readonly further: readonly string[];
}

/**
 * Removes `domains` from the tables, and proves that their mail is left alone. Their records stay. The lock is the
 * caller's. Rejects with UsageError `domain.unknown`, HostError, Declined, or the error of the plan.
 */
export async function removeSigning(
  ports: Ports,
  dialog: Dialog,
  domains: readonly DomainName[],
  options: RecordOptions,
  signal: AbortSignal,
): Promise<Removal> {
  const planned = await planRemoving(ports, domains, options, signal);
  const {facts, plan, keys, coming, further} = planned;
  const wanted = new Set<string>(domains);
  const othersSign = (facts.signer?.signedDomains ?? []).some(name => !wanted.has(name.toLowerCase()));
  if (plan.steps.length === 0 && coming.length === 0) {
    return {result: 'nothing', changes: [], checks: [], othersSign};
  }
  const question = `Stop signing for ${listed(domains)}?`;
  const isSame = async (): Promise<boolean> => {
    const now = await planRemoving(ports, domains, options, signal);
    return isDeepStrictEqual([changeViews(now.plan), now.further], [changeViews(plan), further]);
  };
  const done = await runChange(
    ports,
    dialog,
    {plan, further, question, isSame},
    () => removalHooks(ports, facts, plan, domains, signal),
    signal,
  );
  if (done.result === 'shown') return done;
  if (plan.steps.length > 0) await recordStopped(ports, keys, plan.id);
  return {
    result: plan.steps.length === 0 ? 'given-up' : 'removed',
    changes: done.changes,
    checks: done.proof.checks,
    othersSign,
  };
}

async function planRemoving(
  ports: Ports,
  domains: readonly DomainName[],
  options: RecordOptions,
  signal: AbortSignal,
): Promise<PlannedRemoval> {
  const facts = await lookAtHost(ports, signal);
  const [blocker] = facts.blockers;
  if (blocker !== undefined) throw new HostError(blocker);
  const state = await readKeys(ports);
  mustBeKnown(domains, state, facts);
  const wanted = new Set<string>(domains);
  const own = state.keys.filter(key => wanted.has(key.domain));
  const keys = own.filter(key => key.state === 'active');
  // What is on its way for them has nowhere to go any more.
  const coming = own.filter(isComing);
  const change = planChange(facts, await readConfiguration(ports, facts, keys), {stop: domains});
  if (!change.ok) throw new HostError(change.problem);
  const plan = makePlan({
    purpose: 'remove',
    title: `No DKIM for ${listed(domains)}`,
    domains: keys.map(({domain, selector}) => ({domain, selector})),
    steps: change.value.steps,
    ...ports,
  });
  const further = [...coming.map(comingLine), ...recordLines(state, domains, options)];
  return {facts, plan, keys, coming, further};
}

/** A name that nobody here knows is a mistake in typing: nothing is done for the others either. */
function mustBeKnown(domains: readonly DomainName[], state: RotationState, facts: HostFacts): void {
  const {signer} = facts;
  const signed = [...(signer?.signedDomains ?? []), ...(signer?.keys ?? []).map(({domain}) => domain)];
  const known = new Set<string>([
    ...state.keys.map(({domain}) => domain),
    ...signed.map(name => name.toLowerCase()),
  ]);
  const unknown = domains.filter(domain => !known.has(domain));
  if (unknown.length === 0) return;
  const names = [...known].filter(name => name.includes('.')).sort();
  throw new UsageError(
    problem(
      'domain.unknown',
      `${listed(unknown)} ${unknown.length === 1 ? 'is' : 'are'} not known on this host; nothing was changed.`,
      names.length === 0
        ? 'No domain is signed here; waxseal status shows what there is.'
        : `Known are: ${visible(listed(names))}. waxseal status shows them all.`,
    ),
  );
}

const comingLine = ({domain, selector}: KeyEntry): string =>
  `give up  ${selector}._domainkey.${domain}, which was on its way and does not sign yet`;

/** The proof that the signer leaves the mail of `domains` alone, and that of nobody else. */
async function removalHooks(
  ports: Ports,
  facts: HostFacts,
  plan: Plan,
  domains: readonly DomainName[],
  signal: AbortSignal,
): Promise<ApplyHooks> {
  const {signer} = facts;
  const endpoint = milterEndpoint(signer);
  const before = await beforeChange(ports, plan, signal);
  const meant = domains.map(domain => ({domain, selector: undefined}));
  return {
    proof: async () => {
      if (signer === undefined || endpoint === undefined) return NOTHING_TO_PROVE;
      const {logTag} = SIGNER.words;
      const watching = watchful(ports, {unit: signer.unit, logTag});
      const unsigned = await proveUnsigned(watching, {endpoint, logTag}, domains, signal);
      if (!unsigned.passed || before === undefined) return unsigned;
      return withCheck(unsigned, await comparedNow(ports, {before, meant}, signal));
    },
    ready: milterReadiness(ports),
  };
}
