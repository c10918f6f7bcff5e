/** Programs of the administrator: which are run, with what, and how it is told that one did not do well. */
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {runHooks} from '../../src/jobs/rotate/hooks.ts';
import type {CommandResult, Ports} from '../../src/system/ports.ts';
import {keyIn} from '../rotation/keys.ts';
import {setAttributes} from '../support/attributes.ts';
import {scratch} from '../system/scratch.ts';

const FOLDER = absolute('/etc/waxseal/hooks.d');
const key = keyIn('pending', '202612');

async function host(how: Partial<CommandResult> = {}) {
  const {files} = scratch();
  const root = {uid: 0, gid: 0, mode: 0o755};
  for (const folder of ['/etc/waxseal', FOLDER]) await files.makeDirectory(absolute(folder), root);
  const calls: {readonly argv: readonly string[]; readonly environment: unknown; readonly signal: unknown}[] =
    [];
  const ports = {
    files,
    commands: {
      run: async (argv, options) => {
        calls.push({argv, environment: options?.environment, signal: options?.signal});
        return {status: 0, stdout: '', stderr: '', ended: 'exit', ...how};
      },
    },
  } satisfies Pick<Ports, 'files' | 'commands'>;
  const put = (name: string, attributes: Partial<typeof root> = {}): Promise<void> =>
    files.create(absolute(`${FOLDER}/${name}`), new TextEncoder().encode('#!/bin/sh\n'), {
      ...root,
      ...attributes,
    });
  const {signal} = new AbortController();
  return {
    files,
    calls,
    put,
    signal,
    run: () => runHooks(ports, FOLDER, 'publish', key, key.record.value, signal),
  };
}

it('runs those of root in the order of their names, and no copies, leftovers and files that are switched off', async () => {
  const {calls, put, run, signal} = await host();
  for (const name of ['20-b.sh', '10-a', '10-a~', '10-a.dpkg-old', '.hidden']) await put(name);
  await put('30-off', {mode: 0o644});
  expect((await run()).map(({hook, ok, said}) => [hook, ok, said])).toEqual([
    [`${FOLDER}/10-a`, true, 'status 0'],
    [`${FOLDER}/20-b.sh`, true, 'status 0'],
  ]);
  expect(calls[0]).toMatchObject({
    argv: [`${FOLDER}/10-a`, 'publish'],
    environment: {WAXSEAL_EVENT: 'publish', WAXSEAL_RECORD_NAME: '202612._domainkey.example.org'},
  });
  // Ctrl-C ends a hook that hangs, too.
  expect(calls[0]?.signal).toBe(signal);
});

it.each([
  ['a file of another user', {uid: 1000}, /others than root/],
  ['a file that a group can write', {mode: 0o775}, /others than root/],
])('does not run %s, and says so', async (_what, attributes, why) => {
  const {calls, put, run} = await host();
  await put('10-a', attributes);
  const [report] = await run();
  expect(report).toMatchObject({ok: false, said: expect.stringMatching(why)});
  expect(calls).toEqual([]);
});

it('does not run what a link leads to, and does not pass over it in silence', async () => {
  const {calls, files, run} = await host();
  const stat = files.stat.bind(files);
  const link = absolute(`${FOLDER}/10-link`);
  Object.assign(files, {
    list: async () => ['10-link'],
    stat: async (path: Parameters<typeof stat>[0]) =>
      path === link ? {kind: 'symlink', mode: 0o777, uid: 0, gid: 0, size: 1} : await stat(path),
  });
  expect(await run()).toMatchObject([
    {hook: link, ok: false, said: expect.stringContaining('symbolic link')},
  ]);
  expect(calls).toEqual([]);
});

it.each([
  ['the directory itself', FOLDER],
  ['one above it', absolute('/etc/waxseal')],
])('runs nothing where others can write %s', async (_what, open) => {
  const {calls, files, put, run} = await host();
  await put('10-a');
  await setAttributes(files, open, {mode: 0o777, uid: 0, gid: 0});
  expect(await run()).toMatchObject([{hook: FOLDER, ok: false, said: expect.stringContaining('not run')}]);
  expect(calls).toEqual([]);
});

it.each([
  [{status: 1, stdout: 'all well\n'}, 'all well; status 1'],
  [
    {status: null, ended: 'timeout', stdout: 'uploading\u001b[2J\n'},
    'uploading\\x1b[2J; ended after 120 s, since it did not end by itself',
  ],
  [{status: null, ended: 'missing'}, 'it cannot be run: is the interpreter of its first line there?'],
  [{status: null, ended: 'signal', stderr: 'x'.repeat(500)}, `${'x'.repeat(200)}; ended by a signal`],
] as const)('tells how one ended that failed: %j', async (how, said) => {
  const {put, run} = await host(how);
  await put('10-a');
  expect(await run()).toEqual([{hook: `${FOLDER}/10-a`, ok: false, said}]);
});
