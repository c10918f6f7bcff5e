/** One change of the host as a job makes it: shown, agreed to, applied and proven. */
import {ChangeFailed} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {
  type ApplyEvent,
  type ApplyHooks,
  type ApplyOutcome,
  applyPlan,
  type ChangeView,
  changeViews,
  type LeftStep,
  type Plan,
} from '../plan/index.ts';
import {NOTHING_TO_PROVE, type ProofReport} from '../proof/proof.ts';
import type {Ports} from '../system/ports.ts';

/** How a job speaks with who started it. */
export interface Dialog {
  /** Nothing is to be done: what would be done is all that is asked for. */
  readonly dryRun: boolean;
  /** Shows what will be done: the changes, and what goes beyond the files of this host. */
  show(changes: readonly ChangeView[], further: readonly string[]): void;
  /**
   * Rejects with Declined where the answer is no. Others may work on the host while a person is asked: then `isSame` is
   * asked after the answer, and ChangeFailed `plan.stale` says that what was shown is not what would be done.
   */
  agree(question: string, isSame: () => Promise<boolean>): Promise<void>;
  /** A line of progress. */
  say(line: string): void;
}

/** What a job gives back that made no change: it was a dry run. */
export interface Shown {
  readonly result: 'shown';
  readonly changes: readonly ChangeView[];
  readonly further: readonly string[];
}

interface Applied {
  readonly result: 'applied';
  readonly changes: readonly ChangeView[];
  readonly proof: ProofReport;
}

interface Proposal {
  readonly plan: Plan;
  /** What goes beyond the files of this host; a line each. */
  readonly further: readonly string[];
  readonly question: string;
  /** Whether it would still be proposed; what its files were is checked in any case. */
  readonly isSame: () => Promise<boolean>;
}

/**
 * Shows `plan`, asks, and applies it. A plan without steps is shown and agreed to all the same: something else may hang
 * on it. Rejects with Declined, or with the error of the plan where the host was put back.
 *
 * @param hooks made after the agreement and before the first step: what must be known of the host as it was
 */
export async function runChange(
  ports: Ports,
  dialog: Dialog,
  {plan, further, question, isSame}: Proposal,
  hooks: () => Promise<ApplyHooks>,
  signal: AbortSignal,
): Promise<Shown | Applied> {
  const changes = changeViews(plan);
  if (dialog.dryRun) return {result: 'shown', changes, further};
  dialog.show(changes, further);
  await dialog.agree(question, isSame);
  if (plan.steps.length === 0) return {result: 'applied', changes, proof: NOTHING_TO_PROVE};
  const outcome = await applyPlan(ports, plan, await hooks(), sayUndone(dialog), signal);
  if (outcome.result === 'applied') return {result: 'applied', changes, proof: outcome.proof};
  throw outcome.result === 'nothing'
    ? new ChangeFailed(problem('plan.nothing', 'Nothing was changed.', ''))
    : outcome.error;
}

/** Names each step that was put back. */
export const sayUndone =
  ({say}: Pick<Dialog, 'say'>) =>
  (event: ApplyEvent): void => {
    if (event.type === 'step-undone') say(`put back: ${visible(event.step)}`);
  };

/** Applies a change of which nothing shows on the mail. */
export const applyUnproven = (
  ports: Ports,
  plan: Plan,
  hooks: Omit<ApplyHooks, 'proof'>,
  emit: (event: ApplyEvent) => void,
  signal: AbortSignal,
): Promise<ApplyOutcome> =>
  applyPlan(
    ports,
    plan,
    {...hooks, proof: async () => NOTHING_TO_PROVE},
    event => {
      if (event.type !== 'proof-started' && event.type !== 'proof-done') emit(event);
    },
    signal,
  );

/** What was left of a change that is done now, or was before; throws the error of one that was not. */
export function leftOf(outcome: ApplyOutcome): readonly LeftStep[] {
  if (outcome.result === 'applied') return outcome.left ?? [];
  if (outcome.result === 'nothing') return [];
  throw outcome.error;
}
