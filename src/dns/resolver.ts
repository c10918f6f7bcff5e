/** Questions to the host's resolver, or to those the user named. */

import type {DnsName} from '../domain/names.ts';
import type {Result} from '../domain/result.ts';
import type {DnsServer} from '../system/ports.ts';
import {ask, type DnsPorts} from './client.ts';
import type {Zone} from './survey.ts';
import type {DnsMessage, Question} from './wire.ts';

export interface ResolverOptions {
  /** Instead of those in resolv.conf. */
  readonly resolvers?: readonly DnsServer[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What the same look has learned of zones and servers before; a look of its own where there is none. */
  readonly learned?: Learned | undefined;
}

/**
 * What one look over many records asks once: zones, and the names and addresses of their servers. Make a new one for each
 * look: it holds no time to live. Records themselves are never in it.
 */
export interface Learned {
  /** By question and manner. */
  readonly answers: Map<string, Resolved>;
  /** By apex. */
  readonly zones: Map<DnsName, Result<Zone>>;
}

export const nothingLearned = (): Learned => ({answers: new Map(), zones: new Map()});

/** Answers and zones that are kept at most: a list may have any length. */
const MOST_LEARNED = 20_000;

/**
 * The value that is known, or the one that `find` finds; kept where it is `good`, or another may find a better one. Two who
 * ask at the same time both find it: neither waits for what the other could not ask.
 */
export async function learn<K, V>(
  known: Map<K, V>,
  key: K,
  find: () => Promise<V>,
  isGood: (value: V) => boolean,
): Promise<V> {
  const before = known.get(key);
  if (before !== undefined) return before;
  const found = await find();
  if (known.size >= MOST_LEARNED) known.clear();
  if (isGood(found)) known.set(key, found);
  return found;
}

/** DNSSEC bits of one question. */
export interface ResolveManner {
  readonly dnssec?: boolean;
  readonly unchecked?: boolean;
}

/**
 * `none`: there is no resolver to ask; `silent`: none answered, or all refused; `failed`: SERVFAIL from the last that
 * answered. NXDOMAIN is an answer.
 */
export type Resolved =
  | {readonly kind: 'answer'; readonly message: DnsMessage; readonly resolver: DnsServer}
  | {readonly kind: 'none'}
  | {readonly kind: 'silent'; readonly resolver: DnsServer}
  | {readonly kind: 'failed'; readonly resolver: DnsServer};

/** Asks one resolver after the other, as resolv.conf(5) has it, until one answers. */
export async function resolve(
  ports: DnsPorts,
  question: Question,
  options: ResolverOptions,
  manner: ResolveManner = {},
): Promise<Resolved> {
  const {learned} = options;
  // A record is never taken from memory, nor is anything that DNSSEC decides on.
  if (learned === undefined || question.type === 'TXT' || manner.dnssec === true) {
    return await asked(ports, question, options, manner);
  }
  const key = `${question.name} ${question.type}${manner.unchecked === true ? ' unchecked' : ''}`;
  return await learn(
    learned.answers,
    key,
    () => asked(ports, question, options, manner),
    ({kind}) => kind === 'answer',
  );
}

async function asked(
  ports: DnsPorts,
  question: Question,
  options: ResolverOptions,
  manner: ResolveManner,
): Promise<Resolved> {
  const resolvers = options.resolvers ?? (await ports.dns.hostResolvers());
  let last: Resolved = {kind: 'none'};
  for (const resolver of resolvers) {
    // A resolver may have to walk to far servers first: longer than for an authoritative one.
    const outcome = await ask(ports, resolver, question, {
      recursion: true,
      timeoutMs: 4000,
      signal: options.signal,
      ...manner,
    });
    if (outcome.kind === 'answer') {
      const {message} = outcome;
      if (message.rcode === 'NOERROR' || message.rcode === 'NXDOMAIN') {
        return {kind: 'answer', message, resolver};
      }
      if (message.rcode === 'SERVFAIL') {
        last = {kind: 'failed', resolver};
        continue;
      }
    }
    if (last.kind !== 'failed') last = {kind: 'silent', resolver};
  }
  return last;
}

/** The one TXT record of that kind which the resolver has; undefined where there is none, or more than one. */
export async function resolveOnlyText(
  ports: DnsPorts,
  name: DnsName,
  options: ResolverOptions,
  isWanted: (text: string) => boolean = () => true,
): Promise<string | undefined> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind !== 'answer') return undefined;
  const texts = resolved.message.answers.flatMap(record =>
    record.type === 'TXT' && isWanted(record.text) ? [record.text] : [],
  );
  return texts.length === 1 ? texts[0] : undefined;
}
