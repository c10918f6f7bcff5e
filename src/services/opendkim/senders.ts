/** Whose mail the rows in effect sign: one address for each row, as the From of a message. */
import {parseDomain} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import type {Files} from '../../system/ports.ts';
import {tryReadText} from '../reading.ts';
import {isTrue, parseDataSet} from './parse.ts';
import {
  domainOfPattern,
  keyRows,
  labelOf,
  parseListTable,
  parseTable,
  type SigningKind,
  type TableRow,
} from './tables.ts';

export interface Sender {
  readonly address: string;
  /** The domain that its row is for, lower case; '' for a row of any domain. */
  readonly domain: string;
  /** Key and label of its row; '' where only the key table or Domain names the domain. */
  readonly pattern: string;
  readonly label: string;
}

export interface Senders {
  readonly all: readonly Sender[];
  readonly kind: SigningKind;
  /** Sources of rows that cannot be read, for a person. */
  readonly unread: readonly string[];
}

/** A name that no host has (RFC 6761 §6.4): stands for what a star may be. */
const ANYTHING = 'x';
const ANY_DOMAIN = 'waxseal.invalid';

/** Reads the tables that `settings` (lower-case names) names. A table that cannot be read is said, not guessed. */
export async function sendersInEffect(
  files: Pick<Files, 'read'>,
  settings: Readonly<Record<string, string>>,
): Promise<Senders> {
  const unread: string[] = [];
  const rowsOf = async (name: string): Promise<readonly TableRow[]> => {
    const value = settings[name.toLowerCase()];
    const set = value === undefined ? undefined : parseDataSet(value);
    if (set === undefined) return [];
    if (set.kind === 'list') return parseListTable(set.entries);
    const text = set.kind === 'unsupported' ? undefined : await tryReadText(files, set.path);
    if (text === undefined) unread.push(name);
    return parseTable(text ?? '');
  };
  if (settings['keytable'] === undefined) {
    const below = isTrue(settings['subdomains']);
    const all = (await rowsOf('Domain')).flatMap(({key}) => [
      ...plain(key),
      ...(below ? plain(`${ANYTHING}.${key}`) : []),
    ]);
    return {all: once(all), kind: 'file', unread};
  }
  const set = parseDataSet(settings['signingtable'] ?? '');
  const kind = set.kind === 'refile' ? 'refile' : 'file';
  const signing = await rowsOf('SigningTable');
  const keys = keyRows(await rowsOf('KeyTable'));
  return {
    all: once([...signing.flatMap(row => senderOf(row, kind)), ...keys.flatMap(row => plain(row.domain))]),
    kind,
    unread,
  };
}

/** A mailbox of the domain itself. */
function plain(domain: string): readonly Sender[] {
  const name = parseDomain(domain);
  if (!name.ok) return [];
  return [{address: `postmaster@${name.value}`, domain: name.value, pattern: '', label: ''}];
}

/** None for a row whose text can be no address of a message: it would not match one either. */
export function senderOf(row: TableRow, kind: SigningKind): readonly Sender[] {
  const key = row.key.toLowerCase();
  const at = key.lastIndexOf('@');
  const local = at < 0 ? '*' : key.slice(0, at);
  const host = at < 0 ? key : key.slice(at + 1);
  // A bare name among patterns matches no sender (daemons/opendkim.md#tables).
  if (kind === 'refile' && at < 0 && !key.includes('*')) return [];
  const mailbox = local === '*' ? 'postmaster' : local.replace(/\*+/g, ANYTHING);
  const domain =
    host === '*'
      ? ANY_DOMAIN
      : (host.startsWith('.') ? `${ANYTHING}${host}` : host).replace(/\*+/g, ANYTHING);
  const name = parseDomain(domain);
  if (!name.ok || !/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$/.test(mailbox)) return [];
  return [
    {
      address: `${mailbox}@${name.value}`,
      domain: domainOfPattern(row.key),
      pattern: row.key,
      label: labelOf(row.value),
    },
  ];
}

/** The first row of an address counts. */
function once(senders: readonly Sender[]): readonly Sender[] {
  const seen = new Set<string>();
  return senders.filter(({address}) => !seen.has(address) && seen.add(address));
}

/**
 * Whether any of these keys of a signing table has a say about an address (daemons/opendkim.md#tables). The work
 * grows with the addresses and the odd patterns, of which there are few in practice.
 */
export function anyMatch(keys: readonly string[], kind: SigningKind): (address: string) => boolean {
  const lower = keys.map(key => key.toLowerCase());
  const exact = new Set(lower);
  const odd = lower.filter(key => kind === 'refile' && key.includes('*') && !/^\*@(\*\.)?[^*@]+$/.test(key));
  return address => {
    const author = address.toLowerCase();
    const names = kind === 'refile' ? patternsFor(author) : lookups(author);
    return names.some(name => exact.has(name)) || odd.some(pattern => starMatch(pattern, author));
  };
}

/** The customary patterns that an address can match, and the address itself. */
function patternsFor(author: string): readonly string[] {
  const host = author.slice(author.lastIndexOf('@') + 1);
  const names = [author, `*@${host}`];
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1))
    names.push(`*@*${host.slice(dot)}`);
  return names;
}

/** Without a regular expression: stars of somebody's text could take it exponential time. */
function starMatch(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split(/\*+/);
  const tail = rest.pop();
  if (tail === undefined) return pattern === text;
  if (!text.startsWith(head) || !text.endsWith(tail) || text.length < head.length + tail.length) return false;
  let at = head.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= text.length - tail.length;
}

/** What OpenDKIM looks up in a table without patterns, the most exact first. */
function lookups(author: string): readonly string[] {
  const at = author.lastIndexOf('@');
  const [user, host] = [author.slice(0, at), author.slice(at + 1)];
  const names = [author, host];
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
    names.push(`${user}@${host.slice(dot)}`, host.slice(dot));
  }
  return [...names, `${user}@*`, '*'];
}

/** For a sentence: the address, and the row it stands for. */
export const senderText = ({address, pattern}: Sender): string =>
  pattern === '' ? visible(address) : `${visible(address)} (row ${visible(pattern)})`;
