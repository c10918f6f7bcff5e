/** Findings about the keys that waxseal knows of, held against what the host signs with now. */
import {command} from '../domain/command.ts';
import {recordKey} from '../host/index.ts';
import {checkFrom, failed, passed} from '../proof/finding.ts';
import type {Check} from '../proof/proof.ts';
import type {KeyEntry} from '../rotation/index.ts';

/**
 * One check an active key: some mail is signed with it.
 *
 * @param made each d= and s= that the host makes now, as `recordKey` writes them
 */
export function checkActiveKeys(keys: readonly KeyEntry[], made: ReadonlySet<string>): readonly Check[] {
  return keys
    .filter(({state}) => state === 'active')
    .map(({domain, selector}): Check => {
      const name = recordKey(domain, selector);
      const title = `Key ${selector} of ${domain} is in use`;
      const again = command('sudo', 'waxseal', 'setup', '--domain', domain, '--selector', selector);
      const cause = 'The configuration of the signer was changed since waxseal set the key up.';
      return checkFrom(
        'host.key-in-use',
        title,
        made.has(name)
          ? passed(name)
          : failed('no mail is signed with it', cause, `Set it up again: ${again}`),
      );
    });
}
