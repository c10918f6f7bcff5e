import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {onTestFinished} from 'vitest';
import {furnish, openWorld, type World} from './world.ts';

/** A memory file system where there is one: the exhaustive tests sync thousands of files. */
const base = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();

export function scratchWorld(): World {
  const root = fs.mkdtempSync(path.join(base, 'waxseal-world-'));
  onTestFinished(() => fs.rmSync(root, {recursive: true, force: true}));
  fs.chmodSync(root, 0o755);
  furnish(root);
  return openWorld(root);
}
