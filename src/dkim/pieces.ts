import type {MessageInput} from './octets.ts';

/**
 * Gives the pieces of a message in memory or under way to `take`, in order. A stream of Node is read by its events:
 * its asynchronous iterator takes three times as long for a small message. There the last piece is known as such, so
 * that a message of one piece is as good as one in memory.
 *
 * @throws whatever the input or `take` throws; a stream that closes before its end counts as failed, and one whose
 *   pieces are refused is destroyed
 */
export async function eachPiece(message: Exclude<MessageInput, Uint8Array>, take: Take): Promise<void> {
  if (isReadable(message)) return readAll(message, take);
  for await (const piece of message) take(piece, false);
}

/** @param last it is known that nothing comes behind these octets */
type Take = (octets: Uint8Array, last: boolean) => void;

/** What is used of a stream of Node. */
interface Readable extends AsyncIterable<Uint8Array> {
  readonly readableEnded: boolean;
  readonly destroyed: boolean;
  read(): Uint8Array | null;
  destroy(error?: unknown): unknown;
  on(event: 'readable' | 'end' | 'close', listener: () => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
}

/** A stream that is over already is left to its iterator, which knows what to say of it. */
const isReadable = (input: object): input is Readable =>
  'readableEnded' in input &&
  input.readableEnded === false &&
  'destroyed' in input &&
  input.destroyed === false &&
  'read' in input &&
  typeof input.read === 'function' &&
  'on' in input &&
  typeof input.on === 'function' &&
  Symbol.asyncIterator in input;

const readAll = (stream: Readable, take: Take): Promise<void> =>
  new Promise((resolve, reject) => {
    let over = false;
    // Kept until the next one or the end is there. Nobody writes into a piece that a stream has given out.
    let held: Uint8Array | undefined;
    const fail = (error: unknown): void => {
      over = true;
      reject(error);
      stream.destroy();
    };
    stream.on('readable', () => {
      try {
        for (let piece = stream.read(); piece !== null; piece = stream.read()) {
          if (held !== undefined) take(held, false);
          held = piece;
        }
      } catch (error) {
        fail(error);
      }
    });
    stream.on('end', () => {
      over = true;
      try {
        if (held !== undefined) take(held, true);
        resolve();
      } catch (error) {
        fail(error);
      }
    });
    stream.on('error', fail);
    stream.on('close', () => {
      // Closed before its end: the iterator throws what Node says to that.
      if (!over) drained(stream).then(resolve, reject);
    });
  });

async function drained(stream: Readable): Promise<void> {
  for await (const _piece of stream);
}
