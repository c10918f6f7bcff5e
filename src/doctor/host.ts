/** Findings about the host itself: what the look at it found odd. */
import type {Problem} from '../domain/result.ts';
import type {Check} from '../proof/proof.ts';
import type {HostFacts} from '../services/facts.ts';

const checkOf = (status: 'warn' | 'fail', {id, message, hint}: Problem): Check => ({
  id,
  title: 'Host',
  status,
  evidence: message,
  cause: '',
  fix: hint,
});

/** Blockers fail, remarks warn; a host with neither passes. */
export function checkHost(facts: HostFacts): readonly Check[] {
  const found = [
    ...facts.blockers.map(each => checkOf('fail', each)),
    ...facts.remarks.map(each => checkOf('warn', each)),
  ];
  if (found.length > 0) return found;
  const evidence = `${facts.distribution.prettyName}, Postfix ${facts.postfix?.version ?? '?'}, OpenDKIM ${facts.opendkim?.version ?? '?'}`;
  return [{id: 'host', title: 'Host', status: 'pass', evidence, cause: '', fix: ''}];
}

/** Two signers make two signatures, or one that the other breaks (FACTS 10.47, 10.83). */
export function checkSigners(facts: HostFacts): readonly Check[] {
  return facts.otherSigners
    .filter(({signs}) => signs !== 'no')
    .map(({name, evidence}) => ({
      id: 'host.second-signer',
      title: 'One signer',
      status: 'warn' as const,
      evidence: `${name}: ${evidence}`,
      cause: 'A second program on this host may sign, or change what was signed.',
      fix: `Let only one of OpenDKIM and ${name} sign: waxseal setup with --other-signer switch. Where both shall sign, this is as it should be.`,
    }));
}
