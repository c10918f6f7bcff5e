/** One real message through Postfix, by sendmail(1) or by SMTP, caught in the queue, judged and removed. */

import type {KeyLookup} from '../../../dkim/index.ts';
import {command} from '../../../domain/command.ts';
import type {DomainSelector} from '../../../domain/names.ts';
import {visible} from '../../../domain/text.ts';
import {type Finding, failed, skipped, warned} from '../../../proof/finding.ts';
import {journalLines, shownLine} from '../../../proof/journal.ts';
import {composeProof, octetsOf, type ProofMail, proofToken} from '../../../proof/message.ts';
import {judgeSignatures} from '../../../proof/signature.ts';
import {type SmtpOutcome, sendBySmtp} from '../../../proof/smtp.ts';
import type {Ports, SocketEndpoint} from '../../../system/ports.ts';
import {awaitQueued, removeQueued} from './queue.ts';
import {effectiveFor, INTAKE, type MailRoute, readRoute, type Way} from './route.ts';

export type MailPorts = Pick<Ports, 'commands' | 'sockets' | 'clock' | 'random'>;

export interface MailTarget extends DomainSelector {
  readonly way: Way;
  readonly lookup: KeyLookup;
  /** Directory of main.cf. */
  readonly configDirectory: string;
  /** Where SMTP is spoken; 127.0.0.1:25. */
  readonly smtp: SocketEndpoint;
  /** Programs beside OpenDKIM that sign here, or may. */
  readonly others?: readonly {readonly name: string}[];
  readonly signal?: AbortSignal;
}

/**
 * Sends the message and says whether exactly one good signature of the expected domain and selector was put on it.
 * Nothing is sent where it could leave the host (`warn`). The message is removed from the queue whatever happens;
 * rejects only with the reason of an abort.
 */
export async function testMail(ports: MailPorts, target: MailTarget): Promise<Finding> {
  target.signal?.throwIfAborted();
  const token = proofToken(ports.random);
  const since = ports.clock.now();
  const mail = composeProof(token, target.domain, since);
  const route = await readRoute(ports, target.configDirectory, mail.from, mail.recipient);
  const leaves = route.leaves[target.way];
  if (leaves !== undefined) {
    return warned(
      `not sent: ${leaves}`,
      'A test message could leave this host, so none was sent; the signer itself was asked on its socket.',
      `Send a message from ${target.domain} to a mailbox of your own and look for "dkim=pass" in its header.`,
    );
  }
  const sent: Sent = {id: undefined};
  let finding: Finding;
  try {
    finding = await sendAndJudge(ports, target, {mail, route, since, sent});
  } catch (error) {
    await removeQueued(ports, token, sent.id);
    throw error;
  }
  const removed = await removeQueued(ports, token, sent.id);
  return removed || finding.status === 'fail'
    ? finding
    : warned(
        finding.evidence,
        'The test message could not be removed from the queue; it cannot be delivered.',
        `postqueue -p lists it (${token}); remove it with postsuper -d and its queue id.`,
      );
}

interface Sent {
  id: string | undefined;
}

interface Attempt {
  readonly mail: ProofMail;
  readonly route: MailRoute;
  readonly since: Date;
  /** Filled in as soon as it is known, for the removal. */
  readonly sent: Sent;
}

async function sendAndJudge(ports: MailPorts, target: MailTarget, attempt: Attempt): Promise<Finding> {
  const refused =
    target.way === 'sendmail'
      ? await bySendmail(ports, target, attempt)
      : await bySmtp(ports, target, attempt);
  if (refused !== undefined) return refused;
  const {mail, since, sent} = attempt;
  const queued = await awaitQueued(ports, mail.token, since, sent.id, target.signal);
  if (queued.state === 'missing') {
    return failed(
      'Postfix took the message, but it is not in the queue',
      'It was bounced, delivered elsewhere or dropped.',
      `journalctl -t postfix/cleanup -t postfix/qmgr -t postfix/bounce --since -5min | grep ${mail.token}`,
    );
  }
  sent.id = queued.id;
  if (queued.state === 'maildrop') return await heldBack(ports, since);
  const finding = await judgeSignatures(queued.message, {...target, now: ports.clock.now()});
  return finding ?? (await unsigned(ports, target, attempt));
}

async function bySendmail(
  ports: MailPorts,
  target: MailTarget,
  attempt: Attempt,
): Promise<Finding | undefined> {
  const {mail, route} = attempt;
  const program = route.settings.get('sendmail_path') || '/usr/sbin/sendmail';
  const {status, stderr, ended} = await ports.commands.run(
    // -Nnever: no notice to anybody, should the message bounce (RFC 3461).
    [program, '-i', '-Nnever', '-f', mail.from, mail.recipient],
    {
      input: Buffer.from(Buffer.from(octetsOf(mail)).toString('latin1').replaceAll('\r\n', '\n'), 'latin1'),
      ...(target.signal === undefined ? {} : {signal: target.signal}),
    },
  );
  target.signal?.throwIfAborted();
  if (status === 0) return undefined;
  return failed(
    ended === 'missing'
      ? `no such program: ${visible(program)}`
      : `sendmail ended with status ${status}: ${lastLine(stderr)}`,
    'Postfix does not take mail from programs on this host.',
    'postfix check; postfix status; journalctl -t postfix/sendmail -t postfix/postdrop -n 20',
  );
}

const lastLine = (text: string): string =>
  shownLine(
    text
      .split('\n')
      .filter(line => line.trim() !== '')
      .at(-1) ?? '',
  );

async function bySmtp(ports: MailPorts, target: MailTarget, attempt: Attempt): Promise<Finding | undefined> {
  const {mail, since, sent, route} = attempt;
  const outcome = await sendBySmtp(
    ports,
    target.smtp,
    {from: mail.from, recipient: mail.recipient, message: octetsOf(mail)},
    target.signal,
  );
  if (outcome.ended === 'accepted') {
    sent.id = outcome.queueId;
    return undefined;
  }
  return await notAccepted(ports, outcome, since, route);
}

async function notAccepted(
  ports: MailPorts,
  outcome: Exclude<SmtpOutcome, {ended: 'accepted'}>,
  since: Date,
  route: MailRoute,
): Promise<Finding> {
  if (outcome.ended === 'unreachable') {
    const interfaces = route.settings.get('inet_interfaces') ?? '';
    if (
      outcome.code === 'ECONNREFUSED' &&
      !/\b(all|loopback-only|localhost|127\.0\.0\.1)\b/.test(interfaces)
    ) {
      return skipped(
        `nobody listens on 127.0.0.1 port 25 (inet_interfaces = ${visible(interfaces)})`,
        'Postfix is not meant to listen there.',
      );
    }
    return failed(
      `127.0.0.1 port 25: ${outcome.detail}`,
      'Postfix does not answer on port 25: it does not run, or its smtpd cannot start.',
      'postfix status; journalctl -t postfix/smtpd -t postfix/master -n 20',
    );
  }
  const logged = await milterLines(ports, 'smtp', since);
  const why = logged.length === 0 ? '' : `; ${logged.join('; ')}`;
  if (outcome.ended === 'broken') {
    return failed(
      `at ${outcome.step}: ${outcome.detail}${why}`,
      'The SMTP server ended the conversation without a reply.',
      'journalctl -t postfix/smtpd -t postfix/master -n 20',
    );
  }
  const evidence = `${outcome.step} is answered with ${outcome.code} ${outcome.text}${why}`;
  if (outcome.code >= 500 && outcome.step !== 'message' && outcome.step !== 'greeting') {
    return warned(
      evidence,
      'Postfix takes no such mail on port 25 from this host, whatever the signer does.',
      'Send a message as your users do, and look for "dkim=pass" in its header.',
    );
  }
  if (outcome.step === 'message') {
    return failed(
      evidence,
      outcome.code < 500
        ? 'The signer answers with a temporary failure: it cannot use the key, or a table row is wrong.'
        : 'A milter or a content check refuses the message for good; with OpenDKIM the key is most often too small.',
      'journalctl -t opendkim -n 20 names it.',
    );
  }
  return failed(
    evidence,
    'Postfix cannot use a milter and refuses mail meanwhile (milter_default_action), or another service of it is down.',
    'Compare smtpd_milters in main.cf with Socket in opendkim.conf; milter_default_action = accept lets mail pass unsigned.',
  );
}

/** What Postfix logged about its milters: the reason why a message went unsigned or was refused. */
async function milterLines(ports: MailPorts, way: Way, since: Date): Promise<readonly string[]> {
  const program = way === 'smtp' ? 'postfix/smtpd' : 'postfix/cleanup';
  return (await journalLines(ports, program, since, 'ilter')).slice(-2);
}

async function heldBack(ports: MailPorts, since: Date): Promise<Finding> {
  const logged = [
    ...(await milterLines(ports, 'sendmail', since)),
    ...(await journalLines(ports, 'opendkim', since)),
  ];
  return failed(
    ['the message stays in maildrop', ...logged].join('; '),
    logged.length === 0
      ? 'Postfix does not pick it up: it does not run, or a milter answers with a temporary failure.'
      : 'A milter answers with a temporary failure: the signer cannot use the key, or a table row is wrong.',
    'postfix status; journalctl -t opendkim -t postfix/cleanup -n 20',
  );
}

/** Why a message that Postfix took has no signature, although the signer signs when it is asked. */
async function unsigned(ports: MailPorts, target: MailTarget, attempt: Attempt): Promise<Finding> {
  const {way} = target;
  const {route, since} = attempt;
  const parameter = way === 'smtp' ? 'smtpd_milters' : 'non_smtpd_milters';
  const override = INTAKE[way].find(service => route.overrides.has(`${service}/${parameter}`));
  if (override !== undefined) {
    const value = route.overrides.get(`${override}/${parameter}`) ?? '';
    const evidence = `unsigned; master.cf: ${override} -o ${parameter}=${visible(value)}`;
    const removal = `${command('postconf', '-PX', `${override}/${parameter}`)} && postfix reload`;
    // Somebody's choice, which the plan leaves alone: port 25 for mail from outside only, and submission for the users'.
    if (value.trim() === '') {
      return warned(
        evidence,
        'By its line in master.cf this service asks no milter: mail that comes in there is not signed.',
        `Where own mail comes in there: ${removal}. Else send a message as your users do, and look for "dkim=pass".`,
      );
    }
    return failed(evidence, `An -o line of master.cf replaces ${parameter} for this service.`, removal);
  }
  const skipping = INTAKE[way].find(service =>
    /\bno_milters\b/.test(route.overrides.get(`${service}/receive_override_options`) ?? ''),
  );
  if (skipping !== undefined) {
    return failed(
      `unsigned; master.cf: ${skipping} -o receive_override_options with no_milters`,
      'This service passes the milters by.',
      `Take no_milters out of ${skipping} in master.cf, unless it only takes mail back from a filter.`,
    );
  }
  if (/\bno_milters\b/.test(route.settings.get('receive_override_options') ?? '')) {
    return failed(
      'unsigned; main.cf: receive_override_options with no_milters',
      'Postfix asks no milter about any mail.',
      'Take no_milters out of receive_override_options in main.cf, then postfix reload.',
    );
  }
  if (way === 'smtp' && route.mappedMilters !== undefined) {
    return failed(
      `unsigned; smtpd_milter_maps has for 127.0.0.1: ${visible(route.mappedMilters)}`,
      'A table gives this host milters of its own instead of smtpd_milters.',
      'Name the socket of OpenDKIM in that row, too, or take the row out.',
    );
  }
  const milters = effectiveFor(way, parameter, route);
  if (milters === '') {
    return failed(
      `unsigned; ${parameter} is empty`,
      way === 'smtp'
        ? 'Postfix asks no milter about SMTP mail.'
        : 'Postfix asks no milter about mail of sendmail(1) and cron.',
      way === 'smtp' ? 'Set smtpd_milters in main.cf.' : "postconf -e 'non_smtpd_milters = $smtpd_milters'",
    );
  }
  const logged = await milterLines(ports, way, since);
  if (logged.length > 0) {
    return failed(
      ['unsigned', ...logged].join('; '),
      'Postfix cannot use the milter and lets mail pass unsigned (milter_default_action = accept).',
      'postfix reload, where a group was changed; else compare smtpd_milters with Socket in opendkim.conf.',
    );
  }
  return failed(
    `unsigned; ${parameter} = ${visible(milters)}`,
    'Postfix asks a milter, but it does not sign this message: another socket, or 127.0.0.1 is not among InternalHosts.',
    'Compare smtpd_milters in main.cf with Socket in opendkim.conf; InternalHosts needs 127.0.0.1.',
  );
}
