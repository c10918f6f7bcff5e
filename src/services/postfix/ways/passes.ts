/** One run of mail through the milters: by smtpd for what comes by SMTP, by cleanup for all else. Pure. */
import type {Decision} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Pass} from '../../mta.ts';
import {words} from '../parse.ts';
import {brokenCleanup, type Chosen, cleanupList, hasNoMilters, smtpdList} from './lists.ts';
import {asksForCertificates, tlsOf} from './login.ts';
import {loginMacros, macrosOnRequest, macrosSent} from './macros.ts';
import {alwaysLocal, rewritesOf, rewritingClients} from './rewrites.ts';
import {accountOf, isChrooted, isLoopback, listenerOf, listensOn} from './rows.ts';
import {decision, type Subject, stated} from './says.ts';
import type {ReadConfiguration, Row, ServiceSettings} from './settings.ts';

/** A pass, and whether it is known which milters it has. */
export interface FoundPass {
  readonly pass: Pass;
  readonly isUncertain: boolean;
}

export const smtpdSubject = (row: Row): Subject => {
  const place = listensOn(row);
  const mail =
    place === ''
      ? `mail through ${visible(row.name)}`
      : /^\d+$/.test(place)
        ? `mail on port ${place}`
        : `mail on ${place}`;
  return {mail, verb: 'accept'};
};

/**
 * Mail that an smtpd service takes.
 *
 * @param isReturned by a filter on this host, which does not log in
 */
export function smtpdPass(
  read: ReadConfiguration,
  row: Row,
  subject = smtpdSubject(row),
  isReturned = false,
): FoundPass {
  const settings = read.of(row);
  const cleanup = read.of(cleanupRow(read, settings));
  const listener = listenerOf(row);
  // Behind a proxy filter there is no cleanup.
  const isBeforeQueue = settings.value('smtpd_proxy_filter').trim() !== '';
  const source = {
    smtp: {
      settings,
      isReturned,
      tls: tlsOf(settings),
      clientCertificates: asksForCertificates(settings),
      address: listener?.host === '' ? undefined : listener?.host,
      port: /^\d+$/.test(listener?.port ?? '') ? listener?.port : undefined,
    },
    cleanup,
  };
  const isFromHere = isLoopback(read, row) && settings.value('smtpd_upstream_proxy_protocol').trim() === '';
  const broken = isBeforeQueue ? undefined : brokenCleanup(read, cleanupRow(read, settings), subject);
  const contextsOf = rewritingClients(read, row, cleanup, isReturned);
  const {isUncertain, ...chosen} = broken ?? smtpdList(read, row, subject);
  return {
    isUncertain,
    pass: {
      service: visible(row.name),
      chroot: isChrooted(read, row),
      account: accountOf(read, row),
      ...chosen,
      hasContent: !isBeforeQueue,
      client: isFromHere || isReturned ? 'localhost' : 'remote',
      rewrites: isBeforeQueue ? [] : rewritesOf(read, {entering: settings, cleanup, contextsOf}),
      macros: macrosSent(source),
      macrosOnRequest: macrosOnRequest(source),
      loginMacros: loginMacros(source),
    },
  };
}

/** The cleanup service that a program hands its mail to. */
export const cleanupRow = (read: ReadConfiguration, entering: ServiceSettings): Row | undefined =>
  read.row(`${entering.value('cleanup_service_name').trim()}/unix`);

/**
 * Mail that cleanup hands to milters itself.
 *
 * @param entering settings of the program that hands it in
 * @param isSilenceable whether `receive_override_options` of that program counts: not for what Postfix writes itself
 */
export function cleanupPass(
  read: ReadConfiguration,
  entering: ServiceSettings,
  subject: Subject,
  isSilenceable: boolean,
): FoundPass {
  const cleanup = cleanupRow(read, entering);
  const missing = cleanup === undefined ? missingCleanup(read, entering, subject) : undefined;
  const chosen =
    missing ??
    brokenCleanup(read, cleanup, subject) ??
    cleanupList(read, cleanup, isSilenceable ? entering : undefined, subject);
  const isSilenced = isSilenceable && hasNoMilters(entering.get('receive_override_options'));
  const service =
    isSilenced && entering.service !== '' ? entering.service : (cleanup?.name ?? 'cleanup/unix');
  return found(read, cleanup, visible(service), chosen, isSilenceable ? entering : undefined);
}

/** Mail of Postfix itself passes milters only with its class (postconf(5), internal_mail_filter_classes). */
export function internalPass(
  read: ReadConfiguration,
  entering: ServiceSettings,
  mailClass: 'bounce' | 'notify',
  subject: Subject,
): FoundPass {
  const classes = entering.get('internal_mail_filter_classes');
  const cleanup = cleanupRow(read, entering);
  if (words(classes.value).includes(mailClass) || read.fault !== undefined) {
    const {pass, isUncertain} = cleanupPass(read, entering, subject, false);
    const opened = decision(
      classes,
      `internal_mail_filter_classes has ${mailClass}, so non_smtpd_milters counts for ${subject.mail}.`,
    );
    return {pass: {...pass, decidedBy: [...pass.decidedBy, opened]}, isUncertain};
  }
  const why: Decision = decision(
    classes,
    classes.raw === ''
      ? `${stated(classes)}, so no milter sees ${subject.mail}.`
      : `internal_mail_filter_classes doesn't have ${mailClass}, so no milter sees ${subject.mail}.`,
  );
  const none = {milters: [], decidedBy: [why], byClient: [], isUncertain: false};
  const chosen = brokenCleanup(read, cleanup, subject) ?? none;
  return found(read, cleanup, visible(cleanup?.name ?? 'cleanup/unix'), chosen);
}

/** @param entering settings of the program that hands it in, where its options count */
function found(
  read: ReadConfiguration,
  cleanup: Row | undefined,
  service: string,
  {isUncertain, ...chosen}: Chosen,
  entering?: ServiceSettings,
): FoundPass {
  const source = {smtp: undefined, cleanup: read.of(cleanup)};
  const rewriting = {entering, cleanup: source.cleanup, contextsOf: alwaysLocal};
  return {
    isUncertain,
    pass: {
      service,
      chroot: isChrooted(read, cleanup),
      account: accountOf(read, cleanup),
      ...chosen,
      hasContent: true,
      client: 'localhost',
      rewrites: rewritesOf(read, rewriting),
      macros: macrosSent(source),
      macrosOnRequest: macrosOnRequest(source),
      loginMacros: loginMacros(source),
    },
  };
}

/** Without the service that is named the mail stays where it is. */
function missingCleanup(
  read: ReadConfiguration,
  entering: ServiceSettings,
  subject: Subject,
): Chosen | undefined {
  if (read.configuration.masterCf === undefined) return undefined;
  const name = entering.get('cleanup_service_name');
  const fatal = `connect to public/${visible(name.value)}: No such file or directory`;
  const says = `master.cf has no service ${visible(name.value)}/unix, so Postfix can't ${subject.verb} ${subject.mail}.`;
  return {milters: {fatal}, decidedBy: [decision(name, says)], byClient: [], isUncertain: false};
}
