/**
 * KeyTable, SigningTable and host lists as text → text edits. Rows of others stay byte for byte and keep their effect;
 * the work grows linearly with the number of rows and of wanted domains.
 */
import type {DomainName} from '../../../domain/names.ts';
import {matchesWildcard} from '../../../domain/scan.ts';
import {type RawLine, splitLines} from '../../lines.ts';
import {
  domainOfPattern,
  type KeyRow,
  keyRows,
  labelOf,
  parseTable,
  type SigningKind,
  type TableRow,
} from './rows.ts';

export interface WantedRow {
  readonly domain: DomainName;
  readonly label: string;
  /** Labels of the key that it replaces; every row that has one of them moves. */
  readonly replaces?: ReplacedLabels;
}

export interface ReplacedLabels {
  /** Sign as the domain (d=), whoever sends the mail. */
  readonly own: ReadonlySet<string>;
  /** Sign as the domain of the sender (`%`): as this domain for its own mail only. */
  readonly anyDomain: ReadonlySet<string>;
}

/**
 * Makes each wanted domain sign with its label. Rows that stand for exactly the domain get the new label and keep
 * their place; missing rows come at the end, or above the first row that would catch all of their mail before them, each
 * for itself: so a narrower row (an address, a subdomain) keeps its mail. Rows that have a label that is replaced get the
 * new one, whatever they stand for.
 */
export function editSigningTable(
  text: string,
  kind: SigningKind,
  wanted: readonly WantedRow[],
  subdomains: boolean,
  several?: SeveralSignatures,
): string {
  const lines = splitLines(text);
  const rows = parseTable(text);
  const index = indexRows(rows);
  const changed = new Map<number, string>();
  const added = new Map<number, string[]>();
  for (const want of moreSpecificFirst(wanted)) {
    const [plain, below] = patterns(kind, want.domain);
    for (const pattern of [plain, below]) {
      const place = kind === 'refile' ? placeOf(index, pattern, want.domain) : lines.length;
      const existing =
        several === undefined
          ? index.first.get(pattern)
          : theirs(rowsOfPattern(index, rows, pattern), want, several);
      // A row for subdomains that is there already must not go on with the old key.
      const inEffect =
        existing !== undefined && (kind === 'file' || several !== undefined || existing.line < place);
      if (pattern === below && !subdomains && !inEffect) continue;
      if (inEffect) {
        const raw = lines[existing.line]?.raw ?? '';
        const next = relabel(raw, existing, want.label);
        if (next !== raw) changed.set(existing.line, next);
      } else {
        const row = `${pattern} ${want.label}`;
        const block = added.get(place);
        if (block === undefined) added.set(place, [row]);
        else block.push(row);
      }
    }
  }
  const replaced = replacements(wanted);
  for (const row of rows) {
    const label = changed.has(row.line) ? undefined : replaced(row);
    if (label !== undefined) changed.set(row.line, relabel(lines[row.line]?.raw ?? '', row, label));
  }
  return assemble(lines, changed, added);
}

/** The label that a row moves to; undefined where its key is not replaced, or it has a wanted label already. */
function replacements(wanted: readonly WantedRow[]): (row: TableRow) => string | undefined {
  const byLabel = new Map<string, string>();
  const byDomain = new Map<string, WantedRow>();
  for (const want of wanted) {
    for (const old of want.replaces?.own ?? []) if (old !== want.label) byLabel.set(old, want.label);
    if ((want.replaces?.anyDomain.size ?? 0) > 0) byDomain.set(want.domain, want);
  }
  return row => {
    const label = labelOf(row.value);
    const want = byDomain.get(domainOfSenders(row.key));
    return byLabel.get(label) ?? (want?.replaces?.anyDomain.has(label) === true ? want.label : undefined);
  };
}

/** The domain whose mail, and no other, a pattern stands for: `*@d`, `joe@d`, `d`; '' for subdomains and wider ones. */
const domainOfSenders = (pattern: string): string =>
  /(^|@)\*?\./.test(pattern) ? '' : domainOfPattern(pattern);

/**
 * Rows of the final table that sign mail of a wanted domain with the key that is replaced, all the same. Only with
 * MultipleSignatures: else the row of the domain is met before a wider one (`*`).
 */
export function keptRows(
  rows: readonly TableRow[],
  wanted: readonly WantedRow[],
  several: boolean,
): readonly TableRow[] {
  const byLabel = new Map<string, WantedRow[]>();
  for (const want of several ? wanted : []) {
    for (const old of want.replaces?.anyDomain ?? []) byLabel.set(old, [...(byLabel.get(old) ?? []), want]);
  }
  return rows.filter(row =>
    (byLabel.get(labelOf(row.value)) ?? []).some(
      ({domain, label}) =>
        labelOf(row.value) !== label && matchesWildcard(row.key.toLowerCase(), `x@${domain}`),
    ),
  );
}

/** With `MultipleSignatures yes` every matching row signs: rows of other signing domains stay beside the wanted one. */
export interface SeveralSignatures {
  /** The domain for which a key signs (d=), lower case, by label; `%` stands for the domain of the sender. */
  readonly domainOf: ReadonlyMap<string, string>;
}

/** The row that is the domain's own: the one that has the label already, else the first whose key signs as the domain. */
function theirs(
  rows: readonly TableRow[],
  want: WantedRow,
  {domainOf}: SeveralSignatures,
): TableRow | undefined {
  const {label, domain, replaces} = want;
  const has = (labels: ReadonlySet<string> | undefined) => (row: TableRow) =>
    labels?.has(labelOf(row.value)) === true;
  return (
    rows.find(has(new Set([label]))) ??
    rows.find(has(replaces?.own)) ??
    rows.find(has(replaces?.anyDomain)) ??
    rows.find(row => ['%', domain, undefined].includes(domainOf.get(labelOf(row.value))))
  );
}

const rowsOfPattern = (index: RowIndex, rows: readonly TableRow[], pattern: string): readonly TableRow[] =>
  (index.all.get(pattern) ?? []).flatMap(at => rows[at] ?? []);

/** A domain below another wanted one must come first, or the rows of the upper one would catch its mail. */
const moreSpecificFirst = (wanted: readonly WantedRow[]): readonly WantedRow[] => {
  const names = new Set<string>(wanted.map(want => want.domain));
  const nested = wanted.some(want => parentsOf(want.domain).some(parent => names.has(parent)));
  if (!nested) return wanted;
  return wanted.toSorted((one, other) => other.domain.split('.').length - one.domain.split('.').length);
};

const patterns = (kind: SigningKind, domain: string): readonly [string, string] =>
  kind === 'refile' ? [`*@${domain}`, `*@*.${domain}`] : [domain, `.${domain}`];

function parentsOf(domain: string): readonly string[] {
  const labels = domain.split('.');
  return labels.slice(1).map((_, at) => labels.slice(at + 1).join('.'));
}

interface RowIndex {
  readonly first: ReadonlyMap<string, TableRow>;
  /** Every row by lower-case pattern, as index into the rows. */
  readonly all: ReadonlyMap<string, readonly number[]>;
  /** Patterns with a star elsewhere than in `*@d` and `*@*.d`: few in practice, so they may be tried one by one. */
  readonly odd: readonly {readonly line: number; readonly pattern: string}[];
}

function indexRows(rows: readonly TableRow[]): RowIndex {
  const first = new Map<string, TableRow>();
  const all = new Map<string, number[]>();
  const odd: {line: number; pattern: string}[] = [];
  for (const [at, row] of rows.entries()) {
    const pattern = row.key.toLowerCase();
    if (!first.has(pattern)) first.set(pattern, row);
    const same = all.get(pattern);
    if (same === undefined) all.set(pattern, [at]);
    else same.push(at);
    if (pattern.includes('*') && !/^\*@(\*\.)?[^*@]+$/.test(pattern)) odd.push({line: row.line, pattern});
  }
  return {first, all, odd};
}

/** Stands for any text in an address, as no pattern can name it: only a star matches it. */
const ANY_TEXT = '\u0001';

/**
 * Line above which the row of a new pattern goes: the first row that matches each address that the pattern does, Infinity
 * where none. There is always such a place: rows above it keep their mail because they come first, and of the mail of the
 * pattern no row below it ever gets any. So the new row takes mail from that one row alone, which is a wider one. A row
 * that matches only a part of the pattern's mail (`bob@*`, `*@shop.*`) is never passed for that.
 */
function placeOf(index: RowIndex, pattern: string, domain: string): number {
  let line = Number.POSITIVE_INFINITY;
  for (const parent of parentsOf(domain))
    line = Math.min(line, index.first.get(`*@*.${parent}`)?.line ?? line);
  const address = pattern.replaceAll('*', ANY_TEXT);
  for (const odd of index.odd) {
    if (odd.line >= line) break;
    if (matchesWildcard(odd.pattern, address)) line = odd.line;
  }
  return line;
}

/** Changes the label and keeps white space, signer and comment. A signer that names another domain would be dropped. */
function relabel(raw: string, row: TableRow, label: string): string {
  const old = labelOf(row.value);
  if (old === label) return raw;
  const start = raw.indexOf(row.key) + row.key.length;
  const at = old === '' ? -1 : raw.indexOf(old, start);
  return at < 0 ? `${row.key} ${label}` : raw.slice(0, at) + label + raw.slice(at + old.length);
}

function assemble(
  lines: readonly RawLine[],
  changed: ReadonlyMap<number, string>,
  added: ReadonlyMap<number, readonly string[]>,
): string {
  const end = lines.find(line => line.end !== '')?.end ?? '\n';
  const parts: string[] = [];
  for (const [at, line] of lines.entries()) {
    for (const row of added.get(at) ?? []) parts.push(row + end);
    parts.push((changed.get(at) ?? line.raw) + line.end);
  }
  const tail = [...(added.get(lines.length) ?? []), ...(added.get(Number.POSITIVE_INFINITY) ?? [])];
  const last = lines.at(-1);
  if (tail.length > 0 && last !== undefined && last.end === '') parts.push(end);
  for (const row of tail) parts.push(row + end);
  return parts.join('');
}

export const appendRows = (text: string, rows: readonly string[]): string =>
  assemble(splitLines(text), new Map(), new Map([[Number.POSITIVE_INFINITY, rows]]));

export const removeLines = (text: string, doomed: ReadonlySet<number>): string =>
  splitLines(text)
    .map((line, at) => (doomed.has(at) ? '' : line.raw + line.end))
    .join('');

/**
 * Takes out the signing rows whose key signs as one of the domains `stop` and those that stand for one, then their key rows
 * and those of the keys `forget`, where no signing row refers to them any more.
 */
export function withoutRows(
  keyText: string,
  signingText: string,
  stop: readonly string[],
  forget: readonly {readonly domain: string; readonly selector: string}[],
): {readonly keys: string; readonly signing: string} {
  if (stop.length + forget.length === 0) return {keys: keyText, signing: signingText};
  const stopped = new Set(stop);
  const gone = new Set(forget.map(({domain, selector}) => `${selector} ${domain}`));
  const keys = keyRows(parseTable(keyText));
  const labels = new Set(keys.filter(row => stopped.has(row.domain.toLowerCase())).map(row => row.label));
  const isStopped = (row: TableRow): boolean =>
    labels.has(labelOf(row.value)) || stopped.has(domainOfPattern(row.key));
  const signing = parseTable(signingText);
  const used = new Set(signing.filter(row => !isStopped(row)).map(row => labelOf(row.value)));
  const isGone = ({label, domain, selector}: KeyRow): boolean =>
    !used.has(label) && (labels.has(label) || gone.has(`${selector.toLowerCase()} ${domain.toLowerCase()}`));
  const linesOf = (rows: readonly {readonly line: number}[]): ReadonlySet<number> =>
    new Set(rows.map(({line}) => line));
  return {
    signing: removeLines(signingText, linesOf(signing.filter(isStopped))),
    keys: removeLines(keyText, linesOf(keys.filter(isGone))),
  };
}
