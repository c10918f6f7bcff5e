/** The lock of the host is held for acts, not for the DNS: what a second run meets, and what is never done twice. */
import {describe, expect, it} from 'vitest';
import {LockHeld} from '../../src/domain/errors.ts';
import {STATE_FILE} from '../../src/domain/places.ts';
import {problem} from '../../src/domain/result.ts';
import {HELD_MS, inTurn} from '../../src/jobs/lock-turns.ts';
import type {Locks} from '../../src/system/ports.ts';
import {openWorld, type World} from '../demo/world.ts';
import {standingClock} from '../dns/world.ts';

const DAY = 86_400_000;

function oneLock(): Locks & {isHeld(): boolean} {
  let isHeld = false;
  return {
    isHeld: () => isHeld,
    async acquire() {
      if (isHeld) throw new LockHeld(problem('lock.held', 'Another run is at work.', 'Wait.'));
      isHeld = true;
      return {
        async release() {
          isHeld = false;
        },
      };
    },
  };
}

const never = new AbortController().signal;

describe('a turn', () => {
  it('is refused at once where another run is at work and nothing was begun', async () => {
    const locks = oneLock();
    await locks.acquire('another');
    await expect(inTurn({locks, clock: standingClock()}, never, false, async () => 1)).rejects.toThrow(
      LockHeld,
    );
  });

  it('is waited for in the middle of a run, half a minute at most', async () => {
    const [locks, clock] = [oneLock(), standingClock()];
    const other = await locks.acquire('another');
    const first = inTurn({locks, clock}, never, true, async () => 'done');
    for (let second = 0; second < 20; second += 1) await clock.move(1000);
    await other.release();
    await clock.move(1000);
    expect(await first).toBe('done');
    await locks.acquire('another');
    const second = inTurn({locks, clock}, never, true, async () => 'done');
    const refused = expect(second).rejects.toThrow(LockHeld);
    for (let passed = 0; passed < 31; passed += 1) await clock.move(1000);
    await refused;
  });

  it('ends with its bound, and gives the lock back', async () => {
    const [locks, clock] = [oneLock(), standingClock()];
    const endless = inTurn(
      {locks, clock},
      never,
      false,
      signal =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        }),
    );
    const ended = expect(endless).rejects.toMatchObject({id: 'rotate.too-long'});
    await clock.move(0);
    await clock.move(HELD_MS - 1);
    expect(locks.isHeld()).toBe(true);
    await clock.move(1);
    await ended;
    expect(locks.isHeld()).toBe(false);
  });

  it('gives the lock back while a person is asked, and its bound begins again after that', async () => {
    const [locks, clock] = [oneLock(), standingClock()];
    let answer: () => void = () => undefined;
    const work = inTurn({locks, clock}, never, false, async (signal, released) => {
      await released(
        () =>
          new Promise<void>(resolve => {
            answer = resolve;
          }),
      );
      expect(locks.isHeld()).toBe(true);
      await clock.sleep(HELD_MS - 1, signal);
      return 'done';
    });
    await clock.move(0);
    expect(locks.isHeld()).toBe(false);
    await clock.move(3 * HELD_MS);
    const other = await locks.acquire('another');
    answer();
    await clock.move(5000);
    await other.release();
    await clock.move(1000);
    await clock.move(HELD_MS - 1);
    expect(await work).toBe('done');
    expect(locks.isHeld()).toBe(false);
  });

  it('gives the lock back when its work fails', async () => {
    const locks = oneLock();
    const failing = inTurn({locks, clock: standingClock()}, never, false, () =>
      Promise.reject(new Error('no')),
    );
    await expect(failing).rejects.toThrow('no');
    expect(locks.isHeld()).toBe(false);
  });
});

interface Counted {
  readonly world: World;
  /** DNS queries while the lock was held, and while it was not. */
  readonly asked: {held: number; free: number};
  readonly saves: () => number;
  /** Holds every DNS query up from now on, until what it returns is called. */
  holdUp(): {release(): void; readonly isHeldUp: Promise<void>};
}

async function counted(...domains: readonly string[]): Promise<Counted> {
  const world = await openWorld();
  const {ports} = world.sandbox;
  const flags = domains.flatMap(domain => ['--domain', domain]);
  expect((await world.setUp(...flags)).exitCode).toBe(0);
  const asked = {held: 0, free: 0};
  let isHeld = false;
  let saves = 0;
  let gate: Promise<void> | undefined;
  let onHeldUp: () => void = () => undefined;
  const {locks, dns, files} = ports;
  const pass = async (): Promise<void> => {
    asked[isHeld ? 'held' : 'free'] += 1;
    if (gate === undefined) return;
    onHeldUp();
    await gate;
  };
  Object.assign(ports, {
    locks: {
      async acquire(command: string) {
        const lock = await locks.acquire(command);
        isHeld = true;
        return {
          async release() {
            isHeld = false;
            await lock.release();
          },
        };
      },
    } satisfies Locks,
    dns: {
      async udp(...given: Parameters<typeof dns.udp>) {
        await pass();
        return await dns.udp(...given);
      },
      tcp: dns.tcp.bind(dns),
      hostResolvers: dns.hostResolvers.bind(dns),
    },
    files: new Proxy(files, {
      get(target, name, self) {
        const found: unknown = Reflect.get(target, name, self);
        if (name !== 'replace' || typeof found !== 'function') return found;
        return (...given: Parameters<typeof files.replace>) => {
          if (given[0] === STATE_FILE) saves += 1;
          return files.replace(...given);
        };
      },
    }),
  });
  return {
    world,
    asked,
    saves: () => saves,
    holdUp() {
      let release: () => void = () => undefined;
      gate = new Promise(resolve => {
        release = () => {
          gate = undefined;
          resolve();
        };
      });
      const isHeldUp = new Promise<void>(resolve => {
        onHeldUp = resolve;
      });
      return {release: () => release(), isHeldUp};
    },
  };
}

const advance = (world: World) => world.run(['rotate', '--advance', '--json']);
const states = (run: Awaited<ReturnType<typeof advance>>): readonly string[] =>
  run.report.domains.map(({selector, state}) => `${selector} ${state}`);

it('asks nothing of the DNS while it holds the lock, and saves a fixed number of times, however many domains are due', async () => {
  const numbers = [];
  for (const domains of [
    ['a.example.org'],
    ['a.example.org', 'b.example.org', 'c.example.org', 'd.example.org'],
  ]) {
    const {world, asked, saves} = await counted(...domains);
    world.clock.advance(181 * DAY);
    const before = saves();
    const run = await advance(world);
    expect(run.exitCode, run.err + run.out).toBe(3);
    expect(states(run).filter(state => state.endsWith(' pending'))).toHaveLength(domains.length);
    expect(asked.free).toBeGreaterThan(0);
    expect(asked.held).toBe(0);
    numbers.push(saves() - before);
  }
  expect(numbers[0]).toBe(numbers[1]);
});

it('lets another run through while it waits for the DNS, and does not do again what that one did', async () => {
  const {world, holdUp} = await counted('a.example.org');
  world.clock.advance(181 * DAY);
  const {release, isHeldUp} = holdUp();
  const slow = advance(world);
  await isHeldUp;
  const lock = await world.sandbox.ports.locks.acquire('somebody else');
  await lock.release();
  release();
  const [first, second] = await Promise.all([slow, advance(world)]);
  expect([first.exitCode, second.exitCode], first.err + second.err).toEqual([3, 3]);
  const after = await world.run(['status', '--json']);
  expect(states(after)).toEqual(['202611 active', '202705 pending']);
});
