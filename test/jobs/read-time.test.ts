/** The clock, the boot and its uptime as Linux tells them (proc(5)). */
import {expect, it} from 'vitest';
import {readTime} from '../../src/jobs/rotate/facts.ts';
import {fakeHost} from '../support/fake-host.ts';

const NOW = new Date('2026-11-21T10:00:00Z');
const BOOT = '0b6a4b1e-9d59-4f4c-a2fe-1f0e4b1c2d3e';

async function timeOf(files: Readonly<Record<string, string>>) {
  const host = fakeHost();
  for (const [path, text] of Object.entries(files)) host.files.put(path, text);
  return await readTime({files: host.files, clock: {now: () => NOW, sleep: async () => undefined}});
}

const bootId = (text: string) => ({'/proc/sys/kernel/random/boot_id': text});
const uptime = (text: string) => ({'/proc/uptime': text});

it('has the boot and milliseconds since it', async () => {
  expect(await timeOf({...bootId(`${BOOT}\n`), ...uptime('12345.67 98765.43\n')})).toEqual({
    ...{now: NOW, boot: BOOT, uptimeMs: 12_345_670},
  });
  expect(await timeOf(uptime('7 0\n'))).toEqual({now: NOW, uptimeMs: 7000});
});

it('has the clock alone where the rest is not there or something else', async () => {
  expect(await timeOf({})).toEqual({now: NOW});
  expect(await timeOf({...bootId('none\n'), ...uptime('up\n')})).toEqual({now: NOW});
});
