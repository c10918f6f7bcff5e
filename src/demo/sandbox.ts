/** The sandbox put together: everything a run of the wizard touches, in one process over a scratch directory. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {LockHeld} from '../domain/errors.ts';
import {type AbsolutePath, parseAbsolutePath} from '../domain/paths.ts';
import {problem} from '../domain/result.ts';
import type {Clock, Files, Ports, Sockets} from '../system/ports.ts';
import {createDemoCommands, type Mischief} from './commands.ts';
import {createDemoTransport, type DemoDns, type DemoServer, demoServers, startDemoDns} from './dns.ts';
import {type Ledger, Machine} from './machine.ts';
import {Mailer} from './mailer.ts';
import {furnish} from './scratch.ts';

export const DEMO_DOMAIN = 'example.org';

/** What the sandbox borrows from the real system; cli/ hands it in, so that demo/ itself opens only its own directory. */
export interface RealParts {
  readonly createLedger: () => Ledger;
  readonly createFiles: (options: {readonly root: AbsolutePath; readonly owners: Ledger}) => Files;
  readonly sockets: Sockets;
  readonly clock: Clock;
  readonly rest: Pick<Ports, 'random' | 'keys' | 'dns'>;
}

export interface SandboxOptions {
  /** How far the second name server lags behind, in milliseconds. */
  readonly lagMs?: number;
  readonly mischief?: Mischief;
}

export interface Sandbox {
  readonly ports: Ports;
  readonly dns: DemoDns;
  readonly machine: Machine;
  readonly mailer: Mailer;
  /** Ends every part and removes the scratch directory. */
  close(): Promise<void>;
}

/** Furnishes a scratch root as a mail host and starts what runs on it. `close()` leaves nothing behind. */
export async function openSandbox(parts: RealParts, options: SandboxOptions = {}): Promise<Sandbox> {
  const directory = mkdtempSync(path.join(tmpdir(), 'waxseal-'));
  const root = parseAbsolutePath(directory);
  if (!root.ok) throw new TypeError(root.problem.message);
  const ledger = parts.createLedger();
  const files = parts.createFiles({root: root.value, owners: ledger});
  await furnish(files, DEMO_DOMAIN);
  const machine = new Machine({root: directory, files, ledger, clock: parts.clock});
  const sockets = inside(machine, parts.sockets);
  const mailer = new Mailer(machine, sockets);
  await mailer.start();
  const commands = createDemoCommands(machine, mailer, options.mischief);
  await commands.run(['systemctl', 'start', 'opendkim']);
  const dns = await startDemoDns({clock: parts.clock, servers: servers(options.lagMs)});
  let lockHeld = false;
  return {
    dns,
    machine,
    mailer,
    ports: {
      files,
      commands,
      users: machine.users,
      clock: parts.clock,
      random: parts.rest.random,
      keys: parts.rest.keys,
      sockets,
      dns: createDemoTransport(parts.rest.dns, dns),
      locks: {
        async acquire() {
          if (lockHeld) {
            throw new LockHeld(
              problem('lock.held', 'Another run of waxseal works in the sandbox.', 'Wait for it to end.'),
            );
          }
          lockHeld = true;
          return {
            async release() {
              lockHeld = false;
            },
          };
        },
      },
      process: {pid: process.pid, uid: 0, privileged: true},
    },
    async close() {
      await machine.stopAll();
      await dns.close();
      rmSync(directory, {recursive: true, force: true});
    },
  };
}

const servers = (lagMs: number | undefined): readonly DemoServer[] =>
  demoServers.map(server => (server.lagMs > 0 && lagMs !== undefined ? {...server, lagMs} : server));

/** Ports of the sandbox's host are some free ports of the loopback interface; unix sockets lie in the scratch root. */
const inside = (machine: Machine, real: Sockets): Sockets => ({
  async connect(endpoint, timeoutMs) {
    if (endpoint.kind === 'tcp') {
      const port = machine.outsidePort(endpoint.port);
      if (port === undefined) {
        throw Object.assign(new Error('connect ECONNREFUSED'), {code: 'ECONNREFUSED'});
      }
      return await real.connect({kind: 'tcp', host: '127.0.0.1', port}, timeoutMs);
    }
    const path = parseAbsolutePath(machine.real(endpoint.path));
    if (!path.ok) throw new TypeError(path.problem.message);
    return await real.connect({kind: 'unix', path: path.value}, timeoutMs);
  },
});
