import type {ExitCode} from '../../domain/errors.ts';
import type {Released} from '../../jobs/lock-turns.ts';
import {installTimer} from '../../jobs/timer/install.ts';
import {TIMER_FILES} from '../../services/timer.ts';
import type {Ports} from '../../system/ports.ts';
import type {Context} from '../context.ts';
import {dialogOf} from '../dialog.ts';
import {changeLines, tell} from '../print.ts';

/** `waxseal rotate --install-timer`. */
export async function rotateTimer(context: Context, ports: Ports, released: Released): Promise<ExitCode> {
  const program = programOf(process.execPath, process.argv[1]);
  const done = await installTimer(ports, dialogOf(context, released), program, context.signal);
  if (done.result === 'there') return await tell(context, {exitCode: 0}, ['The timer is there already.']);
  const {changes} = done;
  if (done.result === 'shown')
    return await tell(context, {exitCode: 0, changes}, changes.flatMap(changeLines));
  return await tell(context, {exitCode: 0, changed: true, changes}, [
    done.by === 'systemd'
      ? 'Installed: rotations advance every hour. To see when: systemctl list-timers waxseal-rotate.timer'
      : `Installed: cron advances rotations every hour (${TIMER_FILES.cron}), and mails root what is news.`,
    'To take it away: waxseal undo',
  ]);
}

/** What runs waxseal: this very interpreter and program, since a timer has no PATH of a login. */
const programOf = (interpreter: string, script: string | undefined): readonly string[] =>
  script === undefined ? ['waxseal'] : [interpreter, script];
