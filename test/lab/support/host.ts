/**
 * A whole Debian mail host: an overlay on a pristine image, booted with its own systemd in a given network namespace.
 * Booting takes about a second, so each scenario has a host of its own and needs no cleaning up.
 */
import {access, mkdir, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import path from 'node:path';
import {imageOf} from './image.ts';
import {failureDirectory, productDirectory} from './places.ts';
import {
  describeOutcome,
  LONG_MS,
  must,
  type Outcome,
  type Running,
  type RunOptions,
  run,
  start,
  startServer,
  stopServer,
  until,
} from './process.ts';
import type {Release} from './release.ts';

/** What a root shell on the host has; nothing of this machine's environment gets in. */
const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  SHELL: '/bin/bash',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
} as const;

interface Frame {
  readonly release: Release;
  readonly directory: string;
  readonly namespace: string;
  readonly name: string;
  /** The changes of an earlier host, kept by `keepChanges`: this one goes on where that one was switched off. */
  readonly from?: string;
}

export class Host {
  readonly release: Release;
  readonly #frame: Frame;
  #nspawn: ReturnType<typeof startServer> | undefined;
  #leader = 0;

  private constructor(frame: Frame) {
    this.release = frame.release;
    this.#frame = frame;
  }

  /** The pristine image below, the changes of this host, and both together as the host sees them. */
  get image(): string {
    return imageOf(this.release);
  }
  get changes(): string {
    return path.join(this.#frame.directory, 'upper');
  }
  get root(): string {
    return path.join(this.#frame.directory, 'root');
  }

  /** Process id of the host's PID 1, seen from here. */
  get leader(): number {
    return this.#leader;
  }

  /**
   * Lays out a host and boots it. `prepare` runs before the boot, on the file tree alone: for a host that is
   * different from the beginning.
   */
  static async boot(frame: Frame, prepare?: (host: Host) => Promise<void>): Promise<Host> {
    const host = new Host(frame);
    for (const name of ['upper', 'work', 'root']) {
      await mkdir(path.join(frame.directory, name), {recursive: true});
    }
    // With cp's own hands: a deleted file is a device in the upper layer, and marks of the overlay are attributes.
    if (frame.from !== undefined) await must(['cp', '-a', '--reflink=auto', `${frame.from}/.`, host.changes]);
    const options = [
      `lowerdir=${host.image}`,
      `upperdir=${host.changes}`,
      `workdir=${path.join(frame.directory, 'work')}`,
      // The fingerprint compares what is above with what is below by path: no redirects, no half-copied files.
      'redirect_dir=off',
      'metacopy=off',
    ].join(',');
    await must(['mount', '-t', 'overlay', 'waxseal-lab', '-o', options, host.root]);
    try {
      await prepare?.(host);
      await host.start();
    } catch (error) {
      await host.remove();
      throw error;
    }
    return host;
  }

  async start(): Promise<void> {
    const {directory, namespace, name, release} = this.#frame;
    const groups = await enterOwnControlGroup(name);
    this.#nspawn = startServer(
      [
        'sh',
        '-c',
        // Each host needs a control group of its own, or the next systemd takes over this one's services.
        'for group in $LAB_GROUPS; do echo $$ > $group/cgroup.procs; done; exec "$@"',
        'sh',
        'systemd-nspawn',
        '--quiet',
        '--register=no',
        '--keep-unit',
        `--machine=${name}`,
        '--hostname=mail',
        `--directory=${this.root}`,
        `--network-namespace-path=/run/netns/${namespace}`,
        '--resolv-conf=off',
        '--timezone=off',
        '--link-journal=no',
        '--console=pipe',
        `--bind-ro=${productDirectory}:/opt/waxseal`,
        ...(release.ownNode ? [] : [`--bind-ro=${process.execPath}:/usr/local/bin/node`]),
        '--boot',
      ],
      path.join(directory, 'boot.log'),
      {LAB_GROUPS: groups.join(' ')},
    );
    const nspawn = this.#nspawn;
    this.#leader = await until('the first process of the host', async () => {
      if (nspawn.exitCode !== null) throw new Error(`no boot: ${await this.bootLog()}`);
      const children = await run(['pgrep', '-P', String(nspawn.pid)]);
      for (const child of children.stdout.split('\n').filter(Boolean)) {
        const status = await readFile(`/proc/${child}/status`, 'utf8').catch(() => '');
        // Number 1 in its own process namespace; the helper that sets it up lives in ours.
        if (/^NSpid:\t\d+\t1$/m.test(status)) return Number(child);
      }
      return undefined;
    });
    await until(
      'the host to be up',
      async () => {
        if (nspawn.exitCode !== null) throw new Error(`no boot: ${await this.bootLog()}`);
        const state = await this.exec(['systemctl', 'is-system-running']).catch(() => undefined);
        return ['running', 'degraded'].includes(state?.stdout.trim() ?? '') ? true : undefined;
      },
      {withinMs: LONG_MS, everyMs: 50},
    );
  }

  /** Pulls the plug: what is on disk stays, everything that ran is gone. */
  async powerOff(): Promise<void> {
    if (this.#leader > 0) await run(['kill', '-KILL', String(this.#leader)]);
    if (this.#nspawn !== undefined) await stopServer(this.#nspawn);
    this.#nspawn = undefined;
    this.#leader = 0;
    await leaveControlGroup(this.#frame.name);
  }

  /** Switches the host off for good and keeps what it changed, for others to begin with. */
  async keepChanges(directory: string): Promise<void> {
    await this.exec(['systemctl', 'stop', 'opendkim', this.release.postfixUnit], {timeoutMs: 120_000});
    await this.powerOff();
    await mkdir(path.dirname(directory), {recursive: true});
    await must(['cp', '-a', '--reflink=auto', this.changes, directory]);
  }

  async remove(): Promise<void> {
    await this.powerOff();
    await until('the file system of the host to be free', async () => {
      const outcome = await run(['umount', this.root]);
      return outcome.status === 0 || outcome.stderr.includes('not mounted') ? true : undefined;
    });
    await rm(this.#frame.directory, {recursive: true, force: true});
  }

  bootLog(): Promise<string> {
    return readFile(path.join(this.#frame.directory, 'boot.log'), 'utf8');
  }

  /** The arguments that run a program inside the host, as root, without a terminal. */
  inside(argv: readonly string[], environment: Readonly<Record<string, string>> = {}): readonly string[] {
    const variables = Object.entries({...ENVIRONMENT, ...environment}).map(
      ([name, value]) => `${name}=${value}`,
    );
    return ['nsenter', '--target', String(this.#leader), '--all', '--', 'env', '-i', ...variables, ...argv];
  }

  exec(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const {environment, ...rest} = options;
    return run(this.inside(argv, environment), rest);
  }

  /** Starts a program in the host and returns at once. */
  launch(argv: readonly string[], options: RunOptions = {}): Running {
    const {environment, ...rest} = options;
    return start(this.inside(argv, environment), rest);
  }

  /** Runs a program in the host that has to succeed. */
  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const outcome = await this.exec(argv, options);
    if (outcome.status !== 0) throw new Error(`${argv.join(' ')}: ${describeOutcome(outcome)}`);
    return outcome.stdout;
  }

  /** A few shell lines, for preparing a host. They have to succeed. */
  script(text: string): Promise<string> {
    return this.must(['bash', '-euo', 'pipefail', '-c', text]);
  }

  /**
   * Waits until systemd has done what it was told: no job is left, and no unit is on its way up or down. Debian 12's
   * `postfix.service` is gone at once while the unit that it stands for is still stopping. And until OpenDKIM listens: its
   * unit is active as soon as its parent has ended, and the socket is made by the child (FACTS 0.3). What does not come to
   * rest is left to whoever looks: after ten seconds the host is taken as it is.
   */
  async settled(): Promise<void> {
    const asked = [
      'systemctl list-jobs --plain --no-legend',
      'systemctl list-units --all --plain --no-legend --state=activating,deactivating,reloading',
      // No pipe into grep -q: ss would die of it, and the shell would take that for an answer.
      `if systemctl is-active --quiet opendkim && [ -z "$(ss -Hlxtp | grep '"opendkim"' || true)" ]; then echo opendkim; fi`,
    ];
    await until(
      'the units of the host to be at rest',
      async () => ((await this.script(asked.join('; '))).trim() === '' ? true : undefined),
      {withinMs: 300_000, everyMs: 50},
    ).catch(() => undefined);
  }

  read(file: string): Promise<string> {
    return readFile(path.join(this.root, file), 'utf8');
  }

  /** Writes a file, directories included, as an administrator would: root's, 0644. */
  async write(file: string, content: string): Promise<void> {
    const target = path.join(this.root, file);
    await mkdir(path.dirname(target), {recursive: true});
    await writeFile(target, content, {mode: 0o644});
  }

  exists(file: string): Promise<boolean> {
    return access(path.join(this.root, file)).then(
      () => true,
      () => false,
    );
  }

  list(directory: string): Promise<readonly string[]> {
    return readdir(path.join(this.root, directory)).catch(() => []);
  }

  /** Process ids inside the host of those whose command line matches. */
  async processes(pattern: string): Promise<readonly number[]> {
    const outcome = await this.exec(['pgrep', '-f', pattern]);
    return outcome.stdout.split('\n').filter(Boolean).map(Number);
  }

  /** Keeps what explains a failure; the host itself goes away. */
  async keepEvidence(scenario: string): Promise<string> {
    const directory = path.join(failureDirectory, scenario.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 100));
    await rm(directory, {recursive: true, force: true});
    await mkdir(directory, {recursive: true});
    const pieces: readonly (readonly [string, readonly string[]])[] = [
      ['journal.txt', ['journalctl', '--no-pager', '-o', 'short-precise']],
      ['units.txt', ['systemctl', '--no-pager', 'status', 'opendkim', this.release.postfixUnit]],
      [
        'files.txt',
        ['bash', '-c', 'ls -laR /etc/opendkim* /etc/dkimkeys /var/lib/waxseal /var/spool/postfix/opendkim'],
      ],
      ['opendkim.conf', ['cat', '/etc/opendkim.conf']],
      ['main.cf', ['postconf', '-n']],
      ['queue.txt', ['postqueue', '-p']],
      ['processes.txt', ['ps', 'axfuww']],
    ];
    for (const [name, argv] of pieces) {
      const outcome = await this.exec(argv).catch(() => undefined);
      if (outcome !== undefined) await writeFile(path.join(directory, name), outcome.stdout + outcome.stderr);
    }
    return directory;
  }
}

/** Where systemd looks for its control groups: the unified hierarchy, or its own beside it. */
async function groupParents(): Promise<readonly string[]> {
  const mounts = await readFile('/proc/self/mounts', 'utf8');
  return mounts
    .split('\n')
    .map(line => line.split(' '))
    .filter(
      ([, , type = '', options = '']) => type === 'cgroup2' || options.split(',').includes('name=systemd'),
    )
    .map(([, at = '']) => at);
}

async function enterOwnControlGroup(name: string): Promise<readonly string[]> {
  const groups = (await groupParents()).map(parent => path.join(parent, name));
  for (const group of groups) await mkdir(group, {recursive: true});
  return groups;
}

/** Empty directories of a control group vanish from the bottom up; nothing in them is a real file. */
async function leaveControlGroup(name: string): Promise<void> {
  for (const parent of await groupParents()) {
    const group = path.join(parent, name);
    await until(
      `control group ${group} to be empty`,
      async () => {
        await run(['find', group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
        return access(group).then(
          () => undefined,
          () => true,
        );
      },
      {withinMs: LONG_MS},
    );
  }
}
