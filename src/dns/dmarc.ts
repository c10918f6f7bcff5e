/** What DMARC (RFC 9989) makes of mail from this host, who may get its reports, and the way to a stricter policy. */
import {type DnsName, type DomainName, isWithin, parseDnsName} from '../domain/names.ts';
import type {DnsPorts} from './client.ts';
import {type Finding, finding} from './finding.ts';
import {type ResolverOptions, resolve} from './resolver.ts';
import type {SpfVerdict} from './spf.ts';

export type DmarcTags = ReadonlyMap<string, string>;

/** Tags in lower case, values as they are. */
export function dmarcTags(record: string): DmarcTags {
  return new Map(
    record.split(';').flatMap(part => {
      const at = part.indexOf('=');
      return at < 0 ? [] : [[part.slice(0, at).trim().toLowerCase(), part.slice(at + 1).trim()] as const];
    }),
  );
}

export const isDmarcRecord = (text: string): boolean => /^v\s*=\s*DMARC1\s*(?:;|$)/.test(text);

/** The domain and those above it; eight lookups at most, as RFC 9989 §4.10 has it. */
export function dmarcNames(domain: string): readonly DnsName[] {
  const labels = domain.split('.');
  const starts = labels.map((_, at) => at);
  const kept = starts.length < 8 ? starts : [0, ...starts.slice(-7)];
  return kept.map(at => `_dmarc.${labels.slice(at).join('.')}` as DnsName);
}

/** What the walk from a domain upwards has found. */
export interface DmarcTree {
  readonly organization: string;
  /** DMARC records by the name they are at; undefined where the name could not be looked up. */
  readonly records: ReadonlyMap<DnsName, readonly string[] | undefined>;
}

/**
 * The DNS tree walk (RFC 9989 §4.10). The organizational domain is the one below `psd=y`, that of `psd=n`, else the one
 * with the fewest labels that has a record; the domain itself where there is none. Several records at a name are none.
 */
export async function walkTree(
  ports: DnsPorts,
  domain: string,
  options: ResolverOptions,
): Promise<DmarcTree> {
  const records = new Map<DnsName, readonly string[] | undefined>();
  let found = domain;
  let below = domain;
  for (const name of dmarcNames(domain)) {
    const owner = name.slice('_dmarc.'.length);
    const here = await recordsAt(ports, name, options);
    records.set(name, here);
    // Where not even the domain's own can be looked up, the policy stays unknown: nobody is asked eight times in vain.
    if (here === undefined && owner === domain) break;
    const record = here?.length === 1 ? here[0] : undefined;
    const psd = record === undefined ? undefined : dmarcTags(record).get('psd')?.toLowerCase();
    if (psd === 'n') return {organization: owner, records};
    if (psd === 'y') return {organization: owner === domain ? domain : below, records};
    if (record !== undefined) found = owner;
    below = owner;
  }
  return {organization: found, records};
}

async function recordsAt(
  ports: DnsPorts,
  name: DnsName,
  options: ResolverOptions,
): Promise<readonly string[] | undefined> {
  const resolved = await resolve(ports, {name, type: 'TXT'}, options);
  if (resolved.kind !== 'answer') return undefined;
  return resolved.message.answers.flatMap(record =>
    record.type === 'TXT' && isDmarcRecord(record.text) ? [record.text] : [],
  );
}

/**
 * Names whose record may be the policy of the domain, in this order: its own, that of its organization, that of the public
 * suffix above (RFC 9989 §4.10.1). One between them is none.
 */
export function policyNames(domain: string, {organization, records}: DmarcTree): readonly DnsName[] {
  const suffix = [...records].find(
    ([, here]) =>
      here?.length === 1 &&
      dmarcTags(here[0] ?? '')
        .get('psd')
        ?.toLowerCase() === 'y',
  );
  const names = [`_dmarc.${domain}`, `_dmarc.${organization}`, ...(suffix === undefined ? [] : [suffix[0]])];
  return [...new Set(names)] as DnsName[];
}

export type DmarcDisposition = 'none' | 'quarantine' | 'reject';

const DISPOSITIONS: readonly DmarcDisposition[] = ['none', 'quarantine', 'reject'];

const isDisposition = (text: string | undefined): text is DmarcDisposition =>
  DISPOSITIONS.some(each => each === text);

/** The words of `p=`, or of `sp=` where the record is of a domain above. Undefined where receivers do not know them. */
export function wantedPolicy(tags: DmarcTags, inherited: boolean): DmarcDisposition | undefined {
  const policy = tags.get('p')?.toLowerCase();
  const told = inherited ? (tags.get('sp')?.toLowerCase() ?? policy) : policy;
  return isDisposition(told) ? told : undefined;
}

/** What comes of it: a policy that is not known is none (§4.7), `t=y` makes each the next weaker one. */
export function effectivePolicy(tags: DmarcTags, inherited: boolean): DmarcDisposition {
  const wanted = DISPOSITIONS.indexOf(wantedPolicy(tags, inherited) ?? 'none');
  const isTest = tags.get('t')?.toLowerCase() === 'y';
  return DISPOSITIONS[Math.max(0, isTest ? wanted - 1 : wanted)] ?? 'none';
}

/** What a receiver does with mail whose From is of the domain. */
export interface DmarcOutcome {
  /** Whether the domains of a passing check align with the From domain (§4.4). */
  readonly dkimAligns: boolean;
  readonly spfAligns: boolean;
  readonly result: 'pass' | 'fail' | 'none';
  /** What happens to mail that fails: `none` also without a record. */
  readonly disposition: DmarcDisposition;
}

export interface DmarcInput {
  readonly domain: DomainName;
  readonly record: string | undefined;
  /** Whether the record is of a domain above, so that `sp=` counts. */
  readonly inherited: boolean;
  readonly organization: string;
  /** `d=` of a signature that verifies; undefined where there is none. */
  readonly signingDomain: string | undefined;
  readonly spf: SpfVerdict | undefined;
  readonly senderDomain: string;
}

/** Pure. Relaxed alignment: the same organization; strict: the same domain. */
export function dmarcOutcome(input: DmarcInput): DmarcOutcome {
  const tags = dmarcTags(input.record ?? '');
  const aligns = (other: string, mode: string | undefined): boolean =>
    mode?.toLowerCase() === 's'
      ? other === input.domain
      : isWithin(other, input.organization) && isWithin(input.domain, input.organization);
  const dkimAligns = input.signingDomain !== undefined && aligns(input.signingDomain, tags.get('adkim'));
  const spfAligns = input.spf?.result === 'pass' && aligns(input.senderDomain, tags.get('aspf'));
  const disposition = effectivePolicy(tags, input.inherited);
  const result = input.record === undefined ? 'none' : dkimAligns || spfAligns ? 'pass' : 'fail';
  return {dkimAligns, spfAligns, result, disposition};
}

export interface DmarcStage {
  readonly stage: DmarcDisposition;
  readonly name: DnsName;
  readonly value: string;
  /** When it is safe to publish. */
  readonly when: string;
}

const WHEN: Readonly<Record<DmarcStage['stage'], string>> = {
  none: 'Now. Nothing is turned away; the reports show who sends for the domain.',
  quarantine: 'After two weeks of reports in which all your own mail passes.',
  reject: 'After four more weeks without own mail in quarantine.',
};

/**
 * The stages that are still ahead, each a whole record: other tags of the record that is there are kept, reports are
 * asked for in all of them. Where a record of a domain above counts, its addresses for reports and its manner of alignment
 * are taken over, and nothing weaker than it is proposed.
 */
export function dmarcStages(
  domain: DomainName,
  record: string | undefined,
  inherited = false,
): readonly DmarcStage[] {
  const tags = new Map(dmarcTags(record ?? ''));
  const reached = record === undefined ? -1 : DISPOSITIONS.indexOf(effectivePolicy(tags, inherited));
  // pct= is gone since RFC 9989, and t=y would make each stage the one before it.
  for (const name of ['pct', 't', 'v', 'p', ...(inherited ? ['sp', 'np', 'psd'] : [])]) tags.delete(name);
  if (!tags.has('rua')) tags.set('rua', `mailto:postmaster@${domain}`);
  const rest = [...tags].map(([name, value]) => `; ${name}=${value}`).join('');
  return DISPOSITIONS.slice(reached + 1).map(stage => ({
    stage,
    name: `_dmarc.${domain}` as DnsName,
    value: `v=DMARC1; p=${stage}${rest}`,
    when: WHEN[stage],
  }));
}

/** Domains of the addresses that get reports, and addresses that are none: only `mailto:` with a mail domain is one. */
export function reportAddresses(record: string): {
  readonly domains: readonly DnsName[];
  readonly odd: readonly string[];
} {
  const tags = dmarcTags(record);
  const addresses = ['rua', 'ruf'].flatMap(name => tags.get(name)?.split(',') ?? []);
  const domains = new Set<DnsName>();
  const odd: string[] = [];
  for (const address of addresses) {
    const name = /^\s*mailto:[^@\s]+@([^@!\s]+)(?:!\d+[kmgt]?)?\s*$/i.exec(address)?.[1];
    const parsed = parseDnsName(name ?? '');
    if (parsed.ok && parsed.value.includes('.')) domains.add(parsed.value);
    else odd.push(address.trim());
  }
  return {domains: [...domains], odd};
}

/**
 * RFC 9990 §4: addresses outside of the organization get reports only where their domain says so at
 * `DOMAIN._report._dmarc.THEIRS`.
 */
export async function judgeReports(
  ports: DnsPorts,
  record: string,
  policyDomain: string,
  organization: string,
  options: ResolverOptions,
): Promise<readonly Finding[]> {
  const foreign = reportAddresses(record).domains.filter(domain => !isWithin(domain, organization));
  const all = await Promise.all(
    foreign.slice(0, 8).map(async domain => {
      const parsed = parseDnsName(`${policyDomain}._report._dmarc.${domain}`);
      if (!parsed.ok) return undefined;
      const name = parsed.value;
      const resolved = await resolve(ports, {name, type: 'TXT'}, options);
      if (resolved.kind !== 'answer') return undefined;
      const isAllowed = resolved.message.answers.some(
        answer => answer.type === 'TXT' && /^v\s*=\s*DMARC1\b/.test(answer.text),
      );
      return isAllowed
        ? finding(
            'dmarc.reports-allowed',
            'pass',
            `${domain} accepts the reports about ${policyDomain}.`,
            '',
            `${name} TXT v=DMARC1`,
          )
        : finding(
            'dmarc.reports-refused',
            'warn',
            `Reports about ${policyDomain} go to ${domain}, which does not say that it wants them: they are not sent.`,
            `Whoever runs ${domain} publishes the TXT record ${name}: v=DMARC1;`,
            `${name} TXT: none`,
          );
    }),
  );
  return all.filter(each => each !== undefined);
}
