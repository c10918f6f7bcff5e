/** Takes away what a test run left that was killed: its mounts and network namespaces. Its processes died with it. */
import {readdir, rm} from 'node:fs/promises';
import path from 'node:path';
import {runsDirectory} from './places.ts';
import {run} from './process.ts';

const isAlive = (id: string): boolean => {
  try {
    process.kill(Number(id), 0);
    return true;
  } catch {
    return false;
  }
};

export async function sweep(finished?: string): Promise<void> {
  const runs = await readdir(runsDirectory).catch(() => []);
  for (const id of runs) {
    if (id !== finished && isAlive(id)) continue;
    const directory = path.join(runsDirectory, id);
    for (const world of await readdir(directory)) {
      await run(['umount', '--lazy', path.join(directory, world, 'host/root')]);
      if (world.startsWith('waxlab')) await run(['ip', 'netns', 'del', world]);
    }
    await rm(directory, {recursive: true, force: true});
  }
}
