import {createInterface} from 'node:readline/promises';
import {UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Context} from './context.ts';
import {unlessEnded} from './signals.ts';

/** Asks for a typed "yes"; an ended input is a no. Without a terminal the missing answer names its flag. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!context.view.interactive) {
    throw new UsageError(
      problem(
        'usage.missing',
        'Nobody can be asked here.',
        'Agree beforehand with --yes, or look first with --dry-run.',
      ),
    );
  }
  const {stdin, stdout} = context.streams;
  const reader = createInterface({input: stdin, output: stdout});
  const closed = new Promise<string>(resolve => {
    reader.once('close', () => resolve(''));
  });
  // With a raw terminal readline takes Ctrl-C for itself and only closes.
  reader.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = await unlessEnded(
      context.signal,
      Promise.race([reader.question(`${question} [y/N] `), closed]),
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}
