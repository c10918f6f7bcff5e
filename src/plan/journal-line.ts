/**
 * The text of a journal: one JSON object a line. Each line carries the start of a SHA-256 over itself and all lines before
 * it, so that a line that was lost, changed or moved is found out. Lines of versions without sums are read as well.
 */
import {createHash} from 'node:crypto';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {isPackageManager} from '../layouts/package-managers.ts';
import type {Before, PackageStep, ServiceStep} from '../services/step.ts';

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
  | {readonly kind: 'service'; readonly service: ServiceStep}
  | FinalRecord;

/** A step that cannot be taken back: enough to find out, after a crash, whether it had happened. */
export interface FinalRecord {
  readonly kind: 'final';
  readonly act: 'dispose' | 'reveal';
  /** The private key that is destroyed, or the file that publishes it. */
  readonly path: AbsolutePath;
  readonly fingerprint: string;
  /** The very file that is destroyed; absent for `reveal`. */
  readonly device?: number;
  readonly inode?: number;
}

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
  | {
      readonly at: string;
      readonly run: RunMark;
      readonly merged?: readonly MergedFile[];
      /** Hex SHA-256 of plan.json; with `begun`. */
      readonly plan?: string;
    };

const SUM_DIGITS = 16;
const SUMMED = /^(\{.*),"sum":"([0-9a-f]{16})"\}$/s;

/** What the next line is chained to; of an empty journal ''. */
export type Sum = string;

const chained = (before: Sum, text: string): Sum =>
  createHash('sha256').update(before).update('\n').update(text).digest('hex').slice(0, SUM_DIGITS);

/** The text of one line, its line feed included, and the sum that the next one is chained to. */
export function formatLine(line: JournalLine, before: Sum): {readonly text: string; readonly sum: Sum} {
  const text = JSON.stringify(line);
  const sum = chained(before, text);
  return {text: `${text.slice(0, -1)},"sum":"${sum}"}\n`, sum};
}

export interface JournalText {
  readonly lines: readonly JournalLine[];
  readonly sum: Sum;
  /** Octets of the complete lines; what follows them was torn by a crash, and what it announced did not happen. */
  readonly wholeOctets: number;
}

/** Why a journal can't be relied on, in words that follow "its journal is damaged:". */
export interface JournalDamage {
  readonly damage: string;
}

const LINE_FEED = 0x0a;

/** Reads a journal strictly: only its last line may be torn, for that alone is what a crash leaves. */
export function parseJournal(content: Uint8Array): JournalText | JournalDamage {
  const wholeOctets = content.lastIndexOf(LINE_FEED) + 1;
  const texts = Buffer.from(content.subarray(0, wholeOctets)).toString('latin1').split('\n').slice(0, -1);
  const lines: JournalLine[] = [];
  const begun = new Set<string>();
  let sum: Sum = '';
  let hasSums = false;
  let mendedAt: number | undefined;
  for (const [index, octets] of texts.entries()) {
    const text = Buffer.from(octets, 'latin1').toString('utf8');
    const summed = SUMMED.exec(text);
    const plain = summed === null ? text : `${summed[1]}}`;
    sum = chained(sum, plain);
    if (summed === null ? hasSums : summed[2] !== sum)
      return at(index, 'it, or a line before it, was changed');
    hasSums = summed !== null;
    const line = lineOf(plain);
    if (line === undefined) {
      if (hasSums || index === 0 || !octets.startsWith(TORN)) return at(index, 'it is not a line of waxseal');
      mendedAt = index;
      continue;
    }
    if (mendedAt !== undefined && !isWayBack(line)) return at(mendedAt, 'it is cut off');
    if (('run' in line && line.run === 'begun') !== (index === 0)) return at(index, 'it is out of order');
    if ('mark' in line && line.mark === 'intent') begun.add(line.step);
    else if ('mark' in line && line.mark !== 'failed' && !begun.has(line.step)) {
      return at(index, 'it tells of a step that never began');
    }
    lines.push(line);
  }
  return {lines, sum, wholeOctets};
}

const at = (index: number, why: string): JournalDamage => ({damage: `line ${index + 1}: ${why}`});

/**
 * How a line begins that was torn. Versions without sums ended such a line and went on behind it, and then only with the
 * way back.
 */
const TORN = '{"at":"';
const isWayBack = (line: JournalLine): boolean =>
  'run' in line ? line.run !== 'begun' && line.run !== 'applied' : line.mark === 'undone';

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : undefined;

function lineOf(text: string): JournalLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isLine(value) ? value : undefined;
}

const RUN_MARKS: ReadonlySet<unknown> = new Set(['begun', 'applied', 'rolled-back', 'undoing', 'undone']);

function isLine(value: unknown): value is JournalLine {
  const line = fieldsOf(value);
  if (line === undefined || typeof line['at'] !== 'string' || Number.isNaN(Date.parse(line['at'])))
    return false;
  if ('run' in line) {
    const {merged, plan} = line;
    return (
      RUN_MARKS.has(line['run']) &&
      (merged === undefined || (Array.isArray(merged) && merged.every(isMerged))) &&
      (plan === undefined || isSha256(plan))
    );
  }
  if (typeof line['step'] !== 'string') return false;
  switch (line['mark']) {
    case 'done':
    case 'undone':
      return true;
    case 'failed':
      return typeof line['message'] === 'string';
    case 'intent':
      return isUndo(fieldsOf(line['undo']));
    default:
      return false;
  }
}

function isUndo(undo: Fields | undefined): boolean {
  switch (undo?.['kind']) {
    case 'path':
      return (
        isPath(undo['path']) &&
        isBefore(undo['before']) &&
        isBefore(undo['after']) &&
        (undo['backup'] === undefined || isCopy(undo['backup'])) &&
        (undo['written'] === undefined || isCopy(undo['written']))
      );
    case 'package':
      return (
        isPackageManager(undo['manager']) &&
        areTexts(undo['names']) &&
        areTexts(undo['adds']) &&
        isCopy(undo['backup'])
      );
    case 'final':
      return (
        (undo['act'] === 'dispose' || undo['act'] === 'reveal') &&
        isPath(undo['path']) &&
        isSha256(undo['fingerprint'])
      );
    case 'service': {
      const service = fieldsOf(undo['service']);
      const ready = fieldsOf(service?.['ready']);
      return (
        typeof service?.['unit'] === 'string' &&
        typeof service['wasActive'] === 'boolean' &&
        areTexts(service['argv']) &&
        service['argv'].length > 0 &&
        typeof ready?.['withinMs'] === 'number'
      );
    }
    default:
      return false;
  }
}

function isBefore(value: unknown): boolean {
  const before = fieldsOf(value);
  if (before?.['state'] === 'absent') return true;
  const {state, kind, sha256, mode, uid, gid} = before ?? {};
  return (
    state === 'present' &&
    ((kind === 'directory' && sha256 === '') || (kind === 'file' && isSha256(sha256))) &&
    [mode, uid, gid].every(number => Number.isSafeInteger(number))
  );
}

const isMerged = (value: unknown): boolean => {
  const merged = fieldsOf(value);
  return isPath(merged?.['path']) && isCopy(merged?.['backup']) && isSha256(merged?.['sha256']);
};

const isPath = (value: unknown): boolean => {
  if (typeof value !== 'string') return false;
  const path = parseAbsolutePath(value);
  return path.ok && path.value === value;
};

/** A name in backups/. */
const isCopy = (value: unknown): boolean => typeof value === 'string' && /^\d{4,}$/.test(value);
const isSha256 = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const areTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(item => typeof item === 'string');
