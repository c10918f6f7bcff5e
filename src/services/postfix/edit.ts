/**
 * Changes main.cf as text: `postconf -e` would join lines, rewrite doubles and replace symlinks
 * (daemons/postfix.md#editing).
 */
import {type SocketEndpoint, sameEndpoint} from '../../domain/endpoint.ts';
import {
  changesMail,
  endpointOf,
  isOpenDkim,
  judgesAfterDkim,
  mergeMilter,
  milterAddress,
  type Ours,
  type PostfixView,
  referencesOf,
  surplus,
} from './milters.ts';
import {expand, inForce, parseMainCf, settingsOf, tokens} from './parse.ts';

const BLOCK_TITLE = '# DKIM signing through OpenDKIM, written by waxseal';

/**
 * The main.cf in which mail from SMTP and from sendmail(1) goes through OpenDKIM, once. What is there is kept:
 * other milters in their order, references, an own milter_default_action. Empty change where it is right already.
 */
export function editMainCf(text: string, ours: Ours, view: PostfixView): string {
  const missing: string[] = [];
  let next = mendReferences(text, ours, view);
  next = mergeList(next, 'smtpd_milters', ours, view, missing, milterAddress(ours.wanted, view));
  const alone = expandedList(`${next}\n${missing.join('\n')}`, 'smtpd_milters').length === 1;
  next = mergeList(
    next,
    'non_smtpd_milters',
    ours,
    view,
    missing,
    alone ? '$smtpd_milters' : milterAddress(ours.wanted, view),
  );
  next = withoutSurplus(next, ours, view);
  if (inForce(parseMainCf(next), 'milter_default_action') === undefined)
    missing.push('milter_default_action = accept');
  next = addBounce(next, missing);
  next = mendProtocol(addAuthType(next));
  return missing.length === 0 ? next : next + block(next, missing);
}

const expandedList = (text: string, name: string): readonly string[] => {
  const lines = parseMainCf(text);
  return tokens(expand(inForce(lines, name)?.value ?? '', settingsOf(lines))).map(token => token.text);
};

/** A stale OpenDKIM entry in a parameter that the lists refer to is mended there, so that the reference stays. */
function mendReferences(text: string, ours: Ours, view: PostfixView): string {
  const names = ['smtpd_milters', 'non_smtpd_milters'].flatMap(name =>
    referencesOf(name, settingsOf(parseMainCf(text))),
  );
  let next = text;
  for (const name of new Set(names)) {
    const lines = parseMainCf(next);
    const line = inForce(lines, name);
    if (line === undefined || !tokens(line.masked).some(token => isOpenDkim(token.text, ours, view)))
      continue;
    next = spliced(next, mergeMilter(line, settingsOf(lines), ours, view));
  }
  return next;
}

function mergeList(
  text: string,
  name: string,
  ours: Ours,
  view: PostfixView,
  missing: string[],
  fresh: string,
): string {
  const lines = parseMainCf(text);
  const line = inForce(lines, name);
  if (line === undefined) {
    missing.push(`${name} = ${fresh}`);
    return text;
  }
  if (line.value === '') {
    const gap = /[ \t]$/.test(text.slice(0, line.valueStart)) ? '' : ' ';
    return text.slice(0, line.valueStart) + gap + fresh + text.slice(line.end);
  }
  const settings = new Map(settingsOf(lines));
  for (const added of parseMainCf(missing.join('\n'))) settings.set(added.name, added.value);
  return spliced(text, mergeMilter(line, settings, ours, view));
}

/** Entries that lead nowhere any more are looked up by Postfix for each message, and fail each time. */
function withoutSurplus(text: string, ours: Ours, view: PostfixView): string {
  const names = ['smtpd_milters', 'non_smtpd_milters'].flatMap(name =>
    referencesOf(name, settingsOf(parseMainCf(text))),
  );
  let next = text;
  for (const name of new Set(names)) {
    const lines = parseMainCf(next);
    const line = inForce(lines, name);
    if (line === undefined) continue;
    const cuts = surplus(line, next, settingsOf(lines), ours, view);
    for (const cut of cuts.toSorted((one, other) => other.start - one.start)) next = spliced(next, cut);
  }
  return next;
}

/**
 * Without this macro OpenDKIM takes users who log in from elsewhere for strangers
 * (daemons/opendkim.md#internal-hosts).
 */
function addAuthType(text: string): string {
  const line = inForce(parseMainCf(text), 'milter_mail_macros');
  const last = line === undefined ? undefined : tokens(line.masked).at(-1);
  if (line === undefined || last === undefined || /auth_type|\$/.test(line.value)) return text;
  const at = line.valueStart + last.end;
  return `${text.slice(0, at)} {auth_type}${text.slice(at)}`;
}

/** With a word that is no protocol Postfix speaks to no milter at all (daemons/postfix.md#milters). */
function mendProtocol(text: string): string {
  const line = inForce(parseMainCf(text), 'milter_protocol');
  if (line === undefined || /^[2346]$|\$/.test(line.value)) return text;
  return `${text.slice(0, line.valueStart)}6${text.slice(line.end)}`;
}

const spliced = (text: string, edit: ReturnType<typeof mergeMilter>): string =>
  edit.kind === 'none' ? text : text.slice(0, edit.start) + edit.text + text.slice(edit.end);

/** Bounces made by Postfix itself pass the milters only with this class (daemons/postfix.md#milters). */
function addBounce(text: string, missing: string[]): string {
  const name = 'internal_mail_filter_classes';
  const line = inForce(parseMainCf(text), name);
  if (line === undefined) {
    missing.push(`${name} = bounce`);
    return text;
  }
  const list = tokens(line.masked);
  if (list.some(token => token.text === 'bounce') || line.value.includes('$')) return text;
  const last = list.at(-1);
  if (last === undefined) {
    const gap = /[ \t]$/.test(text.slice(0, line.valueStart)) ? '' : ' ';
    return `${text.slice(0, line.valueStart)}${gap}bounce${text.slice(line.end)}`;
  }
  const at = line.valueStart + last.end;
  return `${text.slice(0, at)}, bounce${text.slice(at)}`;
}

function block(text: string, rows: readonly string[]): string {
  const end = text.includes('\r\n') ? '\r\n' : '\n';
  const gap = text === '' ? '' : text.endsWith('\n') ? end : end + end;
  const title = text.includes(BLOCK_TITLE) ? [] : [BLOCK_TITLE];
  return (
    (title.length === 0 && text.endsWith('\n') ? '' : gap) +
    [...title, ...rows].map(row => row + end).join('')
  );
}

/** Entries that are meant for OpenDKIM but do not lead to it, besides the one that does. */
export function strayEntries(text: string, ours: Ours, view: PostfixView): readonly string[] {
  const all = ['smtpd_milters', 'non_smtpd_milters'].flatMap(name => expandedList(text, name));
  const isStray = (entry: string): boolean =>
    isOpenDkim(entry, ours, view) && !sameEndpoint(endpointOf(entry, view), ours.wanted);
  return [...new Set(all.filter(isStray))];
}

/** Milters behind OpenDKIM that may change what it has signed. */
export function changersBehind(text: string, ours: Ours, view: PostfixView): readonly string[] {
  const list = expandedList(text, 'smtpd_milters');
  const dkim = list.findIndex(entry => sameEndpoint(endpointOf(entry, view), ours.wanted));
  return dkim < 0 ? [] : list.slice(dkim + 1).filter(changesMail);
}

/** True where DMARC or ARC judges before OpenDKIM has seen the message. */
export function judgedTooEarly(text: string, ours: Ours, view: PostfixView): boolean {
  const list = expandedList(text, 'smtpd_milters');
  const dkim = list.findIndex(entry => isOpenDkim(entry, ours, view));
  const judge = list.findIndex(judgesAfterDkim);
  return judge >= 0 && dkim > judge;
}

/** Where the entries of both lists lead. */
export const milterEndpoints = (text: string, view: PostfixView): readonly SocketEndpoint[] =>
  ['smtpd_milters', 'non_smtpd_milters']
    .flatMap(name => expandedList(text, name))
    .flatMap(entry => endpointOf(entry, view) ?? []);
