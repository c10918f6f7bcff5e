/** The lock of the host, taken for one act at a time: others wait for that act, never for the DNS or for a person. */
import {LockHeld} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Ports} from '../system/ports.ts';
import {FailedStep} from './failed-step.ts';

/** The bound: an act that takes longer is ended as by Ctrl-C, and what it began is put back. Milliseconds. */
export const HELD_MS = 10 * 60_000;
/** The bound of a change that a person watches: packages, an apply with its live test, or an undo on a busy host. */
export const CHANGE_HELD_MS = 30 * 60_000;
/** So long a run that is in the middle of its work waits for another one. */
const WAIT_MS = 30_000;
/** So long a wizard waits: whoever sits there has answered a dozen questions. */
const WIZARD_WAIT_MS = 120_000;
const EVERY_MS = 500;

export interface TurnOptions {
  /** What has the lock, as others are told: `setup`, `rotate`. */
  readonly command?: string;
  /** Milliseconds; default: HELD_MS. */
  readonly boundMs?: number;
  /** How long another run is waited for where `wait` is true. Milliseconds. */
  readonly waitMs?: number;
}

/** Gives the lock back for as long as `work` takes, and takes it again. The host may be another one after it. */
export type Released = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * Takes the lock, works, releases it. `signal` of the work ends it with the run, or when the bound is reached.
 * @param wait false: LockHeld at once where another run has it; true: after half a minute
 */
export async function inTurn<T>(
  {locks, clock}: Pick<Ports, 'locks' | 'clock'>,
  signal: AbortSignal,
  wait: boolean,
  work: (signal: AbortSignal, released: Released) => Promise<T>,
  {command = 'rotate', boundMs = HELD_MS, waitMs = WAIT_MS}: TurnOptions = {},
): Promise<T> {
  const bound = new AbortController();
  let held: Held | undefined = await hold(wait ? waitMs : 0);
  try {
    return await work(AbortSignal.any([signal, bound.signal]), released);
  } finally {
    await held?.release();
  }

  async function hold(patienceMs: number): Promise<Held> {
    const lock = await acquired({locks, clock}, `waxseal ${command}`, signal, patienceMs);
    const done = new AbortController();
    clock.sleep(boundMs, done.signal).then(
      () => bound.abort(tooLong(command, boundMs)),
      () => undefined,
    );
    return {
      async release() {
        done.abort();
        await lock.release();
      },
    };
  }

  async function released<R>(meanwhile: () => Promise<R>): Promise<R> {
    await held?.release();
    held = undefined;
    const result = await meanwhile();
    held = await hold(waitMs);
    return result;
  }
}

interface Held {
  release(): Promise<void>;
}

/** The turns of one run: its own acts wait for each other, another run's for a while. */
export interface Turns {
  /** @param how `wait: false`: LockHeld at once where another run is at work; default: it is waited for */
  take<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
    how?: {readonly wait?: boolean; readonly boundMs?: number},
  ): Promise<T>;
}

/** The turns of a caller that holds the lock already. */
export const HELD: Turns = {take: (signal, work) => work(signal)};

/** The turns of a wizard. Without root there is nothing to lock, since nothing can be changed. */
export function createTurns(ports: Pick<Ports, 'locks' | 'clock' | 'process'>, command: string): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async take(signal, work, {wait = true, boundMs = HELD_MS} = {}) {
      if (!ports.process.privileged) return await work(signal);
      const before = last;
      const turn = (async () => {
        await before;
        return await inTurn(ports, signal, wait, work, {command, boundMs, waitMs: WIZARD_WAIT_MS});
      })();
      last = turn.catch(() => undefined);
      return await turn;
    },
  };
}

async function acquired(
  {locks, clock}: Pick<Ports, 'locks' | 'clock'>,
  command: string,
  signal: AbortSignal,
  patienceMs: number,
): Promise<Held> {
  const until = clock.now().getTime() + patienceMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await locks.acquire(command);
    } catch (error) {
      if (!(error instanceof LockHeld) || clock.now().getTime() >= until) throw error;
    }
    await clock.sleep(EVERY_MS, signal);
  }
}

const tooLong = (command: string, boundMs: number): FailedStep =>
  new FailedStep(
    problem(
      `${command}.too-long`,
      `A step took longer than ${boundMs / 60_000} min, so it was ended.`,
      command === 'rotate'
        ? 'Look at the load of this host and at hooks that hang, then run: sudo waxseal rotate --advance'
        : 'Look at the load of this host, then run the same command again.',
    ),
  );
