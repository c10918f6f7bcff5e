import {CommandFailed} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Argv, CommandResult} from '../system/ports.ts';

const LAST_LINES = 20;

/** A command that did not do its job, as an error that shows why: how it ended and its last lines. */
export function commandFailed(id: string, argv: Argv, result: CommandResult, hint?: string): CommandFailed {
  const line = visible(argv.join(' '));
  const said = result.stderr.trim() === '' ? result.stdout : result.stderr;
  const stderr = visible(said.trim().split('\n').slice(-LAST_LINES).join('\n'), {lines: true});
  return new CommandFailed(problem(id, `${line} ${endOf(result)}.`, hint ?? `Run it by hand: ${line}`), {
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
