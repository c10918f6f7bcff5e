import type {DnsName} from '../domain/names.ts';
import type {Zone} from './survey.ts';

/** The record that is looked for. */
export interface Subject {
  /** `selector._domainkey.domain`. */
  readonly name: DnsName;
  /** The value that should be there, strings joined. */
  readonly expected: string;
  readonly zone: Zone;
  /** Names and values of keys before this one: a panel may have been given the new under the old name, or the reverse. */
  readonly formerNames?: readonly DnsName[];
  readonly formerValues?: readonly string[];
}
