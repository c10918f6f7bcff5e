/** The rows of OpenDKIM's tables and what their fields mean: the one reader of KeyTable, SigningTable and lists of hosts. */
import type {DomainName, Selector} from '../../../domain/names.ts';
import {splitLines} from '../../lines.ts';

export interface TableRow {
  /** Index of the line. */
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

export interface KeyRow {
  readonly line: number;
  readonly label: string;
  readonly domain: string;
  readonly selector: string;
  /** A path, or the key itself (then it must never be shown). */
  readonly path: string;
}

/** `refile`: patterns, first match wins. `file`: exact keys, the order does not matter. */
export type SigningKind = 'file' | 'refile';

/** OpenDKIM reads a table in pieces of this many octets (fgets of BUFRSZ), and takes each for a line. */
const MOST_OCTETS = 1023;

/**
 * Rows of a flat file: blank lines and what follows a hash are ignored (opendkim(8), DATA SETS). In a file of patterns
 * a row that begins with white space is ignored too (dkimf_db_open).
 */
export function parseTable(text: string, kind: SigningKind = 'file'): readonly TableRow[] {
  const rows: TableRow[] = [];
  for (const [line, {raw}] of splitLines(text).entries()) {
    for (let at = 0; at === 0 || at < raw.length; at += MOST_OCTETS) {
      const match = /^[ \t]*([^\s#]+)[ \t]*([^#]*)/.exec(raw.slice(at, at + MOST_OCTETS));
      if (match === null || (kind === 'refile' && /^\s/.test(raw.slice(at)))) continue;
      rows.push({line, key: match[1] ?? '', value: (match[2] ?? '').trim()});
    }
  }
  return rows;
}

/** Rows of an inline list, `key=value`. */
export const parseListTable = (entries: readonly string[]): readonly TableRow[] =>
  entries.map((entry, line) => {
    const at = entry.indexOf('=');
    return {
      line,
      key: at < 0 ? entry : entry.slice(0, at).trim(),
      value: at < 0 ? '' : entry.slice(at + 1).trim(),
    };
  });

/** The fields of a row of the key table: `domain:selector:key` (dkimf_db_datasplit). */
export interface KeyFields {
  /** `%`: that of the sender. */
  readonly domain: string;
  readonly selector: string;
  /** A path, or the key itself (then it must never be shown). */
  readonly location: string;
}

/** Undefined where OpenDKIM calls the row corrupt. */
export function keyFields(value: string): KeyFields | undefined {
  const [, domain = '', selector = '', location = ''] = /^([^:]+):([^:]+):(.+)$/s.exec(value) ?? [];
  return domain === '' ? undefined : {domain, selector, location};
}

/** The fields of a row of the signing table: `label[:signer]`. A label `%` is the sender's domain. */
export function signingFields(value: string): {readonly label: string; readonly signer: string} {
  const at = value.indexOf(':');
  return at < 0 ? {label: value, signer: ''} : {label: value.slice(0, at), signer: value.slice(at + 1)};
}

/** True for a path, as dkimf_loadkey takes it. */
export const isPath = (location: string): boolean => /^\.{0,2}\//.test(location);

/** `%` in a path becomes the domain that signs; only where the path is absolute (dkimf_add_signrequest). */
export const fillIn = (location: string, domain: string): string =>
  location.startsWith('/') ? location.replaceAll('%', () => domain) : location;

/** Label of a signing table row: the value up to the optional signer (daemons/opendkim.md#tables). */
export const labelOf = (value: string): string => signingFields(value).label;

/**
 * Key table rows, the first of a doubled label only (daemons/opendkim.md#tables); rows without the three fields are
 * left out.
 */
export function keyRows(rows: readonly TableRow[]): readonly KeyRow[] {
  const found = new Map<string, KeyRow>();
  for (const {line, key: label, value} of rows) {
    const fields = found.has(label) ? undefined : keyFields(value);
    if (fields === undefined) continue;
    const {domain, selector, location: path} = fields;
    found.set(label, {line, label, domain, selector, path});
  }
  return [...found.values()];
}

/** The domain a signing table pattern stands for, '' for a pattern that names none (`*`). */
export function domainOfPattern(pattern: string): string {
  const host = pattern
    .slice(pattern.lastIndexOf('@') + 1)
    .replace(/^(\*\.|\.)/, '')
    .toLowerCase();
  return host.includes('*') ? '' : host;
}

export const keyLabel = (domain: DomainName, selector: Selector): string =>
  `${selector}._domainkey.${domain}`;

/** `label domain:selector:path`, as in KeyTable (daemons/opendkim.md#tables: no blanks around the colons). */
export const keyTableRow = (label: string, domain: string, selector: string, path: string): string =>
  `${label} ${domain}:${selector}:${path}`;
