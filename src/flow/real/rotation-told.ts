/** Tells somebody by mail that a person must act: once for each new state of affairs, and again after a week. */
import {createHash} from 'node:crypto';
import {type Due, elapsedSince, saveState} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from './key-book.ts';

const AGAIN_MS = 7 * 86_400_000;

/** What a person must know: steps that wait for one, and everything that harms mail. */
export const needsPerson = (all: readonly Due[]): readonly Due[] =>
  all.filter(({waitsFor, level}) => waitsFor === 'person' || waitsFor === 'clock' || level !== 'ok');

/**
 * `mailed`: handed to sendmail(1). `new`: nobody gets mail, so whoever prints it must. `failed`: sendmail did not take it.
 * `known`: it was told before. `nothing`: there is nothing to tell.
 */
export type Told = 'mailed' | 'new' | 'failed' | 'known' | 'nothing';

/** @param to mail address; '' where nobody is to get a mail */
export async function tellByMail(
  ports: Pick<Ports, 'files' | 'commands' | 'clock'>,
  to: string,
  host: string,
  lines: readonly string[],
): Promise<Told> {
  const state = await readKeys(ports);
  const now = ports.clock.now();
  const digest = createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
  const {told: before, ...rest} = state;
  if (lines.length === 0) {
    // What comes back later is news again.
    if (before !== undefined) await saveState(ports.files, rest);
    return 'nothing';
  }
  const isKnown =
    before?.digest === digest && elapsedSince(before.at, now, state.time?.jumps ?? []) < AGAIN_MS;
  if (isKnown) return 'known';
  const note = (): Promise<void> => saveState(ports.files, {...rest, told: {at: now.toISOString(), digest}});
  if (to === '') {
    await note();
    return 'new';
  }
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
  if (result.status !== 0) return 'failed';
  await note();
  return 'mailed';
}
