/** The final configuration as a signer would read it, before anything of it is on the host: what the preflight proves. */
import {createHash} from 'node:crypto';
import type {AbsolutePath} from '../../domain/paths.ts';
import {octetsOfText} from '../step.ts';
import type {ProvenFile} from '../trial.ts';

/** A file as it will be once the plan is carried out, every character of it. */
export interface CandidateFile {
  /** Links resolved: where the plan writes it. */
  readonly realPath: AbsolutePath;
  readonly text: string;
  /** Present where `text` has one character an octet. */
  readonly encoding?: 'latin1';
}

/** A table as the final configuration has it. */
export interface CandidateTable {
  /** Path in the final configuration; undefined where it is an inline list or not set. */
  readonly path: AbsolutePath | undefined;
  readonly kind: 'file' | 'refile' | 'list';
  readonly text: string;
  readonly encoding?: 'latin1';
  /** `path` with links resolved; present where `path` is. */
  readonly realPath?: AbsolutePath;
}

/** A private key that waxseal staged and that the plan puts in place: until then it can be read at `from` alone. */
export interface CandidateKey {
  /** Its final place, as a row of the key table names it. */
  readonly path: AbsolutePath;
  /** The staged key. */
  readonly from: AbsolutePath;
  /** Hex SHA-256 of its content. */
  readonly sha256: string;
}

/** What a temporary OpenDKIM needs to sign as the host will. */
export interface Candidate {
  /** The final opendkim.conf with every Include put in its place: made of the texts of `config`. */
  readonly configText: string;
  /** opendkim.conf and the files that it includes. */
  readonly config: readonly CandidateFile[];
  /** The final key table: new keys are named by their final place. */
  readonly keyTable: CandidateTable;
  readonly signingTable: CandidateTable;
  /** InternalHosts. */
  readonly trustedHosts: CandidateTable;
  /** For each of them, and for no other, the path in the key table is replaced by that of a copy. */
  readonly keys: readonly CandidateKey[];
}

/** Every file that the candidate was proven with. */
export function provenFiles(candidate: Candidate): readonly ProvenFile[] {
  const {config, keyTable, signingTable, trustedHosts} = candidate;
  const tables = [keyTable, signingTable, trustedHosts].flatMap(table =>
    table.realPath === undefined ? [] : [{...table, realPath: table.realPath}],
  );
  return [...config, ...tables].map(file => ({path: file.realPath, sha256: sha256Of(file)}));
}

const sha256Of = ({text, encoding}: Omit<CandidateFile, 'realPath'>): string =>
  createHash('sha256')
    .update(octetsOfText({from: 'text', text, ...(encoding === undefined ? {} : {encoding})}))
    .digest('hex');
