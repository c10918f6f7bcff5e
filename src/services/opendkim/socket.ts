/** The Socket parameter of opendkim.conf(5). */
import type {SocketEndpoint} from '../../domain/endpoint.ts';
import {parseAbsolutePath} from '../../domain/paths.ts';

/** Parses `local:/path`, `unix:/path`, `/path`, `inet:port@host`, `inet6:port@host`; undefined for anything else. */
export function parseSocket(text: string): SocketEndpoint | undefined {
  const inet = /^(inet6?):(\d{1,5})(?:@(.+))?$/i.exec(text);
  if (inet !== null) {
    // Without a host it listens on all addresses; the host itself reaches it on the loopback address.
    const fallback = inet[1]?.toLowerCase() === 'inet6' ? '::1' : '127.0.0.1';
    const host = (inet[3] ?? fallback).replace(/^\[(.*)\]$/, '$1');
    return {
      kind: 'tcp',
      host: host === 'localhost' || host === '0.0.0.0' ? fallback : host,
      port: Number(inet[2]),
    };
  }
  const local = parseAbsolutePath(text.replace(/^(local|unix):/i, ''));
  return local.ok ? {kind: 'unix', path: local.value} : undefined;
}

/** True where a Socket value listens on every address of the host. */
export const listensEverywhere = (text: string): boolean =>
  /^inet6?:\d{1,5}(@(0\.0\.0\.0|\[::\]))?$/i.test(text);

/** As OpenDKIM wants it; Postfix has the other order (daemons/opendkim.md#socket). */
export const socketValue = (endpoint: SocketEndpoint): string =>
  endpoint.kind === 'unix'
    ? `local:${endpoint.path}`
    : `inet:${endpoint.port}@${endpoint.host === '127.0.0.1' ? 'localhost' : endpoint.host}`;

/** UMask of opendkim.conf(5), octal; undefined where not set or not a number. */
export const parseUmask = (text: string | undefined): number | undefined =>
  text !== undefined && /^[0-7]{1,4}$/.test(text) ? Number.parseInt(text, 8) : undefined;
