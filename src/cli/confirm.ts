import {createInterface, type Interface} from 'node:readline/promises';
import type {Context} from './context.ts';
import {unlessEnded} from './signals.ts';
import {usage} from './usage.ts';

/** Asks for a typed "yes"; Esc and an ended input are a no. Without a terminal the missing answer names its flag. */
export async function confirm(context: Context, question: string): Promise<boolean> {
  if (!context.view.interactive) {
    throw usage(
      'usage.missing',
      'Nobody can be asked here.',
      'Agree beforehand with --yes, or look first with --dry-run.',
    );
  }
  const {answer} = await askLine(context, `${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

/**
 * One typed line; '' where Escape was pressed, or the input has ended.
 * Rejects with the reason of the signal of the run.
 */
export async function askLine(
  {streams: {stdin, stdout}, signal}: Context,
  question: string,
): Promise<{readonly answer: string; readonly ended?: 'escape' | 'input'}> {
  const reader = listening({input: stdin, output: stdout});
  let escaped = false;
  const unhook = onEscape(stdin, () => {
    escaped = true;
    stdout.write('\n');
    reader.close();
  });
  const closed = new Promise<undefined>(resolve => {
    reader.once('close', () => resolve(undefined));
  });
  // With a raw terminal readline takes Ctrl-C for itself and only closes.
  reader.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = await unlessEnded(signal, Promise.race([reader.question(question), closed]));
    return answer === undefined ? {answer: '', ended: escaped ? 'escape' : 'input'} : {answer};
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
function listening(streams: {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
}): Interface {
  const {input} = streams;
  // A socket, a file or the input of a test may have nothing to hold on to.
  if ('ref' in input && typeof input.ref === 'function') input.ref();
  return createInterface({...streams, escapeCodeTimeout: ESCAPE_MS});
}

/** Calls `listener` for the Escape key, while readline reads the terminal key by key. @returns stops it */
function onEscape(input: NodeJS.ReadableStream, listener: () => void): () => void {
  const hear = (_text: unknown, key: unknown): void => {
    if (typeof key === 'object' && key !== null && 'name' in key && key.name === 'escape') listener();
  };
  input.on('keypress', hear);
  return () => input.off('keypress', hear);
}
