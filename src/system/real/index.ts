import path from 'node:path';
import {type AbsolutePath, absolute} from '../../domain/paths.ts';
import type {DnsServer, Ports} from '../ports.ts';
import {createClock} from './clock.ts';
import {createCommands} from './commands.ts';
import {createDnsTransport} from './dns-transport.ts';
import {createFiles} from './files.ts';
import {createKeySource} from './key-source.ts';
import {createLocks} from './lock.ts';
import type {OwnerLedger} from './owner-ledger.ts';
import {createProcess} from './process.ts';
import {createRandom} from './random.ts';
import {createSockets} from './sockets.ts';
import {createUsers} from './users.ts';

export {createOwnerLedger, type OwnerLedger, type OwnerLedgerOptions} from './owner-ledger.ts';
export {
  createClock,
  createCommands,
  createDnsTransport,
  createFiles,
  createKeySource,
  createLocks,
  createProcess,
  createRandom,
  createSockets,
  createUsers,
};

export interface RealPortsOptions {
  /** Another tree instead of `/` (`--root`): files are mapped below it, programs run in it by chroot(8). */
  readonly root?: AbsolutePath;
  /** `real` (chown) by default; a ledger where this process is not root. */
  readonly owners?: 'real' | OwnerLedger;
  /** Asked instead of the resolvers of resolv.conf (`--resolver`). */
  readonly resolvers?: readonly DnsServer[];
  /** On the real file system; /run/waxseal.lock by default, below the root where one is given. */
  readonly lock?: AbsolutePath;
}

/** The outside world as it is. Opens nothing and starts nothing until a port is used. */
export function createRealPorts(options: RealPortsOptions = {}): Ports {
  const owners = options.owners ?? 'real';
  const where = options.root === undefined ? {} : {root: options.root};
  const files = createFiles({...where, owners});
  const commands = createCommands(where);
  return {
    files,
    commands,
    // getent knows the accounts of this host, not those of another tree.
    users: options.root === undefined ? createUsers(files, commands) : createUsers(files),
    clock: createClock(),
    random: createRandom(),
    keys: createKeySource(),
    sockets: createSockets(where),
    dns: createDnsTransport(files, options.resolvers === undefined ? {} : {resolvers: options.resolvers}),
    locks: createLocks({
      path: options.lock ?? absolute(path.posix.join(options.root ?? '/', 'run/waxseal.lock')),
    }),
    process: createProcess(owners === 'real' ? {} : {privileged: true}),
  };
}
