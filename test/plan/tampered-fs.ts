/** node:fs/promises as the program sees it, with a fault at one single call of it: between a write and its rename, too. */
import type {FileHandle} from 'node:fs/promises';
import {PowerCut} from './tamper.ts';

/**
 * `error`: the call fails. `full`: as on a full disk, a write takes half of what it is given; anything else fails.
 * `cut`: nothing works from there on; a write has got half way.
 */
export type InnerFault = 'error' | 'full' | 'cut';

interface Tampering {
  at: number;
  fault: InnerFault;
  dead: boolean;
  readonly calls: string[];
}

export const tampering: Tampering = {at: 0, fault: 'error', dead: false, calls: []};

export function tamperInside(at: number, fault: InnerFault): void {
  Object.assign(tampering, {at, fault, dead: false});
  tampering.calls.length = 0;
}

export const endTampering = (): void => tamperInside(0, 'error');

const failure = (code: string): Error => Object.assign(new Error(`${code}: injected`), {code});

/** Counts a call that changes the disk, and lets it go wrong where its turn has come. */
async function around<T>(name: string, work: () => Promise<T>, half?: () => Promise<unknown>): Promise<T> {
  if (tampering.dead) throw new PowerCut();
  tampering.calls.push(name);
  if (tampering.calls.length !== tampering.at) return await work();
  if (tampering.fault === 'error') throw failure('EIO');
  await half?.();
  if (tampering.fault === 'full') throw failure('ENOSPC');
  tampering.dead = true;
  throw new PowerCut(`cut in ${name}`);
}

type Call = (...args: readonly unknown[]) => Promise<unknown>;
const CHANGING = ['link', 'mkdir', 'rename', 'rmdir', 'symlink', 'unlink'] as const;
const LOOKING = ['access', 'lstat', 'readdir', 'readlink'] as const;
const HANDLE = ['chown', 'chmod', 'sync', 'truncate'] as const;

/** The lock outlives the process here, as it would not where the process really died. */
const isLock = (args: readonly unknown[]): boolean => args.some(arg => String(arg).includes('waxseal.lock'));

export function wrap<M extends object>(real: M): M {
  const original = real as unknown as Record<string, Call>;
  const wrapped: Record<string, Call> = {...original};
  for (const name of CHANGING) {
    wrapped[name] = (...args) =>
      isLock(args)
        ? (original[name] as Call)(...args)
        : around(name, () => (original[name] as Call)(...args));
  }
  for (const name of LOOKING) {
    wrapped[name] = async (...args) => {
      if (tampering.dead) throw new PowerCut();
      return await (original[name] as Call)(...args);
    };
  }
  wrapped['open'] = async (...args) => {
    const open = (): Promise<FileHandle> => (original['open'] as Call)(...args) as Promise<FileHandle>;
    // O_ACCMODE: what is opened for reading only changes nothing.
    const writes = (Number(args[1] ?? 0) & 3) !== 0;
    if (!writes && tampering.dead) throw new PowerCut();
    const handle = writes ? await around('open', open) : await open();
    const methods = handle as unknown as Record<string, Call>;
    for (const name of HANDLE) {
      const method = (methods[name] as Call).bind(handle);
      methods[name] = (...rest) => around(name, () => method(...rest));
    }
    const writeFile = handle.writeFile.bind(handle);
    const half = (content: unknown): Promise<void> =>
      writeFile(content instanceof Uint8Array ? content.subarray(0, content.length >> 1) : '');
    methods['writeFile'] = content =>
      around(
        'writeFile',
        () => writeFile(content as Uint8Array),
        () => half(content),
      );
    return handle;
  };
  return {...real, ...wrapped, default: wrapped} as unknown as M;
}
