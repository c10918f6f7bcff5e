/** How the sender in the header is rewritten before milters see it (ADDRESS_REWRITING_README, cleanup_message.c). Pure. */
import {addressOctets} from '../../../dns/address.ts';
import {addressIn} from '../../../domain/author.ts';
import type {SenderRewrite, Submitter} from '../../mta.ts';
import {tokens, words} from '../parse.ts';
import {CHANGES_HEADER, checksOf} from './checks.ts';
import {type Applies, inNetworks} from './clients.ts';
import {isLoopback} from './rows.ts';
import {decision, placed} from './says.ts';
import type {ReadConfiguration, Row, ServiceSettings, Setting} from './settings.ts';
import {rowsOf, type TableRow, type TableWord, tableWords} from './tables.ts';

/**
 * Whose rules count for the headers of a message (trivial-rewrite(8)): those of this host, those for mail of strangers,
 * or none at all.
 */
export type Context = 'local' | 'remote' | 'none';

export interface Rewriting {
  /** The service that hands the mail to cleanup, where its options count. */
  readonly entering: ServiceSettings | undefined;
  readonly cleanup: ServiceSettings;
  /** Two where it cannot be told which one it is. */
  contextsOf(by: Submitter | undefined): readonly Context[];
}

/** A client on this host: a filter that hands mail back. */
export const FROM_HERE: Submitter = {address: '127.0.0.1', authenticated: false};

/** Mail by sendmail(1) and QMQP, and what Postfix writes itself. */
export const alwaysLocal = (): readonly Context[] => ['local'];

/**
 * Mail by SMTP: of the clients in local_header_rewrite_clients; of others with remote_header_rewrite_domain only.
 *
 * @param isReturned by a filter, which may tell that the message came from a stranger (XFORWARD_README, SOURCE)
 */
export function rewritingClients(
  read: ReadConfiguration,
  row: Row,
  cleanup: ServiceSettings,
  isReturned: boolean,
): Rewriting['contextsOf'] {
  const settings = read.of(row);
  const remote: Context = cleanup.value('remote_header_rewrite_domain').trim() === '' ? 'none' : 'remote';
  const isTold =
    isReturned && inNetworks(settings, 'smtpd_authorized_xforward_hosts', FROM_HERE.address) !== 'no';
  const rules = tokens(settings.value('local_header_rewrite_clients')).map(({text}) => text);
  const isFromHere = isLoopback(read, row);
  return by => {
    const answers = rules.map(rule => ruleApplies(rule, settings, isFromHere, by));
    const isLocal = answers.includes('yes');
    const isUnclear = isLocal ? isTold : answers.includes('depends');
    return isUnclear ? ['local', remote] : [isLocal ? 'local' : remote];
  };
}

function ruleApplies(
  rule: string,
  settings: ServiceSettings,
  isFromHere: boolean,
  by: Submitter | undefined,
): Applies {
  const isLocal = isFromHere || (by !== undefined && isLoopbackAddress(by.address));
  switch (rule.toLowerCase()) {
    case 'permit_inet_interfaces':
      return isLocal ? 'yes' : by === undefined ? 'depends' : 'no';
    case 'permit_mynetworks':
      return isLocal ? 'yes' : by === undefined ? 'depends' : inNetworks(settings, 'mynetworks', by.address);
    case 'permit_sasl_authenticated':
      return by === undefined ? 'depends' : by.authenticated ? 'yes' : 'no';
    case 'check_address_map':
      return 'no';
    default:
      return rule.startsWith('static:') ? 'yes' : 'depends';
  }
}

const isLoopbackAddress = (address: string): boolean => {
  const octets = addressOctets(address);
  return octets !== undefined && (octets.length === 4 ? octets[0] === 127 : address === '::1');
};

/** The rules in the order in which cleanup applies them to an address. */
export function rewritesOf(read: ReadConfiguration, rewriting: Rewriting): readonly SenderRewrite[] {
  const rewriter = rewriterOf(read);
  const origin = originOf(read, rewriter.get('myorigin'));
  const local = completed(rewriter, 'myorigin', origin, rewriter.value('mydomain'));
  const domain = rewriter.value('remote_header_rewrite_domain').trim();
  const remote = completed(rewriter, 'remote_header_rewrite_domain', domain, domain);
  return [
    ...checkedSenders(read, rewriting),
    limited(local, rewriting.contextsOf, ['local']),
    ...(domain === '' ? [] : [limited(remote, rewriting.contextsOf, ['remote'])]),
    ...mappingsOf(read, rewriting),
  ];
}

/** header_checks that replace From or Sender, before any other rule (cleanup_message.c). */
function checkedSenders(read: ReadConfiguration, {entering, cleanup}: Rewriting): readonly SenderRewrite[] {
  if (words(entering?.value('receive_override_options') ?? '').includes('no_header_body_checks')) return [];
  const setting = cleanup.get('header_checks');
  const why = decision(setting, `${placed(setting)} replaces the sender before milters see it.`);
  return checksOf(read, setting).checks.flatMap(
    ({action, field, isWhole, text}): readonly SenderRewrite[] => {
      if (!CHANGES_HEADER.has(action) || (field !== 'from' && field !== 'sender')) return [];
      const [, name, value = ''] = /^([A-Za-z]+):(.*)$/s.exec(text) ?? [];
      const isPlain = isWhole && action === 'REPLACE' && name?.toLowerCase() === field && !text.includes('$');
      const to = isPlain ? addressIn(value.trim()) : undefined;
      return [{decision: why, only: field, rewrite: () => to ?? 'unknown'}];
    },
  );
}

const rewriterOf = (read: ReadConfiguration): ServiceSettings =>
  read.of(read.rows.find(row => row.command === 'trivial-rewrite'));

/** The rules after the completion of bare names; they are the same for mail of strangers. */
export function mappingsOf(
  read: ReadConfiguration,
  {entering, cleanup, contextsOf}: Rewriting,
): readonly SenderRewrite[] {
  if (words(entering?.value('receive_override_options') ?? '').includes('no_address_mappings')) return [];
  const origin = originOf(read, rewriterOf(read).get('myorigin'));
  const rules: SenderRewrite[] = [];
  for (const [name, classes] of [
    ['sender_canonical_maps', 'sender_canonical_classes'],
    ['canonical_maps', 'canonical_classes'],
  ] as const) {
    const setting = cleanup.get(name);
    if (setting.value.trim() !== '' && words(cleanup.value(classes)).includes('header_sender'))
      rules.push(mapped(read, cleanup, setting, origin));
  }
  const masquerade = cleanup.get('masquerade_domains');
  const isMasqueraded = words(cleanup.value('masquerade_classes')).includes('header_sender');
  if (masquerade.value.trim() !== '' && isMasqueraded) rules.push(masqueraded(cleanup, masquerade));
  return rules.map(rule => limited(rule, contextsOf, ['local', 'remote']));
}

function limited(
  rule: SenderRewrite,
  contextsOf: Rewriting['contextsOf'],
  within: readonly Context[],
): SenderRewrite {
  return {
    decision: rule.decision,
    rewrite(address, by) {
      const applies = contextsOf(by).map(context => within.includes(context));
      const next = applies.includes(true) ? rule.rewrite(address, by) : undefined;
      return applies.includes(false) && next !== undefined && next !== address ? 'unknown' : next;
    },
  };
}

/** A file name stands for its first line, which is read beside the tables (postconf(5), myorigin). */
function originOf(read: ReadConfiguration, setting: Setting): string | undefined {
  if (!setting.value.startsWith('/')) return setting.value.trim();
  return read.configuration.tables.get(setting.value)?.split('\n', 1)[0]?.trim();
}

/** Adds what is missing of a domain (append_at_myorigin, append_dot_mydomain). */
function completed(
  settings: ServiceSettings,
  name: 'myorigin' | 'remote_header_rewrite_domain',
  origin: string | undefined,
  parent: string,
): SenderRewrite {
  const appendsDomain = settings.value('append_dot_mydomain').trim() === 'yes';
  return {
    decision: decision(
      settings.get(name),
      `A sender without a domain gets the one of ${name} before milters see it.`,
    ),
    rewrite(address) {
      if (!address.includes('@')) return origin === undefined ? 'unknown' : `${address}@${origin}`;
      const domain = address.slice(address.lastIndexOf('@') + 1);
      if (!appendsDomain || domain.includes('.') || domain.startsWith('[') || domain === '') return undefined;
      return `${address}.${parent}`;
    },
  };
}

function mapped(
  read: ReadConfiguration,
  cleanup: ServiceSettings,
  setting: Setting,
  origin: string | undefined,
): SenderRewrite {
  const tables = tableWords(setting.value).map(word => ({
    word,
    rows: rowsOf(word, read.configuration.tables.get(word.text)),
  }));
  const local = new Set(
    [origin ?? '', ...words(cleanup.value('mydestination'))].map(domain => domain.toLowerCase()),
  );
  const delimiters = cleanup.value('recipient_delimiter').trim();
  return {
    decision: decision(setting, `${placed(setting)} rewrites senders before milters see them.`),
    rewrite(address) {
      let now = address;
      // A result is looked up again until it stays the same (cleanup_map11_external).
      for (let count = 0; count < MOST_LOOKUPS; count += 1) {
        const found = lookup(tables, now, local, delimiters);
        if (found === 'unknown') return 'unknown';
        const next = found === undefined ? now : applied(found, now, origin);
        if (next === undefined) return 'unknown';
        if (next.toLowerCase() === now.toLowerCase()) return next === address ? undefined : next;
        now = next;
      }
      return 'unknown';
    },
  };
}

const MOST_LOOKUPS = 100;

type Tables = readonly {readonly word: TableWord; readonly rows: readonly TableRow[] | undefined}[];

interface Found {
  readonly value: string;
  /** What was cut off the local part to find it, with its delimiter. */
  readonly extension: string;
}

/** Whole address, without its extension, the local part of a local domain, then the domain (canonical(5)). */
function lookup(
  tables: Tables,
  address: string,
  local: ReadonlySet<string>,
  delimiters: string,
): Found | 'unknown' | undefined {
  const at = address.lastIndexOf('@');
  if (at < 0) return undefined;
  const [name, domain] = [address.slice(0, at), address.slice(at + 1)];
  const cut = [...name].findIndex((character, index) => index > 0 && delimiters.includes(character));
  const bare = cut < 0 ? undefined : name.slice(0, cut);
  const extension = cut < 0 ? '' : name.slice(cut);
  const isLocal = local.has(domain.toLowerCase());
  const keys: readonly (readonly [key: string, extension: string])[] = [
    [address, ''],
    ...(bare === undefined ? [] : [[`${bare}@${domain}`, extension] as const]),
    ...(isLocal ? [[name, ''] as const] : []),
    ...(isLocal && bare !== undefined ? [[bare, extension] as const] : []),
    [`@${domain}`, ''],
  ];
  for (const [index, [key, rest]] of keys.entries()) {
    for (const {word, rows} of tables) {
      // Patterns are asked for the whole address only.
      if (index > 0 && (word.type === 'regexp' || word.type === 'pcre')) continue;
      if (rows === undefined) return 'unknown';
      for (const row of rows) {
        const covers = row.covers(key);
        if (covers === 'unknown') return 'unknown';
        if (covers)
          return row.value.includes('$') && index === 0 ? 'unknown' : {value: row.value, extension: rest};
      }
    }
  }
  return undefined;
}

function applied({value, extension}: Found, address: string, origin: string | undefined): string | undefined {
  const result = value.replace(/^<(.*)>$/, '$1');
  if (result.startsWith('@')) return address.slice(0, address.lastIndexOf('@')) + result;
  const whole = result.includes('@') ? result : origin === undefined ? undefined : `${result}@${origin}`;
  if (whole === undefined || extension === '') return whole;
  const at = whole.lastIndexOf('@');
  return whole.slice(0, at) + extension + whole.slice(at);
}

/** Cuts hosts off a domain; of the list the first that is equal or a parent decides, `!` leaves it alone. */
function masqueraded(cleanup: ServiceSettings, setting: Setting): SenderRewrite {
  const domains = words(setting.value);
  const exceptions = words(cleanup.value('masquerade_exceptions'));
  return {
    decision: decision(setting, `${placed(setting)} shortens the sender's domain before milters see it.`),
    rewrite(address) {
      const at = address.lastIndexOf('@');
      const domain = address.slice(at + 1).toLowerCase();
      const name = address.slice(0, at);
      if (at < 0 || exceptions.some(one => one.toLowerCase() === name.toLowerCase())) return undefined;
      for (const word of domains) {
        const parent = word.replace(/^!+/, '').toLowerCase();
        if (parent === '' || (domain !== parent && !domain.endsWith(`.${parent}`))) continue;
        const isKept = (word.length - parent.length) % 2 === 1 || domain === parent;
        if (isKept) return undefined;
        return exceptions.some(one => /[:/]/.test(one)) ? 'unknown' : `${name}@${parent}`;
      }
      return undefined;
    },
  };
}
