/**
 * RequireSafeKeys of opendkim.conf(5): who else may touch a key or a directory on the way to it
 * (daemons/opendkim.md#key-files).
 */
import {command} from '../../domain/command.ts';
import {type AbsolutePath, parentOf} from '../../domain/paths.ts';
import {type Problem, problem} from '../../domain/result.ts';
import type {FileStat} from '../../system/ports.ts';
import {entryOf} from '../files.ts';
import type {OpenDkimHost} from './host.ts';
import {isTrue} from './parse.ts';

/** True where nobody but root and OpenDKIM's own user is in the group, be it listed or as primary group. */
export function isAlone(host: OpenDkimHost, gid: number): boolean {
  const group = Object.values(host.snapshot.groups).find(entry => entry.gid === gid);
  const others = [...(group?.members ?? []), ...(host.snapshot.primaryNames?.[gid] ?? [])];
  return others.every(name => name === host.opendkim.user || name === 'root');
}

/** Why OpenDKIM would not trust a key below this directory; undefined where it would. */
function distrust(host: OpenDkimHost, stat: FileStat): string | undefined {
  const daemon = host.snapshot.users[host.opendkim.user]?.uid;
  if ((stat.mode & 0o002) !== 0) return 'everybody can write it';
  if ((stat.mode & 0o020) !== 0 && !isAlone(host, stat.gid))
    return 'its group, which has other users, can write it';
  if ((stat.mode & 0o200) !== 0 && stat.uid !== 0 && daemon !== undefined && stat.uid !== daemon)
    return `it belongs to ${host.snapshot.userNames[stat.uid] ?? stat.uid}, who can write it`;
  return undefined;
}

/** Every directory from `path` up to the root. */
function ancestry(path: AbsolutePath): readonly AbsolutePath[] {
  const found = [path];
  for (let at = path; at !== '/'; ) {
    at = parentOf(at);
    found.push(at);
  }
  return found;
}

/**
 * The first directory on the way to `directory` for which OpenDKIM would refuse every key below, as a problem; those in
 * `mended` are put right by the plan. None where RequireSafeKeys is off.
 */
export function unsafeWay(
  host: OpenDkimHost,
  directory: AbsolutePath,
  mended: ReadonlySet<string>,
): Problem | undefined {
  const safe = host.opendkim.settings['requiresafekeys'];
  if (safe !== undefined && !isTrue(safe)) return undefined;
  for (const path of ancestry(directory).toReversed()) {
    const {stat} = entryOf(host.snapshot, path);
    const why = stat?.kind !== 'directory' || mended.has(path) ? undefined : distrust(host, stat);
    if (why === undefined) continue;
    return problem(
      'key.unsafe-directory',
      `OpenDKIM would refuse the keys in ${directory}: ${path} is on the way, and ${why}.`,
      `Put it right: ${command('chown', 'root:root', path)} && ${command('chmod', 'go-w', path)}`,
    );
  }
  return undefined;
}
