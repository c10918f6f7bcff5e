/** From the path in a row to the key behind it, as the daemon would read it: links resolved, whatever they lead to. */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {privateFingerprint} from '../keys/index.ts';
import {filledPaths} from '../services/filled-paths.ts';
import type {FileStat, Files} from '../system/ports.ts';
import type {RowKey} from './key-uses.ts';

/** No private key is longer. */
const MOST_OCTETS = 65_536;

export type KeyFiles = Pick<Files, 'inspect' | 'list' | 'resolve'>;

export interface KeyReader {
  /**
   * The keys behind a path of a configuration. Parts that a daemon fills in (`%`, `$domain`, `$selector`) match any
   * text without a slash: then every file that is there counts.
   */
  read(text: string, placeholders?: RegExp): Promise<readonly RowKey[]>;
}

/** @param seen fingerprints of files that were read before, by what they were then; may be kept for one run */
export function createKeyReader(files: KeyFiles, seen = new Map<string, RowKey>()): KeyReader {
  const byPath = new Map<string, Promise<RowKey>>();
  const once = (path: AbsolutePath): Promise<RowKey> => {
    const before = byPath.get(path) ?? readFile(files, path, seen);
    byPath.set(path, before);
    return before;
  };
  return {
    async read(text, placeholders) {
      if (text.split('/').includes('..')) return [unknown('leads upward ("..")')];
      const path = parseAbsolutePath(text);
      if (!path.ok) return [unknown('is no absolute path')];
      if (placeholders?.test(text) !== true) return [await once(path.value)];
      const paths = await filledPaths(files, path.value, placeholders);
      return await Promise.all(paths.map(once));
    },
  };
}

export const unknown = (why: string): RowKey => ({known: false, why});

async function readFile(files: KeyFiles, path: AbsolutePath, seen: Map<string, RowKey>): Promise<RowKey> {
  try {
    const found = await files.inspect(path, {follow: true});
    if (found === undefined) return unknown(`names ${path}, which is missing`);
    const {content, stat} = found;
    const mark = markOf(path, stat);
    const before = seen.get(mark);
    if (before !== undefined) return before;
    const fingerprint = content.length > MOST_OCTETS ? undefined : privateFingerprint(content);
    const key: RowKey =
      fingerprint === undefined
        ? unknown(`names ${path}, which holds no private key that can be read`)
        : {known: true, fingerprint};
    seen.set(mark, key);
    return key;
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return unknown(`names ${path}, which cannot be read`);
  }
}

const markOf = (path: AbsolutePath, {device, inode, size, modifiedMs}: FileStat): string =>
  `${path} ${device} ${inode} ${size} ${modifiedMs}`;
