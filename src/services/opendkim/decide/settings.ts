/** The settings that an OpenDKIM is started with, each with the place where it stands. */
import type {AbsolutePath} from '../../../domain/paths.ts';
import type {Source} from '../../../domain/source.ts';
import {visible, withoutPassword} from '../../../domain/text.ts';
import {definitions, isTrue, parseDataSet} from '../parse.ts';

export interface Setting {
  /** As opendkim.conf(5) writes it: `InternalHosts`. */
  readonly name: string;
  readonly value: string;
  readonly source: Source;
}

/** A setting by its name, in any case; undefined where it is set nowhere. */
export type Settings = (name: string) => Setting | undefined;

/** Options that stand for a setting, and which of the two wins (opendkim.c, main and dkimf_config_load). */
const OPTIONS: readonly (readonly [letter: string, name: string, wins: 'option' | 'file'])[] = [
  ['b', 'Mode', 'option'],
  ['d', 'Domain', 'option'],
  ['D', 'SubDomains', 'option'],
  // KeyFile of the configuration is read over it.
  ['k', 'KeyFile', 'file'],
  ['p', 'Socket', 'option'],
  ['s', 'Selector', 'option'],
  ['S', 'SignatureAlgorithm', 'option'],
  ['u', 'UserID', 'option'],
];

/**
 * The last definition of a name wins, an option wins over the file (but -k).
 *
 * @param textOf text of the configuration and of what it includes
 * @param options value by letter, '' for a switch
 * @param started where the options are from
 */
export function effectiveSettings(
  config: AbsolutePath,
  textOf: (path: AbsolutePath) => string | undefined,
  options: ReadonlyMap<string, string>,
  started: Source,
): Settings {
  const found = new Map<string, Setting>();
  for (const {name, value, file, line} of definitions(config, textOf)) {
    found.set(name, {name, value, source: {by: 'file', path: file, line: line + 1}});
  }
  for (const [letter, name, wins] of OPTIONS) {
    const value = options.get(letter);
    if (value === undefined || (wins === 'file' && found.has(name.toLowerCase()))) continue;
    found.set(name.toLowerCase(), {name, value: value === '' ? 'yes' : value, source: started});
  }
  return name => {
    const setting = found.get(name.toLowerCase());
    return setting === undefined ? undefined : {...setting, name};
  };
}

/** Settings that are known by value alone, lower-case names; their place is the configuration as a whole. */
export const plainSettings =
  (values: Readonly<Record<string, string>>, config: AbsolutePath): Settings =>
  name => {
    const value = values[name.toLowerCase()];
    return value === undefined ? undefined : {name, value, source: {by: 'file', path: config, line: 1}};
  };

/** A value as it may be shown: made harmless, without a password, and without the keys that a list may hold. */
export const shownValue = ({name, value}: Pick<Setting, 'name' | 'value'>): string =>
  name === 'KeyTable' && parseDataSet(value).kind === 'list' ? 'csl:…' : visible(withoutPassword(value));

/** A boolean of opendkim.conf(5), where it is set. */
export const flag = (settings: Settings, name: string, byDefault: boolean): boolean => {
  const setting = settings(name);
  return setting === undefined ? byDefault : isTrue(setting.value);
};
