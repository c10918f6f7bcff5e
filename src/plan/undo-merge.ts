/**
 * Where undoing would lose a later edit: a merge of both is laid beside the journal (`merged/`), and taken by the undo
 * once the administrator has looked at it. `merged/index.json` says which file each is for and what it was made from.
 */
import {type AbsolutePath, below, nameOf} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {makeStateDirectory, OWN_FILE} from '../keys/index.ts';
import type {Ports} from '../system/ports.ts';
import {type MergedFile, mergesOf, openJournal, type UndoRecord} from './journal.ts';
import {hasConflictMarks, mergeEdits} from './merge.ts';
import {type Observed, sha256Of} from './observe.ts';
import type {RunId} from './plan.ts';
import {holdsPrivateKey} from './text-diff.ts';

/** A merge as it is kept: for which file, where, and of which edit. */
interface Proposal {
  readonly path: AbsolutePath;
  readonly name: string;
  /** Hex SHA-256 of the edited file that was merged. */
  readonly from: string;
}

export interface OfferedMerge {
  readonly path: AbsolutePath;
  /** The file with the proposal. */
  readonly file: AbsolutePath;
  readonly conflicts: number;
}

type PathRecord = Extract<UndoRecord, {kind: 'path'}>;

const indexOf = (run: RunId): AbsolutePath => below(mergesOf(run), 'index.json');

/**
 * Writes the merge for a file that was edited after the run. `undefined` where there is nothing to merge: it was made
 * or removed by the run or since, it is no text, or it holds a private key.
 */
export async function offerMerge(
  ports: Ports,
  run: RunId,
  undo: PathRecord,
  now: Observed,
): Promise<OfferedMerge | undefined> {
  if (undo.backup === undefined || undo.written === undefined) return undefined;
  if (now.state === 'absent' || now.kind !== 'file') return undefined;
  const journal = openJournal(ports, run);
  const known = await readIndex(ports, run);
  const there = known.find(({path, from}) => path === undo.path && from === now.sha256);
  const place = (name: string): AbsolutePath => below(mergesOf(run), name);
  if (there !== undefined) {
    // Offered already, and perhaps worked on: never written over.
    const text = Buffer.from((await ports.files.read(place(there.name))) ?? []).toString('utf8');
    return {path: undo.path, file: place(there.name), conflicts: hasConflictMarks(text) ? 1 : 0};
  }
  const [before, written] = await Promise.all([
    journal.readBackup(undo.backup),
    journal.readBackup(undo.written),
  ]);
  // One octet a character: a file that is not UTF-8 is merged as well, and none of its octets becomes another.
  const sides = [before, written, now.content].map(octets => Buffer.from(octets).toString('latin1'));
  const [old = '', base = '', edited = ''] = sides;
  if (sides.some(text => text.includes('\0') || holdsPrivateKey(text))) return undefined;
  const merge = mergeEdits(old, base, edited);
  await makeStateDirectory(ports.files, mergesOf(run));
  const name = `${now.sha256.slice(0, 8)}-${nameOf(undo.path)}`;
  await ports.files.replace(place(name), Buffer.from(merge.text, 'latin1'), OWN_FILE);
  const next: readonly Proposal[] = [
    ...known.filter(({path}) => path !== undo.path),
    {path: undo.path, name, from: now.sha256},
  ];
  await ports.files.replace(indexOf(run), Buffer.from(`${JSON.stringify(next, null, 2)}\n`), OWN_FILE);
  return {path: undo.path, file: place(name), conflicts: merge.conflicts};
}

/** The merge that was offered for this very edit, octet by octet as it lies there; a Problem where it cannot be taken as it is. */
export async function takeMerge(
  ports: Ports,
  run: RunId,
  path: AbsolutePath,
  now: Observed,
): Promise<{readonly content: Uint8Array} | {readonly problem: Problem} | undefined> {
  const sha256 = now.state === 'present' ? now.sha256 : '';
  const offered = (await readIndex(ports, run)).find(each => each.path === path && each.from === sha256);
  if (offered === undefined) return undefined;
  const file = below(mergesOf(run), offered.name);
  const content = await ports.files.read(file);
  if (content === undefined) return undefined;
  if (!hasConflictMarks(Buffer.from(content).toString('latin1'))) return {content};
  return {
    problem: problem(
      'undo.merge-open',
      `The merge of ${visible(path)} still has places to decide, between <<<<<<< and >>>>>>>.`,
      `Edit ${file}, then: waxseal undo --merged ${run}`,
    ),
  };
}

/** Puts approved merges where the way back finds them. */
export async function keepMerges(
  ports: Ports,
  run: RunId,
  merges: ReadonlyMap<AbsolutePath, Uint8Array>,
): Promise<readonly MergedFile[]> {
  const journal = openJournal(ports, run);
  const kept: MergedFile[] = [];
  for (const [path, content] of merges) {
    kept.push({path, sha256: sha256Of(content), backup: await journal.backUp(content)});
  }
  return kept;
}

async function readIndex(ports: Pick<Ports, 'files'>, run: RunId): Promise<readonly Proposal[]> {
  const content = await ports.files.read(indexOf(run));
  if (content === undefined) return [];
  try {
    const value: unknown = JSON.parse(Buffer.from(content).toString('utf8'));
    return Array.isArray(value) ? value.filter(isProposal) : [];
  } catch {
    // Torn by a power cut: the merge is simply made anew.
    return [];
  }
}

// A name from the index never leads out of the directory.
const isProposal = (value: unknown): value is Proposal =>
  typeof value === 'object' &&
  value !== null &&
  'path' in value &&
  typeof value.path === 'string' &&
  'from' in value &&
  typeof value.from === 'string' &&
  'name' in value &&
  typeof value.name === 'string' &&
  /^[0-9a-f]{8}-[^/]+$/.test(value.name);
