/**
 * The other end of the milter protocol: holds conversations with a mail server (or with the probe) and lets a handler
 * judge each step. Used by the sandbox and by tests.
 */
import type {Duplex} from 'node:stream';
import type {ProbeStep} from './client.ts';
import {
  actions,
  decodeConnect,
  decodeMacros,
  decodeNegotiation,
  decodeStrings,
  encodeAddedHeader,
  encodeNegotiation,
  encodeStrings,
  type HeaderField,
  type Negotiation,
  type Packet,
  protocol,
} from './packets.ts';
import {PacketStream, StreamProblem} from './stream.ts';

/** What has been told about the message so far. */
export interface MilterSession {
  readonly client: {readonly host: string; readonly address: string; readonly port: number};
  readonly helo: string;
  /** Envelope addresses as sent, with angle brackets. */
  readonly from: string;
  readonly recipients: readonly string[];
  readonly headers: readonly HeaderField[];
  readonly body: Uint8Array;
  /** Every macro, the last value of each. */
  readonly macros: Readonly<Record<string, string>>;
}

export interface MilterAnswer {
  readonly verdict:
    | 'continue'
    | 'accept'
    | 'tempfail'
    | 'reject'
    | 'discard'
    | 'skip'
    | {readonly code: number; readonly text: string}
    /** Ends the connection without an answer, as a crashed milter does. */
    | 'hang-up';
  /** Header fields put before all others; only at the end of the message. The value begins after the colon's blank. */
  readonly insert?: readonly HeaderField[];
  /** Progress packets sent before the answer. */
  readonly progress?: number;
  /** Octets sent as they are before the answer, for what no milter should say. */
  readonly raw?: Uint8Array;
}

/** Judges one step. It is asked at every step that was negotiated; a silent step's answer is dropped. */
export type MilterHandler = (
  step: Exclude<ProbeStep, 'negotiate'>,
  session: MilterSession,
) => MilterAnswer | Promise<MilterAnswer>;

export interface MilterManner {
  readonly actions: number;
  readonly protocol: number;
}

/** As libmilter answers for a signer: headers are added, and it is asked at every step. */
const EVERY_STEP: MilterManner = {actions: 0x111, protocol: 0x10_0702};

type Client = MilterSession['client'];

interface Draft {
  client: Client;
  helo: string;
  from: string;
  recipients: string[];
  headers: HeaderField[];
  body: Uint8Array[];
  macros: Record<string, string>;
}

const steps: Readonly<Record<string, {step: Exclude<ProbeStep, 'negotiate'>; silent: number} | undefined>> = {
  C: {step: 'connect', silent: protocol.silentConnect},
  H: {step: 'helo', silent: protocol.silentHelo},
  M: {step: 'mail', silent: protocol.silentMail},
  R: {step: 'rcpt', silent: protocol.silentRcpt},
  T: {step: 'data', silent: protocol.silentData},
  L: {step: 'header', silent: protocol.silentHeader},
  N: {step: 'end-of-headers', silent: protocol.silentEndOfHeaders},
  B: {step: 'body', silent: protocol.silentBody},
  E: {step: 'end-of-message', silent: 0},
};

const verdicts: Readonly<Record<string, string>> = {
  continue: 'c',
  accept: 'a',
  tempfail: 't',
  reject: 'r',
  discard: 'd',
  skip: 's',
};

/**
 * Serves one connection until the peer quits or hangs up. Malformed packets end it: a milter owes no answer to
 * somebody who does not speak its protocol. Never rejects for what the peer does.
 */
export async function serveMilter(
  stream: Duplex,
  handler: MilterHandler,
  manner: MilterManner = EVERY_STEP,
): Promise<void> {
  const packets = new PacketStream(stream);
  try {
    const offer = await packets.next();
    if (offer === undefined) return;
    const negotiated = answerNegotiation(offer, manner);
    if (negotiated === undefined) return;
    packets.send(encodeNegotiation(negotiated));
    await serve(packets, handler, negotiated);
  } catch (error) {
    if (!(error instanceof StreamProblem)) throw error;
  } finally {
    packets.close();
  }
}

/** The part of what we want that was offered; undefined where the offer is none. */
function answerNegotiation(offer: Packet, manner: MilterManner): Negotiation | undefined {
  const wanted = decodeNegotiation(offer);
  if (!wanted.ok) return undefined;
  return {
    version: wanted.value.version,
    actions: manner.actions & wanted.value.actions,
    protocol: manner.protocol & wanted.value.protocol,
  };
}

async function serve(packets: PacketStream, handler: MilterHandler, negotiated: Negotiation): Promise<void> {
  let draft = emptyDraft({host: '', address: '', port: 0}, '');
  for (;;) {
    const packet = await packets.next();
    if (packet === undefined || packet.command === 'Q') return;
    if (packet.command === 'A') {
      draft = emptyDraft(draft.client, draft.helo);
      continue;
    }
    if (packet.command === 'K') {
      draft = emptyDraft({host: '', address: '', port: 0}, '');
      continue;
    }
    if (!take(draft, packet, negotiated)) return;
    const step = steps[packet.command];
    if (step === undefined) {
      // SMFIC_UNKNOWN and whatever later versions add: go on, as libmilter does.
      if (packet.command === 'U') packets.send({command: 'c', data: new Uint8Array(0)});
      continue;
    }
    const answer = await handler(step.step, sessionOf(draft));
    if (answer.verdict === 'hang-up') return;
    const silent = (negotiated.protocol & step.silent) !== 0;
    if (!silent) reply(packets, answer, negotiated, step.step === 'end-of-message');
    if (step.step === 'end-of-message') draft = emptyDraft(draft.client, draft.helo);
  }
}

/** Keeps what a packet tells; false where it is malformed. */
function take(draft: Draft, packet: Packet, negotiated: Negotiation): boolean {
  if (packet.command === 'D') {
    const macros = decodeMacros(packet.data);
    if (macros.ok) Object.assign(draft.macros, macros.value.macros);
    return macros.ok;
  }
  if (packet.command === 'C') {
    const client = decodeConnect(packet.data);
    if (client.ok) draft.client = client.value;
    return client.ok;
  }
  if (packet.command === 'B') {
    draft.body.push(packet.data);
    return true;
  }
  if (!'HMRL'.includes(packet.command)) return true;
  const strings = decodeStrings(packet.data);
  if (!strings.ok) return false;
  const [first, second] = strings.value;
  if (first === undefined) return false;
  if (packet.command === 'H') draft.helo = first;
  else if (packet.command === 'M') draft.from = first;
  else if (packet.command === 'R') draft.recipients.push(first);
  else {
    if (second === undefined || strings.value.length !== 2) return false;
    const spaced = (negotiated.protocol & protocol.leadingSpace) !== 0;
    draft.headers.push({name: first, value: spaced ? second.replace(/^ /, '') : second});
  }
  return true;
}

function reply(packets: PacketStream, answer: MilterAnswer, negotiated: Negotiation, last: boolean): void {
  for (let count = 0; count < (answer.progress ?? 0); count += 1) {
    packets.send({command: 'p', data: new Uint8Array(0)});
  }
  if (answer.raw !== undefined) packets.sendRaw(answer.raw);
  if (last && (negotiated.actions & actions.addHeaders) !== 0) {
    const spaced = (negotiated.protocol & protocol.leadingSpace) !== 0;
    for (const field of answer.insert ?? []) {
      const value = field.value.replaceAll('\r\n', '\n');
      packets.send(
        encodeAddedHeader({place: 'insert', index: 1, name: field.name, value: spaced ? ` ${value}` : value}),
      );
    }
  }
  if (typeof answer.verdict === 'object') {
    packets.send({command: 'y', data: encodeStrings([`${answer.verdict.code} ${answer.verdict.text}`])});
    return;
  }
  const command = verdicts[answer.verdict];
  if (command !== undefined) packets.send({command, data: new Uint8Array(0)});
}

const emptyDraft = (client: Client, helo: string): Draft => ({
  client,
  helo,
  from: '',
  recipients: [],
  headers: [],
  body: [],
  macros: {},
});

const sessionOf = (draft: Draft): MilterSession => ({
  client: draft.client,
  helo: draft.helo,
  from: draft.from,
  recipients: [...draft.recipients],
  headers: [...draft.headers],
  body: Buffer.concat(draft.body),
  macros: {...draft.macros},
});
