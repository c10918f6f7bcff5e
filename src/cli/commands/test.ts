import type {ExitCode} from '../../domain/errors.ts';
import {liveTest} from '../../proof/live-test.ts';
import {isSet} from '../arguments.ts';
import type {Context} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';

/** `waxseal test`: only the live signing test, of everything that is signed here or of `--domain`. */
export async function test(context: Context): Promise<ExitCode> {
  const ports = await context.ports();
  const lock = await ports.locks.acquire('waxseal test');
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    const input = await proving(context, ports);
    const quiet = isSet(context.flags, 'json');
    const report = await liveTest(
      ports,
      input,
      check => {
        if (!quiet) for (const line of checkLines(check)) context.say(line);
      },
      ended.signal,
    );
    const exitCode: ExitCode = report.passed ? 0 : 4;
    return await tell(context, {exitCode, checks: report.checks}, [
      report.passed ? 'Signing works.' : 'Signing does not work.',
    ]);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
    await lock.release();
  }
}
