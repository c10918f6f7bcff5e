/** Domains that Postfix's own configuration names, the best guess for signing first. */
import {type DomainName, parseDomain} from '../../domain/names.ts';
import {parseAbsolutePath} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {Files} from '../../system/ports.ts';
import {tryReadText} from '../reading.ts';
import type {PostfixFacts} from './facts.ts';
import {tableKeys} from './parse.ts';

const READABLE_TABLE = /^(?:hash|texthash|lmdb|btree|cdb|dbm):(\/.+)$/;

/**
 * Sender domain first, then hosted ones, then local ones; the host's own name and localhost names last. Tables are read
 * from their source text; those in a database are named in a remark.
 *
 * @param relay relay_domains; `isNamed`: mydomain stands in main.cf, it is not only derived from the host's name
 */
export async function mailDomains(
  files: Pick<Files, 'read'>,
  facts: PostfixFacts,
  {relay: relayed, isNamed}: {readonly relay: readonly string[]; readonly isNamed: boolean},
): Promise<{domains: readonly DomainName[]; remarks: readonly Problem[]}> {
  const remarks: Problem[] = [];
  const [virtual, local, relay] = await Promise.all(
    [facts.virtualDomains, facts.mydestination, relayed].map(list => readList(files, list, remarks)),
  );
  const sure = isNamed || (local ?? []).includes(facts.mydomain) ? [facts.mydomain] : [];
  const candidates = [
    facts.myorigin,
    ...sure,
    ...(virtual ?? []),
    ...(local ?? []),
    facts.mydomain,
    ...(relay ?? []),
    facts.hostname,
  ];
  const domains = new Set<DomainName>();
  for (const candidate of candidates) {
    const parsed = parseDomain(candidate);
    if (parsed.ok) domains.add(parsed.value);
  }
  const isLast = (domain: string): boolean =>
    domain === facts.hostname.toLowerCase() || /^localhost\.|\.(localdomain|local|localhost)$/.test(domain);
  return {
    domains: [...domains].toSorted((one, other) => Number(isLast(one)) - Number(isLast(other))),
    remarks,
  };
}

async function readList(
  files: Pick<Files, 'read'>,
  list: readonly string[],
  remarks: Problem[],
): Promise<readonly string[]> {
  const found: string[] = [];
  for (const word of list) {
    if (!/[/:]/.test(word)) {
      if (!word.startsWith('!')) found.push(word);
      continue;
    }
    const path = parseAbsolutePath(READABLE_TABLE.exec(word)?.[1] ?? word);
    const text = path.ok ? await tryReadText(files, path.value) : undefined;
    if (text === undefined) remarks.push(unreadTable(word));
    // Addresses stand in the same tables as domains.
    else found.push(...tableKeys(text).filter(key => !key.includes('@')));
  }
  return found;
}

const unreadTable = (word: string): Problem =>
  problem(
    'postfix.domain-table',
    // What follows the type may be a DSN with a password.
    `Domains in ${visible(/^[a-z]+:\/[^@]*$/.test(word) ? word : `a ${word.split(':', 1)[0] ?? ''} table`)} were not read.`,
    'Name such domains with --domain.',
  );
