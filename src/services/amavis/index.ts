/** amavis, as a content filter that may sign. Its configuration is Perl in pieces; the last assignment counts. */
import {type AbsolutePath, absolute, below} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import type {Files} from '../../system/ports.ts';
import type {Rival, RivalDomains} from '../facts.ts';
import {FoundDomains} from '../found-domains.ts';
import {filters} from '../handed-to.ts';
import {type SignerRow, unknown} from '../key-rows.ts';
import {withLine} from '../lines.ts';
import {type ReadResult, readText, withoutComments} from '../reading.ts';
import type {KeyRowReads, RivalContext, SigningProgram} from '../signer.ts';

const UNITS = ['amavis.service', 'amavisd.service'] as const;

export const amavis: SigningProgram = {
  kind: 'amavis',
  units: UNITS,
  rival,
  keyRows,
  switchOff: {
    by: 'configuration',
    edit: text => withLine(text, /^[ \t]*\$enable_dkim_signing[ \t]*=[ \t]*([^;\s#]+)/, '0', undefined),
    check: [],
    action: 'restart',
    steadyMs: 2000,
  },
};

interface Piece {
  readonly path: AbsolutePath;
  readonly read: ReadResult;
  /** Without comments; '' where it cannot be read. */
  readonly text: string;
}

async function readPieces(files: Pick<Files, 'inspect' | 'list'>): Promise<readonly Piece[]> {
  const directory = absolute('/etc/amavis/conf.d');
  const names = (await files.list(directory).catch(() => undefined)) ?? [];
  const paths = [
    ...names.map(name => below(directory, name)),
    absolute('/etc/amavisd.conf'),
    absolute('/etc/amavisd/amavisd.conf'),
  ];
  return await Promise.all(
    paths.map(async path => {
      const read = await readText(files, path);
      return {path, read, text: withoutComments(read.text ?? '')};
    }),
  );
}

/** The piece that switches its signing on or off, and whether it is on there. */
function switchIn(
  pieces: readonly Piece[],
): {readonly path: AbsolutePath; readonly value: string} | undefined {
  return pieces
    .flatMap(({path, text}) => {
      const value = [...text.matchAll(/\$enable_dkim_signing\s*=\s*([^;\s]+)/g)].at(-1)?.[1];
      return value === undefined ? [] : [{path, value}];
    })
    .at(-1);
}

async function rival({ports, entrances, active}: RivalContext): Promise<Rival | undefined> {
  const unit = UNITS.find(name => active.has(name));
  const filter = filters(entrances).find(
    ({text}) => /amavis/.test(text) || (unit !== undefined && /:1002[46]\b/.test(text)),
  );
  if (filter === undefined && unit === undefined) return undefined;
  const pieces = await readPieces(ports.files);
  const turned = switchIn(pieces);
  const has = (pattern: RegExp): boolean => pieces.some(({text}) => pattern.test(text));
  // Off is its default: a configuration that can be read, is whole, and never speaks of signing, does not sign.
  const isSilent = has(/\S/) && !has(/\bdkim_key\b|\$enable_dkim_signing\b|\binclude_config_files\b/);
  return {
    ...{kind: 'amavis', program: 'amavis'},
    evidence: filter === undefined ? 'amavis is running' : filter.evidence,
    signs:
      turned?.value === '1' && has(/\bdkim_key\s*\(/)
        ? 'yes'
        : filter === undefined || isSilent || turned?.value === '0'
          ? 'no'
          : 'perhaps',
    domains: amavisDomains(pieces),
    ...(turned === undefined ? {} : {configFile: turned.path}),
    ...(unit === undefined ? {} : {unit}),
  };
}

/** `dkim_key('example.com', 'selector', 'file')`, in texts without comments. */
export function amavisDomains(pieces: readonly Pick<Piece, 'path' | 'text'>[]): RivalDomains {
  const found = new FoundDomains();
  for (const {path, text} of pieces) {
    for (const match of text.matchAll(/\bdkim_key\s*\(\s*(?:(['"])([A-Za-z0-9.-]+)\1)?/g)) {
      if (match[2] === undefined) found.lost(`a dkim_key in ${path}`);
      else found.add(match[2], path);
    }
    if (/\binclude_config_files\b/.test(text)) found.lost(`include_config_files in ${path}`);
  }
  return found.domains;
}

const LITERAL = /^dkim_key\s*\(\s*(['"])([^'"$@]*)\1\s*,\s*(['"])([^'"$@]*)\3\s*,\s*(['"])([^'"$@]*)\5/;

async function keyRows({files, keys}: KeyRowReads): Promise<readonly SignerRow[]> {
  const pieces = await readPieces(files);
  if (switchIn(pieces)?.value === '0') return [];
  const rows: SignerRow[] = [];
  for (const {path, read, text} of pieces) {
    const place = {signer: 'amavis', file: visible(path)};
    if (read.text === undefined && !read.isMissing) {
      rows.push({...place, what: 'the configuration', key: unknown(read.why)});
    }
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
  return rows;
}
