import {UsageError} from '../domain/errors.ts';
import {problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Files} from '../system/ports.ts';
import {type Context, fromWorkingDirectory} from './context.ts';

/**
 * The message of `sign` and `verify`: the file named as operand, else standard input. A terminal on standard input is
 * refused: somebody who forgot the redirection would wait for ever.
 */
export async function messageInput(
  context: Context,
  files: Pick<Files, 'read'>,
): Promise<AsyncIterable<Uint8Array> | Iterable<Uint8Array>> {
  const [file, ...more] = context.operands;
  if (more.length > 0) {
    throw new UsageError(problem('usage.operand', 'One message at a time.', 'Give one file, or none.'));
  }
  if (file !== undefined && file !== '-') {
    const content = await files.read(fromWorkingDirectory(file));
    if (content === undefined) {
      throw new UsageError(
        problem('usage.operand', `There is no file ${visible(file)}.`, 'Check the name of the message.'),
      );
    }
    return [content];
  }
  if (context.streams.stdin.isTTY === true) {
    throw new UsageError(
      problem(
        'usage.no-message',
        'There is no message on standard input.',
        `Redirect one, as in: waxseal ${context.command} < message.eml`,
      ),
    );
  }
  return context.streams.stdin as AsyncIterable<Uint8Array>;
}
