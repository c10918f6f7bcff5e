/** Where a setting stands: the line of the file that wins (daemons/rspamd.md#files). */
import {type AbsolutePath, absolute, below} from '../../domain/paths.ts';
import type {Source} from '../../domain/source.ts';
import type {Files} from '../../system/ports.ts';
import {readText} from '../reading.ts';
import {dumpArgv} from './dump.ts';
import {parseUcl, type UclEntry} from './ucl.ts';

export const CONFIG_DIRECTORY = absolute('/etc/rspamd');
const DYNAMIC = absolute('/var/lib/rspamd/dynamic');

/** A file of a section, as far as it can be read. */
export interface Part {
  readonly path: AbsolutePath;
  readonly entries: readonly UclEntry[];
}

/** Finds a setting by the names that lead to it: `['domain', 'example.com', 'selector']`. */
export type PlaceOf = (...names: readonly string[]) => Source | undefined;

/** What decides `dkim_signing`, the strongest first. */
export const signingFiles = (): readonly AbsolutePath[] => [
  below(CONFIG_DIRECTORY, 'override.d', 'dkim_signing.conf'),
  below(DYNAMIC, 'dkim_signing.conf'),
  below(CONFIG_DIRECTORY, 'local.d', 'dkim_signing.conf'),
  below(CONFIG_DIRECTORY, 'modules.d', 'dkim_signing.conf'),
];

/** As {@link signingFiles}, for a file that sections of their own include: `options.inc`. */
export const includeFiles = (name: string): readonly AbsolutePath[] => [
  below(CONFIG_DIRECTORY, 'override.d', name),
  below(CONFIG_DIRECTORY, 'local.d', name),
  below(CONFIG_DIRECTORY, name),
];

export async function readParts(
  files: Pick<Files, 'inspect'>,
  paths: readonly AbsolutePath[],
  section?: string,
): Promise<readonly Part[]> {
  const parts = await Promise.all(
    paths.map(async (path): Promise<readonly Part[]> => {
      const {text} = await readText(files, path);
      const parsed = text === undefined ? undefined : parseUcl(text);
      return parsed?.ok === true ? [{path, entries: unwrapped(parsed.value, path, section)}] : [];
    }),
  );
  return parts.flat();
}

/** Only files of modules.d have the section around their settings. */
const unwrapped = (entries: readonly UclEntry[], path: string, section = ''): readonly UclEntry[] =>
  path.includes('/modules.d/')
    ? entries.flatMap(({key, value}) => (key === section && value.kind === 'object' ? value.entries : []))
    : entries;

export const createPlaces =
  (parts: readonly Part[]): PlaceOf =>
  (...names) => {
    for (const {path, entries} of parts) {
      const found = entriesAt(entries, names).at(-1);
      if (found !== undefined) return {by: 'file', path, line: found.line};
    }
    return undefined;
  };

/** Every entry at the end of a way of names. */
export function entriesAt(entries: readonly UclEntry[], names: readonly string[]): readonly UclEntry[] {
  const [first, ...rest] = names;
  const named = entries.filter(({key}) => key === first);
  if (rest.length === 0) return named;
  return named.flatMap(({value}) => (value.kind === 'object' ? entriesAt(value.entries, rest) : []));
}

/** For what is in force and stands in no file that waxseal reads. */
export const DUMPED: Source = {by: 'command', argv: dumpArgv()};
