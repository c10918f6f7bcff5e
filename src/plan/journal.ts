/**
 * What a run did, kept so that it can be taken back: `runs/RUN/plan.json` (without content), `journal.jsonl`
 * (appended and synced line by line), `backups/` (what was there before, 0600) and `found/` (edits of somebody else
 * that a roll-back found in its way).
 */
import {HostError, ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {RUNS_DIRECTORY} from '../domain/places.ts';
import {problem} from '../domain/result.ts';
import {makeStateDirectory, OWN_FILE} from '../keys/index.ts';
import {type Before, octetsOfText, type PackageStep, type ServiceStep, type Step} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {sha256Of} from './observe.ts';
import type {Plan, RunId} from './plan.ts';

/** Enough to take one step back without its plan. */
export type UndoRecord =
  | {
      readonly kind: 'path';
      readonly path: AbsolutePath;
      readonly before: Before;
      readonly after: Before;
      /** Name in backups/ of the content before; where there was a file. */
      readonly backup?: string;
      /** Name in backups/ of the content after, where a later edit may have to be merged with the content before. */
      readonly written?: string;
      /** A private key that the run put in place: the signer reads it for each message for as long as a table names it. */
      readonly secret?: true;
    }
  | {
      readonly kind: 'package';
      readonly manager: PackageStep['manager'];
      readonly names: readonly string[];
      /** Names of all packages that the installation was to bring. */
      readonly adds: readonly string[];
      /** Name in backups/ of the list of packages that were there before. */
      readonly backup: string;
    }
  | {readonly kind: 'service'; readonly service: ServiceStep};

export type StepLine =
  | {readonly at: string; readonly mark: 'intent'; readonly step: string; readonly undo: UndoRecord}
  | {readonly at: string; readonly mark: 'done' | 'undone'; readonly step: string}
  | {readonly at: string; readonly mark: 'failed'; readonly step: string; readonly message: string};

/** `begun` … `applied`, or `begun` … `rolled-back`; later `undoing` … `undone`. */
export type RunMark = 'begun' | 'applied' | 'rolled-back' | 'undoing' | 'undone';

/** What an undo puts in place of the content before: the two merged, as the administrator has approved. */
export interface MergedFile {
  readonly path: AbsolutePath;
  /** Name in backups/. */
  readonly backup: string;
  readonly sha256: string;
}

export type JournalLine =
  | StepLine
  | {readonly at: string; readonly run: RunMark; readonly merged?: readonly MergedFile[]};

type Content = Pick<Ports, 'files' | 'clock'>;

export interface Journal {
  readonly run: RunId;
  readonly directory: AbsolutePath;
  /** Appends one line; on the disk when this resolves. */
  write(line: WithoutTime<JournalLine>): Promise<void>;
  /** Appends several lines as one; all on the disk when this resolves. */
  writeAll(lines: readonly WithoutTime<JournalLine>[]): Promise<void>;
  /** Keeps what was there before; on the disk when this resolves. Gives the name of the copy. */
  backUp(content: Uint8Array): Promise<string>;
  readBackup(name: string): Promise<Uint8Array>;
}

type WithoutTime<L> = L extends unknown ? Omit<L, 'at'> : never;

export const runDirectory = (run: RunId): AbsolutePath => below(RUNS_DIRECTORY, run);
const journalFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'journal.jsonl');
const planFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'plan.json');
export const backupsOf = (run: RunId): AbsolutePath => below(runDirectory(run), 'backups');
export const mergesOf = (run: RunId): AbsolutePath => below(runDirectory(run), 'merged');
const reserveFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'reserve');

/** Room for the journal's last lines, and for each of them while a run is taken back. Octets. */
const RESERVE_BASE = 64 * 1024;
const RESERVE_A_STEP = 160;

/** Room that going back may need on a disk that has run full meanwhile: the old files, and the lines of the journal. */
function reserveFor(plan: Plan): number {
  const old = plan.steps.map(step => ('beforeText' in step ? Buffer.byteLength(step.beforeText ?? '') : 0));
  return RESERVE_BASE + plan.steps.length * RESERVE_A_STEP + old.reduce((sum, size) => sum + size, 0);
}

/** Gives the room back that was kept for going back. Where that fails it is only untidy. */
export async function releaseReserve(ports: Pick<Ports, 'files'>, run: RunId): Promise<void> {
  try {
    await ports.files.remove(reserveFile(run));
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
  }
}

/** Opens a new run. The plan is kept without the content of its files. */
export async function beginJournal(ports: Content & Pick<Ports, 'random'>, plan: Plan): Promise<Journal> {
  await makeStateDirectory(ports.files, backupsOf(plan.id));
  // Random: a file system that compresses (btrfs, ZFS) keeps no room for zeros.
  await ports.files.replace(reserveFile(plan.id), ports.random.bytes(reserveFor(plan)), OWN_FILE);
  const stored = JSON.stringify({...plan, steps: plan.steps.map(withoutContent)}, null, 2);
  await ports.files.replace(planFile(plan.id), Buffer.from(`${stored}\n`), OWN_FILE);
  const journal = openJournal(ports, plan.id);
  await journal.write({run: 'begun'});
  return journal;
}

/** The journal of a run that exists. */
export function openJournal(ports: Content, run: RunId): Journal {
  const directory = runDirectory(run);
  const backups = backupsOf(run);
  let copies: number | undefined;
  const writeAll: Journal['writeAll'] = async lines => {
    const at = ports.clock.now().toISOString();
    const text = lines.map(line => `${JSON.stringify({at, ...line})}\n`).join('');
    if (text !== '') await ports.files.append(journalFile(run), Buffer.from(text), OWN_FILE);
  };
  return {
    run,
    directory,
    write: line => writeAll([line]),
    writeAll,
    async backUp(content) {
      copies ??= Math.max(
        0,
        ...((await ports.files.list(backups)) ?? []).map(name => (/^\d{4,}$/.test(name) ? Number(name) : 0)),
      );
      copies += 1;
      const name = String(copies).padStart(4, '0');
      await ports.files.create(below(backups, name), content, OWN_FILE);
      return name;
    },
    async readBackup(name) {
      const content = await ports.files.read(below(backups, name));
      if (content === undefined) {
        throw new HostError(
          problem(
            'backup.missing',
            `The copy ${below(backups, name)} is gone.`,
            'Put the file back by hand.',
          ),
        );
      }
      return content;
    },
  };
}

function withoutContent(step: Step): unknown {
  if (step.kind === 'file') {
    const {beforeText: _before, ...rest} = step;
    const {content} = step.after;
    const kept = content.from === 'text' ? {from: 'text', sha256: sha256Of(octetsOfText(content))} : content;
    return {...rest, after: {...step.after, content: kept}};
  }
  if (step.kind === 'remove') {
    const {beforeText: _before, ...rest} = step;
    return rest;
  }
  return step;
}

/** The lines of a journal. A line that a power cut tore is left out: what it announced did not happen. */
export async function readJournal(ports: Pick<Ports, 'files'>, run: RunId): Promise<readonly JournalLine[]> {
  const content = await ports.files.read(journalFile(run));
  if (content === undefined) return [];
  return Buffer.from(content)
    .toString('utf8')
    .split('\n')
    .flatMap(text => {
      try {
        const line: unknown = JSON.parse(text);
        return isLine(line) ? [line] : [];
      } catch {
        return [];
      }
    });
}

/** Ends a line that a power cut tore, so that the next one is not glued to it. */
export async function mendJournal(ports: Pick<Ports, 'files'>, run: RunId): Promise<void> {
  const content = await ports.files.read(journalFile(run));
  if (content !== undefined && content.length > 0 && content.at(-1) !== 0x0a) {
    await ports.files.append(journalFile(run), Buffer.from('\n'), OWN_FILE);
  }
}

// The file is root's alone and written by this program only; the shape is checked so far as to tell the kinds apart.
function isLine(value: unknown): value is JournalLine {
  if (typeof value !== 'object' || value === null || !('at' in value)) return false;
  if ('run' in value) return typeof value.run === 'string';
  if (!('mark' in value) || !('step' in value) || typeof value.step !== 'string') return false;
  return (
    value.mark !== 'intent' || ('undo' in value && typeof value.undo === 'object' && value.undo !== null)
  );
}

/** One step that was begun, as the journal tells it. */
export interface Entry {
  readonly step: string;
  readonly undo: UndoRecord;
  readonly done: boolean;
  readonly undone: boolean;
}

/** Every step that was begun, in the order of the run. */
export function entriesOf(lines: readonly JournalLine[]): readonly Entry[] {
  const marked = (mark: 'done' | 'undone'): ReadonlySet<string> =>
    new Set(lines.flatMap(line => ('mark' in line && line.mark === mark ? [line.step] : [])));
  const [done, undone] = [marked('done'), marked('undone')];
  const merged = new Map(
    lines.flatMap(line => ('run' in line ? (line.merged ?? []) : [])).map(file => [file.path, file]),
  );
  return lines.flatMap(line =>
    'mark' in line && line.mark === 'intent'
      ? [
          {
            step: line.step,
            undo: withMerged(line.undo, merged),
            done: done.has(line.step),
            undone: undone.has(line.step),
          },
        ]
      : [],
  );
}

/** Where an undo was agreed to with a merged file, that file is what "before" means from then on. */
function withMerged(undo: UndoRecord, merged: ReadonlyMap<AbsolutePath, MergedFile>): UndoRecord {
  const file = undo.kind === 'path' ? merged.get(undo.path) : undefined;
  if (file === undefined || undo.kind !== 'path' || undo.before.state === 'absent') return undo;
  return {...undo, before: {...undo.before, sha256: file.sha256}, backup: file.backup};
}

/** How far a run is; `undefined` where it ended before it began. */
export const statusOf = (lines: readonly JournalLine[]): RunMark | undefined =>
  lines.flatMap(line => ('run' in line ? [line.run] : [])).at(-1);
