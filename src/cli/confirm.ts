import {createInterface} from 'node:readline/promises';
import {UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import type {Context} from './context.ts';
import {unlessEnded} from './signals.ts';

/** Asks for a typed "yes"; Esc and an ended input are a no. Without a terminal the missing answer names its flag. */
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
  const reader = createInterface({input: stdin, output: stdout, escapeCodeTimeout: ESCAPE_MS});
  const unhook = onEscape(stdin, () => {
    stdout.write('\n');
    reader.close();
  });
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
    unhook();
    reader.close();
  }
}

/** How long an Escape may be the beginning of another key. */
export const ESCAPE_MS = 60;

/** Calls `listener` for the Escape key, while readline reads the terminal key by key. @returns stops it */
export function onEscape(input: NodeJS.ReadableStream, listener: () => void): () => void {
  const hear = (_text: unknown, key: unknown): void => {
    if (typeof key === 'object' && key !== null && 'name' in key && key.name === 'escape') listener();
  };
  input.on('keypress', hear);
  return () => input.off('keypress', hear);
}
