/** `check` beside a signer that was not told of the last change of its files. */
import {appendFileSync, readFileSync, writeFileSync} from 'node:fs';
import {expect, it} from 'vitest';
import {openWorld, type World} from '../demo/world.ts';

const failedOf = async (world: World): Promise<readonly string[]> => {
  const {exitCode, report} = await world.run(['check', '--json']);
  const failed = report.checks.filter(({status}) => status === 'fail');
  if (failed.length > 0) expect(exitCode).toBe(4);
  return failed.map(({id, evidence}) => `${id} ${evidence}`);
};

it('fails where the running signer does not do what its files say for a sender with the key of another domain', async () => {
  const world = await openWorld();
  const done = await world.setUp('--domain', 'example.org', '--domain', 'news.example.org');
  expect(done.exitCode, done.err).toBe(0);
  const table = world.real('/etc/opendkim/SigningTable');
  const reload = () => world.sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim']);
  expect(await failedOf(world)).toEqual([]);

  appendFileSync(table, '*@shop.example.net 202611._domainkey.example.org\n');
  expect(await failedOf(world)).toEqual(['live.milter postmaster@shop.example.net: not signed']);
  await reload();
  expect(await failedOf(world)).toEqual([]);

  const text = readFileSync(table, 'utf8');
  writeFileSync(table, text.replace(/(shop\.example\.net) .*/, '$1 202611._domainkey.news.example.org'));
  expect(await failedOf(world)).toEqual([
    'live.milter postmaster@shop.example.net: 202611._domainkey.example.org',
  ]);
  await reload();
  expect(await failedOf(world)).toEqual([]);
});
