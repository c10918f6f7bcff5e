import {structuredPatch} from 'diff';
import {linesWithEnds} from '../domain/scan.ts';
import {visible, withoutPassword} from '../domain/text.ts';

const CONTEXT = 3;
// Beyond this many differing lines the shortest edit is not worth its quadratic time; the block is shown as replaced.
const MAX_EDITS = 4000;

/** A text that must not be seen: it holds a private key. */
export const holdsPrivateKey = (text: string): boolean => /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/.test(text);

// A row of a key table may carry the key itself, as base64 of its DER form: `label domain:selector:MII…`.
const KEY_IN_ROW = /:[ \t]*(?:MII|MC4CAQAw)[A-Za-z0-9+/=]{24,}/g;

// Of LDAP, of Redis and of SQL data sources.
const PASSWORD = /^[-+ ][ \t]*"?(?:LDAPBindPassword|password|[@$]\w+_sql_dsn)"?(?=[=: \t])/i;

function withoutValueOfPassword(line: string): string {
  const name = PASSWORD.exec(line)?.[0];
  if (name === undefined) return line;
  let at = name.length;
  while (at < line.length && '=: \t'.includes(line[at] ?? '')) at += 1;
  return at === line.length ? line : `${line.slice(0, at)}(not shown)`;
}

/** One line harmless for a terminal, without a private key or a password; tabs, which such files use a lot, stay. */
const harmless = (line: string): string =>
  withoutValueOfPassword(withoutPassword(line))
    .replace(KEY_IN_ROW, ':(private key, not shown)')
    .split('\t')
    .map(part => visible(part))
    .join('\t');

interface Hunk {
  readonly oldStart: number;
  readonly newStart: number;
  /** Each with its sign: ' ', '-', '+' or the mark of a missing last line feed. */
  readonly lines: readonly string[];
}

/**
 * Unified diff (as of diff -u) of two texts of one file; `undefined` stands for "does not exist". '' where they are equal.
 * Linear where lines are only added or only removed, as in tables of many domains.
 */
export function textDiff(path: string, before: string | undefined, after: string | undefined): string {
  if (before === after) return '';
  // With their line feed, so that a last line without one differs.
  const old = linesWithEnds(before ?? '');
  const next = linesWithEnds(after ?? '');
  const name = visible(path);
  const head = [
    `--- ${before === undefined ? '/dev/null' : name}`,
    `+++ ${after === undefined ? '/dev/null' : name}`,
  ];
  const body = hunksOf(old, next).flatMap(hunk => [headerOf(hunk), ...hunk.lines.map(harmless)]);
  return `${[...head, ...body].join('\n')}\n`;
}

const NO_LINE_FEED = '\\ No newline at end of file';

function hunksOf(old: readonly string[], next: readonly string[]): readonly Hunk[] {
  let start = 0;
  while (start < old.length && start < next.length && old[start] === next[start]) start += 1;
  let end = 0;
  while (
    end < old.length - start &&
    end < next.length - start &&
    old[old.length - 1 - end] === next[next.length - 1 - end]
  ) {
    end += 1;
  }
  const removed = old.slice(start, old.length - end);
  const added = next.slice(start, next.length - end);
  const above = old.slice(Math.max(0, start - CONTEXT), start);
  const below = old.slice(old.length - end, old.length - end + CONTEXT);
  const offset = start - above.length;
  if (removed.length > 0 && added.length > 0) {
    const patch = structuredPatch(
      '',
      '',
      [...above, ...removed, ...below].join(''),
      [...above, ...added, ...below].join(''),
      '',
      '',
      {
        context: CONTEXT,
        maxEditLength: MAX_EDITS,
      },
    );
    if (patch !== undefined) {
      return patch.hunks.map(hunk => ({
        oldStart: hunk.oldStart + offset,
        newStart: hunk.newStart + offset,
        lines: hunk.lines,
      }));
    }
  }
  const signed = (sign: string, lines: readonly string[]): readonly string[] =>
    lines.flatMap(line => (line.endsWith('\n') ? [sign + line.slice(0, -1)] : [sign + line, NO_LINE_FEED]));
  const lines = [
    ...signed(' ', above),
    ...signed('-', removed),
    ...signed('+', added),
    ...signed(' ', below),
  ];
  return [{oldStart: offset + 1, newStart: offset + 1, lines}];
}

/** `@@ -1,2 +1,3 @@`; an empty side starts one line earlier, as diff(1) writes it. */
function headerOf(hunk: Hunk): string {
  const count = (sign: string): number =>
    hunk.lines.filter(line => line[0] === ' ' || line[0] === sign).length;
  const range = (start: number, length: number): string =>
    length === 1 ? `${start}` : `${length === 0 ? Math.max(0, start - 1) : start},${length}`;
  return `@@ -${range(hunk.oldStart, count('-'))} +${range(hunk.newStart, count('+'))} @@`;
}
