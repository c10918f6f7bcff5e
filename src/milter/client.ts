/**
 * Asks a milter about one message as a mail server would, without sending mail (libmilter's protocol, version 6).
 * What the milter answers is the result, whatever it is; only an abort is thrown.
 */
import type {Problem} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {
  type AddedHeader,
  actions,
  CHUNK_OCTETS,
  decodeAddedHeader,
  decodeNegotiation,
  decodeReply,
  encodeConnect,
  encodeHeader,
  encodeMacros,
  encodeNegotiation,
  encodeStrings,
  type HeaderField,
  MILTER_VERSION,
  type Negotiation,
  type Packet,
  protocol,
} from './packets.ts';
import {PacketStream, StreamProblem} from './stream.ts';

export interface ProbeMessage {
  readonly client: {
    readonly host: string;
    readonly address: string;
    readonly port: number;
    /** Value of {auth_type}, as `PLAIN`: the client has logged in. Absent: it has not. */
    readonly authType?: string;
    /** Value of {auth_authen} of a client that has logged in. Default: the sender. */
    readonly login?: string;
  };
  readonly helo: string;
  /** Name of the mail server, macro j. */
  readonly serverName: string;
  /** Macro i; the milter logs under it. */
  readonly queueId: string;
  /** Macros that are sent at the connection, over those that always are: `{daemon_name}`. */
  readonly macros?: Readonly<Record<string, string>>;
  /** Addresses without angle brackets; '' is the null sender. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly headers: readonly HeaderField[];
  /** CRLF lines. */
  readonly body: Uint8Array;
}

/** Where in the conversation something happened. */
export type ProbeStep =
  | 'negotiate'
  | 'connect'
  | 'helo'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'header'
  | 'end-of-headers'
  | 'body'
  | 'end-of-message';

export type FinalReply =
  | {readonly verdict: 'accept' | 'tempfail' | 'reject' | 'discard'}
  | {readonly verdict: 'reply'; readonly code: number; readonly text: string};

/** A change other than an added header. */
export type OtherChange =
  | 'header-changed'
  | 'body-replaced'
  | 'recipients-changed'
  | 'sender-changed'
  | 'quarantined';

export type ProbeOutcome =
  | {
      readonly ended: 'unreachable';
      readonly cause: 'missing' | 'denied' | 'refused' | 'timeout' | 'other';
      readonly detail: string;
    }
  | {
      readonly ended: 'broken';
      readonly step: ProbeStep;
      /** `not-a-milter`: something answers there, or hangs up, but does not negotiate. */
      readonly cause: 'not-a-milter' | 'timeout' | 'closed' | 'protocol';
      readonly detail: string;
      /** Why the daemon can't answer, where that was seen while it was waited for. */
      readonly stuck?: Problem;
    }
  | {
      readonly ended: 'answered';
      /** `end-of-message` unless the milter made up its mind earlier. */
      readonly step: ProbeStep;
      readonly reply: FinalReply;
      readonly negotiated: Negotiation;
      readonly added: readonly AddedHeader[];
      readonly changes: readonly OtherChange[];
    };

// No longer than mail servers wait for a milter, so that what is slow for them is slow here.
const CONNECT_MS = 30_000;
const REPLY_MS = 120_000;
const TOTAL_MS = 300_000;
// No filter says so much about one small message; whoever does would keep this process busy until the time is up.
const MOST_PACKETS = 2000;
const MOST_OCTETS = 4 << 20;

export interface ProbeOptions {
  /** Milliseconds for connecting; default 30 000. Like the others only for what hangs: a busy milter answers late. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds without any packet; a progress packet starts it again. Default 120 000. */
  readonly replyTimeoutMs?: number;
  /** Milliseconds for the whole conversation, progress or not. Default 300 000. */
  readonly totalTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

type Silence = Exclude<ProbeOutcome, {ended: 'answered'}>;

/** Holds one conversation about `message` with the milter at `endpoint`. Rejects only with the reason of an abort. */
export const probeMilter = async (
  ports: Pick<Ports, 'sockets' | 'clock'>,
  endpoint: SocketEndpoint,
  message: ProbeMessage,
  options: ProbeOptions = {},
): Promise<ProbeOutcome> =>
  await connected(ports, endpoint, options, conversation => converse(conversation, message));

/**
 * Only whether a milter answers at `endpoint`: connects, negotiates, and closes. It hears of no message. Rejects only
 * with the reason of an abort.
 */
export const greetMilter = async (
  ports: Pick<Ports, 'sockets' | 'clock'>,
  endpoint: SocketEndpoint,
  options: ProbeOptions = {},
): Promise<Silence | {readonly ended: 'greeted'}> =>
  await connected(ports, endpoint, options, async conversation => {
    await conversation.negotiate();
    return {ended: 'greeted'};
  });

async function connected<T>(
  ports: Pick<Ports, 'sockets' | 'clock'>,
  endpoint: SocketEndpoint,
  options: ProbeOptions,
  talk: (conversation: Conversation) => Promise<T>,
): Promise<T | Silence> {
  options.signal?.throwIfAborted();
  let stream: PacketStream;
  try {
    stream = new PacketStream(await ports.sockets.connect(endpoint, options.connectTimeoutMs ?? CONNECT_MS));
  } catch (error) {
    return unreachable(error);
  }
  try {
    return await talk(new Conversation(ports, stream, options));
  } catch (error) {
    if (error instanceof Broken) {
      const {step, cause, stuck} = error;
      const detail = visible(error.message);
      return {ended: 'broken', step, cause, detail, ...(stuck === undefined ? {} : {stuck})};
    }
    throw error;
  } finally {
    stream.close();
  }
}

function unreachable(error: unknown): Silence {
  const {code, message} = error as {readonly code?: string; readonly message?: string};
  const causes: Readonly<Record<string, 'missing' | 'denied' | 'refused' | 'timeout'>> = {
    ENOENT: 'missing',
    EACCES: 'denied',
    EPERM: 'denied',
    ECONNREFUSED: 'refused',
    ETIMEDOUT: 'timeout',
  };
  return {
    ended: 'unreachable',
    cause: causes[code ?? ''] ?? 'other',
    detail: visible(message ?? String(error)),
  };
}

class Broken extends Error {
  readonly step: ProbeStep;
  override readonly cause: 'not-a-milter' | 'timeout' | 'closed' | 'protocol';
  readonly stuck: Problem | undefined;

  constructor(step: ProbeStep, cause: Broken['cause'], detail: string, stuck?: Problem) {
    super(detail);
    this.step = step;
    this.cause = cause;
    this.stuck = stuck;
  }
}

/** What to send at a step, and which bits of the negotiation leave it or its answer out. */
interface Turn {
  readonly step: ProbeStep;
  readonly packet: Packet;
  readonly unwanted: number;
  readonly silent: number;
  readonly macros?: Readonly<Record<string, string>>;
}

async function converse(conversation: Conversation, message: ProbeMessage): Promise<ProbeOutcome> {
  const negotiated = await conversation.negotiate();
  for (const turn of turns(message, negotiated)) {
    const reply = await conversation.take(turn, negotiated);
    if (reply === 'continue') continue;
    return {ended: 'answered', step: turn.step, reply, negotiated, ...conversation.changes()};
  }
  return {
    ended: 'answered',
    ...(await conversation.finish(message, negotiated)),
    negotiated,
    ...conversation.changes(),
  };
}

/** Every step up to the body, in the order of SMTP. */
function* turns(message: ProbeMessage, negotiated: Negotiation): Generator<Turn> {
  const {client} = message;
  const bracketed = (address: string): Packet['data'] => encodeStrings([`<${address}>`]);
  yield {
    step: 'connect',
    packet: encodeConnect(client),
    unwanted: protocol.noConnect,
    silent: protocol.silentConnect,
    macros: {j: message.serverName, '{daemon_name}': message.serverName, v: 'waxseal', ...message.macros},
  };
  yield {
    step: 'helo',
    packet: {command: 'H', data: encodeStrings([message.helo])},
    unwanted: protocol.noHelo,
    silent: protocol.silentHelo,
  };
  yield {
    step: 'mail',
    packet: {command: 'M', data: bracketed(message.from)},
    unwanted: protocol.noMail,
    silent: protocol.silentMail,
    macros: {
      i: message.queueId,
      '{mail_addr}': message.from,
      ...(client.authType === undefined
        ? {}
        : {'{auth_type}': client.authType, '{auth_authen}': client.login ?? message.from}),
    },
  };
  for (const recipient of message.recipients) {
    yield {
      step: 'rcpt',
      packet: {command: 'R', data: bracketed(recipient)},
      unwanted: protocol.noRcpt,
      silent: protocol.silentRcpt,
      macros: {i: message.queueId, '{rcpt_addr}': recipient},
    };
  }
  yield {
    step: 'data',
    packet: {command: 'T', data: new Uint8Array(0)},
    unwanted: protocol.noData,
    silent: protocol.silentData,
    macros: {i: message.queueId},
  };
  const leadingSpace = (negotiated.protocol & protocol.leadingSpace) !== 0;
  for (const field of message.headers) {
    yield {
      step: 'header',
      packet: encodeHeader(field, leadingSpace),
      unwanted: protocol.noHeaders,
      silent: protocol.silentHeader,
    };
  }
  yield {
    step: 'end-of-headers',
    packet: {command: 'N', data: new Uint8Array(0)},
    unwanted: protocol.noEndOfHeaders,
    silent: protocol.silentEndOfHeaders,
    macros: {i: message.queueId},
  };
}

class Conversation {
  readonly #ports: Pick<Ports, 'clock'>;
  readonly #stream: PacketStream;
  readonly #options: ProbeOptions;
  readonly #deadlineMs: number;
  readonly #added: AddedHeader[] = [];
  readonly #changes = new Set<OtherChange>();
  #packets = 0;
  #octets = 0;

  constructor(ports: Pick<Ports, 'clock'>, stream: PacketStream, options: ProbeOptions) {
    this.#ports = ports;
    this.#stream = stream;
    this.#options = options;
    this.#deadlineMs = ports.clock.now().getTime() + (options.totalTimeoutMs ?? TOTAL_MS);
  }

  changes(): {readonly added: readonly AddedHeader[]; readonly changes: readonly OtherChange[]} {
    return {added: this.#added, changes: [...this.#changes]};
  }

  async negotiate(): Promise<Negotiation> {
    const offer = {version: MILTER_VERSION, actions: actions.all, protocol: protocol.all};
    this.#stream.send(encodeNegotiation(offer));
    const answer = decodeNegotiation(await this.#receive('negotiate'));
    if (!answer.ok) throw new Broken('negotiate', 'not-a-milter', answer.problem.message);
    const {value} = answer;
    // `>>> 0`: the operators work on signed numbers.
    if ((value.actions & ~offer.actions) >>> 0 !== 0 || (value.protocol & ~offer.protocol) >>> 0 !== 0) {
      throw new Broken('negotiate', 'protocol', 'the milter asks for what was not offered');
    }
    return value;
  }

  /** One step before the body. */
  async take(turn: Turn, negotiated: Negotiation): Promise<FinalReply | 'continue'> {
    if ((negotiated.protocol & turn.unwanted) !== 0) return 'continue';
    if (turn.macros !== undefined) this.#stream.send(encodeMacros(turn.packet.command, turn.macros));
    this.#stream.send(turn.packet);
    if ((negotiated.protocol & turn.silent) !== 0) return 'continue';
    const reply = await this.#reply(turn.step);
    if (reply === 'skip') throw new Broken(turn.step, 'protocol', 'skip is only for the body');
    return reply;
  }

  /** The body and the end of the message; here the milter may change the message. */
  async finish(
    message: ProbeMessage,
    negotiated: Negotiation,
  ): Promise<{readonly step: ProbeStep; readonly reply: FinalReply}> {
    if ((negotiated.protocol & protocol.noBody) === 0) {
      for (let at = 0; at < message.body.length; at += CHUNK_OCTETS) {
        this.#stream.send({command: 'B', data: message.body.subarray(at, at + CHUNK_OCTETS)});
        if ((negotiated.protocol & protocol.silentBody) !== 0) continue;
        const reply = await this.#reply('body');
        if (reply === 'skip') break;
        if (reply !== 'continue') return {step: 'body', reply};
      }
    }
    this.#stream.send(encodeMacros('E', {i: message.queueId}));
    this.#stream.send({command: 'E', data: new Uint8Array(0)});
    const reply = await this.#reply('end-of-message');
    this.#stream.send({command: 'Q', data: new Uint8Array(0)});
    if (reply === 'skip') throw new Broken('end-of-message', 'protocol', 'skip is only for the body');
    return {step: 'end-of-message', reply: reply === 'continue' ? {verdict: 'accept'} : reply};
  }

  /** Reads up to the answer of a step, past progress and, at the end of the message, past the changes. */
  async #reply(step: ProbeStep): Promise<FinalReply | 'continue' | 'skip'> {
    for (;;) {
      const packet = await this.#receive(step);
      switch (packet.command) {
        case 'c':
          return 'continue';
        case 's':
          return 'skip';
        case 'p':
          break;
        case 'a':
          return {verdict: 'accept'};
        case 't':
          return {verdict: 'tempfail'};
        case 'r':
          return {verdict: 'reject'};
        case 'd':
          return {verdict: 'discard'};
        case 'y': {
          const reply = decodeReply(packet.data);
          if (!reply.ok) throw new Broken(step, 'protocol', reply.problem.message);
          return {verdict: 'reply', code: reply.value.code, text: visible(reply.value.text)};
        }
        default:
          this.#change(step, packet);
      }
    }
  }

  #change(step: ProbeStep, packet: Packet): void {
    const others: Readonly<Record<string, OtherChange>> = {
      m: 'header-changed',
      b: 'body-replaced',
      '+': 'recipients-changed',
      '-': 'recipients-changed',
      '2': 'recipients-changed',
      e: 'sender-changed',
      q: 'quarantined',
    };
    const other = others[packet.command];
    if (step !== 'end-of-message') {
      throw new Broken(step, 'protocol', `${JSON.stringify(packet.command)} is no answer at this step`);
    }
    if (other !== undefined) {
      this.#changes.add(other);
      return;
    }
    if (packet.command !== 'i' && packet.command !== 'h') {
      throw new Broken(step, 'protocol', `${JSON.stringify(packet.command)} is not a known answer`);
    }
    const header = decodeAddedHeader(packet);
    if (!header.ok) throw new Broken(step, 'protocol', header.problem.message);
    this.#added.push(header.value);
  }

  async #receive(step: ProbeStep): Promise<Packet> {
    const left = this.#deadlineMs - this.#ports.clock.now().getTime();
    const wait = Math.max(0, Math.min(left, this.#options.replyTimeoutMs ?? REPLY_MS));
    try {
      const packet = await this.#stream.receive(this.#ports.clock, wait, this.#options.signal);
      this.#packets += 1;
      this.#octets += packet.data.length;
      if (this.#packets > MOST_PACKETS || this.#octets > MOST_OCTETS) {
        throw new Broken(step, 'protocol', 'the milter answers without end');
      }
      return packet;
    } catch (error) {
      if (!(error instanceof StreamProblem)) throw error;
      throw new Broken(step, causeOf(step, error), error.message, error.why);
    }
  }
}

function causeOf(step: ProbeStep, problem: StreamProblem): Broken['cause'] {
  if (problem.fault === 'timeout' || problem.why !== undefined) return 'timeout';
  // Whoever hangs up or talks of something else before the first milter packet is no milter
  // (daemons/postfix.md#strangers-on-the-socket: "can't read SMFIC_OPTNEG reply packet header").
  if (step === 'negotiate') return 'not-a-milter';
  return problem.fault === 'malformed' ? 'protocol' : 'closed';
}
