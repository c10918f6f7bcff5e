/**
 * Programs of the administrator that are run at the steps of a rotation: /etc/waxseal/hooks.d. Environment and order are
 * documented in docs/how-to/rotate.md.
 */
import {type AbsolutePath, absolute, below} from '../../domain/paths.ts';
import {visible} from '../../domain/text.ts';
import type {KeyEntry} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';

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
): Promise<readonly HookReport[]> {
  const folder = await ports.files.stat(directory);
  if (folder === undefined) return [];
  if (folder.kind !== 'directory' || folder.uid !== 0 || (folder.mode & 0o022) !== 0) {
    return [{hook: directory, ok: false, said: 'not run: it is not a directory that only root can write'}];
  }
  const reports: HookReport[] = [];
  for (const name of (await ports.files.list(directory)) ?? []) {
    // As run-parts(8): no backup copies, no package leftovers.
    if (!/^[A-Za-z0-9_-]+(\.sh|\.py|\.pl)?$/.test(name)) continue;
    const path = below(directory, name);
    const stat = await ports.files.stat(path);
    if (stat?.kind !== 'file' || (stat.mode & 0o100) === 0) continue;
    if (stat.uid !== 0 || (stat.mode & 0o022) !== 0) {
      reports.push({hook: path, ok: false, said: 'not run: others than root can write it'});
      continue;
    }
    const result = await ports.commands.run([path, event], {
      timeoutMs: TIME_MS,
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
    const how = result.ended === 'exit' ? `status ${result.status}` : result.ended;
    reports.push({
      hook: path,
      ok: result.status === 0,
      said: visible((lines.at(-1) ?? how).slice(0, 200)),
    });
  }
  return reports;
}
