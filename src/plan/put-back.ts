/**
 * Takes steps back from the journal alone: after a failure, after a crash, and for `waxseal undo`. Safe to repeat: each
 * step looks first whether it is back already.
 *
 * Order: strictly reverse for files, directories and packages. Services only after the files of their time are back,
 * once a unit, the last one touched first (who uses another service lets go of it before it changes), and before
 * packages go. Directories that this run made go after the services that put sockets into them, and so do private keys:
 * a signer may read them for each message, and until it has the old tables a key that is gone means 451
 * (daemons/opendkim.md#key-files).
 */
import {command} from '../domain/command.ts';
import {ToolError} from '../domain/errors.ts';
import {type AbsolutePath, below, nameOf, parentOf} from '../domain/paths.ts';
import {makeStateDirectory, OWN_FILE, sweepTemporary} from '../keys/index.ts';
import type {ServiceStep} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {octal} from './diff.ts';
import {backupsOf, type Entry, type Journal, mergesOf, type UndoRecord} from './journal.ts';
import {isSame, type Observed, observe} from './observe.ts';
import {type Brought, removeBrought} from './packages.ts';
import type {ApplyEvent} from './plan.ts';
import {putServiceBack, type Ready, statusOf} from './service-state.ts';

export interface PutBack {
  readonly whole: boolean;
  /** What is not back, each with the command to mend it. */
  readonly remains: readonly string[];
  /** Copies of edits that somebody else made meanwhile. */
  readonly kept: readonly string[];
  /** Keys that were destroyed or published before: the run is over, and nothing was taken back. */
  readonly passed?: readonly string[];
}

interface Tools {
  readonly ports: Pick<Ports, 'files' | 'commands' | 'clock'>;
  readonly journal: Journal;
  readonly ready: Ready;
  readonly emit: (event: ApplyEvent) => void;
}

type PathRecord = Extract<UndoRecord, {kind: 'path'}>;
type PackageRecord = Extract<UndoRecord, {kind: 'package'}>;

/** One thing to do on the way back: a path, a package, or all that a run did to one unit. */
export type Return =
  | {readonly kind: 'path'; readonly entry: Entry; readonly undo: PathRecord}
  | {readonly kind: 'made-directory'; readonly entry: Entry; readonly undo: PathRecord}
  | {readonly kind: 'package'; readonly entry: Entry; readonly undo: PackageRecord}
  | {
      readonly kind: 'service';
      readonly entries: readonly Entry[];
      /** In the order of the run. */
      readonly services: readonly [ServiceStep, ...ServiceStep[]];
    };

/** The way back through `entries` (given in the order in which they were carried out), without what is back already. */
export function wayBack(entries: readonly Entry[]): readonly Return[] {
  const way: Return[] = [];
  let services: {entry: Entry; service: ServiceStep}[] = [];
  let afterServices: Return[] = [];
  const settle = (): void => {
    way.push(...byUnit(services), ...afterServices);
    services = [];
    afterServices = [];
  };
  for (const entry of [...entries].reverse()) {
    const {undo} = entry;
    // What cannot be taken back is settled before anything else is (./final.ts).
    if (entry.undone || undo.kind === 'final') continue;
    if (undo.kind === 'service') {
      services.push({entry, service: undo.service});
    } else if (undo.kind === 'package') {
      settle();
      way.push({kind: 'package', entry, undo});
    } else if (isMadeDirectory(undo)) {
      afterServices.push({kind: 'made-directory', entry, undo});
    } else if (isNewKey(undo)) {
      afterServices.push({kind: 'path', entry, undo});
    } else {
      way.push({kind: 'path', entry, undo});
    }
  }
  settle();
  return way;
}

/**
 * Takes back `entries`. Never rejects for a ToolError: it goes on with the rest. While something remains, new keys stay
 * (a table that is not back may name them), and a service is not noted as back: it must take up the rest when that is.
 */
export async function putBack(tools: Tools, entries: readonly Entry[]): Promise<PutBack> {
  const remains: string[] = [];
  const kept: string[] = [];
  const held: AbsolutePath[] = [];
  for (const move of wayBack(entries)) {
    if (remains.length > 0 && isKeyPlace(move, held)) {
      held.push(move.undo.path);
      continue;
    }
    try {
      const isFinal = move.kind !== 'service' || remains.length === 0;
      await goBack(tools, move, kept);
      const steps = move.kind === 'service' ? move.entries : [move.entry];
      if (isFinal) await tools.journal.writeAll(steps.map(({step}) => ({mark: 'undone', step}) as const));
      for (const {step} of steps) tools.emit({type: 'step-undone', step});
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      remains.push(`${error.message} ${mendOf(tools.journal, move)}`);
    }
  }
  const [first] = held;
  if (first !== undefined) {
    remains.push(`New private keys stay until the rest is back, for a table may name them: ${first}.`);
  }
  return {whole: remains.length === 0, remains, kept};
}

/** A new private key, or a directory that the run made for one that is held. */
const isKeyPlace = (
  move: Return,
  held: readonly AbsolutePath[],
): move is Extract<Return, {kind: 'path' | 'made-directory'}> =>
  (move.kind === 'path' && isNewKey(move.undo)) ||
  (move.kind === 'made-directory' && held.some(path => path.startsWith(`${move.undo.path}/`)));

async function goBack(tools: Tools, move: Return, kept: string[]): Promise<void> {
  if (move.kind === 'service') return await putServiceBack(tools.ports, move.services, tools.ready);
  if (move.kind === 'package') return await takePackagesBack(tools, move.undo);
  if (move.kind === 'path') return await putPathBack(tools, move.undo, move.entry.done, kept);
  return await removeMadeDirectory(tools, move.undo, move.entry.done);
}

/** The command that does by hand what failed. */
function mendOf(journal: Journal, move: Return): string {
  if (move.kind === 'service') return `See why: ${statusOf(move.services[0])}`;
  if (move.kind === 'package') return `Remove these with the package manager: ${move.undo.names.join(' ')}`;
  return move.kind === 'path'
    ? mendingOf(journal, move.undo)
    : `Move what is in it elsewhere, then: ${command('rmdir', move.undo.path)}`;
}

/** Groups in the order of `touched`, which is last touched first. */
function byUnit(
  touched: readonly {readonly entry: Entry; readonly service: ServiceStep}[],
): readonly Return[] {
  const units = new Map<string, {entries: Entry[]; services: [ServiceStep, ...ServiceStep[]]}>();
  for (const {entry, service} of touched) {
    const group = units.get(service.unit);
    if (group === undefined) units.set(service.unit, {entries: [entry], services: [service]});
    else {
      group.entries.push(entry);
      group.services.unshift(service);
    }
  }
  return [...units.values()].map(group => ({kind: 'service', ...group}) as const);
}

const isNewKey = (undo: PathRecord): boolean => undo.secret === true && undo.before.state === 'absent';

const isMadeDirectory = (undo: PathRecord): boolean =>
  undo.before.state === 'absent' && undo.after.state === 'present' && undo.after.kind === 'directory';

async function putPathBack(tools: Tools, undo: PathRecord, done: boolean, kept: string[]): Promise<void> {
  const {files} = tools.ports;
  const {path, before} = undo;
  // A crash between writing and renaming leaves the temporary file of the replacement behind.
  await sweepTemporary(files, parentOf(path), nameOf(path));
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
    else await files.setAttributes(path, before, now);
  } else if (now.state === 'present' && now.kind === 'file' && now.sha256 === before.sha256) {
    await files.setAttributes(path, before, now);
  } else {
    const content = await tools.journal.readBackup(undo.backup ?? 'none', before.sha256);
    if (now.state === 'absent') await files.create(path, content, before);
    else await files.replace(path, content, before, {keepLabels: true});
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

async function takePackagesBack(tools: Tools, undo: PackageRecord): Promise<void> {
  await removeBrought(tools.ports.commands, undo.manager, await broughtBy(tools.journal, undo));
}

/** What a run brought with packages, as its journal has it. */
export async function broughtBy(journal: Pick<Journal, 'readBackup'>, undo: PackageRecord): Promise<Brought> {
  const list = Buffer.from(await journal.readBackup(undo.backup)).toString('utf8');
  return {before: list.split('\n').filter(Boolean), adds: undo.adds};
}

const WRITABLE_BY_OTHERS = 0o002;
/** No setuid, setgid or sticky bit on a file, and nothing that everyone may write. */
const HARMLESS = 0o775;

/** The command that does by hand what failed. */
function mendingOf(journal: Journal, undo: PathRecord): string {
  const {path, before} = undo;
  if (before.state === 'absent') return `Remove it: ${command('rm', path)}`;
  const owner = `${before.uid}:${before.gid}`;
  // Whoever owns the file chose its mode; root is never told to give away more than reading.
  const mode = before.kind === 'directory' ? before.mode & ~WRITABLE_BY_OTHERS : before.mode & HARMLESS;
  const left =
    mode === before.mode
      ? ''
      : ` (its mode was ${octal(before.mode)}; the rest of it is left out on purpose)`;
  if (before.kind === 'directory' || undo.backup === undefined) {
    return `Put it back: ${command('chown', owner, path)} && ${command('chmod', octal(mode), path)}${left}`;
  }
  const backup = below(backupsOf(journal.run), undo.backup);
  return `Put it back: ${command('install', '-o', String(before.uid), '-g', String(before.gid), '-m', octal(mode), backup, path)}${left}`;
}

/** Drops the copies of a run that is taken back whole: they may hold secrets and nobody needs them any more. */
export async function dropBackups(ports: Pick<Ports, 'files'>, journal: Journal): Promise<void> {
  for (const directory of [backupsOf(journal.run), mergesOf(journal.run)]) {
    const names = await ports.files.list(directory);
    if (names === undefined) continue;
    for (const name of names) await ports.files.remove(below(directory, name));
    await ports.files.removeDirectory(directory);
  }
}
