import type {ExitCode} from '../../domain/errors.ts';
import {liveTest} from '../../jobs/live-test.ts';
import {isSet} from '../arguments.ts';
import {type Context, mustBeRoot} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';

/** `waxseal test`: only the live signing test, of everything that is signed here or of `--domain`. */
export async function test(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  mustBeRoot(ports, 'The test reads the mail queue, and needs root.');
  const lock = await ports.locks.acquire('waxseal test');
  try {
    const input = await proving(context, ports);
    const quiet = isSet(context.flags, 'json');
    const report = await liveTest(
      ports,
      input,
      check => {
        if (!quiet) for (const line of checkLines(check)) context.say(line);
      },
      context.signal,
    );
    const exitCode: ExitCode = report.passed ? 0 : 4;
    return await tell(context, {exitCode, checks: report.checks}, [
      report.passed ? 'Signing works.' : 'Signing does not work.',
    ]);
  } finally {
    await lock.release();
  }
}
