import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {absolute} from '../../src/domain/paths.ts';
import type {Argv, CommandOptions, CommandResult, Commands, Ports, Users} from '../../src/system/ports.ts';
import {createOwnerLedger, createRealPorts} from '../../src/system/real/index.ts';

/** A program of a test: what it does and prints. `undefined` status stands for a missing one. */
export type Program = (
  argv: Argv,
  options: CommandOptions,
) => Promise<Partial<CommandResult>> | Partial<CommandResult>;

/** Commands answered by functions, by program name; others are missing. Every call is kept. */
export function fakeCommands(
  programs: Readonly<Record<string, Program>>,
): Commands & {readonly calls: Argv[]} {
  const calls: Argv[] = [];
  return {
    calls,
    async run(argv, options = {}) {
      calls.push(argv);
      const program = Object.hasOwn(programs, argv[0]) ? programs[argv[0]] : undefined;
      if (program === undefined) return {status: null, stdout: '', stderr: '', ended: 'missing'};
      return {status: 0, stdout: '', stderr: '', ended: 'exit', ...(await program(argv, options))};
    },
  };
}

/** Real files and sockets below a temporary root, the given programs, and one account: opendkim. */
export function scratchHost(programs: Readonly<Record<string, Program>>) {
  const root = mkdtempSync(path.join(tmpdir(), 'waxseal-proof-'));
  const commands = fakeCommands(programs);
  const account = {name: 'opendkim', uid: 102, gid: 108};
  const users: Users = {
    user: name => Promise.resolve(name === account.name ? account : undefined),
    userById: uid => Promise.resolve(uid === account.uid ? account : undefined),
    group: () => Promise.resolve(undefined),
    groupById: () => Promise.resolve(undefined),
    primaryMembers: () => Promise.resolve([]),
  };
  const ledger = createOwnerLedger();
  const ports: Ports = {
    ...createRealPorts({root: absolute(root), owners: ledger}),
    commands,
    users,
  };
  return {
    root,
    ports,
    ledger,
    commands,
    write(file: string, text: string): void {
      mkdirSync(path.dirname(path.join(root, file)), {recursive: true});
      writeFileSync(path.join(root, file), text, {mode: 0o600});
    },
    remove: () => rmSync(root, {recursive: true}),
  };
}
