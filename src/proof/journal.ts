/** The last words of a daemon in the journal, for the evidence of a check. */
import {visible, withoutPassword} from '../domain/text.ts';
import type {Ports} from '../system/ports.ts';

/**
 * A line of a log or of standard error, harmless for a terminal and without the password of a DSN
 * (daemons/opendkim.md#sql-tables).
 */
export const shownLine = (line: string): string => visible(withoutPassword(line));

/**
 * What `identifier` logged since `since` that contains `about`, at most five lines, oldest first. Empty where there is
 * no journal.
 */
export async function journalLines(
  ports: Pick<Ports, 'commands' | 'clock'>,
  identifier: string,
  since: Date,
  about = '',
): Promise<readonly string[]> {
  // The daemon's datagram may still be on its way into the journal.
  await ports.clock.sleep(200);
  const seconds = Math.floor(since.getTime() / 1000);
  const {status, stdout} = await ports.commands.run(
    ['journalctl', '-t', identifier, '--since', `@${seconds}`, '-o', 'cat', '--no-pager', '-q', '-n', '200'],
    {timeoutMs: 60_000},
  );
  if (status !== 0) return [];
  const lines = stdout.split('\n').filter(line => line.trim() !== '' && line.includes(about));
  return lines.slice(-5).map(shownLine);
}
