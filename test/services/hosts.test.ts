import {describe, expect, it} from 'vitest';
import type {Problem} from '../../src/domain/result.ts';
import {applyPlan, makePlan, textDiff, undoRun} from '../../src/plan/index.ts';
import type {HostFacts} from '../../src/services/facts.ts';
import type {SigningChange} from '../../src/services/signing.ts';
import type {FileStep, Step} from '../../src/services/step.ts';
import {
  carryOut,
  type FakeHost,
  fingerprint,
  fixtureHost,
  fixtureNames,
  type Manifest,
  planPorts,
} from '../support/fake-host.ts';
import {lostLines} from './ours.ts';
import {candidateOf, planOn, value, wantedOn} from './wanted.ts';

type Fixture = FakeHost & {readonly manifest: Manifest};

const ask = (host: Fixture, names: readonly string[] = ['example.com']) =>
  planOn(host, wantedOn(host, names, host.manifest.wanted ?? {}));

const isWorkable = (name: string): boolean => {
  const {refused, blocked = []} = fixtureHost(name).manifest;
  return refused === undefined && blocked.length === 0;
};

const textFiles = (steps: readonly Step[]): readonly FileStep[] =>
  steps.flatMap(step => (step.kind === 'file' && step.after.content.from === 'text' ? [step] : []));

/** Carries out the steps with the journal and the backups of the real thing. */
async function apply(host: FakeHost, steps: readonly Step[]) {
  const ports = planPorts(host);
  const plan = makePlan({purpose: 'setup', title: 'DKIM', domains: [], steps, ...ports});
  const hooks = {ready: async () => undefined, proof: async () => ({checks: [], passed: true})};
  const outcome = await applyPlan(ports, plan, hooks, () => undefined, new AbortController().signal);
  if (outcome.result !== 'applied' && outcome.result !== 'nothing') throw new Error(outcome.error.message);
  return {ports, plan, hooks, outcome};
}

it('has at least sixty hosts, each with its shape and where it is seen', () => {
  const manifests = fixtureNames().map(name => fixtureHost(name).manifest);
  expect(manifests.length).toBeGreaterThanOrEqual(60);
  for (const {shape, seen} of manifests) {
    expect(shape.length).toBeGreaterThan(20);
    expect(seen.length).toBeGreaterThan(10);
  }
  expect(new Set(manifests.map(manifest => manifest.shape)).size).toBe(manifests.length);
});

describe.each(fixtureNames())('%s', name => {
  it('is planned as the snapshot shows', async () => {
    const host = fixtureHost(name);
    const {facts, change} = await ask(host);
    const shown = change.ok ? showChange(change.value) : `refused: ${showProblem(change.problem)}`;
    expect(facts.blockers.map(blocker => blocker.id)).toEqual(host.manifest.blocked ?? []);
    expect(change.ok ? undefined : change.problem.id).toBe(host.manifest.refused);
    // The plan of every host that is not refused stands there with its diffs.
    if (change.ok && change.value.steps.length > 0) expect(shown).toMatch(/^\+\+\+ /m);
    const head = `${host.manifest.shape}\nSeen: ${host.manifest.seen}`;
    await expect(`${head}\n\n${showFacts(facts)}\n${shown}`).toMatchFileSnapshot(
      `../../snapshots/services/hosts/${name}.txt`,
    );
  });
});

describe.each(fixtureNames().filter(isWorkable))('%s, carried out', name => {
  it('needs nothing more afterwards, and is what it was once that is undone', async () => {
    const host = fixtureHost(name);
    const {steps, endpoint} = value((await ask(host)).change);
    const before = fingerprint(host);
    const {ports, plan, hooks, outcome} = await apply(host, steps);
    expect(outcome.result).toBe(steps.length === 0 ? 'nothing' : 'applied');
    const second = await ask(host);
    expect(value(second.change).steps).toEqual([]);
    expect(value(second.change).endpoint).toEqual(endpoint);
    expect(second.facts.signer?.signedDomains).toContain('example.com');
    if (outcome.result !== 'applied') return;
    expect(fingerprint(host)).not.toEqual(before);
    const undone = await undoRun(ports, plan.id, hooks, () => undefined);
    expect(undone).toEqual({result: 'undone', run: plan.id});
    expect(fingerprint(host)).toEqual(before);
  });

  it('touches nothing that the plan does not name, and no line that is not about signing', async () => {
    const host = fixtureHost(name);
    const {steps} = value((await ask(host)).change);
    const before = fingerprint(host);
    await apply(host, steps);
    const named = new Set(
      steps.flatMap(step => ('path' in step ? [step.path] : 'unit' in step ? [step.unit] : [])),
    );
    const changed = [...fingerprint(host)].filter(([at, state]) => before.get(at) !== state);
    expect(changed.map(([at]) => at).filter(at => !named.has(at as never))).toEqual([]);
    for (const step of textFiles(steps)) {
      const text = step.after.content.from === 'text' ? step.after.content.text : '';
      expect(lostLines(step.path, step.beforeText ?? '', text, 'example.com')).toEqual([]);
    }
  });

  it('takes another domain later and leaves the first alone', async () => {
    const host = fixtureHost(name);
    await carryOut(host, value((await ask(host)).change).steps);
    const later = value((await ask(host, ['example.info'])).change);
    const touched = textFiles(later.steps);
    expect(touched.map(step => step.path)).not.toContain('/etc/postfix/main.cf');
    for (const step of touched) {
      const after = step.after.content.from === 'text' ? step.after.content.text : '';
      for (const line of (step.beforeText ?? '').split('\n')) expect(after).toContain(line);
    }
    await carryOut(host, later.steps);
    expect(value((await ask(host, ['example.com', 'example.info'])).change).steps).toEqual([]);
  });
});

const withoutKeys = (text: string): string => text.replace(/:MII\S+/g, ':(private key)');

const showProblem = (problem: Problem): string => `${problem.id}: ${problem.message}\n    ${problem.hint}`;

function showFacts(facts: HostFacts): string {
  const rows = [
    `domains found: ${facts.mailDomains.join(' ')}`,
    `signed today: ${facts.signer?.signedDomains.join(' ') ?? ''}`,
    `units: ${facts.mta?.unit} ${facts.signer?.unit}`,
    ...facts.rivals.map(
      signer => `other signer: ${signer.program}, ${signer.evidence}, signs: ${signer.signs}`,
    ),
    ...facts.blockers.map(problem => `blocker ${showProblem(problem)}`),
    ...facts.remarks.map(problem => `remark ${showProblem(problem)}`),
  ];
  return `== look\n${rows.join('\n')}\n`;
}

function showChange(change: SigningChange): string {
  const candidate = candidateOf(change);
  return [
    '== plan',
    ...change.remarks.map(problem => `remark ${showProblem(problem)}`),
    `endpoint: ${JSON.stringify(change.endpoint)}`,
    ...change.steps.map(showStep),
    '== candidate',
    `key table (${candidate.keyTable.kind} ${candidate.keyTable.path}):\n${withoutKeys(candidate.keyTable.text)}`,
    `signing table (${candidate.signingTable.kind} ${candidate.signingTable.path}):\n${candidate.signingTable.text}`,
    `trusted hosts (${candidate.trustedHosts.kind} ${candidate.trustedHosts.path}):\n${candidate.trustedHosts.text}`,
    ...candidate.keys.map(({path, from}) => `key ${path}, until then ${from}`),
  ].join('\n');
}

function showStep(step: Step): string {
  const head = `${step.id}  ${step.why}`;
  if (step.kind === 'directory')
    return `${head}\n    ${step.owner.user}:${step.owner.group} ${step.mode.toString(8)}`;
  if (step.kind === 'check') return `${head}\n    ${step.argv.join(' ')}`;
  if (step.kind === 'service')
    return `${head}\n    ${step.argv.join(' ')}; then ${step.ready.activeArgv?.join(' ')}`;
  if (step.kind !== 'file') return head;
  const {content, owner, mode} = step.after;
  const rights = `    ${owner.user}:${owner.group} ${mode.toString(8)}`;
  if (content.from === 'secret') return `${head}\n${rights}, from ${content.path}`;
  return `${head}\n${rights}\n${textDiff(step.path, step.beforeText, content.text)}`;
}
