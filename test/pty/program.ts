/**
 * The wizard over an imaginary host, as a program: bundled with the options of the real one and run in a real terminal.
 * It does around the view what cli/ does: colour, stream guards, signals, exit code.
 *
 * Environment: WAXSEAL_TEST_MARKER a file that gets a line for each step of an apply and its rollback;
 * WAXSEAL_TEST_HOLD=1 lets the first step last until it is stopped.
 */
import {appendFileSync} from 'node:fs';
import {setTimeout as sleep} from 'node:timers/promises';
import {decideColor} from '../../src/cli/color.ts';
import {guardStreams} from '../../src/cli/streams.ts';
import type {Operations} from '../../src/flow/operations.ts';
import {startSession} from '../../src/flow/run.ts';
import {fakeOperations, fakeStaged, proof} from '../support/fake-operations.ts';

const color = decideColor(process.argv.slice(2), process.env, process.stdout.isTTY === true);
guardStreams(process);
const {runTui} = await import('../../src/views/tui/run-tui.tsx');

const marker = process.env['WAXSEAL_TEST_MARKER'];
const STEP_MS = 30;
const held = process.env['WAXSEAL_TEST_HOLD'] === '1';
const stopped = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), {once: true});
  });

const mark = (word: string): void => {
  if (marker !== undefined) appendFileSync(marker, `${word}\n`);
};

const apply: Operations['apply'] = async (ready, _staged, emit, signal) => {
  const of = ready.plan.steps.length;
  for (const [at, step] of ready.plan.steps.entries()) {
    emit({type: 'step-started', step: step.id, index: at + 1, of});
    mark(`started ${at + 1}`);
    await (held ? stopped(signal) : sleep(STEP_MS));
    if (signal.aborted) {
      emit({type: 'rolling-back', because: 'It was stopped.'});
      await sleep(STEP_MS);
      emit({type: 'step-undone', step: step.id});
      emit({type: 'rolled-back', whole: true, remains: []});
      mark('rolled back');
      return {applied: false, changed: false, proof: proof(), interrupted: true};
    }
    emit({type: 'step-done', step: step.id, index: at + 1, of});
  }
  mark('applied');
  return {applied: true, changed: true, proof: proof(), interrupted: false};
};

const clock = {
  now: () => new Date(),
  sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
    sleep(Math.min(ms, 150), undefined, signal === undefined ? {} : {signal}),
};
const domain = 'example.org' as Parameters<typeof fakeStaged>[0];
const selector = '202611' as Parameters<typeof fakeStaged>[1];
const pending = process.argv.includes('--resume')
  ? {
      pending: {
        staged: [fakeStaged(domain, selector)],
        answers: {
          domains: [domain],
          selector,
          key: {source: 'generate', spec: {algorithm: 'rsa', bits: 2048}},
        } as const,
        since: '2026-11-20T10:00:00Z',
      },
    }
  : {};
const operations = fakeOperations({
  clock,
  look: pending,
  jobs: {apply},
  ...(process.argv.includes('--never') ? {rounds: [['absent', 'absent']]} : {}),
});
const session = startSession(
  operations,
  {interactive: true, yes: false, dryRun: false, waitMs: undefined, sandbox: true, command: 'setup'},
  {},
  clock,
);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stop.abort();
    session.send({type: 'interrupted', signal});
  });
}
await runTui(session, {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  color,
  ascii: process.argv.includes('--ascii'),
  now: () => Date.now(),
  signal: stop.signal,
});
const report = await session.done();
mark(`exit ${report.exitCode}`);
process.exit(report.exitCode);
