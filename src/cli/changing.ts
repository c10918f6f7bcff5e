import {refuseDamagedNotes} from '../doctor/notes.ts';
import type {Ports} from '../system/ports.ts';

/**
 * Runs what may change something, under the lock of the host and only if waxseal's own notes are sound. LockHeld where
 * another run is at work; HostError where notes are damaged, or might have been changed by another account.
 */
export async function changing<T>(ports: Ports, command: string, work: () => Promise<T>): Promise<T> {
  const lock = await ports.locks.acquire(`waxseal ${command}`);
  try {
    await refuseDamagedNotes(ports);
    return await work();
  } finally {
    await lock.release();
  }
}
