/** The ways of mail into Postfix and what happens to it on each: rules in the order in which Postfix applies them. Pure. */
import type {Source} from '../../../domain/source.ts';
import {visible} from '../../../domain/text.ts';
import type {Entrance, EntranceKind} from '../../mta.ts';
import {breakersOf} from './breakers.ts';
import {qmqpClients, smtpClients} from './clients.ts';
import {callsSendmail, continuationOf, filters, handedIn, type PassStep, pickupOf} from './filters.ts';
import {loginOf, tlsOf} from './login.ts';
import {cleanupPass, cleanupRow, type FoundPass, internalPass, smtpdPass, smtpdSubject} from './passes.ts';
import {isLoopback, isSmtpd, listenerOf, listensOn} from './rows.ts';
import type {Subject} from './says.ts';
import {
  type PostfixConfiguration,
  type ReadConfiguration,
  type Row,
  readConfiguration,
  type ServiceSettings,
} from './settings.ts';

const LOCAL: Subject = {mail: 'local mail', verb: 'accept'};
const BOUNCES: Subject = {mail: 'bounces', verb: 'send'};
const NOTICES: Subject = {mail: 'notices to postmaster', verb: 'send'};

/**
 * Every way in: one for each smtpd and qmqpd service and each program that calls sendmail(1), then sendmail(1) itself,
 * bounces, notices, and what aliases and forwards hand in again. The same configuration gives the same list. Never
 * throws.
 */
export function entrancesOf(configuration: PostfixConfiguration): readonly Entrance[] {
  const read = readConfiguration(configuration);
  const isUnread = configuration.mainCf === undefined || configuration.masterCf === undefined;
  const found = [
    ...read.rows.filter(isSmtpd).map(row => smtpdEntrance(read, row)),
    ...read.rows.filter(row => row.command === 'qmqpd').map(row => qmqpEntrance(read, row)),
    ...read.rows
      .filter(row => row.command === 'pipe' && callsSendmail(row))
      .map(row => handedInEntrance(read, visible(row.name), 'pipe', row.source)),
    ...inner(read),
  ];
  return isUnread ? found.map(one => ({...one, isPassUncertain: true})) : found;
}

function smtpdEntrance(read: ReadConfiguration, row: Row): Entrance {
  const front = row.type === 'pass' ? read.rows.find(one => one.command === 'postscreen') : undefined;
  const settings = read.of(row);
  const first = smtpdPass(read, row, smtpdSubject(front ?? row));
  return {
    ...way(read, first, {entering: settings, row}),
    ...{id: visible(row.name), kind: kindOf(read, row), source: row.source},
    ...{listensOn: listensOn(front ?? row), login: loginOf(settings)},
    ...smtpClients(read, row, front),
  };
}

function qmqpEntrance(read: ReadConfiguration, row: Row): Entrance {
  const subject = {mail: `mail by QMQP on ${listensOn(row)}`, verb: 'accept'} as const;
  const entering = read.of(row);
  return {
    ...way(read, cleanupPass(read, entering, subject, true), {entering, row: undefined}),
    ...{id: visible(row.name), kind: 'qmqp', source: row.source, listensOn: listensOn(row)},
    ...qmqpClients(read, row),
  };
}

function handedInEntrance(
  read: ReadConfiguration,
  id: string,
  kind: 'local' | 'pipe',
  source: Source,
): Entrance {
  const entering = pickupOf(read);
  const {pass} = handedIn(read, entering, LOCAL);
  return {...way(read, {pass, isUncertain: false}, {entering, row: undefined}), id, kind, source};
}

/** What does not come over the network. */
function inner(read: ReadConfiguration): readonly Entrance[] {
  const pickup = read.rows.find(row => row.command === 'pickup');
  const local = read.rows.find(row => row.command === 'local');
  const bounce = read.row(`${read.main.value('bounce_service_name').trim()}/unix`);
  const notices = read.main.get('notify_classes');
  const [bounces, notice] = [
    internalPass(read, read.of(bounce), 'bounce', BOUNCES),
    internalPass(read, read.main, 'notify', NOTICES),
  ];
  return [
    handedInEntrance(read, 'local', 'local', pickup?.source ?? read.byDefault),
    {
      ...alone(read, bounces, read.of(bounce)),
      ...{id: 'bounce', kind: 'bounce', source: bounce?.source ?? read.byDefault},
    },
    ...(notices.value.trim() === ''
      ? []
      : [
          {
            ...alone(read, notice, read.main),
            ...{id: 'notice', kind: 'notice' as const, source: notices.source},
          },
        ]),
    {
      ...blank(read),
      ...{id: 'forward', kind: 'forward', source: local?.source ?? read.byDefault},
    },
  ];
}

type Way = Omit<Entrance, 'id' | 'kind' | 'source'>;

const blank = (read: ReadConfiguration): Way => ({
  instance: visible(read.configuration.instance),
  ...{listensOn: '', login: 'no', passes: [], isPassUncertain: false, breakers: []},
});

/** From the first pass on, through filters and back. */
function way(read: ReadConfiguration, first: FoundPass, from: Pick<PassStep, 'entering' | 'row'>): Way {
  const cleanup = read.of(cleanupRow(read, from.entering));
  const {steps, isUncertain} = continuationOf(read, {...from, cleanup, pass: first.pass}, first.isUncertain);
  return {
    ...blank(read),
    passes: steps.map(({pass}) => pass),
    isPassUncertain: isUncertain,
    breakers: breakersOf(read, steps),
  };
}

/** What Postfix writes itself passes no content filter. */
function alone(read: ReadConfiguration, {pass, isUncertain}: FoundPass, entering: ServiceSettings): Way {
  const cleanup = read.of(cleanupRow(read, entering));
  const step: PassStep = {pass, entering, cleanup, row: undefined};
  return {
    ...blank(read),
    ...{passes: [pass], isPassUncertain: isUncertain, breakers: breakersOf(read, [step])},
  };
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
const isWayBack = (read: ReadConfiguration, row: Row): boolean =>
  isLoopback(read, row) &&
  !filters(read.of(row)) &&
  read.rows.some(one => one !== row && isSmtpd(one) && filters(read.of(one)));
