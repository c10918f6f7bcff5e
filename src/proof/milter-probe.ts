/** Proves that the signer at an endpoint signs for a domain, without sending mail. */

import type {KeyLookup} from '../dkim/index.ts';
import type {DomainName, DomainSelector} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {
  type FinalReply,
  type ProbeMessage,
  type ProbeOptions,
  type ProbeOutcome,
  probeMilter,
} from '../milter/client.ts';
import {protocol} from '../milter/packets.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {type Fault, faultOf} from './fault.ts';
import {type Finding, failed} from './finding.ts';
import {composeProof, octetsOf, type ProofMail, proofToken} from './message.ts';
import {judgeSignatures} from './signature.ts';

export type ProbePorts = Pick<Ports, 'sockets' | 'clock' | 'random'>;

/** A key that must sign mail, and whose. */
export interface SenderKey extends DomainSelector {
  /** The domain in From; absent where it is that of the key (d=). */
  readonly sender?: DomainName;
}

export const senderOf = ({sender, domain}: SenderKey): DomainName => sender ?? domain;

export interface MilterTarget extends SenderKey {
  readonly endpoint: SocketEndpoint;
  readonly lookup: KeyLookup;
  /** {@link PATIENT} unless others are given. */
  readonly limits?: Pick<ProbeOptions, 'connectTimeoutMs' | 'replyTimeoutMs' | 'totalTimeoutMs'>;
  readonly signal?: AbortSignal;
}

/**
 * Only for what hangs: a milter that is busy answers late, and one that is gone ends the connection. Mail servers wait as
 * long (30 s for a command, 300 s for the content).
 */
export const PATIENT = {connectTimeoutMs: 30_000, replyTimeoutMs: 120_000, totalTimeoutMs: 300_000} as const;

/**
 * Asks the milter at `endpoint` about a message from postmaster of the sender's domain as a client on this host (127.0.0.1), and
 * verifies what it adds. Rejects only with the reason of an abort.
 */
export async function probeSigning(
  ports: ProbePorts,
  target: MilterTarget,
  token: string = proofToken(ports.random),
): Promise<Finding | Fault> {
  const now = ports.clock.now();
  const sender = senderOf(target);
  const mail = composeProof(token, sender, now);
  const outcome = await probeMilter(ports, target.endpoint, asInternalClient(mail, sender), {
    ...(target.limits ?? PATIENT),
    ...(target.signal === undefined ? {} : {signal: target.signal}),
  });
  if (outcome.ended !== 'answered') return notAnswered(outcome, target.endpoint);
  if (!isAccepting(outcome.reply)) return refusedBy(outcome);
  return (await judgeSignatures(withAddedFields(mail, outcome), {...target, now})) ?? unsigned(outcome);
}

/** The name under which the milter logs a probe. */
export const queueIdOf = (token: string): string => token.toUpperCase();

/** A message of a program on this host, which every signer signs for. */
export function asInternalClient(mail: ProofMail, domain: string): ProbeMessage {
  return {
    client: {host: 'localhost', address: '127.0.0.1', port: 25},
    helo: 'localhost',
    serverName: domain,
    queueId: queueIdOf(mail.token),
    from: mail.from,
    recipients: [mail.recipient],
    headers: mail.headers,
    body: mail.body,
  };
}

type Answered = Extract<ProbeOutcome, {ended: 'answered'}>;

const isAccepting = (reply: FinalReply): boolean => reply.verdict === 'accept';

/** The message as it would go on: a mail server writes an added field as name, colon, blank (unless negotiated), value. */
function withAddedFields(mail: ProofMail, outcome: Answered): Uint8Array {
  const blank = (outcome.negotiated.protocol & protocol.leadingSpace) === 0 ? ' ' : '';
  const fields = outcome.added.map(
    header => `${header.name}:${blank}${header.value.replaceAll(/\r?\n/g, '\r\n')}\r\n`,
  );
  return Buffer.concat([Buffer.from(fields.join(''), 'latin1'), octetsOf(mail)]);
}

export const endpointText = (endpoint: SocketEndpoint): string =>
  visible(endpoint.kind === 'unix' ? `unix:${endpoint.path}` : `inet:${endpoint.host}:${endpoint.port}`);

function notAnswered(
  outcome: Exclude<ProbeOutcome, {ended: 'answered'}>,
  endpoint: SocketEndpoint,
): Finding | Fault {
  const where = endpointText(endpoint);
  const evidence = `${where}: ${outcome.detail}`;
  if (outcome.ended === 'unreachable') {
    switch (outcome.cause) {
      case 'missing':
        return faultOf('socket.missing', evidence);
      case 'denied':
        return faultOf('socket.denied', evidence);
      case 'refused':
        return faultOf('socket.refused', evidence);
      default:
        return failed(evidence, 'The signer cannot be reached.', `Look who listens at ${where}: ss -lxtp`);
    }
  }
  const at = `${evidence} (at ${outcome.step})`;
  if (outcome.stuck !== undefined) return failed(at, outcome.stuck.message, outcome.stuck.hint);
  switch (outcome.cause) {
    case 'not-a-milter':
      return failed(
        at,
        'Something listens there that does not speak the milter protocol.',
        `Look who listens at ${where}: ss -lxtp; give the signer a socket of its own.`,
      );
    case 'timeout':
      return faultOf('milter.timeout', at);
    case 'closed':
      return faultOf('milter.closed', at);
    default:
      return faultOf('milter.protocol', at);
  }
}

function refusedBy({reply, step}: Answered): Fault {
  const evidence =
    reply.verdict === 'reply'
      ? `the signer answers ${reply.code} ${reply.text} at ${step}`
      : `the signer answers ${reply.verdict} at ${step}`;
  const isTemporary = reply.verdict === 'tempfail' || (reply.verdict === 'reply' && reply.code < 500);
  if (isTemporary) return faultOf('reply.tempfail', evidence);
  return faultOf(reply.verdict === 'discard' ? 'reply.discard' : 'reply.refused', evidence);
}

function unsigned({step}: Answered): Fault {
  const early = step === 'end-of-message' ? '' : ` already at ${step}`;
  return faultOf('signature.none', `the message is accepted${early} without a signature`);
}
