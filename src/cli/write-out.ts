import {once} from 'node:events';

/** Writes and waits until the pipe has taken it, so that a large message is not cut off by the end of the process. */
export async function writeOut(output: NodeJS.WriteStream, content: string | Uint8Array): Promise<void> {
  if (!output.write(content)) await once(output, 'drain').catch(() => undefined);
}
