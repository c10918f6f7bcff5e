/** When a queued message came in: the stamp of its mail server, in the light of what became of the clock. */
import type {ClockJump} from './time.ts';

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
