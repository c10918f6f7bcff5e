import fs from 'node:fs';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {sweepTemporary} from '../../src/keys/index.ts';
import {scratch} from '../system/scratch.ts';

it('removes what a crash left half-written, of one name or of all, and nothing else', async () => {
  const {files, real} = scratch();
  const names = [
    '.a.waxseal-0123abcd',
    '.b.waxseal-0123abcd',
    '.a.waxseal-xyz',
    'a.waxseal-0123abcd',
    '.waxseal-0123abcd',
  ];
  for (const name of names) fs.writeFileSync(real(`/etc/${name}`), 'x');
  await sweepTemporary(files, absolute('/etc'), 'a');
  expect(fs.readdirSync(real('/etc')).sort()).toEqual(names.filter(name => name !== names[0]).sort());
  await sweepTemporary(files, absolute('/etc'));
  expect(fs.readdirSync(real('/etc')).sort()).toEqual(names.slice(2).sort());
  await sweepTemporary(files, absolute('/nowhere'));
});
