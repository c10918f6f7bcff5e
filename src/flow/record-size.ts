/** How large a record will be, and whose provider cannot store it: known before the key is made. */
import {recogniseProvider, sizeProblem} from '../dns/provider.ts';
import {type Problem, problem} from '../domain/result.ts';
import type {KeySpec} from '../system/ports.ts';
import type {Answers} from './answers.ts';
import type {DomainFacts} from './operations.ts';

/** Characters of `p=`: base64 of the SubjectPublicKeyInfo for RSA, of the bare key for Ed25519 (RFC 8463 §4). */
const KEY_OCTETS = {2048: 392, 3072: 564, 4096: 736} as const;
const ED25519_OCTETS = 44;

/** Octets of the TXT value that such a key will have. */
export function recordOctets(spec: KeySpec, {testMode, subdomains, note}: Answers): number {
  const flags = [...(testMode === true ? ['y'] : []), ...(subdomains === false ? ['s'] : [])];
  const head = [
    'v=DKIM1',
    ...(spec.algorithm === 'rsa' ? ['h=sha256'] : []),
    `k=${spec.algorithm}`,
    ...(flags.length === 0 ? [] : [`t=${flags.join(':')}`]),
    ...(note === undefined || note === '' ? [] : [`n=${note}`]),
    'p=',
  ].join('; ');
  return head.length + (spec.algorithm === 'rsa' ? KEY_OCTETS[spec.bits] : ED25519_OCTETS);
}

/** One Problem a provider that cannot store the record of such a key; none where the size or the provider is unknown. */
export function sizeProblems(
  spec: KeySpec,
  answers: Answers,
  domains: readonly DomainFacts[],
): readonly Problem[] {
  const octets = recordOctets(spec, answers);
  const found = new Map<string, Problem>();
  for (const {domain, zone} of domains) {
    const provider = recogniseProvider(zone.servers.map(({name}) => name));
    const tooLong = provider === undefined ? undefined : sizeProblem(provider, octets);
    if (provider === undefined || tooLong === undefined || found.has(provider.id)) continue;
    found.set(provider.id, problem(tooLong.id, `${domain}: ${tooLong.message}`, tooLong.hint));
  }
  return [...found.values()];
}
