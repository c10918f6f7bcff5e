/** Proves that mail of a domain is no longer signed: the running signer is asked; nothing is sent. */
import {command} from '../domain/command.ts';
import {type DomainName, isWithin} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import {askSigner, type Mark} from '../proof/ask.ts';
import {checkFrom, checkFromAll, type Finding, failed, passed, reportOf} from '../proof/finding.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import {sampleOf} from '../proof/sample.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';

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
  ports: AskPorts,
  host: {readonly endpoint: SocketEndpoint; readonly logTag: string},
  domains: readonly DomainName[],
  signal: AbortSignal,
): Promise<ProofReport> {
  const findings: {readonly domain: DomainName; readonly finding: Finding}[] = [];
  for (const domain of sampleOf(domains, MOST, ports.random)) {
    findings.push({domain, finding: await settled(ports, host, domain, domains, signal)});
  }
  const checks: readonly Check[] =
    findings.length === domains.length
      ? findings.map(({domain, finding}) =>
          checkFrom(UNSIGNED.id, `Mail of ${domain} is no longer signed with its key`, finding),
        )
      : [checkFromAll(UNSIGNED.id, UNSIGNED.title, findings, domains.length)];
  return reportOf(checks);
}

type AskPorts = Pick<Ports, 'sockets' | 'clock' | 'random'>;

/**
 * Asked again while the old tables answer: after a reload a signer may take the new ones in a thread of its own, and on a
 * busy host that thread may run long after the service manager has come back.
 */
async function settled(
  ports: AskPorts,
  {endpoint, logTag}: {readonly endpoint: SocketEndpoint; readonly logTag: string},
  domain: DomainName,
  removed: readonly DomainName[],
  signal: AbortSignal,
): Promise<Finding> {
  for (let looksLeft = LOOKS; ; looksLeft -= 1) {
    const {mark} = await askSigner(ports, endpoint, {address: `postmaster@${domain}`}, signal);
    const finding = findingOf(domain, removed, mark, logTag);
    if (finding.status === 'pass' || mark.state !== 'signed' || looksLeft <= 1) return finding;
    await ports.clock.sleep(AGAIN_MS, signal);
  }
}

/** A parent whose key covers subdomains takes over, as it does for every subdomain: that is no failure of the removal. */
function findingOf(domain: DomainName, removed: readonly DomainName[], mark: Mark, logTag: string): Finding {
  if (mark.state === 'unsigned') return passed('not signed');
  const evidence =
    mark.state === 'broken'
      ? mark.why
      : mark.by.map(by => `signed by selector ${visible(by.selector)} for ${visible(by.domain)}`).join(', ');
  const signers = mark.state === 'signed' ? mark.by.map(by => by.domain) : [];
  const [parent] = signers;
  const isParent =
    parent !== undefined &&
    signers.every(
      signer => signer !== domain && isWithin(domain, signer) && !removed.some(each => each === signer),
    );
  if (isParent) {
    return passed(`${SUBDOMAIN} ${visible(parent)}, whose key covers subdomains: ${evidence}`);
  }
  return failed(
    evidence,
    'The signer did not take the new tables, or does not answer.',
    command('journalctl', '-t', logTag, '-n', '20'),
  );
}

const SUBDOMAIN = 'only as a subdomain of';

/** What a check `remove.unsigned` says about mail that the key of a parent domain signs now; undefined otherwise. */
export const takenOver = ({evidence}: Pick<Check, 'evidence'>): string | undefined =>
  evidence.includes(SUBDOMAIN) ? evidence : undefined;
