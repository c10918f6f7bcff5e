/**
 * One run at a time on a host. The lock is a file that names its holder by pid, boot id and start time of the process,
 * so that a recycled pid is never taken for it.
 *
 * Taking over from a dead holder has to be exclusive too. Whoever creates `LOCK.heir-TOKEN` (TOKEN is in the dead lock)
 * is its one heir; only the heir may replace the lock, and the heir file goes after the replacement. Who comes late
 * either finds the heir file or finds another token in the lock. A dead heir has heirs of its own.
 */
import {randomBytes} from 'node:crypto';
import {link, readFile, rename, unlink, writeFile} from 'node:fs/promises';
import {command} from '../../domain/command.ts';
import {HostError, LockHeld} from '../../domain/errors.ts';
import type {AbsolutePath} from '../../domain/paths.ts';
import {problem} from '../../domain/result.ts';
import {visible} from '../../domain/text.ts';
import type {LockHolder, Locks} from '../ports.ts';
import {codeOf, fileError, isMissing} from './system-error.ts';

interface Claim extends LockHolder {
  readonly token: string;
  readonly bootId: string;
  /** Field 22 of /proc/PID/stat: clock ticks since boot. */
  readonly startTime: string;
}

const ATTEMPTS = 50;

export interface LocksOptions {
  /** On the real file system; its directory must be writable for this process only. */
  readonly path: AbsolutePath;
}

export const createLocks = (options: LocksOptions): Locks => ({
  async acquire(command) {
    const mine = await claimOf(command);
    const temporary = `${options.path}.new-${mine.token}`;
    try {
      await writeFile(temporary, JSON.stringify(mine), {flag: 'wx', mode: 0o644});
      await take(options.path, temporary, mine);
    } catch (error) {
      throw error instanceof LockHeld ? error : fileError('take the lock', options.path, error);
    } finally {
      await unlink(temporary).catch(() => undefined);
    }
    return {
      async release() {
        const now = await readClaim(options.path);
        if (now?.token === mine.token) await unlink(options.path);
      },
    };
  },
});

async function take(lock: string, temporary: string, mine: Claim): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (await linked(temporary, lock)) return;
    const holder = await readClaim(lock);
    if (holder === undefined) continue;
    if (await isAlive(holder)) throw held(holder);
    if (await inherit(lock, temporary, holder, mine)) return;
  }
  throw new HostError(
    problem(
      'lock.unsettled',
      `The lock ${visible(lock)} keeps changing hands.`,
      'Run waxseal again in a moment.',
    ),
  );
}

/** True where this process has become the heir of the dead holder and has taken its place. */
async function inherit(lock: string, temporary: string, dead: Claim, mine: Claim): Promise<boolean> {
  const passed: string[] = [];
  let last = dead;
  for (;;) {
    const heirPath = `${lock}.heir-${last.token}`;
    passed.push(heirPath);
    if (await linked(temporary, heirPath)) break;
    const heir = await readClaim(heirPath);
    if (heir === undefined) return false;
    if (await isAlive(heir)) throw held(heir);
    last = heir;
  }
  // Late comers created the heir file after the true heir had removed it: the lock is not the dead one any more.
  const before = [lock, ...passed.slice(0, -1)];
  const tokens = await Promise.all(before.map(async path => (await readClaim(path))?.token));
  if (tokens.includes(undefined) || tokens[0] !== dead.token || tokens.at(-1) !== last.token) {
    await unlink(passed.at(-1) ?? '').catch(() => undefined);
    return false;
  }
  await rename(temporary, lock);
  for (const path of passed) await unlink(path).catch(() => undefined);
  return (await readClaim(lock))?.token === mine.token;
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readClaim(path: string): Promise<Claim | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  return parseClaim(path, text);
}

function parseClaim(path: string, text: string): Claim {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) {
      const field = (name: string): unknown => Object.getOwnPropertyDescriptor(value, name)?.value;
      const [pid, since, command, token] = [field('pid'), field('since'), field('command'), field('token')];
      const [bootId, startTime] = [field('bootId'), field('startTime')];
      if (
        typeof pid === 'number' &&
        typeof since === 'string' &&
        typeof command === 'string' &&
        typeof token === 'string' &&
        /^[0-9a-f]{16}$/.test(token) &&
        typeof bootId === 'string' &&
        typeof startTime === 'string'
      ) {
        return {pid, since, command, token, bootId, startTime};
      }
    }
  } catch {
    // Falls through to the same answer.
  }
  throw new HostError(
    problem(
      'lock.unreadable',
      `${visible(path)} is not a lock of waxseal.`,
      `Make sure that no waxseal runs (pgrep -a waxseal), then remove it: ${command('rm', path)}`,
    ),
  );
}

async function claimOf(command: string): Promise<Claim> {
  return {
    pid: process.pid,
    since: new Date().toISOString(),
    command: visible(command),
    token: randomBytes(8).toString('hex'),
    bootId: await bootId(),
    startTime: (await startTimeOf(process.pid)) ?? '',
  };
}

async function isAlive(claim: Claim): Promise<boolean> {
  if (claim.bootId !== (await bootId())) return false;
  const startTime = await startTimeOf(claim.pid);
  return startTime !== undefined && startTime === claim.startTime;
}

async function bootId(): Promise<string> {
  try {
    return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  } catch {
    return '';
  }
}

/** Start time of a running process; `undefined` where there is none, or only a zombie. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The name in field 2 may contain blanks and parentheses; the fields after it begin behind the last one.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

const held = (holder: Claim): LockHeld =>
  new LockHeld(
    problem(
      'lock.held',
      `Another run is at work: process ${holder.pid} (${visible(holder.command)}), since ${visible(holder.since)}.`,
      `Wait until it has ended, or look at it with ps -fp ${holder.pid}.`,
    ),
  );
