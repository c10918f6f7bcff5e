/** Time for clocks of tests that run faster than the real one. */
import type {Clock} from '../../src/system/ports.ts';

const STEP_MS = 5;

/** Milliseconds, and a sleep that ends when so many have passed. */
export interface WorkingTime {
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/**
 * Milliseconds in which this process could work. A machine that is busy elsewhere holds servers and clients of a test up
 * alike, as all of them are in one process: the time that it could not run counts as one step, or what has to come soon
 * after something else would come late.
 */
export function workingTime(): WorkingTime {
  let passed = 0;
  let seen = performance.now();
  const sleepers = new Set<{readonly until: number; wake(): void}>();
  const now = (): number => {
    const real = performance.now();
    passed += Math.min(real - seen, 2 * STEP_MS);
    seen = real;
    return passed;
  };
  const wakeAll = (): void => {
    for (const sleeper of sleepers) if (sleeper.until <= passed) sleeper.wake();
  };
  setInterval(() => {
    now();
    // Timers are called before sockets are read: what has come meanwhile is heard first.
    if (sleepers.size > 0) setImmediate(wakeAll);
  }, STEP_MS).unref();
  return {
    now,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return reject(signal.reason);
        const leave = (): void => {
          sleepers.delete(sleeper);
          reject(signal?.reason);
        };
        const sleeper = {
          until: now() + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener('abort', leave);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', leave, {once: true});
      }),
  };
}

/** A clock on which `factor` milliseconds pass in each millisecond in which this process could work. */
export function workingClock(time: WorkingTime, factor: number, begin = Date.now()): Clock {
  const started = time.now();
  return {
    now: () => new Date(begin + (time.now() - started) * factor),
    sleep: (ms, signal) => time.sleep(ms / factor, signal),
  };
}
