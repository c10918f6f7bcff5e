/** The final configuration as a signer would read it, before anything of it is on the host: what the preflight proves. */
import type {AbsolutePath} from '../domain/paths.ts';

/** A table as the final configuration has it. New keys are named by their staged path, keys in use by their own. */
export interface CandidateTable {
  /** Path in the final configuration; undefined where it is an inline list or not set. */
  readonly path: AbsolutePath | undefined;
  readonly kind: 'file' | 'refile' | 'list';
  readonly text: string;
}

/** What a throw-away OpenDKIM needs to sign as the host will. */
export interface Candidate {
  /** The final opendkim.conf with every Include put in its place. */
  readonly configText: string;
  readonly keyTable: CandidateTable;
  readonly signingTable: CandidateTable;
  /** InternalHosts. */
  readonly trustedHosts: CandidateTable;
}
