/**
 * Steps that cannot be taken back: a private key destroyed, a private key published. Each judges the file by one handle in
 * the moment of the act: it must hold the key that the plan names, be a regular file with one name, and belong to whom
 * it may belong. Anything else is left as it is, and named.
 */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, nameOf, parentOf} from '../domain/paths.ts';
import {RUNS_DIRECTORY} from '../domain/places.ts';
import {privateFingerprint, sweepTemporary} from '../keys/index.ts';
import type {FinalStep} from '../services/step.ts';
import type {Destruction, FileStat, InspectedFile, Ports} from '../system/ports.ts';
import {type Entry, entriesOf, type FinalRecord, type Journal, readJournal} from './journal.ts';
import {isRunId} from './make.ts';

/** A step that was not carried out, and why. The file is as it was, but for a write that failed half-way. */
export interface LeftStep {
  readonly step: string;
  /** Where the private key is. */
  readonly path: AbsolutePath;
  /** Words that follow the path. */
  readonly why: string;
}

/** Time of modification of a published key: it must not tell how old the key is. */
const NO_AGE = new Date(Date.UTC(2000, 0, 1));
const PUBLIC = {mode: 0o644, uid: 0, gid: 0};

/** Where the private key is that a step takes. */
export const keyPathOf = (step: FinalStep): AbsolutePath => (step.kind === 'reveal' ? step.from : step.path);

/** Why a step could not be carried out now, in words that follow the path; undefined where it could. */
export async function whyNotFinal(
  {files}: Pick<Ports, 'files'>,
  step: FinalStep,
): Promise<string | undefined> {
  try {
    const found = await files.inspect(keyPathOf(step));
    return found === undefined ? 'is not there' : whyUnfit(found, step);
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return error.id === 'file.symlink' ? 'is a symbolic link' : 'is no file that can be read';
  }
}

function whyUnfit({content, stat}: InspectedFile, step: FinalStep): string | undefined {
  if (stat.links !== 1) return 'has several names (hard links)';
  if (!step.owners.includes(stat.uid)) return `belongs to another user (${stat.uid})`;
  if (privateFingerprint(content) !== step.fingerprint) return 'does not hold the key of this record';
  return undefined;
}

/**
 * Carries out one step: announced, done by the file's own handle, noted. Gives why it was left; rejects only where the
 * journal cannot be written.
 */
export async function carryOutFinal(
  ports: Pick<Ports, 'files'>,
  journal: Journal,
  step: FinalStep,
): Promise<LeftStep | undefined> {
  const path = keyPathOf(step);
  const why =
    (await whyNotFinal(ports, step)) ??
    (step.kind === 'dispose' ? await dispose(ports, journal, step) : await reveal(ports, journal, step));
  return why === undefined ? undefined : {step: step.id, path, why};
}

async function dispose(
  {files}: Pick<Ports, 'files'>,
  journal: Journal,
  step: Extract<FinalStep, {kind: 'dispose'}>,
): Promise<string | undefined> {
  const {path, fingerprint} = step;
  const stat = await files.stat(path);
  if (stat === undefined) return 'is not there';
  const {device, inode} = stat;
  const undo = {kind: 'final', act: 'dispose', path, fingerprint, device, inode} as const;
  await journal.write({mark: 'intent', step: step.id, undo});
  let ended: Destruction;
  try {
    ended = await files.destroy(path, (content, now) => whyUnfit({content, stat: now}, step) === undefined);
  } catch (error) {
    return await leave(journal, step, error);
  }
  // Exchanged while it was overwritten: the key is gone, whatever has its name now.
  if (ended === 'destroyed' || ended === 'overwritten') {
    await journal.write({mark: 'done', step: step.id});
    return undefined;
  }
  await journal.write({mark: 'undone', step: step.id});
  return 'was exchanged for another file a moment ago';
}

async function reveal(
  {files}: Pick<Ports, 'files'>,
  journal: Journal,
  step: Extract<FinalStep, {kind: 'reveal'}>,
): Promise<string | undefined> {
  const {path, from, fingerprint} = step;
  // What is judged is what is written: the file is read once.
  const found = await files.inspect(from);
  const why = found === undefined ? 'is not there' : whyUnfit(found, step);
  if (found === undefined || why !== undefined) return why;
  await journal.write({
    mark: 'intent',
    step: step.id,
    undo: {kind: 'final', act: 'reveal', path, fingerprint},
  });
  try {
    await files.replace(path, found.content, PUBLIC, {modified: NO_AGE});
  } catch (error) {
    return await leave(journal, step, error);
  }
  await journal.write({mark: 'done', step: step.id});
  return undefined;
}

async function leave(journal: Journal, step: FinalStep, error: unknown): Promise<string> {
  if (!(error instanceof ToolError)) throw error;
  await journal.write({mark: 'failed', step: step.id, message: error.message});
  return `could not be ${step.kind === 'reveal' ? 'published' : 'destroyed'}: ${error.message}`;
}

/** True for an irreversible step that has happened, or may have. */
export const passedFinal = ({undo, undone}: Pick<Entry, 'undo' | 'undone'>): boolean =>
  undo.kind === 'final' && !undone;

/**
 * After a crash or a failure: finds out which irreversible steps had passed the point of no return, and notes it. One
 * that had begun to overwrite its file is brought to its end; one that had not is noted as not done. A file that is gone
 * proves nothing (its owner may have moved it away), so it is not noted as destroyed.
 *
 * @returns what may have been destroyed or published by the run, a sentence each
 */
export async function settleFinal(
  {files}: Pick<Ports, 'files'>,
  journal: Journal,
  entries: readonly Entry[],
): Promise<readonly string[]> {
  const passed: string[] = [];
  for (const {step, undo, done, undone} of entries) {
    if (undo.kind !== 'final' || undone) continue;
    const word = undo.act === 'reveal' ? 'published' : 'destroyed';
    const end = done ? 'done' : await (undo.act === 'reveal' ? endOfReveal : endOfDispose)(files, undo);
    if (end === 'gone') {
      const message = `${undo.path} is not there any more. It was being destroyed when the run was cut off.`;
      await journal.write({mark: 'failed', step, message});
      passed.push(message);
      continue;
    }
    if (!done) await journal.write({mark: end, step});
    if (end === 'done') passed.push(`${undo.path} is ${word}.`);
  }
  return passed;
}

type End = 'done' | 'undone' | 'gone';

async function endOfReveal(files: Ports['files'], {path, fingerprint}: FinalRecord): Promise<End> {
  await sweepTemporary(files, parentOf(path), nameOf(path));
  const found = await files.inspect(path);
  return found !== undefined && privateFingerprint(found.content) === fingerprint ? 'done' : 'undone';
}

/** A file that is the announced one and holds its key no more was being overwritten: the rest of it goes, too. */
async function endOfDispose(files: Ports['files'], undo: FinalRecord): Promise<End> {
  const {path, fingerprint} = undo;
  const isBegun = (content: Uint8Array, stat: FileStat): boolean =>
    stat.device === undo.device && stat.inode === undo.inode && privateFingerprint(content) !== fingerprint;
  const ended = await files.destroy(path, isBegun);
  if (ended === 'absent') return 'gone';
  // Whole, or another file: then nothing is claimed.
  return ended === 'destroyed' || ended === 'overwritten' ? 'done' : 'undone';
}

/** Whether a run of this host has destroyed the key that was at a path: what is gone without that was not our doing. */
export async function wasDisposed(
  ports: Pick<Ports, 'files'>,
  path: AbsolutePath,
  fingerprint: string,
): Promise<boolean> {
  for (const run of ((await ports.files.list(RUNS_DIRECTORY)) ?? []).filter(isRunId)) {
    const entries = entriesOf(await readJournal(ports, run));
    const isIt = ({undo}: Entry): boolean =>
      undo.kind === 'final' &&
      undo.act === 'dispose' &&
      undo.path === path &&
      undo.fingerprint === fingerprint;
    if (entries.some(entry => entry.done && isIt(entry))) return true;
  }
  return false;
}
