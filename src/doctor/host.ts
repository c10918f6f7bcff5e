/** Findings about the host itself: what the look at it found odd. */
import type {Problem} from '../domain/result.ts';
import {checkFrom, passed, warned} from '../proof/finding.ts';
import type {Check} from '../proof/proof.ts';
import type {HostFacts, MtaFacts, Rival, SignerFacts} from '../services/facts.ts';
import {ANSWERED_BY_PICTURE, SIGNER} from '../services/registry.ts';
import {whyNotSwitched} from '../services/switch-over.ts';

const checkOf = (status: 'warn' | 'fail', {id, message, hint}: Problem): Check =>
  checkFrom(id, 'Host', {status, evidence: message, cause: '', fix: hint});

/** Blockers fail, remarks warn, but for those about signing, which the picture answers; a host with neither passes. */
export function checkHost(facts: HostFacts): readonly Check[] {
  const found = [
    ...facts.blockers.map(each => checkOf('fail', each)),
    ...facts.remarks.filter(({id}) => !ANSWERED_BY_PICTURE.has(id)).map(each => checkOf('warn', each)),
  ];
  if (found.length > 0) return found;
  const evidence = [facts.distribution.prettyName, versionOf(facts.mta), versionOf(facts.signer)]
    .filter(text => text !== '')
    .join(', ');
  return [checkFrom('host', 'Host', passed(evidence))];
}

const versionOf = (facts: MtaFacts | SignerFacts | undefined): string =>
  facts === undefined ? '' : `${facts.program} ${facts.version || '?'}`;

function bySwitching(signer: Rival): string {
  const whyNot = whyNotSwitched(signer);
  const how =
    whyNot === undefined
      ? 'waxseal setup --other-signer switch'
      : `switch its signing off yourself (${whyNot})`;
  return `If only ${SIGNER.words.program} should sign: ${how}. If both should sign, nothing needs to be done.`;
}

/** Two signers make two signatures, or one that the other breaks (daemons/postfix.md#two-signatures). */
export function checkSigners(facts: HostFacts): readonly Check[] {
  return facts.rivals
    .filter(({signs}) => signs !== 'no')
    .map(signer =>
      checkFrom(
        'host.second-signer',
        'One signer',
        warned(
          `${signer.program}: ${signer.evidence}`,
          'A second program on this host may sign, or change what was signed.',
          bySwitching(signer),
        ),
      ),
    );
}
