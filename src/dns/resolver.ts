/** Questions to the host's resolver, or to those the user named. */

import type {DnsName} from '../domain/names.ts';
import type {DnsServer} from '../system/ports.ts';
import {ask, type DnsPorts} from './client.ts';
import type {DnsMessage, Question} from './wire.ts';

export interface ResolverOptions {
  /** Instead of those in resolv.conf. */
  readonly resolvers?: readonly DnsServer[] | undefined;
  readonly signal?: AbortSignal | undefined;
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
