/** Whether a directory has an access list, by its open handle (acl(5)). */
import fs from 'node:fs';
import {type FileHandle, open} from 'node:fs/promises';
import {describe, expect, it, onTestFinished} from 'vitest';
import {haveAccessLists, saysListed} from '../../src/system/real/labels.ts';
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
      }
      const handles = [await opened(real('/etc')), await opened(real('/etc/file'))];
      expect(await haveAccessLists(handles)).toEqual([false, false]);
    }
  });

  it('counts as there where nobody can say', () => {
    const plain = '-rw-r----- 1 0 0 2 Nov 30 00:39 /proc/self/fd/3\n';
    const listed = '-rw-r-----+ 1 0 0 2 Nov 30 00:39 /proc/self/fd/4\n';
    expect(saysListed({status: 0, stdout: plain + listed}, 2)).toEqual([false, true]);
    // ls(1) is missing, or cannot look at all of them.
    expect(saysListed({status: null, stdout: ''}, 2)).toEqual([true, true]);
    expect(saysListed({status: 2, stdout: plain}, 2)).toEqual([true, true]);
    expect(saysListed({status: 0, stdout: plain}, 2)).toEqual([true, true]);
  });
});
