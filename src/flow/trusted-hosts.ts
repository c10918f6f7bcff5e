/** Hosts whose mail is signed without a login (daemons/opendkim.md#internal-hosts). */
import {addressOctets, meantNetwork} from '../dns/address.ts';
import {parseDnsName} from '../domain/names.ts';
import {fail, ok, problem, type Result} from '../domain/result.ts';

const LIMIT = 1000;

/**
 * Parses a comma or blank separated list of addresses, networks (`10.9.9.0/24`, `2001:db8::/32`), names and
 * `.example.org` for everything below a domain. The empty text is the empty list. A network of everything is refused:
 * it would sign mail of the whole internet.
 */
export function parseTrustedHosts(text: string): Result<readonly string[]> {
  const words = [...new Set(text.split(/[\s,]+/).filter(word => word !== ''))];
  if (words.length > LIMIT) return refuse('The list', `it has more than ${LIMIT} entries`);
  for (const word of words) {
    const why = fault(word);
    if (why !== undefined) return refuse(JSON.stringify(word.slice(0, 80)), why);
  }
  return ok(words.map(word => word.toLowerCase()));
}

const refuse = (what: string, why: string): Result<readonly string[]> =>
  fail(
    problem(
      'trusted-hosts.syntax',
      `${what} cannot be trusted to send: ${why}.`,
      'Give addresses or networks of your own hosts with --trusted-hosts, as 10.9.9.0/24,2001:db8::/48.',
    ),
  );

function fault(word: string): string | undefined {
  const [address = '', prefix, ...rest] = word.split('/');
  if (rest.length > 0) return 'it has more than one slash';
  const octets = addressOctets(address);
  // With a zero in front some programs read an octet as octal.
  if (octets === undefined || /(?:^|\.)0\d/.test(address))
    return prefix === undefined ? nameFault(word) : 'only an address can have a prefix';
  if (prefix === undefined) return undefined;
  const bits = address.includes(':') ? 128 : 32;
  if (!/^\d{1,3}$/.test(prefix) || Number(prefix) > bits) return `the prefix must be from 1 to ${bits}`;
  if (Number(prefix) === 0) return 'it is every address there is';
  const network = meantNetwork(word);
  return network === undefined ? undefined : `no client would match it; the network is written ${network}`;
}

function nameFault(word: string): string | undefined {
  const name = parseDnsName(word.replace(/^\./, ''));
  return name.ok && name.value !== '' && !/^[0-9.]+$/.test(name.value)
    ? undefined
    : 'it is neither an address nor a name';
}
