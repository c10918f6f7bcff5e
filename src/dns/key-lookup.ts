/** Key records for the engine: from the host's resolver, or straight from the authoritative servers. */
import type {KeyLookup, KeyLookupAnswer} from '../dkim/index.ts';
import {type DnsName, isWithin} from '../domain/names.ts';
import {ask, type DnsPorts} from './client.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {Zone} from './survey.ts';
import type {DnsMessage} from './wire.ts';

/** TXT records of the name and of what a CNAME of the same answer leads to (RFC 6376 §3.6.2.2 leaves CNAMEs to DNS). */
const recordsOf = (message: DnsMessage): readonly string[] =>
  message.answers.flatMap(record => (record.type === 'TXT' ? [record.text] : []));

const answerOf = (records: readonly string[]): KeyLookupAnswer =>
  records.length === 0 ? {status: 'absent'} : {status: 'found', records};

/** Asks the resolvers of this host, or those given. */
export const createKeyLookup =
  (ports: DnsPorts, options: ResolverOptions): KeyLookup =>
  async name => {
    const resolvers = options.resolvers?.length === 0 ? undefined : options.resolvers;
    const answer = await resolve(ports, {name, type: 'TXT'}, {...options, resolvers});
    if (answer.kind === 'answer') return answerOf(recordsOf(answer.message));
    const reasons = {
      none: 'this host has no resolver',
      silent: 'the resolver does not answer',
      failed: 'the resolver reports a failure (SERVFAIL)',
    };
    return {status: 'temporary', reason: reasons[answer.kind]};
  };

/**
 * Asks the authoritative servers of the zones given, each in turn until one answers; other names, and those that are
 * only an alias, go to `fallback`. For a key that was published a moment ago: no cache stands between.
 */
export const createAuthoritativeLookup =
  (ports: DnsPorts, zones: readonly Zone[], fallback: KeyLookup): KeyLookup =>
  async (name: DnsName) => {
    const zone = zones
      .filter(({apex}) => isWithin(name, apex))
      .sort((one, other) => other.apex.length - one.apex.length)[0];
    for (const server of zone?.servers ?? []) {
      const outcome = await ask(ports, server, {name, type: 'TXT'}, {recursion: false, signal: undefined});
      if (outcome.kind !== 'answer' || !outcome.message.authoritative) continue;
      const records = recordsOf(outcome.message);
      const isAlias = outcome.message.answers.some(({type}) => type === 'CNAME');
      if (records.length > 0 || !isAlias) return answerOf(records);
      break;
    }
    return await fallback(name);
  };
