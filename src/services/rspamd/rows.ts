/** Whose mail rspamd signs, and with which keys: one row for each signature that a block, a map or a file by its name brings. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {Files} from '../../system/ports.ts';
import {filledPaths} from '../filled-paths.ts';
import type {SigningRow} from '../signer.ts';
import {rowFor} from './maps.ts';
import {filledIn, isOn, isTakenForKey, type Model, type Wish} from './model.ts';
import {rowOf} from './signatures.ts';

type Named = Omit<Model, 'keyState'>;
type Reads = Pick<Files, 'list' | 'resolve'>;

export async function rowsOf(files: Reads, model: Named): Promise<readonly SigningRow[]> {
  const {refusal, settings} = model;
  if (refusal !== undefined || isOn(settings('use_http_headers'))) return [];
  return isTabled(model) ? tableRows(model) : await domainRows(files, model);
}

/** Every path that a row names. */
export const namedKeys = async (files: Reads, model: Named): Promise<readonly AbsolutePath[]> =>
  (await rowsOf(files, model)).flatMap(({keyPath}) => keyPath ?? []);

const isTabled = ({maps, settings}: Named): boolean =>
  maps.has('signing_table') && (maps.has('key_table') || isOn(settings('use_vault')));

function tableRows({maps, settings}: Named): readonly SigningRow[] {
  const keys = maps.get('key_table')?.map.rows ?? [];
  return (maps.get('signing_table')?.map.rows ?? []).flatMap(row => {
    const address = row.key.toLowerCase();
    const domain = address.slice(address.lastIndexOf('@') + 1);
    const key = rowFor(keys, row.value === '%' ? domain : row.value.toLowerCase());
    const fields = key?.value.split(':') ?? [];
    if (fields.length !== 2 && fields.length !== 3) return [];
    const fill = (text: string): string => text.replaceAll('%', () => domain);
    const [d = '', second = '', third] = fields;
    const selector = third === undefined ? textOr(settings('selector').value, '') : second;
    const path = parseAbsolutePath(fill(third ?? second));
    return [rowOf({name: row.key, source: row.source}, fill(d), selector, path.ok ? path.value : undefined)];
  });
}

async function domainRows(files: Reads, model: Named): Promise<readonly SigningRow[]> {
  const {blocks, maps, settings} = model;
  const rows: SigningRow[] = [];
  const seen = new Set<string>();
  const selectors = maps.get('selector_map')?.map.rows ?? [];
  const paths = maps.get('path_map')?.map.rows ?? [];
  const add = (domain: string, wishes: readonly Wish[]): void => {
    seen.add(domain);
    for (const wish of wishes) {
      const selector = textOr(
        wish.selector ?? rowFor(selectors, domain)?.value ?? settings('selector').value,
        '',
      );
      const template = textOr(wish.path ?? rowFor(paths, domain)?.value ?? settings('path').value, '');
      const path = parseAbsolutePath(filledIn(template, domain, selector));
      if (selector === '' || template === '' || (path.ok && isTakenForKey(path.value))) continue;
      const keyPath = path.ok && !isOn(settings('use_redis')) ? path.value : undefined;
      rows.push(rowOf(wish, domain, selector, keyPath));
    }
  };
  for (const {name, wishes} of blocks.values()) add(name, wishes);
  for (const {key, source} of [...selectors, ...paths]) {
    const domain = key.toLowerCase();
    if (!seen.has(domain)) add(domain, [{setting: 'selector_map', name: key, source}]);
  }
  if (isOn(settings('try_fallback')) && !isOn(settings('use_redis'))) {
    for (const domain of await fallbackDomains(files, model)) {
      if (!seen.has(domain)) add(domain, [{setting: 'path', name: domain, source: settings('path').source}]);
    }
  }
  return rows;
}

/** Domains for which a key lies where the setting for all of them looks for it. */
async function fallbackDomains(files: Reads, {settings}: Named): Promise<readonly string[]> {
  const selector = textOr(settings('selector').value, '');
  const template = filledIn(textOr(settings('path').value, ''), '$domain', selector);
  const pattern = parseAbsolutePath(template);
  if (!pattern.ok || !template.includes('$domain')) return [];
  const [before = '', ...rest] = template.split('$domain');
  const found = await filledPaths(files, pattern.value, /\$domain/);
  return found.flatMap(path => {
    const domain = path.slice(before.length, path.length - rest.join('$domain').length);
    return /^[a-z0-9._-]+$/.test(domain) && rest.length === 1 ? [domain] : [];
  });
}

const textOr = (value: unknown, other: string): string => (typeof value === 'string' ? value : other);
