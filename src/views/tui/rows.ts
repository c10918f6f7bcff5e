/** Text as rows of a known width, so that the height of every frame is known before it is drawn. */
import stringWidth from 'string-width';
import type {Tone} from './theme.tsx';

export interface Piece {
  readonly text: string;
  readonly tone?: Tone;
}

/** One line on the screen, no wider than what it was made for. */
export type Row = readonly Piece[];

export const BLANK: Row = [];

// Nearly all texts are plain: each character one column. With ten thousand domains the difference is seconds.
const isPlain = (text: string): boolean => /^[ -~]*$/.test(text);

export const widthOf = (text: string): number => (isPlain(text) ? text.length : stringWidth(text));

const SEGMENTER = new Intl.Segmenter('en', {granularity: 'grapheme'});

const graphemes = (text: string): readonly string[] => [...SEGMENTER.segment(text)].map(part => part.segment);

/** The longest beginning of a text that takes at most `width` columns, and the rest. */
export function splitAt(text: string, width: number): readonly [string, string] {
  if (isPlain(text)) return [text.slice(0, Math.max(0, width)), text.slice(Math.max(0, width))];
  let head = '';
  let used = 0;
  for (const character of graphemes(text)) {
    const wide = widthOf(character);
    if (used + wide > width) break;
    head += character;
    used += wide;
  }
  return [head, text.slice(head.length)];
}

/** Cuts a text to a width; what is left out is shown by the ellipsis. */
export function cut(text: string, width: number, ellipsis: string): string {
  if (widthOf(text) <= width) return text;
  const room = width - widthOf(ellipsis);
  return room <= 0 ? splitAt(text, width)[0] : splitAt(text, room)[0] + ellipsis;
}

/** Cuts or fills a text to exactly `width` columns. */
export function pad(text: string, width: number, ellipsis: string): string {
  const short = cut(text, width, ellipsis);
  return short + ' '.repeat(Math.max(0, width - widthOf(short)));
}

/** Breaks a text into lines at blanks, and within words that are longer than a line. Line feeds break, too. */
export function wrap(text: string, width: number): readonly string[] {
  const room = Math.max(1, width);
  return text.split('\n').flatMap(line => wrapLine(line, room));
}

function wrapLine(line: string, width: number): readonly string[] {
  if (widthOf(line) <= width) return [line.trimEnd()];
  const lines: string[] = [];
  let current = '';
  for (const word of line.split(' ')) {
    const joined = current === '' ? word : `${current} ${word}`;
    if (widthOf(joined) <= width) {
      current = joined;
      continue;
    }
    if (current !== '') lines.push(current);
    current = word;
    while (widthOf(current) > width) {
      const [head, rest] = splitAt(current, width);
      // A character wider than the whole line: it must go somewhere.
      const taken = head === '' ? (graphemes(current)[0] ?? current) : head;
      lines.push(taken);
      current = head === '' ? current.slice(taken.length) : rest;
    }
  }
  return [...lines, current.trimEnd()];
}

/** Breaks a text at the width only, every blank kept: for files and diffs. */
export function wrapExactly(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let rest = text;
  while (widthOf(rest) > width) {
    const [head, tail] = splitAt(rest, Math.max(1, width));
    if (head === '') break;
    lines.push(head);
    rest = tail;
  }
  return [...lines, rest];
}

/** A paragraph; with `lead` before its first line and the lines below it indented by as much. */
export function paragraph(
  text: string,
  width: number,
  options: {readonly tone?: Tone; readonly lead?: Piece} = {},
): readonly Row[] {
  const {lead, tone = 'plain'} = options;
  const indent = lead === undefined ? 0 : widthOf(lead.text);
  return wrap(text, width - indent).map((line, index): Row => {
    if (lead === undefined) return [{text: line, tone}];
    return [index === 0 ? lead : {text: ' '.repeat(indent)}, {text: line, tone}];
  });
}
