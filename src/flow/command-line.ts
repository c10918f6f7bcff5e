/** The command that does the same again. */
import {QUESTION_ORDER, questionOf} from './questions.ts';
import type {State} from './state.ts';

/** Quotes a word for a POSIX shell where it needs it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** A duration as `--wait` takes it, in the largest unit that is exact. */
function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/**
 * One command line that gives the same answers without being asked; it can be pasted into a shell. `--yes` stands in it
 * where the user has agreed to the plan, by the flag or at the plan screen.
 */
export function commandLine(state: State): string {
  const {mode, answers} = state;
  const argv = [
    'waxseal',
    mode.command,
    ...QUESTION_ORDER.flatMap(id => questionOf(id).argvIn(answers)),
    ...(mode.waitMs === undefined
      ? []
      : mode.waitMs === 0
        ? ['--no-wait']
        : ['--wait', durationText(mode.waitMs)]),
    ...(mode.yes || state.result?.applied === true ? ['--yes'] : []),
  ];
  return argv
    .filter(word => word !== '')
    .map(quoted)
    .join(' ');
}
