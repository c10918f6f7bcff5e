/** What every server of a zone says of one record in one question each: enough to know a right record, never a mistake. */
import type {DnsName, DomainName} from '../../domain/names.ts';
import {ask, type DnsPorts, type Outcome} from '../client.ts';
import type {AuthoritativeServer} from '../survey.ts';
import type {TxtRecord} from '../wire.ts';
import type {ServerBook} from './servers.ts';

export interface PlainAnswer extends TxtRecord {
  readonly server: AuthoritativeServer;
}

/**
 * What every server of the zone says where all of them have exactly one record, and `isRight` says so of each beside the
 * first; undefined where anything is otherwise. One question a server, beside what the book has to learn; `servers` counts
 * those without a route, too.
 */
export async function whereAllHave(
  ports: DnsPorts,
  book: ServerBook,
  {domain, name}: {readonly domain: DomainName; readonly name: DnsName},
  isRight: (answer: PlainAnswer, first: PlainAnswer) => boolean,
  signal?: AbortSignal,
): Promise<{readonly answers: readonly PlainAnswer[]; readonly servers: number} | undefined> {
  const servers = await book.serversOf(domain);
  const answers = servers === undefined ? undefined : await plainAnswers(ports, servers, name, signal);
  const [first] = answers ?? [];
  if (servers === undefined || answers === undefined || first === undefined) return undefined;
  return answers.every(answer => isRight(answer, first)) ? {answers, servers: servers.length} : undefined;
}

/**
 * The one TXT record at the name from each server that can be reached. Undefined where any of them does not answer, does
 * not speak for the zone, or has none or several: that needs the thorough look.
 */
async function plainAnswers(
  ports: DnsPorts,
  servers: readonly AuthoritativeServer[],
  name: DnsName,
  signal?: AbortSignal,
): Promise<readonly PlainAnswer[] | undefined> {
  const outcomes = await Promise.all(
    servers.map(async server => ({
      server,
      outcome: await ask(ports, server, {name, type: 'TXT'}, {recursion: false, signal}),
    })),
  );
  const answers: PlainAnswer[] = [];
  for (const {server, outcome} of outcomes) {
    // A server that this host has no route to cannot object.
    if (outcome.kind === 'no-route') continue;
    const record = recordIn(outcome, name);
    if (record === undefined) return undefined;
    answers.push({server, ...record});
  }
  return answers.length === 0 ? undefined : answers;
}

function recordIn(outcome: Outcome, name: DnsName): TxtRecord | undefined {
  if (outcome.kind !== 'answer' || !outcome.message.authoritative) return undefined;
  const {answers, rcode} = outcome.message;
  const [only, ...more] = answers.flatMap(record =>
    record.type === 'TXT' && record.name === name ? [record] : [],
  );
  return rcode === 'NOERROR' && more.length === 0 ? only : undefined;
}
