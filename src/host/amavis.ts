/** Keys that amavis signs with: calls of dkim_key in its Perl configuration. */
import {type AbsolutePath, absolute, below} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import type {Files} from '../system/ports.ts';
import {type KeyReader, unknown} from './key-files.ts';
import type {SignerRow} from './key-uses.ts';
import {readText, withoutComments} from './texts.ts';

const DIRECTORY = absolute('/etc/amavis/conf.d');
const LITERAL = /^dkim_key\s*\(\s*(['"])([^'"$@]*)\1\s*,\s*(['"])([^'"$@]*)\3\s*,\s*(['"])([^'"$@]*)\5/;

export async function amavisRows(
  files: Pick<Files, 'inspect' | 'list'>,
  keys: KeyReader,
): Promise<readonly SignerRow[]> {
  const names = (await files.list(DIRECTORY).catch(() => undefined)) ?? [];
  const paths: readonly AbsolutePath[] = [
    ...names.map(name => below(DIRECTORY, name)),
    absolute('/etc/amavisd.conf'),
    absolute('/etc/amavisd/amavisd.conf'),
  ];
  const rows: SignerRow[] = [];
  let isOff = false;
  for (const path of paths) {
    const read = await readText(files, path);
    const place = {signer: 'amavis', file: visible(path)};
    if (read.text === undefined) {
      if (!read.isMissing) rows.push({...place, what: 'the configuration', key: unknown(read.why)});
      continue;
    }
    const text = withoutComments(read.text);
    const last = [...text.matchAll(/\$enable_dkim_signing\s*=\s*([^;\s]+)/g)].at(-1)?.[1];
    if (last !== undefined) isOff = last === '0';
    for (const {index} of text.matchAll(/\bdkim_key\s*\(/g)) {
      const line = text.slice(0, index).split('\n').length;
      const call = LITERAL.exec(text.slice(index, index + 1000));
      const [, , domain = '', , selector = '', , file = ''] = call ?? [];
      const found = call === null ? [unknown('names its key by a variable')] : await keys.read(file);
      for (const key of found) {
        const named = call === null ? {} : {domain: domain.toLowerCase(), selector: visible(selector)};
        rows.push({...place, line, what: 'dkim_key', ...named, key});
      }
    }
  }
  return isOff ? [] : rows;
}
