/** Maps of rspamd: files with a row a line, and lists of networks. */
import {addressOctets, isInNetwork} from '../../dns/address.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import {matchesWildcard} from '../../domain/scan.ts';
import type {Source} from '../../domain/source.ts';
import type {Files} from '../../system/ports.ts';
import {readText} from '../reading.ts';
import {type Json, listOf} from './dump.ts';

export interface MapRow {
  readonly key: string;
  readonly value: string;
  readonly source: Source;
}

/** `why`: what keeps waxseal from reading it. */
export type MapRows =
  | {readonly rows: readonly MapRow[]; readonly path: AbsolutePath}
  | {readonly rows: undefined; readonly why: string};

/** The file that a map is kept in; undefined for an address, a pattern map or an inline map. */
export function mapFile(value: Json): AbsolutePath | undefined {
  if (typeof value !== 'string') return undefined;
  const path = parseAbsolutePath(value.replace(/^(?:map|file):\/\//, ''));
  return path.ok ? path.value : undefined;
}

export async function readMap(files: Pick<Files, 'inspect'>, value: Json): Promise<MapRows> {
  const path = mapFile(value);
  if (path === undefined) return {rows: undefined, why: 'is no file that waxseal reads'};
  const read = await readText(files, path);
  if (read.text === undefined)
    return read.isMissing ? {rows: [], path} : {rows: undefined, why: `names ${path}, which ${read.why}`};
  return {rows: mapRows(read.text, path), path};
}

/** `key value`; a `#` at the start of a line or after a blank begins a comment. */
export const mapRows = (text: string, path: AbsolutePath): readonly MapRow[] =>
  text.split('\n').flatMap((line, at) => {
    const bare = line.replace(/(^|\s)#.*$/, '').trim();
    if (bare === '') return [];
    const [key = '', ...rest] = bare.split(/\s+/);
    const value = rest.join(' ').replace(/^"(.*)"$/, '$1');
    return [{key: key.replace(/^"(.*)"$/, '$1'), value, source: {by: 'file', path, line: at + 1}}];
  });

/** Keys are compared without regard to case. */
export const rowFor = (rows: readonly MapRow[], key: string): MapRow | undefined =>
  rows.findLast(row => row.key.toLowerCase() === key);

/** Rows whose pattern fits; of several rspamd takes any. */
export const globRows = (rows: readonly MapRow[], text: string): readonly MapRow[] =>
  rows.filter(({key}) => matchesWildcard(key.toLowerCase(), text.toLowerCase()));

/** Networks of a list, each with the text that names it. */
export interface Networks {
  has(address: string): string | undefined;
}

export function createNetworks(texts: readonly string[]): Networks {
  const networks = texts.flatMap(text => {
    const [address = '', prefix] = text.split('/');
    const octets = addressOctets(address.replace(/^\[|\]$/g, ''));
    if (octets === undefined) return [];
    const most = octets.length * 8;
    return [{text, octets, bits: prefix === undefined ? most : Math.min(most, Number(prefix))}];
  });
  return {
    has(address) {
      const octets = addressOctets(address);
      if (octets === undefined) return undefined;
      return networks.find(each => isInNetwork(octets, each.octets, each.bits))?.text;
    },
  };
}

export const textsOf = (value: Json | undefined): readonly string[] =>
  listOf(value).flatMap(each => (typeof each === 'string' ? each : []));
