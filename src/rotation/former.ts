/** Records of the other keys of a domain: what may have been entered in place of the one that is looked for. */
import type {DnsName} from '../domain/names.ts';
import type {KeyEntry, RotationState} from './entry.ts';

/** As src/dns/subject.ts wants them: names and values of every other key that this host knows for the domain. */
export function formerRecords(
  {keys}: Pick<RotationState, 'keys'>,
  {domain, selector}: Pick<KeyEntry, 'domain' | 'selector'>,
): {readonly formerNames: readonly DnsName[]; readonly formerValues: readonly string[]} {
  const others = keys.filter(key => key.domain === domain && key.selector !== selector);
  return {
    formerNames: others.map(({record}) => record.name),
    formerValues: [...new Set(others.map(({record}) => record.value))],
  };
}
