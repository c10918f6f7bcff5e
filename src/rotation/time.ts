/**
 * How much time has really passed. A host's clock may jump; the uptime does not. What is kept is enough to walk back
 * along the real line of time (docs/explanation/rotation.md, "The clock").
 */

/** What a run sees: the clock, and where it can be known, the boot and how long it has lasted. */
export interface TimeReading {
  readonly now: Date;
  readonly boot?: string;
  readonly uptimeMs?: number;
}

/** The clock was set, at `at` by its new time; `ms` forward, or back where negative. */
export interface ClockJump {
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly ms: number;
}

/** What earlier runs saw. */
export interface TimeTrace {
  /** The last reading; ISO 8601, UTC. */
  readonly at: string;
  readonly boot?: string;
  readonly uptimeMs?: number;
  /** Oldest first. */
  readonly jumps: readonly ClockJump[];
}

/** A clock that is kept by NTP drifts less than this between two runs; anything more was set by somebody. */
const TOLERANCE_MS = 300_000;
const MOST_JUMPS = 50;

/** Adds a reading to the trace, and a jump where the clock has moved otherwise than the uptime. */
export function noteTime(trace: TimeTrace | undefined, reading: TimeReading): TimeTrace {
  const at = reading.now.toISOString();
  const seen = {
    at,
    ...(reading.boot === undefined ? {} : {boot: reading.boot}),
    ...(reading.uptimeMs === undefined ? {} : {uptimeMs: Math.round(reading.uptimeMs)}),
  };
  if (trace === undefined) return {...seen, jumps: []};
  const ms = jumpBetween(trace, reading);
  const jumps = ms === 0 ? trace.jumps : [...trace.jumps, {at, ms}].slice(-MOST_JUMPS);
  return {...seen, jumps};
}

function jumpBetween(trace: TimeTrace, reading: TimeReading): number {
  const moved = reading.now.getTime() - Date.parse(trace.at);
  const sameBoot = reading.boot !== undefined && reading.boot === trace.boot;
  if (sameBoot && reading.uptimeMs !== undefined && trace.uptimeMs !== undefined) {
    const off = Math.round(moved - (reading.uptimeMs - trace.uptimeMs));
    return Math.abs(off) > TOLERANCE_MS ? off : 0;
  }
  // Over a reboot a step forward cannot be told from a host that was off.
  return moved < -TOLERANCE_MS ? Math.round(moved) : 0;
}

/**
 * Milliseconds that have really passed since `since`, at least. Walks back over the jumps; where a time of day was
 * lived through twice, the later one counts, so that the answer is never too large.
 */
export function elapsedSince(since: string, now: Date, jumps: readonly ClockJump[]): number {
  const start = Date.parse(since);
  let upper = now.getTime();
  let total = 0;
  for (const jump of jumps.toReversed()) {
    const at = Date.parse(jump.at);
    if (start >= at && start <= upper) return total + upper - start;
    total += Math.max(0, upper - at);
    upper = at - jump.ms;
  }
  return total + Math.max(0, upper - start);
}
