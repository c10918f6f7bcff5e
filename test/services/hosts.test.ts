import {createTwoFilesPatch} from 'diff';
import {describe, expect, it} from 'vitest';
import type {Problem} from '../../src/domain/result.ts';
import type {HostFacts} from '../../src/services/facts.ts';
import type {SigningChange} from '../../src/services/signing.ts';
import type {Step} from '../../src/services/step.ts';
import {carryOut, fixtureHost, fixtureNames} from '../support/fake-host.ts';
import {planOn, value, wantedOn} from './wanted.ts';

// A fixture whose set-up is refused, with the problem's id.
const REFUSED: Readonly<Record<string, string>> = {'key-of-another': 'key.exists'};

describe.each(fixtureNames())('%s', name => {
  it('is planned as the snapshot shows', async () => {
    const host = fixtureHost(name);
    const {facts, change} = await planOn(host, wantedOn(host, ['example.com']));
    const refused = REFUSED[name];
    const shown = change.ok ? showChange(change.value) : `refused: ${showProblem(change.problem)}`;
    expect(change.ok ? undefined : change.problem.id).toBe(refused);
    await expect(`${host.shape}\n\n${showFacts(facts)}\n${shown}`).toMatchFileSnapshot(
      `../../snapshots/services/hosts/${name}.txt`,
    );
  });

  it('needs nothing more once the plan is carried out', async () => {
    const host = fixtureHost(name);
    const wanted = wantedOn(host, ['example.com']);
    const first = value((await planOn(host, wanted)).change);
    expect(first.steps.length).toBeGreaterThan(0);
    await carryOut(host, first.steps);
    const second = await planOn(host, wanted);
    expect(value(second.change).steps).toEqual([]);
    expect(second.change.ok && second.change.value.endpoint).toEqual(first.endpoint);
    expect(second.facts.opendkim?.signedDomains).toContain('example.com');
  });

  it('takes another domain later and leaves the first alone', async () => {
    const host = fixtureHost(name);
    await carryOut(host, value((await planOn(host, wantedOn(host, ['example.com']))).change).steps);
    const later = value((await planOn(host, wantedOn(host, ['example.info']))).change);
    const touched = later.steps.flatMap(step => (step.kind === 'file' ? [step] : []));
    expect(touched.map(step => step.path)).not.toContain('/etc/postfix/main.cf');
    for (const step of touched) {
      const after = step.after.content.from === 'text' ? step.after.content.text : '';
      for (const line of (step.beforeText ?? '').split('\n')) expect(after).toContain(line);
    }
    await carryOut(host, later.steps);
    expect(value((await planOn(host, wantedOn(host, ['example.com', 'example.info']))).change).steps).toEqual(
      [],
    );
  });
});

const showProblem = (problem: Problem): string => `${problem.id}: ${problem.message}\n    ${problem.hint}`;

function showFacts(facts: HostFacts): string {
  const rows = [
    `domains found: ${facts.mailDomains.join(' ')}`,
    `signed today: ${facts.opendkim?.signedDomains.join(' ') ?? ''}`,
    `units: ${facts.postfix?.unit} ${facts.opendkim?.unit}`,
    ...facts.otherSigners.map(
      signer => `other signer: ${signer.name}, ${signer.evidence}, signs: ${signer.signs}`,
    ),
    ...facts.blockers.map(problem => `blocker ${showProblem(problem)}`),
    ...facts.remarks.map(problem => `remark ${showProblem(problem)}`),
  ];
  return `== look\n${rows.join('\n')}\n`;
}

function showChange(change: SigningChange): string {
  const {candidate} = change;
  return [
    '== plan',
    ...change.remarks.map(problem => `remark ${showProblem(problem)}`),
    `endpoint: ${JSON.stringify(change.endpoint)}`,
    ...change.steps.map(showStep),
    '== candidate',
    `key table (${candidate.keyTable.kind} ${candidate.keyTable.path}):\n${candidate.keyTable.text}`,
    `signing table (${candidate.signingTable.kind} ${candidate.signingTable.path}):\n${candidate.signingTable.text}`,
    `trusted hosts (${candidate.trustedHosts.kind} ${candidate.trustedHosts.path}):\n${candidate.trustedHosts.text}`,
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
  const patch = createTwoFilesPatch(step.path, step.path, step.beforeText ?? '', content.text, '', '', {
    context: 2,
  });
  return `${head}\n${rights}\n${patch.split('\n').slice(1).join('\n')}`;
}
