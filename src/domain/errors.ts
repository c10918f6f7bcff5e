import type {Problem} from './result.ts';

/** Exit codes of the program; the table is in docs/reference/exit-codes.md. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 130 | 143;

/**
 * Base of every error that a person can act on. Who must act is said by the class, what to do by `hint`.
 * Anything else that reaches the top is a fault in waxseal (exit 1).
 */
export abstract class ToolError extends Error {
  abstract readonly exitCode: ExitCode;
  readonly id: string;
  readonly hint: string;

  constructor(problem: Problem, options?: {readonly cause?: unknown}) {
    super(problem.message, options);
    this.name = new.target.name;
    this.id = problem.id;
    this.hint = problem.hint;
  }
}

/** The command line or an answer is wrong: the user must act. The hint names the flag. */
export class UsageError extends ToolError {
  readonly exitCode = 2;
}

/** The record is not on every authoritative server yet; state is kept and the same command goes on later. */
export class PendingError extends ToolError {
  readonly exitCode = 3;
}

/** `check`, `test`, `verify` found something wrong with the host, the record or the message. */
export class ProblemsFound extends ToolError {
  readonly exitCode = 4;
}

/** The host lacks something: not root, no MTA, an unsupported signer. */
export class HostError extends ToolError {
  readonly exitCode = 5;
}

/** A change failed and everything was put back. */
export class ChangeFailed extends ToolError {
  readonly exitCode = 6;
}

/** A change failed and could not be put back whole; `remains` names each thing left, with the command to mend it. */
export class RollbackIncomplete extends ToolError {
  readonly exitCode = 7;
  readonly remains: readonly string[];

  constructor(problem: Problem, remains: readonly string[], options?: {readonly cause?: unknown}) {
    super(problem, options);
    this.remains = remains;
  }
}

/** Another run holds the lock. */
export class LockHeld extends ToolError {
  readonly exitCode = 8;
}

/** The user said no. */
export class Declined extends ToolError {
  readonly exitCode = 9;
}

/** Ended by a signal or by Ctrl-C, after clean-up. */
export class Interrupted extends ToolError {
  readonly exitCode: 130 | 143;

  constructor(problem: Problem, exitCode: 130 | 143 = 130) {
    super(problem);
    this.exitCode = exitCode;
  }
}

/** A command that was run did not do its job; keeps what a person needs to see why. */
export class CommandFailed extends ToolError {
  readonly exitCode = 6;
  readonly argv: readonly string[];
  readonly status: number | null;
  /** The last lines of its standard error, control characters made visible. */
  readonly stderr: string;

  constructor(problem: Problem, detail: {argv: readonly string[]; status: number | null; stderr: string}) {
    super(problem);
    this.argv = detail.argv;
    this.status = detail.status;
    this.stderr = detail.stderr;
  }
}
