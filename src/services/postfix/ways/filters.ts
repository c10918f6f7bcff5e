/** Where mail goes from a pass, and with which pass it comes back (FILTER_README, SMTPD_PROXY_README). Pure. */
import {visible} from '../../../domain/text.ts';
import type {Pass} from '../../mta.ts';
import {words} from '../parse.ts';
import {checksOf, filterOf} from './checks.ts';
import {accessTables} from './clients.ts';
import {loginOf} from './login.ts';
import {cleanupPass, cleanupRow, smtpdPass} from './passes.ts';
import {FROM_HERE} from './rewrites.ts';
import {isLoopback, isSmtpd, listenerOf} from './rows.ts';
import {decision, placed, type Subject, stated} from './says.ts';
import type {ReadConfiguration, Row, ServiceSettings, Setting} from './settings.ts';
import {rowsOf} from './tables.ts';

export interface PassStep {
  readonly pass: Pass;
  /** Settings of the program that takes the message in for this pass. */
  readonly entering: ServiceSettings;
  readonly cleanup: ServiceSettings;
  /** The smtpd service; undefined for pickup and the rest. */
  readonly row: Row | undefined;
}

export interface Continuation {
  readonly steps: readonly PassStep[];
  readonly isUncertain: boolean;
}

/** Ports that clients use: no filter hands mail back there. */
const CLIENT_PORTS: ReadonlySet<string> = new Set(['25', '465', '587']);

/**
 * All passes of a message that came in by `first`.
 *
 * @param first its first pass
 */
export function continuationOf(read: ReadConfiguration, first: PassStep, isUncertain: boolean): Continuation {
  const steps: PassStep[] = [];
  const seen = new Set<string>();
  let now: PassStep | undefined = first;
  let isOpen = isUncertain;
  while (now !== undefined) {
    seen.add(now.entering.service);
    const {next, value, isUncertain: mayGo} = nextOf(read, now);
    steps.push(next === undefined ? now : {...now, pass: {...now.pass, next}});
    isOpen ||= mayGo;
    if (next === undefined) break;
    const back: Back = wayBack(read, value, next, seen);
    isOpen ||= back.isUncertain;
    now = back.step;
  }
  return {steps, isUncertain: isOpen};
}

interface Next {
  readonly next: Pass['next'];
  /** As it is written. */
  readonly value: string;
  /** It may go elsewhere, or nowhere. */
  readonly isUncertain: boolean;
}

/**
 * A filter before the queue comes first: the message is never seen by the one behind it as long as it is there. FILTER in
 * header_checks or in an access table comes before content_filter, for the messages that it fits.
 */
function nextOf(read: ReadConfiguration, step: PassStep): Next {
  const {entering, row} = step;
  const proxy = row === undefined ? undefined : entering.get('smtpd_proxy_filter');
  const isProxied = proxy !== undefined && proxy.value.trim() !== '';
  const content = entering.get('content_filter');
  const [setting, by] = isProxied ? ([proxy, 'proxy'] as const) : ([content, 'filter'] as const);
  const single = isProxied ? [] : singleFilters(read, step);
  const to = setting.value.trim();
  const [first] = single;
  if (first !== undefined && (to === '' || to === first.to)) {
    const says = `${placed(first.setting)} can send mail to ${visible(first.to)} after the milters have seen it.`;
    return {
      next: {by: 'filter', to: visible(first.to), decision: decision(first.setting, says)},
      value: first.to,
      isUncertain: true,
    };
  }
  if (to === '') return {next: undefined, value: '', isUncertain: false};
  const says =
    by === 'proxy'
      ? `${stated(setting)}: milters in front of it see the envelope only, never the message.`
      : `${stated(setting)}: mail goes there after the milters have seen it.`;
  return {
    next: {by, to: visible(to), decision: decision(setting, says)},
    value: to,
    isUncertain: first !== undefined,
  };
}

interface Back {
  readonly step: PassStep | undefined;
  readonly isUncertain: boolean;
}

const NOWHERE: Back = {step: undefined, isUncertain: true};
const ENDS: Back = {step: undefined, isUncertain: false};

function wayBack(
  read: ReadConfiguration,
  value: string,
  next: NonNullable<Pass['next']>,
  seen: ReadonlySet<string>,
): Back {
  if (next.by === 'proxy') return isHere(value) ? bySmtp(read, portOf(value), seen) : NOWHERE;
  const colon = value.indexOf(':');
  const transport = colon < 0 ? value : value.slice(0, colon);
  const nexthop = colon < 0 ? '' : value.slice(colon + 1);
  const row = read.row(`${transport}/unix`);
  switch (row?.command) {
    case 'pipe':
      return byProgram(read, row, seen);
    case 'smtp':
    case 'lmtp':
      return isHere(nexthop) ? bySmtp(read, portOf(nexthop), seen) : NOWHERE;
    case 'discard':
    case 'error':
    case 'local':
    case 'virtual':
      return ENDS;
    default:
      return NOWHERE;
  }
}

const isHere = (nexthop: string): boolean =>
  /^(?:inet:)?(?:\[?127\.\d{1,3}\.\d{1,3}\.\d{1,3}\]?|\[?localhost\]?|\[(?:IPv6:)?::1\]|::1)(?::|$)/i.test(
    nexthop,
  ) || /^(?:unix:|\/|\d{1,5}$)/.test(nexthop);

const portOf = (nexthop: string): string => /(?:^|:)(\d{1,5})$/.exec(nexthop)?.[1] ?? '';

/**
 * By SMTP on this host. Which port is up to the filter: every smtpd service that filters no more may be meant. Of several
 * that treat mail in the same way it makes no difference.
 */
function bySmtp(read: ReadConfiguration, ownPort: string, seen: ReadonlySet<string>): Back {
  const possible = read.rows.filter(row => {
    const port = listenerOf(row)?.port ?? '';
    const settings = read.of(row);
    return (
      isSmtpd(row) &&
      row.type === 'inet' &&
      !CLIENT_PORTS.has(port) &&
      port !== ownPort &&
      !seen.has(row.name) &&
      !filters(settings) &&
      loginOf(settings) !== 'must'
    );
  });
  const loopback = possible.filter(row => isLoopback(read, row));
  const steps = (loopback.length > 0 ? loopback : possible).map(row => returned(read, row));
  const [first] = steps;
  if (first === undefined) return NOWHERE;
  const isSame = steps.every(step => likeness(step.pass) === likeness(first.pass));
  return isSame ? {step: first, isUncertain: false} : NOWHERE;
}

/** True where mail of the service goes to a filter. */
export const filters = (settings: ServiceSettings): boolean =>
  ['content_filter', 'smtpd_proxy_filter'].some(name => settings.value(name).trim() !== '');

function returned(read: ReadConfiguration, row: Row): PassStep {
  const settings = read.of(row);
  const {pass} = smtpdPass(read, row, undefined, true);
  return {pass, entering: settings, cleanup: read.of(cleanupRow(read, settings)), row};
}

/** What decides about a message, without the name of the service. How senders are rewritten decides where milters see it. */
const likeness = ({milters, byClient, hasContent, chroot, account, macros, rewrites}: Pass): string =>
  JSON.stringify([
    milters,
    byClient,
    hasContent,
    chroot,
    account,
    Object.values(macros).map(stage => [...stage]),
    'fatal' in milters || milters.length === 0
      ? []
      : rewrites.map(({decision: {name, value}, rewrite}) => [name, value, rewrite('a', FROM_HERE)]),
  ]);

/** By a program that calls sendmail(1), as its command says; of any other program that is only likely. */
function byProgram(read: ReadConfiguration, row: Row, seen: ReadonlySet<string>): Back {
  const pickup = pickupOf(read);
  if (seen.has(pickup.service)) return NOWHERE;
  return {step: handedIn(read, pickup, FILTERED), isUncertain: !callsSendmail(row)};
}

const FILTERED: Subject = {mail: 'mail that comes back by sendmail(1)', verb: 'accept'};

export const pickupOf = (read: ReadConfiguration): ServiceSettings =>
  read.of(read.rows.find(row => row.command === 'pickup'));

/** Mail of pickup. */
export function handedIn(read: ReadConfiguration, entering: ServiceSettings, subject: Subject): PassStep {
  const {pass} = cleanupPass(read, entering, subject, true);
  return {pass, entering, cleanup: read.of(cleanupRow(read, entering)), row: undefined};
}

/** `argv=… /usr/sbin/sendmail …`, as the SpamAssassin guides have it. */
export const callsSendmail = (row: Row): boolean =>
  row.words.some(word => /^(?:argv=)?(?:\/[^\s]*\/)?sendmail$/.test(word));

/** Filters for single messages. */
function singleFilters(
  read: ReadConfiguration,
  {entering, cleanup, row}: PassStep,
): readonly {readonly setting: Setting; readonly to: string}[] {
  const isChecked = !words(entering.value('receive_override_options')).includes('no_header_body_checks');
  const checks = isChecked ? ['header_checks', 'body_checks'].map(name => cleanup.get(name)) : [];
  return [
    ...(row === undefined ? [] : accessTables(entering)).flatMap(({setting, word}) =>
      (rowsOf(word, read.configuration.tables.get(word.text)) ?? []).flatMap(({value}) => {
        const to = filterOf(value);
        return to === undefined ? [] : [{setting, to}];
      }),
    ),
    ...checks.flatMap(setting => checksOf(read, setting).filters.map(to => ({setting, to}))),
  ];
}
