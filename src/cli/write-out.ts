/**
 * Writes and waits until the pipe has taken it, so that a large message is not cut off by the end of the process.
 * A reader that has gone (`| head`) is no error: nobody is left to be told.
 */
export async function writeOut(output: NodeJS.WritableStream, content: string | Uint8Array): Promise<void> {
  await new Promise<void>(resolve => {
    output.write(content, () => resolve());
  });
}
