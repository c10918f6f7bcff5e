import {createSigner, type SignOptions} from './sign.ts';

/**
 * Signs many messages with the private-key operations spread over all cores: they run in the thread pool of Node
 * (UV_THREADPOOL_SIZE threads), while the next messages are hashed. The fields come in the order of the messages.
 *
 * @param inFlight most messages begun and not yet given out; 8 keep four threads busy
 * @throws as {@link signMessage}, for the first message that fails, after the fields of those before it
 */
export async function* signBatch(
  messages: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: SignOptions,
  inFlight = 8,
): AsyncGenerator<string, void, undefined> {
  const running: Promise<string>[] = [];
  for await (const message of messages) {
    running.push(begin(message, options));
    if (running.length >= inFlight) yield (await running.shift()) ?? '';
  }
  for (const field of running) yield await field;
}

function begin(message: Uint8Array, options: SignOptions): Promise<string> {
  const field = signOne(message, options);
  // Awaited in order, maybe much later: a failure must not count as unhandled until then.
  field.catch(() => undefined);
  return field;
}

async function signOne(message: Uint8Array, options: SignOptions): Promise<string> {
  const signer = createSigner([options]);
  signer.update(message);
  return (await signer.finishAsync())[0] ?? '';
}
