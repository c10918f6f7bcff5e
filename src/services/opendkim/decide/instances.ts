/** Every OpenDKIM of a host: those that run, that of the known unit, and configurations that lie beside it. */
import {type AbsolutePath, absolute, below, parseAbsolutePath} from '../../../domain/paths.ts';
import type {Source} from '../../../domain/source.ts';
import type {Files} from '../../../system/ports.ts';
import {readText} from '../../reading.ts';
import {execArguments, type UnitProperties} from '../../systemd.ts';
import {includesOf, parseConfigLines} from '../parse.ts';
import {commandLineOptions} from './options.ts';

export interface Instance {
  readonly config: AbsolutePath;
  /** Value by letter, '' for a switch. */
  readonly options: ReadonlyMap<string, string>;
  /** Where the options are from. */
  readonly started: Source;
  /** '' where it belongs to none that is known. */
  readonly unit: string;
  readonly isRunning: boolean;
  /** Of the running process. */
  readonly ids?: {readonly uid: number; readonly gid: number};
}

export type ProcessFiles = Pick<Files, 'inspect' | 'list'>;
type Reads = ProcessFiles & Pick<Files, 'readLink'>;

export interface OpenDkimProcess {
  readonly pid: string;
  readonly argv: readonly string[];
}

/** Every process of that name (proc(5)), those in containers included. */
export async function openDkimProcesses(files: ProcessFiles): Promise<readonly OpenDkimProcess[]> {
  const proc = absolute('/proc');
  const found: OpenDkimProcess[] = [];
  for (const pid of (await files.list(proc).catch(() => undefined)) ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    const name = await readText(files, below(proc, pid, 'comm'));
    if (name.text?.trim() !== 'opendkim') continue;
    const line = await files.inspect(below(proc, pid, 'cmdline')).catch(() => undefined);
    const argv = Buffer.from(line?.content ?? [])
      .toString('utf8')
      .replace(/\0$/, '')
      .split('\0');
    found.push({pid, argv});
  }
  return found;
}

/** What running processes were started with; one in a container has files of its own, and is not ours. */
export async function runningInstances(files: Reads, byDefault: AbsolutePath): Promise<readonly Instance[]> {
  const own = await namespaceOf(files, 'self');
  const found = new Map<string, Instance>();
  for (const {pid, argv} of await openDkimProcesses(files)) {
    const namespace = await namespaceOf(files, pid);
    if (own !== undefined && namespace !== undefined && own !== namespace) continue;
    const options = commandLineOptions(argv);
    const named = parseAbsolutePath(options.get('x') ?? '');
    const config = named.ok ? named.value : byDefault;
    if ((await files.inspect(config, {follow: true}).catch(() => undefined)) === undefined) continue;
    const text = async (name: string): Promise<string> =>
      (await readText(files, below(absolute('/proc'), pid, name))).text ?? '';
    const unit = unitOf(await text('cgroup'));
    const ids = idsOf(await text('status'));
    const key = [unit, ...argv].join('\0');
    // With AutoRestart there is a parent that only waits; it may still be root.
    if (found.has(key) && (ids === undefined || ids.uid === 0)) continue;
    found.set(key, {
      ...{config, options, unit},
      started: {by: 'command', argv: ['ps', '-o', 'args=', '-p', pid]},
      isRunning: true,
      ...(ids === undefined ? {} : {ids}),
    });
  }
  return [...found.values()];
}

const namespaceOf = async (files: Reads, pid: string): Promise<string | undefined> =>
  await files.readLink(absolute(`/proc/${pid}/ns/pid`)).catch(() => undefined);

/** `0::/system.slice/opendkim.service` (cgroups(7)). */
const unitOf = (cgroup: string): string => /\/([^/\n]+\.service)(?:\/|$)/m.exec(cgroup)?.[1] ?? '';

/** Effective ids, the second of four. */
function idsOf(status: string): {readonly uid: number; readonly gid: number} | undefined {
  const id = (name: string): number | undefined => {
    const text = new Map(status.split('\n').map(line => [line.split(':', 1)[0], line])).get(name);
    const value = text?.split(/\s+/)[2];
    return value === undefined ? undefined : Number(value);
  };
  const [uid, gid] = [id('Uid'), id('Gid')];
  return uid === undefined || gid === undefined ? undefined : {uid, gid};
}

/** The properties of systemctl show that {@link unitInstance} reads. */
export const UNIT_START = ['ExecStart', 'Environment', 'EnvironmentFiles'] as const;

/** What the unit would start, variables of its environment filled in (systemd.service(5), COMMAND LINES). */
export async function unitInstance(
  files: Reads,
  name: string,
  unit: UnitProperties,
  byDefault: AbsolutePath,
): Promise<Instance | undefined> {
  const written = execArguments(unit['ExecStart'] ?? '');
  if (written.length === 0) return undefined;
  const environment = await environmentOf(files, unit);
  const argv = written.flatMap(word => {
    const whole = /^\$([A-Za-z_]\w*)$/.exec(word);
    if (whole !== null) return (environment.get(whole[1] ?? '') ?? '').split(/\s+/).filter(Boolean);
    return [word.replace(/\$\{([A-Za-z_]\w*)\}/g, (_, of: string) => environment.get(of) ?? '')];
  });
  const options = commandLineOptions(argv);
  const config = parseAbsolutePath(options.get('x') ?? '');
  return {
    config: config.ok ? config.value : byDefault,
    options,
    started: {by: 'command', argv: ['systemctl', 'cat', name]},
    unit: name,
    isRunning: false,
  };
}

async function environmentOf(files: Reads, unit: UnitProperties): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const take = (line: string): void => {
    const [, name, value = ''] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, value.trim().replace(/^(["'])(.*)\1$/, '$2'));
  };
  for (const word of (unit['Environment'] ?? '').split(/\s+/)) take(word);
  // What a later file sets counts (systemd.exec(5), EnvironmentFile=).
  for (const file of (unit['EnvironmentFiles'] ?? '').split('\n')) {
    const path = parseAbsolutePath(file.split(' ', 1)[0] ?? '');
    const text = path.ok ? (await readText(files, path.value)).text : undefined;
    for (const line of (text ?? '').split('\n')) take(line);
  }
  return found;
}

/**
 * Configurations in the customary places that name keys and that no known one includes: an instance that is stopped now
 * signs again after its start.
 */
export async function otherInstances(files: Reads, known: readonly Instance[]): Promise<readonly Instance[]> {
  const included = new Set<AbsolutePath>();
  for (const {config} of known) {
    for (const path of (await configurationTexts(files, config)).keys()) included.add(path);
  }
  const etc = absolute('/etc');
  const named = [
    ...((await files.list(etc).catch(() => undefined)) ?? [])
      .filter(name => /^opendkim.*\.conf$/.test(name))
      .map(name => below(etc, name)),
    ...((await files.list(below(etc, 'opendkim')).catch(() => undefined)) ?? [])
      .filter(name => name.endsWith('.conf'))
      .map(name => below(etc, 'opendkim', name)),
  ];
  const found: Instance[] = [];
  for (const path of named) {
    if (included.has(path)) continue;
    const read = await readText(files, path);
    const isConfiguration =
      read.text === undefined
        ? !read.isMissing
        : parseConfigLines(read.text).some(({name}) => /^key(table|file)$/i.test(name));
    if (isConfiguration) found.push(lying(path, ''));
  }
  return found;
}

/** A configuration of which only the file is known. */
export const lying = (config: AbsolutePath, unit: string): Instance => ({
  ...{config, unit, isRunning: false},
  options: new Map(),
  started: {by: 'file', path: config, line: 1},
});

export type ConfigurationText = Awaited<ReturnType<typeof readText>>;

/** A configuration with all that it includes, by path. */
export async function configurationTexts(
  files: Pick<Files, 'inspect'>,
  config: AbsolutePath,
): Promise<ReadonlyMap<AbsolutePath, ConfigurationText>> {
  const found = new Map<AbsolutePath, ConfigurationText>();
  const queue = [config];
  for (const path of queue) {
    if (found.has(path)) continue;
    const read = await readText(files, path);
    found.set(path, read);
    if (read.text !== undefined) queue.push(...includesOf(read.text));
  }
  return found;
}
