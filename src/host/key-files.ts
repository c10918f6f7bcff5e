/** From the path in a row to the key behind it, as the daemon would read it: links resolved, whatever they lead to. */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below, parseAbsolutePath} from '../domain/paths.ts';
import {privateFingerprint} from '../keys/index.ts';
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
      const paths = await matching(files, path.value, placeholders);
      return await Promise.all(paths.map(once));
    },
  };
}

export const unknown = (why: string): RowKey => ({known: false, why});

async function readFile(files: KeyFiles, path: AbsolutePath, seen: Map<string, RowKey>): Promise<RowKey> {
  try {
    const real = await files.resolve(path);
    const found = real === undefined ? undefined : await files.inspect(real);
    if (real === undefined || found === undefined) return unknown(`names ${path}, which is missing`);
    const {content, stat} = found;
    const mark = markOf(real, stat);
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

/** Every path that a pattern with placeholders may stand for now. */
async function matching(
  files: KeyFiles,
  pattern: AbsolutePath,
  placeholders: RegExp,
): Promise<readonly AbsolutePath[]> {
  let found: readonly AbsolutePath[] = ['/' as AbsolutePath];
  for (const part of pattern.split('/').filter(Boolean)) {
    if (!placeholders.test(part)) {
      found = found.map(directory => below(directory, part));
      continue;
    }
    const literal = part.split(placeholders);
    const next: AbsolutePath[] = [];
    for (const directory of found) {
      const names = await files.list(directory).catch(() => undefined);
      for (const name of names ?? []) if (isFilledIn(name, literal)) next.push(below(directory, name));
    }
    found = next;
  }
  const there = await Promise.all(found.map(path => files.resolve(path).catch(() => path)));
  return found.filter((_, at) => there[at] !== undefined);
}

/** True where a name is the literal parts in their order, with any text between them. */
function isFilledIn(name: string, literal: readonly string[]): boolean {
  const [first = '', ...rest] = literal;
  const last = rest.pop() ?? '';
  if (!name.startsWith(first) || name.length < first.length + last.length || !name.endsWith(last))
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}
