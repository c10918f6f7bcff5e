import {type AbsolutePath, parentOf} from '../domain/paths.ts';
import type {Files} from '../system/ports.ts';

/** What the check needs to know of a step or of an entry of a journal. */
interface Target {
  readonly path: AbsolutePath;
  readonly before: {readonly state: 'absent' | 'present'};
}

/**
 * Looks at every target, and at the directory it lies in, before the first of them is touched: HostError
 * `file.read-only` or `file.immutable` where one of them could not be changed.
 */
export async function refuseUnchangeable(files: Files, targets: readonly Target[]): Promise<void> {
  const made = new Set(targets.filter(({before}) => before.state === 'absent').map(({path}) => path));
  const looked = new Set<AbsolutePath>();
  for (const {path, before} of targets) {
    // Nothing lies yet in a directory that the same run makes.
    const parent = parentOf(path);
    if (!made.has(parent) && !looked.has(parent)) {
      looked.add(parent);
      await files.checkChangeable(await nearest(files, parent));
    }
    if (before.state === 'present') await files.checkChangeable(path);
  }
}

/** The directory itself, or the nearest above it that is there. */
async function nearest(files: Files, directory: AbsolutePath): Promise<AbsolutePath> {
  let at = directory;
  while (parentOf(at) !== at && (await files.stat(at)) === undefined) at = parentOf(at);
  return at;
}
