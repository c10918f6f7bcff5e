import type {DnsServer} from '../../system/ports.ts';

export interface WorkOptions {
  /** Asked instead of those of resolv.conf (`--resolver`); undefined for the host's own. */
  readonly resolvers: readonly DnsServer[] | undefined;
}
