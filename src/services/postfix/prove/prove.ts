/** One real message through Postfix, by sendmail(1) or by SMTP, caught in the queue and removed. */

import type {AbsolutePath} from '../../../domain/paths.ts';
import {visible} from '../../../domain/text.ts';
import type {Finding} from '../../../proof/finding.ts';
import {shownLine} from '../../../proof/journal.ts';
import {octetsOf} from '../../../proof/message.ts';
import {sendBySmtp} from '../../../proof/smtp.ts';
import type {Caught, ProofSubmission, ProvePorts} from '../../mta.ts';
import {isQueueId} from '../queued.ts';
import {awaitQueued, removeQueued} from './queue.ts';
import {heldBack, leftIn, lost, notAccepted, notSent, notTaken, type Submitted, unsigned} from './reasons.ts';
import {readRoute} from './route.ts';

/** @param configDirectory that of main.cf; as `Mta.prove` otherwise */
export async function proveByMail(
  ports: ProvePorts,
  configDirectory: AbsolutePath,
  submission: ProofSubmission,
  signal: AbortSignal | undefined,
): Promise<Caught> {
  signal?.throwIfAborted();
  const {mail, way} = submission;
  const since = ports.clock.now();
  const route = await readRoute(ports, configDirectory, mail.from, mail.recipient);
  const leaves = route.leaves[way];
  if (leaves !== undefined) return {ended: 'stopped', finding: notSent(leaves, mail.from)};
  const sent: Attempt['sent'] = {id: undefined};
  let caught: Caught;
  try {
    caught = await sendAndCatch(ports, {submission, route, since, sent, signal});
  } catch (error) {
    await removeQueued(ports, mail.token, sent.id);
    throw error;
  }
  if (await removeQueued(ports, mail.token, sent.id)) return caught;
  return {...caught, left: leftIn(mail.token)};
}

/** `sent` is filled in as soon as it is known, for the removal. */
interface Attempt extends Submitted {
  readonly sent: {id: string | undefined};
  readonly signal: AbortSignal | undefined;
}

async function sendAndCatch(ports: ProvePorts, attempt: Attempt): Promise<Caught> {
  const {submission, since, sent, signal} = attempt;
  const {mail, way, signer} = submission;
  const refused = await (way === 'sendmail' ? bySendmail(ports, attempt) : bySmtp(ports, attempt));
  if (refused !== undefined) return {ended: 'stopped', finding: refused};
  const queued = await awaitQueued(ports, mail.token, since, sent.id, signal);
  if (queued.state === 'missing') return {ended: 'stopped', finding: lost(mail.token)};
  sent.id = queued.id;
  if (queued.state === 'maildrop') {
    return {ended: 'stopped', finding: await heldBack(ports, since, signer)};
  }
  return {ended: 'caught', message: queued.message, unsigned: () => unsigned(ports, attempt)};
}

async function bySendmail(ports: ProvePorts, attempt: Attempt): Promise<Finding | undefined> {
  const {submission, route, signal} = attempt;
  const {mail} = submission;
  const program = route.settings.get('sendmail_path') || '/usr/sbin/sendmail';
  const {status, stderr, ended} = await ports.commands.run(
    // -Nnever: no notice to anybody, should the message bounce (RFC 3461).
    [program, '-i', '-Nnever', '-f', mail.from, mail.recipient],
    {
      input: Buffer.from(Buffer.from(octetsOf(mail)).toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
      ...(signal === undefined ? {} : {signal}),
    },
  );
  signal?.throwIfAborted();
  if (status === 0) return undefined;
  return notTaken(
    ended === 'missing'
      ? `no such program: ${visible(program)}`
      : `sendmail ended with status ${status}: ${lastLine(stderr)}`,
  );
}

const lastLine = (text: string): string =>
  shownLine(
    text
      .split('\n')
      .filter(line => line.trim() !== '')
      .at(-1) ?? '',
  );

async function bySmtp(ports: ProvePorts, attempt: Attempt): Promise<Finding | undefined> {
  const {mail, smtp} = attempt.submission;
  const outcome = await sendBySmtp(
    ports,
    smtp,
    {from: mail.from, recipient: mail.recipient, message: octetsOf(mail)},
    attempt.signal,
  );
  if (outcome.ended !== 'accepted') return await notAccepted(ports, outcome, attempt);
  const [, id = ''] = /\bqueued as (\w+)/.exec(outcome.text) ?? [];
  if (isQueueId(id)) attempt.sent.id = id;
  return undefined;
}
