/**
 * The zone that a record belongs to, and all servers that speak for it.
 *
 * The host's resolver is asked for the mail domain and its name servers only. The record's own name and everything from
 * `_domainkey` down go to authoritative servers alone: a resolver would remember "not there" for the negative TTL, and
 * so hide the record from the live test after it was published.
 */
import {command} from '../domain/command.ts';
import {type DnsName, isWithin} from '../domain/names.ts';
import {fail, ok, type Problem, problem, type Result} from '../domain/result.ts';
import type {DnsServer} from '../system/ports.ts';
import {ask, type DnsPorts} from './client.ts';
import {learn, type Resolved, type ResolverOptions, resolve} from './resolver.ts';
import type {AuthoritativeServer, Zone} from './survey.ts';
import type {DnsMessage, DnsRecord, Question, SoaRecord} from './wire.ts';

const DNS_PORT = 53;
/** Name servers of one zone that are asked at most, and their addresses: a zone may list any number. */
export const MAX_NAMES = 20;
export const MAX_ADDRESSES = 40;
/** Cuts below one another that are followed from the mail domain down to the record. */
const MAX_CUTS = 5;

/**
 * The zone of `name`: SOA walk upwards from the mail domain through the resolver (RFC 1034 §4.3.4, RFC 2308 §3), then
 * down to the name at the authoritative servers, since `_domainkey` may be a zone of its own.
 * Problems: `dns.no-resolver`, `dns.resolver-failed`, `dns.domain-missing`, `dns.no-zone`, `dns.no-servers`.
 */
export async function findZone(
  ports: DnsPorts,
  name: DnsName,
  options: ResolverOptions,
): Promise<Result<Zone>> {
  return zoneBelow(ports, mailDomain(name), name, options);
}

/** As `findZone`, for a name that must not be asked at the resolver itself, as the target of a CNAME. */
export async function findZoneOfTarget(
  ports: DnsPorts,
  name: DnsName,
  options: ResolverOptions,
): Promise<Result<Zone>> {
  const start = mailDomain(name);
  return zoneBelow(ports, start === name ? parent(name) : start, name, options);
}

/** The part above `_domainkey`, or the name itself. */
function mailDomain(name: DnsName): DnsName {
  const labels = name.split('.');
  const at = labels.lastIndexOf('_domainkey');
  return labels.slice(at + 1).join('.') as DnsName;
}

const parent = (name: DnsName): DnsName => name.split('.').slice(1).join('.') as DnsName;

async function zoneBelow(
  ports: DnsPorts,
  start: DnsName,
  leaf: DnsName,
  options: ResolverOptions,
): Promise<Result<Zone>> {
  const walked = await walkUp(ports, start, options);
  if (!walked.ok) return walked;
  let zone = await describedOnce(ports, walked.value, options);
  for (let cuts = 0; zone.ok && cuts < MAX_CUTS; cuts++) {
    const cut = await cutBelow(ports, zone.value, leaf, options);
    if (cut === undefined) break;
    zone = await describe(ports, cut, options);
  }
  return zone;
}

/** What is known of a zone before its servers were asked. */
interface Found {
  readonly apex: DnsName;
  /** As a resolver or the parent's server told it: its TTL may have been counted down. */
  readonly soa: SoaRecord | undefined;
  /** From a delegation: the resolver need not be asked for what is in it. */
  readonly delegation?: Delegation;
  readonly remarks: readonly Problem[];
}

interface Delegation {
  readonly names: readonly DnsName[];
  readonly glue: readonly DnsRecord[];
  /** Whose NS records these are: of the zone above, or the zone's own. */
  readonly by: 'parent' | 'child';
}

/**
 * Asks the resolver; where it fails, once more without validation: a zone whose DNSSEC is broken has servers all the same,
 * and is to be looked at, not given up.
 */
async function lookUp(ports: DnsPorts, question: Question, options: ResolverOptions): Promise<LookedUp> {
  const first = await resolve(ports, question, options);
  if (first.kind !== 'failed') return first;
  const again = await resolve(ports, question, options, {unchecked: true});
  return again.kind === 'answer' ? {...again, isBogus: true} : first;
}

type LookedUp = Resolved & {readonly isBogus?: boolean};

const zoneBogus = (apex: DnsName): Problem =>
  problem(
    'dns.zone-bogus',
    `DNSSEC of ${apex} is broken: the resolver answers for it only without validation.`,
    `Until that is mended, receivers that validate find no key. Try: ${command('delv', apex === '' ? '.' : apex, 'SOA')}`,
  );

async function walkUp(ports: DnsPorts, start: DnsName, options: ResolverOptions): Promise<Result<Found>> {
  let missing = false;
  for (let name = start; name !== ''; name = parent(name)) {
    const resolved = await lookUp(ports, {name, type: 'SOA'}, options);
    if (resolved.kind !== 'answer') return fail(unresolved(name, resolved));
    const {message} = resolved;
    if (name === start) missing = message.rcode === 'NXDOMAIN';
    // Where the name is an alias, the SOA in the answer is that of the target's zone: ours is further up.
    if (message.answers.some(record => record.type === 'CNAME' && record.name === name)) continue;
    const soa = soaFor(message, name);
    if (soa === undefined) continue;
    if (missing && isRegistry(soa.name)) return fail(notRegistered(start, soa.name));
    const remarks = resolved.isBogus === true ? [zoneBogus(soa.name)] : [];
    return ok({apex: soa.name, soa, remarks});
  }
  return fail(
    problem(
      'dns.no-zone',
      `No DNS zone was found for ${start}.`,
      'Check the spelling of the domain, and that this host resolves names: dig SOA example.org',
    ),
  );
}

const soaFor = (message: DnsMessage, name: DnsName): SoaRecord | undefined =>
  [...message.answers, ...message.authorities].find(
    (record): record is SoaRecord =>
      record.type === 'SOA' && record.name !== '' && isWithin(name, record.name),
  );

/** A zone in which registries hand out names: a top-level domain, or `co.uk` and its like. No list of them is carried along. */
const isRegistry = (apex: DnsName): boolean =>
  !apex.includes('.') || /^(?:co|com|net|org|gov|gob|ac|edu|ne|or|ltd|plc|me|nom|web)\.[a-z]{2}$/.test(apex);

const notRegistered = (name: DnsName, registry: DnsName): Problem =>
  problem(
    'dns.domain-missing',
    `The domain ${name} does not exist: the zone ${registry} does not know it.`,
    `Check the spelling, and that the domain is registered and its name servers are set: dig NS ${name}`,
  );

function unresolved(name: DnsName, resolved: Exclude<Resolved, {kind: 'answer'}>): Problem {
  if (resolved.kind === 'none') {
    return problem(
      'dns.no-resolver',
      'This host has no DNS resolver.',
      'Name one in /etc/resolv.conf, or give one with --resolver.',
    );
  }
  const {address, port} = resolved.resolver;
  const where = port === DNS_PORT ? address : `${address} port ${port}`;
  if (resolved.kind === 'silent') {
    return problem(
      'dns.no-resolver',
      `No DNS resolver answers; the last asked was ${where}.`,
      `Check /etc/resolv.conf and the firewall, or give another one with --resolver. Try: dig @${address} SOA ${name}`,
    );
  }
  return problem(
    'dns.resolver-failed',
    `The resolver ${where} cannot look up ${name} (SERVFAIL).`,
    `The name servers of the domain do not answer it, or its DNSSEC is broken. Try: dig +cd @${address} SOA ${name}`,
  );
}

/** A zone that many names are in is described once a look; one that only its servers know of, each time. */
async function describedOnce(ports: DnsPorts, found: Found, options: ResolverOptions): Promise<Result<Zone>> {
  const {learned} = options;
  if (learned === undefined || found.remarks.length > 0) return await describe(ports, found, options);
  return await learn(
    learned.zones,
    found.apex,
    () => describe(ports, found, options),
    zone => zone.ok && zone.value.remarks.every(({id}) => id === 'dns.delegation-differs'),
  );
}

/** Names, addresses and the SOA as the servers themselves tell it. */
async function describe(ports: DnsPorts, found: Found, options: ResolverOptions): Promise<Result<Zone>> {
  const remarks = [...found.remarks];
  const listed = await serverNames(ports, found, options);
  const names = listed.slice(0, MAX_NAMES);
  const servers = await addresses(ports, found, names, options, remarks);
  if (servers.length === 0) {
    return fail(
      problem(
        'dns.no-servers',
        names.length === 0
          ? `The zone ${found.apex} has no name servers.`
          : `None of the name servers of ${found.apex} has an address: ${names.join(', ')}.`,
        `Mend the NS records of the zone or its delegation. Try: dig NS ${found.apex}`,
      ),
    );
  }
  const [told, own, parental] = await Promise.all([
    ownSoa(ports, found.apex, servers, options.signal),
    ownNames(ports, found.apex, servers, options.signal),
    above(ports, found, options),
  ]);
  const all = await compared(ports, found, {names, servers, own, above: parental}, options, remarks);
  const soa = told ?? found.soa;
  if (names.length < listed.length || all.length >= MAX_ADDRESSES) {
    remarks.push(
      problem(
        'dns.servers-left-out',
        `${found.apex} has more name servers than are asked: ${MAX_NAMES} names and ${MAX_ADDRESSES} addresses are.`,
        'What the others say is not known. No zone needs that many: remove the superfluous NS records.',
      ),
    );
  }
  if (told === undefined) {
    remarks.push(
      problem(
        'dns.zone-unverified',
        `No name server of ${found.apex} answered for it yet.`,
        'Their state is shown one by one. Where none answers, this host may not be allowed to reach port 53.',
      ),
    );
  }
  return ok({
    apex: found.apex,
    primary: soa?.primary ?? ('' as DnsName),
    serial: soa?.serial ?? 0,
    negativeTtlSeconds: told === undefined ? (soa?.minimumSeconds ?? 0) : negativeTtl(told),
    servers: all,
    remarks,
  });
}

/** RFC 2308 §5. Only what a server of the zone tells has its whole TTL: of a resolver's answer it is counted down already. */
const negativeTtl = ({ttlSeconds, minimumSeconds}: SoaRecord): number => Math.min(ttlSeconds, minimumSeconds);

/** Of a zone found by its own servers nothing is asked at the resolver: it may be `_domainkey` or below. */
async function above(
  ports: DnsPorts,
  found: Found,
  options: ResolverOptions,
): Promise<Delegation | undefined> {
  const {delegation} = found;
  if (delegation === undefined) return delegationOf(ports, found.apex, options);
  return delegation.by === 'parent' ? delegation : undefined;
}

interface Listed {
  readonly names: readonly DnsName[];
  readonly servers: readonly AuthoritativeServer[];
  readonly own: readonly DnsName[] | undefined;
  readonly above: Delegation | undefined;
}

/**
 * The zone's own NS records beside those of the zone above: receivers begin with the ones and may go on with the others
 * (RFC 2181 §5.4.1), so the record has to be on all of them. Where they differ, the zone was often moved to another
 * provider, and the record entered at the old one.
 */
async function compared(
  ports: DnsPorts,
  found: Found,
  {names, servers, own, above}: Listed,
  options: ResolverOptions,
  remarks: Problem[],
): Promise<readonly AuthoritativeServer[]> {
  if (own === undefined || above === undefined || own.length === 0 || above.names.length === 0)
    return servers;
  const onlyAbove = above.names.filter(name => !own.includes(name));
  const onlyOwn = own.filter(name => !above.names.includes(name));
  if (onlyAbove.length === 0 && onlyOwn.length === 0) return servers;
  remarks.push(delegationDiffers(found.apex, above.names, own));
  const missing = [...onlyAbove, ...onlyOwn].filter(name => !names.includes(name)).slice(0, MAX_NAMES);
  const more =
    missing.length === 0
      ? []
      : await addresses(ports, {...found, delegation: {...above, names: missing}}, missing, options, remarks);
  return [...servers, ...more].slice(0, MAX_ADDRESSES).map(server => {
    if (onlyAbove.includes(server.name)) return {...server, listed: 'parent'};
    return onlyOwn.includes(server.name) ? {...server, listed: 'child'} : server;
  });
}

const delegationDiffers = (apex: DnsName, above: readonly DnsName[], own: readonly DnsName[]): Problem =>
  problem(
    'dns.delegation-differs',
    `The zone ${apex} is delegated to ${[...above].sort().join(', ')}, but its own NS records name ${[...own].sort().join(', ')}.`,
    'Set the same name servers at the registrar and in the zone. Until then the record must be on all of them.',
  );

async function ownNames(
  ports: DnsPorts,
  apex: DnsName,
  servers: readonly DnsServer[],
  signal: AbortSignal | undefined,
): Promise<readonly DnsName[] | undefined> {
  const message = await firstOf(ports, servers, {name: apex, type: 'NS'}, signal, isAuthoritative);
  return message === undefined ? undefined : targetsOf(message.answers, apex);
}

const isAuthoritative = (message: DnsMessage): boolean => message.authoritative;

/** Servers of the zone above that are asked for the delegation. */
const MAX_PARENTS = 3;

/**
 * The NS records as the zone above has them. Undefined where nobody there tells: no way to port 53, or servers that
 * carry both zones and answer with the lower one.
 */
export async function delegationOf(
  ports: DnsPorts,
  apex: DnsName,
  options: ResolverOptions,
): Promise<Delegation | undefined> {
  const upper = await zoneAbove(ports, apex, options);
  if (upper === undefined) return undefined;
  const resolved = await lookUp(ports, {name: upper, type: 'NS'}, options);
  if (resolved.kind !== 'answer') return undefined;
  const names = targetsOf(resolved.message.answers, upper).slice(0, MAX_PARENTS);
  const hosts = (await Promise.all(names.map(name => addressesOf(ports, name, 'A', options)))).flat();
  const servers = hosts.map(address => ({address, port: DNS_PORT}));
  const refers = (message: DnsMessage): boolean =>
    !message.authoritative && targetsOf(message.authorities, apex).length > 0;
  const message = await firstOf(ports, servers, {name: apex, type: 'NS'}, options.signal, refers);
  return message === undefined
    ? undefined
    : {names: targetsOf(message.authorities, apex), glue: message.additionals, by: 'parent'};
}

async function zoneAbove(
  ports: DnsPorts,
  apex: DnsName,
  options: ResolverOptions,
): Promise<DnsName | undefined> {
  for (let name = parent(apex); name !== ''; name = parent(name)) {
    const resolved = await lookUp(ports, {name, type: 'SOA'}, options);
    if (resolved.kind !== 'answer') return undefined;
    const soa = soaFor(resolved.message, name);
    if (soa !== undefined) return soa.name;
  }
  return undefined;
}

/** The first answer that will do, from servers asked side by side, once each. */
async function firstOf(
  ports: DnsPorts,
  servers: readonly DnsServer[],
  question: Question,
  signal: AbortSignal | undefined,
  willDo: (message: DnsMessage) => boolean,
): Promise<DnsMessage | undefined> {
  const asked = servers.map(async server => {
    const outcome = await ask(ports, server, question, {recursion: false, tries: 1, signal});
    if (outcome.kind !== 'answer' || !willDo(outcome.message)) throw new Error('no answer that will do');
    return outcome.message;
  });
  try {
    return await Promise.any(asked);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

async function serverNames(
  ports: DnsPorts,
  found: Found,
  options: ResolverOptions,
): Promise<readonly DnsName[]> {
  if (found.delegation !== undefined) return found.delegation.names;
  const resolved = await lookUp(ports, {name: found.apex, type: 'NS'}, options);
  if (resolved.kind !== 'answer') return [];
  return targetsOf(resolved.message.answers, found.apex);
}

/** Every address of every name, IPv4 before IPv6, in the order of the names: the order of the matrix. */
async function addresses(
  ports: DnsPorts,
  found: Found,
  names: readonly DnsName[],
  options: ResolverOptions,
  remarks: Problem[],
): Promise<readonly AuthoritativeServer[]> {
  const perName = await Promise.all(
    [...names].sort().map(async name => {
      const glue = (type: 'A' | 'AAAA'): readonly string[] =>
        (found.delegation?.glue ?? []).flatMap(record =>
          record.type === type && record.name === name ? [record.address] : [],
        );
      const hasGlue = glue('A').length + glue('AAAA').length > 0;
      // Below the delegated name, the resolver would have to ask the very servers that are looked for.
      const isGlueAll = hasGlue && isWithin(name, found.apex);
      const known = await Promise.all(
        (['A', 'AAAA'] as const).map(async type => {
          const given = glue(type);
          return given.length > 0 || isGlueAll ? given : await addressesOf(ports, name, type, options);
        }),
      ).then(families => families.flat());
      if (known.length === 0) {
        remarks.push(
          problem(
            'dns.server-without-address',
            `The name server ${name} of ${found.apex} has no address.`,
            `Remove it from the NS records, or give it an A record. Try: dig A ${name}`,
          ),
        );
      }
      return unique(known).map(address => ({name, address, port: DNS_PORT}));
    }),
  );
  return perName.flat().slice(0, MAX_ADDRESSES);
}

async function addressesOf(
  ports: DnsPorts,
  name: DnsName,
  type: 'A' | 'AAAA',
  options: ResolverOptions,
): Promise<readonly string[]> {
  const resolved = await lookUp(ports, {name, type}, options);
  if (resolved.kind !== 'answer') return [];
  return resolved.message.answers.flatMap(record => (record.type === type ? [record.address] : []));
}

const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)];

/** The SOA from the first server that speaks for the zone: only there is its TTL whole. Nothing waits for the slowest. */
async function ownSoa(
  ports: DnsPorts,
  apex: DnsName,
  servers: readonly DnsServer[],
  signal: AbortSignal | undefined,
): Promise<SoaRecord | undefined> {
  const asked = servers.map(async server => {
    const outcome = await ask(ports, server, {name: apex, type: 'SOA'}, {recursion: false, signal});
    const soa =
      outcome.kind === 'answer' && outcome.message.authoritative
        ? outcome.message.answers.find(
            (record): record is SoaRecord => record.type === 'SOA' && record.name === apex,
          )
        : undefined;
    if (soa === undefined) throw new Error('not authoritative');
    return soa;
  });
  try {
    return await Promise.any(asked);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}

/** The next zone cut between the zone and the name, as the zone's own servers show it; undefined where there is none. */
async function cutBelow(
  ports: DnsPorts,
  zone: Zone,
  leaf: DnsName,
  options: ResolverOptions,
): Promise<Found | undefined> {
  for (let name = leaf; name !== zone.apex && isWithin(name, zone.apex); name = parent(name)) {
    const message = await firstAnswer(ports, zone, {name, type: 'SOA'}, options.signal);
    if (message === undefined) return undefined;
    // An alias hides the cut: the SOA in that answer may be of the target's zone. The cut is at or above the parent.
    if (message.answers.some(record => record.type === 'CNAME' && record.name === name)) continue;
    const cut = cutIn(message, zone.apex, name);
    if (cut === undefined || cut.delegation !== undefined) return cut;
    // The child is on the same server: its NS are asked there, too, not at the resolver.
    const own = await firstAnswer(ports, zone, {name: cut.apex, type: 'NS'}, options.signal);
    return own === undefined
      ? cut
      : {...cut, delegation: {names: targetsOf(own.answers, cut.apex), glue: own.additionals, by: 'child'}};
  }
  return undefined;
}

const targetsOf = (records: readonly DnsRecord[], owner: DnsName): readonly DnsName[] =>
  unique(records.flatMap(record => (record.type === 'NS' && record.name === owner ? [record.target] : [])));

function cutIn(message: DnsMessage, apex: DnsName, name: DnsName): Found | undefined {
  const soa = soaFor(message, name);
  // The same server carries the child zone, too.
  if (soa !== undefined && message.authoritative) {
    return soa.name === apex || !isWithin(soa.name, apex) ? undefined : {apex: soa.name, soa, remarks: []};
  }
  const referral = message.authorities.filter(
    record =>
      record.type === 'NS' &&
      record.name !== apex &&
      isWithin(record.name, apex) &&
      isWithin(name, record.name),
  );
  const [first] = referral;
  if (message.authoritative || first === undefined) return undefined;
  return {
    apex: first.name,
    soa: undefined,
    delegation: {names: targetsOf(referral, first.name), glue: message.additionals, by: 'parent'},
    remarks: [],
  };
}

async function firstAnswer(
  ports: DnsPorts,
  zone: Zone,
  question: Question,
  signal: AbortSignal | undefined,
): Promise<DnsMessage | undefined> {
  const asked = zone.servers.map(async server => {
    const outcome = await ask(ports, server, question, {recursion: false, signal});
    if (outcome.kind !== 'answer' || !['NOERROR', 'NXDOMAIN'].includes(outcome.message.rcode)) {
      throw new Error('no answer');
    }
    // A lame server sends upwards; only those count that speak for the zone or for a cut in it.
    const {message} = outcome;
    if (!message.authoritative && cutIn(message, zone.apex, question.name) === undefined)
      throw new Error('lame');
    return message;
  });
  try {
    return await Promise.any(asked);
  } catch {
    signal?.throwIfAborted();
    return undefined;
  }
}
