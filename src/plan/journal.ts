/**
 * What a run did, kept so that it can be taken back: `runs/RUN/plan.json` (without content), `journal.jsonl`
 * (appended and synced line by line), `backups/` (what was there before, 0600) and `found/` (edits of somebody else
 * that a roll-back found in its way).
 */
import {command} from '../domain/command.ts';
import {HostError, ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {RUNS_DIRECTORY} from '../domain/places.ts';
import {type Problem, problem} from '../domain/result.ts';
import {makeStateDirectory, OWN_FILE} from '../keys/index.ts';
import {octetsOfText, type Step} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {
  formatLine,
  type JournalLine,
  type MergedFile,
  parseJournal,
  type RunMark,
  type Sum,
  type UndoRecord,
} from './journal-line.ts';
import {sha256Of} from './observe.ts';
import type {Plan, RunId} from './plan.ts';

export type {FinalRecord, MergedFile, RunMark, UndoRecord} from './journal-line.ts';

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
  /** HostError `backup.missing`, or `backup.damaged` where it has not the hash that it was kept with. */
  readBackup(name: string, sha256?: string): Promise<Uint8Array>;
}

type WithoutTime<L> = L extends unknown ? Omit<L, 'at'> : never;

export const runDirectory = (run: RunId): AbsolutePath => below(RUNS_DIRECTORY, run);
export const journalFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'journal.jsonl');
export const planFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'plan.json');
export const backupsOf = (run: RunId): AbsolutePath => below(runDirectory(run), 'backups');
export const mergesOf = (run: RunId): AbsolutePath => below(runDirectory(run), 'merged');
const reserveFile = (run: RunId): AbsolutePath => below(runDirectory(run), 'reserve');

/**
 * Room for the journal's last lines, for each of them while a run is taken back, and for a copy of the journal without
 * its torn end. Octets.
 */
const RESERVE_BASE = 64 * 1024;
const RESERVE_A_STEP = 1024;

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

/**
 * Opens a new run. The plan is kept without the content of its files. The journal comes first: a plan beside which there
 * is none has lost it, for no crash leaves it so.
 */
export async function beginJournal(ports: Content & Pick<Ports, 'random'>, plan: Plan): Promise<Journal> {
  await makeStateDirectory(ports.files, backupsOf(plan.id));
  // Random: a file system that compresses (btrfs, ZFS) keeps no room for zeros.
  await ports.files.replace(reserveFile(plan.id), ports.random.bytes(reserveFor(plan)), OWN_FILE);
  const stored = `${JSON.stringify({...plan, steps: plan.steps.map(withoutContent)}, null, 2)}\n`;
  const journal = openJournal(ports, plan.id);
  await journal.write({run: 'begun', plan: sha256Of(Buffer.from(stored))});
  await ports.files.replace(planFile(plan.id), Buffer.from(stored), OWN_FILE);
  return journal;
}

export function openJournal(ports: Content, run: RunId): Journal {
  const directory = runDirectory(run);
  const backups = backupsOf(run);
  let copies: number | undefined;
  let last: Sum | undefined;
  const writeAll: Journal['writeAll'] = async lines => {
    if (lines.length === 0) return;
    const at = ports.clock.now().toISOString();
    let sum = last ?? (await mendedSum(ports, run));
    let text = '';
    for (const line of lines) {
      const next = formatLine({at, ...line}, sum);
      text += next.text;
      sum = next.sum;
    }
    // What reached the disk of a write that failed is looked up before the next one.
    last = undefined;
    await ports.files.append(journalFile(run), Buffer.from(text), OWN_FILE);
    last = sum;
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
    async readBackup(name, sha256) {
      const copy = below(backups, name);
      const content = await ports.files.read(copy, {follow: false});
      if (content === undefined) {
        throw new HostError(
          problem('backup.missing', `The copy ${copy} is gone.`, 'Put the file back by hand.'),
        );
      }
      if (sha256 !== undefined && sha256Of(content) !== sha256) {
        throw new HostError(
          problem('backup.damaged', `The copy ${copy} is damaged.`, 'Put the file back by hand.'),
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

/** What the next line is chained to. The end that a crash tore goes away first, so that nothing is glued to it. */
async function mendedSum(ports: Pick<Ports, 'files'>, run: RunId): Promise<Sum> {
  const content = (await ports.files.read(journalFile(run), {follow: false})) ?? new Uint8Array();
  const read = parseJournal(content);
  if ('damage' in read) throw new HostError(damagedRun(run, journalFile(run), read.damage));
  if (read.wholeOctets < content.length) {
    await ports.files.replace(journalFile(run), content.subarray(0, read.wholeOctets), OWN_FILE);
  }
  return read.sum;
}

/**
 * The lines of a journal; none where there is no journal. A last line that a crash tore is left out: what it announced did
 * not happen. HostError `run.damaged` for everything else that is not as it was written.
 */
export async function readJournal(ports: Pick<Ports, 'files'>, run: RunId): Promise<readonly JournalLine[]> {
  const content = await ports.files.read(journalFile(run), {follow: false});
  if (content === undefined) return [];
  const read = parseJournal(content);
  if ('damage' in read) throw new HostError(damagedRun(run, journalFile(run), read.damage));
  return read.lines;
}

/** A run of which it can't be known what it changed: no change begins before a person has set it aside. */
export const damagedRun = (run: RunId, file: AbsolutePath, why: string): Problem =>
  problem(
    'run.damaged',
    `${file} is damaged (${why}), so waxseal can't know what that run changed, and changes nothing.`,
    `Compare the host with the copies in ${backupsOf(run)}. When the host is right, set the run aside: ${command('mv', runDirectory(run), `${runDirectory(run)}.damaged`)}`,
  );

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
