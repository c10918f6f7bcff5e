/** Where a program listens, in paths of the host. */
import {type AbsolutePath, parentOf} from './paths.ts';

export type SocketEndpoint =
  | {readonly kind: 'unix'; readonly path: AbsolutePath}
  | {readonly kind: 'tcp'; readonly host: string; readonly port: number};

export const sameEndpoint = (one: SocketEndpoint | undefined, other: SocketEndpoint | undefined): boolean => {
  if (one?.kind === 'unix') return other?.kind === 'unix' && one.path === other.path;
  return one !== undefined && other?.kind === 'tcp' && one.port === other.port && one.host === other.host;
};

export const socketDirectory = (endpoint: SocketEndpoint | undefined): AbsolutePath | undefined =>
  endpoint?.kind === 'unix' ? parentOf(endpoint.path) : undefined;
