import {appendFileSync, existsSync, readFileSync} from 'node:fs';

export interface Owned {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Remembers who would own a file where chown(2) is not possible (sandbox, tests without root). Kept by device and
 * inode, so that an owner follows its file through a rename exactly as a real one does.
 */
export interface OwnerLedger {
  ownerOf(device: number, inode: number): Owned;
  record(device: number, inode: number, owner: Owned): void;
}

export interface OwnerLedgerOptions {
  /** Keeps the ledger over processes, one line an entry, appended; in memory only where absent. */
  readonly file?: string;
  /** Owner of what was never recorded; root by default. */
  readonly fallback?: Owned;
}

/** Remembers owners that cannot be set, in memory or in `file`. */
export function createOwnerLedger(options: OwnerLedgerOptions = {}): OwnerLedger {
  const fallback = options.fallback ?? {uid: 0, gid: 0};
  const owners = new Map<string, Owned>();
  const {file} = options;
  if (file !== undefined && existsSync(file)) {
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [key, uid, gid] = line.split(' ');
      if (key && uid && gid) owners.set(key, {uid: Number(uid), gid: Number(gid)});
    }
  }
  return {
    ownerOf: (device, inode) => owners.get(`${device}:${inode}`) ?? fallback,
    record(device, inode, owner) {
      const key = `${device}:${inode}`;
      owners.set(key, owner);
      if (file !== undefined) appendFileSync(file, `${key} ${owner.uid} ${owner.gid}\n`, {mode: 0o600});
    },
  };
}
