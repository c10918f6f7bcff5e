/** Waits until the record is everywhere, politely. */

import type {Problem} from '../domain/result.ts';
import type {Clock} from '../system/ports.ts';
import {aliasFollower, askServer, type Subject, surveyOf} from './authoritative.ts';
import type {DnsPorts} from './client.ts';
import {sameKeyRecord} from './compare.ts';
import {findMisplaced} from './misplaced.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {AuthoritativeServer, ResolverStatus, ServerView, Survey} from './survey.ts';

export interface WatchOptions extends ResolverOptions {
  /** How long to wait, in milliseconds from now; 0 asks once. Undefined: until settled or aborted. */
  readonly deadlineMs: number | undefined;
  /** Gets each change, four a second at most, and the final survey. */
  readonly onSurvey: (survey: Survey) => void;
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
/** How often the neighbouring names are looked at while the record is nowhere. */
const MISPLACED_MS = 60_000;
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
    return await rounds(ports, subject, {...options, signal});
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

  report.push(board.survey());
  for (let round = 0; ; round++) {
    await board.visit();
    const last = clock.now().getTime() >= until;
    if (last) await board.idle();
    let survey = board.survey();
    if (survey.agreed) {
      const told = await askResolver(ports, subject, options);
      survey = board.resolverSaid(told.status);
      const now = clock.now().getTime();
      if (agreedAt === undefined) {
        agreedAt = now;
        patienceMs = Math.max(told.ttlSeconds, subject.zone.negativeTtlSeconds) * 1000 + RESOLVER_SLACK_MS;
      }
      if (survey.settled || now - agreedAt >= patienceMs) return report.last(survey);
    } else {
      agreedAt = undefined;
    }
    if (last) return report.last(survey);

    const now = clock.now().getTime();
    const wait = Math.max(0, Math.min(pause(ports, subject, round), until - now));
    report.push(board.nextAt(new Date(now + wait)));
    // The first rounds leave time to save the record; after that its absence may be a mistake worth a look.
    if (round >= 2 && now - lookedAt >= MISPLACED_MS && board.isNowhere()) {
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
  resolverSaid(status: ResolverStatus): Survey;
  nextAt(at: Date): Survey;
  isNowhere(): boolean;
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
  let misplaced: Problem | undefined;
  let resolver: ResolverStatus = 'not-asked';
  let next: string | undefined;

  const survey = (): Survey => {
    const told = [...views.values()];
    // Once a server has the record, the others only lag: what was found elsewhere no longer explains it.
    const explained = misplaced !== undefined && isNowhere(told);
    const rows = told.map(view =>
      explained && view.status === 'absent' && view.mistake === undefined
        ? {...view, mistake: misplaced}
        : view,
    );
    const base = surveyOf(ports, subject, rows);
    const said = base.agreed ? resolver : 'not-asked';
    return {
      ...base,
      resolver: said,
      settled: base.agreed && (said === 'matching' || said === 'timeout'),
      nextAt: next,
    };
  };

  return {
    survey,
    async visit() {
      next = undefined;
      const follow = aliasFollower(ports, subject.expected, options);
      const begun = subject.zone.servers
        .filter(server => !asking.has(server))
        .map(server => {
          const visit = askServer(ports, subject, server, follow, signal)
            .then(view => {
              views.set(server, view);
              asking.delete(server);
              changed();
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
    resolverSaid(status) {
      resolver = status;
      return survey();
    },
    nextAt(at) {
      next = at.toISOString();
      return survey();
    },
    isNowhere: () => isNowhere([...views.values()]),
    async lookAround() {
      const answering = [...views.values()]
        .filter(view => view.serial !== undefined)
        .map(view => view.server);
      const {name, expected, zone} = subject;
      try {
        misplaced = await findMisplaced(ports, {name, expected, apex: zone.apex}, answering, signal);
        changed();
      } catch {
        // Ended by the signal: the loop ends, too.
      }
    },
  };
}

/** Every server that answers for the zone says that nothing is there. */
function isNowhere(views: readonly ServerView[]): boolean {
  const answering = views.filter(view => ['matching', 'absent', 'wrong', 'several'].includes(view.status));
  return answering.length > 0 && answering.every(view => view.status === 'absent');
}

/** What the resolver says of the name, and how long it will go on saying so. */
async function askResolver(
  ports: DnsPorts,
  {name, expected}: Subject,
  options: ResolverOptions,
): Promise<{readonly status: ResolverStatus; readonly ttlSeconds: number}> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind === 'failed') return {status: 'failed', ttlSeconds: 0};
  if (resolved.kind !== 'answer') return {status: 'timeout', ttlSeconds: 0};
  const {answers, authorities} = resolved.message;
  const texts = answers.flatMap(record => (record.type === 'TXT' ? [record] : []));
  const [only] = texts;
  if (only === undefined) {
    const soa = authorities.find(record => record.type === 'SOA');
    return {status: 'absent', ttlSeconds: soa?.ttlSeconds ?? 0};
  }
  const matching = texts.length === 1 && sameKeyRecord(only.text, expected);
  return {status: matching ? 'matching' : 'wrong', ttlSeconds: only.ttlSeconds};
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
