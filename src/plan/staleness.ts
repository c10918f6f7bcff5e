import {command} from '../domain/command.ts';
import {HostError, ToolError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {
  type Before,
  type DirectoryStep,
  type FileStep,
  isFinal,
  octetsOfText,
  type RemoveStep,
  type Step,
} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {keyPathOf, whyNotFinal} from './final.ts';
import {attributesOf, isSame, type Observed, observe, sha256Of} from './observe.ts';
import {shownOctets, shownText} from './octets.ts';
import type {Plan} from './plan.ts';
import {holdsPrivateKey, textDiff} from './text-diff.ts';

/** A step whose target is not what it was when the plan was made. */
export interface StaleStep {
  readonly step: string;
  readonly path: string;
  /** One sentence. */
  readonly change: string;
  /** From what the plan saw to what is there now; '' where that cannot or must not be shown. */
  readonly diff: string;
}

export type PathStep = FileStep | DirectoryStep | RemoveStep;

export const hasPath = (step: Step): step is PathStep =>
  step.kind === 'file' || step.kind === 'directory' || step.kind === 'remove';

/** Compares every target of a plan with what the plan saw; a target that is in its wanted state already is not stale. */
export async function findStale(
  ports: Pick<Ports, 'files' | 'users'>,
  plan: Pick<Plan, 'steps'>,
): Promise<readonly StaleStep[]> {
  const stale: StaleStep[] = [];
  for (const step of plan.steps.filter(hasPath)) {
    const now = await observe(ports.files, step.path);
    refuseSeveralNames(step, now);
    if (isSame(now, step.before) || (await isDone(ports, step, now))) continue;
    stale.push({step: step.id, path: step.path, change: changeOf(step.before, now), diff: diffOf(step, now)});
  }
  for (const step of plan.steps.filter(isFinal)) {
    const why = await whyNotFinal(ports, step);
    if (why !== undefined) stale.push({step: step.id, path: keyPathOf(step), change: why, diff: ''});
  }
  return stale;
}

// Replacing one name of a file would silently part it from its other names.
function refuseSeveralNames(step: PathStep, now: Observed): void {
  if (now.state === 'absent' || now.kind !== 'file' || now.links < 2) return;
  throw new HostError(
    problem(
      'file.hard-link',
      `${step.path} has ${now.links} names (hard links); waxseal would change only one of them.`,
      `Find the others: ${command('find', '/', '-xdev', '-samefile', step.path)}`,
    ),
  );
}

/** True where the target is already as the step wants it. */
export async function isDone(ports: Pick<Ports, 'users'>, step: PathStep, now: Observed): Promise<boolean> {
  if (step.kind === 'remove') return now.state === 'absent';
  try {
    return isSame(now, await wantedState(ports, step));
  } catch (error) {
    // The user of the step does not exist yet: then nothing can belong to it.
    if (error instanceof ToolError) return false;
    throw error;
  }
}

/** How the target looks after the step. HostError where its user or group does not exist. */
export async function wantedState(
  ports: Pick<Ports, 'users'>,
  step: FileStep | DirectoryStep,
): Promise<Extract<Before, {state: 'present'}>> {
  if (step.kind === 'directory') {
    const attributes = await attributesOf(ports.users, step.owner, step.mode);
    return {state: 'present', kind: 'directory', sha256: '', ...attributes};
  }
  const {content, owner, mode} = step.after;
  const attributes = await attributesOf(ports.users, owner, mode);
  const sha256 = content.from === 'text' ? sha256Of(octetsOfText(content)) : content.sha256;
  return {state: 'present', kind: 'file', sha256, ...attributes};
}

function changeOf(before: Before, now: Observed): string {
  if (before.state === 'absent') return 'It did not exist and does now.';
  if (now.state === 'absent') return 'It has been removed.';
  if (now.kind !== before.kind) return `It was a ${before.kind} and is a ${now.kind} now.`;
  if (now.sha256 !== before.sha256) return 'Its content has changed.';
  return 'Its owner or mode has changed.';
}

function diffOf(step: PathStep, now: Observed): string {
  const content = step.kind === 'file' ? step.after.content : undefined;
  const seen = 'beforeText' in step ? step.beforeText : undefined;
  const before = seen !== undefined && content?.from === 'text' ? shownText({...content, text: seen}) : seen;
  const text = now.state === 'present' && now.kind === 'file' ? shownOctets(now.content) : undefined;
  const secret = content?.from === 'secret';
  if (secret || [before, text].some(side => side !== undefined && holdsPrivateKey(side))) return '';
  return textDiff(step.path, before, text);
}
