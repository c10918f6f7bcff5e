/** What DMARC (RFC 9989) makes of mail from this host, who may get its reports, and the way to a stricter policy. */
import {type DnsName, type DomainName, isWithin} from '../domain/names.ts';
import type {DnsPorts} from './client.ts';
import {type Finding, finding} from './finding.ts';
import {type ResolverOptions, resolve, resolveOnlyText} from './resolver.ts';
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

/** The domain and those above it, top-level domains left out; eight lookups at most, as RFC 9989 §4.10 has it. */
export function dmarcNames(domain: string): readonly DnsName[] {
  const labels = domain.split('.');
  const starts = labels.slice(0, -1).map((_, at) => at);
  const kept = starts.length <= 8 ? starts : [0, ...starts.slice(-7)];
  return kept.map(at => `_dmarc.${labels.slice(at).join('.')}` as DnsName);
}

/**
 * The organizational domain by the DNS tree walk (RFC 9989 §4.10.2): the one below `psd=y`, that of `psd=n`, else the one
 * with the fewest labels that has a record; the domain itself where there is none.
 */
export async function organizationalDomain(
  ports: DnsPorts,
  domain: string,
  options: ResolverOptions,
): Promise<string> {
  let found = domain;
  let below = domain;
  for (const name of dmarcNames(domain)) {
    const owner = name.slice('_dmarc.'.length);
    const record = await recordAt(ports, name, options);
    const psd = record === undefined ? undefined : dmarcTags(record).get('psd')?.toLowerCase();
    if (psd === 'n') return owner;
    if (psd === 'y') return owner === domain ? domain : below;
    if (record !== undefined) found = owner;
    below = owner;
  }
  return found;
}

const recordAt = (ports: DnsPorts, name: DnsName, options: ResolverOptions): Promise<string | undefined> =>
  resolveOnlyText(ports, name, options, isDmarcRecord);

/** What a receiver does with mail whose From is of the domain. */
export interface DmarcOutcome {
  /** Whether the domains of a passing check align with the From domain (§4.4). */
  readonly dkimAligns: boolean;
  readonly spfAligns: boolean;
  readonly result: 'pass' | 'fail' | 'none';
  /** What happens to mail that fails: `none` also without a record. */
  readonly disposition: 'none' | 'quarantine' | 'reject';
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
  /** Domain of the envelope sender. */
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
  const policy = (input.inherited ? (tags.get('sp') ?? tags.get('p')) : tags.get('p'))?.toLowerCase();
  const disposition = policy === 'reject' || policy === 'quarantine' ? policy : 'none';
  const result = input.record === undefined ? 'none' : dkimAligns || spfAligns ? 'pass' : 'fail';
  return {dkimAligns, spfAligns, result, disposition};
}

export interface DmarcStage {
  readonly stage: 'none' | 'quarantine' | 'reject';
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
 * asked for in all of them.
 */
export function dmarcStages(domain: DomainName, record: string | undefined): readonly DmarcStage[] {
  const tags = new Map(dmarcTags(record ?? ''));
  const now = tags.get('p')?.toLowerCase();
  const all: readonly DmarcStage['stage'][] = ['none', 'quarantine', 'reject'];
  // A record without a policy that is known counts as none (§4.7).
  const reached = now === 'reject' ? 2 : now === 'quarantine' ? 1 : record === undefined ? -1 : 0;
  // pct= is gone since RFC 9989, and with pct=0 a policy is none.
  tags.delete('pct');
  if (!tags.has('rua')) tags.set('rua', `mailto:postmaster@${domain}`);
  tags.delete('v');
  tags.delete('p');
  const rest = [...tags].map(([name, value]) => `; ${name}=${value}`).join('');
  return all.slice(reached + 1).map(stage => ({
    stage,
    name: `_dmarc.${domain}` as DnsName,
    value: `v=DMARC1; p=${stage}${rest}`,
    when: WHEN[stage],
  }));
}

/** Domains of the addresses that get reports. */
export function reportDomains(record: string): readonly string[] {
  const tags = dmarcTags(record);
  const addresses = [tags.get('rua'), tags.get('ruf')].flatMap(list => (list ?? '').split(','));
  const domains = addresses.flatMap(address => /^\s*mailto:[^@\s]+@([^!\s,]+)/i.exec(address)?.[1] ?? []);
  return [...new Set(domains.map(domain => domain.toLowerCase()))];
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
  const foreign = reportDomains(record).filter(domain => !isWithin(domain, organization));
  const all = await Promise.all(
    foreign.slice(0, 8).map(async domain => {
      const name = `${policyDomain}._report._dmarc.${domain}` as DnsName;
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
