import type {ExitCode} from '../../domain/errors.ts';
import {noteProven} from '../../jobs/key-book.ts';
import {liveTest, PROBED} from '../../jobs/live-test.ts';
import {CHANGE_HELD_MS, inTurn} from '../../jobs/lock-turns.ts';
import {keepShown} from '../../jobs/shown.ts';
import type {ProofReport} from '../../proof/proof.ts';
import {isSet} from '../arguments.ts';
import {type Context, rootPorts} from '../context.ts';
import {checkLines, tell} from '../print.ts';
import {proving} from '../proving.ts';

/** `waxseal test`: only the live signing test, of everything that is signed here or of `--domain`. */
export async function test(context: Context): Promise<ExitCode> {
  const ports = await rootPorts(context, 'The test reads the mail queue, and needs root.');
  const tested = async (signal: AbortSignal): Promise<ProofReport> => {
    const input = await proving({...context, signal}, ports);
    const quiet = isSet(context.flags, 'json');
    const found = await liveTest(
      ports,
      input,
      check => {
        if (!quiet) for (const line of checkLines(check)) context.say(line);
      },
      signal,
    );
    // Of more, a sample is tested: that proves nothing about each of them.
    const isEach = input.domains.length <= PROBED;
    if (found.passed && isEach) await noteProven(ports, input.domains);
    await keepShown(ports, input.entrances, found);
    return found;
  };
  const how = {command: 'test', boundMs: CHANGE_HELD_MS};
  const report = await inTurn(ports, context.signal, false, tested, how);
  const exitCode: ExitCode = report.passed ? 0 : 4;
  return await tell(context, {exitCode, checks: report.checks}, [
    report.passed ? 'Signing works.' : 'Signing does not work.',
  ]);
}
