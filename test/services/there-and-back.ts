/**
 * Carries steps out with journal and backups, and back again. What the shown diff does not name stays, octet for octet: with
 * other encodings and line ends, too.
 */
import {expect} from 'vitest';
import {applyPlan, changeViews, makePlan, undoRun} from '../../src/plan/index.ts';
import type {Step} from '../../src/services/step.ts';
import {type FakeHost, fingerprint, planPorts} from '../support/fake-host.ts';
import {lostLines} from './ours.ts';

/** How each file that a set-up edits is written; in Latin-1, one character an octet. */
const latin1 = (text: string): string => `# Schl\xfcssel f\xfcr \xa7\n${text}`;
const carriageReturns = (text: string): string => text.replaceAll(/\r?\n/g, '\r\n');
const unended = (text: string): string => text.replace(/(\r?\n)+$/, '');

/** Each by itself takes its time: with the sessions. */
export const WRITTEN: Readonly<Record<string, (text: string) => string>> = {
  'as it is': text => text,
  'Latin-1, CRLF, no final newline': text => unended(carriageReturns(latin1(text))),
  ...(process.env['WAXSEAL_SESSIONS'] === undefined
    ? {}
    : {'Latin-1': latin1, CRLF: carriageReturns, 'no final newline': unended}),
};

/** Writes every file that steps edit in another way. */
export function rewrite(host: FakeHost, steps: readonly Step[], how: (text: string) => string): void {
  for (const step of steps) {
    const node = step.kind === 'file' ? host.files.nodes.get(step.path) : undefined;
    if (step.kind !== 'file' || node?.kind !== 'file' || step.after.content.from !== 'text') continue;
    const text = how(Buffer.from(node.content).toString('latin1'));
    host.files.put(step.path, Buffer.from(text, 'latin1'), node.attributes);
  }
}

const linesOf = (octets: string): readonly string[] => (octets === '' ? [] : octets.split(/(?<=\n)/));

/** Lines of `before` that are gone or changed in `after` although `diff` does not say so. */
export function unsaid(before: string, after: string, diff: string): readonly string[] {
  const old = linesOf(before);
  const expected: (string | undefined)[] = [];
  let at = 0;
  for (const line of diff.split('\n').slice(2)) {
    const start = /^@@ -(\d+)(?:,(\d+))? \+/.exec(line);
    if (start !== null) {
      const end = Number(start[1]) - (start[2] === '0' ? 0 : 1);
      while (at < end) expected.push(old[at++]);
    } else if (line.startsWith('+')) expected.push(undefined);
    else if (line.startsWith('-')) at += 1;
    else if (line.startsWith(' ')) expected.push(old[at++]);
  }
  expected.push(...old.slice(at));
  const next = linesOf(after);
  if (next.length !== expected.length) return [`${next.length} lines, not ${expected.length}`];
  return expected.flatMap((line, index) => (line === undefined || line === next[index] ? [] : [line]));
}

const octetsAt = (host: FakeHost, path: string): string => {
  const node = host.files.nodes.get(path);
  return node?.kind === 'file' ? Buffer.from(node.content).toString('latin1') : '';
};

/** Carries a plan out and holds every file against its diff; gives back what undoes it. */
export async function apply(
  host: FakeHost,
  {steps}: {readonly steps: readonly Step[]},
): Promise<() => Promise<void>> {
  const before = new Map([...host.files.nodes.keys()].map(path => [path, octetsAt(host, path)]));
  const states = fingerprint(host);
  const ports = planPorts(host);
  // Each run has a time of its own, and so a name: what a run of this name has done is not done again.
  await ports.clock.sleep(1000 * host.files.nodes.size);
  const plan = makePlan({purpose: 'setup', title: 'DKIM', domains: [], steps, ...ports});
  const hooks = {ready: async () => undefined, proof: async () => ({checks: [], passed: true})};
  const outcome = await applyPlan(ports, plan, hooks, () => undefined, new AbortController().signal);
  if (outcome.result === 'nothing') return async () => undefined;
  if (outcome.result !== 'applied') throw new Error(outcome.error.message);
  const diffs = new Map(changeViews(plan).map(({target, diff}) => [target, diff]));
  const named = new Set(steps.map(step => ('path' in step ? step.path : 'unit' in step ? step.unit : '')));
  const touched = [...fingerprint(host)].filter(([path, state]) => states.get(path) !== state);
  expect(touched.filter(([path]) => !named.has(path as never))).toEqual([]);
  for (const step of steps) {
    if (step.kind !== 'file' || step.after.content.from !== 'text') continue;
    const diff = diffs.get(step.path) ?? '';
    const [old, next] = [before.get(step.path) ?? '', octetsAt(host, step.path)];
    expect(unsaid(old, next, diff), diff).toEqual([]);
    // What the diff of a table names is about the domain.
    const lost = /\.(cf|conf)$/.test(step.path) ? [] : lostLines(step.path, old, next, 'example.com');
    expect(lost, diff).toEqual([]);
  }
  return async () => {
    expect(await undoRun(ports, plan.id, hooks, () => undefined)).toMatchObject({result: 'undone'});
    expect(fingerprint(host)).toEqual(states);
  };
}
