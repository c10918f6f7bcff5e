/** Proves that mail of a domain is no longer signed: the running signer is asked; nothing is sent. */
import type {DomainName} from '../domain/names.ts';
import {visible} from '../domain/text.ts';
import type {Check, ProofReport} from '../proof/proof.ts';
import type {OpenDkimFacts} from '../services/facts.ts';
import type {Ports, SocketEndpoint} from '../system/ports.ts';
import {explainSigning} from './explain.ts';

/** A signer that is asked about more domains than this only delays the end. */
const MOST = 20;

/** One check `remove.unsigned` a domain. */
export async function proveUnsigned(
  ports: Parameters<typeof explainSigning>[0] & Pick<Ports, 'files'>,
  host: {readonly endpoint: SocketEndpoint; readonly opendkim: OpenDkimFacts},
  domains: readonly DomainName[],
  signal: AbortSignal,
): Promise<ProofReport> {
  const checks: Check[] = [];
  for (const domain of domains.slice(0, MOST)) {
    const question = {from: `postmaster@${domain}`, domain, client: '127.0.0.1', authenticated: false};
    const {status, evidence} = await explainSigning(ports, host, question, signal);
    const isUnsigned = status === 'fail' && evidence === 'not signed';
    checks.push({
      id: 'remove.unsigned',
      title: `Mail of ${domain} is no longer signed`,
      status: isUnsigned ? 'pass' : 'fail',
      evidence,
      cause: isUnsigned ? '' : 'The signer did not take the new tables, or does not answer.',
      fix: isUnsigned ? '' : visible('journalctl -t opendkim -n 20'),
    });
  }
  return {checks, passed: checks.length > 0 && checks.every(check => check.status === 'pass')};
}
