/** Proves that mail of a domain is no longer signed: the running signer is asked; nothing is sent. */
import {type DomainName, isWithin} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf} from '../proof/finding.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import type {OpenDkimFacts} from '../services/opendkim/facts.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {explainSigning, type Question, signerIn} from './explain.ts';

/** Asking about more domains than this only delays the end: their rows left the same tables in the same write. */
const MOST = 20;

/** How often a signer is asked that still signs: a minute on an idle host, and the longer the busier it is. */
const LOOKS = 60;
const AGAIN_MS = 1000;

const UNSIGNED = {
  id: 'remove.unsigned',
  title: 'Mail of the domains is no longer signed with their keys',
} as const;

/** One check `remove.unsigned` a domain; of many domains one check for all, which says how many were asked about. */
export async function proveUnsigned(
  ports: Parameters<typeof explainSigning>[0] & Pick<Ports, 'files'>,
  host: {readonly endpoint: SocketEndpoint; readonly opendkim: OpenDkimFacts},
  domains: readonly DomainName[],
  signal: AbortSignal,
): Promise<ProofReport> {
  const findings: {readonly domain: DomainName; readonly finding: Finding}[] = [];
  for (const domain of sampleOf(domains, MOST, ports.random)) {
    const question = {from: `postmaster@${domain}`, domain, client: '127.0.0.1', authenticated: false};
    findings.push({domain, finding: await settled(ports, host, question, domains, signal)});
  }
  const checks: readonly Check[] =
    findings.length === domains.length
      ? findings.map(({domain, finding}) =>
          checkFrom(UNSIGNED.id, `Mail of ${domain} is no longer signed with its key`, finding),
        )
      : [checkFromAll(UNSIGNED.id, UNSIGNED.title, findings, domains.length)];
  return reportOf(checks);
}

/**
 * Asked again while the old tables answer: after a reload OpenDKIM takes the new ones in a thread of its own, and on a
 * busy host that thread may run long after systemctl has come back.
 */
async function settled(
  ports: Parameters<typeof explainSigning>[0],
  host: Parameters<typeof explainSigning>[1],
  question: Question,
  removed: readonly DomainName[],
  signal: AbortSignal,
): Promise<Finding> {
  for (let looksLeft = LOOKS; ; looksLeft -= 1) {
    const {status, evidence} = await explainSigning(ports, host, question, signal);
    const finding = findingOf(question.domain, removed, status, evidence);
    if (finding.status === 'pass' || status !== 'pass' || looksLeft <= 1) return finding;
    await ports.clock.sleep(AGAIN_MS, signal);
  }
}

/** A parent whose key covers subdomains takes over, as it does for every subdomain: that is no failure of the removal. */
function findingOf(
  domain: DomainName,
  removed: readonly DomainName[],
  status: Check['status'],
  evidence: string,
): Finding {
  if (status === 'fail' && evidence === 'not signed') return passed(evidence);
  const signer = status === 'pass' ? signerIn(evidence) : undefined;
  const isParent = signer !== undefined && signer !== domain && isWithin(domain, signer);
  if (isParent && !removed.some(each => each === signer)) {
    return passed(`${SUBDOMAIN} ${signer}, whose key covers subdomains: ${evidence}`);
  }
  return failed(
    evidence,
    'The signer did not take the new tables, or does not answer.',
    visible('journalctl -t opendkim -n 20'),
  );
}

const SUBDOMAIN = 'only as a subdomain of';

/** What a check `remove.unsigned` says about mail that the key of a parent domain signs now; undefined otherwise. */
export const takenOver = ({evidence}: Pick<Check, 'evidence'>): string | undefined =>
  evidence.includes(SUBDOMAIN) ? evidence : undefined;
