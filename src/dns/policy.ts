/** SPF (RFC 7208) and DMARC (RFC 9989, before it RFC 7489) of a domain: read, and advised. Nothing is decided by them. */
import type {DnsName, DomainName} from '../domain/names.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {DnsPorts} from './client.ts';
import {judgeMx, judgePtr} from './delivery.ts';
import {
  type DmarcOutcome,
  type DmarcStage,
  type DmarcTree,
  dmarcOutcome,
  dmarcStages,
  dmarcTags,
  effectivePolicy,
  judgeReports,
  policyNames,
  reportAddresses,
  walkTree,
  wantedPolicy,
} from './dmarc.ts';
import {excerpt} from './evidence.ts';
import {type Finding, finding} from './finding.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import {countLookups, evaluateSpf, isSpfRecord, type SpfVerdict} from './spf.ts';

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

/** What the policies make of mail that this host sends. */
export interface HostPolicy {
  /** One an address. */
  readonly spf: readonly SpfVerdict[];
  /** One an address, with a signature of the domain or of `signingDomain`. */
  readonly dmarc: readonly DmarcOutcome[];
}

export interface Policies {
  readonly spf: SpfPolicy;
  readonly dmarc: DmarcPolicy;
  /** Records that lead from here to `p=reject`, in the order in which they are safe. */
  readonly stages: readonly DmarcStage[];
  /** Only where addresses of the host are given. */
  readonly host: HostPolicy | undefined;
  /** SPF for each address, DMARC, reports, MX and PTR, each with its evidence. The remarks of `spf` and `dmarc` come on top. */
  readonly findings: readonly Finding[];
}

export interface PolicyOptions extends ResolverOptions {
  /** Addresses from which this host sends. */
  readonly addresses?: readonly string[];
  /** What the host calls itself in SMTP. */
  readonly hostname?: string;
  /** `d=` of the signatures. Default: the domain. */
  readonly signingDomain?: string;
}

/** Addresses of one host that are judged; each costs some lookups. */
const MAX_ADDRESSES = 8;

/** Reads all at the resolver. Never fails: what could not be looked up is a remark. Rejects only with the signal's reason. */
export async function readPolicies(
  ports: DnsPorts,
  domain: DomainName,
  options: PolicyOptions,
): Promise<Policies> {
  const [spf, tree, mx] = await Promise.all([
    readSpf(ports, domain, options),
    walkTree(ports, domain, options),
    judgeMx(ports, domain, options),
  ]);
  const {organization} = tree;
  const dmarc = readDmarc(domain, tree);
  const inherited = dmarc.foundAt !== undefined && dmarc.foundAt !== `_dmarc.${domain}`;
  const addresses = (options.addresses ?? []).slice(0, MAX_ADDRESSES);
  const name = domain as string as DnsName;
  const helo = options.hostname === undefined ? {} : {helo: options.hostname};
  const [verdicts, pointers, reports] = await Promise.all([
    Promise.all(addresses.map(address => evaluateSpf(ports, {domain: name, address, ...helo}, options))),
    Promise.all(addresses.map(address => judgePtr(ports, address, options.hostname, options))),
    dmarc.record === undefined || dmarc.foundAt === undefined
      ? []
      : judgeReports(ports, dmarc.record, dmarc.foundAt.slice('_dmarc.'.length), organization, options),
  ]);
  const outcomes = verdicts.map(verdict =>
    dmarcOutcome({
      domain,
      record: dmarc.record,
      inherited,
      organization,
      signingDomain: options.signingDomain ?? domain,
      spf: verdict,
      senderDomain: domain,
    }),
  );
  const known = dmarc.remarks.every(({id}) => id !== 'dmarc.unknown' && id !== 'dmarc.several');
  return {
    spf,
    dmarc,
    stages: known ? dmarcStages(domain, dmarc.record, inherited) : [],
    host: addresses.length === 0 ? undefined : {spf: verdicts, dmarc: outcomes},
    findings: [
      ...verdicts.map(verdict => spfFinding(domain, verdict, spf.record)),
      ...outcomes.flatMap((outcome, at) => dmarcFinding(domain, addresses[at] ?? '', outcome, dmarc.record)),
      ...reports,
      ...mx,
      ...pointers.flat(),
    ],
  };
}

function spfFinding(domain: DomainName, verdict: SpfVerdict, record: string | undefined): Finding {
  const {address, result, by, reason, lookups} = verdict;
  const evidence = [
    record ?? `${domain} TXT: no SPF record`,
    ...(by === undefined ? [] : [`decided by ${by}`]),
    ...(reason === undefined ? [] : [reason]),
    `${lookups} of 10 lookups`,
  ].join('; ');
  const add = `${address.includes(':') ? 'ip6' : 'ip4'}:${address}`;
  switch (result) {
    case 'pass':
      return finding('spf.pass', 'pass', `SPF lets ${address} send for ${domain}.`, '', evidence);
    case 'fail':
    case 'softfail':
      return finding(
        `spf.${result}`,
        'fail',
        `SPF does not let this host's address ${address} send for ${domain} (${result}).`,
        `Add ${add} to the SPF record, before its last term.`,
        evidence,
      );
    case 'permerror':
      return finding(
        'spf.permerror',
        'fail',
        `The SPF record of ${domain} is in error, so no receiver uses it: ${reason ?? ''}.`,
        'Mend the term that is named.',
        evidence,
      );
    case 'temperror':
      return finding(
        'spf.temperror',
        'skip',
        `SPF could not be evaluated: ${reason ?? ''}.`,
        'Try again later.',
        evidence,
      );
    default:
      return finding(
        `spf.${result}`,
        'warn',
        `SPF says nothing of ${address} for ${domain} (${result}).`,
        record === undefined
          ? `Publish a TXT record at ${domain}: v=spf1 ${add} ~all`
          : `Add ${add} to the SPF record.`,
        evidence,
      );
  }
}

function dmarcFinding(
  domain: DomainName,
  address: string,
  outcome: DmarcOutcome,
  record: string | undefined,
): readonly Finding[] {
  if (record === undefined) return [];
  const {dkimAligns, spfAligns, disposition} = outcome;
  const word = (aligns: boolean): string => (aligns ? 'aligned' : 'not aligned');
  const evidence = `${record}; DKIM ${word(dkimAligns)}; SPF ${word(spfAligns)}`;
  if (!dkimAligns && !spfAligns) {
    return [
      finding(
        'dmarc.fails',
        disposition === 'none' ? 'warn' : 'fail',
        `Mail of ${domain} from ${address} fails DMARC: neither DKIM nor SPF aligns. Policy: ${disposition}.`,
        `Sign with d=${domain}, or let SPF pass for it.`,
        evidence,
      ),
    ];
  }
  if (!spfAligns || !dkimAligns) {
    return [
      finding(
        'dmarc.one-leg',
        'pass',
        `Mail of ${domain} from ${address} passes DMARC by ${dkimAligns ? 'DKIM' : 'SPF'} alone.`,
        dkimAligns ? '' : 'Forwarded mail then fails: SPF does not survive it.',
        evidence,
      ),
    ];
  }
  return [
    finding(
      'dmarc.pass',
      'pass',
      `Mail of ${domain} from ${address} passes DMARC by DKIM and SPF.`,
      '',
      evidence,
    ),
  ];
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
  const records = found.texts.filter(isSpfRecord);
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
  return {record, remarks: spfRemarks(record, await countLookups(ports, record, options))};
}

/** @param lookups with those of included records. */
function spfRemarks(record: string, lookups: number): readonly Problem[] {
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
  if (terms.some(term => /^[+?~-]?ptr(?::|$)/i.test(term))) {
    remarks.push(
      problem(
        'spf.ptr',
        'The SPF record has the term ptr: it is slow, and some receivers pass over it (RFC 7208 §5.5).',
        'Name the addresses instead: ip4:, ip6:, a or mx.',
      ),
    );
  }
  if (lookups > 10) {
    remarks.push(
      problem(
        'spf.lookups',
        `The SPF record needs ${lookups} DNS lookups, those of included records with them; more than 10 are an error (RFC 7208 §4.6.4).`,
        'Remove terms that are no longer needed, or name addresses (ip4:, ip6:) instead.',
      ),
    );
  }
  return remarks;
}

function readDmarc(domain: DomainName, tree: DmarcTree): DmarcPolicy {
  const own = `_dmarc.${domain}` as DnsName;
  const none = {record: undefined, foundAt: undefined, proposal: undefined};
  for (const name of policyNames(domain, tree)) {
    const records = tree.records.get(name);
    if (records === undefined) return {...none, remarks: [notReadable('dmarc', domain)]};
    const [record] = records;
    if (record === undefined) continue;
    if (records.length > 1) return {...none, foundAt: name, remarks: [severalPolicies(name, records.length)]};
    return {...none, record, foundAt: name, remarks: dmarcRemarks(record, name !== own)};
  }
  return {
    ...none,
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

const severalPolicies = (name: DnsName, count: number): Problem =>
  problem(
    'dmarc.several',
    `There are ${count} DMARC records at ${name}; receivers then use none.`,
    'Leave one.',
  );

function dmarcRemarks(record: string, inherited: boolean): readonly Problem[] {
  const tags = dmarcTags(record);
  const {odd} = reportAddresses(record);
  const remarks: Problem[] = [];
  if (wantedPolicy(tags, inherited) === undefined) {
    remarks.push(
      problem(
        'dmarc.policy',
        tags.has('p')
          ? `Receivers do not know the policy of the DMARC record (p=${excerpt(tags.get('p') ?? '', 20)}) and take it for none.`
          : 'The DMARC record has no policy (p=); receivers take it for none or pass over the record.',
        'Write p=none, p=quarantine or p=reject, right behind v=DMARC1.',
      ),
    );
  } else if (tags.get('t')?.toLowerCase() === 'y') {
    remarks.push(
      problem(
        'dmarc.test-mode',
        `The DMARC record says t=y: receivers that know RFC 9989 treat its policy as ${effectivePolicy(tags, inherited)}.`,
        'Leave t=y out when the reports show that all your mail passes.',
      ),
    );
  } else if (effectivePolicy(tags, inherited) === 'none') {
    remarks.push(
      problem(
        'dmarc.none',
        'The DMARC policy is none: forged mail is only reported.',
        'When the reports show that all your mail passes, go on to p=quarantine, then to p=reject.',
      ),
    );
  }
  if (!tags.has('rua')) {
    remarks.push(
      problem(
        'dmarc.no-reports',
        'The DMARC record asks for no reports.',
        'Add rua=mailto: with an address that is read.',
      ),
    );
  }
  if (odd.length > 0) {
    remarks.push(
      problem(
        'dmarc.report-address',
        `The DMARC record wants reports at "${excerpt(odd[0] ?? '')}", which is no address for them.`,
        'Write mailto: in front of each address, and commas between them.',
      ),
    );
  }
  if (tags.get('adkim')?.toLowerCase() === 's') {
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
