/** Waits until the record is everywhere, politely. */

import type {Clock} from '../system/ports.ts';
import {aliasFollower, askServer, type Subject, surveyOf} from './authoritative.ts';
import type {DnsPorts} from './client.ts';
import {type Explanation, explainLaggards, isNowhere, lookFurther, withExplanation} from './explain.ts';
import {paced} from './pace.ts';
import type {ResolverOptions} from './resolver.ts';
import {askResolver, cacheLimits, isOutOfReach, type ResolverView, withWeakerClaim} from './resolver-view.ts';
import type {AliasTarget, AuthoritativeServer, ServerView, Survey} from './survey.ts';

export interface WatchOptions extends ResolverOptions {
  /** How long to wait, in milliseconds from now; 0 asks once. Undefined: until settled or aborted. */
  readonly deadlineMs: number | undefined;
  /** Gets each change, four a second at most, and the final survey. */
  readonly onSurvey: (survey: Survey) => void;
  /** Ends as well where no server can be reached and the resolver has the record (`weaker`). Default: false. */
  readonly resolverOnly?: boolean;
}

/**
 * Seconds between the rounds. The first ones are short: whoever has just saved the record looks at the screen, and a
 * provider's own servers take it over within seconds. Then ever longer; the last one repeats.
 */
const ROUND_SECONDS: readonly number[] = [1, 2, 3, 5, 5, 8, 10, 15, 20, 30, 30, 60];
/** Jitter either way, so that many hosts that began together do not stay together. */
const JITTER = 0.1;
/** No server is visited more often, whatever table and jitter say. */
const LEAST_MS = 1000;
/** A round goes on without those that have not answered by then; their answers count when they come. */
const ROUND_MS = 1500;
const REPORT_MS = 250;
/** How often it is looked further: at the neighbouring names while the record is nowhere, for a wildcard where one is. */
const FURTHER_MS = 60_000;
/** A server that lags is no mistake until then. */
const STALE_MS = 5 * 60_000;
/** How often the resolver is asked where no server can be reached. */
const WEAKER_MS = 30_000;
/** Time for a resolver to fetch the record anew once its negative answer has expired. */
const RESOLVER_SLACK_MS = 5000;

/**
 * Rounds over all authoritative servers until every one of them returns exactly the record; only then the resolver is
 * asked, since an earlier question would make it remember that nothing is there (RFC 2308).
 *
 * Returns the last survey: settled; or agreed, and the resolver says otherwise even after its negative TTL; or the
 * deadline has passed. Rejects only with the reason of the signal.
 */
export async function watchRecord(ports: DnsPorts, subject: Subject, options: WatchOptions): Promise<Survey> {
  const ending = new AbortController();
  const signal =
    options.signal === undefined ? ending.signal : AbortSignal.any([options.signal, ending.signal]);
  try {
    return await rounds(paced(ports), subject, {...options, signal});
  } finally {
    ending.abort();
  }
}

async function rounds(
  ports: DnsPorts,
  subject: Subject,
  options: WatchOptions & {readonly signal: AbortSignal},
): Promise<Survey> {
  const {clock} = ports;
  const {signal} = options;
  const begun = clock.now().getTime();
  const until = options.deadlineMs === undefined ? Number.POSITIVE_INFINITY : begun + options.deadlineMs;
  const report = reporter(clock, signal, options.onSurvey);
  const board = matrix(ports, subject, options, () => report.push(board.survey()));
  let agreedAt: number | undefined;
  let patienceMs = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let weakerAt = Number.NEGATIVE_INFINITY;

  report.push(board.survey());
  for (let round = 0; ; round++) {
    await board.visit();
    const last = clock.now().getTime() >= until;
    if (last) await board.idle();
    let survey = board.survey();
    if (survey.agreed) {
      const told = await askResolver(ports, subject, options);
      const now = clock.now().getTime();
      survey = board.resolverSaid(told, agreedAt ?? now);
      if (agreedAt === undefined) {
        agreedAt = now;
        patienceMs = Math.max(told.ttlSeconds, subject.zone.negativeTtlSeconds) * 1000 + RESOLVER_SLACK_MS;
      }
      if (survey.settled || now - agreedAt >= patienceMs) return report.last(survey);
    } else {
      agreedAt = undefined;
      if (board.isOutOfReach() && (last || clock.now().getTime() - weakerAt >= WEAKER_MS)) {
        weakerAt = clock.now().getTime();
        survey = await board.askInstead();
        if (options.resolverOnly === true && survey.weaker !== undefined && survey.resolver === 'matching') {
          return report.last(survey);
        }
      }
    }
    if (last) return report.last(survey);

    const now = clock.now().getTime();
    const wait = Math.max(0, Math.min(pause(ports, subject, round), until - now));
    report.push(board.nextAt(new Date(now + wait)));
    // The first rounds leave time to save the record; after that its absence may be a mistake worth a look.
    if (round >= 2 && now - lookedAt >= FURTHER_MS && board.isUnexplained()) {
      lookedAt = now;
      void board.lookAround();
    }
    await clock.sleep(wait, signal);
  }
}

/** Milliseconds to the next round: the table, never longer than a negative answer of the zone lives, with jitter. */
export function pause(ports: Pick<DnsPorts, 'random'>, {zone}: Pick<Subject, 'zone'>, round: number): number {
  const table = ROUND_SECONDS[Math.min(round, ROUND_SECONDS.length - 1)] ?? 60;
  const bounded = Math.min(table, Math.max(1, zone.negativeTtlSeconds || table));
  const share = (ports.random.bytes(1)[0] ?? 128) / 255;
  return Math.max(LEAST_MS, Math.round(bounded * 1000 * (1 - JITTER + 2 * JITTER * share)));
}

interface Matrix {
  /** Asks every server that is not still being asked; over when all have answered or the round's time is up. */
  visit(): Promise<void>;
  /** When no server is being asked any more. */
  idle(): Promise<void>;
  survey(): Survey;
  /** @param agreedAt since when all servers agree, milliseconds of the clock. */
  resolverSaid(told: ResolverView, agreedAt: number): Survey;
  nextAt(at: Date): Survey;
  isOutOfReach(): boolean;
  /** Asks the resolver, since no server can be. */
  askInstead(): Promise<Survey>;
  /** Nothing is there, or something else. */
  isUnexplained(): boolean;
  lookAround(): Promise<void>;
}

function matrix(
  ports: DnsPorts,
  subject: Subject,
  options: ResolverOptions & {readonly signal: AbortSignal},
  changed: () => void,
): Matrix {
  const {signal} = options;
  const views = new Map<AuthoritativeServer, ServerView>(
    subject.zone.servers.map(server => [
      server,
      {server, status: 'asking', serial: undefined, records: [], mistake: undefined},
    ]),
  );
  const asking = new Map<AuthoritativeServer, Promise<void>>();
  let further: Explanation | undefined;
  let resolver: {readonly told: ResolverView; readonly agreedAt: number} | undefined;
  let weaker: Pick<Survey, 'resolver' | 'weaker' | 'dnssec' | 'caches'> | undefined;
  let next: string | undefined;
  let targets: readonly AliasTarget[] = [];
  let firstSeenAt: number | undefined;
  let oldSeconds = 0;
  let wasAbsent = false;

  const note = (view: ServerView): void => {
    if (view.status === 'matching') firstSeenAt ??= ports.clock.now().getTime();
    if (view.status === 'absent') wasAbsent = true;
    if (view.status === 'wrong' || view.status === 'several') {
      oldSeconds = Math.max(oldSeconds, view.ttlSeconds ?? 0);
    }
  };
  const put = (server: AuthoritativeServer, view: ServerView): void => {
    note(view);
    views.set(server, view);
    changed();
  };
  const limits = (): Pick<Survey, 'caches'> => {
    if (resolver === undefined) return {};
    // Without an old record somebody may have asked before there was one.
    const negativeSeconds = wasAbsent || oldSeconds === 0 ? subject.zone.negativeTtlSeconds : 0;
    const held = {negativeSeconds, oldSeconds, resolver: resolver.told};
    const caches = cacheLimits(ports.clock, resolver.agreedAt, held);
    return caches.length === 0 ? {} : {caches};
  };

  const survey = (): Survey => {
    const told = [...views.values()];
    // Once a server has the record, the others only lag: what was found elsewhere no longer explains it.
    const isSeen = told.some(view => view.status === 'matching');
    const isStale = firstSeenAt !== undefined && ports.clock.now().getTime() - firstSeenAt >= STALE_MS;
    const compared = isStale ? explainLaggards(subject, told) : told;
    const lags = isSeen && told.some(view => view.status === 'absent');
    const rows = withExplanation(compared, lags ? undefined : further);
    const base = {
      ...surveyOf(ports, subject, rows),
      nextAt: next,
      ...(targets.length === 0 ? {} : {targets}),
    };
    if (!base.agreed) return isOutOfReach(told) ? {...base, ...weaker} : base;
    if (resolver === undefined) return base;
    const {status, dnssec} = resolver.told;
    return {
      ...base,
      resolver: status,
      settled: status === 'matching' || status === 'timeout',
      ...(dnssec === undefined ? {} : {dnssec}),
      ...limits(),
    };
  };

  return {
    survey,
    async visit() {
      next = undefined;
      const found: AliasTarget[] = [];
      const follow = aliasFollower(ports, subject, options, target => {
        found.push(target);
        targets = [...found];
      });
      const begun = subject.zone.servers
        .filter(server => !asking.has(server))
        .map(server => {
          const early = (view: ServerView): void => {
            const before = views.get(server);
            // The serial of the round before stays until this one's is known.
            put(server, before?.status === view.status ? {...view, serial: before.serial} : view);
          };
          const visit = askServer(ports, subject, server, follow, signal, [], early)
            .then(view => {
              asking.delete(server);
              put(server, view);
            })
            // Only the signal ends a visit without an answer; the loop sees it by itself.
            .catch(() => void asking.delete(server));
          asking.set(server, visit);
          return visit;
        });
      const over = new AbortController();
      const time = ports.clock.sleep(ROUND_MS, AbortSignal.any([signal, over.signal])).catch(() => undefined);
      await Promise.race([Promise.all(begun), time]);
      over.abort();
      signal.throwIfAborted();
    },
    async idle() {
      await Promise.all(asking.values());
      signal.throwIfAborted();
    },
    resolverSaid(told, agreedAt) {
      resolver = {told, agreedAt};
      return survey();
    },
    nextAt(at) {
      next = at.toISOString();
      return survey();
    },
    isOutOfReach: () => isOutOfReach([...views.values()]),
    async askInstead() {
      const plain = surveyOf(ports, subject, [...views.values()]);
      const told = await withWeakerClaim(ports, plain, options);
      weaker = {
        resolver: told.resolver,
        ...(told.weaker === undefined ? {} : {weaker: told.weaker}),
        ...(told.dnssec === undefined ? {} : {dnssec: told.dnssec}),
        ...(told.caches === undefined ? {} : {caches: told.caches}),
      };
      return survey();
    },
    isUnexplained: () => {
      const told = [...views.values()];
      return isNowhere(told) || told.some(({status}) => status === 'wrong' || status === 'several');
    },
    async lookAround() {
      try {
        further = await lookFurther(ports, subject, [...views.values()], options);
        changed();
      } catch {
        // Ended by the signal: the loop ends, too.
      }
    },
  };
}

interface Reporter {
  push(survey: Survey): void;
  /** Reports the survey as the final one and returns it. */
  last(survey: Survey): Survey;
}

/** Passes on what changed, not more often than people can read. */
function reporter(clock: Clock, signal: AbortSignal, onSurvey: (survey: Survey) => void): Reporter {
  let shown = '';
  let shownAt = Number.NEGATIVE_INFINITY;
  let waiting: Survey | undefined;
  let over = false;
  const show = (survey: Survey): void => {
    const content = JSON.stringify({...survey, at: ''});
    if (content === shown) return;
    shown = content;
    shownAt = clock.now().getTime();
    onSurvey(survey);
  };
  return {
    push(survey) {
      if (over) return;
      const left = shownAt + REPORT_MS - clock.now().getTime();
      if (left <= 0 && waiting === undefined) return show(survey);
      const isTimed = waiting !== undefined;
      waiting = survey;
      if (isTimed) return;
      void clock.sleep(Math.max(left, 1), signal).then(
        () => {
          const latest = waiting;
          waiting = undefined;
          if (latest !== undefined && !over) show(latest);
        },
        () => undefined,
      );
    },
    last(survey) {
      over = true;
      const final = {...survey, nextAt: undefined};
      show(final);
      return final;
    },
  };
}
