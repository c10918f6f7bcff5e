/** Words and tones of statuses; the word is what counts, colour and symbol only help to find it. */
import type {ServerStatus} from '../../dns/survey.ts';
import type {Problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {Check, CheckStatus} from '../../proof/proof.ts';
import {paragraph, type Row} from './rows.ts';
import type {Symbols, Theme, Tone} from './theme.tsx';

export interface Mark {
  readonly symbol: keyof Symbols;
  readonly tone: Tone;
}

const GOOD: Mark = {symbol: 'ok', tone: 'ok'};
const WAITING: Mark = {symbol: 'waiting', tone: 'muted'};
const ODD: Mark = {symbol: 'warn', tone: 'warn'};
const BAD: Mark = {symbol: 'error', tone: 'error'};

export const SERVER_MARKS: Readonly<Record<ServerStatus, Mark>> = {
  asking: WAITING,
  matching: GOOD,
  absent: WAITING,
  wrong: BAD,
  several: BAD,
  timeout: ODD,
  refused: ODD,
  lame: ODD,
  unreachable: ODD,
};

const CHECK_MARKS: Readonly<Record<CheckStatus, Mark & {readonly word: string}>> = {
  pass: {...GOOD, word: 'ok'},
  warn: {...ODD, word: 'warning'},
  fail: {...BAD, word: 'failed'},
  skip: {...WAITING, word: 'skipped'},
};

/** A status and a text beside it, the text's further lines under its first. */
export function statusRows(
  mark: Mark,
  word: string,
  text: string,
  width: number,
  {symbols}: Theme,
): readonly Row[] {
  const lead = {text: `${symbols[mark.symbol]} ${word.padEnd(8)} `, tone: mark.tone};
  return paragraph(visible(text), width, {lead});
}

/** What went wrong and what to do. */
export function problemRows(problem: Problem, width: number, theme: Theme, mark: Mark = BAD): readonly Row[] {
  const {symbols} = theme;
  return [
    ...paragraph(visible(problem.message), width, {
      lead: {text: `${symbols[mark.symbol]} `, tone: mark.tone},
      tone: mark.tone,
    }),
    ...(problem.hint === ''
      ? []
      : paragraph(visible(problem.hint), width, {lead: {text: '  hint: ', tone: 'muted'}})),
  ];
}

export const remarkRows = (remarks: readonly Problem[], width: number, theme: Theme): readonly Row[] =>
  remarks.flatMap(remark => problemRows(remark, width, theme, ODD));

/** A check with what was seen; cause and fix where something is wrong. */
export function checkRows(check: Check, width: number, theme: Theme): readonly Row[] {
  const {word, ...mark} = CHECK_MARKS[check.status];
  const detail = (lead: string, text: string): readonly Row[] =>
    text === ''
      ? []
      : paragraph(visible(text), width, {lead: {text: `  ${lead} `, tone: 'muted'}, tone: 'muted'});
  const troubled = check.status === 'fail' || check.status === 'warn';
  return [
    ...statusRows(mark, word, check.title, width, theme),
    ...detail('seen:', check.evidence),
    ...(troubled ? detail('cause:', check.cause) : []),
    ...(troubled ? detail('hint:', check.fix) : []),
  ];
}
