/** What a look at OpenDKIM found, beyond what every signer says of itself. */
import type {AbsolutePath} from '../../domain/paths.ts';
import type {SignerFacts} from '../signer.ts';

export interface OpenDkimFacts extends SignerFacts {
  readonly kind: 'opendkim';
  readonly configFile: AbsolutePath;
  /** Effective values by lower-case parameter name; the last of a duplicated parameter wins. */
  readonly settings: Readonly<Record<string, string>>;
  /** The unit's own PIDFile= and a `-p` in ExecStart= that overrides Socket. */
  readonly unitPidFile: string;
  readonly socketOverride: string;
  /** User= of the unit; absent where it starts as root and UserID decides. */
  readonly unitUser?: string;
  /** Group= and SupplementaryGroups= of the unit: names or numbers; absent where it sets none. */
  readonly unitGroup?: string;
  readonly unitGroups?: readonly string[];
  /** The account that OpenDKIM changes to once it runs, `USER` or `USER:GROUP`: `-u` of the unit, else UserID; absent where neither is set. */
  readonly changesTo?: string;
  /** Where OpenDKIM was once meant to listen: /etc/default/opendkim. Postfix may still look for it there. */
  readonly formerSockets?: readonly string[];
}
