import {CommandFailed} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {PackageStep} from '../services/step.ts';
import type {Argv, CommandResult, Commands} from '../system/ports.ts';
import {commandFailed} from './command-failure.ts';

type Manager = PackageStep['manager'];

interface PackageManager {
  readonly listArgv: Argv;
  /** Names of what is installed whole. */
  parseList(stdout: string): readonly string[];
  installArgv(names: readonly string[]): Argv;
  removeArgv(names: readonly string[]): Argv;
  /** Run where the first installation fails: the list of what there is may be old. */
  readonly refreshArgv: Argv;
  /** Run before removal: finishes what a cut-off installation left half done. */
  readonly mendArgv?: Argv;
  readonly environment: Readonly<Record<string, string>>;
}

const TIMEOUT_MS = 15 * 60_000;

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
    removeArgv: names => ['apt-get', 'purge', '-y', '-o', 'DPkg::Lock::Timeout=120', '--', ...names],
    refreshArgv: ['apt-get', 'update'],
    mendArgv: ['dpkg', '--configure', '-a'],
    environment: {DEBIAN_FRONTEND: 'noninteractive'},
  },
  pacman: {
    listArgv: ['pacman', '-Qq'],
    parseList: stdout => stdout.split('\n').filter(Boolean),
    installArgv: names => ['pacman', '-S', '--noconfirm', '--needed', '--', ...names],
    removeArgv: names => ['pacman', '-Rn', '--noconfirm', '--', ...names],
    refreshArgv: ['pacman', '-Sy', '--noconfirm'],
    environment: {},
  },
};

const execute = (commands: Commands, manager: PackageManager, argv: Argv): Promise<CommandResult> =>
  commands.run(argv, {timeoutMs: TIMEOUT_MS, environment: manager.environment});

/** Every package that is installed now. Rejects with CommandFailed. */
export async function installedPackages(commands: Commands, name: Manager): Promise<readonly string[]> {
  const manager = MANAGERS[name];
  const result = await execute(commands, manager, manager.listArgv);
  if (result.status !== 0) throw commandFailed('package.list', manager.listArgv, result);
  return manager.parseList(result.stdout);
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
  if (result.status !== 0) throw commandFailed('package.install', argv, result);
  const now = new Set((await installedPackages(commands, name)).map(withoutArchitecture));
  const missing = names.filter(wanted => !now.has(wanted));
  if (missing.length === 0) return;
  throw new CommandFailed(
    problem(
      'package.missing',
      `${missing.join(', ')} is not installed afterwards.`,
      `Look at: ${argv.join(' ')}`,
    ),
    {argv, status: result.status, stderr: ''},
  );
}

/** Removes, with configuration, what is installed now and is not in `before`. Gives the names. Rejects with CommandFailed. */
export async function removeNewPackages(
  commands: Commands,
  name: Manager,
  before: readonly string[],
): Promise<readonly string[]> {
  const manager = MANAGERS[name];
  if (manager.mendArgv !== undefined) await execute(commands, manager, manager.mendArgv);
  const had = new Set(before);
  const added = (await installedPackages(commands, name)).filter(present => !had.has(present));
  if (added.length === 0) return [];
  const argv = manager.removeArgv(added);
  const result = await execute(commands, manager, argv);
  if (result.status !== 0) throw commandFailed('package.remove', argv, result);
  return added;
}

// dpkg-query writes `libc6:amd64` for packages that can be there for several architectures.
const withoutArchitecture = (name: string): string => name.replace(/:.*$/, '');
