/**
 * Programs of the administrator that are run at the steps of a rotation: /etc/waxseal/hooks.d. Environment and order are
 * documented in docs/how-to/rotate.md.
 */
import {type AbsolutePath, absolute, below, parentOf} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import type {CommandResult, FileStat, Ports} from '../../system/ports.ts';

export const HOOK_DIRECTORY = absolute('/etc/waxseal/hooks.d');

/** `publish`: put the record there. `activate`: the key signs now. `retire`: put the empty record there. `remove`: delete it. */
export type HookEvent = 'publish' | 'activate' | 'retire' | 'remove';

export interface HookReport {
  readonly hook: string;
  readonly ok: boolean;
  /** What it said last, or why it was not run; made harmless. */
  readonly said: string;
}

const TIME_MS = 120_000;

/**
 * Runs every hook in the order of their names, each with the event as its argument. A file that others than root can
 * write is not run. A hook that fails stops nothing: what it should have done is seen in the DNS, or is not.
 */
export async function runHooks(
  ports: Pick<Ports, 'files' | 'commands'>,
  directory: AbsolutePath,
  event: HookEvent,
  key: KeyEntry,
  value: string,
  signal?: AbortSignal,
): Promise<readonly HookReport[]> {
  const folder = await ports.files.stat(directory);
  if (folder === undefined) return [];
  if (folder.kind !== 'directory' || !isRootsAlone(folder)) {
    return [{hook: directory, ok: false, said: 'not run: it is not a directory that only root can write'}];
  }
  const open = await openAbove(ports.files, directory);
  if (open !== undefined) {
    return [{hook: directory, ok: false, said: `not run: others than root can write ${visible(open)}`}];
  }
  const reports: HookReport[] = [];
  for (const name of (await ports.files.list(directory)) ?? []) {
    // As run-parts(8): no backup copies, no package leftovers.
    if (!/^[A-Za-z0-9_-]+(\.sh|\.py|\.pl)?$/.test(name)) continue;
    const path = below(directory, name);
    const stat = await ports.files.stat(path);
    if (stat?.kind === 'symlink') {
      reports.push({
        hook: path,
        ok: false,
        said: 'not run: it is a symbolic link; put the program itself there',
      });
      continue;
    }
    if (stat?.kind !== 'file' || (stat.mode & 0o100) === 0) continue;
    if (!isRootsAlone(stat)) {
      reports.push({hook: path, ok: false, said: 'not run: others than root can write it'});
      continue;
    }
    const result = await ports.commands.run([path, event], {
      timeoutMs: TIME_MS,
      ...(signal === undefined ? {} : {signal}),
      environment: {
        WAXSEAL_EVENT: event,
        WAXSEAL_DOMAIN: key.domain,
        WAXSEAL_SELECTOR: key.selector,
        WAXSEAL_ALGORITHM: key.algorithm,
        WAXSEAL_RECORD_NAME: key.record.name,
        WAXSEAL_RECORD_ZONE: key.record.zone,
        WAXSEAL_RECORD_RELATIVE: key.record.relativeName,
        WAXSEAL_RECORD_TYPE: 'TXT',
        WAXSEAL_RECORD_VALUE: value,
      },
    });
    const lines = `${result.stdout}\n${result.stderr}`.split('\n').filter(line => line.trim() !== '');
    const ok = result.status === 0 && result.ended === 'exit';
    const last = visible((lines.at(-1) ?? '').slice(0, 200));
    reports.push({
      hook: path,
      ok,
      said: ok && last !== '' ? last : [last, howEnded(result)].filter(Boolean).join('; '),
    });
    if (signal?.aborted === true) break;
  }
  return reports;
}

/** What a hook said last may be that all is well; how it ended is told where it is not. */
function howEnded({status, ended}: CommandResult): string {
  switch (ended) {
    case 'exit':
      return `status ${status}`;
    case 'timeout':
      return `ended after ${TIME_MS / 1000} s, since it did not end by itself`;
    case 'missing':
      return 'it cannot be run: is the interpreter of its first line there?';
    case 'signal':
      return 'ended by a signal';
  }
}

const isRootsAlone = ({uid, mode}: FileStat): boolean => uid === 0 && (mode & 0o022) === 0;

/** The directory above whose owner or others could put another one in the place of the hooks; a sticky one is safe. */
async function openAbove(
  files: Pick<Ports['files'], 'stat' | 'resolve'>,
  directory: AbsolutePath,
): Promise<AbsolutePath | undefined> {
  let at = (await files.resolve(directory)) ?? directory;
  while (at !== '/') {
    at = parentOf(at);
    const stat = await files.stat(at);
    const isSticky = stat !== undefined && stat.uid === 0 && (stat.mode & 0o1000) !== 0;
    if (stat === undefined || !(isRootsAlone(stat) || isSticky)) return at;
  }
  return undefined;
}
