/**
 * The sandbox's machine: a scratch directory that stands for `/`, accounts, ports, processes and a journal. Nothing in
 * it reaches outside the directory and the loopback interface.
 */
import type {Server} from 'node:net';
import path from 'node:path';
import type {AbsolutePath} from '../domain/paths.ts';
import {parentOf} from '../domain/paths.ts';
import type {Clock, Files, GroupEntry, UserEntry, Users} from '../system/ports.ts';

/** Where owners are kept that only root could set; system/real has the implementation. */
export interface Ledger {
  ownerOf(device: number, inode: number): {readonly uid: number; readonly gid: number};
  record(device: number, inode: number, owner: {readonly uid: number; readonly gid: number}): void;
}

export interface JournalLine {
  readonly at: Date;
  readonly identifier: string;
  readonly text: string;
}

/** Accounts of the sandbox, as a Debian host has them. */
export const ACCOUNTS: readonly UserEntry[] = [
  {name: 'root', uid: 0, gid: 0},
  {name: 'postfix', uid: 101, gid: 106},
  {name: 'opendkim', uid: 102, gid: 108},
];

/** Each has a group of its own, under its name. */
const group = (fits: (account: UserEntry) => boolean): GroupEntry | undefined => {
  const found = ACCOUNTS.find(fits);
  return found === undefined ? undefined : {name: found.name, gid: found.gid, members: []};
};

export class Machine {
  readonly root: string;
  readonly files: Files;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly users: Users = {
    user: async name => ACCOUNTS.find(account => account.name === name),
    userById: async uid => ACCOUNTS.find(account => account.uid === uid),
    group: async name => group(account => account.name === name),
    groupById: async gid => group(account => account.gid === gid),
    primaryMembers: async gid => ACCOUNTS.filter(account => account.gid === gid),
  };
  readonly processes = new Map<number, () => Promise<void>>();
  readonly lines: JournalLine[] = [];
  readonly #ports = new Map<number, number>();
  #lastPid = 4000;

  constructor(parts: {root: string; files: Files; ledger: Ledger; clock: Clock}) {
    this.root = parts.root;
    this.files = parts.files;
    this.ledger = parts.ledger;
    this.clock = parts.clock;
  }

  /** The path outside the sandbox. */
  real(inside: AbsolutePath): string {
    return path.join(this.root, inside);
  }

  async text(file: AbsolutePath): Promise<string | undefined> {
    const content = await this.files.read(file);
    return content === undefined ? undefined : new TextDecoder().decode(content);
  }

  account(name: string): UserEntry {
    const found = ACCOUNTS.find(account => account.name === name);
    if (found === undefined) throw new TypeError(`no account ${name} in the sandbox`);
    return found;
  }

  journal(identifier: string, text: string): void {
    this.lines.push({at: this.clock.now(), identifier, text});
  }

  newPid(): number {
    this.#lastPid += 1;
    return this.#lastPid;
  }

  /** A port of the sandbox (25, 8891) is some free port of the loopback interface outside. */
  openPort(inside: number, server: Server): void {
    const address = server.address();
    if (address !== null && typeof address === 'object') this.#ports.set(inside, address.port);
  }

  closePort(inside: number): void {
    this.#ports.delete(inside);
  }

  outsidePort(inside: number): number | undefined {
    return this.#ports.get(inside);
  }

  /**
   * access(2) as an account of the sandbox: search permission on every directory, then `wanted` (4 read, 2 write,
   * 1 execute) on the file itself.
   */
  async mayAccess(account: string, file: AbsolutePath, wanted: 1 | 2 | 4): Promise<boolean> {
    const who = this.account(account);
    const allowed = async (at: AbsolutePath, bit: number): Promise<boolean> => {
      const stat = await this.files.stat(at);
      if (stat === undefined) return false;
      if (who.uid === 0) return true;
      const shift = stat.uid === who.uid ? 6 : stat.gid === who.gid ? 3 : 0;
      return ((stat.mode >> shift) & bit) === bit;
    };
    // The scratch root itself is closed to others for the sake of the real host; within, `/` is open as everywhere.
    for (let at = parentOf(file); at !== '/'; at = parentOf(at)) {
      if (!(await allowed(at, 1))) return false;
    }
    return await allowed(file, wanted);
  }

  async stopAll(): Promise<void> {
    const running = [...this.processes.values()];
    this.processes.clear();
    await Promise.allSettled(running.map(stop => stop()));
  }
}
