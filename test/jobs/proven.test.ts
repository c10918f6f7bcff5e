/** An apply writes the very texts that were proven, or nothing. */
import {describe, expect, it} from 'vitest';
import {type AbsolutePath, absolute} from '../../src/domain/paths.ts';
import {asProven} from '../../src/jobs/proven.ts';
import {makePlan} from '../../src/plan/index.ts';
import type {FileStep, Step} from '../../src/services/step.ts';
import {candidateOf, planOn, value, wantedOn} from '../services/wanted.ts';
import {fixtureHost, planPorts} from '../support/fake-host.ts';

const CONFIG = absolute('/etc/opendkim.conf');

async function planned(name = 'debian-13') {
  const host = fixtureHost(name);
  const change = value(
    (await planOn(host, wantedOn(host, ['example.com'], host.manifest.wanted ?? {}))).change,
  );
  const check = async (steps: readonly Step[] = change.steps, proven = change.trial.proven()) => {
    const plan = makePlan({purpose: 'setup', title: 'DKIM', domains: [], steps, ...planPorts(host)});
    const result = await asProven(host, plan, proven);
    return result.ok ? 'as proven' : `${result.problem.id}: ${result.problem.message}`;
  };
  return {host, change, check};
}

const changedIn = (steps: readonly Step[], path: AbsolutePath): readonly Step[] =>
  steps.map(step =>
    step.kind === 'file' && step.path === path && step.after.content.from === 'text'
      ? ({
          ...step,
          after: {...step.after, content: {...step.after.content, text: `${step.after.content.text} `}},
        } satisfies FileStep)
      : step,
  );

const TABLES = ['KeyTable', 'SigningTable', 'TrustedHosts'].map(name => absolute(`/etc/opendkim/${name}`));

describe('what was proven', () => {
  it.each(['debian-13', 'latin-1', 'carriage-returns', 'include-nested', 'config-symlink', 'inline-tables'])(
    'is what the plan leaves on %s',
    async name => {
      const {change, check} = await planned(name);
      expect(await check()).toBe('as proven');
      const written = change.steps.flatMap(step =>
        step.kind === 'file' && step.after.content.from === 'text' && /opendkim/.test(step.path)
          ? [step.path]
          : [],
      );
      expect(change.trial.proven().map(({path}) => path)).toEqual(expect.arrayContaining(written));
    },
  );

  it.each([CONFIG, ...TABLES])('is refused where the plan would write another %s', async path => {
    const {change, check} = await planned();
    expect(await check(changedIn(change.steps, path))).toBe(
      `plan.unproven: The plan would write another ${path} than the one that was tested.`,
    );
  });

  it('is refused where the plan would write the same letters in another encoding', async () => {
    const {change, check} = await planned('latin-1');
    const steps = change.steps.map(step => {
      if (step.kind !== 'file' || step.path !== CONFIG || step.after.content.from !== 'text') return step;
      const {text} = step.after.content;
      return {...step, after: {...step.after, content: {from: 'text', text}}} satisfies FileStep;
    });
    expect(await check(steps)).toMatch(/^plan\.unproven: .* another \/etc\/opendkim\.conf /);
  });

  it('is refused where a file that the plan does not write has changed since', async () => {
    const {host, change, check} = await planned();
    const others = change.steps.filter(step => !('path' in step) || step.path !== TABLES[2]);
    host.files.put('/etc/opendkim/TrustedHosts', '127.0.0.1\n::1\nlocalhost\n');
    expect(await check(others)).toBe('as proven');
    host.files.put('/etc/opendkim/TrustedHosts', '127.0.0.1\n::1\nlocalhost\n0.0.0.0/0\n');
    expect(await check(others)).toBe(
      'plan.stale: /etc/opendkim/TrustedHosts has changed since the new configuration was tested.',
    );
    host.files.nodes.delete('/etc/opendkim/TrustedHosts');
    expect(await check(others)).toMatch(/^plan\.stale: /);
  });

  it('is the text that a temporary OpenDKIM gets', async () => {
    const {change} = await planned('include-nested');
    const [main, ...included] = candidateOf(change).config;
    expect(included.length).toBeGreaterThan(1);
    const kept = (main?.text ?? '').split('\n').filter(line => !/^\s*include\s/i.test(line));
    for (const line of kept) expect(candidateOf(change).configText).toContain(line);
    expect(candidateOf(change).configText).not.toMatch(/^\s*include\s/im);
  });
});
