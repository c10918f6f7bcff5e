/** The rows that make a configuration sign, wherever it keeps them. */
import type {Files} from '../../../system/ports.ts';
import {readText} from '../../reading.ts';
import type {DataSet} from '../decide/data-set.ts';
import {openSet} from '../decide/open-set.ts';
import type {Settings} from '../decide/settings.ts';
import {type KeyRow, keyRows, type TableRow} from './rows.ts';

export interface SigningRows {
  readonly keys: readonly KeyRow[];
  readonly signing: readonly TableRow[];
  /** Rows of the signing table that no sender matches (daemons/opendkim.md#tables). */
  readonly dead: ReadonlySet<TableRow>;
  /** Names in Domain, which counts only without a KeyTable. */
  readonly domains: readonly string[];
  /** Parameters whose rows cannot be read: said, not guessed. */
  readonly unread: readonly string[];
}

export async function readSigningRows(
  files: Pick<Files, 'inspect'>,
  settings: Settings,
): Promise<SigningRows> {
  const unread: string[] = [];
  const open = async (name: 'Domain' | 'KeyTable' | 'SigningTable'): Promise<DataSet | undefined> => {
    const setting = settings(name);
    if (setting === undefined) return undefined;
    const opened = await openSet(name, setting, path => readText(files, path));
    if (opened.kind === 'set') return opened.set;
    unread.push(name);
    return undefined;
  };
  if (settings('KeyTable') === undefined) {
    const domains = ((await open('Domain'))?.rows ?? []).map(({key}) => key);
    return {keys: [], signing: [], dead: new Set(), domains, unread};
  }
  const signing = await open('SigningTable');
  const rows = signing?.rows ?? [];
  const dead = rows.filter(({key}) => isDead(key, signing?.kind === 'refile'));
  const keys = keyRows((await open('KeyTable'))?.rows ?? []);
  return {keys, signing: rows, dead: new Set(dead), domains: [], unread};
}

/** A bare domain among patterns, a pattern among exact keys. */
const isDead = (key: string, patterns: boolean): boolean =>
  patterns ? !/[@*]/.test(key) : key.includes('*') && key !== '*' && !/^[^*]+@\*$/.test(key);
