/** Reading of the host that never fails on what is merely not readable: a look must end with facts, not with an error. */
import {ToolError} from '../domain/errors.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Files} from '../system/ports.ts';

/** UTF-8 text, or undefined where the octets are not UTF-8: rewriting such a file would damage it. */
export function decode(content: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(content);
  } catch {
    return undefined;
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

/** Text of a file, wrong octets replaced: for reading only, never for writing back. */
export async function tryReadText(
  files: Pick<Files, 'read'>,
  path: AbsolutePath,
): Promise<string | undefined> {
  const content = await tryRead(files, path);
  return content === undefined ? undefined : new TextDecoder('utf-8').decode(content);
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
