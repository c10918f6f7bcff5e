/** SPF, DMARC, MX and PTR of a domain as checks. Advice: nothing of it fails a run, however bad it is. */
import type {DnsPorts} from '../dns/client.ts';
import type {DmarcStage} from '../dns/dmarc.ts';
import {excerpt} from '../dns/evidence.ts';
import {MOST_EVIDENCE} from '../dns/finding.ts';
import {type Policies, readPolicies} from '../dns/policy.ts';
import type {ResolverOptions} from '../dns/resolver.ts';
import type {DomainName} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {checkFrom, skipped, warned} from '../proof/finding.ts';
import type {Check, CheckStatus} from '../proof/proof.ts';
import type {SendingFacts} from './sending.ts';

/** Domains whose policies one run reads beside their records: each costs a dozen lookups. */
export const MOST_POLICIES = 20;

const TITLES: Readonly<Record<string, string>> = {
  spf: 'SPF',
  dmarc: 'DMARC',
  mx: 'MX',
  ptr: 'Address of this host, for',
  address: 'Address of this host, for',
};

const titleOf = (id: string, domain: DomainName): string =>
  `${TITLES[id.split('.')[0] ?? ''] ?? 'Policy'} of ${domain}`.replace('for of', 'for');

/** Reads all of a domain, and judges it together with this host where its addresses are known. */
export async function policiesOf(
  ports: DnsPorts,
  domain: DomainName,
  sending: SendingFacts | undefined,
  options: ResolverOptions,
): Promise<Policies> {
  return await readPolicies(ports, domain, {
    ...options,
    ...(sending === undefined ? {} : {addresses: sending.addresses, hostname: sending.hostname}),
  });
}

/** One check a finding, the DMARC stages ahead last. */
export function policyChecks(
  domain: DomainName,
  {spf, dmarc, findings, stages}: Policies,
  sending: SendingFacts | undefined,
): readonly Check[] {
  const record = {spf: spf.record, dmarc: dmarc.record};
  const remarks = (['spf', 'dmarc'] as const).flatMap(which =>
    (which === 'spf' ? spf : dmarc).remarks.map(
      ({id, message, hint}): Check =>
        checkFrom(
          id,
          titleOf(id, domain),
          warned(excerpt(record[which] ?? 'no record', MOST_EVIDENCE), visible(message), visible(hint)),
        ),
    ),
  );
  const found = findings.map(({id, status, message, hint, evidence}): Check => {
    const troubled = status === 'fail' || status === 'warn';
    return {
      ...{id, title: titleOf(id, domain), status: adviceStatus(status)},
      evidence: troubled ? evidence : `${message} (${evidence})`,
      ...{cause: troubled ? message : '', fix: hint},
    };
  });
  const hidden = sending?.hidden === undefined ? [] : [hiddenCheck(domain, sending)];
  return [...remarks, ...found, ...hidden, ...stages.map(stage => stageCheck(domain, stage))];
}

const adviceStatus = (status: CheckStatus): CheckStatus => (status === 'fail' ? 'warn' : status);

const HIDDEN_WORDS: Readonly<Record<NonNullable<SendingFacts['hidden']>, string>> = {
  relay: 'mail leaves through another host, whose address counts',
  private: 'only private addresses are here: receivers see another one',
  unknown: 'no address of this host is known',
};

const hiddenCheck = (domain: DomainName, {hidden = 'unknown', evidence}: SendingFacts): Check =>
  checkFrom('address.hidden', titleOf('address.hidden', domain), {
    ...skipped(visible(`${HIDDEN_WORDS[hidden]} (${evidence})`), ''),
    fix: 'Look up SPF and PTR of the address from which the mail leaves.',
  });

/** A whole record that is still ahead, and when it is safe. */
const stageCheck = (domain: DomainName, {stage, name, value, when}: DmarcStage): Check =>
  checkFrom(`dmarc.stage-${stage}`, `DMARC of ${domain}, stage p=${stage}`, {
    ...skipped(excerpt(`${name} TXT "${value}"`, MOST_EVIDENCE), ''),
    fix: when,
  });
