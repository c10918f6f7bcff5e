/**
 * Takes steps back from the journal alone: after a failure, after a crash, and for `waxseal undo`. Safe to repeat: each
 * step looks first whether it is back already.
 *
 * Order: strictly reverse for files, directories and packages. Services only after the files of their time are back,
 * once a unit, the last one touched first (who uses another service lets go of it before it changes), and before
 * packages go. Directories that this run made go after the services that put sockets into them.
 */
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below, nameOf, parentOf} from '../domain/paths.ts';
import {visible} from '../domain/text.ts';
import {makeStateDirectory, OWN_FILE} from '../keys/index.ts';
import type {ServiceStep} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {octal} from './diff.ts';
import {backupsOf, type Entry, type Journal, type UndoRecord} from './journal.ts';
import {isSame, type Observed, observe} from './observe.ts';
import {removeNewPackages} from './packages.ts';
import type {ApplyEvent} from './plan.ts';
import {putServiceBack, type Ready} from './service-state.ts';

export interface PutBack {
  readonly whole: boolean;
  /** What is not back, each with the command to mend it. */
  readonly remains: readonly string[];
  /** Copies of edits that somebody else made meanwhile. */
  readonly kept: readonly string[];
}

interface Tools {
  readonly ports: Pick<Ports, 'files' | 'commands' | 'clock'>;
  readonly journal: Journal;
  readonly ready: Ready;
  readonly emit: (event: ApplyEvent) => void;
}

type PathRecord = Extract<UndoRecord, {kind: 'path'}>;
type Waiting<R> = {readonly step: string; readonly done: boolean; readonly what: R};

/** Takes back `entries` (in the order in which they were carried out). Never rejects for a ToolError: it goes on with the rest. */
export async function putBack(tools: Tools, entries: readonly Entry[]): Promise<PutBack> {
  const remains: string[] = [];
  const kept: string[] = [];
  let services: Waiting<ServiceStep>[] = [];
  let directories: Waiting<PathRecord>[] = [];

  const attempt = async (
    steps: readonly string[],
    mend: string,
    work: () => Promise<void>,
  ): Promise<void> => {
    try {
      await work();
      for (const step of steps) {
        await tools.journal.write({mark: 'undone', step});
        tools.emit({type: 'step-undone', step});
      }
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      remains.push(`${error.message} ${mend}`);
    }
  };
  const settle = async (): Promise<void> => {
    for (const group of byUnit(services)) {
      const [first] = group;
      const steps = group.map(waiting => waiting.step);
      const [head, ...rest] = group.map(waiting => waiting.what).reverse();
      if (first === undefined || head === undefined) continue;
      const mend = `Look at: systemctl status ${visible(first.what.unit)}`;
      await attempt(steps, mend, () => putServiceBack(tools.ports, [head, ...rest], tools.ready));
    }
    for (const {step, done, what} of directories) {
      await attempt([step], `Remove it: rm -r ${what.path}`, () => removeMadeDirectory(tools, what, done));
    }
    services = [];
    directories = [];
  };

  for (const {step, undo, done, undone} of [...entries].reverse()) {
    if (undone) continue;
    if (undo.kind === 'service') {
      services.push({step, done, what: undo.service});
    } else if (undo.kind === 'package') {
      await settle();
      const mend = `Remove it with the package manager: ${undo.names.join(' ')}`;
      await attempt([step], mend, () => takePackagesBack(tools, undo));
    } else if (isMadeDirectory(undo)) {
      directories.push({step, done, what: undo});
    } else {
      const mend = mendingOf(tools.journal, undo);
      await attempt([step], mend, () => putPathBack(tools, undo, done, kept));
    }
  }
  await settle();
  return {whole: remains.length === 0, remains, kept};
}

/** Groups in the order of `services`, which is last touched first. */
function byUnit(services: readonly Waiting<ServiceStep>[]): readonly (readonly Waiting<ServiceStep>[])[] {
  const units = new Map<string, Waiting<ServiceStep>[]>();
  for (const waiting of services) {
    const group = units.get(waiting.what.unit);
    if (group === undefined) units.set(waiting.what.unit, [waiting]);
    else group.push(waiting);
  }
  return [...units.values()];
}

const isMadeDirectory = (undo: PathRecord): boolean =>
  undo.before.state === 'absent' && undo.after.state === 'present' && undo.after.kind === 'directory';

async function putPathBack(tools: Tools, undo: PathRecord, done: boolean, kept: string[]): Promise<void> {
  const {files} = tools.ports;
  const {path, before} = undo;
  await sweep(tools, path);
  const now = await observe(files, path);
  if (isSame(now, before)) return;
  if (isForeign(now, undo)) {
    // Announced, never done, and yet something new is there: it is not ours, and ours did not get its place.
    if (!done && before.state === 'absent') return;
    kept.push(await keepFound(tools, path, now));
  }
  if (before.state === 'absent') {
    await files.remove(path);
  } else if (before.kind === 'directory') {
    if (now.state === 'absent') await files.makeDirectory(path, before);
    else await files.setAttributes(path, before);
  } else if (now.state === 'present' && now.kind === 'file' && now.sha256 === before.sha256) {
    await files.setAttributes(path, before);
  } else {
    const content = await tools.journal.readBackup(undo.backup ?? 'none');
    if (now.state === 'absent') await files.create(path, content, before);
    else await files.replace(path, content, before);
  }
}

/** True for a file whose content is neither the one before nor the one after. */
function isForeign(now: Observed, undo: PathRecord): now is Extract<Observed, {kind: 'file'}> {
  if (now.state === 'absent' || now.kind !== 'file') return false;
  const known = [undo.before, undo.after].some(
    side => side.state === 'present' && side.kind === 'file' && side.sha256 === now.sha256,
  );
  return !known;
}

async function keepFound(
  tools: Tools,
  path: AbsolutePath,
  now: Extract<Observed, {kind: 'file'}>,
): Promise<string> {
  const directory = below(tools.journal.directory, 'found');
  await makeStateDirectory(tools.ports.files, directory);
  const copy = below(directory, `${now.sha256.slice(0, 12)}-${nameOf(path)}`.slice(0, 200));
  await tools.ports.files.replace(copy, now.content, OWN_FILE);
  return `${path} had been edited meanwhile; the edit is kept in ${copy}.`;
}

/** A crash between writing and renaming leaves the temporary file of the replacement behind. */
async function sweep(tools: Tools, path: AbsolutePath): Promise<void> {
  const parent = parentOf(path);
  const prefix = `.${nameOf(path).slice(0, 200)}.waxseal-`;
  for (const name of (await tools.ports.files.list(parent)) ?? []) {
    if (name.startsWith(prefix) && /^[0-9a-f]{8}$/.test(name.slice(prefix.length))) {
      await tools.ports.files.remove(below(parent, name));
    }
  }
}

/** Removes a directory that the run made; sockets of daemons that have ended may be left in it, nothing else. */
async function removeMadeDirectory(tools: Tools, undo: PathRecord, done: boolean): Promise<void> {
  const {files} = tools.ports;
  for (const name of (await files.list(undo.path)) ?? []) {
    const entry = below(undo.path, name);
    if ((await files.stat(entry))?.kind === 'socket') await files.remove(entry);
  }
  // Announced, never done, and yet not empty: somebody else made it, and ours did not get its place.
  if (!done && ((await files.list(undo.path)) ?? []).length > 0) return;
  await files.removeDirectory(undo.path);
}

async function takePackagesBack(tools: Tools, undo: Extract<UndoRecord, {kind: 'package'}>): Promise<void> {
  const list = Buffer.from(await tools.journal.readBackup(undo.backup)).toString('utf8');
  await removeNewPackages(tools.ports.commands, undo.manager, list.split('\n').filter(Boolean));
}

/** The command that does by hand what failed. */
function mendingOf(journal: Journal, undo: PathRecord): string {
  const {path, before} = undo;
  if (before.state === 'absent') return `Remove it: rm ${path}`;
  if (before.kind === 'directory' || undo.backup === undefined) {
    return `Put it back: chown ${before.uid}:${before.gid} ${path} && chmod ${octal(before.mode)} ${path}`;
  }
  const backup = below(backupsOf(journal.run), undo.backup);
  return `Put it back: install -o ${before.uid} -g ${before.gid} -m ${octal(before.mode)} ${backup} ${path}`;
}

/** Drops the copies of a run that is taken back whole: they may hold secrets and nobody needs them any more. */
export async function dropBackups(ports: Pick<Ports, 'files'>, journal: Journal): Promise<void> {
  const backups = backupsOf(journal.run);
  for (const name of (await ports.files.list(backups)) ?? []) await ports.files.remove(below(backups, name));
  await ports.files.removeDirectory(backups);
}
