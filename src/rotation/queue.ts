/** What the queue says about messages that may still need an old key. */
import type {ClockJump} from './time.ts';

export type QueueFacts =
  | {
      readonly known: true;
      /** The message that came in first; absent where the queue is empty. */
      readonly oldest?: {
        readonly at: string;
        readonly id: string;
        readonly queue: string;
        /** Configuration of another instance that holds it; absent for the default one. */
        readonly directory?: string;
      };
      /** Postfix's maximal_queue_lifetime and bounce_queue_lifetime. */
      readonly lifetimeSeconds: number;
      readonly bounceSeconds: number;
    }
  | {readonly known: false; readonly why: string};

const SLACK_MS = 300_000;

/**
 * The earliest moment at which a message can have come in that bears this time, in milliseconds. One "from the future"
 * came in before the clock was set: nobody knows when. A time of day that was lived through twice may be of the first
 * time, which ended when the clock was set back.
 */
export function earliestArrival(stamp: number, now: Date, jumps: readonly ClockJump[]): number {
  if (stamp > now.getTime() + SLACK_MS) return 0;
  const doubled = jumps.filter(
    ({at, ms}) => ms < 0 && stamp >= Date.parse(at) && stamp <= Date.parse(at) - ms + SLACK_MS,
  );
  return Math.min(stamp, ...doubled.map(({at}) => Date.parse(at)));
}

/**
 * The oldest message of `postqueue -j` (one JSON object a line); `undefined` where a line cannot be read, since a
 * message that is not understood may be the one that matters.
 */
export function oldestQueued(
  text: string,
  now: Date,
  jumps: readonly ClockJump[] = [],
): {readonly oldest: {at: string; id: string; queue: string} | undefined} | undefined {
  let oldest: {at: string; id: string; queue: string} | undefined;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const entry = queueEntry(line);
    if (entry === undefined) return undefined;
    const at = new Date(earliestArrival(entry.arrival * 1000, now, jumps)).toISOString();
    if (oldest === undefined || at < oldest.at) oldest = {at, id: entry.id, queue: entry.queue};
  }
  return {oldest};
}

function queueEntry(line: string): {arrival: number; id: string; queue: string} | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const fields: Readonly<Record<string, unknown>> = Object.fromEntries(Object.entries(value));
  const {arrival_time: arrival, queue_id: id, queue_name: queue} = fields;
  if (typeof arrival !== 'number' || !(arrival >= 0 && arrival < 8e12)) return undefined;
  return typeof id === 'string' && typeof queue === 'string' ? {arrival, id, queue} : undefined;
}

const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
};

/** A time of Postfix: `5d`, `0`, `100s`; without a unit in days, as both queue life times are (postconf(5)). */
export function queueLifetime(text: string): number | undefined {
  const match = /^(\d{1,9})([smhdw]?)$/.exec(text.trim());
  return match === null ? undefined : Number(match[1]) * (UNIT_SECONDS[match[2] || 'd'] ?? 0);
}
