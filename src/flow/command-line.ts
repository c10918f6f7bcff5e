/** The command that does the same again. */
import {command} from '../domain/command.ts';
import type {QuestionId} from './answers.ts';
import {QUESTION_ORDER, questionOf} from './questions.ts';
import type {State} from './state.ts';

/** A duration as `--wait` takes it, in the largest unit that is exact. */
function durationText(ms: number): string {
  if (ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/**
 * The words for one answer. The list of domains stands for the domains in it, as long as all of them are still meant.
 * Domains keep the selectors of the keys they have by themselves; naming the common one would mean it for all.
 */
function argvOf({mode, answers}: State, id: QuestionId): readonly string[] {
  const {domainsFile} = mode;
  const {domains = [], selectors} = answers;
  const listed = new Set(domainsFile?.list.domains);
  const isWhole = domainsFile !== undefined && [...listed].every(domain => domains.includes(domain));
  if (id === 'domains' && isWhole) {
    const others = domains.filter(domain => !listed.has(domain));
    return ['--domains-file', domainsFile.path, ...others.flatMap(domain => ['--domain', domain])];
  }
  if (id === 'selector') {
    const keeps = domains.some(
      domain => selectors?.has(domain) === true && !(isWhole && domainsFile.list.selectors.has(domain)),
    );
    if (keeps || domains.every(domain => selectors?.has(domain) === true)) return [];
  }
  return questionOf(id).argvIn(answers);
}

/**
 * One command line that gives the same answers without being asked; it can be pasted into a shell. `--yes` stands in it
 * where the user has agreed to the plan, by the flag or at the plan screen.
 */
export function commandLine(state: State): string {
  const {mode} = state;
  const argv = [
    mode.command,
    ...QUESTION_ORDER.flatMap(id => argvOf(state, id)),
    ...(mode.waitMs === undefined
      ? []
      : mode.waitMs === 0
        ? ['--no-wait']
        : ['--wait', durationText(mode.waitMs)]),
    ...(state.resolverOnly ? ['--resolver-only'] : []),
    ...(mode.yes || state.result?.applied === true ? ['--yes'] : []),
  ];
  return command('waxseal', ...argv.filter(word => word !== ''));
}
