/** The outcome of proving that signing works. Ids are stable and documented (docs/reference/checks.md). */
export type CheckStatus = 'pass' | 'warn' | 'fail' | 'skip';

export interface Check {
  readonly id: string;
  readonly title: string;
  readonly status: CheckStatus;
  /** What was seen, made harmless for a terminal. */
  readonly evidence: string;
  /** Why, where it did not pass; '' otherwise. */
  readonly cause: string;
  /** What to do; '' where nothing. */
  readonly fix: string;
}

export interface ProofReport {
  readonly checks: readonly Check[];
  /** No check failed and at least one passed. */
  readonly passed: boolean;
}

/** Where a change leaves nothing that could be tried. */
export const NOTHING_TO_PROVE: ProofReport = {checks: [], passed: true};
