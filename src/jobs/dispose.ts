/** What becomes of the private keys of removed selectors: destroyed, published, or left where they are. */
import type {DnsName} from '../domain/names.ts';
import {type AbsolutePath, below, parentOf, parseAbsolutePath} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {WorkEvent} from '../flow/operations.ts';
import {privateFingerprint, recordFingerprint} from '../keys/index.ts';
import {type LeftStep, makePlan, wasDisposed, whyNotFinal} from '../plan/index.ts';
import type {Evidence, KeyEntry, RotationState} from '../rotation/index.ts';
import {lookAtHost} from '../services/look.ts';
import type {DirectoryStep, DisposeStep, RevealStep, Step} from '../services/step.ts';
import type {Ports} from '../system/ports.ts';
import {milterReadiness} from './change.ts';
import {FailedStep} from './failed-step.ts';
import {readKeys} from './key-book.ts';
import {lookAtUses, whatUses} from './key-uses.ts';
import {dropRows} from './rotate/switch.ts';
import {applyUnproven, leftOf} from './run-change.ts';

type Gone = Extract<Evidence, {kind: 'record-gone'}>;
type KeyEnd = Gone['key'];

/** A key whose record is gone, and what is wanted of its private key. */
export interface Disposal {
  readonly key: KeyEntry;
  readonly evidence: Gone;
  /** The sentence for a disposal that went as wanted. */
  readonly text: string;
}

export type Disposed =
  | {readonly key: KeyEntry; readonly evidence: Gone; readonly said: string}
  /** A row still uses the key: nothing was done. */
  | {readonly key: KeyEntry; readonly refused: Problem};

/**
 * Disposes of private keys, all in one change. Who uses a key is asked once more, in this moment. A file is destroyed or
 * published only where it holds the key of the record, is a regular file with one name, and belongs to root or to the
 * signer's user; any other is left and named. What is said to be destroyed, was.
 *
 * @param folder where keys are published
 * @throws ToolError where nothing could be done
 */
export async function disposeKeys(
  ports: Ports,
  wanted: readonly Disposal[],
  folder: string,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<readonly Disposed[]> {
  const state = await readKeys(ports);
  const uses = await lookAtUses(ports, signal);
  const refused: Disposed[] = [];
  const free: Disposal[] = [];
  for (const each of wanted) {
    const use = whatUses(each.key, state, uses(each.key));
    if (use === undefined) free.push(each);
    else refused.push({key: each.key, refused: keyInUse(each.key.record.name, use)});
  }
  if (free.length === 0) return refused;
  await dropRows(
    ports,
    free.map(({key}) => key),
    emit,
    signal,
  );
  const plans = await eachPlanned(ports, free, state, folder, signal);
  const left = await carryOut(ports, plans, folder, emit, signal);
  const ended: Disposed[] = [];
  for (const plan of plans) ended.push(await endOf(ports, plan, left));
  return [...refused, ...ended];
}

export const keyInUse = (name: DnsName, use: string): Problem =>
  problem('rotate.key-in-use', `The private key of ${name} was left: it is still in use.`, use);

interface Planned extends Disposal {
  readonly fingerprint: string | undefined;
  readonly steps: readonly (DisposeStep | RevealStep)[];
  /** Files that are not touched, with the reason. */
  readonly left: readonly Pick<LeftStep, 'path' | 'why'>[];
  /** Files of the key that were not there. */
  readonly absent: readonly AbsolutePath[];
  /** The file that publishes it. */
  readonly published: AbsolutePath | undefined;
}

async function eachPlanned(
  ports: Ports,
  wanted: readonly Disposal[],
  state: RotationState,
  folder: string,
  signal: AbortSignal,
): Promise<readonly Planned[]> {
  const {signer: found} = await lookAtHost(ports, signal);
  const signer = found === undefined ? undefined : await ports.users.user(found.user);
  const owners = [0, ...(signer === undefined ? [] : [signer.uid])];
  const directory = parseAbsolutePath(folder);
  const taken = new Set<AbsolutePath>();
  const plans: Planned[] = [];
  for (const each of wanted) {
    const {key, evidence} = each;
    const fingerprint = recordFingerprint(key.record.value);
    const others = state.keys.filter(other => other.state !== 'removed' && !isSameKey(other, key));
    const isShared = others.some(other => recordFingerprint(other.record.value) === fingerprint);
    const shared = new Set(others.flatMap(other => [other.keyPath, other.stagedPath]));
    const isPublished = evidence.key === 'published' && !isShared && fingerprint !== undefined;
    if (isPublished && !directory.ok) throw new FailedStep(directory.problem);
    const place = isPublished && directory.ok ? below(directory.value, `${fingerprint}.pem`) : undefined;
    const steps: (DisposeStep | RevealStep)[] = [];
    const left: Pick<LeftStep, 'path' | 'why'>[] = [];
    const absent: AbsolutePath[] = [];
    const paths = evidence.key === 'kept' ? [] : [key.keyPath, key.stagedPath].flatMap(path => path ?? []);
    for (const path of paths) {
      if (taken.has(path)) continue;
      if ((await ports.files.stat(path)) === undefined) {
        absent.push(path);
        continue;
      }
      if (shared.has(path)) {
        left.push({path, why: 'is the key file of another domain, too'});
        continue;
      }
      if (fingerprint === undefined) {
        left.push({path, why: 'may be another key: the record cannot be read'});
        continue;
      }
      const step: DisposeStep = {
        kind: 'dispose',
        id: `dispose:${path}`,
        why: `Destroy the private key of ${key.record.name}`,
        path,
        fingerprint,
        owners,
      };
      const why = await whyNotFinal(ports, step);
      if (why !== undefined) left.push({path, why});
      else {
        taken.add(path);
        steps.push(step);
      }
    }
    const [first] = steps;
    const reveal: readonly RevealStep[] =
      place === undefined || first?.kind !== 'dispose'
        ? []
        : [
            {
              kind: 'reveal',
              id: `reveal:${place}`,
              why: `Publish the private key of ${key.record.name}`,
              from: first.path,
              path: place,
              fingerprint: first.fingerprint,
              owners,
            },
          ];
    plans.push({...each, fingerprint, steps: [...reveal, ...steps], left, absent, published: place});
  }
  return plans;
}

const isSameKey = (one: KeyEntry, other: KeyEntry): boolean =>
  one.domain === other.domain && one.selector === other.selector;

async function carryOut(
  ports: Ports,
  plans: readonly Planned[],
  folder: string,
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<readonly LeftStep[]> {
  const steps = plans.flatMap(plan => plan.steps);
  const directory = steps.some(({kind}) => kind === 'reveal') ? await folderStep(ports, folder) : [];
  const plan = makePlan({
    purpose: 'rotate',
    title: `Private keys of removed selectors: ${plans.map(({key}) => key.record.name).join(', ')}`,
    domains: plans.map(({key: {domain, selector}}) => ({domain, selector})),
    steps: [...directory, ...steps] satisfies readonly Step[],
    ...ports,
  });
  return leftOf(await applyUnproven(ports, plan, {ready: milterReadiness(ports)}, emit, signal));
}

/** May be passed through, may not be listed. */
async function folderStep({files}: Ports, folder: string): Promise<readonly DirectoryStep[]> {
  const path = parseAbsolutePath(folder);
  if (!path.ok || (await files.stat(path.value)) !== undefined) return [];
  return [
    {
      kind: 'directory',
      id: `directory:${path.value}`,
      why: 'Make the directory of published keys',
      path: path.value,
      before: {state: 'absent'},
      owner: {user: 'root', group: 'root'},
      mode: 0o711,
    },
  ];
}

/** What became of a key, as it was seen: never what was wanted. */
async function endOf(ports: Ports, plan: Planned, left: readonly LeftStep[]): Promise<Disposed> {
  const {key, evidence, fingerprint, steps, absent, published} = plan;
  const mine = new Set(steps.map(({id}) => id));
  const files = [...plan.left, ...left.filter(({step}) => mine.has(step))];
  const told = (end: KeyEnd, said: string): Disposed => ({key, evidence: {...evidence, key: end}, said});
  const {name} = key.record;
  if (evidence.key === 'kept') return told('kept', plan.text);
  const isOut = published !== undefined && (await isPublished(ports, published, fingerprint));
  const list = files.map(({path, why}) => `${visible(path)} ${why}`).join('; ');
  if (isOut) return told('published', files.length === 0 ? plan.text : `${plan.text} Left: ${list}.`);
  if (files.length > 0) {
    return told(
      'kept',
      `${name} is gone. Its private key was left: ${list}. Look at it and remove it by hand.`,
    );
  }
  const isDestroyed =
    steps.length > 0 ||
    (fingerprint !== undefined && (await anyOf(absent, path => wasDisposed(ports, path, fingerprint))));
  if (!isDestroyed) {
    const where = absent.map(path => visible(path)).join(' and ');
    return told(
      'missing',
      `${name} is gone. Its private key was not there to destroy${where === '' ? '' : `: ${where}`}.`,
    );
  }
  if (evidence.key !== 'published') return told('shredded', plan.text);
  return told(
    'shredded',
    `${name} is gone: its private key is destroyed and not published, since the key of another record is the same.`,
  );
}

async function isPublished(
  {files}: Ports,
  path: AbsolutePath,
  fingerprint: string | undefined,
): Promise<boolean> {
  if ((await files.stat(parentOf(path))) === undefined) return false;
  const found = await files.read(path, {follow: false});
  return found !== undefined && privateFingerprint(found) === fingerprint;
}

async function anyOf<T>(items: readonly T[], test: (item: T) => Promise<boolean>): Promise<boolean> {
  for (const item of items) if (await test(item)) return true;
  return false;
}
