/**
 * What went wrong with an input, in a form that every view can show.
 * `message` is one sentence without blame; `hint` says what to do next and may be pasted where it is a command.
 */
export interface Problem {
  /** Stable, lower-case, dotted: `domain.syntax`, `selector.taken`. Never reused for another meaning. */
  readonly id: string;
  readonly message: string;
  readonly hint: string;
}

/** A value or the reason why there is none. Parsers return this; they never throw for bad input. */
export type Result<T, P = Problem> =
  | {readonly ok: true; readonly value: T}
  | {readonly ok: false; readonly problem: P};

export const ok = <T>(value: T): {readonly ok: true; readonly value: T} => ({ok: true, value});

export const fail = <P>(problem: P): {readonly ok: false; readonly problem: P} => ({ok: false, problem});

export const problem = (id: string, message: string, hint: string): Problem => ({id, message, hint});
