import fs from 'node:fs';
import {expect, it} from 'vitest';
import {createCommands} from '../../src/system/real/index.ts';
import {scratch} from './scratch.ts';

const commands = createCommands();
const decode = (bytes: string): string => bytes.trim();

it('gives status, output and a minimal environment', async () => {
  const result = await commands.run(['sh', '-c', 'env | sort; cat; echo oops >&2; exit 3'], {
    input: Buffer.from('typed\n'),
    environment: {DEBIAN_FRONTEND: 'noninteractive'},
  });
  expect(result).toMatchObject({status: 3, ended: 'exit', stderr: 'oops\n'});
  const names = result.stdout.split('\n').flatMap(line => /^(\w+)=/.exec(line)?.[1] ?? []);
  expect(names.filter(name => !['PWD', 'OLDPWD', 'SHLVL', '_'].includes(name))).toEqual([
    'DEBIAN_FRONTEND',
    'LC_ALL',
    'PATH',
  ]);
  expect(result.stdout.endsWith('typed\n')).toBe(true);
});

it('takes an argument for what it is, never for a shell', async () => {
  const result = await commands.run(['printf', '%s', '$(id); `id` ; x']);
  expect(result.stdout).toBe('$(id); `id` ; x');
});

it('says when there is no such program', async () => {
  expect(await commands.run(['waxseal-no-such-program'])).toMatchObject({status: null, ended: 'missing'});
});

it('ends the whole process group at the time limit, also one that ignores SIGTERM', async () => {
  const {real} = scratch();
  const result = await commands.run(
    ['sh', '-c', `trap '' TERM; sleep 60 & echo $! > ${real('/run/pid')}; wait; sleep 60`],
    {timeoutMs: 2000},
  );
  expect(result).toMatchObject({status: null, ended: 'timeout'});
  const pid = Number(decode(fs.readFileSync(real('/run/pid'), 'utf8')));
  // A zombie may stay until init reaps it; it must not run.
  await expect
    .poll(() => {
      try {
        return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z');
      } catch {
        return true;
      }
    })
    .toBe(true);
});

it('ends with the signal of the caller', async () => {
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 100);
  expect(await commands.run(['sleep', '60'], {signal: stop.signal})).toMatchObject({ended: 'signal'});
});

it('does not wait for a daemon that keeps the pipes', async () => {
  const begun = Date.now();
  const result = await commands.run(['sh', '-c', 'sleep 60 & echo started']);
  expect(result).toMatchObject({status: 0, stdout: 'started\n'});
  expect(Date.now() - begun).toBeLessThan(50_000);
});

it('cuts endless output without blocking', async () => {
  const result = await commands.run(['head', '-c', '6000000', '/dev/zero']);
  expect(result.status).toBe(0);
  expect(result.stdout.length).toBe(4 * 1024 * 1024);
});

it.runIf(process.getuid?.() === 0)('runs as somebody else without other groups', async () => {
  const result = await commands.run(['sh', '-c', 'id -u; id -G'], {runAs: {uid: 65_534, gid: 65_534}});
  expect(result.stdout).toBe('65534\n65534\n');
});
