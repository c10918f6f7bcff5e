/** Which layout a host has. */
import {alpine} from './alpine.ts';
import {arch} from './arch.ts';
import {debian} from './debian.ts';
import type {Distribution, Layout} from './layout.ts';
import {rhel} from './rhel.ts';
import {suse} from './suse.ts';

/** Every layout that waxseal knows: a new distribution is one more file and its name here. */
export const layouts: readonly Layout[] = [debian, arch, rhel, alpine, suse];

/** The layout by ID of os-release(5), then by each of ID_LIKE in order; undefined where none is known. */
export function layoutFor({id, like}: Pick<Distribution, 'id' | 'like'>): Layout | undefined {
  const names = [id, ...like].map(name => name.toLowerCase());
  return names
    .map(name => layouts.find(({distributions}) => distributions.includes(name)))
    .find(layout => layout !== undefined);
}
