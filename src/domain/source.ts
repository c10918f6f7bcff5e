/** Where a fact about the host stands, so that whoever reads an answer can look it up. */

import type {AbsolutePath} from './paths.ts';
import {visible} from './text.ts';

export type Source =
  /** A line of a file; lines count from 1, and a value over several lines is named by its first. */
  | {readonly by: 'file'; readonly path: AbsolutePath; readonly line: number}
  /** What a command printed: its words as they were run. */
  | {readonly by: 'command'; readonly argv: readonly string[]}
  /** What a program of this name and version does where nothing is set. */
  | {readonly by: 'default'; readonly program: string};

/** One reason on the way to an answer, in the order in which the program decides. */
export interface Decision {
  /** Parameter, option or row as it is written: `*@example.org`. Foreign text is made harmless. */
  readonly name: string;
  /** Its value as far as it matters here, made harmless. */
  readonly value: string;
  readonly source: Source;
  /** What follows from it, as a sentence in the user's words. */
  readonly says: string;
}

/** Where to look a fact up, as the file and its line, the command that was run, or the program whose default it is. */
export function sourceText(source: Source): string {
  switch (source.by) {
    case 'file':
      return visible(`${source.path} line ${source.line}`);
    case 'command':
      return visible(source.argv.join(' '));
    case 'default':
      return visible(`default of ${source.program}`);
  }
}
