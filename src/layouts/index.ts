/** Which layout a host has. */
import {command} from '../domain/command.ts';
import {alpine} from './alpine.ts';
import {arch} from './arch.ts';
import {debian} from './debian.ts';
import {freebsd} from './freebsd.ts';
import type {Distribution, Layout} from './layout.ts';
import {rhel} from './rhel.ts';
import {suse} from './suse.ts';

const BY_ID: ReadonlyMap<string, Layout> = new Map([
  ['debian', debian],
  ['ubuntu', debian],
  ['raspbian', debian],
  ['arch', arch],
  ['archarm', arch],
  ['fedora', rhel],
  ['rhel', rhel],
  ['centos', rhel],
  ['alpine', alpine],
  ['suse', suse],
  ['opensuse', suse],
  ['freebsd', freebsd],
]);

/** Every layout, for tests and documentation. */
export const layouts: readonly Layout[] = [debian, arch, rhel, alpine, suse, freebsd];

const INSTALL: Readonly<Record<NonNullable<Layout['packageManager']>, readonly [string, ...string[]]>> = {
  apt: ['apt-get', 'install'],
  pacman: ['pacman', '-S'],
};

/** The command by which a person installs packages here; undefined where the package manager is not known. */
export function installCommand(
  {packageManager}: Pick<Layout, 'packageManager'>,
  names: readonly string[],
): string | undefined {
  return packageManager === undefined ? undefined : command(...INSTALL[packageManager], ...names);
}

/** The layout by ID of os-release(5), then by each of ID_LIKE in order; undefined where none is known. */
export function layoutFor(distribution: Pick<Distribution, 'id' | 'like'>): Layout | undefined {
  for (const id of [distribution.id, ...distribution.like]) {
    const layout = BY_ID.get(id.toLowerCase());
    if (layout !== undefined) return layout;
  }
  return undefined;
}
