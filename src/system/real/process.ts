import type {CurrentProcess} from '../ports.ts';

/** `privileged` is true for root; the sandbox and `--root` say so for themselves. */
export function createProcess(options: {readonly privileged?: boolean} = {}): CurrentProcess {
  const uid = process.geteuid?.() ?? 0;
  return {pid: process.pid, uid, privileged: options.privileged ?? uid === 0};
}
