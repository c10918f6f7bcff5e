/** Lookup tables of Postfix as far as their rows can be read (DATABASE_README, cidr_table(5), regexp_table(5)). Pure. */
import {addressOctets, isInNetwork} from '../../../dns/address.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../../domain/paths.ts';
import {tokens} from '../parse.ts';

/** `hash:/etc/postfix/canonical`, taken apart. */
export interface TableWord {
  readonly text: string;
  /** Without `proxy:`. */
  readonly type: string;
  readonly name: string;
}

export interface TableRow {
  /** As it is written. */
  readonly pattern: string;
  readonly value: string;
  /** `unknown`: a regular expression that is not evaluated here. */
  covers(key: string): boolean | 'unknown';
}

/** The tables of a list, in the order in which they are asked. */
export const tableWords = (value: string): readonly TableWord[] =>
  tokens(value).map(({text}) => {
    const [, type = '', name = ''] = /^(?:proxy:)?([a-z0-9]+):(.*)$/s.exec(text) ?? [];
    return {text, type, name};
  });

/** Where the rows stand as a text that Postfix itself reads. */
export function textPathOf({type, name}: TableWord): AbsolutePath | undefined {
  const path = ['cidr', 'texthash', 'regexp', 'pcre'].includes(type) ? parseAbsolutePath(name) : undefined;
  return path?.ok === true ? path.value : undefined;
}

/** The path without its ending of a table that `postmap -s` lists. */
export function indexedPathOf({type, name}: TableWord): AbsolutePath | undefined {
  const path = ['hash', 'btree', 'lmdb', 'cdb', 'dbm'].includes(type) ? parseAbsolutePath(name) : undefined;
  return path?.ok === true ? path.value : undefined;
}

/**
 * The rows of a table, undefined where they cannot be known.
 *
 * @param text rows as in the file, or as `postmap -s` prints them
 */
export function rowsOf(word: TableWord, text: string | undefined): readonly TableRow[] | undefined {
  if (word.type === 'static') return [{pattern: '*', value: staticValue(word.name), covers: () => true}];
  if (word.type === 'inline') return inlineRows(word.name);
  if (text === undefined) return undefined;
  if (word.type === 'cidr') return cidrRows(text);
  if (word.type === 'regexp' || word.type === 'pcre') return patternRows(text);
  if (textPathOf(word) === undefined && indexedPathOf(word) === undefined) return undefined;
  return logicalRows(text).flatMap(line => {
    const [, key = '', value = ''] = /^(\S+)\s(.*)$/s.exec(line) ?? [];
    return key === '' ? [] : [exactRow(key, value.trim())];
  });
}

const staticValue = (name: string): string => (name.startsWith('{') ? name.slice(1, -1).trim() : name);

function exactRow(key: string, value: string): TableRow {
  const lower = key.toLowerCase();
  return {pattern: key, value, covers: asked => asked.toLowerCase() === lower};
}

/** `{ key = value, { key = value with blanks } }`; the outer braces are those of the word. */
function inlineRows(name: string): readonly TableRow[] | undefined {
  if (!/^\{.*\}$/s.test(name)) return undefined;
  return tokens(name.slice(1, -1)).flatMap(({text}) => {
    const plain = text.startsWith('{') ? text.slice(1, -1) : text;
    const equals = plain.indexOf('=');
    return equals < 0 ? [] : [exactRow(plain.slice(0, equals).trim(), plain.slice(equals + 1).trim())];
  });
}

/** Comments and empty lines end nothing; a line that begins with white space goes on. */
function logicalRows(text: string): readonly string[] {
  const rows: string[] = [];
  for (const line of text.split('\n')) {
    if (/^\s*(#|$)/.test(line)) continue;
    const last = rows.length - 1;
    if (!/^\s/.test(line)) rows.push(line.trimEnd());
    else if (last >= 0) rows[last] = `${rows[last]} ${line.trim()}`;
  }
  return rows;
}

/** Blocks (`if`, `endif`) are not read: then the table is unknown. */
function cidrRows(text: string): readonly TableRow[] | undefined {
  const rows: TableRow[] = [];
  for (const line of logicalRows(text)) {
    if (/^(end)?if(\s|$)/i.test(line)) return undefined;
    const [, not, network = '', value = ''] = /^(!?)\s*(\S+)\s+(\S.*)$/s.exec(line) ?? [];
    const [base = '', length] = network.split('/');
    const octets = addressOctets(base.replace(/^\[(.*)\]$/, '$1'));
    // Postfix skips a row that it cannot read.
    if (octets === undefined) continue;
    const prefix = length === undefined ? octets.length * 8 : Number(length);
    rows.push({
      pattern: `${not ?? ''}${network}`,
      value: value.trim(),
      covers: key => {
        const address = addressOctets(key);
        return address !== undefined && isInNetwork(address, octets, prefix) === (not !== '!');
      },
    });
  }
  return rows;
}

function patternRows(text: string): readonly TableRow[] | undefined {
  const rows: TableRow[] = [];
  for (const line of logicalRows(text)) {
    if (/^(end)?if(\s|$)/i.test(line)) return undefined;
    const found = delimited(line);
    if (found !== undefined) rows.push(found);
  }
  return rows;
}

/** `/pattern/flags value`, with any delimiter. */
function delimited(line: string): TableRow | undefined {
  const isNegated = line.startsWith('!');
  const start = isNegated ? 1 : 0;
  const mark = line[start] ?? '';
  let end = start + 1;
  while (end < line.length && line[end] !== mark) end += line[end] === '\\' ? 2 : 1;
  if (mark === '' || end >= line.length) return undefined;
  const [flags = ''] = /^\S*/.exec(line.slice(end + 1)) ?? [];
  const literal = literalOf(line.slice(start + 1, end));
  return {
    pattern: line.slice(0, end + 1),
    value: line.slice(end + 1 + flags.length).trim(),
    covers: key => {
      if (literal === undefined || isNegated || flags !== '') return 'unknown';
      const [asked, wanted] = [key.toLowerCase(), literal.text.toLowerCase()];
      if (literal.fromStart) return literal.toEnd ? asked === wanted : asked.startsWith(wanted);
      return literal.toEnd ? asked.endsWith(wanted) : asked.includes(wanted);
    },
  };
}

interface Literal {
  readonly text: string;
  readonly fromStart: boolean;
  readonly toEnd: boolean;
}

/** A pattern that is plain text but for its anchors; undefined for all others. `/./` and `/.*\/` cover everything. */
function literalOf(pattern: string): Literal | undefined {
  if (['.', '.*', '^', '^.*', '^.*$', '.+', '^.+$'].includes(pattern))
    return {text: '', fromStart: false, toEnd: false};
  const fromStart = pattern.startsWith('^');
  const toEnd = pattern.endsWith('$') && !pattern.endsWith('\\$');
  const body = pattern.slice(fromStart ? 1 : 0, toEnd ? -1 : undefined);
  let text = '';
  for (let at = 0; at < body.length; at += 1) {
    const character = body[at] ?? '';
    if (character === '\\') {
      at += 1;
      const escaped = body[at] ?? '';
      if (!/^[^A-Za-z0-9]$/.test(escaped)) return undefined;
      text += escaped;
    } else if (/[.*+?()[\]{}|^$]/.test(character)) return undefined;
    else text += character;
  }
  return {text, fromStart, toEnd};
}
