import type {Policies} from '../../dns/policy.ts';
import {policiesOf, policyChecks} from '../../doctor/policies.ts';
import {sendingFacts} from '../../doctor/sending.ts';
import type {DomainName} from '../../domain/names.ts';
import {visible} from '../../domain/text.ts';
import type {Advice, StagedDomain} from '../../flow/operations.ts';
import type {Check} from '../../proof/proof.ts';
import type {HostFacts} from '../../services/facts.ts';
import type {Ports} from '../../system/ports.ts';
import type {WorkOptions} from '../options.ts';

/** M3AAWG's advice: a key every half year. */
const ROTATION_DAYS = 180;
/** Domains whose policies are read; more would only delay the summary. */
const MOST = 5;
/** Findings of one domain in the summary; all are in `checks`. */
const SHOWN = 4;

type Line = Advice['lines'][number];

/** What is worth doing next: SPF, DMARC, delivery, the next rotation, and how to go back. */
export async function advise(
  ports: Ports,
  options: WorkOptions,
  facts: Pick<HostFacts, 'hostname' | 'mta'>,
  staged: readonly StagedDomain[],
  signal: AbortSignal,
  /** Somebody enters the records by hand, in the zone of the mail domain itself. */
  isByHand = false,
): Promise<Advice> {
  const how = {resolvers: options.resolvers, signal};
  const sending = await sendingFacts(ports, facts, how);
  const lines: Line[] = [];
  const checks: Check[] = [];
  for (const {domain} of staged.slice(0, MOST)) {
    const policies = await policiesOf(ports, domain, sending, how);
    checks.push(...policyChecks(domain, policies, sending));
    lines.push(...shortly(domain, policies));
  }
  const due = new Date(ports.clock.now().getTime() + ROTATION_DAYS * 86_400_000).toISOString().slice(0, 10);
  lines.push({topic: 'rotation', text: `The next key is due about ${due}: waxseal rotate`});
  if (isByHand) {
    const text =
      'To rotate without touching this zone again, delegate the name once: waxseal record with --format dname.';
    lines.push({topic: 'rotation', text});
  }
  lines.push({topic: 'undo', text: 'To go back to how it was: waxseal undo'});
  return {lines, checks};
}

/** What is wrong, and the next DMARC stage; the rest is in the checks. */
function shortly(domain: DomainName, {spf, dmarc, findings, stages}: Policies): readonly Line[] {
  const remarks = [...spf.remarks, ...dmarc.remarks];
  // A finding for this host says more than the remark on the record alone.
  const troubles = [
    ...findings.filter(({status}) => status === 'fail'),
    ...remarks,
    ...findings.filter(({status}) => status === 'warn'),
  ];
  const said = troubles
    .slice(0, SHOWN)
    .map(({id, message, hint}): Line => ({topic: topicOf(id), text: visible(`${message} ${hint}`.trim())}));
  const [next] = stages;
  const more = troubles.length - said.length;
  return [
    ...said,
    ...(next === undefined
      ? []
      : [
          {
            topic: 'dmarc' as const,
            text: visible(
              `The next stage of DMARC: the TXT record ${next.name}: ${next.value} (${next.when})`,
            ),
          },
        ]),
    ...(more > 0 || stages.length > 1
      ? [{topic: 'dns' as const, text: `All of it, with the evidence: waxseal check --domain ${domain}`}]
      : []),
  ];
}

const topicOf = (id: string): Line['topic'] =>
  id.startsWith('spf.') ? 'spf' : id.startsWith('dmarc.') ? 'dmarc' : 'dns';
