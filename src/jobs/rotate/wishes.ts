/** What a key needs in the DNS, and who does it. */
import type {PublishChoice} from '../../dns/publish/index.ts';
import type {DomainName} from '../../domain/names.ts';
import {
  type Due,
  type KeyEntry,
  publisherOf,
  type RotationFacts,
  type RotationState,
  type SeenAs,
} from '../../rotation/index.ts';
import type {AdvanceOptions} from './run.ts';

/** What is to become of a record in the DNS: there as it is, emptied, or gone. */
export type Wish = 'enter' | 'revoke' | 'withdraw';

export const WISHED: Readonly<Record<Wish, string>> = {
  enter: 'Entered',
  revoke: 'Emptied (p=)',
  withdraw: 'Deleted',
};

/** The record is gone, as it was to be: only the private key is left, which another domain may sign with. */
export const isOver = ({state, withdrawal}: KeyEntry, seen: SeenAs | undefined): boolean =>
  seen === 'absent' && (state === 'revoked' || (state === 'retiring' && withdrawal !== undefined));

/** What a person would be asked to do in the DNS; undefined where nothing is asked. */
export function wishOf(key: KeyEntry, step: Due, {records, inUse}: RotationFacts): Wish | undefined {
  if (step.waitsFor !== 'person') return undefined;
  const seen = records.get(key.record.name)?.seen;
  // The record of a key that still signs is never emptied or deleted; one that is gone is put back.
  if (inUse.has(key.record.name)) return seen === 'absent' ? 'enter' : undefined;
  if (isOver(key, seen)) return undefined;
  switch (key.state) {
    case 'pending':
      return 'enter';
    // Gone, or emptied, although mail is signed with it.
    case 'active':
      return seen === 'absent' || seen === 'revoked' ? 'enter' : undefined;
    case 'retiring':
      return key.withdrawal === undefined ? undefined : 'revoke';
    case 'revoked':
      return seen === 'key' ? 'revoke' : 'withdraw';
    default:
      return undefined;
  }
}

/** Who keeps the records of a domain: the one that is given now, or the one that is remembered; undefined: a person. */
export function publisherFor(
  state: RotationState,
  {publish}: Pick<AdvanceOptions, 'publish'>,
  domain: DomainName,
): PublishChoice | undefined {
  const choice = publish ?? publisherOf(state, domain);
  return choice?.by === 'manual' ? undefined : choice;
}
