/** One run of the flow with a view on it: what `setup` and `demo` have in common. */

import {parseDuration} from '../domain/duration.ts';
import type {ExitCode} from '../domain/errors.ts';
import {visible} from '../domain/text.ts';
import {type DomainList, formatSelectors, parseDomainList} from '../flow/domain-list.ts';
import {givenFrom} from '../flow/given.ts';
import {hearLines} from '../flow/lines.ts';
import type {Operations} from '../flow/operations.ts';
import {startSession} from '../flow/run.ts';
import type {Mode, Session, State} from '../flow/state.ts';
import {MTAS, SIGNERS} from '../services/registry.ts';
import type {Clock} from '../system/ports.ts';
import {type FlagValues, isSet, listOf, textOf} from './arguments.ts';
import {checkOneOf} from './check-flags.ts';
import type {Context} from './context.ts';
import {failureOf} from './failure.ts';
import {pathsOf} from './publisher.ts';
import {onSignals} from './signals.ts';
import {present, taken, usage} from './usage.ts';

/** How long a run without a terminal waits for the record where nothing was said. */
const DEFAULT_WAIT_MS = 5 * 60_000;

/** Milliseconds to wait; undefined where somebody sits there and decides. */
function waitOf(flags: FlagValues, interactive: boolean): number | undefined {
  if (isSet(flags, 'no-wait')) return 0;
  const text = textOf(flags, 'wait');
  if (text === undefined) return interactive ? undefined : DEFAULT_WAIT_MS;
  return taken(parseDuration(text), {
    id: 'usage.wait',
    hint: 'Write it as --wait 90s, --wait 2m or --wait 1h30m.',
  });
}

/** `--domain` and `--domains-file` together. */
export async function domainTexts(context: Context): Promise<DomainList> {
  const file = textOf(context.flags, 'domains-file');
  const named = listOf(context.flags, 'domain');
  if (file === undefined) return {texts: named, domains: [], selectors: new Map()};
  const files = await context.namedFiles();
  const reading = files.readDeciding(context.pathOf(file));
  const content = await present(reading, file, 'usage.domains-file', 'Check --domains-file.');
  const list = taken(parseDomainList(new TextDecoder().decode(content), visible(file)));
  if (list.texts.length === 0) {
    throw usage('usage.domains-file', `${visible(file)} names no domain.`, 'Write one domain a line.');
  }
  return {...list, texts: [...named, ...list.texts]};
}

/** `--signer` and `--mta`: what this version can set up, which is known only where the flow is loaded. */
function checkPrograms(flags: FlagValues): void {
  for (const {flag, what, programs} of [
    {flag: 'signer', what: 'signer', programs: SIGNERS},
    {flag: 'mta', what: 'mail server', programs: MTAS},
  ]) {
    const names = programs.map(({words}) => words.program).join(' or ');
    checkOneOf(flags, {
      flag,
      values: ['auto', ...programs.map(({kind}) => kind)],
      otherwise: `This version of waxseal sets up ${names} and no other ${what}.`,
    });
  }
}

/** Runs the flow to its end on the view that was chosen. */
export async function runFlow(
  context: Context,
  parts: {
    readonly operations: Operations;
    readonly clock: Clock;
    readonly sandbox: boolean;
    /** What `--domains-file` names. */
    readonly list?: DomainList;
  },
  flags: FlagValues,
  watch?: (session: Session) => void,
): Promise<ExitCode> {
  checkPrograms(flags);
  const given = taken(givenFrom({...flags, ...pathsOf(context, flags)}));
  const {interactive} = context.view;
  const file = textOf(context.flags, 'domains-file');
  const {list} = parts;
  const mode: Mode = {
    interactive,
    yes: isSet(flags, 'yes'),
    dryRun: isSet(flags, 'dry-run'),
    waitMs: waitOf(flags, interactive),
    resolverOnly: isSet(flags, 'resolver-only'),
    sandbox: parts.sandbox,
    command: context.command,
    ...(file === undefined || list === undefined ? {} : {domainsFile: {path: context.pathOf(file), list}}),
    ...(context.fromHub === true ? {fromHub: true as const} : {}),
  };
  const own =
    list === undefined || list.selectors.size === 0 ? {} : {selectors: formatSelectors(list.selectors)};
  const session = startSession(parts.operations, mode, {...given, ...own}, parts.clock);
  watch?.(session);
  // `--log-file`: what the session says, whatever view shows it.
  hearLines(session, ({kind, text}) => context.log(kind === 'info' ? text : `${kind}: ${text}`));
  const saved = saveOutput(context, session, parts.operations);
  const ended = new AbortController();
  const unhook = hookSignals(session, ended);
  try {
    await show(context, session, {interactive, clock: parts.clock, ended: ended.signal});
    const report = await session.done();
    if (report.error !== null) context.log(`${report.error.message} ${report.error.hint}`.trim());
    const trouble = await saved();
    if (trouble !== undefined) context.say(`waxseal: warning: ${trouble}`);
    return report.exitCode;
  } finally {
    unhook();
  }
}

/**
 * Signals become events: the flow finishes its atomic action, puts everything back and ends in order. A hang-up of the
 * terminal counts as the wish to stop, never as the end of the process (STYLE H3).
 */
const hookSignals = (session: Session, ended: AbortController): (() => void) =>
  onSignals(signal => {
    // Whoever sends SIGTERM or hangs up does not read a summary and press a key.
    if (signal !== 'SIGINT') ended.abort();
    session.send({type: 'interrupted', signal});
  });

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

/**
 * `--output`: the records in a file, in the form a zone takes, as soon as the keys are made: whoever waits for the
 * record to appear needs it now. Not in a dry run: that key is thrown away.
 * @returns waits for the writing; a sentence where it failed
 */
function saveOutput(
  context: Context,
  session: Session,
  operations: Operations,
): () => Promise<string | undefined> {
  const file = textOf(context.flags, 'output');
  if (file === undefined || isSet(context.flags, 'dry-run')) return async () => undefined;
  const path = context.pathOf(file);
  // On the record screen another answer may still make another key.
  const isDue = ({phase, staged}: State): boolean =>
    staged.length > 0 && ['propagation', 'planning', 'finished'].includes(phase.at);
  let written = false;
  let work: Promise<string | undefined> = Promise.resolve(undefined);
  const look = (state: State): void => {
    if (written || !isDue(state)) return;
    written = true;
    const text = state.staged.map(({record}) => `${record.zoneFile}\n`).join('');
    work = operations.saveRecord(path, text).then(
      saved => (saved.ok ? undefined : `${saved.problem.message} ${saved.problem.hint}`),
      (error: unknown) => failureOf(error).message,
    );
  };
  session.subscribe(look);
  return () => work;
}
