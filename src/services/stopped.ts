/** A service that runs, for its manager, and can answer no one: stopped by a signal, or stuck. */
import {command} from '../domain/command.ts';
import {HostError, ToolError} from '../domain/errors.ts';
import {absolute} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import {journalLines} from '../proof/journal.ts';
import type {Ports, Sockets} from '../system/ports.ts';
import {showUnits} from './systemd.ts';

type Looks = Pick<Ports, 'commands'> & {readonly files: Pick<Ports['files'], 'read'>};
type Watches = Pick<Ports, 'commands' | 'clock'> & {readonly files: Pick<Ports['files'], 'read' | 'list'>};

/** Ids of the problems below: nothing would come of waiting. */
export const CANNOT_ANSWER: ReadonlySet<string> = new Set(['service.stopped', 'service.stuck']);

/** A unit whose answer is waited for. */
export interface Awaited {
  readonly unit: string;
  /** Its name in the journal. */
  readonly logTag: string;
}

/** How often a unit that is waited for is looked at. Milliseconds. */
const LOOK_MS = 2000;
/** A unit that does nothing at all for so long will not answer any more. Milliseconds. */
const IDLE_MS = 60_000;
/** Processor time that is nothing: a thread that only looks whether it should end. Ticks of 10 ms (proc(5)). */
const IDLE_TICKS = 2;

/**
 * Problem `service.stopped` where the main process of a unit, or a child of it, is stopped now (state `T` in proc(5)).
 * Undefined where none is, and where that cannot be seen: no systemd, no such unit, no /proc.
 */
export async function whyStopped(
  ports: Looks,
  unit: string,
  signal?: AbortSignal,
): Promise<Problem | undefined> {
  return stoppedOf(unit, await processesOf(ports, unit, signal));
}

/**
 * The same ports, whose connections are for a unit: while an answer of it is waited for, its processes are watched. A
 * connection ends with HostError `service.stopped` where one of them is stopped by a signal, and with `service.stuck`
 * where all of them have slept for a minute and nothing came of them, on the connection or in the journal.
 */
export const watchful = <P extends Watches & Pick<Ports, 'sockets'>>(
  ports: P,
  awaited: Awaited | undefined,
): P => (awaited === undefined ? ports : {...ports, sockets: watchedSockets(ports, awaited)});

const watchedSockets = (ports: Watches & Pick<Ports, 'sockets'>, awaited: Awaited): Sockets => ({
  async connect(endpoint, timeoutMs) {
    const stream = await ports.sockets.connect(endpoint, timeoutMs);
    const closed = new AbortController();
    let heardMs = ports.clock.now().getTime();
    stream.once('close', () => closed.abort());
    stream.on('data', () => {
      heardMs = ports.clock.now().getTime();
    });
    void untilStuck(ports, awaited, closed.signal, () => heardMs).then(why => {
      if (why !== undefined) stream.destroy(new HostError(why));
    });
    return stream;
  },
});

/**
 * Resolves with the problem once the unit can't answer; with undefined when `signal` ends the wait, or where nothing can
 * be seen of its processes.
 *
 * @param heardMs when something came of the unit last; without it only a stopped process is told
 */
export async function untilStuck(
  ports: Watches,
  {unit, logTag}: Awaited,
  signal: AbortSignal,
  heardMs?: () => number,
): Promise<Problem | undefined> {
  let ticks = Number.NEGATIVE_INFINITY;
  let workedMs = ports.clock.now().getTime();
  try {
    for (;;) {
      await ports.clock.sleep(LOOK_MS, signal);
      const processes = await processesOf(ports, unit, signal);
      if (processes === undefined) return undefined;
      const stopped = stoppedOf(unit, processes);
      if (stopped !== undefined) return stopped;
      if (heardMs === undefined) continue;
      const now = ports.clock.now().getTime();
      const used = processes.reduce((sum, each) => sum + each.ticks, 0);
      const isAtWork = used - ticks >= IDLE_TICKS || used < ticks || !(await allSleep(ports, processes));
      if (isAtWork) [ticks, workedMs] = [used, now];
      workedMs = Math.max(workedMs, heardMs());
      if (now - workedMs < IDLE_MS) continue;
      // A line of the second in which it was heard last is no new one.
      if ((await journalLines(ports, logTag, new Date(workedMs + 1000))).length === 0) {
        return stuck(unit, processes[0]?.pid ?? '');
      }
      workedMs = now;
    }
  } catch (error) {
    if (signal.aborted || error instanceof ToolError) return undefined;
    throw error;
  }
}

/**
 * Does `work` that waits for the unit by way of another program. Where the unit is stopped meanwhile, the work is
 * aborted, and the HostError `service.stopped` is what comes of it.
 */
export async function unlessStopped<T>(
  ports: Watches,
  awaited: Awaited | undefined,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T | HostError> {
  const [stop, done] = [new AbortController(), new AbortController()];
  const watching =
    awaited === undefined
      ? undefined
      : untilStuck(ports, awaited, done.signal).then(why => {
          if (why !== undefined) stop.abort(new HostError(why));
        });
  try {
    return await work(signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]));
  } catch (error) {
    if (error instanceof HostError && error === stop.signal.reason) return error;
    throw error;
  } finally {
    done.abort();
    await watching;
  }
}

interface Process {
  readonly pid: string;
  /** proc(5): `R`, `S`, `D`, `T`, … */
  readonly state: string;
  /** Processor time of all its threads. */
  readonly ticks: number;
}

/** The main process of a unit and its children; undefined where none can be seen. */
async function processesOf(
  ports: Looks,
  unit: string,
  signal: AbortSignal | undefined,
): Promise<readonly Process[] | undefined> {
  const [shown] = await showUnits(ports.commands, [unit], ['MainPID'], signal);
  const main = shown?.['MainPID'] ?? '';
  if (!PID.test(main)) return undefined;
  const children = (await procText(ports, `${main}/task/${main}/children`)).split(' ');
  const processes: Process[] = [];
  for (const pid of [main, ...children.filter(each => PID.test(each))]) {
    const stat = await procText(ports, `${pid}/stat`);
    if (stat !== '') processes.push({pid, ...processIn(stat)});
  }
  return processes.length === 0 ? undefined : processes;
}

const PID = /^[1-9]\d{0,9}$/;

/** The name in the second field may hold blanks and parentheses; it ends with the last one. Then state, …, utime, stime. */
function processIn(stat: string): Omit<Process, 'pid'> {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {state: fields[0] ?? '', ticks: Number(fields[11] ?? 0) + Number(fields[12] ?? 0)};
}

/** Whether no thread runs or waits for a processor or a disk: on a busy host one may do so for long. */
async function allSleep(ports: Watches, processes: readonly Process[]): Promise<boolean> {
  for (const {pid} of processes) {
    for (const thread of (await ports.files.list(absolute(`/proc/${pid}/task`))) ?? []) {
      const stat = await procText(ports, `${pid}/task/${thread}/stat`);
      if (['R', 'D'].includes(processIn(stat).state)) return false;
    }
  }
  return true;
}

function stoppedOf(unit: string, processes: readonly Process[] = []): Problem | undefined {
  const pid = processes.find(({state}) => state === 'T')?.pid;
  if (pid === undefined) return undefined;
  return problem(
    'service.stopped',
    `${visible(unit)} (process ${pid}) is stopped by a signal (SIGSTOP) and can't answer.`,
    `Find out who stopped it, then let it continue: ${command('kill', '-CONT', pid)}`,
  );
}

const stuck = (unit: string, pid: string): Problem =>
  problem(
    'service.stuck',
    `${visible(unit)} (process ${pid}) hasn't answered, used the processor or written to its log for ${IDLE_MS / 1000} s.`,
    `See what it waits for in its log, then restart it: ${command('sudo', 'systemctl', 'restart', unit)}`,
  );

async function procText({files}: Looks, name: string): Promise<string> {
  try {
    return Buffer.from((await files.read(absolute(`/proc/${name}`))) ?? []).toString('latin1');
  } catch (error) {
    // It has ended meanwhile.
    if (error instanceof ToolError) return '';
    throw error;
  }
}
