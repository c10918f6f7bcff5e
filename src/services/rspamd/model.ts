/** What rspamd's module dkim_signing decides by, read and ready to be asked. */
import type {AbsolutePath} from '../../domain/paths.ts';
import type {Decision, Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {KeyState} from '../key-look.ts';
import {isObject, type Json, type JsonObject} from './dump.ts';
import type {Suffixes} from './esld.ts';
import type {MapRows, Networks} from './maps.ts';
import type {PlaceOf} from './places.ts';

/** Defaults of the Lua module: configdump has only what is set. */
export const DEFAULTS: JsonObject = {
  allow_envfrom_empty: true,
  allow_hdrfrom_mismatch: false,
  allow_hdrfrom_mismatch_local: false,
  allow_hdrfrom_mismatch_sign_networks: false,
  allow_pubkey_mismatch: true,
  allow_username_mismatch: false,
  path: '/var/lib/rspamd/dkim/$domain.$selector.key',
  selector: 'dkim',
  sign_authenticated: true,
  sign_local: true,
  try_fallback: true,
  use_domain: 'header',
  use_esld: true,
};

export interface Setting {
  readonly name: string;
  /** undefined where it is neither set nor has a default. */
  readonly value: Json | undefined;
  readonly source: Source;
}

export type Settings = (name: string) => Setting;

export function createSettings(signing: JsonObject, placeOf: PlaceOf, program: string): Settings {
  return name => {
    const value = signing[name];
    if (value === undefined) return {name, value: DEFAULTS[name], source: {by: 'default', program}};
    return {
      name,
      value,
      source: placeOf(name) ?? {by: 'command', argv: ['rspamadm', 'configdump', 'dkim_signing']},
    };
  };
}

/** In Lua everything but `false` and what is absent counts as true: so does the text "false". */
export const isOn = ({value}: Pick<Setting, 'value'>): boolean =>
  value !== undefined && value !== null && value !== false;

/** What is wanted for one signature; what is absent is filled by maps and then by defaults. */
export interface Wish {
  readonly selector?: Json;
  readonly path?: Json;
  readonly source: Source;
  /** The setting that names it: `domain`, a map, or `path` for what is found by the name of the domain. */
  readonly setting: string;
  /** What stands there: the domain, or the pattern of a table. */
  readonly name: string;
}

export type MapName = 'selector_map' | 'path_map' | 'signing_table' | 'key_table';

export interface Model {
  readonly program: string;
  /** Why nothing can be said, or nothing is signed at all; undefined where the module works. */
  readonly refusal: {readonly outcome: 'unknown' | 'unsigned'; readonly decision: Decision} | undefined;
  readonly settings: Settings;
  /** `domain { … }` by name as it is written. */
  readonly blocks: ReadonlyMap<string, Block>;
  readonly maps: ReadonlyMap<MapName, {readonly setting: Setting; readonly map: MapRows}>;
  /** options.local_addrs, and `sign_networks` of the module; undefined where the list cannot be read. */
  readonly localNetworks: Networks | undefined;
  readonly signNetworks: Networks | undefined;
  readonly suffixes: Suffixes;
  /** What the account of rspamd makes of a key at a path. */
  keyState(path: AbsolutePath): KeyState;
}

export interface Block {
  readonly name: string;
  readonly source: Source;
  /** Empty where it is none that rspamd understands. */
  readonly wishes: readonly Wish[];
}

/** The pair of a block and every entry of its list `selectors`: both count. */
export function blockOf(name: string, value: Json, placeOf: PlaceOf, fallback: Source): Block {
  const source = placeOf('domain', name) ?? fallback;
  if (!isObject(value)) return {name, source, wishes: []};
  const {selector, path, selectors} = value;
  const wishes: Wish[] = [];
  const at = (...more: readonly string[]): Source => placeOf('domain', name, ...more) ?? source;
  if (selector !== undefined || path !== undefined) {
    wishes.push(wishOf(name, {selector, path}, at(selector === undefined ? 'path' : 'selector')));
  }
  for (const each of Array.isArray(selectors) ? (selectors as readonly Json[]) : []) {
    if (isObject(each)) wishes.push(wishOf(name, each, at('selectors')));
  }
  return {name, source, wishes};
}

const wishOf = (
  name: string,
  {selector, path}: {readonly selector?: Json | undefined; readonly path?: Json | undefined},
  source: Source,
): Wish => ({
  ...{setting: 'domain', name},
  source,
  ...(selector === undefined ? {} : {selector}),
  ...(path === undefined ? {} : {path}),
});

export const shown = (value: Json | undefined): string =>
  visible(typeof value === 'string' ? value : (JSON.stringify(value) ?? 'not set'));

/** As `lua_util.template`: `$domain` and `${domain}`. */
export const filledIn = (path: string, domain: string, selector: string): string =>
  path.replaceAll(/\$\{?domain\}?/g, () => domain).replaceAll(/\$\{?selector\}?/g, () => selector);

/**
 * rspamd takes a path without a dot, a dash or an underscore for the key itself in base64, and never opens it
 * (daemons/rspamd.md#keys).
 */
export const isTakenForKey = (path: string): boolean => /^[A-Za-z0-9+/=]+$/.test(path);
