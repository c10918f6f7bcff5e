/** What the pure planners know of files and accounts, as it was at one time. */
import type {AbsolutePath} from '../domain/paths.ts';
import type {Result} from '../domain/result.ts';
import type {FileStat, GroupEntry, UserEntry} from '../system/ports.ts';

export interface FileSnapshot {
  /** Symlinks resolved; where nothing is there, the parent resolved. */
  readonly path: AbsolutePath;
  readonly stat: FileStat | undefined;
  /** Others than its owner and group have rights by an access list, or may have. */
  readonly isListed?: true;
  /** Content of a configuration file; undefined for keys, directories and files that are no text. */
  readonly text: string | undefined;
  /** Present where `text` has one character an octet. */
  readonly encoding?: 'latin1';
  /** Hex SHA-256 of the content; '' for directories and where nothing is there. */
  readonly sha256: string;
}

export interface ConfigurationSnapshot {
  /** By the path as it is named in the configuration. */
  readonly entries: Readonly<Record<string, FileSnapshot>>;
  /** The accounts that matter, by name; missing ones are left out. */
  readonly users: Readonly<Record<string, UserEntry>>;
  readonly groups: Readonly<Record<string, GroupEntry>>;
  /** Names of the owners of the files above, by id. */
  readonly userNames: Readonly<Record<number, string>>;
  readonly groupNames: Readonly<Record<number, string>>;
  /** Names of the users whose primary group it is, by id of the groups of the files above. */
  readonly primaryNames?: Readonly<Record<number, readonly string[]>>;
  /** Whether the key of the single-key form may be copied; absent where that form is not in use. */
  readonly movable?: Result<MovableKey>;
}

/** A private key that a plan may copy: what the signer's own account has read, and that it is one. */
export interface MovableKey {
  /** Links resolved. */
  readonly path: AbsolutePath;
  /** Hex SHA-256 of the file. */
  readonly sha256: string;
  /** As `KeyDescription.fingerprint`. */
  readonly fingerprint: string;
}

/** What the plan of one daemon looks at. */
export interface Reads {
  /** Configuration files with all that they include. */
  readonly texts: Iterable<AbsolutePath>;
  /** Directories and sockets: their attributes, and those of every directory above. */
  readonly places: Iterable<AbsolutePath>;
  /** Private keys: their attributes and hash alone, and the directories above. */
  readonly keys: Iterable<AbsolutePath>;
  readonly users: readonly string[];
  readonly groups: readonly string[];
  readonly movable?: Result<MovableKey>;
}
