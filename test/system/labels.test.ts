/** Whether a directory has an access list, by its open handle (acl(5)). */
import fs from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {describe, expect, it, onTestFinished} from 'vitest';
import {hasAccessList} from '../../src/system/real/labels.ts';
import {scratch} from './scratch.ts';

async function opened(path: string): Promise<FileHandle> {
  const handle = await open(path, 'r');
  onTestFinished(async () => await handle.close());
  return handle;
}

describe('an access list', () => {
  it('is none where the mode says everything, also with a sticky bit', async () => {
    const {real} = scratch();
    for (const mode of [0o755, 0o775, 0o1777, 0o2750]) {
      fs.chmodSync(real('/etc'), mode);
      expect(await hasAccessList(await opened(real('/etc')))).toBe(false);
    }
  });

  it('counts as there where nobody can say', async () => {
    const {real} = scratch();
    fs.writeFileSync(real('/etc/file'), '');
    // Below a file there is nothing to ask.
    expect(await hasAccessList(await opened(real('/etc/file')))).toBe(true);
  });
});
