/** Tells somebody by mail that a person must act: once for each new state of affairs, and again after a week. */
import {createHash} from 'node:crypto';
import {type Due, elapsedSince, saveState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from './key-book.ts';

const AGAIN_MS = 7 * 86_400_000;

/** What a person must know: steps that wait for one, and everything that harms mail. */
export const needsPerson = (all: readonly Due[]): readonly Due[] =>
  all.filter(({waitsFor, level}) => waitsFor === 'person' || waitsFor === 'clock' || level !== 'ok');

/** @returns true where a mail was handed to sendmail(1) */
export async function tellByMail(
  ports: Pick<Ports, 'files' | 'commands' | 'clock'>,
  to: string,
  host: string,
  lines: readonly string[],
): Promise<boolean> {
  const state = await readKeys(ports);
  const now = ports.clock.now();
  const digest = createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
  const isKnown =
    state.told?.digest === digest && elapsedSince(state.told.at, now, state.time?.jumps ?? []) < AGAIN_MS;
  if (isKnown) return false;
  if (lines.length === 0 || to === '') return false;
  const text = [
    `To: ${to}`,
    `Subject: DKIM keys of ${host}: ${lines.length === 1 ? 'a step waits' : `${lines.length} steps wait`} for you`,
    'Content-Type: text/plain; charset=utf-8',
    'Auto-Submitted: auto-generated',
    '',
    ...lines,
    '',
    'waxseal status shows everything; waxseal rotate --advance goes on.',
    '',
  ].join('\n');
  const result = await ports.commands.run(['sendmail', '-i', '--', to], {
    input: new TextEncoder().encode(text),
  });
  if (result.status !== 0) return false;
  await saveState(ports.files, {...state, told: {at: now.toISOString(), digest}});
  return true;
}
