/** A wizard that waits holds no lock: other runs do their work meanwhile, and none of both undoes what the other did. */
import {describe, expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {startSession} from '../../src/flow/run.ts';
import type {Session} from '../../src/flow/state.ts';
import {createRotation} from '../../src/jobs/rotate/guided.ts';
import {createOperations} from '../../src/jobs/setup/operations.ts';
import {hostTree, openWorld, type World} from '../demo/world.ts';
import {answer, at, until} from '../support/drive.ts';

const DAY = 86_400_000;
const NEVER_MS = 100 * DAY;
const ROOT = {mode: 0o644, uid: 0, gid: 0};

function wizard(world: World, domain: string, selector?: string, interactive = false): Session {
  return startSession(
    createOperations(world.sandbox.ports, {resolvers: undefined}),
    {interactive, yes: !interactive, dryRun: false, waitMs: NEVER_MS, sandbox: true, command: 'setup'},
    {domains: domain, ...(selector === undefined ? {} : {selector})},
    world.clock,
  );
}

function guided(world: World, domain: string): Session {
  return startSession(
    createRotation(world.sandbox.ports, {resolvers: undefined}),
    {interactive: false, yes: true, dryRun: false, waitMs: NEVER_MS, sandbox: true, command: 'rotate'},
    {domains: domain},
    world.clock,
  );
}

/** At the propagation screen, the servers asked at least once. */
const waiting = (session: Session) =>
  until(session, ({phase, surveys}) => phase.at === 'propagation' && Object.keys(surveys).length > 0);

function publish(world: World, {staged}: ReturnType<Session['state']>): void {
  for (const {record} of staged) world.sandbox.dns.publish(record.absoluteName, record.strings);
}

const states = async (world: World): Promise<readonly string[]> =>
  (await world.run(['status', '--json'])).report.domains.map(
    each => `${each.domain} ${each.selector} ${each.state}`,
  );

async function signing(): Promise<World> {
  const world = await openWorld();
  expect((await world.setUp('--domain', 'example.org')).exitCode).toBe(0);
  return world;
}

describe('a wizard at the propagation screen', () => {
  it('lets rotate --advance do its work, and goes on as if nothing had been', async () => {
    const world = await signing();
    world.clock.advance(181 * DAY);
    const session = wizard(world, 'news.example.org');
    await waiting(session);
    const advanced = await world.run(['rotate', '--advance', '--json']);
    expect(advanced.exitCode, advanced.err).toBe(3);
    expect(await states(world)).toEqual([
      'example.org 202611 active',
      'news.example.org 202705 pending',
      'example.org 202705 pending',
    ]);
    publish(world, session.state());
    const report = await session.done();
    expect(report.error).toBeNull();
    expect(report.exitCode).toBe(0);
    expect(await states(world)).toEqual([
      'example.org 202611 active',
      'news.example.org 202705 active',
      'example.org 202705 pending',
    ]);
  });

  it('is stopped by name where another run has given its key up, and changes nothing then', async () => {
    const world = await signing();
    const session = wizard(world, 'news.example.org');
    const {staged} = await waiting(session);
    const removed = await world.run(['remove', '--domain', 'news.example.org', '--yes', '--json']);
    expect(removed.exitCode, removed.err).toBe(0);
    const before = await hostTree(world.sandbox);
    publish(world, session.state());
    const report = await session.done();
    expect(report.error?.id).toBe('key.other-run');
    expect(report.error?.message).toContain(staged[0]?.record.absoluteName ?? 'none');
    expect(report.exitCode).toBe(8);
    expect(await hostTree(world.sandbox)).toEqual(before);
  });

  it('keeps its key against a second wizard for the domain, which is refused by name', async () => {
    const world = await signing();
    // It has seen the host before the first one makes its key.
    const second = wizard(world, 'news.example.org', 'second', true);
    await at(second, 'host');
    const first = wizard(world, 'news.example.org', 'first');
    await waiting(first);
    second.send({type: 'continued'});
    second.subscribe(({phase}) => {
      if (phase.at === 'asking' && !phase.checking) setImmediate(() => answer(second));
    });
    const report = await second.done();
    expect(report.error?.id).toBe('key.other-run');
    expect(report.error?.message).toContain('first._domainkey.news.example.org');
    expect(report.exitCode).toBe(8);
    // A third one sees it, and continues with it.
    const third = createOperations(world.sandbox.ports, {resolvers: undefined});
    const {pending} = await third.look(new AbortController().signal);
    expect(pending?.staged.map(({selector}) => selector)).toEqual(['first']);
    const kept =
      (await world.sandbox.ports.files.list(absolute('/var/lib/waxseal/keys/news.example.org'))) ?? [];
    expect(kept.filter(name => name.startsWith('second'))).toEqual([]);
    publish(world, first.state());
    expect((await first.done()).exitCode).toBe(0);
    expect(await states(world)).toEqual(['example.org 202611 active', 'news.example.org first active']);
  });
});

it('a guided rotation that waits lets another run work, and switches by itself afterwards', async () => {
  const world = await signing();
  const {files} = world.sandbox.ports;
  expect((await world.setUp('--domain', 'news.example.org')).exitCode).toBe(0);
  await files.makeDirectory(absolute('/etc/waxseal'), {...ROOT, mode: 0o755});
  await files.replace(
    absolute('/etc/waxseal/rotation.conf'),
    new TextEncoder().encode('margin = 1s\n'),
    ROOT,
  );
  world.clock.advance(181 * DAY);
  const session = guided(world, 'news.example.org');
  await waiting(session);
  const advanced = await world.run(['rotate', '--advance', '--domain', 'example.org', '--json']);
  expect(advanced.exitCode, advanced.err).toBe(3);
  publish(world, session.state());
  const report = await session.done();
  expect(report.error).toBeNull();
  expect((await states(world)).toSorted()).toEqual([
    'example.org 202611 active',
    'example.org 202705 pending',
    'news.example.org 202611a retiring',
    'news.example.org 202705 active',
  ]);
});
