/** A signer that is stopped or stuck while its answer is waited for. */
import {Duplex} from 'node:stream';
import {describe, expect, it} from 'vitest';
import {HostError} from '../../src/domain/errors.ts';
import type {DomainName, Selector} from '../../src/domain/names.ts';
import {type MilterTarget, probeSigning} from '../../src/proof/milter-probe.ts';
import {unlessStopped, watchful} from '../../src/services/stopped.ts';
import type {Argv, CommandResult} from '../../src/system/ports.ts';

const AWAITED = {unit: 'opendkim.service', logTag: 'opendkim'};
const TARGET: MilterTarget = {
  domain: 'example.org' as DomainName,
  selector: 's' as Selector,
  endpoint: {kind: 'tcp', host: '127.0.0.1', port: 8891},
  lookup: async () => ({status: 'absent'}),
};

/** Main process and its one thread beside it at a time, in seconds since the begin of the wait. */
interface Life {
  readonly state?: (seconds: number) => string;
  readonly thread?: (seconds: number) => string;
  /** Processor time, in ticks. */
  readonly ticks?: (seconds: number) => number;
  readonly logs?: (seconds: number) => boolean;
  readonly unit?: string;
}

/** A host whose daemon takes connections and never says a word; the clock moves by sleeping. */
function host({state = () => 'S', thread = () => 'S', ticks = () => 7, logs, unit = 'MainPID=12\n'}: Life) {
  let at = 0;
  const sleepers: {readonly until: number; readonly wake: () => void}[] = [];
  const seconds = (): number => at / 1000;
  const stat = (pid: number, now: string): string =>
    `${pid} (open) dkim x) ${now} 1 12 12 0 -1 4194560 0 0 0 0 ${ticks(seconds())} 0 0 0`;
  /** The nearest sleeper wakes, when everything else has come to rest. */
  const tick = (): void => {
    const next = sleepers.toSorted((one, other) => one.until - other.until)[0];
    if (next === undefined) return;
    sleepers.splice(sleepers.indexOf(next), 1);
    at = Math.max(at, next.until);
    next.wake();
  };
  const ports = {
    random: {bytes: (length: number) => new Uint8Array(length)},
    clock: {
      now: () => new Date(at),
      sleep: (ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve, reject) => {
          signal?.throwIfAborted();
          const end = (): void => {
            const index = sleepers.indexOf(sleeper);
            if (index >= 0) sleepers.splice(index, 1);
            reject(signal?.reason);
          };
          const sleeper = {
            until: at + ms,
            wake: (): void => {
              signal?.removeEventListener('abort', end);
              resolve();
            },
          };
          sleepers.push(sleeper);
          signal?.addEventListener('abort', end, {once: true});
          setTimeout(tick, 1);
        }),
    },
    sockets: {
      connect: async () => new Duplex({read: () => undefined, write: (_chunk, _encoding, done) => done()}),
    },
    files: {
      read: async (path: string) => {
        const text = path.endsWith('/13/stat')
          ? stat(13, thread(seconds()))
          : path.endsWith('stat')
            ? stat(12, state(seconds()))
            : '';
        return new TextEncoder().encode(text);
      },
      list: async () => ['12', '13'],
    },
    commands: {
      run: async ([program]: Argv): Promise<CommandResult> => ({
        status: 0,
        stdout: program === 'systemctl' ? unit : logs?.(seconds()) === true ? 'a line\n' : '',
        stderr: '',
        ended: 'exit',
      }),
    },
  };
  return {ports, seconds};
}

async function probe(life: Life) {
  const {ports, seconds} = host(life);
  const found = await probeSigning(watchful(ports, AWAITED), TARGET);
  return {found, seconds: seconds()};
}

describe('an answer that is waited for', () => {
  it('is given up at once when the daemon is stopped in the midst of it', async () => {
    const {found, seconds} = await probe({state: now => (now < 11 ? 'S' : 'T')});
    expect(found).toMatchObject({
      status: 'fail',
      cause: "opendkim.service (process 12) is stopped by a signal (SIGSTOP) and can't answer.",
      fix: 'Find out who stopped it, then let it continue: kill -CONT 12',
    });
    expect(seconds).toBeLessThan(15);
  });

  it('is given up after a minute in which the daemon did nothing', async () => {
    const {found, seconds} = await probe({});
    expect(found).toMatchObject({
      status: 'fail',
      cause: expect.stringMatching(
        /^opendkim\.service \(process 12\) hasn't answered, used the processor .* 60 s/,
      ),
      fix: expect.stringContaining('sudo systemctl restart opendkim.service'),
    });
    expect(seconds).toBeGreaterThanOrEqual(60);
    expect(seconds).toBeLessThan(70);
  });

  it.each([
    ['uses the processor', {ticks: (now: number) => Math.floor(now)}],
    ['waits for a processor', {thread: () => 'R'}],
    ['waits for a disk', {thread: () => 'D'}],
    ['writes to its log', {logs: () => true}],
    ['can be seen by nobody', {unit: ''}],
  ] satisfies readonly (readonly [string, Life])[])(
    'is waited for as long as ever where the daemon %s',
    async (_, life) => {
      const {found, seconds} = await probe(life);
      expect(found).toMatchObject({fault: 'milter.timeout'});
      expect(seconds).toBeGreaterThanOrEqual(120);
    },
  );
});

describe('work that waits for the daemon by way of another', () => {
  const waits = (signal: AbortSignal): Promise<string> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });

  it('is ended when the daemon is stopped', async () => {
    const {ports, seconds} = host({state: now => (now < 30 ? 'S' : 'T')});
    const ended = await unlessStopped(ports, AWAITED, waits);
    expect(ended).toBeInstanceOf(HostError);
    expect(ended).toMatchObject({id: 'service.stopped'});
    expect(seconds()).toBeLessThan(35);
  });

  it('comes to its own end, and to its own error', async () => {
    const {ports} = host({});
    expect(await unlessStopped(ports, AWAITED, async () => 'done')).toBe('done');
    const fails = async (): Promise<string> => {
      throw new HostError({id: 'other', message: '', hint: ''});
    };
    await expect(unlessStopped(ports, AWAITED, fails)).rejects.toMatchObject({id: 'other'});
  });
});
