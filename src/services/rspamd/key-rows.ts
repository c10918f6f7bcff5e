/** Keys that rspamd signs with: the modules dkim_signing and arc, in the files where an administrator writes. */
import {absolute, parseAbsolutePath} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import {type KeyReader, type RowKey, type SignerRow, unknown} from '../key-rows.ts';
import {type ReadText, readText, withoutComments} from '../reading.ts';

const MODULES = ['dkim_signing', 'arc'] as const;
const DEFAULT_PATH = '/var/lib/rspamd/dkim/$domain.$selector.key';
const PLACEHOLDERS = /\$(?:domain|selector)|\$\{(?:domain|selector)\}/;
/** `path = "..."`, `path: ...;`, `key_table = "..."`: UCL takes all of them. */
const SETTING = /\b(path|path_map|key_table)\b(?:\s*[=:]\s*|\s+)(?:"([^"\n]*)"|'([^'\n]*)'|([^\s;"'{}]+))/g;
/** Keys in places where waxseal does not look. */
const ELSEWHERE =
  /\buse_redis\s*[=:]\s*"?(?:true|yes|on)\b|\bvault_url\b|\buse_vault\s*[=:]\s*"?(?:true|yes|on)\b|\bsign_condition\b|^[ \t]*\.include\b/gm;

/** The word that switches the module on or off in a piece of its configuration; the last counts. */
export const enabledIn = (text: string): string | undefined =>
  [...text.matchAll(/(?:^|[\s;{])enabled\s*=\s*"?([a-z]+)/g)].at(-1)?.[1];

/** Empty where rspamd is not there, or its signing is switched off by name. */
export async function rspamdRows(
  files: ReadText,
  keys: KeyReader,
  isThere: boolean,
): Promise<readonly SignerRow[]> {
  const rows: SignerRow[] = [];
  for (const module of MODULES) {
    const texts = [];
    for (const place of ['local.d', 'override.d'] as const) {
      const path = absolute(`/etc/rspamd/${place}/${module}.conf`);
      const read = await readText(files, path);
      if (read.text !== undefined) texts.push({place, path, text: withoutComments(read.text)});
      else if (!read.isMissing) rows.push(rowOf(path, undefined, 'the configuration', unknown(read.why)));
    }
    const switches = texts.toReversed().flatMap(({text}) => enabledIn(text) ?? []);
    if (/^(false|no|off)$/.test(switches[0] ?? '')) continue;
    for (const {path, text} of texts) rows.push(...(await rowsIn(files, keys, path, text)));
    if (!isThere && texts.length === 0) continue;
    const place = texts[0]?.path ?? absolute(`/etc/rspamd/modules.d/${module}.conf`);
    for (const key of await keys.read(DEFAULT_PATH, PLACEHOLDERS)) {
      rows.push(rowOf(place, undefined, DEFAULT_PATH, key));
    }
  }
  return rows;
}

async function rowsIn(
  files: ReadText,
  keys: KeyReader,
  path: string,
  text: string,
): Promise<readonly SignerRow[]> {
  const rows: SignerRow[] = [];
  const lineAt = (index: number): number => text.slice(0, index).split('\n').length;
  for (const match of text.matchAll(ELSEWHERE)) {
    const what = match[0].trim().slice(0, 40);
    rows.push(rowOf(path, lineAt(match.index), what, unknown('keeps keys where waxseal does not look')));
  }
  for (const match of text.matchAll(SETTING)) {
    const [, name = '', double, single, bare] = match;
    const value = double ?? single ?? bare ?? '';
    const line = lineAt(match.index);
    if (name === 'path') {
      for (const key of await keys.read(value, PLACEHOLDERS)) rows.push(rowOf(path, line, value, key));
    } else {
      rows.push(...(await mapRows(files, keys, {path, line, value})));
    }
  }
  return rows;
}

/** A map whose lines end with a path: `example.org /path`, or `name domain:selector:/path`. */
async function mapRows(
  files: ReadText,
  keys: KeyReader,
  {path, line, value}: {readonly path: string; readonly line: number; readonly value: string},
): Promise<readonly SignerRow[]> {
  const map = parseAbsolutePath(value.replace(/^(?:map|file):\/\//, ''));
  const read = map.ok ? await readText(files, map.value) : undefined;
  if (!map.ok || read?.text === undefined) {
    return [rowOf(path, line, value, unknown('names a map that waxseal cannot read'))];
  }
  const rows: SignerRow[] = [];
  for (const [index, raw] of read.text.split('\n').entries()) {
    const text = (raw.split('#', 1)[0] ?? '').trim();
    if (text === '') continue;
    const file = /(?:^|[\s:])(\/\S*)$/.exec(text)?.[1];
    const found = file === undefined ? [unknown('names no file')] : await keys.read(file, PLACEHOLDERS);
    for (const key of found) rows.push(rowOf(map.value, index + 1, file ?? 'a row', key));
  }
  return rows;
}

const rowOf = (file: string, line: number | undefined, what: string, key: RowKey): SignerRow => ({
  signer: 'rspamd',
  file: visible(file),
  ...(line === undefined ? {} : {line}),
  what: visible(what),
  key,
});
