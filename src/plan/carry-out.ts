import {ChangeFailed, HostError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {privateFingerprint} from '../keys/index.ts';
import {
  type Before,
  type DirectoryStep,
  type FileStep,
  octetsOfText,
  type PackageStep,
  type RemoveStep,
  type SecretContent,
  type Step,
} from '../services/step.ts';
import type {FileAttributes, InspectedFile, Ports} from '../system/ports.ts';
import {commandFailed} from './command-failure.ts';
import type {Journal, UndoRecord} from './journal.ts';
import {asBefore, isSame, type Observed, observe, sha256Of} from './observe.ts';
import {foreseeInstall, installedPackages, installPackages} from './packages.ts';
import {bringToRun, type Ready} from './service-state.ts';
import {isDone, type PathStep, wantedState} from './staleness.ts';

export interface Work {
  readonly ports: Ports;
  readonly journal: Journal;
  readonly ready: Ready;
  readonly signal: AbortSignal;
}

/**
 * Carries out one step: copy of what is there, then the journal says what is about to happen, then it happens, then it
 * is looked at, then the journal says that it is done. So an announced step always has its copy, and nothing happens
 * unannounced. Rejects with a ToolError; what was begun stays in the journal.
 */
export async function carryOut(work: Work, step: Step): Promise<void> {
  switch (step.kind) {
    case 'file':
    case 'directory':
    case 'remove':
      return await changePath(work, step);
    case 'package':
      return await addPackages(work, step);
    case 'service':
      await work.journal.write({mark: 'intent', step: step.id, undo: {kind: 'service', service: step}});
      await bringToRun(work.ports, step, work.ready, work.signal);
      return await work.journal.write({mark: 'done', step: step.id});
    case 'dispose':
    case 'reveal':
      // They come after the proof, by ./final.ts.
      throw new TypeError(`${step.id} cannot be taken back, and is not carried out among steps that can`);
    case 'check': {
      const result = await work.ports.commands.run(step.argv, {
        timeoutMs: step.timeoutMs,
        signal: work.signal,
      });
      work.signal.throwIfAborted();
      if (result.status !== 0) throw commandFailed('check.failed', step.argv, result);
    }
  }
}

/** A path step that is about to happen: what is there, what will be, and how to take it back. */
interface Announced {
  readonly step: PathStep;
  readonly now: Observed;
  readonly after: Before;
  readonly content: Uint8Array | undefined;
  readonly undo: Extract<UndoRecord, {kind: 'path'}>;
}

async function changePath(work: Work, step: PathStep): Promise<void> {
  const announced = await prepare(work, step);
  if (announced === undefined) return;
  await work.journal.write({mark: 'intent', step: step.id, undo: announced.undo});
  await perform(work.ports, announced);
  await work.journal.write({mark: 'done', step: step.id});
}

/** New files and directories that may be announced together; one sync of the journal does for all of them. */
const AT_ONCE = 64;

export const makesSomethingNew = (step: Step): step is FileStep | DirectoryStep =>
  (step.kind === 'file' || step.kind === 'directory') && step.before.state === 'absent';

/**
 * As {@link carryOut} for steps that only add: they are announced in groups, so that ten thousand keys do not need ten
 * thousand syncs of the journal. After a crash in a group, what it announced is taken back where it is there.
 */
export async function carryOutNew(
  work: Work,
  steps: readonly (FileStep | DirectoryStep)[],
  around: {started(step: Step): void; done(step: Step): void},
): Promise<void> {
  for (let begin = 0; begin < steps.length; begin += AT_ONCE) {
    await carryOutGroup(work, steps.slice(begin, begin + AT_ONCE), around);
  }
}

async function carryOutGroup(
  work: Work,
  group: readonly (FileStep | DirectoryStep)[],
  around: {started(step: Step): void; done(step: Step): void},
): Promise<void> {
  const {journal, ports, signal} = work;
  const announced = new Map<string, Announced>();
  for (const step of group) {
    const one = await prepare(work, step);
    if (one !== undefined) announced.set(step.id, one);
  }
  await journal.writeAll(
    [...announced.values()].map(({step, undo}) => ({mark: 'intent', step: step.id, undo}) as const),
  );
  const happened: string[] = [];
  try {
    for (const step of group) {
      signal.throwIfAborted();
      around.started(step);
      const one = announced.get(step.id);
      if (one !== undefined) {
        await perform(ports, one);
        happened.push(step.id);
      }
      around.done(step);
    }
  } finally {
    await journal.writeAll(happened.map(step => ({mark: 'done', step}) as const));
  }
}

/** Looks, copies, and says how to take it back; `undefined` where it is as wanted already. */
async function prepare(work: Work, step: PathStep): Promise<Announced | undefined> {
  const {ports, journal} = work;
  const now = await observe(ports.files, step.path);
  if (await isDone(ports, step, now)) return undefined;
  if (!isSame(now, step.before)) throw changedMeanwhile(step);
  const after = step.kind === 'remove' ? ({state: 'absent'} as const) : await wantedState(ports, step);
  const content = step.kind === 'file' ? await contentOf(ports, step) : undefined;
  const isFile = now.state === 'present' && now.kind === 'file';
  const backup = isFile ? {backup: await journal.backUp(now.content)} : {};
  // A later edit by hand can only be merged with the old text by what lay between the two.
  const changesText =
    isFile && content !== undefined && step.kind === 'file' && step.after.content.from === 'text';
  const written =
    changesText && sha256Of(content) !== now.sha256 ? {written: await journal.backUp(content)} : {};
  const secret =
    step.kind === 'file' && step.after.content.from === 'secret' ? ({secret: true} as const) : {};
  const before = asBefore(now);
  const undo = {kind: 'path', path: step.path, before, after, ...backup, ...written, ...secret} as const;
  return {step, now, after, content, undo};
}

async function perform(ports: Ports, {step, now, after, content}: Announced): Promise<void> {
  if (step.kind === 'file' && content !== undefined && after.state === 'present') {
    await writeFile(ports, step, now, content, after);
  } else if (step.kind === 'directory' && after.state === 'present') {
    await writeDirectory(ports, step, now, after);
  } else if (step.kind === 'remove') {
    await removeEntry(ports, step, now);
  }
  if (!isSame(await observe(ports.files, step.path), after)) throw notAsWanted(step);
}

async function writeFile(
  ports: Ports,
  step: FileStep,
  now: Observed,
  content: Uint8Array,
  attributes: FileAttributes,
): Promise<void> {
  if (now.state === 'absent') await ports.files.create(step.path, content, attributes);
  else if (now.kind === 'directory') throw changedMeanwhile(step);
  // Only the owner or mode: the file keeps its inode, and with it access lists and labels.
  else if (now.sha256 === sha256Of(content)) await ports.files.setAttributes(step.path, attributes, now);
  else await ports.files.replace(step.path, content, attributes, {keepLabels: true});
}

async function writeDirectory(
  ports: Ports,
  step: DirectoryStep,
  now: Observed,
  attributes: FileAttributes,
): Promise<void> {
  if (now.state === 'absent') await ports.files.makeDirectory(step.path, attributes);
  else if (now.kind === 'file') throw changedMeanwhile(step);
  else await ports.files.setAttributes(step.path, attributes, now);
}

async function removeEntry(ports: Ports, step: RemoveStep, now: Observed): Promise<void> {
  if (now.state === 'present' && now.kind === 'directory') await ports.files.removeDirectory(step.path);
  else await ports.files.remove(step.path);
}

/**
 * The octets that a file step writes. A private key is read once, by a handle of its own, from a regular file with one
 * name. HostError where it is gone, or is not the one that the plan was made with.
 */
export async function contentOf(ports: Pick<Ports, 'files'>, step: FileStep): Promise<Uint8Array> {
  const {content} = step.after;
  if (content.from === 'text') return octetsOfText(content);
  const found = await ports.files.inspect(content.path);
  if (found === undefined || !isPlanned(found, content)) {
    throw new HostError(
      problem(
        'key.changed',
        `The private key ${content.path} is not the one that the plan was made with.`,
        'Run waxseal again; it makes a new plan.',
      ),
    );
  }
  return found.content;
}

const isPlanned = ({content, stat}: InspectedFile, {sha256, fingerprint}: SecretContent): boolean =>
  stat.links === 1 &&
  sha256Of(content) === sha256 &&
  (fingerprint === undefined || privateFingerprint(content) === fingerprint);

async function addPackages(work: Work, step: PackageStep): Promise<void> {
  const {ports, journal} = work;
  const {manager, names} = step;
  const adds = await foreseeInstall(ports.commands, manager, names);
  const before = await installedPackages(ports.commands, manager);
  const backup = await journal.backUp(Buffer.from(`${before.join('\n')}\n`));
  const undo = {kind: 'package', manager, names, adds, backup} as const;
  await journal.write({mark: 'intent', step: step.id, undo});
  await installPackages(ports.commands, manager, names);
  await journal.write({mark: 'done', step: step.id});
}

const changedMeanwhile = (step: PathStep): ChangeFailed =>
  new ChangeFailed(
    problem(
      'plan.stale',
      `${step.path} was changed by somebody else while the plan was carried out.`,
      'Run waxseal again; it looks at the host anew.',
    ),
  );

const notAsWanted = (step: PathStep): ChangeFailed =>
  new ChangeFailed(
    problem(
      'step.unverified',
      `${step.path} is not as it was written a moment ago.`,
      'Something else writes this file (configuration management?); stop it, then run waxseal again.',
    ),
  );
