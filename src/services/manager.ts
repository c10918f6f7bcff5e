/** The one place that knows how services are started and asked for: systemd, OpenRC, init scripts of System V. */
import {command} from '../domain/command.ts';
import {absolute} from '../domain/paths.ts';
import type {Argv, Commands, Files, SocketEndpoint} from '../system/ports.ts';
import {COMMAND_MS, READY_MS} from './limits.ts';
import type {ServiceStep} from './step.ts';

/** `sysv` where nothing else runs: `service NAME restart` of an init script, which may be missing. */
export type ServiceManagerName = 'systemd' | 'openrc' | 'sysv';

type Verb = 'restart' | 'reload' | 'reload-or-restart' | 'start' | 'stop' | 'status';

interface ServiceManager {
  act(verb: Verb, unit: string): Argv;
  /** Ends with 0 only where the unit runs; undefined where no such answer can be had. */
  isActive(unit: string): Argv | undefined;
  /** Shows a person the last words of a unit. */
  log(unit: string): Argv;
}

const scriptOf = (unit: string): string => unit.replace(/\.service$/, '');
const forScript = (verb: Verb): string => (verb === 'reload-or-restart' ? 'restart' : verb);

const MANAGERS: Readonly<Record<ServiceManagerName, ServiceManager>> = {
  systemd: {
    act: (verb, unit) => ['systemctl', verb, unit],
    isActive: unit => ['systemctl', 'is-active', '--quiet', unit],
    log: unit => ['journalctl', '-u', unit, '-n', '50'],
  },
  // openrc(8): `status` ends with 0 for a started service, with 3 for a stopped and with 32 for a crashed one.
  openrc: {
    act: (verb, unit) => ['rc-service', scriptOf(unit), forScript(verb)],
    isActive: unit => ['rc-service', scriptOf(unit), 'status'],
    log: unit => ['rc-service', scriptOf(unit), 'status'],
  },
  // Not every script knows `status`.
  sysv: {
    act: (verb, unit) => ['service', scriptOf(unit), forScript(verb)],
    isActive: () => undefined,
    log: unit => ['service', scriptOf(unit), 'status'],
  },
};

/** What runs the services of this host: sd_booted(3); OpenRC has its state in /run/openrc. */
export async function findServiceManager(files: Pick<Files, 'stat'>): Promise<ServiceManagerName> {
  const isThere = async (path: string): Promise<boolean> =>
    (await files.stat(absolute(path)))?.kind === 'directory';
  if (await isThere('/run/systemd/system')) return 'systemd';
  return (await isThere('/run/openrc')) ? 'openrc' : 'sysv';
}

/** By the program of a step that was planned, be it months ago; undefined where a daemon's own program is its manager. */
export function managerOf(argv: Argv): ServiceManagerName | undefined {
  const program = argv[0].slice(argv[0].lastIndexOf('/') + 1);
  if (program === 'systemctl') return 'systemd';
  if (program === 'rc-service') return 'openrc';
  return program === 'service' ? 'sysv' : undefined;
}

/** The command by which a person acts on a unit of this host. */
export const serviceCommand = (
  manager: ServiceManagerName,
  action: 'restart' | 'start' | 'stop' | 'status',
  unit: string,
): string => command(...MANAGERS[manager].act(action, unit));

/** The command that shows a person why a unit is not as it should be. */
export const logCommand = (manager: ServiceManagerName, unit: string): string =>
  command(...MANAGERS[manager].log(unit));

/** Whether a unit runs, as far as the manager can say. */
export async function isRunning(
  commands: Pick<Commands, 'run'>,
  manager: ServiceManagerName,
  unit: string,
): Promise<boolean> {
  const argv = MANAGERS[manager].isActive(unit);
  return argv !== undefined && (await commands.run(argv)).status === 0;
}

export interface ServiceRequest {
  readonly unit: string;
  readonly why: string;
  readonly action: ServiceStep['action'];
  /** What the manager is told, where that is not the action. */
  readonly verb?: 'reload-or-restart';
  readonly wasActive: boolean;
  readonly steadyMs: number;
  /** Where it must answer as a milter afterwards. */
  readonly endpoint?: SocketEndpoint | undefined;
}

/** The step that restarts a unit, or has it take its configuration over, and waits until it runs. */
export function serviceStep(
  manager: ServiceManagerName,
  {unit, why, action, verb, wasActive, steadyMs, endpoint}: ServiceRequest,
): ServiceStep {
  const how = MANAGERS[manager];
  const activeArgv = how.isActive(unit);
  return {
    kind: 'service',
    id: `service:${unit}`,
    why,
    unit,
    action,
    argv: how.act(verb ?? action, unit),
    timeoutMs: COMMAND_MS,
    ready: {
      ...(activeArgv === undefined ? {} : {activeArgv}),
      ...(endpoint === undefined ? {} : {endpoint}),
      withinMs: READY_MS,
      steadyMs,
    },
    wasActive,
    ...(manager === 'systemd' ? {} : {stopArgv: how.act('stop', unit)}),
  };
}
