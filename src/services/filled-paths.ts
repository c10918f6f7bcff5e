/** Paths with parts that a program fills in for each message (`/keys/%/s1.pem`): which of them are there. */
import {type AbsolutePath, below} from '../domain/paths.ts';
import type {Files} from '../system/ports.ts';

/** Every path that a pattern with placeholders may stand for now. */
export async function filledPaths(
  files: Pick<Files, 'list' | 'resolve'>,
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
