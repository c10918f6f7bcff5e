/** Findings about the keys that waxseal knows of, held against what the signer is told to use. */
import type {Check} from '../proof/proof.ts';
import type {KeyEntry} from '../rotation/index.ts';
import type {OpenDkimFacts} from '../services/opendkim/facts.ts';

/** One check an active key: the signer has it, and signs for its domain. */
export function checkActiveKeys(
  keys: readonly KeyEntry[],
  opendkim: Pick<OpenDkimFacts, 'keys' | 'signedDomains'> | undefined,
): readonly Check[] {
  return keys
    .filter(({state}) => state === 'active')
    .map(({domain, selector}): Check => {
      const title = `Key ${selector} of ${domain} is in use`;
      const known = opendkim?.keys.find(key => key.domain === domain && key.selector === selector);
      if (known !== undefined && opendkim?.signedDomains.includes(domain) === true) {
        return {id: 'host.key-in-use', title, status: 'pass', evidence: known.path, cause: '', fix: ''};
      }
      return {
        id: 'host.key-in-use',
        title,
        status: 'fail',
        evidence:
          known === undefined ? 'the key table has no such key' : 'no row of the signing table leads to it',
        cause: 'The tables of the signer were changed since waxseal set the key up.',
        fix: `Set it up again: waxseal setup --domain ${domain} --selector ${selector}`,
      };
    });
}
