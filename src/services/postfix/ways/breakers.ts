/** What changes a message after a milter has signed it, or takes the signature away. Pure. */
import {visible} from '../../../domain/text.ts';
import type {Breaker, MilterHop, Pass} from '../../mta.ts';
import {changesMail, judgesAfterDkim} from '../milters.ts';
import {words} from '../parse.ts';
import {CHANGES_BODY, CHANGES_HEADER, type Check, type Checks, checksOf} from './checks.ts';
import type {PassStep} from './filters.ts';
import {alwaysLocal, FROM_HERE, mappingsOf, rewritingClients} from './rewrites.ts';
import {decision, placed} from './says.ts';
import type {ReadConfiguration, ServiceSettings, Setting} from './settings.ts';

/** All of them, in the order in which a message meets them. */
export function breakersOf(read: ReadConfiguration, steps: readonly PassStep[]): readonly Breaker[] {
  return [
    ...steps.flatMap((step, at) => [
      ...laterMilters(step, at),
      ...afterMilters(read, step),
      ...held(read, step),
      ...(step.pass.next?.by === 'filter' ? [filtered(step.pass.next)] : []),
      ...(at === 0 ? [] : secondPass(read, steps[at - 1] ?? step, step)),
    ]),
    ...(steps.length === 0 ? [] : onDelivery(read)),
  ];
}

/** Milters behind another one, which may have signed. Those that judge or sign only add a header in front. */
function laterMilters({pass}: PassStep, at: number): readonly Breaker[] {
  const [why] = pass.decidedBy;
  if ('fatal' in pass.milters || why === undefined) return [];
  return pass.milters.flatMap(({text}: MilterHop, index): readonly Breaker[] => {
    if (index === 0 || judgesAfterDkim(text) || addsOnly(text)) return [];
    const isUnknown = !changesMail(text);
    const says = !isUnknown
      ? `${text} can change a message that a milter before it has signed.`
      : `${text} comes after other milters. waxseal can't tell if it changes what they have signed.`;
    return [
      {
        decision: {...why, value: text, says},
        where: 'later-milter',
        changes: 'body',
        isCertain: false,
        isUnknown,
        after: {pass: at, milter: index},
      },
    ];
  });
}

/** Signers, and milters that only let mail pass or not, by the usual names of their sockets. */
const addsOnly = (text: string): boolean => /dkim|grey|spf|dnsbl|regex/i.test(text) || /:8891\b/.test(text);

/** What cleanup does to headers that milters add. */
function afterMilters(read: ReadConfiguration, {cleanup, pass}: PassStep): readonly Breaker[] {
  if (!('fatal' in pass.milters) && pass.milters.length === 0) return [];
  const breakers: Breaker[] = [];
  const checks = cleanup.get('milter_header_checks');
  const found = checksOf(read, checks);
  const removal = found.checks.find(
    ({action, field}) => CHANGES_HEADER.has(action) && (field === undefined || field === 'dkim-signature'),
  );
  if (removal !== undefined || !found.isKnown) {
    breakers.push({
      decision: decision(
        checks,
        `${placed(checks)} is applied to headers that milters add, and removes DKIM signatures.`,
      ),
      where: 'later-milter',
      changes: 'removes-signature',
      isCertain: removal?.field === 'dkim-signature' && removal.isWhole,
    });
  }
  const limit = cleanup.get('header_size_limit');
  const size = Number(limit.value);
  if (size > 0 && size < LONG_SIGNATURE) {
    breakers.push({
      decision: decision(
        limit,
        `header_size_limit=${visible(limit.value)} cuts long headers, DKIM signatures among them.`,
      ),
      where: 'later-milter',
      changes: 'removes-signature',
      isCertain: size < SHORT_SIGNATURE,
    });
  }
  return breakers;
}

/** Octets of the header: with a key of 4096 bits and many fields at most, with Ed25519 at least. */
const LONG_SIGNATURE = 2000;
const SHORT_SIGNATURE = 250;

/** HOLD in header_checks: whoever takes mail out of the hold queue may change it (MailScanner). */
function held(read: ReadConfiguration, {cleanup, entering}: PassStep): readonly Breaker[] {
  const checks = cleanup.get('header_checks');
  if (!isChecked(entering) || !checksOf(read, checks).actions.has('HOLD')) return [];
  return [
    {
      decision: decision(
        checks,
        `${placed(checks)} puts mail on hold after it was signed. A program that releases it can change it.`,
      ),
      where: 'hold',
      changes: 'body',
      isCertain: false,
    },
  ];
}

const isChecked = (entering: ServiceSettings): boolean =>
  !words(entering.value('receive_override_options')).includes('no_header_body_checks');

const filtered = ({to, decision: why}: NonNullable<Pass['next']>): Breaker => ({
  decision: {...why, says: `Mail goes through ${to} after it was signed. A filter can change it.`},
  where: 'filter',
  changes: 'body',
  isCertain: false,
  isUnknown: true,
});

/** The cleanup of the way back does again what that of the way in did before the signature. */
function secondPass(read: ReadConfiguration, before: PassStep, step: PassStep): readonly Breaker[] {
  const {entering, cleanup} = step;
  const breakers: Breaker[] = [];
  const add = (setting: Setting, changes: 'header' | 'body', says: string): void => {
    breakers.push({decision: decision(setting, says), where: 'second-pass', changes, isCertain: false});
  };
  const service = visible(step.pass.service);
  if (isChecked(entering)) {
    for (const name of ['header_checks', 'mime_header_checks', 'nested_header_checks']) {
      const header = cleanup.get(name);
      // By default the other two are header_checks.
      if (header.setBy !== 'default' && mayChange(checksOf(read, header), CHANGES_HEADER))
        add(header, 'header', `${placed(header)} counts again at ${service}, after mail was signed.`);
    }
    const body = cleanup.get('body_checks');
    if (mayChange(checksOf(read, body), CHANGES_BODY))
      add(body, 'body', `${placed(body)} counts again at ${service}, after mail was signed.`);
  }
  const names = (one: PassStep): readonly string[] => rewriting(read, one).map(rule => rule.decision.name);
  const known = before.row === undefined ? names(before) : [];
  for (const rule of rewriting(read, step)) {
    if (known.includes(rule.decision.name)) continue;
    const setting = cleanup.get(rule.decision.name);
    add(setting, 'header', `${placed(setting)} rewrites senders at ${service}, after mail was signed.`);
  }
  return breakers;
}

/** Rules that rewrite senders in the headers of mail that comes from this host. */
function rewriting(read: ReadConfiguration, {entering, cleanup, row}: PassStep) {
  const contextsOf = row === undefined ? alwaysLocal : rewritingClients(read, row, cleanup, true);
  if (contextsOf(FROM_HERE).every(context => context === 'none')) return [];
  return mappingsOf(read, {entering, cleanup, contextsOf});
}

const mayChange = (found: Checks, actions: ReadonlySet<string>): boolean =>
  !found.isKnown || found.checks.some(({action}) => actions.has(action));

/** Settings of smtp(8), of the service that delivers and of any other that has its own. */
function onDelivery(read: ReadConfiguration): readonly Breaker[] {
  const usual = read.main.value('default_transport').split(':', 1)[0]?.trim() ?? '';
  const filtersBy = new Set(
    [read.main, ...read.rows.map(row => read.of(row))].map(
      one => one.value('content_filter').split(':', 1)[0],
    ),
  );
  const found = read.rows
    .filter(row => row.command === 'smtp' && row.type === 'unix' && !filtersBy.has(row.label))
    .flatMap(row => breakersOfClient(read, read.of(row), row.label === usual));
  const seen = new Set<string>();
  return found.filter(({decision: {source, name}}) => {
    const key = JSON.stringify([source, name]);
    return !seen.has(key) && seen.add(key);
  });
}

function breakersOfClient(
  read: ReadConfiguration,
  settings: ServiceSettings,
  isUsual: boolean,
): readonly Breaker[] {
  const breakers: Breaker[] = [];
  const add = (setting: Setting, changes: Breaker['changes'], isCertain: boolean, says: string): void => {
    // What main.cf says is told once, for the service that delivers; others count with what they have of their own.
    if (!isUsual && setting.setBy !== 'master.cf') return;
    const why = decision(setting, `${placed(setting)} ${says}`);
    breakers.push({decision: why, where: 'delivery', changes, isCertain: isCertain && isUsual});
  };
  const generic = settings.get('smtp_generic_maps');
  if (generic.value.trim() !== '')
    add(generic, 'header', false, 'rewrites addresses in headers on delivery, after mail was signed.');
  for (const name of ['smtp_header_checks', 'smtp_mime_header_checks', 'smtp_nested_header_checks']) {
    const setting = settings.get(name);
    const {checks, isKnown} = checksOf(read, setting);
    const changing = checks.filter(check => CHANGES_HEADER.has(check.action) && !isUnsigned(check));
    const removal = changing.find(({field}) => field === 'dkim-signature');
    if (removal !== undefined)
      add(setting, 'removes-signature', removal.isWhole, 'removes DKIM signatures on delivery.');
    else if (changing.length > 0 || !isKnown)
      add(
        setting,
        'header',
        changing.some(isEverywhere),
        'changes headers on delivery, after mail was signed.',
      );
  }
  const body = settings.get('smtp_body_checks');
  if (mayChange(checksOf(read, body), CHANGES_BODY))
    add(body, 'body', false, 'changes the body on delivery, after mail was signed.');
  const limit = settings.get('smtp_line_length_limit');
  const length = Number(limit.value);
  if (length > 0 && length < USUAL_LINE)
    add(
      limit,
      'body',
      false,
      `cuts lines of more than ${length} characters on delivery, after mail was signed.`,
    );
  const greeting = settings.get('smtp_never_send_ehlo');
  if (greeting.value.trim() === 'yes')
    add(greeting, 'body', false, 'makes Postfix convert 8-bit mail on delivery, after it was signed.');
  return breakers;
}

/** RFC 5321 §4.5.3.1.6, and Postfix's default: longer lines are rare, and no reason for a word about every host. */
const USUAL_LINE = 998;

/** Headers that signers leave out of h= by default. */
const UNSIGNED =
  /^(?:x-.*|received|return-path|user-agent|bcc|comments|keywords|delivered-to|authentication-results|received-spf)$/;

const isUnsigned = ({field}: Check): boolean => field !== undefined && UNSIGNED.test(field);

const EVERYWHERE: ReadonlySet<string> = new Set(['from', 'to', 'subject', 'date', 'message-id']);

/** A header that nearly every message has, and all of them match. */
const isEverywhere = ({field, isWhole}: Check): boolean =>
  isWhole && field !== undefined && EVERYWHERE.has(field);
