import {HostError} from '../../domain/errors.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';

/** `code` of an error of the system (`ENOENT`), or '' where it is none. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

export const isMissing = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(error));

const KNOWN: Readonly<Record<string, readonly [id: string, why: string, hint: string]>> = {
  EACCES: ['file.denied', 'permission is denied', 'Run waxseal as root (sudo waxseal).'],
  EPERM: [
    'file.immutable',
    'the system does not permit it, even to root (an immutable or append-only flag?)',
    'Look at the file and its directory with lsattr -d and take the flag off with chattr -i -a, then run waxseal again.',
  ],
  EROFS: ['file.read-only', 'the file system is read-only', 'Mount it writable, then run waxseal again.'],
  ENOSPC: ['file.disk-full', 'the disk is full', 'Free some space (df -h), then run waxseal again.'],
  EDQUOT: ['file.disk-full', 'the disk quota is used up', 'Free some space, then run waxseal again.'],
  EEXIST: ['file.exists', 'something is there already', 'Move it away, then run waxseal again.'],
  ENOTEMPTY: ['file.not-empty', 'the directory is not empty', 'Look at what is in it and move it away.'],
  ENOENT: [
    'file.no-directory',
    'its directory does not exist',
    'Make the directory, then run waxseal again.',
  ],
  ENOTDIR: ['file.no-directory', 'a part of its path is not a directory', 'Look at the path with namei -l.'],
  ELOOP: ['file.symlink', 'it is a symbolic link', 'Replace the link by the file that it points to.'],
};

/** An error of a file operation as a person needs it: what was to be done, why it failed, what to do. */
export function fileError(action: string, path: string, error: unknown): HostError {
  if (error instanceof HostError) return error;
  const code = codeOf(error) === 'EPERM' && process.geteuid?.() !== 0 ? 'EACCES' : codeOf(error);
  const [id, why, hint] = KNOWN[code] ?? [
    'file.failed',
    code || String(error),
    'Look at the path with namei -l.',
  ];
  return new HostError(problem(id, `Cannot ${action} ${visible(path)}: ${why}.`, hint), {cause: error});
}
