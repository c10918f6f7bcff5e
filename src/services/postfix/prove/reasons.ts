/** Why a proof was not sent, not taken or lost, and why one bears no signature: the sentences, with what was seen. */
import {command} from '../../../domain/command.ts';
import {visible} from '../../../domain/text.ts';
import {type Finding, failed, skipped, warned} from '../../../proof/finding.ts';
import {journalLines} from '../../../proof/journal.ts';
import type {SmtpOutcome} from '../../../proof/smtp.ts';
import type {ProofSubmission, ProvePorts, Submission} from '../../mta.ts';
import type {SignerWords} from '../../signer.ts';
import {effectiveFor, INTAKE, type MailRoute} from './route.ts';

/** A proof that was handed in. */
export interface Submitted {
  readonly submission: ProofSubmission;
  readonly route: MailRoute;
  readonly since: Date;
}

export const notSent = (leaves: string, from: string): Finding =>
  warned(
    `not sent: ${leaves}`,
    'A test message could leave this host, so none was sent; the signer itself was asked on its socket.',
    `Send a message from ${from.slice(from.lastIndexOf('@') + 1)} to a mailbox of your own and look for "dkim=pass" in its header.`,
  );

export const lost = (token: string): Finding =>
  failed(
    'Postfix took the message, but it is not in the queue',
    'It was bounced, delivered elsewhere or dropped.',
    `journalctl -t postfix/cleanup -t postfix/qmgr -t postfix/bounce --since -5min | grep ${token}`,
  );

export const leftIn = (token: string): Pick<Finding, 'cause' | 'fix'> => ({
  cause: 'The test message could not be removed from the queue; it cannot be delivered.',
  fix: `postqueue -p lists it (${token}); remove it with postsuper -d and its queue id.`,
});

/** `evidence`: how sendmail(1) ended. */
export const notTaken = (evidence: string): Finding =>
  failed(
    evidence,
    'Postfix does not take mail from programs on this host.',
    'postfix check; postfix status; journalctl -t postfix/sendmail -t postfix/postdrop -n 20',
  );

/** The server did not take it by SMTP. */
export async function notAccepted(
  ports: ProvePorts,
  outcome: Exclude<SmtpOutcome, {ended: 'accepted'}>,
  {since, route, submission: {signer}}: Submitted,
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
        : `A milter or a content check refuses the message for good; ${signer.refusal}.`,
      `journalctl -t ${signer.logTag} -n 20 names it.`,
    );
  }
  return failed(
    evidence,
    'Postfix cannot use a milter and refuses mail meanwhile (milter_default_action), or another service of it is down.',
    `Compare smtpd_milters in main.cf with ${signer.socketSetting}; milter_default_action = accept lets mail pass unsigned.`,
  );
}

/** What Postfix logged about its milters: the reason why a message went unsigned or was refused. */
async function milterLines(ports: ProvePorts, way: Submission, since: Date): Promise<readonly string[]> {
  const program = way === 'smtp' ? 'postfix/smtpd' : 'postfix/cleanup';
  return (await journalLines(ports, program, since, 'ilter')).slice(-2);
}

/** It stays where sendmail(1) has put it. */
export async function heldBack(ports: ProvePorts, since: Date, {logTag}: SignerWords): Promise<Finding> {
  const logged = [
    ...(await milterLines(ports, 'sendmail', since)),
    ...(await journalLines(ports, logTag, since)),
  ];
  return failed(
    ['the message stays in maildrop', ...logged].join('; '),
    logged.length === 0
      ? 'Postfix does not pick it up: it does not run, or a milter answers with a temporary failure.'
      : 'A milter answers with a temporary failure: the signer cannot use the key, or a table row is wrong.',
    `postfix status; journalctl -t ${logTag} -t postfix/cleanup -n 20`,
  );
}

/** Why a message that Postfix took has no signature, although the signer signs when it is asked. */
export async function unsigned(
  ports: ProvePorts,
  {submission: {way, signer}, route, since}: Submitted,
): Promise<Finding> {
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
      `Name the socket of ${signer.program} in that row, too, or take the row out.`,
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
      `postfix reload, where a group was changed; else compare smtpd_milters with ${signer.socketSetting}.`,
    );
  }
  return failed(
    `unsigned; ${parameter} = ${visible(milters)}`,
    `Postfix asks a milter, but it does not sign this message: another socket, or 127.0.0.1 is not among ${signer.clientsSetting}.`,
    `Compare smtpd_milters in main.cf with ${signer.socketSetting}; ${signer.clientsSetting} needs 127.0.0.1.`,
  );
}
