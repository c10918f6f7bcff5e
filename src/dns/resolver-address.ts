/** The address of a resolver as a person gives it with `--resolver`. */
import {fail, ok, problem, type Result} from '../domain/result.ts';
import {visible} from '../domain/text.ts';
import type {DnsServer} from '../system/ports.ts';

const DNS_PORT = 53;
/** RFC 7858 §3.1. */
const TLS_PORT = 853;

/**
 * `192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53`, `[2001:db8::53]:5353`; in front of it `udp:`, `tcp:` or `tls:`; after
 * an address for TLS `#name` of the certificate: `tls:192.0.2.53#dns.example.net`. Problem: `usage.resolver`.
 */
export function parseResolver(text: string): Result<DnsServer> {
  const match =
    /^(?:(udp|tcp|tls):)?(?:\[([0-9a-f:.]+)\]|(\d{1,3}(?:\.\d{1,3}){3})(?=[:#]|$)|([0-9a-f.]*:[0-9a-f:.]*))(?::(\d{1,5}))?(?:#([a-z0-9.-]+))?$/i.exec(
      text.trim(),
    );
  const [, transport, bracketed, four, six, portText, tlsName] = match ?? [];
  const address = bracketed ?? four ?? six;
  const port = portText === undefined ? (transport === 'tls' ? TLS_PORT : DNS_PORT) : Number(portText);
  const isFour = four?.split('.').every(octet => Number(octet) <= 255);
  const isSix = address !== undefined && four === undefined && isIpv6(address);
  if (address === undefined || !(isFour === true || isSix) || port < 1 || port > 65_535) return refusal(text);
  if (tlsName !== undefined && transport !== 'tls') return refusal(text);
  return ok({
    address,
    port,
    ...(transport === 'tcp' || transport === 'tls' ? {transport} : {}),
    ...(tlsName === undefined ? {} : {tlsName: tlsName.toLowerCase()}),
  });
}

const refusal = (text: string): Result<DnsServer> =>
  fail(
    problem(
      'usage.resolver',
      `"${visible(text)}" is not the address of a resolver.`,
      'Give an IP address, as 192.0.2.53 or [2001:db8::53]:5353; tcp: or tls: may stand before it.',
    ),
  );

/** RFC 4291 §2.2, without a zone. */
function isIpv6(text: string): boolean {
  const halves = text.split('::');
  if (halves.length > 2) return false;
  const groups = halves.flatMap(half => (half === '' ? [] : half.split(':')));
  const last = groups.at(-1) ?? '';
  const hasFour =
    /^\d{1,3}(?:\.\d{1,3}){3}$/.test(last) && last.split('.').every(octet => Number(octet) <= 255);
  const plain = hasFour ? groups.slice(0, -1) : groups;
  const count = plain.length + (hasFour ? 2 : 0);
  return (
    plain.every(group => /^[0-9a-f]{1,4}$/i.test(group)) && (halves.length === 2 ? count < 8 : count === 8)
  );
}
