import {type ExitCode, ToolError} from '../../domain/errors.ts';
import {byHandRows, type HubChoice, type HubRow, hubRows} from '../../flow/hub.ts';
import {lookByHand} from '../../jobs/by-hand.ts';
import {gatherFacts} from '../../jobs/rotate/facts.ts';
import {findUnfinished} from '../../plan/index.ts';
import {due, isComing, loadState, type RotationState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {askLine} from '../confirm.ts';
import {type Context, resolversOf} from '../context.ts';
import {localTime} from '../due-report.ts';
import {failureOf, failureText} from '../failure.ts';
import type {CommandName} from '../flags.ts';
import {setup} from './setup.ts';

/**
 * `waxseal` alone on a terminal: the hub where the host signs, by whoever's hand; else the wizard, which also goes on with a
 * set-up that was left.
 */
export async function hub(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const state = ports.process.privileged ? await loadState(ports.files) : undefined;
  if (state?.ok !== true || !(await hasHub(ports, state.value, context.signal))) return await setup(context);
  let last: ExitCode = 0;
  let initial = 0;
  for (;;) {
    const rows = await look(context, ports);
    const choice = await show(context, rows, initial);
    if (choice.action === 'leave' || context.signal.aborted) return last;
    initial = Math.max(
      0,
      rows.findIndex(row => row.domain === choice.row?.domain && row.selector === choice.row.selector),
    );
    const ended = await perform(context, choice);
    // Whoever leaves a screen, or says no, is back at once; there is nothing to be read.
    const isLeft = ended === 9 || (ended === 130 && !context.signal.aborted);
    last = isLeft ? 0 : ended;
    if (!isLeft && !(await goOn(context))) return last;
  }
}

/** Something signs or did, and nothing else waits to be finished first. */
async function hasHub(ports: Ports, state: RotationState, signal: AbortSignal): Promise<boolean> {
  const known = state.keys.some(key => ['active', 'retiring', 'revoked'].includes(key.state));
  if (isOnlySetup(state) || (await findUnfinished(ports)).length > 0) return false;
  return known || (await lookByHand(ports, state, signal)).byHand.length > 0;
}

/** A set-up that waits: a key on its way of a domain that has no other. */
const isOnlySetup = (state: RotationState): boolean =>
  state.keys.some(
    key => isComing(key) && !state.keys.some(each => each.domain === key.domain && each.state === 'active'),
  );

async function look(context: Context, ports: Ports): Promise<readonly HubRow[]> {
  const state = await loadState(ports.files);
  if (!state.ok) return [];
  const resolvers = resolversOf(context.flags);
  const facts = await gatherFacts(ports, {resolvers}, state.value, () => true, context.signal);
  const {byHand} = await lookByHand(ports, state.value, context.signal);
  return [...hubRows(state.value, due(state.value, facts), facts.now, localTime), ...byHandRows(byHand)];
}

async function show(context: Context, rows: readonly HubRow[], initial: number): Promise<HubChoice> {
  const {stdin, stdout, stderr} = context.streams;
  if (context.view.view === 'tui') {
    const {runHub} = await import('../../views/tui/hub/run-hub.tsx');
    const {color, ascii, signal} = context;
    return await runHub(rows, {stdin, stdout, stderr, color, ascii, signal, initial});
  }
  const {runPlainHub} = await import('../../views/plain/hub.ts');
  return await runPlainHub(rows, {stdin, stdout});
}

/** Each choice is a command as it could be typed; its trouble is told, and the hub goes on. */
async function perform(context: Context, {action, row}: HubChoice): Promise<ExitCode> {
  const domain: Record<string, readonly string[]> = row === undefined ? {} : {domain: [row.domain]};
  const as = (command: CommandName, flags: Context['flags'] = domain): Context => ({
    ...context,
    command,
    fromHub: true,
    flags: {...context.flags, ...flags},
  });
  try {
    switch (action) {
      case 'rotate':
      case 'resume':
        return await (await import('./rotate.ts')).rotate(as('rotate'));
      case 'advance':
        return await (await import('./rotate.ts')).rotate(as('rotate', {advance: true}));
      case 'adopt':
        return await (await import('./adopt.ts')).adopt(as('adopt'));
      case 'check':
        return await (await import('./check.ts')).check(as('check'));
      case 'record':
        return await (await import('./record.ts')).record(
          as('record', {...domain, ...(row === undefined ? {} : {selector: row.selector})}),
        );
      case 'remove':
        return await (await import('./remove.ts')).remove(as('remove'));
      case 'setup':
        return await setup(as('setup', {}));
      case 'leave':
        return 0;
    }
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const failure = failureOf(error);
    context.streams.stderr.write(`waxseal: ${failureText(failure)}`);
    return failure.exitCode;
  }
}

/** What a command has written must be read before the hub draws over it. */
async function goOn(context: Context): Promise<boolean> {
  // An input that is over tells readline nothing any more.
  if (context.signal.aborted || context.streams.stdin.readableEnded) return false;
  try {
    const {answer, ended} = await askLine(
      context,
      '\nEsc or Enter goes back to the overview, q and Enter leaves: ',
    );
    return ended === 'escape' || (ended === undefined && !/^q/i.test(answer.trim()));
  } catch {
    return false;
  }
}
