/** Milter lists of Postfix: which entry is which, and where ours belongs. */
import {type AbsolutePath, parseAbsolutePath} from '../../domain/paths.ts';
import type {SocketEndpoint} from '../../system/ports.ts';
import {sameEndpoint} from '../opendkim/socket.ts';
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
 * (FACTS 2.5), is understood so that it can be mended.
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

export interface Ours {
  /** Where OpenDKIM will answer. */
  readonly wanted: SocketEndpoint;
  /** Where it answers today; undefined where it does not. */
  readonly before: SocketEndpoint | undefined;
}

/** True where an entry is meant for OpenDKIM: its socket of today or tomorrow, or the customary places. */
export function isOpenDkim(entry: string, ours: Ours, view: PostfixView): boolean {
  const endpoint = endpointOf(entry, view);
  if (endpoint === undefined) return false;
  if (sameEndpoint(endpoint, ours.wanted) || sameEndpoint(endpoint, ours.before)) return true;
  if (endpoint.kind === 'unix') return /(^|\/)opendkim\.sock$/.test(endpoint.path);
  return endpoint.port === 8891 && /^(127\.0\.0\.1|::1)$/.test(endpoint.host);
}

/** DMARC and ARC judge what the milters before them found: OpenDKIM goes before them (FACTS 3.1). */
export const judgesAfterDkim = (entry: string): boolean =>
  /opendmarc|openarc|authentication_milter/i.test(entry) ||
  /^inet6?:(127\.0\.0\.1|localhost|\[::1\]):8893$/i.test(addressOf(entry));

export type MilterEdit =
  | {readonly kind: 'none'}
  /** Replace the characters from `start` to `end` (offsets of the text) by `text`. */
  | {readonly kind: 'splice'; readonly start: number; readonly end: number; readonly text: string};

/** What to change in one milter list so that it leads to `ours.wanted` exactly once. */
export function mergeMilter(
  line: LogicalLine,
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
  const next = list.findIndex(token => token.entries.some(judgesAfterDkim));
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
