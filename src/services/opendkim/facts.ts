/** What a look at OpenDKIM found, beyond what every signer says of itself. */
import type {SignerFacts} from '../facts.ts';

export interface OpenDkimFacts extends SignerFacts {
  readonly kind: 'opendkim';
  /** Effective values by lower-case parameter name; the last of a duplicated parameter wins. */
  readonly settings: Readonly<Record<string, string>>;
  /** The unit's own PIDFile= and a `-p` in ExecStart= that overrides Socket. */
  readonly unitPidFile: string;
  readonly socketOverride: string;
  /** Where OpenDKIM was once meant to listen: /etc/default/opendkim. Postfix may still look for it there. */
  readonly formerSockets?: readonly string[];
}

export const openDkimOf = ({
  signer,
}: {
  readonly signer: SignerFacts | undefined;
}): OpenDkimFacts | undefined => (signer !== undefined && isOpenDkim(signer) ? signer : undefined);

const isOpenDkim = (signer: SignerFacts): signer is OpenDkimFacts => signer.kind === 'opendkim';
