/** What the host's resolver says of the record: whether it has it, for how long it remembers, and DNSSEC. */
import {formatMoment} from '../domain/duration.ts';
import {problem} from '../domain/result.ts';
import type {Clock} from '../system/ports.ts';
import type {DnsPorts} from './client.ts';
import {sameKeyRecord} from './compare.ts';
import {type Resolved, type ResolverOptions, resolve} from './resolver.ts';
import type {Subject} from './subject.ts';
import type {CacheLimit, DnssecView, ResolverStatus, ServerView, Survey} from './survey.ts';
import type {DnsMessage, SignatureRecord} from './wire.ts';

/** Signatures are made anew by the server well before; fewer days are left only where that has stopped. */
const NEAR_DAYS = 3;
const DAY_MS = 86_400_000;

export interface ResolverView {
  readonly status: ResolverStatus;
  /** How long it will go on saying so, seconds. */
  readonly ttlSeconds: number;
  readonly dnssec: DnssecView | undefined;
}

/** Asks with DO. Where the answer is SERVFAIL, once more without validation: then it is known to be bogus. */
export async function askResolver(
  ports: DnsPorts,
  {name, expected}: Pick<Subject, 'name' | 'expected'>,
  options: ResolverOptions,
): Promise<ResolverView> {
  const question = {name, type: 'TXT'} as const;
  const resolved = await resolve(ports, question, options, {dnssec: true});
  if (resolved.kind === 'failed') {
    return {status: 'failed', ttlSeconds: 0, dnssec: await whenUnchecked(ports, question, options)};
  }
  if (resolved.kind !== 'answer') return {status: 'timeout', ttlSeconds: 0, dnssec: undefined};
  const {message} = resolved;
  const texts = message.answers.flatMap(record => (record.type === 'TXT' ? [record] : []));
  const dnssec = dnssecOf(ports.clock, message);
  const [only] = texts;
  if (only === undefined) {
    const soa = message.authorities.find(record => record.type === 'SOA');
    return {status: 'absent', ttlSeconds: soa?.ttlSeconds ?? 0, dnssec};
  }
  const matching = texts.length === 1 && sameKeyRecord(only.text, expected);
  return {status: matching ? 'matching' : 'wrong', ttlSeconds: only.ttlSeconds, dnssec};
}

async function whenUnchecked(
  ports: DnsPorts,
  question: Parameters<typeof resolve>[1],
  options: ResolverOptions,
): Promise<DnssecView | undefined> {
  const again: Resolved = await resolve(ports, question, options, {dnssec: true, unchecked: true});
  if (again.kind !== 'answer') return undefined;
  const {expiresAt} = dnssecOf(ports.clock, again.message);
  const isOver = expiresAt !== undefined && Date.parse(expiresAt) <= ports.clock.now().getTime();
  return {
    status: 'bogus',
    ...(expiresAt === undefined ? {} : {expiresAt}),
    mistake: isOver
      ? problem(
          'dns.signature-expired',
          `The DNSSEC signature of ${question.name} expired at ${expiresAt}: resolvers that validate refuse the record.`,
          'Have the zone signed anew; the signer of the zone has stopped, or its clock is wrong.',
        )
      : problem(
          'dns.dnssec-bogus',
          `DNSSEC is broken for ${question.name}: the resolver refuses what the servers say (SERVFAIL), and answers only unvalidated.`,
          `Compare the DS record at the registrar with the keys of the zone. Try: delv ${question.name} TXT`,
        ),
  };
}

function dnssecOf(clock: Clock, message: DnsMessage): DnssecView {
  const signatures = [...message.answers, ...message.authorities].filter(
    (record): record is SignatureRecord => record.type === 'RRSIG',
  );
  const ends = signatures.filter(({covered}) => covered === 'TXT').map(({expiresAt}) => expiresAt);
  const end = ends.length === 0 ? undefined : Math.min(...ends);
  const status = message.authentic ? 'validated' : signatures.length > 0 ? 'unchecked' : 'insecure';
  if (end === undefined) return {status};
  const expiresAt = new Date(end * 1000).toISOString();
  const left = end * 1000 - clock.now().getTime();
  if (left >= NEAR_DAYS * DAY_MS) return {status, expiresAt};
  return {
    status,
    expiresAt,
    mistake: problem(
      'dns.signature-expiring',
      `The DNSSEC signature of the record ends at ${formatMoment(expiresAt)}, in less than ${NEAR_DAYS} days.`,
      'Check that the zone is signed anew by itself: after that time no validating receiver reads the key.',
    ),
  };
}

/** What caches elsewhere may still hold, at most: counted from the moment at which all servers agreed. */
export function cacheLimits(
  clock: Clock,
  agreedAt: number,
  held: {readonly negativeSeconds: number; readonly oldSeconds: number; readonly resolver?: ResolverView},
): readonly CacheLimit[] {
  const now = clock.now().getTime();
  const {resolver} = held;
  const limits: readonly (readonly [CacheLimit['kind'], CacheLimit['where'], number])[] = [
    ['negative', 'anywhere', agreedAt + held.negativeSeconds * 1000],
    ['old', 'anywhere', agreedAt + held.oldSeconds * 1000],
    ['negative', 'resolver', resolver?.status === 'absent' ? now + resolver.ttlSeconds * 1000 : 0],
    ['old', 'resolver', resolver?.status === 'wrong' ? now + resolver.ttlSeconds * 1000 : 0],
  ];
  return limits
    .filter(([, , until]) => until > now)
    .map(([kind, where, until]) => ({kind, where, until: new Date(until).toISOString()}));
}

/** A survey that agreed, with what the resolver says of it. */
export async function withResolver(
  ports: DnsPorts,
  survey: Survey,
  options: ResolverOptions,
): Promise<Survey> {
  const told = await askResolver(ports, survey, options);
  const caches = cacheLimits(ports.clock, ports.clock.now().getTime(), {
    negativeSeconds: 0,
    oldSeconds: 0,
    resolver: told,
  });
  return {
    ...survey,
    resolver: told.status,
    settled: survey.agreed && (told.status === 'matching' || told.status === 'timeout'),
    ...(told.dnssec === undefined ? {} : {dnssec: told.dnssec}),
    ...(caches.length === 0 ? {} : {caches}),
  };
}

/** No server gave any answer at all, not even a refusal. */
export const isOutOfReach = (views: readonly ServerView[]): boolean =>
  views.length > 0 && views.every(({status}) => status === 'timeout' || status === 'unreachable');

/** Only the resolver can be asked: what it says, and that it is worth less. Nothing is agreed by that. */
export async function withWeakerClaim(
  ports: DnsPorts,
  survey: Survey,
  options: ResolverOptions,
): Promise<Survey> {
  const told = await askResolver(ports, survey, options);
  // The resolver is silent, too: this host has no DNS at all, or the name servers are down for everybody.
  if (told.status === 'timeout' || (told.status === 'failed' && told.dnssec === undefined)) {
    return {...survey, resolver: told.status};
  }
  const caches = cacheLimits(ports.clock, 0, {negativeSeconds: 0, oldSeconds: 0, resolver: told});
  return {
    ...survey,
    resolver: told.status,
    ...(told.dnssec === undefined ? {} : {dnssec: told.dnssec}),
    ...(caches.length === 0 ? {} : {caches}),
    weaker: weakerClaim(survey, told.status),
  };
}

const WORDS: Readonly<Record<ResolverStatus, string>> = {
  matching: 'has the record',
  absent: 'does not have the record, or remembers that it was not there',
  wrong: 'has another record',
  failed: 'refuses the record',
  timeout: 'does not answer',
  'not-asked': 'was not asked',
};

const weakerClaim = ({zone}: Survey, status: ResolverStatus) =>
  problem(
    'dns.port-blocked',
    `No name server of ${zone.apex} can be reached from this host, though its resolver can look the zone up: port 53 outward is blocked. The resolver ${WORDS[status]}; whether every server does is not known from here.`,
    'Allow UDP and TCP port 53 outward, or ask each server of the zone from another host.',
  );
