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
