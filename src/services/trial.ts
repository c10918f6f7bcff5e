/**
 * A second, temporary signer beside the live one, as its makers' folder describes it: what to write, start and ask. It
 * runs in the foreground, so that its life is that of one command; jobs/trial.ts runs it.
 */
import type {DomainSelector} from '../domain/names.ts';
import type {AbsolutePath} from '../domain/paths.ts';
import type {Argv} from '../system/ports.ts';
import type {SignerAccount} from './account.ts';
import type {Step} from './step.ts';

/** A key that the plan itself staged: only these are ever copied. */
export interface StagedFile extends DomainSelector {
  readonly stagedPath: AbsolutePath;
  /** Hex SHA-256 of the file. */
  readonly sha256: string;
}

/** All of it lies in one directory. */
export interface TrialSetup {
  /** Files to write, configuration and tables. */
  readonly files: readonly {readonly path: AbsolutePath; readonly octets: Uint8Array}[];
  /** Private keys to copy, from the list of the plan: the signer's user may not read where they are staged. */
  readonly keys: readonly {readonly from: AbsolutePath; readonly sha256: string; readonly to: AbsolutePath}[];
  /** Ends with status 0 where the syntax of the configuration is right. */
  readonly check: Argv;
  /** Runs in the foreground until it is killed. */
  readonly start: Argv;
  /** Where it speaks the milter protocol, in a directory of its own. */
  readonly socket: AbsolutePath;
}

/** A file and the content with which it was proven. */
export interface ProvenFile {
  readonly path: AbsolutePath;
  /** Hex SHA-256 of the octets. */
  readonly sha256: string;
}

export interface Trial {
  /** As its makers write it. */
  readonly program: string;
  /** Its name in the journal, which is not that of the live one. */
  readonly logTag: string;
  /** As whom the unit of this host starts it, and as whom it works. */
  readonly account: SignerAccount;
  /** A file of the directory that each of its processes names among its arguments. */
  readonly mark: string;
  /** The final texts, octet for octet, with copies of the keys of `wanted`. */
  setup(directory: AbsolutePath, wanted: readonly StagedFile[]): TrialSetup;
  /** Where the keys of `wanted` are once `steps` are carried out. */
  keyPlaces(wanted: readonly StagedFile[], steps: readonly Step[]): readonly AbsolutePath[];
  /** Every file that it is tried with; an apply compares them with what it is about to write. */
  proven(): readonly ProvenFile[];
  /** What to do where there is no such account, and where it does not start. */
  readonly hints: {readonly account: string; readonly start: string};
}
