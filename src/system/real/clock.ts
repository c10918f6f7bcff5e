import {setImmediate as nextTurn, setTimeout as wait} from 'node:timers/promises';
import type {Clock} from '../ports.ts';

export const createClock = (): Clock => ({
  now: () => new Date(),
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await wait(ms, undefined, signal === undefined ? {} : {signal});
      // Timers are called before sockets are read: whoever waits for an answer with a limit hears first what has come
      // while this process could not run.
      await nextTurn(undefined, signal === undefined ? {} : {signal});
    } catch (error) {
      // The port promises the reason of the signal, not Node's own AbortError.
      signal?.throwIfAborted();
      throw error;
    }
  },
});
