/** The switch to new keys, and taking old ones out of the tables: planned, applied and proven as any other change. */
import {createPublicKey} from 'node:crypto';
import {ChangeFailed, HostError, type ToolError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {applyPlan, makePlan} from '../../plan/index.ts';
import {liveTest} from '../../proof/live-test.ts';
import {type KeyEntry, revokedValue} from '../../rotation/index.ts';
import {textStep} from '../../services/files.ts';
import {lookAtHost} from '../../services/look.ts';
import {keyRows, labelOf, parseTable, removeLines} from '../../services/opendkim/tables.ts';
import {planSigning} from '../../services/signing.ts';
import {readConfiguration} from '../../services/snapshot.ts';
import type {FileStep, Step} from '../../services/step.ts';
import type {Ports} from '../../system/ports.ts';
import type {StagedDomain, WorkEvent} from '../operations.ts';
import {milterReadiness, publishedKeys} from './carrying-out.ts';
import {recordActive} from './key-book.ts';
import {stagedAgain} from './looking.ts';
import type {WorkOptions} from './options.ts';

/**
 * Lets ready keys sign: tables replaced, OpenDKIM told to take them over, the new selectors proven on the socket and by
 * real messages against the authoritative servers; only then written down, together with the keys before them. Throws a
 * ToolError where it did not work; everything is as it was then.
 */
export async function switchKeys(
  ports: Ports,
  options: WorkOptions,
  keys: readonly KeyEntry[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const staged = await takeUp(ports, options, keys, signal);
  const facts = await lookAtHost(ports, signal);
  const [blocker] = facts.blockers;
  if (blocker !== undefined) throw new HostError(blocker);
  const snapshot = await readConfiguration(ports, facts, staged);
  const change = planSigning(facts, snapshot, {
    domains: staged.map(({domain, selector, stagedPath, sha256}) => ({
      domain,
      selector,
      key: {stagedPath, sha256},
    })),
    socket: 'auto',
    canonicalization: '',
    trustedHosts: [],
    // Rows for subdomains that are there get the new key; new ones are not a rotation's business.
    subdomains: false,
  });
  if (!change.ok) throw new HostError(change.problem);
  const {steps: all, endpoint, candidate} = change.value;
  const keyPaths = await placeKeys(ports, all, staged, emit, signal);
  const steps = all.filter(step => !isPlace(step));
  const plan = makePlan({
    purpose: 'rotate',
    title: `New keys for ${staged.map(({domain, selector}) => `${domain} (${selector})`).join(', ')}`,
    domains: staged.map(({domain, selector}) => ({domain, selector})),
    steps: everyRow(steps, candidate.signingTable.path, candidate.keyTable.text, staged),
    clock: ports.clock,
    random: ports.random,
  });
  const proof = async () =>
    await liveTest(
      ports,
      {
        facts: await lookAtHost(ports, signal),
        endpoint,
        domains: staged,
        lookup: publishedKeys(ports, staged, options),
      },
      check => emit({type: 'check', check}),
      signal,
    );
  const outcome = await applyPlan(
    ports,
    plan,
    {proof, ready: milterReadiness(ports), lockHeld: true},
    emit,
    signal,
  );
  // Nothing to change: a run before this one switched and could not write it down. It is proven all the same.
  const report =
    outcome.result === 'nothing' ? await proof() : outcome.result === 'applied' ? outcome.proof : undefined;
  if (report === undefined) throw errorOf(outcome);
  const wrong = report.checks.find(({status}) => status === 'fail');
  if (!report.passed) {
    throw new ChangeFailed(
      problem(
        'rotate.unproven',
        `The new key does not sign: ${wrong?.cause ?? 'nothing was proven'}`,
        wrong?.fix ?? '',
      ),
    );
  }
  const known = (await lookAtHost(ports, signal)).opendkim?.keys;
  await recordActive(ports, plan, report.checks, (domain, selector) => {
    const placed = keyPaths.get(`${domain} ${selector}`);
    if (placed !== undefined) return placed;
    const path = known?.find(each => each.domain === domain && each.selector === selector)?.path;
    return path?.startsWith('/') === true ? (path as KeyEntry['keyPath']) : undefined;
  });
}

/** A private key that is put in place, or a directory for it. */
const isPlace = (step: Step): boolean =>
  step.kind === 'directory' || (step.kind === 'file' && step.after.content.from === 'secret');

/**
 * Puts the new private keys in place, as a change of its own that nothing takes back: OpenDKIM reads them for each
 * message, and a session that was open meanwhile may need one even after tables have been put back. A key that no table
 * names harms nobody.
 */
async function placeKeys(
  ports: Ports,
  steps: readonly Step[],
  staged: readonly StagedDomain[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NonNullable<KeyEntry['keyPath']>>> {
  const plan = makePlan({
    purpose: 'rotate',
    title: `Private keys in place: ${staged.map(({record}) => record.absoluteName).join(', ')}`,
    domains: [],
    steps: steps.filter(isPlace),
    clock: ports.clock,
    random: ports.random,
  });
  const outcome = await applyPlan(
    ports,
    plan,
    {proof: async () => ({checks: [], passed: true}), ready: milterReadiness(ports), lockHeld: true},
    emit,
    signal,
  );
  if (outcome.result !== 'applied' && outcome.result !== 'nothing') throw outcome.error;
  return new Map(
    staged.flatMap(({domain, selector, stagedPath}) => {
      const step = plan.steps.find(
        each =>
          each.kind === 'file' &&
          each.after.content.from === 'secret' &&
          each.after.content.path === stagedPath,
      );
      return step?.kind === 'file' ? [[`${domain} ${selector}`, step.path] as const] : [];
    }),
  );
}

const errorOf = (outcome: {readonly result: string; readonly error?: ToolError}): ToolError =>
  outcome.error ?? new ChangeFailed(problem('rotate.failed', 'The keys were not switched.', 'Run it again.'));

async function takeUp(
  ports: Ports,
  options: WorkOptions,
  keys: readonly KeyEntry[],
  signal: AbortSignal,
): Promise<readonly StagedDomain[]> {
  const staged: StagedDomain[] = [];
  for (const key of keys) {
    const each = await stagedAgain(ports, options, key, signal);
    if (each === undefined) {
      throw new HostError(
        problem(
          'key.missing',
          `The private key of ${key.record.name} is not under the state directory any more.`,
          `Begin anew with another selector: waxseal rotate --domain ${key.domain} --selector NAME`,
        ),
      );
    }
    staged.push(each);
  }
  return staged;
}

/**
 * Every row of the signing table whose key signs as one of the domains gets its new key, be it for one address or for a
 * pattern: one that went on with the old key would sign with it after its record is gone.
 */
function everyRow(
  steps: readonly Step[],
  signingTable: string | undefined,
  keyTable: string,
  staged: readonly StagedDomain[],
): readonly Step[] {
  const rows = keyRows(parseTable(keyTable));
  const next = new Map(
    staged.map(({domain, selector}) => [
      domain as string,
      rows.find(row => row.domain.toLowerCase() === domain && row.selector.toLowerCase() === selector)?.label,
    ]),
  );
  const labels = new Map(
    rows.flatMap(row => {
      const label = next.get(row.domain.toLowerCase());
      return label === undefined || label === row.label ? [] : [[row.label, label] as const];
    }),
  );
  return steps.map(step => {
    if (step.kind !== 'file' || step.path !== signingTable || step.after.content.from !== 'text') return step;
    const text = relabelled(step.after.content.text, labels);
    return {...step, after: {...step.after, content: {from: 'text', text}}} satisfies FileStep;
  });
}

function relabelled(text: string, labels: ReadonlyMap<string, string>): string {
  const rows = new Map(parseTable(text).map(row => [row.line, row]));
  return text
    .split(/(?<=\n)/)
    .map((raw, line) => {
      const row = rows.get(line);
      const label = row === undefined ? undefined : labels.get(labelOf(row.value));
      if (row === undefined || label === undefined) return raw;
      const old = labelOf(row.value);
      const at = raw.indexOf(old, raw.indexOf(row.key) + row.key.length);
      return at < 0 ? raw : raw.slice(0, at) + label + raw.slice(at + old.length);
    })
    .join('');
}

/** Takes the rows of keys that are gone out of the key table; nothing refers to them any more. */
export async function dropRows(
  ports: Ports,
  keys: readonly KeyEntry[],
  emit: (event: WorkEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const facts = await lookAtHost(ports, signal);
  const snapshot = await readConfiguration(ports, facts);
  const tables = Object.values(snapshot.entries).filter(entry => entry.text !== undefined);
  const keyTable = facts.opendkim?.settings['keytable']?.replace(/^(re)?file:/, '');
  const signing = facts.opendkim?.settings['signingtable']?.replace(/^(re)?file:/, '');
  const textAt = (path: string | undefined) =>
    path === undefined ? undefined : (snapshot.entries[path] ?? tables.find(entry => entry.path === path));
  const entry = textAt(keyTable);
  const used = new Set(parseTable(textAt(signing)?.text ?? '').map(row => labelOf(row.value)));
  if (entry?.text === undefined || textAt(signing)?.text === undefined) return;
  const doomed = keyRows(parseTable(entry.text)).filter(
    row =>
      !used.has(row.label) &&
      keys.some(
        key => key.domain === row.domain.toLowerCase() && key.selector === row.selector.toLowerCase(),
      ),
  );
  if (doomed.length === 0) return;
  const text = removeLines(entry.text, new Set(doomed.map(row => row.line)));
  const plan = makePlan({
    purpose: 'rotate',
    title: `Removed keys out of the table: ${keys.map(({record}) => record.name).join(', ')}`,
    domains: [],
    // OpenDKIM takes it over with its next reload; until then a row that nothing refers to does no harm.
    steps: textStep(snapshot, entry.path, text, 'Take keys that are gone out of the table'),
    clock: ports.clock,
    random: ports.random,
  });
  const outcome = await applyPlan(
    ports,
    plan,
    {
      proof: async () => ({checks: [], passed: true}),
      ready: milterReadiness(ports),
      lockHeld: true,
    },
    emit,
    signal,
  );
  if (outcome.result !== 'applied' && outcome.result !== 'nothing') throw outcome.error;
}

/** The record that says that a key was revoked. */
export const revokedRecord = (key: KeyEntry): KeyEntry['record'] => ({
  ...key.record,
  value: revokedValue(key),
});

/** The name of a published private key: derived from its public key, so that it tells nothing of its age. */
export const revealedName = (pem: string): Buffer =>
  createPublicKey(pem).export({type: 'spki', format: 'der'});
