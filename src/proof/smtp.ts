/** Hands one message to a mail server on this host by SMTP (RFC 5321), in the plainest way. */
import type {Duplex} from 'node:stream';
import {visible} from '../domain/text.ts';
import type {Clock, Ports, SocketEndpoint} from '../system/ports.ts';

export interface SmtpMail {
  readonly from: string;
  readonly recipient: string;
  /** Octets with CRLF line ends. */
  readonly message: Uint8Array;
}

export type SmtpStep = 'greeting' | 'EHLO' | 'MAIL' | 'RCPT' | 'DATA' | 'message';

export type SmtpOutcome =
  | {readonly ended: 'unreachable'; readonly code: string; readonly detail: string}
  /** No whole reply came: the server hung up, was silent too long or does not speak SMTP. */
  | {readonly ended: 'broken'; readonly step: SmtpStep; readonly detail: string}
  | {readonly ended: 'refused'; readonly step: SmtpStep; readonly code: number; readonly text: string}
  | {readonly ended: 'accepted'; readonly text: string};

const CONNECT_TIMEOUT_MS = 30_000;
/** RFC 5321 §4.5.3.2 gives a server five minutes for most replies: a busy one is not a dead one, which hangs up. */
const REPLY_TIMEOUT_MS = 300_000;
const QUIT_TIMEOUT_MS = 2000;
/** RFC 5321 §4.5.3.1.5 allows 512 octets a line; a reply of many long lines is no reply to us. */
const MAX_REPLY = 65_536;

/** Sends the message; every outcome is a value, only an abort is thrown. Asks for no delivery notice (RFC 3461). */
export async function sendBySmtp(
  ports: Pick<Ports, 'sockets' | 'clock'>,
  endpoint: SocketEndpoint,
  mail: SmtpMail,
  signal?: AbortSignal,
): Promise<SmtpOutcome> {
  signal?.throwIfAborted();
  let stream: Duplex;
  try {
    stream = await ports.sockets.connect(endpoint, CONNECT_TIMEOUT_MS);
  } catch (error) {
    const {code, message} = error as {readonly code?: string; readonly message?: string};
    return {ended: 'unreachable', code: code ?? '', detail: visible(message ?? String(error))};
  }
  const lines = new Replies(stream, ports.clock, signal);
  try {
    return await converse(lines, mail);
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof NoReply)) throw error;
    return {ended: 'broken', step: error.step, detail: visible(error.message)};
  } finally {
    stream.end();
    stream.destroy();
  }
}

async function converse(lines: Replies, mail: SmtpMail): Promise<SmtpOutcome> {
  const greeting = await lines.reply('greeting');
  if (greeting.code !== 220) return refusal('greeting', greeting);
  // An address literal (RFC 5321 §4.1.4) passes the checks that a name of this host may not.
  const hello = await lines.ask('EHLO', 'EHLO [127.0.0.1]');
  if (hello.code !== 250) return refusal('EHLO', hello);
  const notices = hello.lines.some(line => /^DSN\b/i.test(line)) ? ' NOTIFY=NEVER' : '';
  const from = await lines.ask('MAIL', `MAIL FROM:<${mail.from}>`);
  if (from.code !== 250) return refusal('MAIL', from);
  const recipient = await lines.ask('RCPT', `RCPT TO:<${mail.recipient}>${notices}`);
  if (recipient.code !== 250 && recipient.code !== 251) return refusal('RCPT', recipient);
  const data = await lines.ask('DATA', 'DATA');
  if (data.code !== 354) return refusal('DATA', data);
  const end = await lines.send('message', stuffed(mail.message));
  if (end.code !== 250) return refusal('message', end);
  await lines.quit();
  return {ended: 'accepted', text: visible(end.lines.join(' '))};
}

const refusal = (step: SmtpStep, reply: Reply): SmtpOutcome => ({
  ended: 'refused',
  step,
  code: reply.code,
  text: visible(reply.lines.join(' ')),
});

/** The message with its dots doubled (RFC 5321 §4.5.2) and the end of data after it. */
function stuffed(message: Uint8Array): Uint8Array {
  const text = Buffer.from(message).toString('latin1');
  const whole = text.endsWith('\r\n') ? text : `${text}\r\n`;
  return Buffer.from(`${whole.replaceAll(/^\./gm, '..')}.\r\n`, 'latin1');
}

interface Reply {
  readonly code: number;
  readonly lines: readonly string[];
}

class NoReply extends Error {
  readonly step: SmtpStep;

  constructor(step: SmtpStep, detail: string) {
    super(detail);
    this.step = step;
  }
}

/** The server's side of the conversation, reply by reply. */
class Replies {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #text = '';
  #ended: string | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Duplex, clock: Clock, signal: AbortSignal | undefined) {
    this.#stream = stream;
    this.#clock = clock;
    this.#signal = signal;
    stream.on('data', (chunk: Uint8Array) => {
      this.#text += Buffer.from(chunk).toString('latin1');
      this.#wake?.();
    });
    stream.on('end', () => this.#end('the server closed the connection'));
    stream.on('close', () => this.#end('the connection is closed'));
    stream.on('error', error => this.#end(error.message));
  }

  ask(step: SmtpStep, command: string): Promise<Reply> {
    return this.send(step, Buffer.from(`${command}\r\n`, 'latin1'));
  }

  send(step: SmtpStep, octets: Uint8Array): Promise<Reply> {
    if (this.#ended === undefined) this.#stream.write(octets);
    return this.reply(step);
  }

  /** Takes leave; whether the server answers does not matter any more. */
  async quit(): Promise<void> {
    if (this.#ended !== undefined) return;
    this.#stream.write('QUIT\r\n');
    try {
      await this.reply('message', QUIT_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof NoReply)) throw error;
    }
  }

  async reply(step: SmtpStep, timeoutMs = REPLY_TIMEOUT_MS): Promise<Reply> {
    const stop = new AbortController();
    const timer = this.#clock.sleep(timeoutMs, stop.signal).then(
      () => this.#end('the server did not answer in time'),
      () => undefined,
    );
    const onAbort = (): void => this.#end('stopped');
    this.#signal?.addEventListener('abort', onAbort, {once: true});
    try {
      for (;;) {
        this.#signal?.throwIfAborted();
        const reply = this.#take(step);
        if (reply !== undefined) return reply;
        if (this.#ended !== undefined) throw new NoReply(step, this.#ended);
        await new Promise<void>(resolve => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#signal?.removeEventListener('abort', onAbort);
      stop.abort();
      await timer;
    }
  }

  /** A whole reply from what has come, `250-one` lines and the last `250 two`. */
  #take(step: SmtpStep): Reply | undefined {
    const lines: string[] = [];
    let at = 0;
    for (;;) {
      const end = this.#text.indexOf('\n', at);
      if (end < 0) {
        if (this.#text.length > MAX_REPLY) throw new NoReply(step, 'the reply has no end');
        return undefined;
      }
      const line = this.#text.slice(at, end).replace(/\r$/, '');
      at = end + 1;
      const match = /^([2-5]\d\d)([ -]|$)(.*)$/s.exec(line);
      if (match === null) throw new NoReply(step, `this is no SMTP reply: ${line.slice(0, 60)}`);
      lines.push(match[3] ?? '');
      if (match[2] === '-') continue;
      this.#text = this.#text.slice(at);
      return {code: Number(match[1]), lines};
    }
  }

  #end(why: string): void {
    this.#ended ??= why;
    this.#wake?.();
  }
}
