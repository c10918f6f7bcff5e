import {existsSync} from 'node:fs';
import type {FileHandle} from 'node:fs/promises';
import {HostError} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {CommandResult} from '../ports.ts';
import {handedOn, runWithHandles} from './commands.ts';

const COPY_MS = 10_000;

/**
 * Whether each file or directory has an access list (acl(5)) beyond its mode: ls(1) marks it with `+`. Where nobody can
 * say, it counts as having one.
 */
export async function haveAccessLists(
  handles: readonly Pick<FileHandle, 'fd'>[],
): Promise<readonly boolean[]> {
  // The path of a handle is a link; ls is to look at what it is the handle of, in this order.
  const argv = ['ls', '-ldnLU', '--', ...handles.map((_, at) => handedOn(at))] as const;
  const result = await runWithHandles(argv, handles, {timeoutMs: COPY_MS});
  return saysListed(result, handles.length);
}

/** What ls(1) answers about so many files, for `haveAccessLists`. */
export function saysListed(
  {status, stdout}: Pick<CommandResult, 'status' | 'stdout'>,
  count: number,
): readonly boolean[] {
  const lines = stdout.split('\n').filter(line => line !== '');
  const isWhole = status === 0 && lines.length === count;
  return Array.from({length: count}, (_, at) => !isWhole || /^\S{10}\+/.test(lines[at] ?? ''));
}

/**
 * Copies the access list (acl(5)), the extended attributes (xattr(7)) and, under SELinux, the security label from one
 * open file to another. Node has no calls for these; cp(1) of coreutils has, and is part of every system that waxseal
 * knows, while getfacl, setfattr and the tools of SELinux may be missing. It inherits both handles and is given no path
 * but theirs, so that it can only reach these two files, whatever is put in the place of their names.
 * HostError `file.labels` where one cannot be kept.
 *
 * @param path what the error names
 */
export async function copyLabels(path: AbsolutePath, from: FileHandle, to: FileHandle): Promise<void> {
  const label = existsSync('/sys/fs/selinux/enforce') ? ',context' : '';
  const argv = [
    'cp',
    '--attributes-only',
    // `mode` brings the access list with it (coreutils, "cp invocation").
    `--preserve=mode,xattr${label}`,
    // The path of a handle is a link; cp is to copy what it is the handle of.
    '--dereference',
    '--no-target-directory',
    '--',
    handedOn(0),
    handedOn(1),
  ] as const;
  const result = await runWithHandles(argv, [from, to], {timeoutMs: COPY_MS});
  if (result.status === 0) return;
  const why =
    result.ended === 'missing' ? 'there is no cp' : visible(result.stderr.trim().split('\n')[0] ?? '');
  throw new HostError(
    problem(
      'file.labels',
      `Cannot write ${visible(path)}: its access list and extended attributes would be lost (${why}).`,
      'getfacl, getfattr -d -m - and ls -Z show them. Remove those that are not needed, then run waxseal again.',
    ),
  );
}
