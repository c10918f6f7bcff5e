/** What the rows of master.cf say of themselves: process, account, chroot, port (master(5)). Pure. */
import {type AbsolutePath, absolute, parseAbsolutePath} from '../../../domain/paths.ts';
import {visible} from '../../../domain/text.ts';
import type {Pass} from '../../mta.ts';
import type {ReadConfiguration, Row} from './settings.ts';

/** `-` means no, but yes below compatibility level 1 (postconf(5), compatibility_level). */
export function isChrooted(read: ReadConfiguration, row: Row | undefined): boolean {
  const flag = row?.columns[4] ?? '-';
  if (flag !== '-') return flag === 'y';
  return !(Number.parseFloat(read.main.value('compatibility_level')) >= 1);
}

/** mail_owner, or root where the row says `n` for unprivileged. */
export function accountOf(read: ReadConfiguration, row: Row | undefined): Pass['account'] {
  if (row?.columns[3] === 'n') return {user: 'root', groups: ['root']};
  return {user: visible(read.main.value('mail_owner')), groups: read.configuration.groups};
}

export function queueDirectory(read: ReadConfiguration): AbsolutePath {
  const path = parseAbsolutePath(read.main.value('queue_directory'));
  return path.ok ? path.value : absolute('/var/spool/postfix');
}

const PORTS: Readonly<Record<string, string>> = {
  smtp: '25',
  mail: '25',
  smtps: '465',
  submissions: '465',
  urd: '465',
  ssmtp: '465',
  submission: '587',
  msa: '587',
  qmqp: '628',
  qmqpd: '628',
};

export interface Listener {
  /** Literal address or name before the port; '' where it listens on all of inet_interfaces. */
  readonly host: string;
  /** Number, or the name of a service that is not known here. */
  readonly port: string;
}

export function listenerOf(row: Row): Listener | undefined {
  if (row.type !== 'inet') return undefined;
  const colon = row.label.lastIndexOf(':');
  const name = row.label.slice(colon + 1);
  const host = row.label.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1');
  return {host, port: Object.hasOwn(PORTS, name) ? (PORTS[name] ?? name) : name};
}

/** `587`, `127.0.0.1:10025`; '' where it listens on no port. */
export function listensOn(row: Row): string {
  const listener = listenerOf(row);
  if (listener === undefined) return '';
  const host = listener.host.includes(':') ? `[${listener.host}]` : listener.host;
  return visible(host === '' ? listener.port : `${host}:${listener.port}`);
}

const isLoopbackAddress = (host: string): boolean =>
  /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host) ||
  host === '::1' ||
  host === 'localhost' ||
  host === 'loopback-only';

/** True where clients of this host only reach it. */
export function isLoopback(read: ReadConfiguration, row: Row): boolean {
  const listener = listenerOf(row);
  if (listener === undefined) return row.type === 'unix';
  if (listener.host !== '') return isLoopbackAddress(listener.host);
  const interfaces = read.main
    .value('inet_interfaces')
    .split(/[\s,]+/)
    .filter(word => word !== '');
  return (
    interfaces.length > 0 && interfaces.every(word => isLoopbackAddress(word.replace(/^\[(.*)\]$/, '$1')))
  );
}

/** The programs that take SMTP, whatever the row is called. */
export const isSmtpd = (row: Row): boolean =>
  row.command === 'smtpd' && ['inet', 'unix', 'pass', 'fifo'].includes(row.type);
