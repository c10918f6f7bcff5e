/** Milter lists of Postfix: which entry is which, and where ours belongs. */
import {type SocketEndpoint, sameEndpoint} from '../../domain/endpoint.ts';
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {MilterLink} from '../mta.ts';
import {expand, type LogicalLine, tokens, words} from './parse.ts';

export interface PostfixView {
  readonly queueDirectory: AbsolutePath;
  readonly chrooted: boolean;
}

/** The address within one list entry: `{ inet:h:p, timeout=… }` has it first. */
export const addressOf = (entry: string): string =>
  entry.startsWith('{') ? (words(entry.slice(1).replace(/\}$/, ''))[0] ?? '') : entry;

/**
 * Where an entry leads, in paths of the host: a chrooted Postfix sees unix paths below its queue directory, and a
 * relative path lies there in any case (MILTER_README). OpenDKIM's notation `inet:port@host`, fatal to Postfix
 * (daemons/opendkim.md#socket), is understood so that it can be mended.
 */
export function endpointOf(entry: string, view: PostfixView): SocketEndpoint | undefined {
  const address = addressOf(entry);
  const inet = /^inet6?:(?:\[([^\]]+)\]|([^:@]+)):(\d{1,5})$/i.exec(address) ?? swapped(address);
  if (inet !== null) {
    const host = inet[1] ?? inet[2] ?? '';
    return {kind: 'tcp', host: host === 'localhost' ? '127.0.0.1' : host, port: Number(inet[3])};
  }
  const unix = /^(?:unix|local):(.+)$/i.exec(address)?.[1];
  if (unix === undefined) return undefined;
  const within = unix.startsWith('/') && !view.chrooted ? unix : `${view.queueDirectory}/${unix}`;
  const path = parseAbsolutePath(within);
  return path.ok ? {kind: 'unix', path: path.value} : undefined;
}

function swapped(address: string): RegExpExecArray | null {
  const match = /^inet6?:(\d{1,5})@(?:\[([^\]]+)\]|(.+))$/i.exec(address);
  if (match === null) return null;
  return Object.assign(match, [match[0], match[2], match[3], match[1]]);
}

/** As Postfix wants it: relative to the queue directory where possible, which is right with and without chroot. */
export function milterAddress(endpoint: SocketEndpoint, view: PostfixView): string {
  if (endpoint.kind === 'tcp') {
    return `inet:${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`;
  }
  const below = `${view.queueDirectory}/`;
  return `unix:${endpoint.path.startsWith(below) ? endpoint.path.slice(below.length) : endpoint.path}`;
}

export type Ours = MilterLink;

/** A place that OpenDKIM has left, or leaves with this plan. */
const isLeft = (endpoint: SocketEndpoint, ours: Ours): boolean =>
  !sameEndpoint(endpoint, ours.wanted) &&
  [ours.before, ...(ours.former ?? [])].some(left => sameEndpoint(endpoint, left));

/** True where an entry is meant for OpenDKIM: its socket of today or tomorrow, or the customary places. */
export function isOpenDkim(entry: string, ours: Ours, view: PostfixView): boolean {
  const endpoint = endpointOf(entry, view);
  if (endpoint === undefined) return false;
  if (sameEndpoint(endpoint, ours.wanted) || isLeft(endpoint, ours)) return true;
  if (endpoint.kind === 'unix') return /(^|\/)opendkim\.sock$/.test(endpoint.path);
  return endpoint.port === 8891 && /^(127\.0\.0\.1|::1)$/.test(endpoint.host);
}

/**
 * DMARC and ARC judge what the milters before them found: OpenDKIM goes before them (daemons/postfix.md#milters).
 */
export const judgesAfterDkim = (entry: string): boolean =>
  /opendmarc|openarc|authentication_milter/i.test(entry) ||
  /^inet6?:(127\.0\.0\.1|localhost|\[::1\]):8893$/i.test(addressOf(entry));

/**
 * Milters that change what is signed: they go before OpenDKIM (daemons/postfix.md#milters). By name, else by their
 * usual port.
 */
export const changesMail = (entry: string): boolean =>
  /rspamd|spamass|mimedefang|clamav|clmilter|amavis|altermime|milter-manager/i.test(entry) ||
  /^inet6?:(127\.0\.0\.1|localhost|\[::1\]):(11332|7357)$/i.test(addressOf(entry));

export type MilterEdit =
  | {readonly kind: 'none'}
  /** Replace the characters from `start` to `end` (offsets of the text) by `text`. */
  | {readonly kind: 'splice'; readonly start: number; readonly end: number; readonly text: string};

/** One list of milters, be it in main.cf or an override in master.cf. */
export type MilterList = Pick<LogicalLine, 'name' | 'value' | 'valueStart' | 'end' | 'masked'>;

/** What to change in one milter list so that it leads to `ours.wanted` exactly once. */
export function mergeMilter(
  line: MilterList,
  settings: ReadonlyMap<string, string>,
  ours: Ours,
  view: PostfixView,
): MilterEdit {
  const address = milterAddress(ours.wanted, view);
  const list = tokens(line.masked).map(token => ({
    ...token,
    entries: tokens(expand(token.text, settings)).map(inner => inner.text),
  }));
  const leadsThere = (entry: string): boolean =>
    sameEndpoint(endpointOf(entry, view), ours.wanted) && swapped(addressOf(entry)) === null;
  if (list.some(token => token.entries.some(leadsThere))) return {kind: 'none'};
  const stale = list.find(token => !token.text.startsWith('$') && isOpenDkim(token.text, ours, view));
  if (stale !== undefined) {
    const start = line.valueStart + stale.start + stale.text.indexOf(addressOf(stale.text));
    return {kind: 'splice', start, end: start + addressOf(stale.text).length, text: address};
  }
  const changer = list.findLastIndex(token => token.entries.some(changesMail));
  const next = list.findIndex((token, at) => at > changer && token.entries.some(judgesAfterDkim));
  const previous = list[(next < 0 ? list.length : next) - 1];
  const first = list[0];
  if (previous !== undefined) {
    const at = line.valueStart + previous.end;
    return {kind: 'splice', start: at, end: at, text: `, ${address}`};
  }
  if (first !== undefined) {
    const at = line.valueStart + first.start;
    return {kind: 'splice', start: at, end: at, text: `${address}, `};
  }
  return {kind: 'splice', start: line.valueStart, end: line.end, text: address};
}

/**
 * Takes out entries of a list that must not stay beside the one that leads to `ours.wanted`: places where OpenDKIM
 * answers no more, the same place a second time, other signers that are switched off. References stay. Splices in
 * order, none where the list has nothing else.
 */
export function surplus(
  line: MilterList,
  text: string,
  settings: ReadonlyMap<string, string>,
  ours: Ours,
  view: PostfixView,
): readonly (MilterEdit & {readonly kind: 'splice'})[] {
  const list = tokens(line.masked);
  let reached = false;
  const doomed = list.map(token => {
    const entries = tokens(expand(token.text, settings)).map(inner => inner.text);
    const leads = entries.some(entry => sameEndpoint(endpointOf(entry, view), ours.wanted));
    if (leads && !reached) {
      reached = true;
      return false;
    }
    return !token.text.startsWith('$') && (leads || isSurplus(token.text, ours, view));
  });
  if (doomed.every(Boolean)) return [];
  return list.flatMap((token, at) => {
    if (doomed[at] !== true) return [];
    // The first one that stays has no separator before it: then the one behind goes.
    const leading = doomed.slice(0, at).every(Boolean);
    const neighbour = leading ? list[at + 1]?.start : list[at - 1]?.end;
    const gap = leading ? [token.end, neighbour ?? token.end] : [neighbour ?? token.start, token.start];
    const between = line.masked.slice(gap[0], gap[1]);
    const cut = (start: number, end: number) =>
      ({kind: 'splice', start: line.valueStart + start, end: line.valueStart + end, text: ''}) as const;
    // A comment between two lines of the list belongs to nobody and stays; only the comma goes.
    if (!/[\r\n]/.test(text.slice(line.valueStart + (gap[0] ?? 0), line.valueStart + (gap[1] ?? 0))))
      return [cut(Math.min(gap[0] ?? 0, token.start), Math.max(gap[1] ?? 0, token.end))];
    const whole = ownLine(text, line.valueStart + token.start, line.valueStart + token.end);
    const pieces =
      whole === undefined ? [cut(token.start, token.end)] : [{kind: 'splice', ...whole, text: ''} as const];
    const comma = line.valueStart + (gap[0] ?? 0) + between.indexOf(',');
    // A line that goes with its own comma leaves the one before it to the entry behind.
    const enough = whole !== undefined && text.slice(whole.start, whole.end).includes(',');
    if (between.includes(',') && !enough)
      pieces.push({kind: 'splice', start: comma, end: comma + 1, text: ''});
    return pieces;
  });
}

/** The continuation line on which an entry stands alone, with its line feed; undefined where something else is on it. */
function ownLine(
  text: string,
  start: number,
  end: number,
): {readonly start: number; readonly end: number} | undefined {
  const from = text.lastIndexOf('\n', start - 1) + 1;
  const feed = text.indexOf('\n', end);
  const rest = text.slice(from, start) + text.slice(end, feed < 0 ? text.length : feed);
  return feed >= 0 && /^[\s,]+$/.test(rest) ? {start: from, end: feed + 1} : undefined;
}

function isSurplus(entry: string, ours: Ours, view: PostfixView): boolean {
  if (ours.isSwitchedOff?.(entry) === true) return true;
  const endpoint = endpointOf(entry, view);
  if (endpoint === undefined || sameEndpoint(endpoint, ours.wanted)) return false;
  if (isLeft(endpoint, ours)) return true;
  return isOpenDkim(entry, ours, view) && (ours.dropsStray === true || ours.isGone?.(endpoint) === true);
}

/** Parameters that a list refers to with `$`, itself first: a stale entry may stand in one of them. */
export function referencesOf(name: string, settings: ReadonlyMap<string, string>): readonly string[] {
  const seen: string[] = [];
  const visit = (parameter: string): void => {
    if (seen.includes(parameter)) return;
    seen.push(parameter);
    for (const match of (settings.get(parameter) ?? '').matchAll(/\$[{(]?([A-Za-z0-9_]+)/g))
      visit(match[1] ?? '');
  };
  visit(name);
  return seen;
}
