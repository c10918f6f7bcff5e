/** One run of the flow with a view on it: what `setup` and `demo` have in common. */

import {parseDuration} from '../domain/duration.ts';
import {type ExitCode, UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {givenFrom} from '../flow/given.ts';
import type {Operations} from '../flow/operations.ts';
import type {Report} from '../flow/report.ts';
import {startSession} from '../flow/run.ts';
import type {Mode, Session} from '../flow/state.ts';
import type {Clock} from '../system/ports.ts';
import {type FlagValues, isSet, listOf, textOf} from './arguments.ts';
import {type Context, fromWorkingDirectory} from './context.ts';

/** How long a run without a terminal waits for the record where nothing was said. */
const DEFAULT_WAIT_MS = 5 * 60_000;

/** Milliseconds to wait; undefined where somebody sits there and decides. */
export function waitOf(flags: FlagValues, interactive: boolean): number | undefined {
  if (isSet(flags, 'no-wait')) return 0;
  const text = textOf(flags, 'wait');
  if (text === undefined) return interactive ? undefined : DEFAULT_WAIT_MS;
  const parsed = parseDuration(text);
  if (!parsed.ok) throw new UsageError(problem('usage.wait', parsed.problem.message, parsed.problem.hint));
  return parsed.value;
}

/** `--domain` and `--domains-file` together; the file has one domain a line, `#` begins a comment. */
export async function domainTexts(context: Context): Promise<readonly string[]> {
  const file = textOf(context.flags, 'domains-file');
  const named = listOf(context.flags, 'domain');
  if (file === undefined) return named;
  const {files} = await context.ports();
  const content = await files.read(fromWorkingDirectory(file));
  if (content === undefined) {
    throw new UsageError(
      problem('usage.domains-file', `There is no file ${visible(file)}.`, 'Check --domains-file.'),
    );
  }
  const lines = new TextDecoder()
    .decode(content)
    .split(/\r?\n/)
    .map(line => line.replace(/#.*/, '').trim())
    .filter(line => line !== '');
  return [...named, ...lines];
}

/** Runs the flow to its end on the view that was chosen. */
export async function runFlow(
  context: Context,
  parts: {readonly operations: Operations; readonly clock: Clock; readonly sandbox: boolean},
  flags: FlagValues,
  watch?: (session: Session) => void,
): Promise<ExitCode> {
  const given = givenFrom(flags);
  if (!given.ok) throw new UsageError(given.problem);
  const {interactive} = context.view;
  const mode: Mode = {
    interactive,
    yes: isSet(flags, 'yes'),
    dryRun: isSet(flags, 'dry-run'),
    waitMs: waitOf(flags, interactive),
    sandbox: parts.sandbox,
    command: context.command,
  };
  const session = startSession(parts.operations, mode, given.value, parts.clock);
  watch?.(session);
  const ended = new AbortController();
  const unhook = hookSignals(session, ended);
  try {
    await show(context, session, {interactive, clock: parts.clock, ended: ended.signal});
    const report = await session.done();
    await saveOutput(context, report, parts.operations);
    return report.exitCode;
  } finally {
    unhook();
  }
}

/**
 * Signals become events: the flow finishes its atomic action, puts everything back and ends in order. A hang-up of the
 * terminal counts as the wish to stop, never as the end of the process (STYLE H3).
 */
function hookSignals(session: Session, ended: AbortController): () => void {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  const listeners = signals.map(signal => {
    const listener = (): void => {
      // Whoever sends SIGTERM or hangs up does not read a summary and press a key.
      if (signal !== 'SIGINT') ended.abort();
      session.send({type: 'interrupted', signal});
    };
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return () => {
    for (const off of listeners) off();
  };
}

async function show(
  context: Context,
  session: Session,
  run: {readonly interactive: boolean; readonly clock: Clock; readonly ended: AbortSignal},
): Promise<void> {
  const {stdin, stdout, stderr} = context.streams;
  const {view} = context.view;
  const quiet = isSet(context.flags, 'quiet');
  if (view === 'tui') {
    const {runTui} = await import('../views/tui/run-tui.tsx');
    await runTui(session, {
      ...{stdin, stdout, stderr},
      color: context.color,
      ascii: context.ascii,
      now: () => run.clock.now().getTime(),
      signal: run.ended,
    });
  } else if (view === 'json') {
    const {runJson} = await import('../views/json/run.ts');
    await runJson(session, {output: stdout, errors: stderr, quiet});
  } else {
    const {runPlain} = await import('../views/plain/run.ts');
    await runPlain(session, {
      input: stdin,
      output: stdout,
      errors: stderr,
      interactive: run.interactive,
      quiet,
    });
  }
}

/** `--output`: the record in a file of its own, in the form a zone takes. */
async function saveOutput(context: Context, report: Report, operations: Operations): Promise<void> {
  const file = textOf(context.flags, 'output');
  if (file === undefined || report.domains.length === 0 || isSet(context.flags, 'dry-run')) return;
  const text = report.domains
    .map(({record}) => `${record.name}. IN TXT ${record.strings.map(part => `"${part}"`).join(' ')}\n`)
    .join('');
  const saved = await operations.saveRecord(fromWorkingDirectory(file), text);
  if (!saved.ok) context.say(`waxseal: warning: ${saved.problem.message} ${saved.problem.hint}`);
}
