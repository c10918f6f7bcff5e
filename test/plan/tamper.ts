import {HostError} from '../../src/domain/errors.ts';
import type {Commands, Files, Ports} from '../../src/system/ports.ts';

/** What a power cut looks like from inside: nothing works any more, not even the clean-up. */
export class PowerCut extends Error {}

/**
 * `fail`: this one call fails. `cut-after`: it happens, and from then on nothing works. `before`: `onCut` is called
 * before it, and it goes on: for what befalls the host from outside.
 */
export type Fault = 'fail' | 'cut-after' | 'before';

export interface Tampered {
  readonly ports: Ports;
  /** Names of the calls so far: `replace /etc/opendkim.conf`. */
  readonly calls: string[];
}

/** Ports whose `at`-th call (from 1) of a file operation or a command goes wrong. With `at` 0 it only counts. */
export function tamper(
  ports: Ports,
  at: number,
  fault: Fault,
  onCut: () => void = () => undefined,
): Tampered {
  const calls: string[] = [];
  let dead = false;
  const around = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    if (dead) throw new PowerCut();
    calls.push(name);
    if (calls.length !== at) return await work();
    if (fault === 'fail') {
      throw new HostError({id: 'injected', message: `Injected at ${at}: ${name}.`, hint: ''});
    }
    if (fault === 'before') {
      onCut();
      return await work();
    }
    await work();
    dead = true;
    onCut();
    throw new PowerCut(`cut at ${at}: ${name}`);
  };
  const {files} = ports;
  const watched: Files = {
    stat: path => around(`stat ${path}`, () => files.stat(path)),
    read: (path, how) => around(`read ${path}`, () => files.read(path, how)),
    inspect: (path, how) => around(`inspect ${path}`, () => files.inspect(path, how)),
    list: path => around(`list ${path}`, () => files.list(path)),
    resolve: path => around(`resolve ${path}`, () => files.resolve(path)),
    readLink: path => around(`readLink ${path}`, () => files.readLink(path)),
    accessLists: paths => around(`accessLists ${paths.join(' ')}`, () => files.accessLists(paths)),
    replace: (path, ...rest) => around(`replace ${path}`, () => files.replace(path, ...rest)),
    checkChangeable: path => around(`checkChangeable ${path}`, () => files.checkChangeable(path)),
    create: (path, ...rest) => around(`create ${path}`, () => files.create(path, ...rest)),
    makeDirectory: (path, as) => around(`makeDirectory ${path}`, () => files.makeDirectory(path, as)),
    setAttributes: (path, ...rest) =>
      around(`setAttributes ${path}`, () => files.setAttributes(path, ...rest)),
    append: (path, ...rest) => around(`append ${path}`, () => files.append(path, ...rest)),
    destroy: (path, isExpected) => around(`destroy ${path}`, () => files.destroy(path, isExpected)),
    remove: path => around(`remove ${path}`, () => files.remove(path)),
    removeDirectory: path => around(`removeDirectory ${path}`, () => files.removeDirectory(path)),
  };
  const commands: Commands = {
    run: (argv, options) => around(`run ${argv.join(' ')}`, () => ports.commands.run(argv, options)),
  };
  return {ports: {...ports, files: watched, commands}, calls};
}
