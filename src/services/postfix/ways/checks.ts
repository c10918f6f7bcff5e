/** What header and body checks do to a message (header_checks(5)). Pure. */
import type {ReadConfiguration, Setting} from './settings.ts';
import {rowsOf, tableWords} from './tables.ts';

export interface Check {
  /** Upper case: `REPLACE`. */
  readonly action: string;
  /** The header that it is for, lower case; undefined where the pattern does not say it. */
  readonly field: string | undefined;
  /** It matches every header of that name. */
  readonly isWhole: boolean;
  /** What stands behind the action. */
  readonly text: string;
}

export interface Checks {
  readonly checks: readonly Check[];
  readonly actions: ReadonlySet<string>;
  /** Where FILTER sends messages: `scan:[127.0.0.1]:10024`. */
  readonly filters: readonly string[];
  /** False where a table cannot be read. */
  readonly isKnown: boolean;
}

export function checksOf(read: ReadConfiguration, setting: Setting): Checks {
  const checks: Check[] = [];
  const filters: string[] = [];
  let isKnown = true;
  for (const word of tableWords(setting.value)) {
    const rows = rowsOf(word, read.configuration.tables.get(word.text));
    if (rows === undefined) isKnown = false;
    for (const {pattern, value} of rows ?? []) {
      const [, field, rest] = /^!?.\^?([A-Za-z][A-Za-z0-9-]*):(.*).$/s.exec(pattern) ?? [];
      const to = filterOf(value);
      if (to !== undefined) filters.push(to);
      checks.push({
        action: (/^[A-Za-z]+/.exec(value)?.[0] ?? '').toUpperCase(),
        text: value.replace(/^[A-Za-z]+/, '').trim(),
        field: field?.toLowerCase(),
        isWhole: /^(?:\.\*\$?|\$)?$/.test(rest ?? ' '),
      });
    }
  }
  return {checks, actions: new Set(checks.map(({action}) => action)), filters, isKnown};
}

/** The filter that a row of header_checks(5) or access(5) names. */
export const filterOf = (value: string): string | undefined => /^FILTER\s+(\S+)/i.exec(value)?.[1];

/** Actions that change or remove the header that they match. */
export const CHANGES_HEADER: ReadonlySet<string> = new Set(['IGNORE', 'REPLACE', 'STRIP']);
/** PREPEND puts a line into the body. */
export const CHANGES_BODY: ReadonlySet<string> = new Set(['IGNORE', 'REPLACE', 'STRIP', 'PREPEND']);
