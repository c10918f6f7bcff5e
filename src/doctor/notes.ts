/** Whether waxseal's own notes below /var/lib/waxseal can be relied on: what they say decides what is written as root. */
import {HostError} from '../domain/errors.ts';
import {type AbsolutePath, below} from '../domain/paths.ts';
import {DRAFT_FILE, KEYS_DIRECTORY, RUNS_DIRECTORY, STATE_DIRECTORY, STATE_FILE} from '../domain/places.ts';
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {judgeOwn} from '../keys/index.ts';
import {readRuns} from '../plan/runs.ts';
import type {Check, CheckStatus} from '../proof/proof.ts';
import {loadDraft, loadState} from '../rotation/index.ts';
import type {Ports} from '../system/ports.ts';

type NotePorts = Pick<Ports, 'files'>;

/** Everything about the notes that stops a change, each with its repair; empty where they are sound. For root. */
export async function inspectNotes(ports: NotePorts): Promise<readonly Problem[]> {
  const directories = await judged(ports, [STATE_DIRECTORY, KEYS_DIRECTORY, RUNS_DIRECTORY], 'directory');
  // What is below something that is no directory can't be looked at.
  if (directories.some(({id}) => id === 'state.kind')) return directories;
  return [...directories, ...(await stateProblems(ports)), ...(await readRuns(ports)).damaged];
}

/** HostError of the first problem of {@link inspectNotes}: before every change, under the lock of the host. */
export async function refuseDamagedNotes(ports: NotePorts): Promise<void> {
  const [first] = await inspectNotes(ports);
  if (first !== undefined) throw new HostError(first);
}

/** The notes as findings of a command that only looks. */
export async function checkNotes(
  ports: NotePorts,
  status: Extract<CheckStatus, 'fail' | 'warn'> = 'fail',
): Promise<readonly Check[]> {
  const problems = [...(await inspectNotes(ports)), ...(await stagedKeyProblems(ports))];
  return problems.map(({id, message, hint}) => ({
    ...{id, title: "waxseal's own notes", status},
    ...{evidence: visible(message), cause: 'Until this is repaired, waxseal changes nothing.', fix: hint},
  }));
}

async function stateProblems(ports: NotePorts): Promise<readonly Problem[]> {
  const unsafe = await judged(ports, [STATE_FILE, DRAFT_FILE], 'file');
  const [state, draft] = [await loadState(ports.files), await loadDraft(ports.files)];
  const damaged = [state, draft].flatMap(read => (read === undefined || read.ok ? [] : read.problem));
  const known = new Set(unsafe.map(({message}) => message));
  return [...unsafe, ...damaged.filter(({message}) => !known.has(message))];
}

/** Private keys that wait, and their directories. */
async function stagedKeyProblems(ports: NotePorts): Promise<readonly Problem[]> {
  if ((await ports.files.stat(KEYS_DIRECTORY))?.kind !== 'directory') return [];
  const problems: Problem[] = [];
  for (const domain of (await ports.files.list(KEYS_DIRECTORY)) ?? []) {
    const directory = below(KEYS_DIRECTORY, domain);
    const odd = await judged(ports, [directory], 'directory');
    problems.push(...odd);
    if (odd.some(({id}) => id === 'state.kind')) continue;
    const names = (await ports.files.list(directory)) ?? [];
    problems.push(
      ...(await judged(
        ports,
        names.map(name => below(directory, name)),
        'file',
      )),
    );
  }
  return problems;
}

async function judged(
  {files}: NotePorts,
  paths: readonly AbsolutePath[],
  kind: 'file' | 'directory',
): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const path of paths) {
    const stat = await files.stat(path);
    const problem = stat === undefined ? undefined : judgeOwn(path, stat, kind);
    if (problem !== undefined) problems.push(problem);
    if (problem?.id === 'state.kind' && kind === 'directory') break;
  }
  return problems;
}
