/** A program in a real pseudo-terminal, and what a person would see of it. */
import {type IPty, spawn} from '@lydell/node-pty';
import xterm from '@xterm/headless';
import {PATIENCE_MS} from '../support/patience.ts';

export interface PtyOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly exitCode: number;
  readonly signal: number | undefined;
}

/** Every open terminal, so that a failed test leaves no process behind. */

export class Pty {
  /** Everything that came out, octet for octet. */
  raw = '';
  readonly ended: Promise<Ended>;
  readonly #pty: IPty;
  readonly #screen: InstanceType<typeof xterm.Terminal>;
  #over = false;

  constructor(file: string, argv: readonly string[], options: PtyOptions = {}) {
    const {columns = 80, rows = 24, environment = {}} = options;
    this.#screen = new xterm.Terminal({cols: columns, rows, scrollback: 2000, allowProposedApi: true});
    this.#pty = spawn(file, [...argv], {
      name: environment['TERM'] ?? 'xterm-256color',
      cols: columns,
      rows,
      // Nothing of the environment that runs the tests: CI, NO_COLOR and the like would change what is seen.
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: '/',
        LANG: 'C.UTF-8',
        TERM: 'xterm-256color',
        ...environment,
      },
    });
    this.#pty.onData(data => {
      this.raw += data;
      this.#screen.write(data);
    });
    this.ended = new Promise(resolve => {
      this.#pty.onExit(({exitCode, signal}) => {
        this.#over = true;
        resolve({exitCode, signal});
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  write(octets: string): void {
    this.#pty.write(octets);
  }

  resize(columns: number, rows: number): void {
    this.#screen.resize(columns, rows);
    this.#pty.resize(columns, rows);
  }

  kill(signal: NodeJS.Signals): void {
    process.kill(this.#pty.pid, signal);
  }

  /** Takes the terminal away, as a broken connection does. */
  hangUp(): void {
    (this.#pty as unknown as {destroy(): void}).destroy();
  }

  /** What is on the screen now, line by line, without the blanks at the ends. */
  lines(): readonly string[] {
    const buffer = this.#screen.buffer.active;
    return Array.from({length: this.#screen.rows}, (_, row) =>
      (buffer.getLine(buffer.baseY + row)?.translateToString(true) ?? '').trimEnd(),
    );
  }

  /** Scrollback and screen; lines that the terminal wrapped are joined again, as copying does. */
  history(): readonly string[] {
    const buffer = this.#screen.buffer.active;
    const lines: string[] = [];
    for (let row = 0; row < buffer.length; row += 1) {
      const line = buffer.getLine(row);
      const text = line?.translateToString(true) ?? '';
      if (line?.isWrapped === true) lines.push((lines.pop() ?? '') + text);
      else lines.push(text);
    }
    return lines;
  }

  cursor(): {readonly column: number; readonly visible: boolean; readonly line: string} {
    const buffer = this.#screen.buffer.active;
    return {
      column: buffer.cursorX,
      visible: this.raw.lastIndexOf('\x1b[?25h') >= this.raw.lastIndexOf('\x1b[?25l'),
      line: this.lines()[buffer.cursorY] ?? '',
    };
  }

  async waitFor(what: string | RegExp, withinMs = PATIENCE_MS): Promise<void> {
    const holds = (): boolean => {
      const text = this.lines().join('\n');
      return typeof what === 'string' ? text.includes(what) : what.test(text);
    };
    await this.#until(holds, withinMs, String(what));
  }

  /** Waits for a line in scrollback or screen, as `history` gives it. */
  async waitForLine(what: RegExp): Promise<void> {
    await this.#until(() => this.history().some(line => what.test(line)), PATIENCE_MS, `line ${what}`);
  }

  /** Presses keys one by one, each after the screen has shown the text that stands before it. */
  async follow(...pairs: readonly (readonly [expected: string, keys: string])[]): Promise<void> {
    for (const [expected, keys] of pairs) {
      await this.waitFor(expected);
      this.write(keys);
    }
  }

  /** Waits for the end of the program, and for its last octets. */
  async end(): Promise<Ended> {
    const ended = await this.ended;
    await new Promise(resolve => setTimeout(resolve, 20));
    await new Promise<void>(resolve => this.#screen.write('', resolve));
    return ended;
  }

  /** Ends the program if it still runs. */
  dispose(): void {
    if (!this.#over) this.#pty.kill('SIGKILL');
    this.#screen.dispose();
  }

  async #until(holds: () => boolean, withinMs: number, what: string): Promise<void> {
    for (let waited = 0; !holds(); waited += 10) {
      if (waited > withinMs) throw new Error(`no ${what} on\n${this.lines().join('\n')}`);
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }
}
