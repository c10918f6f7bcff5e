import {setTimeout as wait} from 'node:timers/promises';
import type {Clock} from '../ports.ts';

export const createClock = (): Clock => ({
  now: () => new Date(),
  async sleep(ms, signal) {
    signal?.throwIfAborted();
    try {
      await wait(ms, undefined, signal === undefined ? {} : {signal});
    } catch (error) {
      // The port promises the reason of the signal, not Node's own AbortError.
      signal?.throwIfAborted();
      throw error;
    }
  },
});
