import {createInterface, type Interface} from 'node:readline/promises';
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
  const reader = listening({input: stdin, output: stdout});
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
const ESCAPE_MS = 60;

/**
 * A reader of lines that keeps the process alive while it waits. Ink lets go of the terminal when it ends; without this
 * the program would end in the middle of the question, as soon as nothing else is going on.
 */
export function listening(streams: {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}): Interface {
  const {input} = streams;
  // A socket, a file or the input of a test may have nothing to hold on to.
  if ('ref' in input && typeof input.ref === 'function') input.ref();
  return createInterface({...streams, escapeCodeTimeout: ESCAPE_MS});
}

/** Calls `listener` for the Escape key, while readline reads the terminal key by key. @returns stops it */
export function onEscape(input: NodeJS.ReadableStream, listener: () => void): () => void {
  const hear = (_text: unknown, key: unknown): void => {
    if (typeof key === 'object' && key !== null && 'name' in key && key.name === 'escape') listener();
  };
  input.on('keypress', hear);
  return () => input.off('keypress', hear);
}
