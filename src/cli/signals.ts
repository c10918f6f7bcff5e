/**
 * Signals for the commands that are no wizard: the first one asks the command to stop; it cleans up, and the error it
 * ends with carries the exit code. The wizard has its own listeners (session.ts), which turn signals into events.
 */
import {Interrupted} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Has `hear` told of each signal that asks the program to end. @returns stops it */
export function onSignals(
  hear: (signal: (typeof SIGNALS)[number]) => void,
  emitter: NodeJS.EventEmitter = process,
): () => void {
  const listeners = SIGNALS.map(name => [name, () => hear(name)] as const);
  for (const [name, listener] of listeners) emitter.on(name, listener);
  return () => {
    for (const [name, listener] of listeners) emitter.off(name, listener);
  };
}

export interface Ending {
  /** Aborts with an Interrupted as its reason: exit 130 after SIGINT, 143 after SIGTERM and a hang-up. */
  readonly signal: AbortSignal;
  release(): void;
}

/** Turns SIGINT, SIGTERM and SIGHUP into an abort with the exit code they mean, until `release()`. */
export function listenForSignals(emitter: NodeJS.EventEmitter = process): Ending {
  const controller = new AbortController();
  const release = onSignals(name => {
    const [code, id, message] =
      name === 'SIGINT'
        ? ([130, 'interrupted', 'Ended by the user.'] as const)
        : ([143, 'terminated', 'Ended by a signal.'] as const);
    controller.abort(new Interrupted(problem(id, message, ''), code));
  }, emitter);
  return {signal: controller.signal, release};
}

/** Settles as `work` does, or rejects with the signal's reason: for work that cannot be told to stop, as reading. */
export async function unlessEnded<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  signal.throwIfAborted();
  return await new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    signal.addEventListener('abort', stop, {once: true});
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
