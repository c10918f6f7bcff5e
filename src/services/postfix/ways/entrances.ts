/** The ways of mail into Postfix and what happens to it on each: rules in the order in which Postfix applies them. Pure. */
import type {Source} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Entrance, EntranceKind} from '../../mta.ts';
import {loginOf, tlsOf} from './login.ts';
import {cleanupPass, type FoundPass, internalPass, smtpdPass, smtpdSubject} from './passes.ts';
import {isLoopback, isSmtpd, listenerOf, listensOn} from './rows.ts';
import type {Subject} from './says.ts';
import {type PostfixConfiguration, type ReadConfiguration, type Row, readConfiguration} from './settings.ts';

const LOCAL: Subject = {mail: 'local mail', verb: 'accept'};
const BOUNCES: Subject = {mail: 'bounces', verb: 'send'};
const NOTICES: Subject = {mail: 'notices to postmaster', verb: 'send'};

/**
 * Every way in: one for each smtpd and qmqpd service, then sendmail(1), bounces, notices, and what aliases and forwards
 * hand in again. The same configuration gives the same list. Never throws.
 */
export function entrancesOf(configuration: PostfixConfiguration): readonly Entrance[] {
  const read = readConfiguration(configuration);
  const isUnread = configuration.mainCf === undefined || configuration.masterCf === undefined;
  const smtp = read.rows.filter(isSmtpd).map(row => smtpdEntrance(read, row));
  const qmqp = read.rows
    .filter(row => row.command === 'qmqpd')
    .map(row => {
      const subject = {mail: `mail by QMQP on ${listensOn(row)}`, verb: 'accept'} as const;
      return entrance(
        read,
        visible(row.name),
        'qmqp',
        row.source,
        cleanupPass(read, read.of(row), subject, true),
        {
          listensOn: listensOn(row),
        },
      );
    });
  return [...smtp, ...qmqp, ...inner(read)].map(one => (isUnread ? {...one, isPassUncertain: true} : one));
}

/** What does not come over the network. */
function inner(read: ReadConfiguration): readonly Entrance[] {
  const pickup = read.rows.find(row => row.command === 'pickup');
  const bounce = read.row(`${read.main.value('bounce_service_name').trim()}/unix`);
  const notices = read.main.get('notify_classes');
  const local = read.rows.find(row => row.command === 'local');
  return [
    entrance(
      read,
      'local',
      'local',
      pickup?.source ?? read.byDefault,
      cleanupPass(read, read.of(pickup), LOCAL, true),
    ),
    entrance(
      read,
      'bounce',
      'bounce',
      bounce?.source ?? read.byDefault,
      internalPass(read, read.of(bounce), 'bounce', BOUNCES),
    ),
    ...(notices.value.trim() === ''
      ? []
      : [
          entrance(
            read,
            'notice',
            'notice',
            notices.source,
            internalPass(read, read.main, 'notify', NOTICES),
          ),
        ]),
    entrance(read, 'forward', 'forward', local?.source ?? read.byDefault, undefined),
  ];
}

function smtpdEntrance(read: ReadConfiguration, row: Row): Entrance {
  const fronts = row.type === 'pass' ? read.rows.filter(one => one.command === 'postscreen') : [];
  const front = fronts[0];
  const subject = smtpdSubject(front ?? row);
  return entrance(read, visible(row.name), kindOf(read, row), row.source, smtpdPass(read, row, subject), {
    listensOn: listensOn(front ?? row),
    login: loginOf(read.of(row)),
  });
}

function kindOf(read: ReadConfiguration, row: Row): EntranceKind {
  if (row.type === 'pass') return 'postscreen';
  const port = listenerOf(row)?.port;
  if (port === '25') return 'smtp';
  if (port === '465') return 'submissions';
  if (port === '587') return 'submission';
  if (isWayBack(read, row)) return 'way-back';
  if (loginOf(read.of(row)) !== 'must') return 'smtp';
  return tlsOf(read.of(row)) === 'always' ? 'submissions' : 'submission';
}

/** A port of this host only that filters no more, while something else does (FILTER_README). */
function isWayBack(read: ReadConfiguration, row: Row): boolean {
  const filters = (one: Row): boolean =>
    ['content_filter', 'smtpd_proxy_filter'].some(name => read.of(one).value(name).trim() !== '');
  return (
    isLoopback(read, row) &&
    !filters(row) &&
    read.rows.some(one => one !== row && isSmtpd(one) && filters(one))
  );
}

function entrance(
  read: ReadConfiguration,
  id: string,
  kind: EntranceKind,
  source: Source,
  found: FoundPass | undefined,
  more: Partial<Pick<Entrance, 'listensOn' | 'login'>> = {},
): Entrance {
  return {
    id,
    instance: visible(read.configuration.instance),
    kind,
    listensOn: '',
    source,
    login: 'no',
    passes: found === undefined ? [] : [found.pass],
    isPassUncertain: found?.isUncertain ?? false,
    breakers: [],
    rewrites: [],
    ...more,
  };
}
