import {describe, expect, it} from 'vitest';
import {ChangeFailed, CommandFailed} from '../../src/domain/errors.ts';
import type {Problem} from '../../src/domain/result.ts';
import {bringToRun, NOT_A_MILTER, putServiceBack} from '../../src/plan/service-state.ts';
import type {ServiceStep} from '../../src/services/step.ts';
import type {Argv, CommandResult} from '../../src/system/ports.ts';

const step: ServiceStep = {
  kind: 'service',
  id: 's',
  why: '',
  unit: 'opendkim.service',
  action: 'restart',
  argv: ['systemctl', 'restart', 'opendkim.service'],
  timeoutMs: 1000,
  ready: {withinMs: 1000, steadyMs: 600},
  wasActive: true,
};
const down: Problem = {id: 'service.inactive', message: 'It is down.', hint: ''};

/** A clock that moves only by sleeping, and a systemctl with given answers. */
function host(
  answers: Readonly<Record<string, Partial<CommandResult>>> = {},
  proc: Readonly<Record<string, string>> = {},
) {
  let at = 0;
  const said: string[] = [];
  return {
    said,
    elapsed: () => at,
    ports: {
      files: {
        read: async (path: string) =>
          proc[path] === undefined ? undefined : new TextEncoder().encode(proc[path]),
      },
      clock: {
        now: () => new Date(at),
        sleep: async (ms: number, signal?: AbortSignal) => {
          signal?.throwIfAborted();
          at += ms;
        },
      },
      commands: {
        run: async (argv: Argv): Promise<CommandResult> => {
          // A look that changes nothing.
          if (!argv.includes('MainPID')) said.push(argv.join(' '));
          return {status: 0, stdout: '', stderr: '', ended: 'exit', ...answers[argv[1] ?? '']};
        },
      },
    },
  };
}

describe('a process that is stopped by a signal', () => {
  const shown = {show: {stdout: 'MainPID=1234\nActiveState=active\nJob=0\n'}};
  const stat = (pid: number, state: string): string =>
    `${pid} (open) dkim x) ${state} 1 1234 1234 0 -1 4194560`;
  const stopped = (pid: number) => ({
    id: 'service.stopped',
    message: `opendkim.service (process ${pid}) is stopped by a signal (SIGSTOP) and can't answer.`,
    hint: `Find out who stopped it, then let it continue: kill -CONT ${pid}`,
  });
  const never = async (): Promise<Problem> => {
    throw new Error('waited for it');
  };

  it('is named at once', async () => {
    const {ports, elapsed} = host(shown, {'/proc/1234/stat': stat(1234, 'T')});
    await expect(bringToRun(ports, step, never)).rejects.toMatchObject(stopped(1234));
    expect(elapsed()).toBe(0);
  });

  it('is named where it is a child of the main one', async () => {
    const {ports} = host(shown, {
      '/proc/1234/stat': stat(1234, 'S'),
      '/proc/1234/task/1234/children': '1235 1236 ',
      '/proc/1235/stat': stat(1235, 'S'),
      '/proc/1236/stat': stat(1236, 'T'),
    });
    await expect(bringToRun(ports, step, never)).rejects.toMatchObject(stopped(1236));
  });

  it.each(['S', 'R', 'D', 't', 'Z'])('is not one in the state %s: that one is waited for', async state => {
    const {ports, elapsed} = host(shown, {'/proc/1234/stat': stat(1234, state)});
    await bringToRun(ports, step, async () => (elapsed() < 800 ? down : undefined));
    expect(elapsed()).toBeGreaterThan(800);
  });

  it('is named while it is waited for', async () => {
    const proc: Record<string, string> = {'/proc/1234/stat': stat(1234, 'S')};
    const {ports, elapsed} = host(shown, proc);
    const ready = async (): Promise<Problem> => {
      if (elapsed() >= 600) proc['/proc/1234/stat'] = stat(1234, 'T');
      return down;
    };
    await expect(bringToRun(ports, step, ready)).rejects.toMatchObject(stopped(1234));
    expect(elapsed()).toBeLessThan(1000);
  });

  it('is no more waited for where it was found to be stuck', async () => {
    const {ports, elapsed} = host(shown, {'/proc/1234/stat': stat(1234, 'S')});
    const stuck: Problem = {id: 'service.stuck', message: 'It sleeps.', hint: ''};
    await expect(bringToRun(ports, step, async () => stuck)).rejects.toMatchObject({id: 'service.stuck'});
    expect(elapsed()).toBe(0);
  });
});

describe('bringToRun', () => {
  it('waits until it has been ready for a while without a break', async () => {
    const {ports, elapsed} = host();
    // Good at once, dead after 200 ms, back after 600: as a daemon that systemd restarts.
    const ready = async () => (elapsed() >= 200 && elapsed() < 600 ? down : undefined);
    await bringToRun(ports, step, ready);
    expect(elapsed()).toBe(1200);
  });

  it('gives up when it is not ready in time', async () => {
    const {ports, elapsed} = host();
    await expect(bringToRun(ports, step, async () => down)).rejects.toMatchObject({
      id: 'service.inactive',
      exitCode: 6,
    });
    expect(elapsed()).toBe(1000);
    // Flapping for ever ends too.
    const flapping = host();
    let calls = 0;
    await expect(
      bringToRun(flapping.ports, step, async () => {
        calls += 1;
        return calls % 2 === 0 ? down : undefined;
      }),
    ).rejects.toBeInstanceOf(ChangeFailed);
  });

  it('says how the command ended and what it wrote, made harmless', async () => {
    const {ports} = host({restart: {status: 1, stderr: 'Job failed\u001b[31m'}});
    const error = await bringToRun(ports, step, async () => undefined).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CommandFailed);
    expect(error).toMatchObject({
      id: 'service.restart',
      message: 'systemctl restart opendkim.service ended with status 1: Job failed\\x1b[31m.',
      status: 1,
      stderr: 'Job failed\\x1b[31m',
    });
    const dsn = host({restart: {status: 78, stderr: 'first\nopendkim: dsn:pgsql://me:s3cret@db/x: no.\n'}});
    const telling = await bringToRun(dsn.ports, step, async () => undefined).catch(
      (thrown: unknown) => thrown,
    );
    expect(telling).toMatchObject({
      message: expect.stringMatching(/: opendkim: dsn:pgsql:\/\/me:\*\*\*@db\/x: no\.$/),
    });
    expect(JSON.stringify(telling)).not.toContain('s3cret');
    const slow = host({restart: {status: null, ended: 'timeout'}});
    await expect(bringToRun(slow.ports, step, async () => undefined)).rejects.toThrow('did not end in time');
  });

  it('does not wait for a unit that has failed', async () => {
    for (const state of ['failed', 'inactive']) {
      const {ports, elapsed} = host({show: {stdout: `ActiveState=${state}\nJob=\n`}});
      await expect(bringToRun(ports, step, async () => down)).rejects.toMatchObject({id: down.id});
      expect(elapsed()).toBe(0);
    }
  });

  it.each(['ActiveState=activating', 'ActiveState=reloading', 'ActiveState=active\nJob=41'])(
    'waits for minutes while systemd is at work: %s',
    async shown => {
      const {ports, elapsed} = host({show: {stdout: `${shown}\n`}});
      await bringToRun(ports, step, async () => (elapsed() < 240_000 ? down : undefined));
      expect(elapsed()).toBeGreaterThanOrEqual(240_600);
      const never = host({show: {stdout: `${shown}\n`}});
      await expect(bringToRun(never.ports, step, async () => down)).rejects.toBeInstanceOf(ChangeFailed);
      expect(never.elapsed()).toBe(300_000);
    },
  );

  it('looks as often on a busy host, where each look takes longer, as on an idle one', async () => {
    const {ports, elapsed} = host({show: {stdout: 'ActiveState=active\n'}});
    let looks = 0;
    const slowly = async (): Promise<Problem | undefined> => {
      looks += 1;
      await ports.clock.sleep(3000);
      return looks < 5 ? down : undefined;
    };
    await bringToRun(ports, step, slowly);
    expect(elapsed()).toBeGreaterThan(12_000);
  });

  it('goes on where the command did not end in time and systemd does', async () => {
    const slow: Partial<CommandResult> = {status: null, ended: 'timeout'};
    const {ports, elapsed} = host({restart: slow, show: {stdout: 'ActiveState=activating\n'}});
    await bringToRun(ports, step, async () => (elapsed() < 60_000 ? down : undefined));
    const dead = host({restart: slow, show: {stdout: 'ActiveState=failed\n'}});
    await expect(bringToRun(dead.ports, step, async () => undefined)).rejects.toThrow('did not end in time');
  });

  it('does not wait for what answers, but not as a milter', async () => {
    const {ports, elapsed} = host({show: {stdout: 'ActiveState=active\nJob=\n'}});
    const foreign: Problem = {id: NOT_A_MILTER, message: 'It speaks SMTP.', hint: ''};
    const patient = {...step, ready: {withinMs: 60_000, steadyMs: 600}};
    await expect(bringToRun(ports, patient, async () => foreign)).rejects.toMatchObject({id: NOT_A_MILTER});
    expect(elapsed()).toBe(49 * 200);
    // A daemon that ends may hang up; the one after it answers.
    const later = host();
    await bringToRun(later.ports, patient, async () => (later.elapsed() < 9000 ? foreign : undefined));
    expect(later.elapsed()).toBe(9600);
  });

  it('stops waiting with the signal', async () => {
    const {ports} = host();
    const stop = new AbortController();
    stop.abort(new Error('enough'));
    await expect(bringToRun(ports, step, async () => down, stop.signal)).rejects.toThrow('enough');
  });
});

describe('putServiceBack', () => {
  it('stops what did not run before', async () => {
    const {ports, said} = host();
    await putServiceBack(ports, [{...step, wasActive: false}], async () => down);
    expect(said).toEqual(['systemctl stop opendkim.service']);
    const other = host();
    const own: ServiceStep = {...step, wasActive: false, argv: ['rc-service', 'opendkim', 'restart']};
    await putServiceBack(
      other.ports,
      [{...own, stopArgv: ['rc-service', 'opendkim', 'stop']}],
      async () => down,
    );
    expect(other.said).toEqual(['rc-service opendkim stop']);
    await expect(putServiceBack(other.ports, [own], async () => down)).rejects.toMatchObject({
      id: 'service.stop',
    });
  });

  it('waits for a stop that takes longer than its command', async () => {
    const slow: Partial<CommandResult> = {status: null, ended: 'timeout'};
    const states = ['deactivating', 'deactivating', 'inactive'];
    const {ports} = host({stop: slow});
    const {run} = ports.commands;
    ports.commands.run = async argv => {
      if (argv[1] !== 'show') return await run(argv);
      return {status: 0, stdout: `ActiveState=${states.shift() ?? ''}\n`, stderr: '', ended: 'exit'};
    };
    await putServiceBack(ports, [{...step, wasActive: false}], async () => down);
    expect(states).toEqual([]);
    const stuck = host({stop: slow, show: {stdout: 'ActiveState=active\n'}});
    await expect(
      putServiceBack(stuck.ports, [{...step, wasActive: false}], async () => down),
    ).rejects.toMatchObject({id: 'service.stop'});
  });

  it('restarts once on the old files, without asking for the new socket', async () => {
    const {ports, said} = host();
    const endpoint = {kind: 'tcp', host: '127.0.0.1', port: 8891} as const;
    const reload: ServiceStep = {
      ...step,
      action: 'reload',
      argv: ['systemctl', 'reload', 'opendkim.service'],
      ready: {...step.ready, endpoint},
    };
    const asked: boolean[] = [];
    await putServiceBack(ports, [reload, {...step, ready: {...step.ready, endpoint}}], async service => {
      asked.push('endpoint' in service.ready);
      return undefined;
    });
    expect(said).toEqual(['systemctl reset-failed opendkim.service', 'systemctl restart opendkim.service']);
    expect(new Set(asked)).toEqual(new Set([false]));
  });

  it('starts a dead service where a reload is not enough', async () => {
    const {ports, said} = host({reload: {status: 1}});
    const reload: ServiceStep = {
      ...step,
      action: 'reload',
      argv: ['systemctl', 'reload', 'opendkim.service'],
    };
    await putServiceBack(ports, [reload], async () => undefined);
    expect(said.at(-1)).toBe('systemctl restart opendkim.service');
  });
});
