import {diff3Merge} from 'node-diff3';
import {linesWithEnds} from '../domain/scan.ts';

export interface Merge {
  readonly text: string;
  /** Places where both sides changed the same lines; each is marked in the text. */
  readonly conflicts: number;
}

const OURS = '<<<<<<< as it was before the run';
const MIDDLE = '=======';
const THEIRS = '>>>>>>> as it is now';

/**
 * Three-way merge of one configuration file (as diff3 -m): what was edited since the run left `written`, put into the
 * text from before the run. Where both changed the same lines, both are kept between marks.
 */
export function mergeEdits(before: string, written: string, now: string): Merge {
  const [old, base, edited] = [before, written, now].map(linesWithEnds);
  let conflicts = 0;
  const lines = diff3Merge(old ?? [], base ?? [], edited ?? [], {excludeFalseConflicts: true}).flatMap(
    region => {
      if (region.conflict === undefined) return region.ok ?? [];
      conflicts += 1;
      return [
        `${OURS}\n`,
        ...ended(region.conflict.a),
        `${MIDDLE}\n`,
        ...ended(region.conflict.b),
        `${THEIRS}\n`,
      ];
    },
  );
  return {text: lines.join(''), conflicts};
}

/** True while a merge has places that nobody has decided. */
export const hasConflictMarks = (text: string): boolean =>
  text.split('\n').some(line => line === OURS || line === THEIRS);

/** A mark stands on a line of its own, also after a last line without an end. */
const ended = (lines: readonly string[]): readonly string[] =>
  lines.map((line, at) => (at === lines.length - 1 && !line.endsWith('\n') ? `${line}\n` : line));
