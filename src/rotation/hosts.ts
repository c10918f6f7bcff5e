/** Several hosts that sign for one domain. */
import {publicKeyOf} from '../dkim/index.ts';
import type {ForeignKey, KeyEntry, RotationState} from './entry.ts';
import {findEntry} from './lifecycle.ts';

/** Every known key of another host that is still in the DNS; `conflict` where this host has another key of that name. */
export function compareHosts(
  state: RotationState,
): readonly {readonly key: ForeignKey; readonly conflict: boolean}[] {
  return (state.elsewhere ?? [])
    .filter(key => key.state !== 'removed')
    .map(key => {
      const ours = findEntry(state, key.domain, key.selector);
      return {
        key,
        conflict: ours !== undefined && publicKeyOf(ours.record.value) !== publicKeyOf(key.record.value),
      };
    });
}

/** A key as another host needs to know it: no paths, no log, nothing secret. */
export const foreignOf = (host: string, key: KeyEntry): ForeignKey => ({
  host,
  domain: key.domain,
  selector: key.selector,
  algorithm: key.algorithm,
  state: key.state,
  record: key.record,
});
