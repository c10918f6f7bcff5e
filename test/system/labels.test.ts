/** Whether a directory has an access list, by its open handle (acl(5)). */
import fs from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {describe, expect, it, onTestFinished} from 'vitest';
import {hasAccessList, saysListed} from '../../src/system/real/labels.ts';
import {scratch} from './scratch.ts';

async function opened(path: string): Promise<FileHandle> {
  const handle = await open(path, 'r');
  onTestFinished(async () => await handle.close());
  return handle;
}

describe('an access list', () => {
  it('is none where the mode says everything, also with a sticky bit', async () => {
    const {real} = scratch();
    fs.writeFileSync(real('/etc/file'), '');
    for (const mode of [0o755, 0o775, 0o1777, 0o2750]) {
      for (const at of ['/etc', '/etc/file']) {
        fs.chmodSync(real(at), mode);
        expect(await hasAccessList(await opened(real(at)))).toBe(false);
      }
    }
  });

  it('counts as there where nobody can say', () => {
    expect(saysListed({status: 0, stdout: '-rw-r----- 1 0 0 2 Nov 30 00:39 /proc/self/fd/3\n'})).toBe(false);
    expect(saysListed({status: 0, stdout: '-rw-r-----+ 1 0 0 2 Nov 30 00:39 /proc/self/fd/3\n'})).toBe(true);
    // ls(1) is missing, or cannot look.
    expect(saysListed({status: null, stdout: ''})).toBe(true);
    expect(saysListed({status: 2, stdout: ''})).toBe(true);
  });
});
