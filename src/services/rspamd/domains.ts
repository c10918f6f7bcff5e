/**
 * Whose mail rspamd signs. What names no domain, or cannot be read, is said: to switch its signing off could leave
 * somebody's mail unsigned.
 */
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import type {Files} from '../../system/ports.ts';
import type {RivalDomains} from '../facts.ts';
import {FoundDomains} from '../found-domains.ts';
import {domainOfPattern} from '../opendkim/tables/rows.ts';
import {tryReadText} from '../reading.ts';
import {mapFile, mapRows} from './maps.ts';
import {parseUcl, type UclValue} from './ucl.ts';

type Reads = Pick<Files, 'read' | 'list'>;

const KEYS = '/var/lib/rspamd/dkim/$domain.$selector.key';
const MAPS: ReadonlySet<string> = new Set(['path_map', 'selector_map', 'signing_table']);
/** Settings by which it signs for more than its blocks and maps name. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  ...['use_redis', 'use_vault', 'vault_url', 'sign_condition', 'sign_networks', '.include'],
]);

/**
 * rspamd's module dkim_signing: the names of its `domain {}` blocks, its maps, and the keys where `path` looks for them
 * by the domain (https://rspamd.com/doc/modules/dkim_signing.html).
 *
 * @param texts its files by path; those of modules.d name nothing
 */
export async function rspamdDomains(
  files: Reads,
  texts: readonly {readonly path: AbsolutePath; readonly text: string}[],
): Promise<RivalDomains> {
  const found = new FoundDomains();
  const paths = new Set<string>();
  for (const {path, text} of texts) {
    const parsed = parseUcl(text);
    if (!parsed.ok) found.lost(`the syntax of ${path}`);
    for (const {key, value} of parsed.ok ? parsed.value : []) {
      if (key === 'domain') addBlocks(found, value, path);
      else if (ELSEWHERE.has(key)) found.lost(`${key} in ${path}`);
      else if (MAPS.has(key)) await rspamdMap(files, found, {key, value, path});
      else if (key === 'path' && value.kind === 'text') paths.add(value.text);
    }
  }
  for (const path of paths.size === 0 ? [KEYS] : paths) await keysByDomain(files, found, path);
  return found.domains;
}

function addBlocks(found: FoundDomains, value: UclValue, path: AbsolutePath): void {
  if (value.kind !== 'object') found.lost(`domain in ${path}`);
  for (const {key} of value.kind === 'object' ? value.entries : []) {
    if (ELSEWHERE.has(key)) found.lost(`${key} in ${path}`);
    else found.add(key, path);
  }
}

async function rspamdMap(
  files: Reads,
  found: FoundDomains,
  {key, value, path}: {readonly key: string; readonly value: UclValue; readonly path: AbsolutePath},
): Promise<void> {
  const file = value.kind === 'text' ? mapFile(value.text) : undefined;
  const text = file === undefined ? undefined : await tryReadText(files, file);
  if (file === undefined || text === undefined) return found.lost(`${key} in ${path}`);
  for (const row of mapRows(text, file)) found.add(domainOfPattern(row.key) || row.key, file);
}

/** `/dir/$domain.$selector.key` signs for every domain that has such a file; a path without the domain for any. */
async function keysByDomain(files: Reads, found: FoundDomains, path: string): Promise<void> {
  const place = parseAbsolutePath(path);
  const name = path.slice(path.lastIndexOf('/') + 1);
  const at = name.indexOf('$domain');
  if (!place.ok || at !== 0 || parentOf(place.value).includes('$')) {
    return found.lost(`path ${path} of rspamd, which names no domain`);
  }
  const names = await files.list(parentOf(place.value)).catch(() => null);
  if (names === null) return found.lost(parentOf(place.value));
  const ending = name.slice(name.lastIndexOf('.'));
  for (const key of names ?? []) {
    if (!key.endsWith(ending)) continue;
    const stem = key.slice(0, -ending.length);
    const domain = name.includes('$selector') ? stem.slice(0, stem.lastIndexOf('.')) : stem;
    found.add(domain, parentOf(place.value));
  }
}
