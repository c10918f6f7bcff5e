/** The three streams of the process as the commands see them, and what is known about the terminal behind them. */
export interface Streams {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
}

/**
 * Keeps a write to a closed terminal or pipe from ending the process in the middle of an apply: without a listener
 * the stream's EIO or EPIPE is uncaught and the rollback never ends (STYLE H3).
 */
export function guardStreams({stdin, stdout, stderr}: Streams): void {
  for (const stream of [stdin, stdout, stderr]) stream.on('error', ignore);
}

const ignore = (): void => {};
