/** Whole packets over a byte stream, with a time limit for each and an end that is never missed. */
import type {Duplex} from 'node:stream';
import {ToolError} from '../domain/errors.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {Clock} from '../system/ports.ts';
import {encodePacket, type Packet, takePacket} from './packets.ts';

export type StreamFault = 'timeout' | 'closed' | 'malformed' | 'failed';

/** Why no packet came. `detail` is not yet made harmless for a terminal. */
export class StreamProblem extends Error {
  readonly fault: StreamFault;
  /** Set where this program has ended the connection, for this reason. */
  readonly why: Problem | undefined;

  constructor(fault: StreamFault, detail: string, why?: Problem) {
    super(detail);
    this.fault = fault;
    this.why = why;
  }
}

/** One end of a milter conversation. Listens from the moment it is made, so that no octet and no error is lost. */
export class PacketStream {
  readonly #stream: Duplex;
  #octets: Uint8Array = new Uint8Array(0);
  #ended: StreamProblem | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', (chunk: Uint8Array) => {
      this.#octets = this.#octets.length === 0 ? chunk : Buffer.concat([this.#octets, chunk]);
      this.#wake?.();
    });
    stream.on('end', () => this.#end(new StreamProblem('closed', 'the peer closed the connection')));
    stream.on('close', () => this.#end(new StreamProblem('closed', 'the connection is closed')));
    stream.on('error', error => this.#end(faultOf(error)));
  }

  /** Writes without waiting for the peer; a broken pipe is reported by the next `receive`. */
  send(packet: Packet): void {
    this.sendRaw(encodePacket(packet));
  }

  /** Octets that are no packet, for tests of the other end. */
  sendRaw(octets: Uint8Array): void {
    if (this.#ended === undefined && this.#stream.writable) this.#stream.write(octets);
  }

  /** The next packet; undefined after a clean end between packets. Throws StreamProblem. */
  async next(): Promise<Packet | undefined> {
    for (;;) {
      const taken = takePacket(this.#octets);
      if (!taken.ok) throw new StreamProblem('malformed', taken.problem.message);
      if (taken.value !== undefined) {
        this.#octets = taken.value.rest;
        return taken.value.packet;
      }
      if (this.#ended !== undefined) {
        if (this.#ended.fault === 'closed' && this.#octets.length === 0) return undefined;
        throw this.#ended;
      }
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** As `next`, but an end, the passing of `timeoutMs` or an abort is an error too. */
  async receive(clock: Clock, timeoutMs: number, signal?: AbortSignal): Promise<Packet> {
    signal?.throwIfAborted();
    const stop = new AbortController();
    const timer = clock.sleep(timeoutMs, stop.signal).then(
      () => this.#end(new StreamProblem('timeout', `no answer within ${timeoutMs} ms`)),
      () => undefined,
    );
    const onAbort = (): void => this.#end(new StreamProblem('failed', 'stopped'));
    signal?.addEventListener('abort', onAbort, {once: true});
    try {
      const packet = await this.next();
      if (packet === undefined) throw new StreamProblem('closed', 'the peer closed the connection');
      return packet;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      stop.abort();
      await timer;
    }
  }

  close(): void {
    this.#stream.end();
    this.#stream.destroy();
  }

  #end(problem: StreamProblem): void {
    this.#ended ??= problem;
    this.#wake?.();
  }
}

function faultOf(error: Error & {readonly code?: unknown}): StreamProblem {
  if (error instanceof ToolError) {
    return new StreamProblem('failed', error.message, problem(error.id, error.message, error.hint));
  }
  const gone = error.code === 'ECONNRESET' || error.code === 'EPIPE';
  return new StreamProblem(gone ? 'closed' : 'failed', error.message);
}
