/** What each package manager is asked with, and how its answers are read. Data: `plan/packages.ts` runs it. */
import {command} from '../domain/command.ts';
import type {Argv, CommandResult} from '../system/ports.ts';

/** Names of packages that an installation would bring, and of those that it would take away. */
export interface Foreseen {
  readonly adds: readonly string[];
  readonly removes: readonly string[];
}

export interface PackageManager {
  /** How a person begins the command that installs packages, which follow. */
  readonly install: readonly [string, ...string[]];
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
  /** True where a trial that did not end with 0 has answered all the same. */
  hasAnswered?(result: CommandResult): boolean;
  /** Run where an installation fails: the list of what there is may be old. */
  readonly refreshArgv: Argv;
  /** Run before removal: finishes what a cut-off installation left half done. */
  readonly mendArgv?: Argv;
  readonly environment?: Readonly<Record<string, string>>;
}

const linesOf = (text: string): readonly string[] => text.split('\n').filter(Boolean);

/** The first group of `pattern` in each line that has it. */
const among = (text: string, pattern: RegExp): readonly string[] =>
  linesOf(text).flatMap(line => pattern.exec(line)?.[1] ?? []);

const RPM_LIST = {
  listArgv: ['rpm', '-qa', '--queryformat', '%{NAME}\\n'],
  parseList: linesOf,
} as const;

/** Names in a table of dnf(8): a heading at the margin, one row a package, indented by one blank. */
function rowsUnder(stdout: string, heading: RegExp): readonly string[] {
  const names: string[] = [];
  let isUnder = false;
  for (const line of stdout.split('\n')) {
    if (/^\S/.test(line)) isUnder = heading.test(line);
    else if (isUnder) names.push(...(/^ (\S+)/.exec(line)?.slice(1) ?? []));
    if (/^Transaction Summary/.test(line)) break;
  }
  return names;
}

/** Names in one part of the summary that zypper(8) writes as XML. */
function solvables(stdout: string, part: 'install' | 'remove'): readonly string[] {
  const start = stdout.indexOf(`<to-${part}>`);
  const end = stdout.indexOf(`</to-${part}>`);
  if (start < 0 || end < start) return [];
  const tags = stdout.slice(start, end).split('<solvable ').slice(1);
  return tags.flatMap(tag =>
    tag.includes('type="package"') ? (/\bname="([^"]+)"/.exec(tag)?.[1] ?? []) : [],
  );
}

/** Who needs what apk(8) does not delete: `  libmilter: opendkim` and further lines, up to an empty one. */
function keptFor(stdout: string): readonly string[] {
  const [, kept = ''] = stdout.split('the following packages are not removed due to:\n');
  const [table = ''] = kept.split('\n\n');
  return table.split(/\s+/).filter(word => word !== '' && !word.endsWith(':'));
}

export const PACKAGE_MANAGERS = {
  // Another apt may run in the background (unattended-upgrades): wait for its lock instead of failing at once.
  apt: {
    install: ['apt-get', 'install'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own format language
    listArgv: ['dpkg-query', '-W', '-f', '${binary:Package} ${db:Status-Abbrev}\\n'],
    parseList: stdout => among(stdout, /^(\S+) .i/),
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
    // Lines of a simulation: `Inst opendkim (2.11 …)`, `Remv exim4 [4.96]`.
    parseInstall: stdout => ({
      adds: among(stdout, /^Inst (\S+)/),
      removes: among(stdout, /^(?:Remv|Purg) (\S+)/),
    }),
    removeArgv: names => ['apt-get', 'purge', '-y', '-o', 'DPkg::Lock::Timeout=120', '--', ...names],
    tryRemovalArgv: names => ['apt-get', 'purge', '--simulate', '--', ...names],
    parseRemoval: stdout => among(stdout, /^(?:Remv|Purg) (\S+)/),
    refreshArgv: ['apt-get', 'update'],
    mendArgv: ['dpkg', '--configure', '-a'],
    environment: {DEBIAN_FRONTEND: 'noninteractive'},
  },
  pacman: {
    install: ['pacman', '-S'],
    listArgv: ['pacman', '-Qq'],
    parseList: linesOf,
    installArgv: names => ['pacman', '-S', '--noconfirm', '--needed', '--', ...names],
    tryInstallArgv: names => ['pacman', '-S', '--needed', '--print', '--print-format', '%n', '--', ...names],
    // It takes nothing away without being asked.
    parseInstall: stdout => ({adds: linesOf(stdout), removes: []}),
    removeArgv: names => ['pacman', '-Rn', '--noconfirm', '--', ...names],
    tryRemovalArgv: names => ['pacman', '-Rn', '--print', '--print-format', '%n', '--', ...names],
    parseRemoval: linesOf,
    refreshArgv: ['pacman', '-Sy', '--noconfirm'],
  },
  // Settings instead of options: dnf 4 and dnf 5 name the options differently.
  dnf: {
    install: ['dnf', 'install'],
    ...RPM_LIST,
    installArgv: names => ['dnf', 'install', '-y', '--setopt=install_weak_deps=False', '--', ...names],
    tryInstallArgv: names => [
      'dnf',
      'install',
      '--assumeno',
      '--setopt=install_weak_deps=False',
      '--',
      ...names,
    ],
    // What a new package makes obsolete stands below it: `     replacing  old-dkim.noarch 1-1`.
    parseInstall: stdout => ({
      adds: rowsUnder(stdout, /^Installing/),
      removes: [...rowsUnder(stdout, /^Removing/), ...among(stdout, /^ +replacing +(\S+)/)],
    }),
    removeArgv: names => [
      'dnf',
      'remove',
      '-y',
      '--setopt=clean_requirements_on_remove=False',
      '--',
      ...names,
    ],
    tryRemovalArgv: names => [
      'dnf',
      'remove',
      '--assumeno',
      '--setopt=clean_requirements_on_remove=False',
      '--',
      ...names,
    ],
    parseRemoval: stdout => rowsUnder(stdout, /^Removing/),
    hasAnswered: ({status, stdout, stderr}) =>
      status === 1 && /^Operation aborted/m.test(`${stdout}\n${stderr}`),
    refreshArgv: ['dnf', 'makecache'],
  },
  zypper: {
    install: ['zypper', 'install'],
    ...RPM_LIST,
    installArgv: names => ['zypper', '--non-interactive', 'install', '--no-recommends', '--', ...names],
    tryInstallArgv: names => [
      'zypper',
      '--non-interactive',
      '--xmlout',
      'install',
      '--dry-run',
      '--no-recommends',
      '--',
      ...names,
    ],
    parseInstall: stdout => ({adds: solvables(stdout, 'install'), removes: solvables(stdout, 'remove')}),
    removeArgv: names => ['zypper', '--non-interactive', 'remove', '--no-clean-deps', '--', ...names],
    tryRemovalArgv: names => [
      'zypper',
      '--non-interactive',
      '--xmlout',
      'remove',
      '--dry-run',
      '--no-clean-deps',
      '--',
      ...names,
    ],
    parseRemoval: stdout => solvables(stdout, 'remove'),
    refreshArgv: ['zypper', '--non-interactive', 'refresh'],
  },
  apk: {
    install: ['apk', 'add'],
    listArgv: ['apk', 'info'],
    parseList: linesOf,
    installArgv: names => ['apk', 'add', '--', ...names],
    tryInstallArgv: names => ['apk', 'add', '--simulate', '--', ...names],
    // `(1/2) Installing libmilter (1.0.2-r8)`
    parseInstall: stdout => ({
      adds: among(stdout, /^\( *\d+\/\d+\) Installing (\S+)/),
      removes: among(stdout, /^\( *\d+\/\d+\) Purging (\S+)/),
    }),
    removeArgv: names => ['apk', 'del', '--', ...names],
    tryRemovalArgv: names => ['apk', 'del', '--simulate', '--', ...names],
    parseRemoval: stdout => [...among(stdout, /^\( *\d+\/\d+\) Purging (\S+)/), ...keptFor(stdout)],
    refreshArgv: ['apk', 'update'],
  },
} as const satisfies Readonly<Record<string, PackageManager>>;

export type PackageManagerName = keyof typeof PACKAGE_MANAGERS;

export const isPackageManager = (name: unknown): name is PackageManagerName =>
  typeof name === 'string' && Object.hasOwn(PACKAGE_MANAGERS, name);

/** The command by which a person installs packages. */
export function installCommand(name: PackageManagerName, packages: readonly string[]): string {
  const {install}: PackageManager = PACKAGE_MANAGERS[name];
  return command(...install, ...packages);
}
