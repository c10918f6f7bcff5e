/** Tells somebody by mail that a person must act: once for each thing that is new, and again after a week. */
import {createHash} from 'node:crypto';
import {visible} from '../../domain/text.ts';
import {type Due, elapsedSince, saveState, type Told} from '../../rotation/index.ts';
import type {Ports} from '../../system/ports.ts';
import {readKeys} from '../key-book.ts';

const AGAIN_MS = 7 * 86_400_000;

/** What a person must know: steps that wait for one, and everything that harms mail. */
export const needsPerson = (all: readonly Due[]): readonly Due[] =>
  all.filter(({waitsFor, level}) => waitsFor === 'person' || waitsFor === 'clock' || level !== 'ok');

/** One thing that a person must know. */
export interface News {
  /** The name of a record, or what else it is about. */
  readonly about: string;
  readonly text: string;
}

export interface Telling {
  /** Mail address; '' where nobody is to get a mail. */
  readonly to: string;
  /** Asked only where a mail is written. */
  readonly host: () => Promise<string>;
  /** Whether this run could see how it stands with something; what it could not see is as it was. */
  readonly isSeen: (about: string) => boolean;
}

/**
 * `mailed`: handed to sendmail(1). `new`: nobody gets mail, so whoever prints it must. `failed`: sendmail did not take it.
 * `known`: it was told before. `nothing`: there is nothing to tell.
 */
export type HowTold = 'mailed' | 'new' | 'failed' | 'known' | 'nothing';

/** What is settled meanwhile is no reason to tell the rest once more; what comes back is. */
export async function tellByMail(
  ports: Pick<Ports, 'files' | 'commands' | 'clock'>,
  {to, host, isSeen}: Telling,
  news: readonly News[],
): Promise<HowTold> {
  const {told: before = [], ...rest} = await readKeys(ports);
  const now = ports.clock.now();
  const current = news.map(({about, text}): Told => ({about, digest: digestOf(text), at: now.toISOString()}));
  const isAmong = ({about, digest}: Told, others: readonly Told[]): boolean =>
    others.some(other => other.about === about && other.digest === digest);
  const open = before.filter(each => isAmong(each, current) || !isSeen(each.about));
  const note = async (told: readonly Told[]): Promise<void> => {
    if (told.length > 0) await saveState(ports.files, {...rest, told});
    else if (before.length > 0) await saveState(ports.files, rest);
  };
  const fresh = open.filter(({at}) => elapsedSince(at, now, rest.time?.jumps ?? []) < AGAIN_MS);
  if (current.every(each => isAmong(each, fresh))) {
    if (open.length < before.length) await note(open);
    return current.length === 0 ? 'nothing' : 'known';
  }
  const after = [...open.filter(each => !isAmong(each, current)), ...current];
  if (to === '') {
    await note(after);
    return 'new';
  }
  const lines = news.map(({text}) => text);
  const text = [
    `To: ${to}`,
    `Subject: DKIM keys of ${visible(await host()).slice(0, 255)}: ${lines.length === 1 ? 'a step waits' : `${lines.length} steps wait`} for you`,
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
  await note(after);
  return 'mailed';
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
