import {ChangeFailed} from '../domain/errors.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {logCommand, managerOf, serviceCommand} from '../services/manager.ts';
import type {ServiceStep} from '../services/step.ts';
import {CANNOT_ANSWER, whyStopped} from '../services/stopped.ts';
import {showUnits} from '../services/systemd.ts';
import type {Argv, CommandResult, Ports} from '../system/ports.ts';
import {commandFailed} from './command-failure.ts';

/** Whether a service is as its step wants it, looked at once. `undefined` where it is. */
export type Ready = (step: ServiceStep) => Promise<Problem | undefined>;

/** Id of a {@link Ready} problem: somebody answers, and not as a milter does. That is no sign of a busy host. */
export const NOT_A_MILTER = 'service.not-a-milter';

const POLL_MS = 200;
/** How often in a row a service may answer wrongly: one that ends may hang up on a connection or two. */
const WRONG_ANSWERS = 50;
const STOP_MS = 30_000;

// On a busy host all of these take many times as long as on an idle one: they are limits for what hangs.
const CONNECT_MS = 20_000;
const IS_ACTIVE_MS = 60_000;
/** The longest wait for a service that systemd says is still at work, or that runs and does not answer. */
const PATIENT_MS = 5 * 60_000;

/**
 * The plainest readiness: the unit is active and something takes connections. Views of the live proof use a milter
 * handshake instead.
 */
export function basicReadiness(ports: Pick<Ports, 'commands' | 'sockets'>): Ready {
  return async step => {
    const {activeArgv, endpoint} = step.ready;
    if (activeArgv !== undefined) {
      const active = await ports.commands.run(activeArgv, {timeoutMs: IS_ACTIVE_MS});
      if (active.status !== 0) {
        return problem(
          'service.inactive',
          `${visible(step.unit)} does not run.`,
          `See why: ${statusOf(step)}`,
        );
      }
    }
    if (endpoint !== undefined) {
      try {
        (await ports.sockets.connect(endpoint, CONNECT_MS)).destroy();
      } catch (error) {
        const where = endpoint.kind === 'unix' ? endpoint.path : `${endpoint.host}:${endpoint.port}`;
        return problem(
          'service.unreachable',
          `${visible(step.unit)} does not answer on ${visible(where)}: ${visible(String(error))}.`,
          `See why: ${logCommand(managerOf(step.argv) ?? 'sysv', step.unit)}`,
        );
      }
    }
    return undefined;
  };
}

/**
 * Runs the step's command under its own time limit, then waits until it has been ready for `steadyMs` without a break:
 * systemctl may say yes to a daemon that dies 100 ms later. How long it waits is decided by what happens, not by the
 * clock alone: a unit that has failed is not waited for, one that systemd is still starting, stopping or reloading is for
 * minutes, and one that runs and does not answer is looked at `withinMs` / 200 ms times, each of which takes the longer
 * the busier the host is. A process that was stopped by a signal, or is stuck, is not waited for. Where something else than a milter answers it is over after {@link WRONG_ANSWERS} answers. Rejects with CommandFailed or ChangeFailed, or with the reason of `signal`.
 */
export async function bringToRun(
  ports: Waits,
  step: ServiceStep,
  ready: Ready,
  signal?: AbortSignal,
): Promise<void> {
  const result = await ports.commands.run(step.argv, {timeoutMs: step.timeoutMs});
  if (result.status !== 0 && !(await goesOn(ports, step, result))) {
    throw commandFailed(
      `service.${step.action}`,
      step.argv,
      result,
      `See why: ${logCommand(managerOf(step.argv) ?? 'sysv', step.unit)}`,
    );
  }
  const why = await waitReady(ports, step, ready, signal);
  if (why !== undefined) throw new ChangeFailed(why);
}

async function waitReady(
  ports: Waits,
  step: ServiceStep,
  ready: Ready,
  signal: AbortSignal | undefined,
): Promise<Problem | undefined> {
  const {withinMs, steadyMs} = step.ready;
  const begun = ports.clock.now().getTime();
  let looksLeft = Math.ceil(withinMs / POLL_MS);
  let wrongLeft = WRONG_ANSWERS;
  let goodSince: number | undefined;
  for (;;) {
    signal?.throwIfAborted();
    if (goodSince === undefined) {
      // That is no busy host: nothing would come of waiting.
      const stopped = await whyStopped(ports, step.unit, signal);
      if (stopped !== undefined) return stopped;
    }
    const why = await ready(step);
    const now = ports.clock.now().getTime();
    if (why === undefined) {
      goodSince ??= now;
      wrongLeft = WRONG_ANSWERS;
      if (now - goodSince >= steadyMs) return undefined;
    } else {
      goodSince = undefined;
      wrongLeft = why.id === NOT_A_MILTER ? wrongLeft - 1 : WRONG_ANSWERS;
      if (wrongLeft <= 0 || CANNOT_ANSWER.has(why.id)) return why;
      const state = await unitState(ports, step);
      if (state === 'dead' || now - begun >= PATIENT_MS) return why;
      if (state !== 'at-work') {
        if (looksLeft <= 0 && now - begun >= withinMs) return why;
        looksLeft -= 1;
      }
    }
    await ports.clock.sleep(POLL_MS, signal);
  }
}

type Waits = Pick<Ports, 'commands' | 'clock'> & {readonly files: Pick<Ports['files'], 'read'>};

/** `at-work`: systemd starts, stops or reloads it, or is about to. `unknown`: no systemd, or no answer of it. */
type UnitState = 'at-work' | 'running' | 'dead' | 'unknown';

async function unitState(ports: Pick<Ports, 'commands'>, {argv, unit}: ServiceStep): Promise<UnitState> {
  // What is not started by systemd may run while its unit does not.
  if (!isSystemctl(argv)) return 'unknown';
  const [shown] = await showUnits(ports.commands, [unit], ['ActiveState', 'Job']);
  if (!['', '0', undefined].includes(shown?.['Job'])) return 'at-work';
  switch (shown?.['ActiveState']) {
    case 'activating':
    case 'deactivating':
    case 'reloading':
    case 'refreshing':
      return 'at-work';
    case 'active':
      return 'running';
    case 'failed':
    case 'inactive':
      return 'dead';
    default:
      return 'unknown';
  }
}

/** A command that did not end in time, though systemd goes on with what it was told: the unit is waited for instead. */
async function goesOn(
  ports: Pick<Ports, 'commands'>,
  step: ServiceStep,
  {ended}: CommandResult,
): Promise<boolean> {
  return ended === 'timeout' && ['at-work', 'running'].includes(await unitState(ports, step));
}

const isSystemctl = (argv: Argv): boolean => managerOf(argv) === 'systemd';

/** The command that shows a person how the unit of a step is. */
export const statusOf = ({argv, unit}: Pick<ServiceStep, 'argv' | 'unit'>): string =>
  serviceCommand(managerOf(argv) ?? 'sysv', 'status', unit);

const cannotStop = ({argv, unit}: ServiceStep): Problem =>
  problem(
    'service.stop',
    `${visible(unit)} did not run before and still runs.`,
    `Stop it: ${serviceCommand(managerOf(argv) ?? 'sysv', 'stop', unit)}`,
  );

/** Whether a stop that did not end in time comes to its end all the same. */
async function stopsLater(
  ports: Pick<Ports, 'commands' | 'clock'>,
  step: ServiceStep,
  {ended}: CommandResult,
): Promise<boolean> {
  const begun = ports.clock.now().getTime();
  while (ended === 'timeout' && ports.clock.now().getTime() - begun < PATIENT_MS) {
    const state = await unitState(ports, step);
    if (state !== 'at-work') return state === 'dead';
    await ports.clock.sleep(POLL_MS);
  }
  return false;
}

/**
 * Brings a service back to how it was before a run: running on the old files, or stopped. `steps` are all steps of the
 * run that touched this one unit, in their order.
 */
export async function putServiceBack(
  ports: Waits,
  steps: readonly [ServiceStep, ...ServiceStep[]],
  ready: Ready,
): Promise<void> {
  const [first] = steps;
  const {unit} = first;
  const systemd = isSystemctl(first.argv);
  if (!first.wasActive) {
    const argv = first.stopArgv ?? (systemd ? ([first.argv[0], 'stop', unit] as const) : undefined);
    if (argv === undefined) throw new ChangeFailed(cannotStop(first));
    const result = await ports.commands.run(argv, {timeoutMs: STOP_MS});
    if (result.status !== 0 && !(await stopsLater(ports, first, result))) {
      throw commandFailed('service.stop', argv, result);
    }
    return;
  }
  const step = steps.find(candidate => candidate.action === 'restart') ?? first;
  // Its old socket is not known here, and that of the new configuration must be gone.
  const {endpoint: _endpoint, ...rest} = step.ready;
  const back: ServiceStep = {...step, ready: rest};
  // A unit that failed several times in ten seconds is refused by systemd until it is told to forget.
  if (systemd) await ports.commands.run([step.argv[0], 'reset-failed', unit], {timeoutMs: 10_000});
  try {
    await bringToRun(ports, back, ready);
  } catch (error) {
    if (!systemd) throw error;
    // A reload cannot raise a dead daemon, and a start may have hit its predecessor's end: once more from the beginning.
    await bringToRun(ports, {...back, action: 'restart', argv: [step.argv[0], 'restart', unit]}, ready);
  }
}
