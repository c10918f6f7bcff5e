/** Which face of the program a run gets. */
export type ViewName = 'tui' | 'plain' | 'json';

export interface Surroundings {
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  readonly term: string | undefined;
  readonly ci: boolean;
}

export interface ChosenView {
  readonly view: ViewName;
  /** True where questions can be asked. */
  readonly interactive: boolean;
}

/**
 * Ink only where both ends are a terminal that can move its cursor: elsewhere it writes erase sequences and every
 * frame into pipes and logs, and throws without a terminal on stdin (STYLE H6, H19).
 */
export function chooseView(
  flags: {readonly json: boolean; readonly plain: boolean; readonly noInput: boolean},
  around: Surroundings,
): ChosenView {
  const terminal = around.stdinIsTerminal && around.stdoutIsTerminal;
  const interactive = terminal && !flags.noInput && !around.ci;
  if (flags.json) return {view: 'json', interactive: false};
  if (!interactive) return {view: 'plain', interactive: false};
  if (flags.plain || around.term === 'dumb' || around.term === undefined)
    return {view: 'plain', interactive: true};
  return {view: 'tui', interactive: true};
}
