/** What every server of a zone says of one record in one question each: enough to know a right record, never a mistake. */
import type {DnsName} from '../../domain/names.ts';
import {ask, type DnsPorts, type Outcome} from '../client.ts';
import type {AuthoritativeServer} from '../survey.ts';
import type {TxtRecord} from '../wire.ts';

export interface PlainAnswer {
  readonly server: AuthoritativeServer;
  readonly text: string;
  readonly ttlSeconds: number;
}

/**
 * The one TXT record at the name from each server that can be reached. Undefined where any of them does not answer, does
 * not speak for the zone, or has none or several: that needs the thorough look.
 */
export async function plainAnswers(
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
    answers.push({server, text: record.text, ttlSeconds: record.ttlSeconds});
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
