/** What rows of others mean for the wanted domains: single addresses, and several signatures on one message. */
import {type Problem, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {WantedRow} from './tables/edit.ts';
import {labelOf, type SigningKind, type TableRow} from './tables/rows.ts';

const NAMED = 3;

/** Remarks on the rows of a signing table as it will be; the work grows with the rows and the wanted domains. */
export function rowRemarks(
  rows: readonly TableRow[],
  wanted: readonly WantedRow[],
  {kind, several}: {readonly kind: SigningKind; readonly several: boolean},
): readonly Problem[] {
  const labels = new Map<string, string>(wanted.map(want => [want.domain, want.label]));
  return [...addresses(reached(rows, kind, several), labels), ...(several ? doubled(rows, labels) : [])];
}

/** Rows of patterns that any mail reaches: below the row of its domain an address is never asked for. */
function reached(rows: readonly TableRow[], kind: SigningKind, several: boolean): readonly TableRow[] {
  if (kind === 'file' || several) return rows;
  const passed = new Set<string>();
  return rows.filter(({key}) => {
    const [local = '', host = ''] = key.toLowerCase().split('@');
    if (local === '*') passed.add(host);
    return local === '*' || !passed.has(host);
  });
}

/** `joe@example.com KEY` goes before the row of the domain and keeps its key. */
function addresses(rows: readonly TableRow[], labels: ReadonlyMap<string, string>): readonly Problem[] {
  const own = rows.filter(row => {
    const [local = '', host = ''] = row.key.toLowerCase().split('@');
    const label = labels.get(host);
    return label !== undefined && local !== '' && local !== '*' && labelOf(row.value) !== label;
  });
  if (own.length === 0) return [];
  const names = own.slice(0, NAMED).map(row => visible(row.key));
  const more = own.length > NAMED ? ` and ${own.length - NAMED} more` : '';
  return [
    problem(
      'opendkim.address-rows',
      `The signing table has keys of their own for ${names.join(', ')}${more}; their mail keeps them.`,
      'Take these rows out where the key of the domain is to sign that mail too.',
    ),
  ];
}

/** With MultipleSignatures every matching row signs, not only the first. */
function doubled(rows: readonly TableRow[], labels: ReadonlyMap<string, string>): readonly Problem[] {
  const found = new Map<string, Set<string>>();
  for (const row of rows) {
    const match = /^\*@([^*]+)$/.exec(row.key.toLowerCase());
    const domain = row.key === '*' ? '*' : match?.[1];
    if (domain === undefined || !(domain === '*' || labels.has(domain))) continue;
    found.set(domain, (found.get(domain) ?? new Set()).add(labelOf(row.value)));
  }
  const everyone = found.get('*') ?? new Set();
  return [...labels.keys()].slice(0, 1000).flatMap(domain => {
    const all = new Set([...(found.get(domain) ?? []), ...everyone]);
    if (all.size < 2) return [];
    return [
      problem(
        'opendkim.several-signatures',
        `MultipleSignatures is on, and mail of ${domain} is signed by ${all.size} rows: ${[...all].map(label => visible(label)).join(', ')}.`,
        'Take out the rows whose signatures are not wanted.',
      ),
    ];
  });
}
