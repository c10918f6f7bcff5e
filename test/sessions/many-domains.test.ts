/** Several domains from a list: their selectors, one more later, the same command again. */
import {readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {hostTree, NOTHING_LEFT_OUT, openWorld, type World} from '../demo/world.ts';

const rowsOf = async (world: World, table: string): Promise<readonly string[]> => {
  const content = await world.sandbox.ports.files.read(absolute(`/etc/opendkim/${table}`));
  return Buffer.from(content ?? [])
    .toString()
    .split('\n')
    .filter(line => line !== '' && !line.startsWith('#'));
};

const statesOf = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains
    .map(({domain, selector, state}) => `${domain} ${selector} ${state}`)
    .sort();

const list = (world: World, name: string, text: string): void =>
  writeFileSync(path.join(world.home, name), text);

/** The command that the session names at its end, as a shell would part it. */
const againOf = (err: string): readonly string[] =>
  (/The same without questions: waxseal (.+)/.exec(err)?.[1] ?? '').split(' ');

it('signs each domain of a CSV file with the selector that stands there, from the key to the tables and the state', async () => {
  const world = await openWorld();
  list(
    world,
    'domains.csv',
    'domain,selector\nexample.org,main\n"news.example.org";"n-2026"\nshop.example.org\n',
  );
  const done = await world.setUp('--domains-file', 'domains.csv');
  expect(done.exitCode, done.err).toBe(0);
  expect(
    done.report.domains.map(each => [each.domain, each.selector, each.record.name, each.keyPath]),
  ).toEqual([
    ['example.org', 'main', 'main._domainkey.example.org', '/etc/dkimkeys/example.org/main.private'],
    [
      'news.example.org',
      'n-2026',
      'n-2026._domainkey.news.example.org',
      '/etc/dkimkeys/news.example.org/n-2026.private',
    ],
    [
      'shop.example.org',
      '202611',
      '202611._domainkey.shop.example.org',
      '/etc/dkimkeys/shop.example.org/202611.private',
    ],
  ]);
  expect(await rowsOf(world, 'KeyTable')).toEqual([
    'main._domainkey.example.org example.org:main:/etc/dkimkeys/example.org/main.private',
    'n-2026._domainkey.news.example.org news.example.org:n-2026:/etc/dkimkeys/news.example.org/n-2026.private',
    '202611._domainkey.shop.example.org shop.example.org:202611:/etc/dkimkeys/shop.example.org/202611.private',
  ]);
  expect(await statesOf(world)).toEqual([
    'example.org main active',
    'news.example.org n-2026 active',
    'shop.example.org 202611 active',
  ]);

  // What it says does the same again does nothing more.
  const again = againOf(done.err);
  expect(again).toEqual([
    'setup',
    '--domains-file',
    path.join(world.home, 'domains.csv'),
    '--selector',
    '202611',
    '--wait',
    '2m',
    '--yes',
  ]);
  const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
  const second = await world.run([...again, '--json']);
  expect(second.exitCode, second.err).toBe(0);
  expect(second.report).toMatchObject({changed: false, changes: []});
  expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
});

it('goes on with the keys of a list after the record was waited for, with the command that it named', async () => {
  const world = await openWorld();
  list(world, 'domains.csv', 'example.org;s1\nnews.example.org;s2\n');
  const setup = ['setup', '--domains-file', 'domains.csv', '--yes', '--json'];
  const first = await world.run([...setup, '--no-wait']);
  expect(first.exitCode).toBe(3);
  world.publish(first.report);
  const file = path.join(world.home, 'domains.csv');
  expect(first.report.error?.hint).toContain(`waxseal setup --domains-file ${file} --no-wait --yes`);
  const second = await world.run(['setup', '--domains-file', file, '--yes', '--json', '--wait', '1m']);
  expect(second.exitCode, second.err).toBe(0);
  expect(second.report.domains.map(each => each.record.value)).toEqual(
    first.report.domains.map(each => each.record.value),
  );
});

it('takes a plain run up where domains of several selectors wait, as the wizard offers it', async () => {
  const world = await openWorld();
  list(world, 'domains.csv', 'example.org,s1\nnews.example.org,s2\n');
  const first = await world.run(['setup', '--domains-file', 'domains.csv', '--yes', '--json', '--no-wait']);
  world.publish(first.report);
  const resumed = await world.run(['setup', '--yes', '--json', '--wait', '1m']);
  expect(resumed.exitCode, resumed.err).toBe(0);
  expect(resumed.report.domains.map(({domain, selector}) => `${domain} ${selector}`)).toEqual([
    'example.org s1',
    'news.example.org s2',
  ]);
});

it('adds a domain to others without touching their keys and rows, whatever their selectors are', async () => {
  const world = await openWorld();
  list(world, 'domains.csv', 'example.org,s1\nnews.example.org,s2\n');
  expect((await world.setUp('--domains-file', 'domains.csv')).exitCode).toBe(0);
  const before = await hostTree(world.sandbox);
  const [keys, rows] = [await rowsOf(world, 'KeyTable'), await rowsOf(world, 'SigningTable')];
  // No selector is named: those that have keys keep them, though there is no common one.
  const more = ['example.org', 'news.example.org', 'shop.example.org'].flatMap(name => ['--domain', name]);
  const done = await world.setUp(...more);
  expect(done.exitCode, done.err).toBe(0);
  expect(await statesOf(world)).toEqual([
    'example.org s1 active',
    'news.example.org s2 active',
    'shop.example.org 202611 active',
  ]);
  expect((await rowsOf(world, 'KeyTable')).slice(0, keys.length)).toEqual(keys);
  expect((await rowsOf(world, 'SigningTable')).filter(row => rows.includes(row))).toEqual(rows);
  const after = await hostTree(world.sandbox);
  for (const [file, content] of Object.entries(before)) {
    if (file.startsWith('/etc/dkimkeys/')) expect(after[file], file).toBe(content);
  }
  // Naming the one selector would mean new keys for the others: the command that does the same again does not.
  const again = againOf(done.err);
  expect(again).not.toContain('--selector');
  const second = await world.run([...again, '--json']);
  expect(second.report, second.err).toMatchObject({exitCode: 0, changed: false, changes: []});
});

it('makes no second key for domains that have one, where a selector is named: a rotation does', async () => {
  const world = await openWorld();
  list(world, 'domains.csv', 'example.org,s1\nnews.example.org,s2\n');
  expect((await world.setUp('--domains-file', 'domains.csv')).exitCode).toBe(0);
  const more = ['--domain', 'example.org', '--domain', 'news.example.org', '--selector', 's3'];
  const refused = await world.setUp(...more);
  expect(refused.exitCode).toBe(2);
  expect(refused.report.error).toMatchObject({
    id: 'rotate.needed',
    hint: 'Run: waxseal rotate --domain example.org --selector s3',
  });
  const begun = await world.run(['rotate', ...more, '--yes', '--no-wait', '--json']);
  expect(begun.exitCode, begun.err).toBe(3);
  expect((await statesOf(world)).toSorted()).toEqual([
    'example.org s1 active',
    'example.org s3 pending',
    'news.example.org s2 active',
    'news.example.org s3 pending',
  ]);
});

it('gives one shared key its name in each zone', async () => {
  const world = await openWorld();
  list(world, 'domains.csv', 'example.org,s1\nnews.example.org,s2\n');
  const done = await world.setUp('--domains-file', 'domains.csv', '--shared-key');
  expect(done.exitCode, done.err).toBe(0);
  expect(new Set(done.report.domains.map(({record}) => record.value)).size).toBe(1);
  expect(done.report.domains.map(({selector}) => selector)).toEqual(['s1', 's2']);
});

it('goes on with keys of a run that was killed while it made them, even in the next month', async () => {
  const world = await openWorld();
  const names = ['example.org', 'news.example.org', 'shop.example.org'];
  list(world, 'domains.txt', names.join('\n'));
  const setup = ['setup', '--domains-file', 'domains.txt', '--yes', '--no-wait', '--json'];
  const first = await world.run(setup);
  // As kill -9 leaves it: the keys of two are there, and nothing knows of them but the answers that were kept before.
  const {files} = world.sandbox.ports;
  await files.remove(absolute('/var/lib/waxseal/state.json'));
  await files.remove(absolute('/var/lib/waxseal/keys/shop.example.org/202611.pem'));
  world.clock.advance(40 * 86_400_000);
  const second = await world.run(setup);
  expect(second.exitCode, second.err).toBe(3);
  expect(second.report.domains.map(({selector}) => selector)).toEqual(['202611', '202611', '202611']);
  const values = [first, second].map(({report}) => report.domains.map(({record}) => record.value));
  expect(values[1]?.slice(0, 2)).toEqual(values[0]?.slice(0, 2));
  expect(values[1]?.[2]).not.toBe(values[0]?.[2]);
  // Other domains have nothing to do with them.
  const other = await world.run(['setup', '--domain', 'blog.example.org', '--yes', '--no-wait', '--json']);
  expect(other.report.domains.map(({selector}) => selector)).toEqual(['202612']);
});

it.each([
  ['example.org,s1\nnews.example.org,s_2\n', /^Line 2, column 18 of domains\.csv: "s_2" is not a selector/],
  ['example.org\npostmaster@example.org\n', /^Line 2, column 1 of domains\.csv: .*is an address/],
  ['# nobody\n', /^domains\.csv names no domain/],
])('refuses the file %j with exit 2, naming the place, and makes nothing', async (text, message) => {
  const world = await openWorld();
  const before = await hostTree(world.sandbox, NOTHING_LEFT_OUT);
  list(world, 'domains.csv', text);
  const refused = await world.run(['setup', '--domains-file', 'domains.csv', '--yes', '--json']);
  expect(refused.exitCode).toBe(2);
  expect(refused.report.error).toMatchObject({
    id: 'usage.domains-file',
    message: expect.stringMatching(message),
  });
  expect(readFileSync(path.join(world.home, 'domains.csv'), 'utf8')).toBe(text);
  expect(await hostTree(world.sandbox, NOTHING_LEFT_OUT)).toEqual(before);
});
