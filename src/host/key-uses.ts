/**
 * Who uses a key. A key is known by its material, never by a path or a name: a copy, a symbolic link and a key that
 * stands in the table itself are the same key. Pure; what the rows are is looked up in ./look.ts.
 */
import {command} from '../domain/command.ts';
import {visible} from '../domain/text.ts';

/** One place of a configuration that makes a program on this host sign. */
export interface SignerRow {
  /** The program, as its makers write it: `OpenDKIM`. */
  readonly signer: string;
  /** Where it stands, made harmless; a line counts from 1. */
  readonly file: string;
  readonly line?: number;
  /** What stands there, made harmless: the row, or the name of a parameter. Never a key. */
  readonly what: string;
  /** The domain that it signs as (d=), lower case, where that is one. */
  readonly domain?: string;
  readonly selector?: string;
  readonly key: RowKey;
}

/** What is behind a row. Not known: it cannot be read, is missing, or is kept where waxseal does not look. */
export type RowKey =
  | {
      readonly known: true;
      /** As `KeyDescription.fingerprint`. */
      readonly fingerprint: string;
    }
  | {readonly known: false; readonly why: string};

/** Every row that uses a key, and every row of which that cannot be told. */
export type UsesOf = (fingerprint: string | undefined) => readonly SignerRow[];

/**
 * Answers "who uses this key" for many keys of one look. What cannot be read counts as in use, and a key without a
 * fingerprint (its record cannot be read) may be any of them.
 */
export function usesOf(rows: readonly SignerRow[]): UsesOf {
  const unknown = rows.filter(({key}) => !key.known);
  const known = new Map<string, SignerRow[]>();
  for (const row of rows) {
    if (!row.key.known) continue;
    const same = known.get(row.key.fingerprint);
    if (same === undefined) known.set(row.key.fingerprint, [row]);
    else same.push(row);
  }
  return fingerprint => (fingerprint === undefined ? rows : [...(known.get(fingerprint) ?? []), ...unknown]);
}

/** `/etc/opendkim/SigningTable line 3`. */
export const placeOf = ({file, line}: SignerRow): string =>
  line === undefined ? file : `${file} line ${line}`;

/**
 * Two sentences for one row: what still uses the key, with file and line, and what to do.
 *
 * @param key whose record or private key is to go; `label` names its successor, where it has one
 */
export function describeUse(
  row: SignerRow,
  key: {readonly domain: string; readonly successor?: string | undefined},
): string {
  const place = placeOf(row);
  if (!row.key.known) {
    return `${row.signer} may still sign with this key: ${row.what} (${place}) ${row.key.why}. Fix or remove that line first.`;
  }
  const what = `${row.signer} still signs with this key: ${row.what} (${place}).`;
  if (row.domain !== undefined && row.domain !== key.domain && row.signer === 'OpenDKIM') {
    return `${what} Rotate that domain first: ${command('waxseal', 'rotate', '--domain', row.domain)}`;
  }
  return key.successor === undefined
    ? `${what} Give that line another key first.`
    : `${what} Give that line the key ${key.successor} first.`;
}

/** `mail.example.org (/etc/opendkim/SigningTable line 3)`: for a list of everybody who uses a key. */
export const nameUse = (row: SignerRow): string =>
  `${row.domain === undefined ? row.what : visible(row.domain)} (${placeOf(row)})`;
