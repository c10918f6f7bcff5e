/** Whose mail the rows in effect sign: one address for each row, as the From of a message. */
import {parseDomain} from '../../domain/names.ts';
import type {Files} from '../../system/ports.ts';
import {readText} from '../reading.ts';
import type {DataSet} from './decide/data-set.ts';
import {openSet} from './decide/open-set.ts';
import {flag, type Settings} from './decide/settings.ts';
import {domainOfPattern, keyRows, labelOf, type SigningKind, type TableRow} from './tables/rows.ts';

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

/** Reads the tables that are set. A table that cannot be read is said, not guessed. */
export async function sendersInEffect(files: Pick<Files, 'inspect'>, settings: Settings): Promise<Senders> {
  const unread: string[] = [];
  const open = async (name: 'Domain' | 'KeyTable' | 'SigningTable'): Promise<DataSet | undefined> => {
    const setting = settings(name);
    if (setting === undefined) return undefined;
    const opened = await openSet(name, setting, path => readText(files, path));
    if (opened.kind === 'set') return opened.set;
    unread.push(name);
    return undefined;
  };
  if (settings('KeyTable') === undefined) {
    const below = flag(settings, 'SubDomains', false);
    const all = ((await open('Domain'))?.rows ?? []).flatMap(({key}) => [
      ...plain(key),
      ...(below ? plain(`${ANYTHING}.${key}`) : []),
    ]);
    return {all: once(all), kind: 'file', unread};
  }
  const signing = await open('SigningTable');
  const kind = signing?.kind === 'refile' ? 'refile' : 'file';
  const keys = keyRows((await open('KeyTable'))?.rows ?? []);
  const senders = (signing?.rows ?? []).flatMap(row => senderOf(row, kind));
  return {all: once([...senders, ...keys.flatMap(row => plain(row.domain))]), kind, unread};
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
