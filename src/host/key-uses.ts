/**
 * Who uses a key. A key is known by its material, never by a path or a name: a copy, a symbolic link and a key that
 * stands in the table itself are the same key. Pure; what the rows are is looked up in ./look.ts.
 */
import {command} from '../domain/command.ts';
import {visible} from '../domain/text.ts';
import type {SignerRow} from '../services/key-rows.ts';
import {SIGNERS} from '../services/registry.ts';

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

/** `/etc/tables/signing line 3`. */
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
  if (row.domain !== undefined && row.domain !== key.domain && isServed(row)) {
    return `${what} Rotate that domain first: ${command('waxseal', 'rotate', '--domain', row.domain)}`;
  }
  return key.successor === undefined
    ? `${what} Give that line another key first.`
    : `${what} Give that line the key ${key.successor} first.`;
}

/** Signs for a program that waxseal serves: its domains can be rotated. */
const isServed = ({signer}: SignerRow): boolean => SIGNERS.some(({words}) => words.program === signer);

/** `mail.example.org (/etc/tables/signing line 3)`: for a list of everybody who uses a key. */
export const nameUse = (row: SignerRow): string =>
  `${row.domain === undefined ? row.what : visible(row.domain)} (${placeOf(row)})`;
