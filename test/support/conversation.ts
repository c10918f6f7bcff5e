/** A person at the plain view: waits for words on the screen, types a line, and keeps what was to be seen. */
import {PassThrough} from 'node:stream';
import type {Report} from '../../src/flow/report.ts';
import type {Session} from '../../src/flow/state.ts';
import {runPlain} from '../../src/views/plain/run.ts';
import {PATIENCE_MS} from './patience.ts';

export class Conversation {
  readonly #input = new PassThrough();
  readonly #report: Promise<Report>;
  #screen = '';
  #errors = '';
  #read = 0;

  constructor(session: Session, options: {readonly interactive?: boolean; readonly quiet?: boolean} = {}) {
    const output = new PassThrough();
    const errors = new PassThrough();
    output.on('data', chunk => {
      this.#screen += String(chunk);
    });
    errors.on('data', chunk => {
      this.#errors += String(chunk);
    });
    const {interactive = true, quiet = false} = options;
    this.#report = runPlain(session, {input: this.#input, output, errors, interactive, quiet});
  }

  /** Waits until `words` stand on the screen after everything that was answered so far. */
  async sees(words: string | RegExp, withinMs = PATIENCE_MS): Promise<this> {
    const end = performance.now() + withinMs;
    for (;;) {
      const rest = this.#screen.slice(this.#read);
      if (typeof words === 'string' ? rest.includes(words) : words.test(rest)) return this;
      if (performance.now() > end) throw new Error(`${String(words)} never came; on the screen:\n${rest}`);
      await new Promise(resolve => setTimeout(resolve, 2));
    }
  }

  /** Waits for an open prompt with these words, then types a line as the terminal would echo it. */
  async types(words: string, line: string): Promise<this> {
    await this.sees(words);
    this.#read = this.#screen.length;
    this.#screen += `${line}\n`;
    this.#input.write(`${line}\n`);
    return this;
  }

  hangUp(): void {
    this.#input.end();
  }

  /** The terminal is gone: reading fails as it does after a hang-up. */
  breaks(): void {
    this.#input.on('error', () => undefined);
    this.#input.destroy(Object.assign(new Error('read EIO'), {code: 'EIO'}));
  }

  /** Several lines in one chunk, as a paste or an impatient person sends them. */
  pastes(text: string): void {
    this.#input.write(text);
  }

  async ends(): Promise<{readonly report: Report; readonly screen: string; readonly errors: string}> {
    const report = await this.#report;
    await new Promise(resolve => setImmediate(resolve));
    return {report, screen: this.#screen, errors: this.#errors};
  }
}
