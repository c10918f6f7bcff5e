import {command} from '../domain/command.ts';
import {CommandFailed} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {trimEndOf} from '../domain/scan.ts';
import {visible, withoutPassword} from '../domain/text.ts';
import type {Argv, CommandResult} from '../system/ports.ts';

const LAST_LINES = 20;
const MOST_CHARACTERS = 300;

/** A command that did not do its job, as an error that shows why: how it ended and its last lines. */
export function commandFailed(id: string, argv: Argv, result: CommandResult, hint?: string): CommandFailed {
  const line = visible(argv.join(' '));
  const said = result.stderr.trim() === '' ? result.stdout : result.stderr;
  const lines = withoutPassword(said).trim().split('\n').slice(-LAST_LINES);
  const stderr = visible(lines.join('\n'), {lines: true});
  // Its last line is the reason, as a rule; the others go before it.
  const why = trimEndOf(visible((lines.at(-1) ?? '').trim().slice(0, MOST_CHARACTERS)), '.:;');
  const message = `${line} ${endOf(result)}${why === '' ? '' : `: ${why}`}.`;
  return new CommandFailed(problem(id, message, hint ?? `Run it yourself: ${command(...argv)}`), {
    argv,
    status: result.status,
    stderr,
  });
}

function endOf(result: CommandResult): string {
  switch (result.ended) {
    case 'exit':
      return `ended with status ${result.status}`;
    case 'signal':
      return 'was ended by a signal';
    case 'timeout':
      return 'did not end in time';
    case 'missing':
      return 'cannot be run: there is no such program';
  }
}
