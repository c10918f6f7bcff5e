import {type ExitCode, RollbackIncomplete, ToolError} from '../domain/errors.ts';
import {visible} from '../domain/text.ts';
import {type Report, reportOf} from '../flow/report.ts';

/** What an error of any kind means for the exit code and for the person. */
export interface Failure {
  readonly exitCode: ExitCode;
  readonly id: string;
  readonly message: string;
  readonly hint: string;
  readonly remains: readonly string[];
}

/** Anything that is no ToolError is a fault in waxseal itself: exit 1, with what a report of it needs. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ToolError) {
    return {
      exitCode: error.exitCode,
      id: error.id,
      message: visible(error.message),
      hint: visible(error.hint),
      remains: error instanceof RollbackIncomplete ? error.remains.map(line => visible(line)) : [],
    };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    exitCode: 1,
    id: 'fault',
    message: `A fault in waxseal: ${visible(text, {lines: true})}`,
    hint: 'Please report it with the lines above. Nothing more was done after it.',
    remains: [],
  };
}

export const failureText = (failure: Failure): string =>
  [
    `error: ${failure.message}`,
    ...failure.remains.map(line => `remains: ${line}`),
    ...(failure.hint === '' ? [] : [`hint: ${failure.hint}`]),
    '',
  ].join('\n');

/** The report of a command that ended in an error before it had more to say. */
export const failureReport = (command: string, failure: Failure): Report =>
  reportOf(command, {
    exitCode: failure.exitCode,
    error: {
      id: failure.id,
      message: failure.message,
      hint: [failure.hint, ...failure.remains.map(line => `Remains: ${line}`)].join(' ').trim(),
    },
  });
