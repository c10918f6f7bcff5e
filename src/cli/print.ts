/** How a command that is no wizard tells its outcome: one JSON document, or lines for a person. */
import type {ExitCode} from '../domain/errors.ts';
import {visible} from '../domain/text.ts';
import {type Outcome, reportOf} from '../flow/report.ts';
import type {ChangeView} from '../plan/plan.ts';
import type {Check} from '../proof/proof.ts';
import {isSet} from './arguments.ts';
import type {Context} from './context.ts';
import {writeOut} from './write-out.ts';

/** Prints the document or the lines, and gives the exit code back. */
export async function tell(context: Context, outcome: Outcome, lines: readonly string[]): Promise<ExitCode> {
  const json = isSet(context.flags, 'json');
  const text = json ? JSON.stringify(reportOf(context.command, outcome)) : lines.join('\n');
  if (text !== '') await writeOut(context.streams.stdout, `${text}\n`);
  return outcome.exitCode;
}

const WORD = {pass: 'ok  ', warn: 'warn', fail: 'FAIL', skip: 'skip'} as const;

/** A check in lines: the word first, so that colour is never needed. */
export function checkLines(check: Check): readonly string[] {
  return [
    `${WORD[check.status]}  ${visible(check.title)}: ${visible(check.evidence)}`,
    ...(check.cause === '' ? [] : [`      cause: ${visible(check.cause)}`]),
    ...(check.fix === '' ? [] : [`      fix:   ${visible(check.fix)}`]),
  ];
}

/** Advice under its own heading: none of it is a problem of DKIM. */
export const adviceLines = (advice: readonly Check[]): readonly string[] =>
  advice.length === 0 ? [] : ['', 'Advice beside DKIM:', ...advice.flatMap(checkLines)];

/** A change in lines: what is done to what, then its diff. */
export const changeLines = ({target, action, diff}: ChangeView): readonly string[] => [
  `${visible(action)}  ${visible(target)}`,
  ...(diff === '' ? [] : [visible(diff, {lines: true})]),
];
