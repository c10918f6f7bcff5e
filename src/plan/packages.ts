import {command} from '../domain/command.ts';
import {CommandFailed} from '../domain/errors.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {PackageStep} from '../services/step.ts';
import type {Argv, CommandResult, Commands} from '../system/ports.ts';
import {commandFailed} from './command-failure.ts';

type Manager = PackageStep['manager'];

interface PackageManager {
  readonly listArgv: Argv;
  /** Names of what is installed whole. */
  parseList(stdout: string): readonly string[];
  installArgv(names: readonly string[]): Argv;
  /** Says what {@link installArgv} would do, and does nothing. */
  tryInstallArgv(names: readonly string[]): Argv;
  parseInstall(stdout: string): Foreseen;
  removeArgv(names: readonly string[]): Argv;
  /** Says what {@link removeArgv} would take away, and takes nothing away. */
  tryRemovalArgv(names: readonly string[]): Argv;
  parseRemoval(stdout: string): readonly string[];
  /** Run where an installation fails: the list of what there is may be old. */
  readonly refreshArgv: Argv;
  /** Run before removal: finishes what a cut-off installation left half done. */
  readonly mendArgv?: Argv;
  readonly environment: Readonly<Record<string, string>>;
}

/** Names of packages that an installation would bring, and of those that it would take away. */
interface Foreseen {
  readonly adds: readonly string[];
  readonly removes: readonly string[];
}

const TIMEOUT_MS = 15 * 60_000;

const namesOf = (stdout: string): readonly string[] => stdout.split('\n').filter(Boolean);

/** Lines of a simulation of apt-get(8): `Inst opendkim (2.11 …)`, `Remv exim4 [4.96]`. */
const marked = (stdout: string, mark: RegExp): readonly string[] =>
  stdout.split('\n').flatMap(line => (mark.test(line) ? (line.split(' ')[1] ?? []) : []));

const MANAGERS: Readonly<Record<Manager, PackageManager>> = {
  // Another apt may run in the background (unattended-upgrades): wait for its lock instead of failing at once.
  apt: {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
    listArgv: ['dpkg-query', '-W', '-f', '${binary:Package} ${db:Status-Abbrev}\\n'],
    parseList: stdout => stdout.split('\n').flatMap(line => /^(\S+) .i/.exec(line)?.[1] ?? []),
    installArgv: names => [
      'apt-get',
      'install',
      '-y',
      '--no-install-recommends',
      '-o',
      'DPkg::Lock::Timeout=120',
      '--',
      ...names,
    ],
    tryInstallArgv: names => ['apt-get', 'install', '--simulate', '--no-install-recommends', '--', ...names],
    parseInstall: stdout => ({
      adds: marked(stdout, /^Inst /),
      removes: marked(stdout, /^(?:Remv|Purg) /),
    }),
    removeArgv: names => ['apt-get', 'purge', '-y', '-o', 'DPkg::Lock::Timeout=120', '--', ...names],
    tryRemovalArgv: names => ['apt-get', 'purge', '--simulate', '--', ...names],
    parseRemoval: stdout => marked(stdout, /^(?:Remv|Purg) /),
    refreshArgv: ['apt-get', 'update'],
    mendArgv: ['dpkg', '--configure', '-a'],
    environment: {DEBIAN_FRONTEND: 'noninteractive'},
  },
  pacman: {
    listArgv: ['pacman', '-Qq'],
    parseList: namesOf,
    installArgv: names => ['pacman', '-S', '--noconfirm', '--needed', '--', ...names],
    tryInstallArgv: names => ['pacman', '-S', '--needed', '--print', '--print-format', '%n', '--', ...names],
    // It takes nothing away without being asked.
    parseInstall: stdout => ({adds: namesOf(stdout), removes: []}),
    removeArgv: names => ['pacman', '-Rn', '--noconfirm', '--', ...names],
    tryRemovalArgv: names => ['pacman', '-Rn', '--print', '--print-format', '%n', '--', ...names],
    parseRemoval: namesOf,
    refreshArgv: ['pacman', '-Sy', '--noconfirm'],
    environment: {},
  },
};

/** Never the command itself: pasted later it might take something else away than was agreed to. */
const seeWhat = (argv: Argv): string => `See what it would do: ${command(...argv)}`;

const execute = (commands: Commands, manager: PackageManager, argv: Argv): Promise<CommandResult> =>
  commands.run(argv, {timeoutMs: TIMEOUT_MS, environment: manager.environment});

/** Every package that is installed now. Rejects with CommandFailed. */
export async function installedPackages(commands: Commands, name: Manager): Promise<readonly string[]> {
  const manager = MANAGERS[name];
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
  name: Manager,
  names: readonly string[],
): Promise<readonly string[]> {
  const manager = MANAGERS[name];
  const argv = manager.tryInstallArgv(names);
  let result = await execute(commands, manager, argv);
  if (result.status !== 0) {
    await execute(commands, manager, manager.refreshArgv);
    result = await execute(commands, manager, argv);
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
  name: Manager,
  names: readonly string[],
): Promise<void> {
  const manager = MANAGERS[name];
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
  name: Manager,
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
  name: Manager,
  doomed: readonly string[],
): Promise<readonly string[]> {
  if (doomed.length === 0) return [];
  const manager = MANAGERS[name];
  const argv = manager.tryRemovalArgv(doomed);
  const result = await execute(commands, manager, argv);
  if (result.status !== 0) throw commandFailed('package.remove', argv, result);
  const known = new Set(doomed.map(withoutArchitecture));
  return manager.parseRemoval(result.stdout).filter(one => !known.has(withoutArchitecture(one)));
}

/** Removes, with configuration, what a run brought, and nothing else. Rejects with CommandFailed. */
export async function removeBrought(commands: Commands, name: Manager, brought: Brought): Promise<void> {
  const manager = MANAGERS[name];
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
