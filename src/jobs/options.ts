import type {DnsServer} from '../system/ports.ts';
import type {NamedFiles} from './named-files.ts';

export interface WorkOptions {
  /** Asked instead of those of resolv.conf (`--resolver`); undefined for the host's own. */
  readonly resolvers: readonly DnsServer[] | undefined;
  /** Files that a person names: a key to import, where to save a record. Default: those of the host. */
  readonly namedFiles?: NamedFiles | undefined;
  /** The environment of waxseal itself, where the credentials of a publisher may be. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** True for a rotation: a selector that signs already is not proposed again. */
  readonly newSelector?: boolean;
}
