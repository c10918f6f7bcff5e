/** A service whose process was stopped by a signal: it runs, for its manager, and answers no one until it continues. */
import {command} from '../domain/command.ts';
import {ToolError} from '../domain/errors.ts';
import {absolute} from '../domain/paths.ts';
import {type Problem, problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Ports} from '../system/ports.ts';
import {showUnits} from './systemd.ts';

type Looks = Pick<Ports, 'commands'> & {readonly files: Pick<Ports['files'], 'read'>};

/**
 * Problem `service.stopped` where the main process of a unit, or a child of it, is stopped now (state `T` in proc(5)).
 * Undefined where none is, and where that cannot be seen: no systemd, no such unit, no /proc.
 */
export async function whyStopped(
  ports: Looks,
  unit: string,
  signal?: AbortSignal,
): Promise<Problem | undefined> {
  const [shown] = await showUnits(ports.commands, [unit], ['MainPID'], signal);
  const main = shown?.['MainPID'] ?? '';
  if (!PID.test(main)) return undefined;
  const children = (await procText(ports, `${main}/task/${main}/children`)).split(' ');
  for (const pid of [main, ...children.filter(each => PID.test(each))]) {
    if (stateIn(await procText(ports, `${pid}/stat`)) !== 'T') continue;
    return problem(
      'service.stopped',
      `${visible(unit)} (process ${pid}) is stopped by a signal (SIGSTOP) and can't answer.`,
      `Find out who stopped it, then let it continue: ${command('kill', '-CONT', pid)}`,
    );
  }
  return undefined;
}

const PID = /^[1-9]\d{0,9}$/;

/** The third field. The name in the second may hold blanks and parentheses; it ends with the last one. */
const stateIn = (stat: string): string => stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);

async function procText({files}: Looks, name: string): Promise<string> {
  try {
    return Buffer.from((await files.read(absolute(`/proc/${name}`))) ?? []).toString('latin1');
  } catch (error) {
    // It has ended meanwhile.
    if (error instanceof ToolError) return '';
    throw error;
  }
}
