/** Who has named a key: root alone, or perhaps another account that can write where it is named. */
import type {AbsolutePath} from '../domain/paths.ts';
import {looseWay} from '../system/loose-way.ts';
import type {FileStat, Ports} from '../system/ports.ts';

/**
 * Whether root alone can have written the files that name a key, and root's own file is at the very path that they name:
 * others could put a link there, but no file of root's with one name.
 *
 * @param named the path as it is written, and with its links resolved
 */
export async function isRootsWord(
  ports: Pick<Ports, 'files' | 'users'>,
  writtenIn: readonly AbsolutePath[],
  named: {readonly path: AbsolutePath; readonly real: AbsolutePath},
  stat: FileStat,
): Promise<boolean> {
  if (named.real !== named.path || stat.uid !== 0 || stat.links !== 1) return false;
  for (const file of writtenIn) {
    if ((await ports.files.stat(file)) === undefined) return false;
    if ((await looseWay(ports, file, ({uid}) => uid === 0)) !== undefined) return false;
  }
  return true;
}
