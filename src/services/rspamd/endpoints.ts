/** Where rspamd listens as a milter: the proxy workers (daemons/rspamd.md#milter). */
import type {SocketEndpoint} from '../../domain/endpoint.ts';
import {parseAbsolutePath} from '../../domain/paths.ts';
import type {Worker} from './dump.ts';
import {textsOf} from './maps.ts';
import {isOn} from './model.ts';

const MILTER_PORT = 11_332;

export const milterEndpoints = (workers: readonly Worker[]): readonly SocketEndpoint[] =>
  workers
    .filter(({kind, settings}) => kind === 'rspamd_proxy' && isOn({value: settings['milter']}))
    .filter(({settings}) => settings['enabled'] !== false && settings['count'] !== 0)
    .flatMap(({settings}) => textsOf(settings['bind_socket']).flatMap(text => parseBindSocket(text) ?? []));

/** `localhost:11332`, `*:11332`, `[::1]:11332`, `/run/rspamd/milter.sock mode=0660`; undefined for `systemd:0`. */
export function parseBindSocket(text: string): SocketEndpoint | undefined {
  const [address = ''] = text.trim().split(/\s+/);
  if (address.startsWith('systemd:')) return undefined;
  const path = parseAbsolutePath(address.replace(/^unix:/, ''));
  if (path.ok) return {kind: 'unix', path: path.value};
  const [, host = '', port] = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(address) ?? [];
  if (host === '') return undefined;
  const name = host.replace(/^\[|\]$/g, '');
  const isAny = name === '*' || name === '*v4' || name === '*v6';
  return {kind: 'tcp', host: isAny ? '127.0.0.1' : name, port: Number(port ?? MILTER_PORT)};
}
