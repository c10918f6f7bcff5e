import {Console} from 'node:console';
import {afterEach, describe, expect, test, vi} from 'vitest';
import {runTui, type TuiOptions} from '../../../src/views/tui/run-tui.tsx';
import {at, start, toPlan, toRecord, until} from '../../support/drive.ts';
import {PATIENCE_MS} from '../../support/patience.ts';
import {FakeInput, FakeOutput, stillSession} from '../../support/render-frame.tsx';
import {sampleState} from '../../support/sample-states.ts';

// The console of the test runner has no constructor for the one that Ink puts in its place.
Object.assign(console, {Console});

function terminal(columns = 80, rows = 24) {
  const stdin = new FakeInput();
  const stdout = new FakeOutput(columns, rows);
  const options: TuiOptions = {
    stdin: stdin as unknown as NodeJS.ReadStream,
    stdout: stdout as unknown as NodeJS.WriteStream,
    stderr: new FakeOutput(columns, rows) as unknown as NodeJS.WriteStream,
    color: false,
    ascii: false,
    now: () => Date.parse('2026-11-21T10:00:00Z'),
  };
  return {stdin, stdout, options};
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('runTui', () => {
  test('the last words stay in the scrollback, whole: record and command line each on one line', async () => {
    const {stdin, stdout, options} = terminal(60, 20);
    const started = start();
    const running = runTui(started.session, options);
    const state = await toRecord(started);
    started.session.send({type: 'leave'});
    started.session.send({type: 'leave'});
    await running;
    const tail = stdout.raw.slice(stdout.raw.lastIndexOf('\x1b[?2004l'));
    expect(tail.split('\n')).toContain(state.staged[0]?.record.value);
    expect(tail).toContain('waiting: The record is not yet on every authoritative server; the key is kept.');
    expect(tail).toContain('waxseal setup --domain example.org --selector 202611');
    expect(tail.endsWith('\n')).toBe(true);
    expect(stdin.isRaw).toBe(false);
  });

  test('paste marks are on while it runs and off afterwards, the cursor is shown again', async () => {
    const {stdout, options} = terminal();
    const {session} = start();
    const running = runTui(session, options);
    await at(session, 'host');
    expect(stdout.raw).toContain('\x1b[?2004h');
    session.send({type: 'leave'});
    session.send({type: 'leave'});
    await running;
    const {raw} = stdout;
    expect(raw.lastIndexOf('\x1b[?2004l')).toBeGreaterThan(raw.lastIndexOf('\x1b[?2004h'));
    expect(raw.lastIndexOf('\x1b[?25h')).toBeGreaterThan(raw.lastIndexOf('\x1b[?25l'));
  });

  test('H5: a terminal of 0 x 0 is taken for 80 x 24', async () => {
    const {stdout, options} = terminal(0, 0);
    const {session} = start();
    const running = runTui(session, options);
    await at(session, 'host');
    await vi.waitFor(() => expect(stdout.frames.at(-1)).toContain('What was found on this host'), {
      timeout: PATIENCE_MS,
    });
    expect(stdout.frames.at(-1)).toContain('Postfix 3.10.5, running, chrooted');
    stdout.emit('resize');
    session.send({type: 'leave'});
    session.send({type: 'leave'});
    await running;
    expect(stdout.raw).not.toContain('\x1b[3J');
  });

  test('H3: the terminal goes away during the apply: everything is put back, and nothing throws', async () => {
    const {stdin, stdout, options} = terminal();
    const started = start();
    const gate = started.operations.hold('apply');
    const running = runTui(started.session, options);
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    await at(started.session, 'applying');
    stdout.emit('error', Object.assign(new Error('write EIO'), {code: 'EIO'}));
    stdin.emit('error', Object.assign(new Error('read EIO'), {code: 'EIO'}));
    const written = stdout.raw.length;
    gate.open();
    await running;
    expect(await started.session.done()).toMatchObject({exitCode: 143, changed: false});
    expect(stdout.raw.length).toBe(written);
    // A late write to the dead terminal must not end the process either.
    expect(() => stdout.emit('error', new Error('write EIO'))).not.toThrow();
  });

  test('H3: the end of the input is a hang-up, too', async () => {
    const {stdin, options} = terminal();
    const {session} = start();
    const running = runTui(session, options);
    await at(session, 'host');
    stdin.emit('end');
    await running;
    expect((await session.done()).exitCode).toBe(143);
  });

  test('no listener is left on the streams or the process', async () => {
    const {stdin, stdout, options} = terminal();
    const counts = () => [
      ...['error', 'end', 'close', 'readable'].map(event => stdin.listenerCount(event)),
      ...['error', 'resize'].map(event => stdout.listenerCount(event)),
      process.listenerCount('exit'),
    ];
    const before = counts();
    const {session} = start();
    const running = runTui(session, options);
    await at(session, 'host');
    session.send({type: 'leave'});
    session.send({type: 'leave'});
    await running;
    expect(counts().slice(0, -1)).toEqual(before.slice(0, -1));
    expect(counts().at(-1)).toBeLessThanOrEqual((before.at(-1) ?? 0) + 1);
  });

  test('the summary does not wait for a key once the signal is aborted', async () => {
    const {options} = terminal();
    const stop = new AbortController();
    const started = start({yes: true});
    const running = runTui(started.session, {...options, signal: stop.signal});
    await toPlan(started);
    started.session.send({type: 'confirmed'});
    await at(started.session, 'finished');
    stop.abort();
    await running;
  });

  test('H20: a fault of the view puts everything back first, restores the terminal, then is thrown', async () => {
    const {stdin, stdout, options} = terminal();
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    const broken = {...sampleState('propagation'), surveys: undefined as unknown as Record<string, never>};
    const still = stillSession(broken);
    const report = {...reportOf(), exitCode: 143 as const};
    const session = {
      ...still,
      send: still.send.bind(still),
      done: () => Promise.resolve(report),
    };
    await expect(runTui(session, options)).rejects.toThrow(TypeError);
    expect(still.sent).toEqual([{type: 'interrupted', signal: 'SIGTERM'}]);
    expect(stdin.isRaw).toBe(false);
    expect(stdout.raw).toContain('\x1b[?2004l');
    expect(stdout.raw).not.toContain('run-tui.tsx');
  });
});

test('H20: a fault in a key handler during the apply puts everything back, too', async () => {
  const {stdin, options} = terminal();
  const started = start();
  const gate = started.operations.hold('apply');
  const broken = {
    ...started.session,
    send: (event: Parameters<typeof started.session.send>[0]) => {
      if (event.type === 'leave') throw new TypeError('a fault of ours');
      started.session.send(event);
    },
  };
  const running = runTui(broken, options);
  await toPlan(started);
  started.session.send({type: 'confirmed'});
  await at(started.session, 'applying');
  stdin.type('\x03');
  void until(started.session, ({stopping}) => stopping !== undefined).then(() => gate.open());
  await expect(running).rejects.toThrow('a fault of ours');
  expect(await started.session.done()).toMatchObject({exitCode: 143, changed: false});
  expect(stdin.isRaw).toBe(false);
});

function reportOf() {
  const {phase} = sampleState('summary');
  if (phase.at !== 'finished') throw new TypeError('not finished');
  return phase.report;
}
