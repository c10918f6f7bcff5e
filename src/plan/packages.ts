import {command} from '../domain/command.ts';
import {CommandFailed} from '../domain/errors.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {PACKAGE_MANAGERS, type PackageManager, type PackageManagerName} from '../layouts/package-managers.ts';
import type {Argv, CommandResult, Commands} from '../system/ports.ts';
import {commandFailed} from './command-failure.ts';

const TIMEOUT_MS = 15 * 60_000;

/** Never the command itself: pasted later it might take something else away than was agreed to. */
const seeWhat = (argv: Argv): string => `See what it would do: ${command(...argv)}`;

const execute = (commands: Commands, manager: PackageManager, argv: Argv): Promise<CommandResult> =>
  commands.run(argv, {timeoutMs: TIMEOUT_MS, environment: manager.environment ?? {}});

/** A run that changes nothing; its status is 0 where the manager has answered. */
async function ask(commands: Commands, manager: PackageManager, argv: Argv): Promise<CommandResult> {
  const result = await execute(commands, manager, argv);
  return manager.hasAnswered?.(result) === true ? {...result, status: 0} : result;
}

/** Every package that is installed now. Rejects with CommandFailed. */
export async function installedPackages(
  commands: Commands,
  name: PackageManagerName,
): Promise<readonly string[]> {
  const manager: PackageManager = PACKAGE_MANAGERS[name];
  const result = await execute(commands, manager, manager.listArgv);
  if (result.status !== 0) throw commandFailed('package.list', manager.listArgv, result);
  return manager.parseList(result.stdout);
}

/**
 * What an installation of `names` would bring. Rejects with CommandFailed where it cannot be done, or would take a
 * package of the host away, which no undo could bring back as it was.
 */
export async function foreseeInstall(
  commands: Commands,
  name: PackageManagerName,
  names: readonly string[],
): Promise<readonly string[]> {
  const manager: PackageManager = PACKAGE_MANAGERS[name];
  const argv = manager.tryInstallArgv(names);
  let result = await ask(commands, manager, argv);
  if (result.status !== 0) {
    await execute(commands, manager, manager.refreshArgv);
    result = await ask(commands, manager, argv);
  }
  if (result.status !== 0)
    throw commandFailed('package.install', argv, result, seeWhat(manager.tryInstallArgv(names)));
  const {adds, removes} = manager.parseInstall(result.stdout);
  if (removes.length === 0) return adds;
  const told = problem(
    'package.removes',
    `The installation of ${names.join(' ')} would remove ${removes.map(one => visible(one)).join(', ')}.`,
    `waxseal removes no package of yours. See what would happen: ${command(...argv)}`,
  );
  throw new CommandFailed(told, {argv, status: result.status, stderr: ''});
}

/** Installs without recommended packages. Rejects with CommandFailed where one is missing afterwards. */
export async function installPackages(
  commands: Commands,
  name: PackageManagerName,
  names: readonly string[],
): Promise<void> {
  const manager: PackageManager = PACKAGE_MANAGERS[name];
  const argv = manager.installArgv(names);
  let result = await execute(commands, manager, argv);
  if (result.status !== 0) {
    await execute(commands, manager, manager.refreshArgv);
    result = await execute(commands, manager, argv);
  }
  if (result.status !== 0)
    throw commandFailed('package.install', argv, result, seeWhat(manager.tryInstallArgv(names)));
  const now = new Set((await installedPackages(commands, name)).map(withoutArchitecture));
  const missing = names.filter(wanted => !now.has(wanted));
  if (missing.length === 0) return;
  throw new CommandFailed(
    problem(
      'package.missing',
      `${missing.join(', ')} is not installed afterwards.`,
      `See what it would do now: ${command(...manager.tryInstallArgv(names))}`,
    ),
    {argv, status: result.status, stderr: ''},
  );
}

/** What a run brought: what was there before it, and what was foreseen to come. */
export interface Brought {
  readonly before: readonly string[];
  readonly adds: readonly string[];
}

/**
 * Those packages of a run that are installed now. What else has come since, be it months later, is somebody else's.
 * Rejects with CommandFailed.
 */
export async function broughtAndThere(
  commands: Commands,
  name: PackageManagerName,
  {before, adds}: Brought,
): Promise<readonly string[]> {
  const had = new Set(before);
  const mine = new Set(adds.map(withoutArchitecture));
  const present = await installedPackages(commands, name);
  return present.filter(one => !had.has(one) && mine.has(withoutArchitecture(one)));
}

/** Packages beyond `doomed` that would go with them, because they need one of them. Rejects with CommandFailed. */
export async function needing(
  commands: Commands,
  name: PackageManagerName,
  doomed: readonly string[],
): Promise<readonly string[]> {
  if (doomed.length === 0) return [];
  const manager: PackageManager = PACKAGE_MANAGERS[name];
  const argv = manager.tryRemovalArgv(doomed);
  const result = await ask(commands, manager, argv);
  if (result.status !== 0) throw commandFailed('package.remove', argv, result);
  const known = new Set(doomed.map(withoutArchitecture));
  return manager.parseRemoval(result.stdout).filter(one => !known.has(withoutArchitecture(one)));
}

/** Removes, with configuration, what a run brought, and nothing else. Rejects with CommandFailed. */
export async function removeBrought(
  commands: Commands,
  name: PackageManagerName,
  brought: Brought,
): Promise<void> {
  const manager: PackageManager = PACKAGE_MANAGERS[name];
  if (manager.mendArgv !== undefined) await execute(commands, manager, manager.mendArgv);
  const doomed = await broughtAndThere(commands, name, brought);
  if (doomed.length === 0) return;
  const argv = manager.removeArgv(doomed);
  const others = await needing(commands, name, doomed);
  if (others.length > 0) {
    throw new CommandFailed(neededProblem(others), {argv, status: null, stderr: ''});
  }
  const result = await execute(commands, manager, argv);
  if (result.status !== 0) {
    throw commandFailed('package.remove', argv, result, seeWhat(manager.tryRemovalArgv(doomed)));
  }
}

export const neededProblem = (others: readonly string[]): Problem =>
  problem(
    'package.needed',
    `${others.map(one => visible(one)).join(', ')} needs what that run installed, and would be removed with it.`,
    'Remove it first, or keep the packages.',
  );

// dpkg-query writes `libc6:amd64` for packages that can be there for several architectures.
const withoutArchitecture = (name: string): string => name.split(':')[0] ?? name;
