/** One question a server and second, whoever asks: rounds, serials, neighbours, targets of aliases. */
import type {DnsServer} from '../system/ports.ts';
import type {DnsPorts} from './client.ts';

const EVERY_MS = 1000;
/** RD in the third octet: a question for a resolver, which is this host's own business. */
const RECURSION_DESIRED = 0x01;

/**
 * The ports with a wait before each datagram to an authoritative server that was asked less than `everyMs` ago. A step to
 * TCP after a truncated answer is the same question and does not wait, but counts.
 */
export function paced(ports: DnsPorts, everyMs = EVERY_MS): DnsPorts {
  const {clock, dns} = ports;
  const next = new Map<string, number>();
  const keyOf = ({address, port}: DnsServer): string => `${address} ${port}`;
  // Whoever wakes late, as on a busy host, must not come close to the next one: the moment of sending counts.
  const turnOf = async (server: string, signal: AbortSignal | undefined): Promise<void> => {
    for (;;) {
      const now = clock.now().getTime();
      const at = next.get(server) ?? now;
      if (at <= now) {
        next.set(server, now + everyMs);
        return;
      }
      await clock.sleep(at - now, signal);
    }
  };
  return {
    ...ports,
    dns: {
      async udp(server, query, options) {
        if (((query[2] ?? 0) & RECURSION_DESIRED) === 0) await turnOf(keyOf(server), options.signal);
        return dns.udp(server, query, options);
      },
      tcp(server, query, options) {
        next.set(keyOf(server), Math.max(next.get(keyOf(server)) ?? 0, clock.now().getTime() + everyMs));
        return dns.tcp(server, query, options);
      },
      hostResolvers: () => dns.hostResolvers(),
    },
  };
}
