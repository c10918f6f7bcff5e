/** Proves that the signer at an endpoint signs for a domain, without sending mail. */

import type {KeyLookup} from '../dkim/index.ts';
import type {DomainSelector} from '../domain/names.ts';
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
import {checkFrom, type Finding, failed} from './finding.ts';
import {composeProof, octetsOf, type ProofMail, proofToken} from './message.ts';
import type {Check} from './proof.ts';
import {judgeSignatures} from './signature.ts';

export type ProbePorts = Pick<Ports, 'sockets' | 'clock' | 'random'>;

export interface MilterTarget extends DomainSelector {
  readonly endpoint: SocketEndpoint;
  readonly lookup: KeyLookup;
  /** {@link PATIENT} unless others are given. */
  readonly limits?: Pick<ProbeOptions, 'connectTimeoutMs' | 'replyTimeoutMs' | 'totalTimeoutMs'>;
  readonly signal?: AbortSignal;
}

/**
 * Only for what hangs: a milter that is busy answers late, and one that is gone ends the connection. Postfix itself waits
 * as long (milter_command_timeout 30 s, milter_content_timeout 300 s).
 */
export const PATIENT = {connectTimeoutMs: 30_000, replyTimeoutMs: 120_000, totalTimeoutMs: 300_000} as const;

/**
 * Asks the milter at `endpoint` about a message from `postmaster@domain` as a client on this host (127.0.0.1), and
 * verifies what it adds. One check, `live.milter` unless another id is given. Rejects only with the reason of an abort.
 */
export async function proveMilter(
  ports: ProbePorts,
  target: MilterTarget,
  as: {readonly id: string; readonly title: string} = {
    id: 'live.milter',
    title: 'The signer signs a message on its socket',
  },
): Promise<Check> {
  return checkFrom(as.id, as.title, await probeSigning(ports, target));
}

/** As {@link proveMilter}, before it becomes a check. */
export async function probeSigning(
  ports: ProbePorts,
  target: MilterTarget,
  token: string = proofToken(ports.random),
): Promise<Finding> {
  const now = ports.clock.now();
  const mail = composeProof(token, target.domain, now);
  const outcome = await probeMilter(ports, target.endpoint, asInternalClient(mail, target.domain), {
    ...(target.limits ?? PATIENT),
    ...(target.signal === undefined ? {} : {signal: target.signal}),
  });
  if (outcome.ended !== 'answered') return notAnswered(outcome, target.endpoint);
  if (!isAccepting(outcome.reply)) return refusedBy(outcome);
  return (
    (await judgeSignatures(withAddedFields(mail, outcome), {...target, now})) ?? unsigned(outcome, target)
  );
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

/** The message as it would go on: Postfix writes an added field as name, colon, blank (unless negotiated), value. */
function withAddedFields(mail: ProofMail, outcome: Answered): Uint8Array {
  const blank = (outcome.negotiated.protocol & protocol.leadingSpace) === 0 ? ' ' : '';
  const fields = outcome.added.map(
    header => `${header.name}:${blank}${header.value.replaceAll(/\r?\n/g, '\r\n')}\r\n`,
  );
  return Buffer.concat([Buffer.from(fields.join(''), 'latin1'), octetsOf(mail)]);
}

export const endpointText = (endpoint: SocketEndpoint): string =>
  visible(endpoint.kind === 'unix' ? `unix:${endpoint.path}` : `inet:${endpoint.host}:${endpoint.port}`);

function notAnswered(outcome: Exclude<ProbeOutcome, {ended: 'answered'}>, endpoint: SocketEndpoint): Finding {
  const where = endpointText(endpoint);
  const evidence = `${where}: ${outcome.detail}`;
  if (outcome.ended === 'unreachable') {
    switch (outcome.cause) {
      case 'missing':
        return failed(
          evidence,
          'There is no socket at this path: the signer does not run, or its Socket names another path.',
          'systemctl status opendkim; compare Socket in opendkim.conf with smtpd_milters in main.cf.',
        );
      case 'denied':
        return failed(
          evidence,
          'The socket or its directory may not be used.',
          'The directory should be opendkim:postfix 2750, and UMask 007 in opendkim.conf.',
        );
      case 'refused':
        return failed(
          evidence,
          'Nobody listens there: the signer has died and left its socket, or is still starting.',
          'systemctl restart opendkim; then journalctl -t opendkim -n 20',
        );
      default:
        return failed(evidence, 'The signer cannot be reached.', `Look who listens at ${where}: ss -lxtp`);
    }
  }
  const at = `${evidence} (at ${outcome.step})`;
  switch (outcome.cause) {
    case 'not-a-milter':
      return failed(
        at,
        'Something listens there that does not speak the milter protocol.',
        `Look who listens at ${where}: ss -lxtp; give the signer a socket of its own.`,
      );
    case 'timeout':
      return failed(
        at,
        'The signer does not answer in time; often it waits for a resolver or a database.',
        'journalctl -t opendkim -n 20; try Nameservers in opendkim.conf.',
      );
    case 'closed':
      return failed(
        at,
        'The signer ended the connection in the middle; it may have crashed.',
        'journalctl -u opendkim -n 20',
      );
    default:
      return failed(at, 'The signer does not keep to the milter protocol.', 'journalctl -t opendkim -n 20');
  }
}

function refusedBy(outcome: Answered): Finding {
  const {reply} = outcome;
  const evidence =
    reply.verdict === 'reply'
      ? `the signer answers ${reply.code} ${reply.text} at ${outcome.step}`
      : `the signer answers ${reply.verdict} at ${outcome.step}`;
  const temporary = reply.verdict === 'tempfail' || (reply.verdict === 'reply' && reply.code < 500);
  if (temporary) {
    return failed(
      evidence,
      'The signer cannot use the key: it may not be read, its permissions are not safe, it is damaged, or a table row is wrong.',
      'journalctl -t opendkim -n 20 names it; key files should be opendkim:opendkim 0600 in directories of opendkim or root that nobody else can write.',
    );
  }
  return failed(
    evidence,
    reply.verdict === 'discard'
      ? 'The signer drops the message.'
      : 'The signer refuses the message for good; with OpenDKIM the key is most often too small (MinimumKeyBits).',
    'journalctl -t opendkim -n 20',
  );
}

function unsigned(outcome: Answered, target: MilterTarget): Finding {
  const early = outcome.step === 'end-of-message' ? '' : ` already at ${outcome.step}`;
  return failed(
    `the message is accepted${early} without a signature`,
    `No row of the signing table matches postmaster@${target.domain}, 127.0.0.1 is not among InternalHosts, or Mode has no s.`,
    `The signing table (refile:) needs "*@${target.domain} ${target.selector}._domainkey.${target.domain}", InternalHosts needs 127.0.0.1; LogWhy yes tells more.`,
  );
}
