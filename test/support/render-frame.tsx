/** Draws the wizard on a terminal that is only data, presses keys, and sees every frame. */
import {EventEmitter} from 'node:events';
import {type Instance, render} from 'ink';
import stringWidth from 'string-width';
import type {Event, Session, State} from '../../src/flow/state.ts';
import {App} from '../../src/views/tui/app.tsx';
import {KeyPump} from '../../src/views/tui/input/key-pump.ts';
import {outputForInk} from '../../src/views/tui/terminal.ts';
import {makeTheme} from '../../src/views/tui/theme.tsx';
import {PATIENCE_MS} from './patience.ts';

/** Names for the keys that tests press; anything else is typed as it is. */
const KEYS: Readonly<Record<string, string>> = {
  up: '\x1b[A',
  down: '\x1b[B',
  right: '\x1b[C',
  left: '\x1b[D',
  home: '\x1b[H',
  end: '\x1b[F',
  pageUp: '\x1b[5~',
  pageDown: '\x1b[6~',
  enter: '\r',
  escape: '\x1b',
  backspace: '\x7f',
  ctrlC: '\x03',
  ctrlU: '\x15',
  ctrlW: '\x17',
};

export class FakeInput extends EventEmitter {
  readonly isTTY = true;
  isRaw = false;
  #chunks: string[] = [];

  type(text: string): void {
    this.#chunks.push(text);
    this.emit('readable');
  }
  read(): string | null {
    return this.#chunks.shift() ?? null;
  }
  setRawMode(raw: boolean): this {
    this.isRaw = raw;
    return this;
  }
  setEncoding(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}

const SYNCHRONISED = /\x1b\[\?2026[hl]/g;
const ERASED = /^(?:\x1b\[2K(?:\x1b\[1A)?)*(?:\x1b\[G)?/;

export class FakeOutput extends EventEmitter {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** Everything that was written. */
  raw = '';
  /** Frames in the order they were drawn. */
  readonly frames: string[] = [];
  /** Texts written above the frame. */
  readonly printed: string[] = [];
  /** Frames that were too high or too wide, in words. */
  readonly faults: string[] = [];
  #sizeAtWrite = '';

  constructor(columns: number, rows: number) {
    super();
    this.columns = columns;
    this.rows = rows;
  }

  write(chunk: string, done?: () => void): boolean {
    this.raw += chunk;
    const text = chunk.replace(SYNCHRONISED, '');
    if (text.startsWith('\r')) this.printed.push(text.slice(1));
    else if (!text.startsWith('\x1b]') && !text.startsWith('\x1b[?')) this.#see(text.replace(ERASED, ''));
    done?.();
    return true;
  }

  #see(frame: string): void {
    if (frame === '') return;
    const size = `${this.columns}x${this.rows}`;
    // What Ink restores right after a resize was drawn for the size before.
    const stale =
      this.#sizeAtWrite !== '' && this.#sizeAtWrite !== size && frame === `${this.frames.at(-1)}\n`;
    this.#sizeAtWrite = size;
    const lines = frame.replace(/\n$/, '').split('\n');
    if (!stale && lines.length > this.rows - 1)
      this.faults.push(`${lines.length} lines at ${size}:\n${frame}`);
    const wide = lines.find(line => stringWidth(line) > this.columns);
    if (!stale && wide !== undefined) this.faults.push(`too wide at ${size}: ${wide}`);
    this.frames.push(frame.replace(/\n$/, ''));
  }
}

export interface FrameOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly ascii?: boolean;
  readonly color?: boolean;
  readonly screenReader?: boolean;
  readonly now?: () => number;
}

export interface Rendered {
  readonly input: FakeInput;
  readonly output: FakeOutput;
  readonly app: Instance;
  readonly faultsOfView: readonly unknown[];
  /** The frame that is on the screen. */
  frame(): string;
  /** What was written above the frame, then the frame. */
  screen(): string;
  /** Presses keys one after the other by name or as text; resolves when the last is dealt with. */
  press(...keys: readonly string[]): Promise<void>;
  /** Sends octets in one piece, as a slow line delivers them. */
  type(text: string): Promise<void>;
  waitFor(text: string | RegExp, withinMs?: number): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** Takes the tree down; throws where any frame was too high or too wide, or the scrollback was wiped. */
  close(): void;
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

export async function renderSession(session: Session, options: FrameOptions = {}): Promise<Rendered> {
  const {columns = 80, rows = 24, ascii = false, color = false, screenReader = false} = options;
  const input = new FakeInput();
  const output = new FakeOutput(columns, rows);
  const pump = new KeyPump(input);
  const faultsOfView: unknown[] = [];
  const app = render(
    <App
      session={session}
      pump={pump}
      output={output}
      theme={makeTheme({color, ascii})}
      now={options.now ?? (() => Date.parse('2026-11-21T10:01:05Z'))}
      signal={new AbortController().signal}
      onFault={error => faultsOfView.push(error)}
    />,
    {
      stdin: pump as unknown as NodeJS.ReadStream,
      stdout: outputForInk(output as unknown as NodeJS.WriteStream),
      stderr: output as unknown as NodeJS.WriteStream,
      exitOnCtrlC: false,
      patchConsole: false,
      concurrent: false,
      maxFps: 1000,
      isScreenReaderEnabled: screenReader,
    },
  );
  const settle = async (): Promise<void> => {
    await pump.settled();
    await pause(4);
  };
  const frame = (): string => output.frames.at(-1) ?? '';
  await settle();
  return {
    input,
    output,
    app,
    faultsOfView,
    frame,
    screen: () => [...output.printed.slice(-1), frame()].join(''),
    async press(...keys) {
      for (const key of keys) {
        input.type(KEYS[key] ?? key);
        await settle();
      }
    },
    async type(text) {
      input.type(text);
      await settle();
    },
    async waitFor(text, withinMs = PATIENCE_MS) {
      const holds = (): boolean => (typeof text === 'string' ? frame().includes(text) : text.test(frame()));
      for (let waited = 0; !holds(); waited += 5) {
        if (waited > withinMs) throw new Error(`no ${String(text)} in\n${frame()}`);
        await pause(5);
      }
      await settle();
    },
    async resize(toColumns, toRows) {
      output.columns = toColumns;
      output.rows = toRows;
      output.emit('resize');
      await pause(20);
    },
    close() {
      app.unmount();
      if (output.faults.length > 0) throw new Error(output.faults.join('\n'));
      if (output.raw.includes('\x1b[3J')) throw new Error('the scrollback was wiped');
    },
  };
}

export interface StillSession extends Session {
  readonly sent: readonly Event[];
  show(state: State): void;
}

/** A session that stands at a state, takes note of what is sent, and moves only by `show`. */
export function stillSession(state: State): StillSession {
  let current = state;
  const sent: Event[] = [];
  const listeners = new Set<(state: State) => void>();
  return {
    sent,
    state: () => current,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    send: event => {
      sent.push(event);
    },
    done: () => new Promise(() => undefined),
    show(next) {
      current = next;
      for (const listener of listeners) listener(next);
    },
  };
}
