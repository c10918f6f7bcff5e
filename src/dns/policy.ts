/** SPF (RFC 7208) and DMARC (RFC 9989, before it RFC 7489) of a domain: read, and advised. Nothing is decided by them. */
import {type DnsName, type DomainName, isWithin} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {DnsPorts} from './client.ts';
import {type ResolverOptions, resolve} from './resolver.ts';

export interface SpfPolicy {
  /** The one record; undefined where there is none, or more than one. Foreign text. */
  readonly record: string | undefined;
  readonly remarks: readonly Problem[];
}

export interface DmarcPolicy {
  readonly record: string | undefined;
  /** Where the record was found: `_dmarc` of the domain or of a domain above it. */
  readonly foundAt: DnsName | undefined;
  /** A record to begin with, where there is none. */
  readonly proposal: {readonly name: DnsName; readonly value: string} | undefined;
  readonly remarks: readonly Problem[];
}

export interface Policies {
  readonly spf: SpfPolicy;
  readonly dmarc: DmarcPolicy;
}

/** Reads both at the resolver. Never fails: what could not be looked up is a remark. Rejects only with the signal's reason. */
export async function readPolicies(
  ports: DnsPorts,
  domain: DomainName,
  options: ResolverOptions,
): Promise<Policies> {
  const [spf, dmarc] = await Promise.all([
    readSpf(ports, domain, options),
    readDmarc(ports, domain, options),
  ]);
  return {spf, dmarc};
}

type Texts = {readonly kind: 'found'; readonly texts: readonly string[]} | {readonly kind: 'unknown'};

async function textsAt(ports: DnsPorts, name: DnsName, options: ResolverOptions): Promise<Texts> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind !== 'answer') return {kind: 'unknown'};
  return {
    kind: 'found',
    texts: resolved.message.answers.flatMap(record => (record.type === 'TXT' ? [record.text] : [])),
  };
}

async function readSpf(ports: DnsPorts, domain: DomainName, options: ResolverOptions): Promise<SpfPolicy> {
  const found = await textsAt(ports, domain as string as DnsName, options);
  if (found.kind === 'unknown') return {record: undefined, remarks: [notReadable('spf', domain)]};
  // RFC 7208 §4.5: the version, then a blank or the end.
  const records = found.texts.filter(text => /^v=spf1(?: |$)/i.test(text));
  const [record] = records;
  if (record === undefined) {
    return {
      record: undefined,
      remarks: [
        problem(
          'spf.missing',
          `${domain} has no SPF record.`,
          `Where this host alone sends for it, publish a TXT record at ${domain}: v=spf1 mx a ~all`,
        ),
      ],
    };
  }
  if (records.length > 1) {
    return {
      record: undefined,
      remarks: [
        problem(
          'spf.several',
          `${domain} has ${records.length} SPF records; receivers then use none of them.`,
          'Put them together into one.',
        ),
      ],
    };
  }
  return {record, remarks: spfRemarks(record)};
}

/** Terms that cost a DNS lookup each (RFC 7208 §4.6.4); those of included records come on top. */
const LOOKUP_TERM = /^[+?~-]?(?:include:|a(?:[:/]|$)|mx(?:[:/]|$)|ptr(?::|$)|exists:)|^redirect=/i;

function spfRemarks(record: string): readonly Problem[] {
  const terms = record.trim().split(/ +/).slice(1);
  const all = terms.find(term => /^[+?~-]?all$/i.test(term))?.toLowerCase();
  const remarks: Problem[] = [];
  if (all === 'all' || all === '+all') {
    remarks.push(
      problem(
        'spf.everybody',
        'The SPF record lets every host send for the domain (+all).',
        'End it with ~all or -all.',
      ),
    );
  } else if (all === '?all' || (all === undefined && !terms.some(term => /^redirect=/i.test(term)))) {
    remarks.push(
      problem(
        'spf.no-end',
        'The SPF record does not say what other hosts may do.',
        'End it with ~all, later with -all.',
      ),
    );
  }
  const lookups = terms.filter(term => LOOKUP_TERM.test(term)).length;
  if (lookups > 10) {
    remarks.push(
      problem(
        'spf.lookups',
        `The SPF record needs ${lookups} DNS lookups; more than 10 are an error (RFC 7208 §4.6.4).`,
        'Remove terms that are no longer needed, or name addresses (ip4:, ip6:) instead.',
      ),
    );
  }
  return remarks;
}

async function readDmarc(
  ports: DnsPorts,
  domain: DomainName,
  options: ResolverOptions,
): Promise<DmarcPolicy> {
  const own = `_dmarc.${domain}` as DnsName;
  for (const name of dmarcNames(domain)) {
    const found = await textsAt(ports, name, options);
    if (found.kind === 'unknown') {
      return {
        record: undefined,
        foundAt: undefined,
        proposal: undefined,
        remarks: [notReadable('dmarc', domain)],
      };
    }
    const records = found.texts.filter(text => /^v\s*=\s*DMARC1\s*(?:;|$)/.test(text));
    const [record] = records;
    if (record === undefined) continue;
    if (records.length > 1) {
      return {
        record: undefined,
        foundAt: name,
        proposal: undefined,
        remarks: [
          problem(
            'dmarc.several',
            `There are ${records.length} DMARC records at ${name}; receivers then use none.`,
            'Leave one.',
          ),
        ],
      };
    }
    return {record, foundAt: name, proposal: undefined, remarks: dmarcRemarks(record, name, own)};
  }
  return {
    record: undefined,
    foundAt: undefined,
    // Stage one of three: nothing is turned away, and the reports show who sends for the domain.
    proposal: {name: own, value: `v=DMARC1; p=none; rua=mailto:postmaster@${domain}`},
    remarks: [
      problem(
        'dmarc.missing',
        `${domain} has no DMARC record, so a valid signature protects nothing yet.`,
        'Begin with p=none and read the reports; go on to quarantine, then to reject.',
      ),
    ],
  };
}

/** The domain and those above it, top-level domains left out; eight lookups at most, as RFC 9989 §4.10 has it. */
function dmarcNames(domain: DomainName): readonly DnsName[] {
  const labels = domain.split('.');
  const starts = labels.slice(0, -1).map((_, at) => at);
  const kept = starts.length <= 8 ? starts : [0, ...starts.slice(-7)];
  return kept.map(at => `_dmarc.${labels.slice(at).join('.')}` as DnsName);
}

function dmarcRemarks(record: string, foundAt: DnsName, own: DnsName): readonly Problem[] {
  const tag = (name: string): string | undefined =>
    new RegExp(`;\\s*${name}\\s*=\\s*([^;]*)`, 'i').exec(record)?.[1]?.trim().toLowerCase();
  const inherited = foundAt !== own && isWithin(own, foundAt.slice('_dmarc.'.length));
  const policy = (inherited ? (tag('sp') ?? tag('p')) : tag('p')) ?? 'none';
  const remarks: Problem[] = [];
  if (policy === 'none') {
    remarks.push(
      problem(
        'dmarc.none',
        'The DMARC policy is none: forged mail is only reported.',
        'When the reports show that all your mail passes, go on to p=quarantine, then to p=reject.',
      ),
    );
  }
  if (tag('rua') === undefined) {
    remarks.push(
      problem(
        'dmarc.no-reports',
        'The DMARC record asks for no reports.',
        'Add rua=mailto: with an address that is read.',
      ),
    );
  }
  if (tag('adkim') === 's') {
    remarks.push(
      problem(
        'dmarc.strict',
        'DKIM alignment is strict: only d= equal to the domain of the From address counts.',
        'Sign each sending subdomain with its own domain, or use adkim=r.',
      ),
    );
  }
  return remarks;
}

const notReadable = (what: 'spf' | 'dmarc', domain: DomainName): Problem =>
  problem(
    `${what}.unknown`,
    `The ${what.toUpperCase()} record of ${domain} could not be looked up.`,
    'Try again later; nothing else depends on it.',
  );
