/** Records that a program enters and withdraws, by the command line, over a year of the sandbox. */
import {describe, expect, it} from 'vitest';
import type {Commands} from '../../src/system/ports.ts';
import {openWorld, type World} from '../demo/world.ts';

const DAY = 86_400_000;
const BY_UPDATE = ['--publish', 'nsupdate', '--update-ttl', '300'] as const;

/** Time for the second server of the sandbox to follow. */
const lag = (world: World): Promise<void> => world.clock.sleep(1800);

interface Updates {
  /** `add NAME VALUE`, `delete NAME`: what the primary was asked to do. */
  readonly asked: string[];
  /** What the program says instead of doing it; undefined: it does it. */
  refuses: string | undefined;
}

/** nsupdate for the sandbox, which has none: reads the request as the real one does. */
function withNsupdate(world: World): Updates {
  const {commands} = world.sandbox.ports;
  const updates: Updates = {asked: [], refuses: undefined};
  const before: Commands['run'] = commands.run.bind(commands);
  const run: Commands['run'] = async (argv, options) => {
    if (argv[0] !== 'nsupdate') return await before(argv, options);
    if (updates.refuses !== undefined) {
      return {status: 2, stdout: '', stderr: updates.refuses, ended: 'exit'};
    }
    for (const line of Buffer.from(options?.input ?? [])
      .toString()
      .split('\n')) {
      perform(world, updates, line);
    }
    return {status: 0, stdout: '', stderr: '', ended: 'exit'};
  };
  Object.assign(commands, {run});
  return updates;
}

function perform({sandbox: {dns}}: World, {asked}: Updates, line: string): void {
  const [, action = '', name = '', rest = ''] =
    /^update (add|delete) (\S+)\. (?:\d+ )?TXT ?(.*)$/.exec(line) ?? [];
  const strings = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) => text);
  if (action === 'delete') {
    dns.withdraw(name);
    if (rest !== '') asked.push(`delete ${name} ${strings.join('')}`);
  }
  if (action === 'add') {
    dns.publish(name, strings);
    asked.push(`add ${name} ${strings.join('')}`);
  }
}

const summary = (updates: Updates): readonly string[] =>
  updates.asked.map(each => each.replace(/p=[A-Za-z0-9+/]{100}.*$/, 'p=KEY').replace('h=sha256; ', ''));

const advance = (world: World, ...flags: readonly string[]) =>
  world.run(['rotate', '--advance', '--json', ...flags]);

/** Runs with days between them until only one key is left. */
async function live(world: World, days: number): Promise<readonly string[]> {
  const seen: string[] = [];
  for (let count = 0; count < 80; count += 1) {
    const run = await advance(world);
    expect([0, 3], run.err + run.out).toContain(run.exitCode);
    const states = run.report.domains.map(({selector, state}) => `${selector} ${state}`).join(' ');
    if (seen.at(-1) !== states) seen.push(states);
    if (states === '202705 active') return seen;
    await lag(world);
    world.clock.advance(days * DAY);
  }
  throw new Error(seen.join(', '));
}

async function ready(): Promise<{world: World; updates: Updates}> {
  const world = await openWorld();
  const updates = withNsupdate(world);
  const run = await world.run([
    'setup',
    '--domain',
    'example.org',
    '--yes',
    '--json',
    ...BY_UPDATE,
    '--wait',
    '2m',
  ]);
  expect(run.exitCode, run.err).toBe(0);
  return {world, updates};
}

describe('a program that was named once', () => {
  it('sets up, replaces, empties and deletes by itself, and nobody is asked for a record', async () => {
    const {world, updates} = await ready();
    world.clock.advance(181 * DAY);
    await live(world, 4);
    const name = '202611._domainkey.example.org';
    expect(summary(updates)).toEqual([
      `add ${name} v=DKIM1; k=rsa; p=KEY`,
      'add 202705._domainkey.example.org v=DKIM1; k=rsa; p=KEY',
      `add ${name} v=DKIM1; k=rsa; p=`,
      `delete ${name} v=DKIM1; k=rsa; p=`,
    ]);
  });

  it('is told as what it would do in a dry run', async () => {
    const {world, updates} = await ready();
    world.clock.advance(181 * DAY);
    updates.refuses = 'update failed: REFUSED';
    expect((await advance(world)).exitCode).toBe(3);
    const dry = await world.run(['rotate', '--dry-run']);
    expect(dry.out).toContain('nsupdate would enter: 202705._domainkey.example.org');
    expect(updates.asked).toHaveLength(1);
  });

  it('that refuses leaves everything as it is, and names who must act (exit 3)', async () => {
    const {world, updates} = await ready();
    world.clock.advance(181 * DAY);
    updates.refuses = 'update failed: REFUSED';
    const run = await advance(world);
    expect(run.exitCode).toBe(3);
    expect(run.report.error).toMatchObject({
      id: 'publish.failed',
      message: expect.stringContaining('202705._domainkey.example.org was not entered'),
      hint: expect.stringContaining('ns1.example.org'),
    });
    expect(run.report.domains.map(({state}) => state)).toEqual(['active', 'pending']);
    expect((await world.run(['rotate', '--advance'])).out).toContain('NOT DONE IN THE DNS: ');
    updates.refuses = undefined;
    await advance(world);
    expect(summary(updates).at(-1)).toBe('add 202705._domainkey.example.org v=DKIM1; k=rsa; p=KEY');
  });

  it('is used by a guided rotation without being named again', async () => {
    const {world, updates} = await ready();
    world.clock.advance(31 * DAY);
    const run = await world.run(['rotate', '--domain', 'example.org', '--yes', '--no-wait', '--json']);
    expect(run.exitCode, run.err).toBe(3);
    expect(summary(updates)[1]).toBe('add 202612._domainkey.example.org v=DKIM1; k=rsa; p=KEY');
    expect(run.err).toContain('entered by nsupdate');
  });

  it('enters the new record and empties that of a leaked key, as soon as each may be', async () => {
    const {world, updates} = await ready();
    world.clock.advance(31 * DAY);
    await world.run(['rotate', '--emergency', '--domain', 'example.org', '--yes', '--json']);
    for (let count = 0; count < 6; count += 1) {
      await lag(world);
      world.clock.advance(DAY / 24);
      await advance(world);
    }
    expect(summary(updates).slice(1)).toEqual([
      'add 202612._domainkey.example.org v=DKIM1; k=rsa; p=KEY',
      'add 202611._domainkey.example.org v=DKIM1; k=rsa; p=',
    ]);
  });

  it('is forgotten where a person takes over, and taken up again where it is named', async () => {
    const {world, updates} = await ready();
    world.clock.advance(181 * DAY);
    await advance(world, '--publish', 'manual');
    await advance(world);
    expect(updates.asked).toHaveLength(1);
    await advance(world, ...BY_UPDATE);
    await advance(world);
    expect(updates.asked).toHaveLength(2);
  });

  it('empties and deletes the record of a domain that is removed, when no mail needs it any more', async () => {
    const {world, updates} = await ready();
    const dry = await world.run(['remove', '--domain', 'example.org', '--dry-run']);
    expect(dry.out).toContain(
      '202611._domainkey.example.org: stays until no mail needs it; then emptied (p=) and deleted by nsupdate',
    );
    const removed = await world.run(['remove', '--domain', 'example.org', '--yes', '--json']);
    expect(removed.exitCode, removed.err).toBe(0);
    expect(updates.asked).toHaveLength(1);
    const states: string[] = [];
    for (let days = 0; days < 60; days += 4) {
      const run = await world.run(['remove', '--domain', 'example.org', '--yes', '--json']);
      expect(run.exitCode, run.err).toBe(0);
      const state = run.report.domains[0]?.state ?? 'nothing';
      if (states.at(-1) !== state) states.push(state);
      await lag(world);
      world.clock.advance(4 * DAY);
    }
    expect(states).toEqual(['retiring', 'revoked', 'nothing']);
    expect(summary(updates).slice(1)).toEqual([
      'add 202611._domainkey.example.org v=DKIM1; k=rsa; p=',
      'delete 202611._domainkey.example.org v=DKIM1; k=rsa; p=',
    ]);
  });

  it('leaves another record at the name alone, and names it', async () => {
    const {world, updates} = await ready();
    const name = '202611._domainkey.example.org';
    expect((await world.run(['remove', '--domain', 'example.org', '--yes'])).exitCode).toBe(0);
    for (let days = 0; updates.asked.length < 2 && days < 40; days += 4) {
      world.clock.advance(4 * DAY);
      await advance(world);
    }
    expect(summary(updates)[1]).toBe(`add ${name} v=DKIM1; k=rsa; p=`);
    await lag(world);
    expect((await advance(world)).report.domains[0]?.state).toBe('revoked');
    world.sandbox.dns.withdraw(name);
    world.sandbox.dns.publish(name, 'v=spf1 -all');
    await lag(world);
    world.clock.advance(31 * DAY);
    const run = await advance(world);
    expect(run.exitCode).toBe(3);
    expect(run.report.error).toMatchObject({id: 'publish.foreign', message: expect.stringContaining(name)});
    expect(updates.asked).toHaveLength(2);
  });

  it('deletes the record of a key that was on its way when its domain is removed', async () => {
    const {world, updates} = await ready();
    world.clock.advance(181 * DAY);
    await advance(world);
    await lag(world);
    const run = await world.run(['remove', '--domain', 'example.org', '--yes']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).toContain('done: Deleted 202705._domainkey.example.org: its key never signed.');
    expect(summary(updates).at(-1)).toBe('delete 202705._domainkey.example.org v=DKIM1; k=rsa; p=KEY');
  });
});

describe('without a program', () => {
  it('remove says what a person has to do, and when', async () => {
    const world = await openWorld();
    expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
    world.clock.advance(181 * DAY);
    await advance(world);
    const run = await world.run(['remove', '--domain', 'example.org', '--yes']);
    expect(run.exitCode, run.err).toBe(0);
    expect(run.out).toContain('Delete the record 202705._domainkey.example.org from the DNS, if it is there');
    expect(run.out).toMatch(
      /Keep 202611\._domainkey\.example\.org: messages that it signed may be under way/,
    );
    expect(run.out).toContain('Go on with: waxseal rotate --advance');
  });
});
