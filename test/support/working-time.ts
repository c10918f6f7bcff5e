/** Time for clocks of tests that run faster than the real one. */
const STEP_MS = 5;

/**
 * Milliseconds in which this process could work. A machine that is busy elsewhere holds servers and clients of a test up
 * alike, as all of them are in one process: the time that it could not run counts as one step, or what has to come soon
 * after something else would come late.
 */
export function workingTime(): () => number {
  let passed = 0;
  let seen = performance.now();
  const look = (): number => {
    const now = performance.now();
    passed += Math.min(now - seen, 2 * STEP_MS);
    seen = now;
    return passed;
  };
  setInterval(look, STEP_MS).unref();
  return look;
}
