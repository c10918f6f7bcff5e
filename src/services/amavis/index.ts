/** amavis, as a content filter that may sign. Its configuration is Perl in pieces; the last assignment counts. */
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../../domain/paths.ts';
import type {Decision, Source} from '../../domain/source.ts';
import {visible} from '../../domain/text.ts';
import type {Files} from '../../system/ports.ts';
import type {Rival, RivalDomains} from '../facts.ts';
import {FoundDomains} from '../found-domains.ts';
import {filters} from '../handed-to.ts';
import {type SignerRow, unknown} from '../key-rows.ts';
import {withLine} from '../lines.ts';
import {type ReadResult, readText, withoutComments} from '../reading.ts';
import type {KeyRowReads, RivalContext, SignerView, SigningProgram, SigningRow} from '../signer.ts';
import {unreadFilter} from '../unread-filter.ts';

const UNITS = ['amavis.service', 'amavisd.service'] as const;

export const amavis: SigningProgram = {
  kind: 'amavis',
  units: UNITS,
  rival,
  keyRows,
  views: async ({files}, {rivals}) => {
    const found = rivals.find(({kind, signs}) => kind === 'amavis' && signs !== 'no');
    return found === undefined ? [] : [viewOf(found, await readPieces(files))];
  },
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

interface Turned {
  readonly path: AbsolutePath;
  readonly line: number;
  readonly value: string;
}

/** Where its signing is switched on or off. */
function switchIn(pieces: readonly Piece[]): Turned | undefined {
  return pieces
    .flatMap(({path, text}) =>
      [...text.matchAll(/\$enable_dkim_signing\s*=\s*([^;\s]+)/g)].map(({index, 1: value = ''}) => ({
        ...{path, value},
        line: lineAt(text, index),
      })),
    )
    .at(-1);
}

const lineAt = (text: string, index: number): number => text.slice(0, index).split('\n').length;

const isAmavis = (to: string, runs: boolean): boolean =>
  /amavis/.test(to) || (runs && /:1002[46]\b/.test(to));

async function rival({ports, entrances, active}: RivalContext): Promise<Rival | undefined> {
  const unit = UNITS.find(name => active.has(name));
  const filter = filters(entrances).find(({text}) => isAmavis(text, unit !== undefined));
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

/**
 * It signs mail that it takes for its own ("originating": by the port, by @mynetworks, by a login), with the key that
 * fits the author best; policy banks and lists can change both.
 */
function viewOf(found: Rival, pieces: readonly Piece[]): SignerView {
  const turned = switchIn(pieces);
  const source: Source =
    turned === undefined
      ? {by: 'default', program: found.program}
      : {by: 'file', path: turned.path, line: turned.line};
  const rows = callsIn(pieces).flatMap(({path, line, named}): readonly SigningRow[] => {
    if (named === undefined) return [];
    const {domain, selector, file} = named;
    const key = parseAbsolutePath(file);
    return [
      {
        ...{pattern: visible(`*@${domain}`), domain, selector: visible(selector)},
        keyPath: key.ok ? key.value : undefined,
        source: {by: 'file', path, line},
      },
    ];
  });
  const decision: Decision = {
    ...{name: '$enable_dkim_signing', value: visible(turned?.value ?? ''), source},
    says: "amavis may sign mail that it takes for its own (originating). waxseal can't tell which mail that is.",
  };
  return unreadFilter(found, to => isAmavis(to, found.unit !== undefined), decision, rows);
}

interface KeyCall {
  readonly path: AbsolutePath;
  readonly line: number;
  /** Undefined where a variable names any of them. */
  readonly named: {readonly domain: string; readonly selector: string; readonly file: string} | undefined;
}

const LITERAL = /^dkim_key\s*\(\s*(['"])([^'"$@]*)\1\s*,\s*(['"])([^'"$@]*)\3\s*,\s*(['"])([^'"$@]*)\5/;

const callsIn = (pieces: readonly Piece[]): readonly KeyCall[] =>
  pieces.flatMap(({path, text}) =>
    [...text.matchAll(/\bdkim_key\s*\(/g)].map(({index}) => {
      const call = LITERAL.exec(text.slice(index, index + 1000));
      const [, , domain = '', , selector = '', , file = ''] = call ?? [];
      const named = call === null ? undefined : {domain: domain.toLowerCase(), selector, file};
      return {path, line: lineAt(text, index), named};
    }),
  );

async function keyRows({files, keys}: KeyRowReads): Promise<readonly SignerRow[]> {
  const pieces = await readPieces(files);
  if (switchIn(pieces)?.value === '0') return [];
  const rows: SignerRow[] = pieces.flatMap(({path, read}) =>
    read.text === undefined && !read.isMissing
      ? [{signer: 'amavis', file: visible(path), what: 'the configuration', key: unknown(read.why)}]
      : [],
  );
  for (const {path, line, named} of callsIn(pieces)) {
    const place = {signer: 'amavis', file: visible(path), line, what: 'dkim_key'};
    if (named === undefined) {
      rows.push({...place, key: unknown('names its key by a variable')});
      continue;
    }
    const {domain, selector, file} = named;
    for (const key of await keys.read(file)) rows.push({...place, domain, selector: visible(selector), key});
  }
  return rows;
}
