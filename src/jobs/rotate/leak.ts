/** Keys that others know. */
import type {DomainName} from '../../domain/names.ts';
import {isComing, putEntry, type RotationState, saveState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {must, readKeys} from '../key-book.ts';

/** Marks the keys that sign for the domains as leaked; a key that stands by takes over at once. */
export async function markLeaked(
  ports: Pick<Ports, 'files' | 'clock'>,
  domains: readonly DomainName[],
): Promise<void> {
  await saveState(ports.files, withLeak(await readKeys(ports), domains, ports.clock.now()));
}

/** The state with those keys marked. */
export function withLeak(before: RotationState, domains: readonly DomainName[], now: Date): RotationState {
  let state = before;
  const leakedAt = now.toISOString();
  for (const key of before.keys.filter(each => domains.includes(each.domain))) {
    if (key.state === 'active' && key.leakedAt === undefined)
      state = must(putEntry(state, {...key, leakedAt}));
    if (isComing(key) && key.standby === true) {
      const {standby: _no, ...rest} = key;
      state = must(putEntry(state, rest));
    }
  }
  return state;
}
