/** Nobody loses a signature: domains that a change is not about are compared before and after it. */
import {readFileSync, writeFileSync} from 'node:fs';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {undoAndCompare} from '../../src/jobs/change.ts';
import {openWorld, type World} from '../demo/world.ts';

const LABEL = '202611._domainkey.example.org';

const reload = (world: World) => world.sandbox.ports.commands.run(['systemctl', 'reload', 'opendkim']);

/** A host where somebody added rows by hand: two other names are signed with the key of example.org. */
async function handMade(): Promise<{readonly world: World; readonly table: string; readonly text: string}> {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  const table = world.sandbox.machine.real(absolute('/etc/opendkim/SigningTable'));
  const text = `*@x*.mail.example.org ${LABEL}\n*@news.mail.example.org ${LABEL}\n${readFileSync(table, 'utf8')}`;
  writeFileSync(table, text);
  await reload(world);
  return {world, table, text};
}

it('a set-up beside rows of other names leaves each its key', async () => {
  const {world, table, text} = await handMade();
  const run = await world.setUp('--domain', 'mail.example.org', '--json');
  expect(run.exitCode, run.err).toBe(0);
  const after = readFileSync(table, 'utf8').split('\n');
  expect(text.split('\n').every(row => after.includes(row))).toBe(true);
  expect((await world.run(['explain', 'a@news.mail.example.org'])).out).toContain('selector 202611');
});

it('a set-up during which another name loses its row is put back, and says whose', async () => {
  const {world, table, text} = await handMade();
  const {commands} = world.sandbox.ports;
  const run = commands.run.bind(commands);
  let isDone = false;
  commands.run = async (argv, options) => {
    // Somebody edits the table at the very moment in which OpenDKIM is told to read it.
    if (!isDone && argv[1]?.startsWith('reload') && argv.some(word => word.startsWith('opendkim'))) {
      isDone = true;
      writeFileSync(table, readFileSync(table, 'utf8').replace(/^\*@news\..*\n/m, ''));
    }
    return await run(argv, options);
  };
  const setup = await world.setUp('--domain', 'mail.example.org', '--json');
  expect(isDone).toBe(true);
  expect(setup.exitCode, setup.err).toBe(6);
  expect(setup.report.error?.message).toContain(
    'postmaster@news.mail.example.org (row *@news.mail.example.org)',
  );
  expect(readFileSync(table, 'utf8')).toBe(text);
});

it('an undo compares as well: the loss of another sender is a check that failed', async () => {
  const {world, table, text} = await handMade();
  const {ports} = world.sandbox;
  const {signal} = new AbortController();
  const undo = (next: string) => async () => {
    writeFileSync(table, next);
    await reload(world);
    return {result: 'undone'} as const;
  };
  const kept = await undoAndCompare(ports, ['mail.example.org'], undo(text), signal);
  expect(kept.check).toMatchObject({id: 'live.kept', status: 'pass'});
  const lost = await undoAndCompare(
    ports,
    ['mail.example.org'],
    undo(`*@mail.example.org ${LABEL}\n`),
    signal,
  );
  expect(lost.check).toMatchObject({id: 'live.kept', status: 'fail'});
  expect(lost.check?.evidence).toContain('postmaster@news.mail.example.org');
});
