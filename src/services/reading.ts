/** Reading of the host that never fails on what is merely not readable: a look must end with facts, not with an error. */
import {ToolError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Files} from '../system/ports.ts';

/** A configuration text. `latin1`: not UTF-8; each character stands for one octet, so that every octet can be put back. */
export interface DecodedText {
  readonly text: string;
  readonly encoding?: 'latin1';
}

/**
 * The text of a configuration file. Where the octets are not UTF-8 (an old comment in Latin-1), every octet becomes one
 * character: what matters to the daemons is ASCII, and the rest is never looked at. Undefined for a file with NUL
 * octets: that is no text.
 */
export function decode(content: Uint8Array): DecodedText | undefined {
  if (content.includes(0)) return undefined;
  try {
    return {text: new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(content)};
  } catch {
    return {text: Buffer.from(content).toString('latin1'), encoding: 'latin1'};
  }
}

/** Octets of a file; undefined where it is missing or may not be read. */
export async function tryRead(
  files: Pick<Files, 'read'>,
  path: AbsolutePath,
): Promise<Uint8Array | undefined> {
  try {
    return await files.read(path);
  } catch (error) {
    if (error instanceof ToolError) return undefined;
    throw error;
  }
}

/** Text of a file as `decode` gives it: '' for a file that is no text, undefined where it is missing or may not be read. */
export async function tryReadText(
  files: Pick<Files, 'read'>,
  path: AbsolutePath,
): Promise<string | undefined> {
  const content = await tryRead(files, path);
  return content === undefined ? undefined : (decode(content)?.text ?? '');
}

/** Runs `work` over `items`, at most `width` at a time; results in order. */
export async function eachOf<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array<R>(items.length);
  const queue = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({length: Math.min(width, items.length)}, worker));
  return results;
}

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

/** The text with lines of comment empty; every line keeps its number. */
export const withoutComments = (text: string): string =>
  text
    .split('\n')
    .map(line => (line.trimStart().startsWith('#') ? '' : line))
    .join('\n');
