/** The terminal of an administrator: tmux in the host, keys sent one by one, the screen read as it stands. */
import {appendFile, mkdir} from 'node:fs/promises';
import path from 'node:path';
import type {Host} from './host.ts';
import {LONG_MS, sleep} from './process.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const SERVER = ['tmux', '-u', '-L', 'lab'] as const;

/** A prompt that tells how the last command ended; what an administrator would ask with `echo $?`. */
const PROMPT = "PS1='[exit $?] # '";

export class Terminal {
  readonly #host: Host;
  readonly #name: string;
  readonly #log: string;
  #last = '';

  private constructor(host: Host, name: string, log: string) {
    this.#host = host;
    this.#name = name;
    this.#log = log;
  }

  static async open(
    host: Host,
    options: {readonly size?: Size; readonly log: string; readonly name?: string},
  ): Promise<Terminal> {
    const size = options.size ?? {columns: 80, rows: 24};
    const name = options.name ?? 'admin';
    await mkdir(path.dirname(options.log), {recursive: true});
    const terminal = new Terminal(host, name, options.log);
    await host.must(
      [
        ...SERVER,
        '-f',
        '/dev/null',
        'new-session',
        '-d',
        '-s',
        name,
        '-x',
        String(size.columns),
        '-y',
        String(size.rows),
        'exec bash --norc --noprofile',
        ';',
        'set-option',
        '-g',
        'status',
        'off',
        ';',
        'set-option',
        '-g',
        'escape-time',
        '10',
        ';',
        'resize-window',
        '-x',
        String(size.columns),
        '-y',
        String(size.rows),
      ],
      {environment: {TERM: 'xterm-256color'}},
    );
    await terminal.type(`${PROMPT}; clear`);
    await terminal.press('Enter');
    await terminal.waitFor(/^\[exit 0\] #$/m);
    return terminal;
  }

  /** Types text as it is, one key after the other. */
  async type(text: string): Promise<void> {
    for (const character of text) {
      // tmux takes a lone semicolon for the end of its own command.
      await this.#tmux(['send-keys', '-t', this.#name, '-l', '--', character === ';' ? '\\;' : character]);
    }
    await this.#note(`type ${JSON.stringify(text)}`);
  }

  /** Presses named keys (`Enter`, `Down`, `Escape`, `C-c`), one after the other. */
  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.#tmux(['send-keys', '-t', this.#name, key]);
    await this.#note(`press ${keys.join(' ')}`);
  }

  async command(line: string): Promise<void> {
    await this.type(line);
    await this.press('Enter');
  }

  /** What is on the screen now, without trailing blanks. */
  async screen(): Promise<string> {
    const text = await this.#tmux(['capture-pane', '-p', '-t', this.#name]);
    const shown = text
      .split('\n')
      .map(line => line.trimEnd())
      .join('\n')
      .trimEnd();
    if (shown !== this.#last) await this.#note(`screen\n${shown}`);
    this.#last = shown;
    return shown;
  }

  /** The screen with what has scrolled off above it; a line that goes on in the next row is one line again. */
  async history(): Promise<string> {
    return this.#tmux(['capture-pane', '-p', '-J', '-S', '-', '-t', this.#name]);
  }

  /** Waits until the screen shows something; the last screen is part of the error. */
  async waitFor(what: RegExp | ((screen: string) => boolean), withinMs = LONG_MS): Promise<string> {
    const end = performance.now() + withinMs;
    const holds = typeof what === 'function' ? what : (screen: string) => what.test(screen);
    for (;;) {
      const screen = await this.screen();
      if (holds(screen)) return screen;
      if (performance.now() > end) throw new Error(`no ${what} on the screen:\n${screen}`);
      await sleep(50);
    }
  }

  /** Waits for the shell's prompt and returns how the program ended. */
  async exitStatus(withinMs = LONG_MS): Promise<number> {
    const screen = await this.waitFor(/^\[exit \d+\] #$/m, withinMs);
    return Number(/\[exit (\d+)\] #\s*$/.exec(screen)?.[1]);
  }

  async resize(size: Size): Promise<void> {
    await this.#tmux([
      'resize-window',
      '-t',
      this.#name,
      '-x',
      String(size.columns),
      '-y',
      String(size.rows),
    ]);
  }

  /** The line drops: the terminal is gone and everything in it is hung up. */
  async hangUp(): Promise<void> {
    await this.#tmux(['kill-session', '-t', this.#name]);
    await this.#note('hang-up');
  }

  async close(): Promise<void> {
    await this.#host.exec([...SERVER, 'kill-server']);
  }

  #tmux(argv: readonly string[]): Promise<string> {
    return this.#host.must([...SERVER, ...argv], {environment: {TERM: 'xterm-256color'}});
  }

  #note(text: string): Promise<void> {
    return appendFile(this.#log, `--- ${new Date().toISOString()} ${text}\n`);
  }
}
