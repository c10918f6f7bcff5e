import {existsSync} from 'node:fs';
import {HostError} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import {createCommands} from './commands.ts';

const COPY_MS = 10_000;

/** A path below /proc/self/fd as another process sees it. */
const seen = (at: string): string => at.replace('/proc/self/', `/proc/${process.pid}/`);

/**
 * Whether a directory has an access list (acl(5)) beyond its mode: ls(1) marks it with `+`. Where nobody can say, it
 * counts as having one.
 */
export async function hasAccessList(at: string): Promise<boolean> {
  const {status, stdout} = await createCommands().run(['ls', '-ldn', '--', seen(at)], {timeoutMs: COPY_MS});
  return status !== 0 || /^\S{10}\+/.test(stdout);
}

/**
 * Copies the access list (acl(5)), the extended attributes (xattr(7)) and, under SELinux, the security label from one
 * file to another. Node has no calls for these; cp(1) of coreutils has, and is part of every system that waxseal knows,
 * while getfacl, setfattr and the tools of SELinux may be missing. HostError `file.labels` where one cannot be kept.
 *
 * @param path what the error names
 * @param from and `to` may lie below /proc/self/fd: they are handed on as seen by another process
 */
export async function copyLabels(path: AbsolutePath, from: string, to: string): Promise<void> {
  const label = existsSync('/sys/fs/selinux/enforce') ? ',context' : '';
  const argv = [
    'cp',
    '--attributes-only',
    // `mode` brings the access list with it (coreutils, "cp invocation").
    `--preserve=mode,xattr${label}`,
    '--no-dereference',
    '--no-target-directory',
    '--',
    seen(from),
    seen(to),
  ] as const;
  const result = await createCommands().run(argv, {timeoutMs: COPY_MS});
  if (result.status === 0) return;
  const why =
    result.ended === 'missing' ? 'there is no cp' : visible(result.stderr.trim().split('\n')[0] ?? '');
  throw new HostError(
    problem(
      'file.labels',
      `Cannot write ${visible(path)}: its access list and extended attributes would be lost (${why}).`,
      `Look at them with getfacl, getfattr -d -m - and ls -Z; what is not needed, take off (setfacl -b ${visible(path)}).`,
    ),
  );
}
