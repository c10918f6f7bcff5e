/** Reads one list of milters exactly as milter(3), attr_override(3) and host_port(3) of Postfix do. Pure. */
import {type AbsolutePath, parseAbsolutePath} from '../../../domain/paths.ts';
import {visible} from '../../../domain/text.ts';
import type {MilterHop} from '../../mta.ts';
import {tokens} from '../parse.ts';

export interface ListReader {
  readonly queueDirectory: AbsolutePath;
  /** The process that connects has the queue directory for its root. */
  readonly chroot: boolean;
  /** milter_default_action of the service; '' where it is not known. */
  readonly defaultAction: string;
  /** milter_protocol of the service. */
  readonly protocol: string;
}

/**
 * In order; `fatal` in Postfix's words where one word of the list ends every process that reads it. `onConnect`: only when
 * it has mail for that milter, not when it starts.
 */
export type MilterHops = readonly MilterHop[] | {readonly fatal: string; readonly onConnect?: true};

export const isFatal = (hops: MilterHops): hops is Extract<MilterHops, {readonly fatal: string}> =>
  'fatal' in hops;

export function parseMilterList(value: string, reader: ListReader): MilterHops {
  const entries: (Entry & {readonly text: string})[] = [];
  for (const {text} of tokens(value)) {
    const entry = text.startsWith('{') ? braced(text, value) : {address: text};
    if ('fatal' in entry) return {fatal: visible(entry.fatal)};
    entries.push({text, ...entry});
  }
  const hops: MilterHop[] = [];
  for (const {text, ...entry} of entries) {
    const end = endpointIn(entry.address, reader);
    if ('fatal' in end) return {fatal: visible(end.fatal), onConnect: true};
    const action = entry.action ?? reader.defaultAction;
    const fault = protocolFault(entry.protocol ?? reader.protocol);
    hops.push({
      text: visible(text),
      ...end,
      ...(fault === undefined ? {} : {fault}),
      // A transport that Postfix does not know counts as failed, and is answered with 451 or 421 unless all is accepted.
      whenDown:
        (end.endpoint === undefined || fault !== undefined) && action !== 'accept' && action !== ''
          ? 'delayed'
          : whenDown(action),
    });
  }
  return hops;
}

/** Versions, and the one extension (milter8_versions in milter8.c): a word that is none switches the milter off. */
function protocolFault(protocol: string): string | undefined {
  const bad = protocol.split(/[\s,]+/).find(word => !/^(?:|[2346]|no_header_reply)$/i.test(word));
  return bad === undefined ? undefined : `is not spoken to: milter_protocol has no "${visible(bad)}"`;
}

const WHEN_DOWN: Readonly<Record<string, MilterHop['whenDown']>> = {
  accept: 'unsigned',
  tempfail: 'delayed',
  shutdown: 'delayed',
  reject: 'refused',
  quarantine: 'held',
};

/** A word that this Postfix does not know is answered with 451 4.3.5: the client tries again. */
const whenDown = (action: string): MilterHop['whenDown'] =>
  action === '' ? 'unknown' : (WHEN_DOWN[action] ?? 'delayed');

interface Entry {
  readonly address: string;
  /** default_action of this entry. */
  readonly action?: string;
  readonly protocol?: string;
}

const TIMES: ReadonlySet<string> = new Set(['connect_timeout', 'command_timeout', 'content_timeout']);
const TEXTS: ReadonlySet<string> = new Set(['protocol', 'default_action']);

function braced(text: string, list: string): Entry | {readonly fatal: string} {
  const inner = insideBraces(text);
  if (typeof inner !== 'string') return {fatal: `milter service syntax error: ${inner.fault}`};
  const [address, ...options] = tokens(inner).map(token => token.text);
  if (address === undefined) return {fatal: `empty milter definition: "${list}"`};
  let entry: Entry = {address};
  for (const option of options) {
    const plain = option.startsWith('{') ? insideBraces(option) : option;
    if (typeof plain !== 'string') return {fatal: `${plain.fault} in "${option}"`};
    const [, name = '', value = ''] = /^\s*([^\s=]+)\s*=(.*)$/s.exec(plain)?.map(part => part.trim()) ?? [];
    if (name === '') return {fatal: malformed(plain)};
    if (!TIMES.has(name) && !TEXTS.has(name)) return {fatal: `unknown option: "${name} = ${value}"`};
    if (TIMES.has(name) && !/^\d+[wdhms]?$/i.test(value))
      return {fatal: `${name}: bad time value or unit: ${value}`};
    if (TEXTS.has(name) && value === '') return {fatal: `bad string length 0 < 1: ${name} = `};
    if (name === 'default_action') entry = {...entry, action: value};
    if (name === 'protocol') entry = {...entry, protocol: value};
  }
  return entry;
}

const malformed = (option: string): string =>
  /^\s*(=|$)/.test(option)
    ? `malformed option: missing attribute name: "...${option}..."`
    : `malformed option: missing '=' after attribute name: "...${option}..."`;

function insideBraces(text: string): string | {readonly fault: string} {
  let level = 0;
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === '{') level += 1;
    if (text[at] === '}') level -= 1;
    if (level > 0) continue;
    return at === text.length - 1 ? text.slice(1, at) : {fault: `syntax error after '}' in "${text}"`};
  }
  return {fault: `missing '}' in "${text}"`};
}

type End = Pick<MilterHop, 'endpoint' | 'seenFrom'> | {readonly fatal: string};

function endpointIn(address: string, reader: ListReader): End {
  const colon = address.indexOf(':');
  const [transport, rest] = [address.slice(0, Math.max(colon, 0)), address.slice(colon + 1)];
  if (colon < 1 || rest === '') return {endpoint: undefined};
  if (transport === 'inet') return inetEnd(rest);
  return transport === 'unix' || transport === 'local' ? unixEnd(rest, reader) : {endpoint: undefined};
}

/** The process works in the queue directory, which is its root where it is chrooted. */
function unixEnd(path: string, {queueDirectory, chroot}: ListReader): End {
  const isOutside = path.startsWith('/') && !chroot;
  const outside = parseAbsolutePath(isOutside ? path : `${queueDirectory}/${path}`);
  const inside = parseAbsolutePath(chroot ? `/${path}` : isOutside ? path : `${queueDirectory}/${path}`);
  if (!outside.ok || !inside.ok) return {endpoint: undefined};
  return {endpoint: {kind: 'unix', path: outside.value}, seenFrom: inside.value};
}

/** host_port(3) with the default host `localhost` and no default port. */
function inetEnd(text: string): End {
  const {host, port, fault} = hostAndPort(text);
  const isName = /^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$/.test(host) && !host.includes('..');
  const why =
    fault ??
    (host === '' || isName || /^[0-9A-Fa-f:.]+$/.test(host)
      ? undefined
      : 'valid hostname or network address required') ??
    (port === '' ? 'missing service information' : undefined) ??
    (/^\d/.test(port) && !/^\d+$/.test(port) ? 'garbage after numerical service' : undefined);
  if (why !== undefined) return {fatal: `${text}: ${why}`};
  const number = /^\d{1,6}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) return {endpoint: undefined};
  return {
    endpoint: {kind: 'tcp', host: host === '' || host === 'localhost' ? '127.0.0.1' : host, port: number},
  };
}

function hostAndPort(text: string): {host: string; port: string; fault?: string} {
  if (text.startsWith('[')) {
    const close = text.indexOf(']');
    if (close < 0) return {host: '', port: '', fault: 'missing "]"'};
    const rest = text.slice(close + 1);
    const host = text.slice(1, close).replace(/^IPv6:/i, '');
    if (rest !== '' && !rest.startsWith(':')) return {host, port: '', fault: 'garbage after "]"'};
    return {host, port: rest.slice(1)};
  }
  const colon = text.lastIndexOf(':');
  return colon < 0 ? {host: '', port: text} : {host: text.slice(0, colon), port: text.slice(colon + 1)};
}
