/**
 * Stands between the terminal and Ink, and hands Ink one key at a time: the next only after React has drawn the last and
 * run its effects. Ink gives every key of one read to the same handlers, so that Down and Enter arriving together would
 * choose the item above the one that was meant. The pump also holds an unfinished escape sequence (an arrow key over a
 * slow line comes in pieces, and its first octet is Escape) and turns a bracketed paste into one text.
 */
import {EventEmitter} from 'node:events';

/** What the pump needs of a terminal's input: the readable half of a TTY. */
export interface KeySource {
  readonly isTTY?: boolean;
  read(): unknown;
  on(event: 'readable', listener: () => void): unknown;
  off(event: 'readable', listener: () => void): unknown;
  setEncoding(encoding: BufferEncoding): unknown;
  setRawMode?(mode: boolean): unknown;
  ref?(): unknown;
  unref?(): unknown;
}

/** Runs `done` when everything that the last key has caused is on the screen. */
export type Settle = (done: () => void) => void;

/** How long an unfinished escape sequence may stay so before it counts as Escape and text. */
const HOLD_MS = 60;

// One key: a whole paste, a Linux console function key, a CSI or SS3 sequence (with Alt: a second ESC), Alt and a
// character, a lone Escape, one code point.
const KEY =
  /\x1b\[200~[\s\S]*?\x1b\[201~|\x1b{1,2}\[\[[A-E]|\x1b{1,2}[[O][0-9;:?<>=]*[ -/]*[@-~]|\x1b[^\x1b]|\x1b|[\s\S]/gu;

// A tail that may still become a sequence: ESC, ESC [, ESC O, CSI without its final octet, a paste without its end.
const OPEN = /(?:\x1b\[200~(?:(?!\x1b\[201~)[\s\S])*|\x1b{1,2}(?:\[\[?|O|[[O][0-9;:?<>=]+[ -/]*)?)$/;

const PASTE = /^\x1b\[200~([\s\S]*)\x1b\[201~$/;

// Only sequences that are keys go on. Others are answers and reports of the terminal (focus, mouse, device attributes),
// which Ink would show as typed text.
const REPORT = /^\x1b{1,2}\[(?:[?<>=].*|[0-9;:]*[ -/]*[^A-HP-SZa-eu~[])$/;

const CTRL_C = '\x03';

const settleSoon: Settle = done => {
  setImmediate(done);
};

const throwLater = (error: unknown): void => {
  queueMicrotask(() => {
    throw error;
  });
};

/** Given to Ink as `stdin`. Reads the real input only while Ink listens. */
export class KeyPump extends EventEmitter {
  readonly isTTY: boolean;
  readonly #source: KeySource;
  readonly #onFault: (error: unknown) => void;
  #settle: Settle = settleSoon;
  #queue: string[] = [];
  #current: string | null = null;
  #busy = false;
  #tail = '';
  #timer: NodeJS.Timeout | undefined;
  #waiting: (() => void)[] = [];

  /** @param onFault hears of what a key handler throws; the pump goes on either way */
  constructor(source: KeySource, onFault: (error: unknown) => void = throwLater) {
    super();
    this.#onFault = onFault;
    this.#source = source;
    this.isTTY = source.isTTY === true;
    this.setMaxListeners(0);
    this.on('newListener', event => {
      if (event !== 'readable' || this.listenerCount('readable') > 0) return;
      source.on('readable', this.#readSource);
      // Keys that came while nobody listened go to the listener that is being added now.
      queueMicrotask(() => this.#next());
    });
    this.on('removeListener', event => {
      if (event === 'readable' && this.listenerCount('readable') === 0)
        source.off('readable', this.#readSource);
    });
  }

  /** Says how to know that a key is dealt with; without an argument the next turn of the event loop will do. */
  settleWith(settle: Settle = settleSoon): void {
    this.#settle = settle;
  }

  /**
   * Forgets keys that were typed ahead. For screens on which a stray Enter would decide something. Ctrl-C stays: who
   * wants to leave may say so early.
   */
  drain(): void {
    this.#queue = this.#queue.filter(key => key === CTRL_C);
    this.#tellSettled();
  }

  /** Resolves when every key that has come in is dealt with. */
  settled(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise(resolve => {
      this.#waiting.push(resolve);
    });
  }

  /** The one key that is due, then null: what Ink expects of a readable stream. */
  read(): string | null {
    const key = this.#current;
    this.#current = null;
    return key;
  }

  setEncoding(encoding: BufferEncoding): this {
    this.#source.setEncoding(encoding);
    return this;
  }

  setRawMode(mode: boolean): this {
    this.#source.setRawMode?.(mode);
    return this;
  }

  ref(): this {
    this.#source.ref?.();
    return this;
  }

  unref(): this {
    this.#source.unref?.();
    return this;
  }

  /** Ink puts back what it read too much; the pump never gives it more than a key. */
  unshift(): void {}

  readonly #readSource = (): void => {
    for (let chunk = this.#source.read(); chunk !== null; chunk = this.#source.read())
      this.#tail += String(chunk);
    this.#split(false);
  };

  #split(whole: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const open = whole ? null : OPEN.exec(this.#tail);
    const cut = open?.index ?? this.#tail.length;
    const ready = this.#tail.slice(0, cut);
    this.#tail = this.#tail.slice(cut);
    for (const key of ready.match(KEY) ?? []) this.#enqueue(key);
    if (this.#tail !== '') this.#hold();
    this.#next();
  }

  /**
   * Takes the tail for whole when nothing follows in time. Where the machine was busy elsewhere, the rest may lie in the
   * terminal already when the time is over: it is read before that is decided, as timers come first in a turn.
   */
  #hold(): void {
    const timer = setTimeout(
      () =>
        setImmediate(() => {
          if (this.#timer === timer) this.#split(true);
        }),
      HOLD_MS,
    );
    this.#timer = timer;
  }

  #enqueue(key: string): void {
    if (REPORT.test(key)) return;
    const pasted = PASTE.exec(key)?.[1];
    const text = pasted === undefined ? key : cleanPaste(pasted);
    if (text !== '') this.#queue.push(text);
  }

  #next(): void {
    if (this.#busy) return;
    if (this.#queue.length === 0) this.#tellSettled();
    if (this.#queue.length === 0 || this.listenerCount('readable') === 0) return;
    this.#busy = true;
    // A frame can be on the screen before its handlers listen: whoever answers it at once must be heard.
    this.#settle(once(() => this.#deliver()));
  }

  #deliver(): void {
    const key = this.#queue.shift();
    if (key === undefined) {
      this.#release();
      return;
    }
    this.#current = key;
    try {
      this.emit('readable');
    } catch (error) {
      this.#onFault(error);
    }
    // Ink itself holds a lone Escape until the next turn of the event loop; only then has the key really arrived.
    setImmediate(() => this.#settle(once(() => this.#settled())));
  }

  /** Everything the key has caused is drawn: the next follows without asking again. */
  #settled(): void {
    if (this.#queue.length > 0 && this.listenerCount('readable') > 0) this.#deliver();
    else this.#release();
  }

  #release(): void {
    this.#busy = false;
    this.#next();
  }

  #isIdle(): boolean {
    return !this.#busy && this.#queue.length === 0 && this.#tail === '';
  }

  #tellSettled(): void {
    if (!this.#isIdle()) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

const cleanPaste = (text: string): string => text.replace(/[\x00-\x1f\x7f]+/g, ' ').trim();

const once = (run: () => void): (() => void) => {
  let ran = false;
  return () => {
    if (ran) return;
    ran = true;
    run();
  };
};
