import path from 'node:path';
import {fail, ok, problem, type Result} from './result.ts';

/** An absolute, normalised POSIX path without NUL and without a trailing slash (but for the root). */
export type AbsolutePath = string & {readonly __brand: 'AbsolutePath'};

/** Parses and normalises a path; the problem is `path.absolute`. */
export function parseAbsolutePath(text: string): Result<AbsolutePath> {
  if (!text.startsWith('/') || text.includes('\0')) {
    return fail(
      problem('path.absolute', `${JSON.stringify(text)} is not an absolute path.`, 'Begin it with a slash.'),
    );
  }
  const normal = path.posix.normalize(text);
  return ok((normal.length > 1 ? normal.replace(/\/$/, '') : normal) as AbsolutePath);
}

/** A path known at the time of writing the program. Throws when the literal is wrong: a fault, not an input. */
export function absolute(literal: string): AbsolutePath {
  const parsed = parseAbsolutePath(literal);
  if (!parsed.ok) throw new TypeError(parsed.problem.message);
  return parsed.value;
}

/**
 * Joins one or more plain file names below a directory. A segment that could climb or leave ('..', a slash, NUL)
 * is a fault of the caller: names from users are parsed before they come here.
 */
export function below(directory: AbsolutePath, ...segments: readonly string[]): AbsolutePath {
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..' || /[/\0]/.test(segment)) {
      throw new TypeError(`not a file name: ${JSON.stringify(segment)}`);
    }
  }
  return path.posix.join(directory, ...segments) as AbsolutePath;
}

export const parentOf = (of: AbsolutePath): AbsolutePath => path.posix.dirname(of) as AbsolutePath;

export const nameOf = (of: AbsolutePath): string => path.posix.basename(of);
