import type {LineEndings} from '../dkim/index.ts';
import type {Context} from './context.ts';
import {unlessEnded} from './signals.ts';
import {present, usage} from './usage.ts';

/**
 * The message of `sign` and `verify`: the file named as operand, else standard input. A terminal on standard input is
 * refused: somebody who forgot the redirection would wait for ever.
 */
export async function messageInput(
  context: Context,
): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array>> {
  const [file, ...more] = context.operands;
  if (more.length > 0) {
    throw usage('usage.operand', 'One message at a time.', 'Give one file, or none.');
  }
  if (file !== undefined && !STANDARD_INPUT.has(file)) {
    const hint = file.startsWith('/dev/fd/')
      ? 'Give a pipe on standard input instead.'
      : 'Check the name of the message.';
    const reading = (await context.namedFiles()).read(context.pathOf(file));
    return [await present(reading, file, 'usage.operand', hint)];
  }
  if (context.streams.stdin.isTTY === true) {
    throw usage(
      'usage.no-message',
      'There is no message on standard input.',
      `Redirect one, as in: waxseal ${context.command} < message.eml`,
    );
  }
  return untilEnded(context);
}

const STANDARD_INPUT: ReadonlySet<string> = new Set(['-', '/dev/stdin', '/dev/fd/0']);

/** Standard input, given up when a signal comes: reading cannot be told to stop. */
async function* untilEnded({streams, signal}: Context): AsyncGenerator<Uint8Array> {
  // A signal that came before anything was read: a read that is begun now would be one that nobody gives up.
  signal.throwIfAborted();
  const stdin = streams.stdin as AsyncIterable<Uint8Array>;
  const pieces = stdin[Symbol.asyncIterator]();
  // An open read would keep the process alive after its last word.
  signal.addEventListener('abort', () => streams.stdin.destroy(), {once: true});
  for (;;) {
    const next = await unlessEnded(signal, pieces.next());
    if (next.done === true) return;
    yield next.value;
  }
}

/**
 * How the lines of a message end, by its first one: a file on a Unix host has bare LF, what SMTP carried has CRLF. In
 * the latter a bare LF is an octet like any other and must not be mended.
 */
export async function withLineEndings(
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<{readonly message: AsyncIterable<Uint8Array>; readonly lineEndings: LineEndings}> {
  const pieces = pieceByPiece(input);
  const head: Uint8Array[] = [];
  let lineEndings: LineEndings = 'strict';
  for (let before = 0; ; ) {
    const next = await pieces.next();
    if (next.done === true) break;
    head.push(next.value);
    const at = next.value.indexOf(0x0a);
    if (at >= 0) {
      lineEndings = (at === 0 ? before : next.value[at - 1]) === 0x0d ? 'strict' : 'normalize';
      break;
    }
    before = next.value.at(-1) ?? before;
  }
  return {lineEndings, message: joined(head, pieces)};
}

async function* pieceByPiece(
  input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* input;
}

async function* joined(
  head: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* head;
  yield* rest;
}
