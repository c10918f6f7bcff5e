/** What Ink leaves to us of a terminal: its size where it has none, its loss, paste marks, the clipboard. */
import {trimEndOf} from '../../domain/scan.ts';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** What is assumed of a terminal that does not tell its size: a serial console, `docker exec`, expect(1). */
const ASSUMED_SIZE: TerminalSize = {columns: 80, rows: 24};

/** Marks pastes with ESC [200~ and ESC [201~, so that a pasted line feed is not Enter. */
export const PASTE_MARKS_ON = '\x1b[?2004h';
export const PASTE_MARKS_OFF = '\x1b[?2004l';

/** The size of a terminal; that of ASSUMED_SIZE where it says nothing or 0. */
export const sizeOf = (output: {readonly columns?: number; readonly rows?: number}): TerminalSize => ({
  columns: output.columns || ASSUMED_SIZE.columns,
  rows: output.rows || ASSUMED_SIZE.rows,
});

/** What is asked of a terminal to follow its size. */
export interface Resizable {
  readonly columns?: number;
  readonly rows?: number;
  on(event: 'resize', listener: () => void): unknown;
  off(event: 'resize', listener: () => void): unknown;
}

/** More rows than any frame has. */
const UNREACHABLE_ROWS = 100_000;

/**
 * The output as Ink is to see it. Of a frame that is as high as the terminal (made lower by the user, or 0 rows) Ink would
 * think that it fills the screen, and wipe the scrollback with it; our own layout keeps frames low enough, so Ink need
 * not know the height. A width of 0 would give one character a line.
 */
export function outputForInk(output: NodeJS.WriteStream): NodeJS.WriteStream {
  return new Proxy(output, {
    get(target, property) {
      if (property === 'rows') return UNREACHABLE_ROWS;
      if (property === 'columns') return sizeOf(target).columns;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** How both screens start Ink: keys come from the pump, and Ctrl-C is a key like another. */
export const inkOptions = (
  pump: unknown,
  {stdout, stderr}: {readonly stdout: NodeJS.WriteStream; readonly stderr: NodeJS.WriteStream},
) => ({
  stdin: pump as NodeJS.ReadStream,
  stdout: outputForInk(stdout),
  stderr,
  exitOnCtrlC: false,
  patchConsole: true,
  concurrent: false,
  maxFps: 15,
});

interface Losable {
  on(event: string, listener: (error: Error) => void): unknown;
  off(event: string, listener: (error: Error) => void): unknown;
}

/**
 * Calls `onLost` once when the terminal is gone: a write or read that fails (EIO after a hang-up, EPIPE), the end of the
 * input. Without a listener such an error is uncaught and ends the process in the middle of its work.
 * @returns stops watching. The error listeners stay once the terminal is lost: later writes must not throw either.
 */
export function watchTerminal(
  streams: {readonly input: Losable; readonly outputs: readonly Losable[]},
  onLost: () => void,
): () => void {
  let lost = false;
  const lose = (): void => {
    if (lost) return;
    lost = true;
    onLost();
  };
  const all = [streams.input, ...streams.outputs];
  for (const stream of all) stream.on('error', lose);
  streams.input.on('end', lose);
  streams.input.on('close', lose);
  return () => {
    streams.input.off('end', lose);
    streams.input.off('close', lose);
    if (lost) return;
    for (const stream of all) stream.off('error', lose);
  };
}

/** Longest text (UTF-8 octets) that is worth trying: xterm takes no more than 100 000 characters of base64. */
const CLIPBOARD_LIMIT = 74_994;

/** OSC 52: asks the terminal to put a text on the clipboard; undefined where it is too long for that. */
export function clipboardSequence(text: string): string | undefined {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length > CLIPBOARD_LIMIT ? undefined : `\x1b]52;c;${bytes.toString('base64')}\x07`;
}

/**
 * A text to be written above the live frame as it is, one logical line staying one, with a blank line between the two:
 * the end of a record must be seen. Begins with a carriage return: the cursor may stand anywhere.
 */
export const above = (text: string): string => `\r${trimEndOf(text, '\n')}\n\n`;
