/** How many parts a limit is counted in. */
const PARTS = 4;

/**
 * Calls `passed` once after `ms` milliseconds in which this process could work; the function that comes back calls it
 * off. A machine that is busy elsewhere may hold this process up for longer than the whole limit, and timers are called
 * before sockets are read: so a part of the limit that passes late counts as one part, and what came meanwhile is heard
 * first. Only the other side's silence makes the limit pass.
 */
export function startLimit(ms: number, passed: () => void): () => void {
  let left = PARTS;
  let turn: NodeJS.Immediate | undefined;
  const count = (): void => {
    left -= 1;
    if (left > 0) timer.refresh();
    // Called when the sockets that are ready now have been read.
    else turn = setImmediate(passed);
  };
  const timer = setTimeout(count, ms / PARTS);
  return () => {
    clearTimeout(timer);
    clearImmediate(turn);
  };
}
