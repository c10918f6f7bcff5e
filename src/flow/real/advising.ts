import {readPolicies} from '../../dns/policy.ts';
import {visible} from '../../domain/text.ts';
import type {Ports} from '../../system/ports.ts';
import type {Advice, StagedDomain} from '../operations.ts';
import type {WorkOptions} from './options.ts';

/** M3AAWG's advice: a key every half year. */
const ROTATION_DAYS = 180;
/** Domains whose policies are read; more would only delay the summary. */
const MOST = 5;

/** What is worth doing next: SPF, DMARC, the next rotation, and how to go back. */
export async function advise(
  ports: Ports,
  options: WorkOptions,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
): Promise<Advice> {
  const lines: Advice['lines'][number][] = [];
  for (const {domain} of staged.slice(0, MOST)) {
    const {spf, dmarc} = await readPolicies(ports, domain, {resolvers: options.resolvers, signal});
    for (const {message, hint} of spf.remarks)
      lines.push({topic: 'spf', text: visible(`${message} ${hint}`)});
    for (const {message, hint} of dmarc.remarks) {
      lines.push({topic: 'dmarc', text: visible(`${message} ${hint}`)});
    }
    if (dmarc.proposal !== undefined) {
      const {name, value} = dmarc.proposal;
      lines.push({topic: 'dmarc', text: `To begin with DMARC, publish the TXT record ${name}: ${value}`});
    }
  }
  const due = new Date(ports.clock.now().getTime() + ROTATION_DAYS * 86_400_000).toISOString().slice(0, 10);
  lines.push({topic: 'rotation', text: `The next key is due about ${due}: waxseal rotate`});
  lines.push({topic: 'undo', text: 'To go back to how it was: waxseal undo'});
  return {lines};
}
