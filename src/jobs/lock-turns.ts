/** The lock of the host, taken for one act at a time: others wait for that act, never for the DNS of ten thousand names. */
import {LockHeld} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Ports} from '../system/ports.ts';
import {FailedStep} from './failed-step.ts';

/** The bound: an act that takes longer is ended as by Ctrl-C, and what it began is put back. Milliseconds. */
export const HELD_MS = 10 * 60_000;
/** So long a run that is in the middle of its work waits for another one. */
const WAIT_MS = 30_000;
const EVERY_MS = 500;

/**
 * Takes the lock, works, releases it. `signal` of the work ends it with the run, or when the bound is reached.
 * @param wait false: LockHeld at once where another run has it; true: after half a minute
 */
export async function inTurn<T>(
  {locks, clock}: Pick<Ports, 'locks' | 'clock'>,
  signal: AbortSignal,
  wait: boolean,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lock = await acquired({locks, clock}, signal, wait);
  const bound = new AbortController();
  const done = new AbortController();
  clock.sleep(HELD_MS, done.signal).then(
    () => bound.abort(tooLong()),
    () => undefined,
  );
  try {
    return await work(AbortSignal.any([signal, bound.signal]));
  } finally {
    done.abort();
    await lock.release();
  }
}

async function acquired(
  {locks, clock}: Pick<Ports, 'locks' | 'clock'>,
  signal: AbortSignal,
  wait: boolean,
): Promise<{release(): Promise<void>}> {
  const until = clock.now().getTime() + (wait ? WAIT_MS : 0);
  for (;;) {
    signal.throwIfAborted();
    try {
      return await locks.acquire('waxseal rotate');
    } catch (error) {
      if (!(error instanceof LockHeld) || clock.now().getTime() >= until) throw error;
    }
    await clock.sleep(EVERY_MS, signal);
  }
}

const tooLong = (): FailedStep =>
  new FailedStep(
    problem(
      'rotate.too-long',
      `A step took longer than ${HELD_MS / 60_000} min, so it was ended.`,
      'Look at the load of this host and at hooks that hang, then run: sudo waxseal rotate --advance',
    ),
  );
