/** MX and PTR facts that break delivery, whatever SPF, DKIM and DMARC say. */
import {type DnsName, type DomainName, parseDnsName} from '../domain/names.ts';
import {addressOctets, isPrivateAddress, reverseName} from './address.ts';
import type {DnsPorts} from './client.ts';
import {type Finding, finding} from './finding.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {DnsRecord, QueryType} from './wire.ts';

async function recordsAt(
  ports: DnsPorts,
  name: DnsName,
  type: QueryType,
  options: ResolverOptions,
): Promise<readonly DnsRecord[] | undefined> {
  const resolved = await resolve(ports, {name, type}, options);
  return resolved.kind === 'answer' ? resolved.message.answers : undefined;
}

/** Where mail and bounces for the domain go. What could not be looked up is no finding. */
export async function judgeMx(
  ports: DnsPorts,
  domain: DomainName,
  options: ResolverOptions,
): Promise<readonly Finding[]> {
  const name = domain as string as DnsName;
  const records = await recordsAt(ports, name, 'MX', options);
  if (records === undefined) return [];
  const targets = records.flatMap(record => (record.type === 'MX' ? [record.target] : []));
  if (targets.length === 0) {
    const [four, six] = await Promise.all([
      recordsAt(ports, name, 'A', options),
      recordsAt(ports, name, 'AAAA', options),
    ]);
    if (four === undefined || six === undefined || four.length + six.length > 0) return [];
    return [
      finding(
        'mx.missing',
        'fail',
        `${domain} has neither MX nor address records: nobody can answer, and many receivers refuse such senders.`,
        `Publish an MX record at ${domain} that names the host which takes its mail.`,
        `${domain} MX: none; A, AAAA: none`,
      ),
    ];
  }
  if (targets.includes('' as DnsName)) {
    return [
      finding(
        'mx.null',
        'warn',
        `${domain} says by a null MX (RFC 7505) that it takes no mail, but is to send some: receivers may refuse it.`,
        'Name a host in the MX record, or send as another domain.',
        `${domain} MX 0 .`,
      ),
    ];
  }
  const all = await Promise.all(
    targets.slice(0, 10).map(target => judgeTarget(ports, domain, target, options)),
  );
  return all.flat();
}

async function judgeTarget(
  ports: DnsPorts,
  domain: DomainName,
  target: DnsName,
  options: ResolverOptions,
): Promise<readonly Finding[]> {
  const evidence = `${domain} MX ${target}`;
  if (addressOctets(target) !== undefined) {
    return [
      finding(
        'mx.address',
        'fail',
        `The MX record of ${domain} has the address ${target} where a name belongs (RFC 5321 §5.1).`,
        'Name the host.',
        evidence,
      ),
    ];
  }
  const [four, six] = await Promise.all([
    recordsAt(ports, target, 'A', options),
    recordsAt(ports, target, 'AAAA', options),
  ]);
  if (four === undefined || six === undefined) return [];
  const answers = [...four, ...six];
  if (answers.some(record => record.type === 'CNAME' && record.name === target)) {
    return [
      finding(
        'mx.alias',
        'warn',
        `The MX of ${domain}, ${target}, is an alias (CNAME), which RFC 2181 §10.3 forbids: some senders refuse it.`,
        'Name the host that the alias leads to.',
        evidence,
      ),
    ];
  }
  if (answers.some(record => record.type === 'A' || record.type === 'AAAA')) return [];
  return [
    finding(
      'mx.no-address',
      'fail',
      `The MX of ${domain}, ${target}, has no address.`,
      `Add an A record for ${target}, or remove the MX record.`,
      `${evidence}; ${target} A, AAAA: none`,
    ),
  ];
}

/** Whether the address has a name that leads back to it (RFC 1912 §2.1): large receivers refuse mail without. */
export async function judgePtr(
  ports: DnsPorts,
  address: string,
  hostname: string | undefined,
  options: ResolverOptions,
): Promise<readonly Finding[]> {
  const octets = addressOctets(address);
  if (octets === undefined) return [];
  if (isPrivateAddress(octets)) {
    return [
      finding(
        'address.private',
        'skip',
        `${address} is a private address: receivers see another one, so it cannot be judged from here.`,
        'Look up the address from which your mail leaves.',
        address,
      ),
    ];
  }
  const reverse = reverseName(octets) as DnsName;
  const records = await recordsAt(ports, reverse, 'PTR', options);
  if (records === undefined) return [];
  const names = records.flatMap(record => (record.type === 'PTR' ? [record.target] : []));
  if (names.length === 0) {
    return [
      finding(
        'ptr.missing',
        'fail',
        `The address ${address} has no name (PTR): large receivers refuse its mail.`,
        'Set it where the address comes from, mostly in the panel of the hoster: the name of this host.',
        `${reverse} PTR: none`,
      ),
    ];
  }
  const evidence = `${reverse} PTR ${names.join(', ')}`;
  const confirmed = await Promise.all(
    names.slice(0, 10).map(name => leadsBack(ports, name, octets, options)),
  );
  if (!confirmed.includes(true)) {
    return [
      finding(
        'ptr.unconfirmed',
        'fail',
        `The name of ${address}, ${names[0]}, does not lead back to it: receivers treat it as if it had none.`,
        `Add ${octets.length === 4 ? 'an A' : 'an AAAA'} record for ${names[0]} with ${address}, or change the PTR record.`,
        evidence,
      ),
    ];
  }
  const own = hostname === undefined ? undefined : parseDnsName(hostname);
  if (own?.ok === true && !names.includes(own.value)) {
    return [
      finding(
        'ptr.other-name',
        'warn',
        `The address ${address} is called ${names[0]}, this host calls itself ${own.value}.`,
        'Give both the same name, by the settings of your mail server or by the PTR record.',
        evidence,
      ),
    ];
  }
  return [
    finding('ptr.sound', 'pass', `The address ${address} has a name that leads back to it.`, '', evidence),
  ];
}

async function leadsBack(
  ports: DnsPorts,
  name: DnsName,
  octets: Uint8Array,
  options: ResolverOptions,
): Promise<boolean> {
  const records = await recordsAt(ports, name, octets.length === 4 ? 'A' : 'AAAA', options);
  return (records ?? []).some(record => {
    if (record.type !== 'A' && record.type !== 'AAAA') return false;
    const other = addressOctets(record.address);
    return other !== undefined && Buffer.from(other).equals(octets);
  });
}
