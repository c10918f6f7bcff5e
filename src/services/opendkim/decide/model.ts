/** All that OpenDKIM decides by, as it is in memory: made by ./read.ts, asked by ./decide.ts. */
import type {Decision} from '../../../domain/source.ts';
import type {KeyState} from '../../key-look.ts';
import type {DataSet} from './data-set.ts';
import type {Setting, Settings} from './settings.ts';

/** A data set that a setting names. Its rows are not known where they are kept where waxseal does not look. */
export interface NamedSet {
  readonly setting: Setting;
  readonly set: DataSet | undefined;
  /** Why there is none, after the name of the setting in a sentence. */
  readonly why?: string;
}

/** The names of the data sets that have a say. */
export const SETS = [
  'PeerList',
  'InternalHosts',
  'ExemptDomains',
  'DontSignMailTo',
  'MTA',
  'MacroList',
  'SenderHeaders',
  'Domain',
  'SigningTable',
  'KeyTable',
] as const;
export type SetName = (typeof SETS)[number];

export interface Model {
  /** `OpenDKIM 2.11.0`. */
  readonly program: string;
  readonly settings: Settings;
  /** Why OpenDKIM does not start with this configuration; undefined where it does. */
  readonly refusal: Decision | undefined;
  /** Absent where not set. */
  readonly sets: ReadonlyMap<SetName, NamedSet>;
  /** What a key is to the daemon: the path of a row with `%` filled in, or a key that stands in the row itself. */
  readonly keyState: (location: string) => KeyState;
}

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
