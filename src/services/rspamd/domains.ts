/**
 * Whose mail rspamd signs. What names no domain, or cannot be read, is said: to switch its signing off could leave
 * somebody's mail unsigned.
 */
import {type AbsolutePath, parentOf, parseAbsolutePath} from '../../domain/paths.ts';
import type {Files} from '../../system/ports.ts';
import type {RivalDomains} from '../facts.ts';
import {FoundDomains} from '../found-domains.ts';
import {domainOfPattern, parseTable} from '../opendkim/tables/rows.ts';
import {tryReadText} from '../reading.ts';

type Reads = Pick<Files, 'read' | 'list'>;

const RSPAMD_KEYS = '/var/lib/rspamd/dkim/$domain.$selector.key';
const RSPAMD_ELSEWHERE =
  /\b(use_redis|use_vault|vault_url|sign_condition|sign_networks)\s*[=:]|^[ \t]*\.include\b/gm;
const RSPAMD_SETTING = /\b(path|path_map|selector_map|key_table|signing_table)\b\s*[=:]\s*"?([^"';\s{}]+)/g;

/**
 * rspamd's module dkim_signing: the names of its `domain {}` blocks, its maps, and the keys where `path` looks for them
 * by the domain (https://rspamd.com/doc/modules/dkim_signing.html).
 *
 * @param texts its files without comments, by path; those of modules.d name nothing
 */
export async function rspamdDomains(
  files: Reads,
  texts: readonly {readonly path: AbsolutePath; readonly text: string}[],
): Promise<RivalDomains> {
  const found = new FoundDomains();
  const paths = new Set<string>();
  for (const {path, text} of texts) {
    for (const {name, block} of rspamdBlocks(text)) {
      if (block === undefined) found.lost(`domain in ${path}`);
      else found.add(name, path);
    }
    const rest = withoutBlocks(text);
    for (const match of text.matchAll(RSPAMD_ELSEWHERE)) found.lost(`${match[0].trim()} in ${path}`);
    for (const [, name = '', value = ''] of rest.matchAll(RSPAMD_SETTING)) {
      if (name === 'path') paths.add(value);
      else await rspamdMap(files, found, {name, value, path});
    }
  }
  for (const path of paths.size === 0 ? [RSPAMD_KEYS] : paths) await keysByDomain(files, found, path);
  return found.domains;
}

/** Names of the blocks in `domain { … }`; a block that is not closed has none. */
function rspamdBlocks(text: string): readonly {readonly name: string; readonly block: string | undefined}[] {
  const blocks: {name: string; block: string | undefined}[] = [];
  for (const {from, to} of domainSections(text)) {
    if (to === undefined) {
      blocks.push({name: '', block: undefined});
      continue;
    }
    let depth = 0;
    let name = '';
    for (const [token] of text.slice(from, to).matchAll(/"[^"\n]*"|[{}]|[^\s{}"]+/g)) {
      if (token === '{') {
        if (depth === 0) blocks.push({name: name.replace(/^"|"$/g, ''), block: ''});
        depth += 1;
      } else if (token === '}') depth -= 1;
      else if (depth === 0 && token !== '=' && token !== ':') name = token;
    }
  }
  return blocks;
}

/** What is between the braces of each `domain { … }`; `to` is undefined where they do not close. */
function domainSections(text: string): readonly {readonly from: number; readonly to: number | undefined}[] {
  const sections: {from: number; to: number | undefined}[] = [];
  let after = 0;
  for (const match of text.matchAll(/\bdomain[\s=:]*\{/g)) {
    if (match.index < after) continue;
    const from = match.index + match[0].length;
    let depth = 1;
    let at = from;
    for (; at < text.length && depth > 0; at += 1) {
      if (text[at] === '{') depth += 1;
      else if (text[at] === '}') depth -= 1;
    }
    sections.push({from, to: depth === 0 ? at - 1 : undefined});
    after = at;
  }
  return sections;
}

const withoutBlocks = (text: string): string =>
  domainSections(text).reduceRight(
    (rest, {from, to}) => rest.slice(0, from) + (to === undefined ? '' : rest.slice(to)),
    text,
  );

async function rspamdMap(
  files: Reads,
  found: FoundDomains,
  {name, value, path}: {readonly name: string; readonly value: string; readonly path: AbsolutePath},
): Promise<void> {
  // It only says where the key of a name is.
  if (name === 'key_table') return;
  const file = parseAbsolutePath(value.replace(/^(?:map|file):\/\//, ''));
  const text = file.ok ? await tryReadText(files, file.value) : undefined;
  if (!file.ok || text === undefined) return found.lost(`${name} in ${path}`);
  for (const row of parseTable(text)) found.add(domainOfPattern(row.key) || row.key, file.value);
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
