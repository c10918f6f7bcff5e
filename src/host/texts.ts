/** Configuration texts, where it matters why one cannot be read. */
import {ToolError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import {decode} from '../services/reading.ts';
import type {Files} from '../system/ports.ts';

export type ReadText = Pick<Files, 'inspect'>;

export type ReadResult =
  | {readonly text: string}
  | {readonly text: undefined; readonly isMissing: boolean; readonly why: string};

/** The text of a file, links followed as a daemon does. */
export async function readText(files: ReadText, path: AbsolutePath): Promise<ReadResult> {
  try {
    const found = await files.inspect(path, {follow: true});
    if (found === undefined) return {text: undefined, isMissing: true, why: 'is missing'};
    const text = decode(found.content)?.text;
    return text === undefined ? {text, isMissing: false, why: 'is no text'} : {text};
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return {text: undefined, isMissing: false, why: 'cannot be read'};
  }
}

/** The text with its comments empty; every line keeps its number. */
export const withoutComments = (text: string): string =>
  text
    .split('\n')
    .map(line => (line.trimStart().startsWith('#') ? '' : line))
    .join('\n');
