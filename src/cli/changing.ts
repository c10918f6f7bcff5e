import {refuseDamagedNotes} from '../doctor/notes.ts';
import {CHANGE_HELD_MS, inTurn, type Released} from '../jobs/lock-turns.ts';
import type {Ports} from '../system/ports.ts';
import type {Context} from './context.ts';

/**
 * Runs what may change something, under the lock of the host and only if waxseal's own notes are sound. LockHeld where
 * another run is at work; HostError where notes are damaged, or might have been changed by another account. The work is
 * ended like by Ctrl-C when it takes longer than the bound.
 * @param work gets the context with that signal; while a person is asked, it gives the lock back by `released`, and what
 *   the answer is about has to be looked at again after it
 */
export async function changing<T>(
  context: Context,
  ports: Ports,
  command: string,
  work: (context: Context, released: Released) => Promise<T>,
): Promise<T> {
  return await inTurn(
    ports,
    context.signal,
    false,
    async (signal, released) => {
      await refuseDamagedNotes(ports);
      return await work({...context, signal}, async meanwhile => {
        const result = await released(meanwhile);
        await refuseDamagedNotes(ports);
        return result;
      });
    },
    {command, boundMs: CHANGE_HELD_MS},
  );
}
