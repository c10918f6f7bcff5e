/** Lines of the session as text: a status word first, so that nothing is said by colour or place alone. */
import {visible} from '../../domain/text.ts';
import {isWish} from '../../flow/ending.ts';
import type {Report} from '../../flow/report.ts';
import type {Line} from '../../flow/state.ts';

const WORDS: Readonly<Record<Line['kind'], string>> = {
  info: '',
  ok: 'ok: ',
  warn: 'warning: ',
  error: 'error: ',
  // Nothing may stand beside a record: it is copied whole.
  record: '',
};

export const lineText = (line: Line): string => `${WORDS[line.kind]}${line.text}\n`;

/** How the run ended, where it did not end well; '' otherwise. For standard error. */
export function endText({error, exitCode}: Report): string {
  if (error === null) return '';
  const word = isWish(error.id) ? '' : exitCode === 3 ? 'pending: ' : 'error: ';
  const hint = error.hint === '' ? '' : `hint: ${visible(error.hint)}\n`;
  return `${word}${visible(error.message)}\n${hint}`;
}

/** A diff or another text of several lines, harmless for a terminal. */
export const blockText = (text: string): string => {
  const clean = visible(text.replaceAll('\t', '    '), {lines: true});
  return clean === '' || clean.endsWith('\n') ? clean : `${clean}\n`;
};
