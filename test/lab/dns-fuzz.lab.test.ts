/** The fuzz of test/dns with its full million, which would take too long on every run of the unit tests. */
import {execFile} from 'node:child_process';
import process from 'node:process';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';

test('a million hostile packets', async () => {
  const {stdout} = await promisify(execFile)(
    'npx',
    ['vitest', 'run', 'test/dns/fuzz.test.ts', '--reporter=verbose'],
    {
      env: {...process.env, WAXSEAL_FUZZ: '1000000', NO_COLOR: '1'},
      maxBuffer: 16 * 1024 * 1024,
      timeout: 280_000,
    },
  );
  expect(stdout).toContain('1000000 of them are read or refused');
});
